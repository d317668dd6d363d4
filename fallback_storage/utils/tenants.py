"""Whose files an operation is about: the value of ``VARY``, asked once for each.

A site may keep the files of several tenants in one storage, whose place depends on whom a
request is for. What is known of a name is then known of one tenant's file.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from django.utils.crypto import salted_hmac

from fallback_storage.exceptions import ConfigurationError, Mistake
from fallback_storage.utils.scopes import Scopes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextlib import AbstractContextManager

# Hexadecimal digits. Two tenants with one digest would share what is known.
DIGITS: Final = 32

NOBODY: Final = ("", "")

# Of the operation under way: which function told, and its digest.
_operations: Scopes[tuple[str, str]] = Scopes("tenants")


def current() -> str:
    """Return whose files the operation under way is about: a digest; "" if nobody's."""
    return (_operations.value() or NOBODY)[1]


def of_tenant(name: str) -> str:
    """Return a name that is another one for each tenant."""
    tenant = current()
    return f"{tenant}/{name}" if tenant else name


class Vary:
    """A function that tells tenants apart: without arguments, it returns a ``str``.

    ``path`` is where it is to be found, ``where`` the place in the settings that names it.
    """

    def __init__(self, where: str, path: str, function: Callable[[], str]) -> None:
        self.path = path
        self._where = where
        self._function = function
        self._digest = lru_cache(maxsize=1024)(_digest)

    def digest(self) -> str:
        """Return the digest of the tenant: of the operation under way, else of now.

        It stands in keys, and is keyed with ``SECRET_KEY``: who reads the cache cannot
        guess at tenants. Raises ``ConfigurationError`` if the function does not tell.
        """
        path, digest = _operations.value() or NOBODY
        return digest if path == self.path else self._ask()

    def _ask(self) -> str:
        try:
            value = self._function()
        except Exception as error:
            raise self._mistake(f"raised {type(error).__name__}") from error
        if not isinstance(value, str):
            raise self._mistake(f"returned a {type(value).__name__}")
        return self._digest(value)

    def _mistake(self, what: str) -> ConfigurationError:
        return ConfigurationError(
            Mistake.BAD_VARY,
            self._where,
            f"is {self.path!r}, which {what}.",
            "Let it return a str that is another one for each tenant, and '' where there "
            "is none.",
        )

    def operation(self, *, begun: bool = False) -> AbstractContextManager[object]:
        """Ask the function, once for all that is done within.

        ``begun``: go on with the operation under way, if that has asked it.
        """
        digest = self.digest() if begun else self._ask()
        return _operations.enter((self.path, digest))


def _digest(value: str) -> str:
    digest = salted_hmac("fallback_storage.vary", value, algorithm="sha256")
    return digest.hexdigest()[:DIGITS]


def operation(vary: Vary | None) -> AbstractContextManager[object]:
    """Return what an operation of a chain is done within. None: it has no tenants.

    Also within an operation of another chain, which this one is a backend of.
    """
    if vary is not None:
        return vary.operation()
    return _operations.enter(NOBODY) if current() else nullcontext()


class Scoped:
    """An object each of whose methods is an operation, or goes on with one that has begun.

    ``parts``: the methods that do the latter.
    """

    def __init__(self, part: Any, vary: Vary, parts: Collection[str] = ()) -> None:
        self._part = part
        self._vary = vary
        self._parts = parts

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._part, attribute)
        if not callable(found):
            return found

        def scoped(*args: Any, **kwargs: Any) -> Any:
            with self._vary.operation(begun=attribute in self._parts):
                return found(*args, **kwargs)

        return scoped
