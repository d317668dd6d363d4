"""Parts of an object that are built at their first use, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fallback_storage.utils import forks

if TYPE_CHECKING:
    from collections.abc import Callable

Part = TypeVar("Part")


class once(Generic[Part]):  # noqa: N801 - a decorator
    """A property that is built at its first use; two threads do not build two of it.

    (Unlike ``functools.cached_property``. A part may keep a state for all.)
    """

    def __init__(self, build: Callable[[Any], Part]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Part:
        if instance is None:
            return self  # type: ignore[return-value]
        with forks.build_lock():
            # Another thread may have built it while this one waited.
            built: Part | None = instance.__dict__.get(self._name)
            if built is None:
                built = instance.__dict__[self._name] = self._build(instance)
            return built
