"""The errors of this package.

Each one is also the built-in or Django error that callers already catch, so that
code written for a plain storage keeps working. All of them can be pickled.
"""

from __future__ import annotations

import errno
from enum import StrEnum
from types import FunctionType
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fallback_storage.chain.outcomes import Attempt


class FallbackStorageError(Exception):
    """Base of every error of this package. Do not raise directly."""

    def __reduce__(self) -> str | tuple[Any, ...]:
        init = type(self).__init__
        if not isinstance(init, FunctionType):
            return super().__reduce__()  # by its ``args``
        # Each argument is an attribute; but the name of a file is its ``filename``.
        facts = {"name": getattr(self, "filename", None), **vars(self)}
        code = init.__code__
        made_from = tuple(
            facts[each] for each in code.co_varnames[1 : code.co_argcount]
        )
        return type(self), made_from, vars(self)


class Mistake(StrEnum):
    """What can be wrong with a configuration: the ids of the errors.

    Users look them up in the manual (checks), and silence them by ``SILENCED_SYSTEM_CHECKS``:
    an id never gets another meaning.
    """

    # Options, and keys of dicts
    UNKNOWN_OPTION = "fallback_storage.E001"
    UNKNOWN_KEY = "fallback_storage.E002"
    WRONG_VALUE = "fallback_storage.E003"
    # The chain and its entries
    NO_CHAIN = "fallback_storage.E004"
    NO_LIST = "fallback_storage.E005"
    EMPTY_CHAIN = "fallback_storage.E006"
    NO_ENTRY = "fallback_storage.E007"
    ALIAS_OR_BACKEND = "fallback_storage.E008"
    UNKNOWN_ALIAS = "fallback_storage.E009"
    MALFORMED_ALIAS = "fallback_storage.E010"
    SAME_NAME = "fallback_storage.E011"
    CYCLE = "fallback_storage.E012"
    # The storages
    CANNOT_IMPORT = "fallback_storage.E013"
    NO_STORAGE = "fallback_storage.E014"
    CANNOT_BUILD = "fallback_storage.E015"
    # The memo
    NO_CACHE = "fallback_storage.E016"
    ALIAS_AND_STORE = "fallback_storage.E017"
    UNKNOWN_CACHE = "fallback_storage.E018"
    NEEDS_REDIS_ALIAS = "fallback_storage.E019"
    BAD_STORE = "fallback_storage.E020"
    BAD_CLIENT = "fallback_storage.E021"
    NO_REDIS_LIBRARY = "fallback_storage.E022"
    BAD_REDIS_ALIAS = "fallback_storage.E023"
    NOT_ONE_SERVER = "fallback_storage.E024"
    BAD_CACHE = "fallback_storage.E025"
    # The overlay
    NO_WHITEOUTS = "fallback_storage.E026"
    # Tenants
    BAD_VARY = "fallback_storage.E027"
    # The media view
    PUBLISHES_ALL = "fallback_storage.E028"


class ConfigurationError(FallbackStorageError, ImproperlyConfigured):
    """Raised when settings or constructor arguments are wrong.

    The message says where, what was found and what to write instead, and ends with
    the id to look up in the manual (checks). It never shows a value of ``OPTIONS``, since those
    hold credentials.
    """

    def __init__(self, mistake: Mistake, where: str, found: str, instead: str) -> None:
        super().__init__(mistake, where, found, instead)
        self.mistake, self.where = mistake, where
        self.found, self.instead = found, instead

    def __str__(self) -> str:
        return f"{self.where}: {self.found} {self.instead} ({self.mistake})"


class FileNotInAnyBackendError(FallbackStorageError, FileNotFoundError):
    """Raised when every backend answered that it does not hold the file.

    ``errno`` is ``ENOENT`` and ``filename`` the name that was asked for;
    ``trail`` tells what each backend answered.
    """

    def __init__(self, operation: str, name: str, trail: Sequence[Attempt]) -> None:
        asked = ", ".join(dict.fromkeys(attempt.backend for attempt in trail))
        text = f"No storage backend holds this file (asked: {asked or 'none'})"
        super().__init__(errno.ENOENT, text, name)
        self.operation, self.trail = operation, tuple(trail)


class BackendUnavailable(FallbackStorageError, ConnectionError):
    """Raised where a backend cannot be reached now, or is left alone for that.

    ``backend`` is its name, ``cause`` why; ``retry_in``: seconds after which it is asked
    again, None if that is not known. ``was_called``: it was asked, and did not answer in
    time.
    """

    was_called = False

    def __init__(self, backend: str, cause: str, retry_in: float | None = None) -> None:
        again = "" if retry_in is None else f"; asked again in {retry_in:.0f} s"
        super().__init__(f"The backend {backend!r} is not available: {cause}{again}.")
        self.backend, self.cause, self.retry_in = backend, cause, retry_in


class OriginError(FallbackStorageError, OSError):
    """Raised when a site's answer over HTTP does not say whether it has a file.

    ``reason`` says what it was, and what to do; ``code`` is the status, if there was one.
    """

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(f"The site gives no answer: {reason}.")
        self.reason, self.code = reason, code


