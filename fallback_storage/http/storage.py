"""A public site as a storage: what its visitors can read, and nothing else."""

from __future__ import annotations

import errno
import io
import os
import tempfile
from contextlib import closing
from fnmatch import fnmatchcase
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from django.core.files.base import File
from django.core.files.storage import Storage
from django.utils import timezone
from django.utils.deconstruct import deconstructible
from django.utils.encoding import filepath_to_uri

from fallback_storage.chain.names import clean_name
from fallback_storage.conf.settings import uses_time_zones
from fallback_storage.exceptions import OriginError
from fallback_storage.http import options as checked
from fallback_storage.http.names import means_another
from fallback_storage.http.version import modified_in, refuse_another, version_in
from fallback_storage.utils.spools import SPOOL_MEMORY

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from datetime import datetime
    from os import PathLike

    from fallback_storage.http.origin import Answer, Origin
    from fallback_storage.http.soft import SoftNotFound
    from fallback_storage.http.version import About

# What may answer that it does not allow HEAD.
NO_HEAD: Final = frozenset({HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})
ONE_BYTE: Final = {"Range": "bytes=0-0"}
# The answer to which is this for an empty file.
NOTHING_THERE: Final = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE


@deconstructible(path="fallback_storage.http.HTTPStorage")
class HTTPStorage(Storage):
    """Files below a URL, read over plain HTTP. Nothing is ever written to it.

    ``base_url``: where they are, as their own storage's ``base_url`` says it.
    ``timeout``: seconds for the head of an answer, and between two parts of a body; a
    body slower than 1 kB a second is given up. ``headers``, ``auth`` (user and
    password): sent to the scheme, host and port of ``base_url`` only. ``verify``: False,
    or the path of a file with certificates of authorities. ``max_size``: bytes of a
    file. ``prefixes``: if given, only names that begin with one of these are asked for;
    ``exclude``: patterns (``fnmatch``) of names that are not. ``max_requests``: at the
    same time. ``redirects``: other sites (``https://host``) it may redirect to.

    Raises ``ConfigurationError`` for options that cannot be right. The methods raise
    ``FileNotFoundError``, ``OriginError``, and ``OriginUnreachableError`` where asking
    later may help.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        timeout: float = 4.0,
        headers: Mapping[str, str] | None = None,
        auth: Sequence[str] | None = None,
        verify: bool | str | PathLike[str] = True,
        user_agent: str = "django-fallback-storage",
        max_size: int = 1 << 30,
        prefixes: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        max_requests: int = 8,
        redirects: Sequence[str] = (),
    ) -> None:
        given = {key: value for key, value in locals().items() if key != "self"}
        given.pop("__class__", None)
        checked.refuse_client()
        checked.refuse_mistakes(given)
        self.base_url = f"{str(base_url).rstrip('/')}/"
        self._timeout = timeout
        self._max_size = max_size
        self._prefixes = None if prefixes is None else tuple(prefixes)
        self._exclude = tuple(exclude)
        self._options: dict[str, Any] = {
            "headers": headers or {},
            "auth": auth,
            "verify": verify,
            "user_agent": user_agent,
            "max_requests": max_requests,
            "redirects": redirects,
        }
        self._allows_head = True

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made from; connections are its own."""
        own = {"_origin", "_soft"}
        return {key: self.__dict__[key] for key in self.__dict__ if key not in own}

    @cached_property
    def _origin(self) -> Origin:
        from fallback_storage.http.origin import Origin

        made = Origin(self.base_url, timeout=self._timeout, **self._options)
        # Of two threads that come first, both have the same.
        return self.__dict__.setdefault("_origin", made)  # type: ignore[no-any-return]

    @cached_property
    def _soft(self) -> SoftNotFound:
        from fallback_storage.http.soft import SoftNotFound

        return SoftNotFound()

    # What Django asks

    def url(self, name: str | None, parameters: Any = None) -> str:
        """Return where a file is, or would be. Makes no request.

        Raises ``SuspiciousFileOperation`` for names that leave the base URL.
        """
        return self._quoted(clean_name(name or ""))

    def exists(self, name: str) -> bool:
        """Whether the site has the file: by a HEAD."""
        try:
            self._look(name)
        except FileNotFoundError:
            return False
        return True

    def size(self, name: str) -> int:
        """Return the bytes of a file.

        Raises ``NotImplementedError`` if the site does not tell.
        """
        return self._size_in(self._look(name), name)

    def get_modified_time(self, name: str) -> datetime:
        """Return when a file was modified last; aware if ``USE_TZ`` is True.

        Raises ``NotImplementedError`` if the site does not tell.
        """
        moment = modified_in(self._look(name))
        if moment is None:
            raise NotImplementedError("The site does not tell the time of this file.")
        return moment if uses_time_zones() else timezone.make_naive(moment)

    def about(self, name: str) -> About:
        """Return size, time of modification (aware, UTC) and ETag, as far as told.

        One request. Raises ``NotImplementedError`` if the size is not told.
        """
        answer = self._look(name)
        return self._size_in(answer, name), *version_in(answer)

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        """Return a file with all of its content; half of it is an error."""
        if set(mode) & set("wax+"):
            raise NotImplementedError("This storage is read-only.")
        spool: Any = tempfile.SpooledTemporaryFile(SPOOL_MEMORY)  # noqa: SIM115
        try:
            with closing(self._get(name)) as parts:
                for part in parts:
                    spool.write(part)
            spool.seek(0)
        except BaseException:
            spool.close()
            raise
        return File(spool if "b" in mode else io.TextIOWrapper(spool, "utf-8"), name)

    def _save(self, name: str, content: Any) -> str:
        raise NotImplementedError("This storage is read-only.")

    def delete(self, name: str) -> None:
        """Raise ``NotImplementedError``: nothing can be deleted."""
        raise NotImplementedError("This storage is read-only.")

    # What a view reads

    def stream(
        self,
        name: str,
        start: int = 0,
        stop: int | None = None,
        of: About | None = None,
    ) -> Generator[bytes]:
        """Return an iterator over a file's bytes from ``start`` to before ``stop``.

        ``of``: what ``about`` has said: a file that has come in the place of that one is
        an ``OriginError``. The site was asked when this returns. Raises
        ``NotImplementedError`` if it sends no part of a file. Closing the iterator gives
        up the rest.
        """
        if stop is not None and stop <= start:  # no range says that
            self._look(name)
            return (b"" for _ in range(0))
        return self._get(name, start, stop, of)

    def _get(
        self,
        name: str,
        start: int = 0,
        stop: int | None = None,
        of: About | None = None,
    ) -> Generator[bytes]:
        from fallback_storage.http.body import content_of, length_of, length_of_part

        is_part = start > 0 or stop is not None
        last = "" if stop is None else stop - 1
        answer = self._answer(
            name, {"Range": f"bytes={start}-{last}"} if is_part else {}
        )
        try:
            if of is not None:
                refuse_another((length_of(answer, name), *version_in(answer)), of)
            return content_of(
                answer,
                name,
                timeout=self._timeout,
                max_size=self._max_size,
                length=length_of_part(answer, name, start, stop) if is_part else None,
            )
        except BaseException:
            answer.close()
            raise

    def _answer(self, name: str, headers: Mapping[str, str]) -> Answer:
        """Return the answer that has a file's content, or a part of it."""
        from fallback_storage.http.soft import is_page, may_be_page

        address = self._address(name)
        answer = self._origin.ask("GET", address, headers)
        if not is_page(answer):
            return answer
        # What is asked about it needs room.
        answer.close()
        if not may_be_page(name):
            self._soft.refuse(name, answer, self._head)
        self._look(name)
        return self._origin.ask("GET", address, headers)

    # Questions

    @staticmethod
    def _size_in(answer: Answer, name: str) -> int:
        from fallback_storage.http.body import length_of

        length = length_of(answer, name)
        if length is None:
            raise NotImplementedError("The site does not tell the size of this file.")
        return length

    def _look(self, name: str) -> Answer:
        """Return the head of the answer for a file that is there."""
        self._address(name)
        answer = self._head(name)
        self._soft.refuse(name, answer, self._head)
        return answer

    def _head(self, name: str) -> Answer:
        url = self._quoted(clean_name(name))
        if self._allows_head:
            try:
                with self._origin.ask("HEAD", url) as answer:
                    return answer
            except OriginError as error:
                if error.code not in NO_HEAD:
                    raise
        with self._origin.ask("GET", url, ONE_BYTE, {NOTHING_THERE}) as answer:
            self._allows_head = False
            return answer

    def _address(self, name: str) -> str:
        """Return the URL of a name that may be asked for.

        Raises ``FileNotFoundError`` for one that may not: there is no such file here.
        """
        clean = clean_name(name)
        asked = self._prefixes is None or clean.startswith(self._prefixes)
        if (
            not asked
            or not clean
            or clean.endswith("/")
            or any(fnmatchcase(clean, pattern) for pattern in self._exclude)
            or means_another(clean)
        ):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return self._quoted(clean)

    def _quoted(self, name: str) -> str:
        return self.base_url + filepath_to_uri(name)


# Where users import it from; the table of profiles knows it by that.
HTTPStorage.__module__ = "fallback_storage.http"
