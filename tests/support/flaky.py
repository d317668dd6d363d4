"""A store for tests that fails, takes its time and lists what it was asked."""

from __future__ import annotations

from fallback_storage.cache.stores.local import LocalStore


class FlakyStore(LocalStore):
    """A store that fails, takes its time, and lists the calls made to it.

    ``error`` is raised by every call, which takes ``seconds`` of the clock; ``before``
    runs a function inside a method, ahead of its work.
    """

    def __init__(self, clock):
        super().__init__(clock=clock)
        self.clock = clock
        self.calls = []
        self.error = None
        self.seconds = 0.0
        self.before = {}
        self.closed = False

    def _act(self, method, names=None):
        self.calls.append((method, sorted(names) if names is not None else None))
        self.before.pop(method, lambda: None)()
        self.clock.tick(self.seconds)
        if self.error is not None:
            raise self.error

    def look_up(self, names):
        self._act("look_up", names)
        return super().look_up(names)

    def fill(self, name, lease, code, ttl):
        self._act("fill", [name])
        return super().fill(name, lease, code, ttl)

    def fill_many(self, fills):
        self._act("fill_many", fills)
        return sum(LocalStore.fill(self, name, *fill) for name, fill in fills.items())

    def invalidate(self, names):
        self._act("invalidate", names)
        super().invalidate(names)

    def clear(self):
        self._act("clear")
        super().clear()

    def close(self):
        self._act("close")

    def methods(self):
        return [method for method, _ in self.calls]
