"""One site over HTTP: requests below its base URL, and what its answers mean.

Only GET and HEAD. What is sent to protect the site (headers, credentials) goes to its
own scheme, host and port; a redirect is followed within these, and to what the options
name. Nothing is tried again but a request on a connection that the server had closed
meanwhile. What real servers and clients do here is in the manual (http).
"""

from __future__ import annotations

import base64
import errno
import os
import string
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote, unquote, urljoin

from urllib3 import HTTPHeaderDict
from urllib3 import exceptions as problems
from urllib3.util import parse_url

from fallback_storage.exceptions import OriginError, OriginUnreachableError
from fallback_storage.http.clock import Pools, connections_made, deadline
from fallback_storage.utils import forks
from fallback_storage.utils.room import Room

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from types import TracebackType

    from fallback_storage.utils.room import Seat

    Site = tuple[str | None, str | None, int | None]

MAX_REDIRECTS: Final = 5
PORTS: Final = {"http": 80, "https": 443}
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
HERE: Final = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT})
GONE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
BUSY: Final = HTTPStatus.TOO_MANY_REQUESTS

# What to do about a status that is no answer.
ADVICE: Final[Mapping[int, str]] = {
    401: "it asks for credentials: write auth, or headers",
    403: "it refuses; if it does so for files that are not there, write ABSENT_ON_403",
    407: "a proxy asks for credentials",
    BUSY: "it wants to be asked less: lower max_requests",
}


class Answer:
    """What a site answered; its body is still to come. A context manager.

    ``redirected``: another URL answered than the one that was asked for. ``seat``: what
    another request can have when this is closed, or lost.
    """

    def __init__(self, response: Any, seat: Seat, *, redirected: bool) -> None:
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers
        self.redirected = redirected
        self.response = response
        self._seat = seat

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def media_type(self) -> str:
        """The type of its content, without parameters, in lower case."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def close(self) -> None:
        """Give up what of the body was not read, and make room for another request."""
        try:
            # A connection with nothing left to read has gone back to the pool.
            self.response.close()
        finally:
            self._seat.leave()


class Origin:
    """Sends requests to a site. Thread-safe; a forked child has connections of its own.

    ``timeout``: seconds until the head of an answer is there, and between two parts of
    its body. ``redirects``: other sites, as ``https://host``, to which it may redirect.
    ``max_requests``: how many there may be at the same time.
    """

    def __init__(  # noqa: PLR0917
        self,
        base_url: str,
        timeout: float,
        headers: Mapping[str, str],
        auth: Sequence[str] | None,
        user_agent: str,
        verify: bool | str | os.PathLike[str],
        redirects: Collection[str],
        max_requests: int,
    ) -> None:
        self._home = site_of(base_url)
        self._timeout = timeout
        # Bytes as they are stored; and nobody is told what only the site may know.
        self._common = {"Accept-Encoding": "identity", "User-Agent": user_agent}
        self._headers = dict(headers)
        if auth is not None:
            pair = base64.b64encode(":".join(auth).encode()).decode("ascii")
            self._headers["Authorization"] = f"Basic {pair}"
        self._verify = verify
        self._sites = {self._home, *map(site_of, redirects)}
        self._max_requests = max_requests
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Begin without connections: those of the parent are its own."""
        trust: dict[str, Any] = {}
        if self._verify is False:
            trust["cert_reqs"] = "CERT_NONE"
        elif self._verify is not True:
            trust["ca_certs"] = os.fspath(self._verify)
        self._pools = Pools(
            num_pools=len(self._sites),
            maxsize=self._max_requests,
            timeout=self._timeout,
            retries=False,
            **trust,
        )
        self._room = Room(self._max_requests)

    def close(self) -> None:
        """Close the connections that wait for requests."""
        self._pools.clear()

    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        also: Collection[int] = (),
    ) -> Answer:
        """Return the answer to a request, which says that the file is there.

        ``also``: statuses that say so, beside 200 and 206. Raises ``FileNotFoundError``
        if it says that it is not, ``OriginError`` for every other answer, and
        ``OriginUnreachableError`` if there is none.
        """
        seat = self._room.take_seat(self._timeout)
        if seat is None:
            raise OriginError(
                f"{self._max_requests} requests are under way already (max_requests)"
            )
        try:
            response, redirected = self._follow(method, url, headers or {})
            answer = Answer(response, seat, redirected=redirected)
        except BaseException:
            seat.leave()
            raise
        if answer.status not in also:
            try:
                _judge(answer.status)
            except OSError:
                answer.close()
                raise
        return answer

    def _follow(
        self, method: str, url: str, headers: Mapping[str, str]
    ) -> tuple[Any, bool]:
        asked = url
        for _ in range(MAX_REDIRECTS + 1):
            response = self._send(method, url, headers)
            location = response.headers.get("Location")
            if response.status not in REDIRECTS or not location:
                return response, url != asked
            response.close()
            # Some servers write a path as it is; and http.client reads bytes as Latin-1.
            location = quote(location.encode("latin-1"), safe=string.punctuation)
            url = self._target(url, location, asked)
        raise OriginError("it redirects again and again")

    def _target(self, url: str, location: str, asked: str) -> str:
        """Return where a redirect leads.

        Raises ``FileNotFoundError`` if that says that a directory has the name, and
        ``OriginError`` if it must not be followed.
        """
        try:
            target = urljoin(url, location).partition("#")[0]
            parts, site = parse_url(target), site_of(target)
        except ValueError:
            raise OriginError("it redirects to what is no URL") from None
        # Servers quote less, or more, than was asked for.
        if unquote(parts.path or "") == f"{unquote(parse_url(asked).path or '')}/":
            raise _missing()
        scheme, host, port = site
        if scheme != "https" and (scheme != "http" or self._home[0] != "http"):
            raise OriginError(f"it redirects to another scheme ({scheme})")
        if site not in self._sites or parts.auth is not None:
            raise OriginError(
                f"it redirects to {scheme}://{host}:{port}; if that is right, name it in "
                "redirects"
            )
        return target

    def _send(self, method: str, url: str, headers: Mapping[str, str]) -> Any:
        sent = HTTPHeaderDict(self._common)
        sent.update(self._headers if site_of(url) == self._home else {})
        sent.update(headers)
        while True:
            made = connections_made()
            try:
                with deadline(self._timeout):
                    response = self._pools.request(
                        method,
                        url,
                        headers=sent,
                        redirect=False,
                        preload_content=False,
                        decode_content=False,
                    )
                    # What follows an "early hint" must not meet the next request.
                    if method == "HEAD" and response.status >= HTTPStatus.OK:
                        response.read()  # nothing: the connection can be used again
                    return response
            except problems.HTTPError as error:
                # One that was kept from an earlier request may be closed, or out of step.
                was_kept = made == connections_made()
                if isinstance(error, problems.TimeoutError) or not was_kept:
                    raise translated(error) from error


