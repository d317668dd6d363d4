"""A visitor without a browser: pages, pictures and forms over real HTTP."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urljoin
from urllib.request import HTTPCookieProcessor, Request, build_opener

from processes import DemoError

TIMEOUT = 60


class RefusedError(DemoError):
    """The answer was an error; its text says which."""

    def __init__(self, address: str, error: HTTPError) -> None:
        self.status = error.code
        text = error.read().decode(errors="replace")
        # Django's page about an exception: its type in the title, then its text.
        pattern = r'<title>(.*?)</title>|"exception_value">(.*?)<'
        parts = re.findall(pattern, text, re.DOTALL)[:2]
        words = " ".join(unescape("".join(part)) for part in parts).split()
        reason = " ".join(words) or error.reason
        super().__init__(
            f"{address.split('?', maxsplit=1)[0]} answered {error.code}: {reason}"
        )


@dataclass(slots=True)
class Page:
    """What a page says."""

    html: str
    pictures: dict[int, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    token: str = ""

    @property
    def figures(self) -> dict[str, Any]:
        """The figures of the panel, as the page carries them."""
        match = re.search(
            r'<script id="figures" type="application/json">(.*?)</script>', self.html
        )
        return json.loads(match[1]) if match else {}


class _Reader(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page = page
        self.in_messages = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "img" and given.get("data-photo"):
            self.page.pictures[int(given["data-photo"] or 0)] = given["src"] or ""
        elif tag == "input" and given.get("name") == "csrfmiddlewaretoken":
            self.page.token = given["value"] or ""
        elif tag == "ul":
            self.in_messages = "messages" in (given.get("class") or "")
        elif tag == "li" and self.in_messages:
            self.page.messages.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "ul":
            self.in_messages = False

    def handle_data(self, data: str) -> None:
        if self.in_messages and self.page.messages:
            self.page.messages[-1] += data.strip()


class Visitor:
    """Keeps cookies, follows redirects, sends the CSRF token of the last page."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._opener = build_opener(HTTPCookieProcessor(CookieJar()))
        self._token = ""

    def look(self, path: str = "") -> Page:
        """GET a page."""
        return self._read(self._open(Request(urljoin(self.url, path))))

    def bytes_of(self, address: str) -> bytes:
        """GET a picture, by the address that a page gave."""
        return self._open(Request(urljoin(self.url, address)))

    def send(self, path: str, picture: bytes | None = None, **fields: str) -> Page:
        """POST a form, and read the page it leads to."""
        boundary = uuid.uuid4().hex
        fields["csrfmiddlewaretoken"] = self._token
        parts = [
            f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()
            for name, value in fields.items()
        ]
        if picture is not None:
            head = (
                'Content-Disposition: form-data; name="image"; filename="mine.jpg"\r\n'
                "Content-Type: image/jpeg\r\n\r\n"
            )
            parts.append(head.encode() + picture)
        edge = f"--{boundary}".encode()
        body = b"".join(edge + b"\r\n" + part + b"\r\n" for part in parts)
        request = Request(
            urljoin(self.url, path),
            data=body + edge + b"--\r\n",
            headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        )
        return self._read(self._open(request))

    def _open(self, request: Request) -> bytes:
        try:
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                body: bytes = answer.read()
        except HTTPError as error:
            raise RefusedError(request.full_url, error) from error
        except OSError as error:
            raise DemoError(f"no answer from {request.full_url}: {error}") from error
        return body

    def _read(self, body: bytes) -> Page:
        page = Page(body.decode())
        _Reader(page).feed(page.html)
        self._token = page.token or self._token
        return page
