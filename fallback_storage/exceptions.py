"""The errors of this package.

Each one is also the built-in or Django error that callers already catch, so that
code written for a plain storage keeps working. All of them can be pickled.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fallback_storage.outcomes import Attempt


class FallbackStorageError(Exception):
    """Base of every error of this package. Do not raise directly."""


class ConfigurationError(FallbackStorageError, ImproperlyConfigured):
    """Raised when settings or constructor arguments are wrong.

    The message says where, what was found and what to write instead. It never
    shows a value of ``OPTIONS``, since those hold credentials.
    """

    def __init__(self, where: str, found: str, instead: str) -> None:
        super().__init__(where, found, instead)
        self.where = where
        self.found = found
        self.instead = instead

    def __str__(self) -> str:
        return f"{self.where}: {self.found} {self.instead}"


class FileNotInAnyBackendError(FallbackStorageError, FileNotFoundError):
    """Raised when every backend answered that it does not hold the file.

    ``errno`` is ``ENOENT`` and ``filename`` the name that was asked for;
    ``trail`` tells what each backend answered.
    """

    def __init__(self, operation: str, name: str, trail: Sequence[Attempt]) -> None:
        super().__init__(errno.ENOENT, "No storage backend holds this file", name)
        self.operation = operation
        self.trail = tuple(trail)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.operation, self.filename, self.trail)


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
        self.operation = operation
        self.backends = tuple(backends)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.operation, self.filename, self.backends)


class TornCopyError(FallbackStorageError, OSError):
    """Raised when a copy has other bytes, or another name, than what was copied."""

    def __init__(self, name: str, expected: int | None, found: int) -> None:
        super().__init__(
            errno.EIO, f"the copy has {found} bytes, the file has {expected}", name
        )
        self.expected = expected
        self.found = found

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.filename, self.expected, self.found)


class NoAvailableNameError(FallbackStorageError, FileExistsError):
    """Raised when the bounded search for a free name found none."""

    def __init__(self, name: str, tries: int) -> None:
        super().__init__(
            errno.EEXIST,
            f"No free name after {tries} tries; does get_alternative_name() of the "
            "first writable backend always return the same name?",
            name,
        )
        self.tries = tries

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.filename, self.tries)
