"""Production as a public web site: all that who has no credentials sees of it."""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from films import film
from pictures import Picture, draw_picture

# What the page links to by itself.
FILM, LETTER = "films/dunes.webm", "letters/autumn.jpg"


@dataclass(frozen=True, slots=True)
class Website:
    """A web server over a folder, which logs what it is asked; like ``Bucket``."""

    endpoint: str
    metrics: str

    @property
    def folder(self) -> Path:
        """Its files."""
        return Path(self.metrics).with_name("production")

    def fill(self, pictures: Sequence[Picture]) -> None:
        """With pictures, and with what the page links to by itself."""
        files = {picture.name: picture.jpeg for picture in pictures}
        files |= {FILM: film(), LETTER: draw_picture(10_002).jpeg}
        for name, content in files.items():
            path = self.folder / "media" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def takes_requests(self) -> bool:
        """Whether it is there."""
        parts = urlsplit(self.endpoint)
        with socket.socket() as connection:
            return connection.connect_ex((parts.hostname, parts.port)) == 0

    def digest(self) -> tuple[str, int]:
        """SHA-256 over all files, by their names; how many there are."""
        digest, files = hashlib.sha256(), sorted(self.folder.rglob("*.*"))
        for path in files:
            digest.update(f"{path}\0".encode() + path.read_bytes())
        return digest.hexdigest(), len(files)

    def log(self) -> list[str]:
        """What it was asked."""
        return re.findall(r'"([A-Z]+ [^"]+) HTTP/', Path(self.metrics).read_text())

    def requests(self, methods: str = "GET|HEAD|PUT|POST|DELETE") -> int:
        """How many of them."""
        return sum(line.split()[0] in methods.split("|") for line in self.log())

    def writes(self) -> int:
        """How many would change it."""
        return self.requests("PUT|POST|DELETE")