class OriginUnreachableError(OriginError, ConnectionError):
    """Raised when a site cannot be reached over HTTP, or cannot answer now."""


class ContradictoryAnswerError(FallbackStorageError, OSError):
    """Raised when a backend says "no such file", and then that the file is there."""

    def __init__(self, backend: str, operation: str, name: str) -> None:
        super().__init__(
            f"{operation}({name!r}): the backend {backend!r} found no such file, and then "
            "said that it is there. If it was saved in between, try again; else say what "
            "its storage does, in the entry's PROFILE."
        )
        self.backend, self.operation, self.name = backend, operation, name


class MissingPlaceError(FallbackStorageError, OSError):
    """Raised when a backend has no such file because it has no such bucket.

    Or because that could not be found out; the cause tells.
    """

    def __init__(self, backend: str) -> None:
        super().__init__(
            f"The bucket, or container, of the backend {backend!r} is not there, as far "
            "as its credentials show. Create it, or correct its name in the OPTIONS."
        )
        self.backend = backend


class AllBackendsFailed(FallbackStorageError, ExceptionGroup[Exception]):
    """Raised when no backend succeeded and more than one of them failed.

    An ``ExceptionGroup`` of the backends' own exceptions, in the order of the
    chain; ``trail`` also tells which backends answered without failing.
    """

    operation: str = ""
    name: str = ""
    trail: tuple[Attempt, ...] = ()

    def __repr__(self) -> str:
        # The backends' own texts can hold an endpoint or a bucket.
        return f"{type(self).__name__}({self.message!r})"

    def derive(self, excs: Sequence[Exception]) -> AllBackendsFailed:  # type: ignore[override]
        """Keep the trail on the parts that ``split`` and ``except*`` make."""
        part = AllBackendsFailed(self.message, excs)
        part.__dict__.update(self.__dict__)
        return part


class OperationNotSupportedError(
    FallbackStorageError, AttributeError, NotImplementedError
):
    """Raised when no backend of the chain implements the operation.

    The original documents ``AttributeError``; Django, Wagtail and others catch
    ``NotImplementedError``. This is both.
    """


class ReadOnlyBackendError(FallbackStorageError, PermissionError):
    """Raised when a call could only be served by writing to a read-only backend."""

    def __init__(self, operation: str, name: str, backends: Sequence[str]) -> None:
        listed = ", ".join(repr(backend) for backend in backends)
        super().__init__(
            errno.EROFS,
            f"{operation}() has nowhere to write: READ_ONLY is set for {listed}. "
            "Put a writable backend into the chain, or remove READ_ONLY",
            name,
        )
        self.operation, self.backends = operation, tuple(backends)


class TornCopyError(FallbackStorageError, OSError):
    """Raised when a copy has other bytes, or another name, than what was copied."""

    def __init__(self, name: str, expected: int | None, found: int) -> None:
        super().__init__(
            errno.EIO,
            f"the copy has {found} bytes, the file has {expected}: it was broken off, or "
            "written to meanwhile; try again",
            name,
        )
        self.expected, self.found = expected, found


class CorruptCopyError(FallbackStorageError, OSError):
    """Raised when a copy has other content than what was copied."""

    def __init__(self, name: str) -> None:
        text = "the copy has not the file's checksum, or it was written to: try again"
        super().__init__(errno.EIO, text, name)


class PartialCopyError(FallbackStorageError, OSError):
    """Raised when a file that is there is a beginning of what was to be copied.

    A run that was killed left it, or it was saved like that; ``found`` bytes. It is
    replaced only if that is asked for.
    """

    def __init__(self, name: str, found: int) -> None:
        super().__init__(
            errno.EIO,
            f"only the first {found} bytes: a copy that was killed, or saved like that; "
            "--repair replaces it",
            name,
        )
        self.found = found


class EncodedFileError(FallbackStorageError, OSError):
    """Raised when a file is stored encoded, and its copy would lose what says so.

    ``coding``: its Content-Encoding, which the home does not keep, and which cannot be
    undone; or its content is not that.
    """

    def __init__(self, name: str, coding: str) -> None:
        super().__init__(
            errno.EIO,
            f"stored with the Content-Encoding {coding!r}, which the home does not keep "
            "and this package cannot undo; it can still be read where it is",
            name,
        )
        self.coding = coding


class NameBlockedError(FallbackStorageError, FileExistsError):
    """Raised where no file can have a name, for ``place`` is ``what`` in that backend.

    ``sync`` tells of it: the file stays where it was, and can be read there.
    """

    def __init__(self, name: str, place: str, what: str) -> None:
        text = f"{place!r} is {what} there: rename it, here or where it comes from"
        super().__init__(errno.EEXIST, text, name)
        self.place, self.what = place, what


class NoAvailableNameError(FallbackStorageError, FileExistsError):
    """Raised when the bounded search for a free name found none.

    ``suspect``: the method that may be the reason.
    """

    def __init__(self, name: str, tries: int, suspect: str) -> None:
        super().__init__(
            errno.EEXIST,
            f"No free name after {tries} tries: all were taken. Is what {suspect} "
            "returns right?",
            name,
        )
        self.tries, self.suspect = tries, suspect
