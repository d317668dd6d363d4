"""What a backend's answer means: held, absent, unsupported or failed.

Storages disagree on how to say "no such file" (see ``NOT_FOUND`` below). This
module is the one place that translates, without importing any of their libraries.
"""

from __future__ import annotations

import enum
import errno
from traceback import walk_tb
from typing import TYPE_CHECKING, NamedTuple

from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation
from django.core.files.storage import Storage

from fallback_storage.exceptions import FallbackStorageError

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import FrameType


class Outcome(enum.StrEnum):
    """The answer of one backend to one question."""

    HELD = "held"
    ABSENT = "absent"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"
    HIDDEN = "hidden"  # by a whiteout; the backend was not asked
    TAKEN = "taken"  # by a directory, or by a link that leads nowhere: not by a file


# (An attribute of an enumeration costs more than all else that is done with it, up to
# Python 3.11.)
HELD, ABSENT, FAILED, UNSUPPORTED, HIDDEN, TAKEN = Outcome


class Attempt(NamedTuple):
    """One line of a trail: what one backend answered.

    ``remembered`` is true when the memo answered in the backend's stead; ``seconds`` is
    how long the backend took.
    """

    backend: str
    outcome: Outcome
    exception: Exception | None = None
    remembered: bool = False
    seconds: float = 0.0

    @property
    def by_grace(self) -> bool:
        """Whether the memo answered because the backend could not be reached."""
        return self.remembered and self.exception is not None

    def __str__(self) -> str:
        # The type alone: the text of an exception can hold an endpoint or a bucket.
        reason = f" ({type(self.exception).__name__})" if self.exception else ""
        return f"{self.backend}: {self.outcome}{reason}"

    def __repr__(self) -> str:
        return f"<{self}{', remembered' if self.remembered else ''}>"


# Errors of the caller or of the configuration: asking another backend would hide them.
RAISE_AT_ONCE = (SuspiciousOperation, ImproperlyConfigured)
INTERRUPTIONS = (KeyboardInterrupt, SystemExit)

# A name with a component too long, or below a file, cannot be there; ``exists`` of
# FileSystemStorage answers False to both.
ABSENT_ERRNOS = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})

# (first package of the module, class name) of exceptions that mean "no such file".
NOT_FOUND = frozenset(
    {
        ("azure", "ResourceNotFoundError"),
        ("google", "NotFound"),
        ("inmemorystorage", "PathDoesNotExist"),
        ("libcloud", "ObjectDoesNotExistError"),
        ("oss2", "NoSuchKey"),
        ("swiftclient", "NoSuchObject"),
    }
)

# Codes of S3. "NoSuchBucket" is a 404 as well, but says nothing
# about the file: it is a failure.
S3_NOT_FOUND_CODES = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchVersion"})


# What Django's base only says that a storage should have.
_STUBS = frozenset(
    getattr(Storage, method)
    for method in (
        *("delete", "exists", "listdir", "path", "size", "url"),
        *("get_accessed_time", "get_created_time", "get_modified_time"),
    )
)


def is_stub(method: object) -> bool:
    """Whether a storage lacks a method, and has it from Django's base: it asks nobody.

    So that is told by a call of it, also while the storage's server is away.
    """
    return getattr(method, "__func__", None) in _STUBS


def classify(exception: Exception) -> Outcome:
    """Return what ``exception`` says about the backend that raised it.

    Raises the exception itself where no other backend may be asked:
    ``SuspiciousOperation`` and ``ImproperlyConfigured``. And the Ctrl-C, or the worker's
    time-out, in whose place it was raised.
    """
    _raise_interruption_of(exception)
    if isinstance(exception, RAISE_AT_ONCE):
        raise exception
    if isinstance(exception, NotImplementedError):
        return Outcome.UNSUPPORTED
    if _says_not_found(exception):
        return Outcome.ABSENT
    return Outcome.FAILED


def _raise_interruption_of(exception: Exception) -> None:
    """Raise the Ctrl-C, or the worker's end, in whose place an exception was raised.

    Clean-up may fail for being interrupted: Django's save unlocks its file, which is
    closed already if Ctrl-C came just when it was opened. Not what somebody has caught
    and translated (``raise ... from``), nor what was handled outside of the backend's
    call: no function that the exception came through was interrupted then.
    """
    frames: set[FrameType] = set()
    seen: set[int] = set()
    each: BaseException | None = exception if exception.__context__ else None
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        trace = each.__traceback__
        if isinstance(each, INTERRUPTIONS) and trace and trace.tb_frame in frames:
            raise each
        frames.update(frame for frame, _ in walk_tb(trace))
        each = None if each.__suppress_context__ else each.__context__