def translated(error: problems.HTTPError | TimeoutError) -> OriginError:
    """Return what a client's error means; theirs are no ``OSError``."""
    # What is said of a certificate, by ssl or by urllib3, is a ValueError as well.
    if isinstance(error, problems.SSLError) and isinstance(error.args[0], ValueError):
        return OriginError(
            "its certificate is not accepted: write the path of its authority's "
            "certificates as verify"
        )
    silent = isinstance(error, problems.TimeoutError | TimeoutError)
    # That there is no connection is a time-out to urllib3, however soon it is known.
    if silent and not isinstance(error, problems.NewConnectionError):
        return OriginUnreachableError("it did not answer in time")
    return OriginUnreachableError(f"the connection failed ({type(error).__name__})")


def _judge(status: int) -> None:
    """Raise what an answer's status says, unless that is: here it is."""
    if status in HERE:
        return
    if status in GONE:
        raise _missing()
    reason = f"it answers {status}"
    if status in ADVICE:
        reason += f"; {ADVICE[status]}"
    unreachable = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == BUSY
    kind = OriginUnreachableError if unreachable else OriginError
    raise kind(reason, status)


def _missing() -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def site_of(url: str) -> Site:
    """Return scheme, host and port of a URL, as they are connected to.

    Raises ``ValueError`` if it is none.
    """
    parts = parse_url(url)
    return parts.scheme, parts.host, parts.port or PORTS.get(parts.scheme or "")
