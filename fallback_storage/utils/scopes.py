"""Values that hold for as long as a block runs, whatever ends that.

A ``ContextVar`` that is set back at the end is not, if an interrupt comes in between
(see ``interrupts``): later work on the thread would go by it. Here a value counts while
its lock is held, which ends with its ``with`` for certain.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Scopes(Generic[Value]):
    """The blocks that this thread (or task) is within, and the value of each."""

    def __init__(self, name: str) -> None:
        self._entered: ContextVar[tuple[tuple[threading.Lock, Value], ...]]
        self._entered = ContextVar(f"fallback_storage_{name}", default=())

    def enter(self, value: Value) -> threading.Lock:
        """Return a lock: ``with`` it the value holds."""
        lock = threading.Lock()
        self._entered.set((*self.entered(), (lock, value)))
        return lock

    def entered(self) -> tuple[tuple[threading.Lock, Value], ...]:
        """Return the locks that are held and their values, the outermost first."""
        return tuple([entry for entry in self._entered.get() if entry[0].locked()])

    def value(self) -> Value | None:
        """Return the innermost value; None outside."""
        for lock, value in reversed(self._entered.get()):
            if lock.locked():
                return value
        return None