def _says_not_found(exception: Exception) -> bool:
    if isinstance(exception, OSError) and _os_error_says_not_found(exception):
        return True
    if isinstance(exception, FallbackStorageError):
        return False  # also where it was made of one that does
    # Wrappers such as django-s3-storage's S3Error keep the client's error as their
    # cause. (A socket or a credentials file that is missing below an OSError of
    # another kind is another matter.)
    wraps = not isinstance(exception, OSError)
    seen: set[int] = set()
    cause: BaseException | None = exception
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if wraps and isinstance(cause, OSError) and _os_error_says_not_found(cause):
            return True
        if any(_class_says_not_found(k, cause) for k in type(cause).__mro__):
            return True
        cause = cause.__cause__
    return False


def _os_error_says_not_found(error: OSError) -> bool:
    if error.errno is not None:
        return error.errno in ABSENT_ERRNOS
    # django-storages raises FileNotFoundError with a text and no errno.
    return isinstance(error, FileNotFoundError | NotADirectoryError)


def _class_says_not_found(klass: type, exception: BaseException) -> bool:
    package, name = klass.__module__.partition(".")[0], klass.__name__
    if (package, name) in {("botocore", "ClientError"), ("minio", "S3Error")}:
        return s3_code(exception) in S3_NOT_FOUND_CODES
    if (package, name) == ("dropbox", "ApiError"):
        return _dropbox_says_not_found(exception)
    if name == "HTTPError":
        return _http_status(exception) in {404, 410}
    return (package, name) in NOT_FOUND


def s3_code(exception: BaseException) -> str:
    """Return the code of botocore's ``ClientError``, or of minio's ``S3Error``."""
    response = getattr(exception, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code", ""))
    return str(getattr(exception, "code", ""))


def http_status(exception: BaseException | None) -> int | None:
    """Return the status that an exception of some HTTP client tells, if it does.

    Or the one that it was made of.
    """
    seen: set[int] = set()
    while exception is not None and id(exception) not in seen:
        seen.add(id(exception))
        status = _http_status(exception)
        if status is not None:
            return status
        exception = exception.__cause__ or exception.__context__
    return None


def _http_status(exception: BaseException) -> int | None:
    response = getattr(exception, "response", None)
    if isinstance(response, dict):  # botocore
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        # requests, httpx and azure; minio; google and urllib.
        status = getattr(response, "status_code", None)
        if status is None:
            status = getattr(response, "status", getattr(exception, "code", None))
    return int(status) if isinstance(status, int) else None


def is_a(exception: BaseException, class_paths: Collection[str]) -> bool:
    """Whether the exception's class, or a base of it, is one of these paths."""
    return bool(class_paths) and any(
        f"{klass.__module__}.{klass.__qualname__}" in class_paths
        for klass in type(exception).__mro__
    )


def _dropbox_says_not_found(exception: BaseException) -> bool:
    try:
        error = exception.error  # type: ignore[attr-defined]
        return bool(error.get_path().is_not_found())
    except Exception:  # noqa: BLE001 - a union of a shape not known here is a failure
        return False


class Source(enum.StrEnum):
    """How a resolution is known."""

    MEMO = "memo"
    PROBE = "probe"
    GRACE = "grace"  # by what the memo knew, while a backend cannot be reached


class Resolution(NamedTuple):
    """Which backend holds a name, and how that is known.

    ``index`` and ``backend``: the position and the name of the holder, or None. If none
    has a file, of the first in which a directory has the name (its line in the trail
    says *taken*).
    ``held``: True; False if every backend answered that it does not hold the name;
    None if that is not known, because a backend failed or was not asked.
    ``hidden``: a whiteout hides what a read-only backend may hold.
    ``trail``: what each backend answered, or the memo in its stead.
    """

    name: str
    index: int | None  # type: ignore[assignment] # a tuple has a method of this name
    backend: str | None
    held: bool | None
    source: Source
    trail: tuple[Attempt, ...] = ()
    hidden: bool = False
