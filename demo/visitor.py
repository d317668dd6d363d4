"""A visitor without a browser: pages, pictures and forms over real HTTP."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urljoin
from urllib.request import HTTPCookieProcessor, Request, build_opener

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, encode_multipart
from django.test.client import MULTIPART_CONTENT as MULTIPART


class Page:
    """What a page says: of shown and of hidden pictures the URL, by row."""

    def __init__(self, html: str) -> None:
        self.html = html
        shown = re.findall(r'<img [^>]*src="([^"]*)"[^>]*data-photo="(\d+)"', html)
        self.pictures = {pk: unescape(url) for url, pk in shown}
        self.hidden = dict(re.findall(r'data-hidden="(\d+)" data-url="([^"]*)"', html))

    def figures(self) -> dict[str, Any]:
        """Those of the instruments."""
        text = re.search(r'<script id="figures"[^>]*>(.*?)</script>', self.html)
        return json.loads(text[1])


class Visitor:
    """Keeps cookies, follows redirects, sends the CSRF token of the last page."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._opener = build_opener(HTTPCookieProcessor())
        self._token = ""

    def fetch(self, path: str, form: dict[str, Any] | None = None) -> bytes | None:
        """What is there, or comes of a form; None if nothing is there."""
        data, headers = None, {}
        if form is not None:
            form["csrfmiddlewaretoken"] = self._token
            data, headers = (
                encode_multipart(BOUNDARY, form),
                {"Content-Type": MULTIPART},
            )
        status, content = self.ask(path, data, **headers)
        return None if status == 404 else content

    def ask(
        self, path: str, data: bytes | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """An answer's status, and what it brings."""
        request = Request(urljoin(self.url, path), data, headers)
        try:
            with self._opener.open(request, timeout=60) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            if error.code not in {404, 503}:
                raise
            return error.code, b""

    def look(self, path: str = "", form: dict[str, Any] | None = None) -> Page:
        """The same, of a page."""
        html = (self.fetch(path, form) or b"").decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', html)
        self._token = token[1] if token else ""
        return Page(html)

    def send(self, path: str, picture: bytes | None = None, **form: Any) -> Page:
        """Fill in a form, and read the page it leads to."""
        if picture is not None:
            form["image"] = SimpleUploadedFile("mine.jpg", picture, "image/jpeg")
        return self.look(path, form)
