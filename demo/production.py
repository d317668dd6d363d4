"""Production, as an onlooker sees it; what is asked here is not asked by the site."""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from films import film
from pictures import Picture, draw_picture

BUCKET = "media"
REGION = "us-east-1"
ACCESS_KEY = "demo"
SECRET_KEY = "demo-secret"


@dataclass(frozen=True, slots=True)
class Production:
    """A server, and where it counts what it is asked."""

    endpoint: str
    metrics: str

    def digest(self) -> tuple[str, int]:
        """SHA-256 over all that it has; how many files there are."""
        lines = sorted(self.entries())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest(), len(lines)

    def writes(self) -> int:
        """How many requests would change it."""
        return self.requests("PUT|POST|DELETE")


class Bucket(Production):
    """An S3 server's one bucket."""

    __slots__ = ()

    def client(self) -> Any:
        """A plain boto3 client."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=REGION,
            config=Config(retries={"max_attempts": 0}, read_timeout=10),
        )

    def fill(self, pictures: Sequence[Picture]) -> None:
        """With pictures."""
        client, kind = self.client(), {"Bucket": BUCKET, "ContentType": "image/jpeg"}
        for picture in pictures:
            client.put_object(**kind, Key=picture.name, Body=picture.jpeg)

    def takes_requests(self) -> bool:
        """Whether a whole write goes through, not only the port."""
        client = self.client()
        try:
            client.put_object(Bucket=BUCKET, Key=".ready", Body=b"ready")
            client.delete_object(Bucket=BUCKET, Key=".ready")
        except (BotoCoreError, ClientError):
            return False
        return True

    def entries(self) -> Iterator[str]:
        """Every key, with its ETag (an MD5 of the bytes)."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        for page in pages:
            for entry in page.get("Contents", ()):
                yield f"{entry['Key']}\0{entry['ETag']}"

    def requests(self, methods: str = "GET|PUT|POST|DELETE") -> int:
        """The server's own count of S3 requests (of which HEAD counts as GET)."""
        with urlopen(self.metrics, timeout=10) as answer:
            text = answer.read().decode()
        line = rf'^SeaweedFS_s3_request_total{{.*?type="(?:{methods})".*?}} ([\d.e+]+)$'
        return sum(int(float(count)) for count in re.findall(line, text, re.MULTILINE))


class Website(Production):
    """A public web server over a folder: all that who has no credentials sees."""

    __slots__ = ()

    @property
    def folder(self) -> Path:
        """Its files."""
        return Path(self.metrics).with_name("production")

    def fill(self, pictures: Sequence[Picture]) -> None:
        """With pictures, and with what the page links to by itself."""
        files = {picture.name: picture.jpeg for picture in pictures}
        files["films/dunes.webm"] = film()
        files["letters/autumn.jpg"] = draw_picture(10_002).jpeg
        for name, content in files.items():
            path = self.folder / "media" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def takes_requests(self) -> bool:
        """Whether it is there."""
        parts = urlsplit(self.endpoint)
        with socket.socket() as connection:
            return connection.connect_ex((parts.hostname, parts.port)) == 0

    def entries(self) -> Iterator[str]:
        """Every file, with a digest of its bytes."""
        for path in self.folder.rglob("*.*"):
            yield f"{path}\0{hashlib.md5(path.read_bytes()).hexdigest()}"

    def log(self) -> list[str]:
        """What it was asked."""
        return re.findall(r'"([A-Z]+ [^"]+) HTTP/', Path(self.metrics).read_text())

    def requests(self, methods: str = "GET|HEAD|PUT|POST|DELETE") -> int:
        """How many of them."""
        return sum(line.split()[0] in methods.split("|") for line in self.log())
