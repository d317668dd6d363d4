"""One visit to the gallery, told in the terminal, from the cold page to the last undo."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html import unescape
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urljoin
from urllib.request import HTTPCookieProcessor, Request, build_opener

from pictures import Picture, draw_picture
from production import Bucket
from urllib3.filepost import encode_multipart_formdata


class Visitor:
    """Who has no browser: pages, pictures and forms over real HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._cookies = CookieJar()
        self._opener = build_opener(HTTPCookieProcessor(self._cookies))

    def fetch(self, path: str, form: dict[str, Any] | None = None) -> bytes | None:
        """What is there, or comes of a form; None if nothing is there."""
        request = Request(urljoin(self.url, path))
        if form is not None:
            request.data, kind = encode_multipart_formdata(form)
            (token,) = (
                each.value for each in self._cookies if each.name == "csrftoken"
            )
            request.headers |= {"Content-Type": kind, "X-CSRFToken": token}
        try:
            with self._opener.open(request, timeout=60) as answer:
                return answer.read()
        except HTTPError as error:
            if error.code != 404:
                raise
            return None

    def look(self, path: str = "?plain", form: dict[str, Any] | None = None) -> str:
        """At a page: its text, and of its pictures, by row, the URLs, also of hidden ones."""
        html = (self.fetch(path, form) or b"").decode()
        shown = re.findall(r'<img [^>]*src="([^"]*)"[^>]*data-photo="(\d+)"', html)
        self.pictures = {pk: unescape(url) for url, pk in shown}
        self.hidden = dict(re.findall(r'data-hidden="(\d+)" data-url="([^"]*)"', html))
        return html


class Story(Visitor):
    """What the visitor does, and whether it goes as it should."""

    held = True

    def claim(self, held: bool, text: str) -> None:
        """One line of the story."""
        self.held &= held
        print(f"  {'ok' if held else 'NO':4}{text}")

    def tell(self, bucket: Bucket, pictures: Sequence[Picture]) -> int:
        """Tell it; 0 only if all of it held."""
        before = bucket.digest(), bucket.writes()
        self.looks(bucket, pictures)
        self.uploads()
        self.deletes(pictures[-1])
        unchanged = before == (bucket.digest(), bucket.writes())
        self.claim(unchanged, "After all this production is what it was.")
        print("All of it held." if self.held else "NOT all of it held.")
        return 0 if self.held else 1

    def looks(self, bucket: Bucket, pictures: Sequence[Picture]) -> None:
        """A cold page, and a warm one."""
        before = bucket.requests()
        self.look()
        urls = list(self.pictures.values())
        asked = bucket.requests() - before
        theirs = sum(url.startswith(bucket.endpoint) for url in urls)
        text = f"{theirs} pictures are on the page, by their URLs in production"
        held = (asked, theirs) == (0, len(pictures))
        self.claim(held, f"{text}; S3 was asked {asked} times.")
        # The newest row is first on the page; the rows are the pictures in reverse.
        same = self.fetch(urls[0]) == pictures[0].jpeg
        self.claim(same, "Such a URL leads to the picture.")
        self.look("")
        found = re.search(r'<script id="figures"[^>]*>(.*?)</script>', self.look(""))
        figures = json.loads(found[1])
        made, naive = figures["page"]["requests"], figures["version_one"]["requests"]
        known = (figures["misses"], made, naive) == (0, 0, len(pictures))
        text = f"The memo knew all of the next page: {made} requests to S3"
        self.claim(known, f"{text}, where version 1.x, emulated, makes {naive}.")

    def uploads(self) -> None:
        """A picture that production never had."""
        mine = draw_picture(10_001).jpeg
        self.look()
        before = self.pictures
        self.look(
            "upload/", {"title": "Mine", "image": ("mine.jpg", mine, "image/jpeg")}
        )
        (pk,) = self.pictures.keys() - before.keys() or {"0"}
        url = self.pictures.get(pk, "/")
        local = url.startswith("/media/") and self.fetch(url) == mine
        self.claim(local, "A new picture is saved in the local directory.")
        self.look(f"photo/{pk}/delete/", {})
        gone = self.pictures.keys() == before.keys() and self.fetch(url) is None
        self.claim(gone, "Deleted, it is gone.")

    def deletes(self, picture: Picture) -> None:
        """A picture that only production has is deleted, and brought back."""
        pk, url = list(self.pictures.items())[-1]
        self.look(f"photo/{pk}/delete/", {})
        kept = self.fetch(url) == picture.jpeg
        hidden = self.fetch(self.hidden.get(pk, "/")) is None
        self.claim(hidden and kept, "One of production's is deleted: hidden, and kept.")
        self.look(f"photo/{pk}/undo/", {})
        shown = (
            self.fetch(self.pictures.get(pk, "/")) == picture.jpeg and not self.hidden
        )
        self.claim(shown, "The delete is undone: it shows again.")
