"""Parts of an object that are built at their first use, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Part = TypeVar("Part")


class once(Generic[Part]):  # noqa: N801 - a decorator
    """A property that is built at its first use: for all threads the same.

    (Unlike ``functools.cached_property``. A part may keep a state for all.) Two may build
    it at once, and both get the first. No lock is held: who builds something that hangs
    keeps nobody from writing.
    """

    def __init__(self, build: Callable[[Any], Part]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Part:
        if instance is None:
            return self  # type: ignore[return-value]
        built: Part = instance.__dict__.setdefault(self._name, self._build(instance))
        return built
