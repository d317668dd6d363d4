"""A visitor without a browser: pages, pictures and forms over real HTTP."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from http.client import HTTPConnection, HTTPException
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit
from urllib.request import Request, urlopen

from processes import DemoError

TIMEOUT = 60
OK = 200
REDIRECTS = (301, 302, 303)


class RefusedError(DemoError):
    """The answer was an error; its text says which."""

    def __init__(self, address: str, status: int, reason: str, body: bytes) -> None:
        self.status = status
        text = body.decode(errors="replace")
        # Django's page about an exception: its type in the title, then its text.
        pattern = r'<title>(.*?)</title>|"exception_value">(.*?)<'
        parts = re.findall(pattern, text, re.DOTALL)[:2]
        words = " ".join(unescape("".join(part)) for part in parts).split()
        reason = " ".join(words) or reason
        super().__init__(
            f"{address.split('?', maxsplit=1)[0]} answered {status}: {reason}"
        )


@dataclass(slots=True)
class Page:
    """What a page says: of shown and of hidden pictures the URL, by row."""

    html: str
    pictures: dict[int, str] = field(default_factory=dict)
    hidden: dict[int, str] = field(default_factory=dict)
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
        elif given.get("data-hidden"):
            self.page.hidden[int(given["data-hidden"] or 0)] = given["data-url"] or ""
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
    """Keeps cookies, follows redirects, sends the CSRF token of the last page.

    All it asks of the site goes over one connection, hence to one worker.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT)
        self._cookies = CookieJar()
        self.token = ""

    def look(self, path: str = "") -> Page:
        """GET a page."""
        return self._read(self._open(Request(urljoin(self.url, path))))

    def bytes_of(self, address: str) -> bytes:
        """GET a picture, by the address that a page gave."""
        return self._open(Request(urljoin(self.url, address)))

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def send(self, path: str, picture: bytes | None = None, **fields: str) -> Page:
        """POST a form, and read the page it leads to."""
        return self._read(self.post(path, picture, **fields))

    def post(self, path: str, picture: bytes | None = None, **fields: str) -> bytes:
        """POST a form, and return what it leads to."""
        boundary = uuid.uuid4().hex
        fields["csrfmiddlewaretoken"] = self.token
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
        return self._open(request)

    def _open(self, request: Request) -> bytes:
        try:
            if not request.full_url.startswith(self.url):
                return _elsewhere(request)
            self._cookies.add_cookie_header(request)
            headers = dict(request.header_items())
            method, data = request.get_method(), request.data
            self._connection.request(method, request.selector, data, headers)  # type: ignore[arg-type]
            answer = self._connection.getresponse()
            body = answer.read()
            self._cookies.extract_cookies(answer, request)
        except (OSError, HTTPException) as error:
            raise DemoError(f"no answer from {request.full_url}: {error}") from error
        if answer.status in REDIRECTS:
            target = urljoin(request.full_url, answer.headers["Location"])
            return self._open(Request(target))
        if answer.status != OK:
            raise RefusedError(request.full_url, answer.status, answer.reason, body)
        return body

    def _read(self, body: bytes) -> Page:
        page = Page(body.decode())
        _Reader(page).feed(page.html)
        self.token = page.token or self.token
        return page


def _elsewhere(request: Request) -> bytes:
    try:
        with urlopen(request, timeout=TIMEOUT) as answer:
            body: bytes = answer.read()
    except HTTPError as error:
        address, reason = request.full_url, str(error.reason)
        raise RefusedError(address, error.code, reason, error.read()) from error
    return body
