"""An in-process tier in front of a Redis store, told by the server what has changed.

Hits cost what they cost in process. They may be as old as a message from the server
takes: well below a millisecond on one machine, some more where a thread of this process
computes without a pause (Python lets another one run every 5 ms), and at the very most
two heartbeats (see ``redis_tracking``) if the connection dies without a word. Own writes are
seen at once: ``invalidate`` empties this tier itself.

Entries come in by one way only, a look-up that finds them in the far store:

1. the tier's own lease is taken;
2. the tracker is asked whether it is connected;
3. the far store is read;
4. the tier is filled, for as long as the far entry has to live: if it can be one of
   this chain's. A damaged one is a miss, and a hit here is looked at by nobody.

A change on the server after 3 sends a message; if it arrives before 4 the lease is
void, and otherwise the entry is dropped. A connection that is lost after 2 clears the
tier, which voids the lease; one that was lost before is seen in 2. While it is lost
the tier stays empty, and the far store answers.

What a process fills itself is not kept here right away: the message about its own
write (the server tells everyone) would drop it a moment later. The next look-up
brings it in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from fallback_storage.cache.entry import (
    HIDDEN,
    MAX_CHAIN,
    NOWHERE,
    facts_of,
    is_held,
    is_valid,
)
from fallback_storage.cache.stores.base import PlacedStore
from fallback_storage.cache.stores.local import LocalStore
from fallback_storage.cache.stores.near_listener import Listener
from fallback_storage.cache.stores.redis import RedisStore
from fallback_storage.cache.stores.redis_protocol import decode
from fallback_storage.cache.stores.redis_tracking import HEARTBEAT
from fallback_storage.utils import forks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Mapping


def near_store(
    far: RedisStore, local: LocalStore, chain: str, length: int
) -> NearStore:
    """Return a ``NearStore`` that listens along with those of other chains.

    ``length``: of this one, whose digest ``chain`` is. If ``far`` shares its client, and its keys begin like theirs. Contacts nothing and
    starts no thread.
    """
    if not (far.has_one_prefix and far.shared_client):
        return NearStore(far, local, length=length)
    beginning, _, end = decode(far.prefix()).rpartition(chain)
    key = id(far.shared_client), beginning
    with forks.build_lock():
        listener = _listeners.get(key)
        if listener is None or listener.is_over:
            listener = Listener(RedisStore(far.shared_client, beginning))
            _listeners[key] = listener
        return NearStore(
            far, local, listener=listener, chain=chain + end, length=length
        )


# By the clients (which the listeners keep) and by what their keys begin with.
_listeners: WeakValueDictionary[tuple[int, str], Listener] = WeakValueDictionary()


class NearStore(PlacedStore):
    """``local`` in front of ``far``; nobody else uses ``local``.

    ``listener``: which it shares with others; ``chain``: what then is before the names.
    Its thread starts at the first look-up, which does not wait for it. ``heartbeat``
    seconds, of one of its own: see ``redis_tracking``. ``length``: how many backends
    entries can name.

    The in-process tier knows one tenant: where the far store's prefix changes, the one
    who comes first. For the others the far store answers.
    """

    has_peek = True

    def __init__(
        self,
        far: RedisStore,
        local: LocalStore,
        heartbeat: float = HEARTBEAT,
        listener: Listener | None = None,
        chain: str = "",
        *,
        length: int = MAX_CHAIN,
    ) -> None:
        self._far = far
        self._length = length
        self._local = local
        self._listener = listener or Listener(far, heartbeat)
        self._listener.join(local, chain)
        self._tracker = self._listener.tracker
        if far.has_one_prefix:
            # The hit path is the local store's own method. What it may not answer is
            # not in there.
            self.peek = local.peek  # type: ignore[method-assign]

    def peek(self, name: str) -> int | None:
        here = self._tracker.prefix == self._listener.prefix()
        return self._local.peek(name) if here else None

    def look_up(self, names: Collection[str]) -> Mapping[str, tuple[int | None, Any]]:
        return self._look_up(names, _is_complete)

    def look_up_one(self, name: str) -> tuple[int | None, Any]:
        # Who is content with a code finds it by ``peek``; who asks goes on to facts.
        return self._look_up((name,), _has_facts)[name]

    def _look_up(
        self, names: Collection[str], suffices: Callable[[int | None], bool]
    ) -> Mapping[str, tuple[int | None, Any]]:
        # A hit of this tier comes without a far lease.
        tracker = self._tracker
        near = self._local.look_up(names)
        prefix = self._listener.prefix()
        if not tracker.connected:
            tracker.start(prefix)
        if not tracker.connected or tracker.prefix != prefix:
            return self._far.look_up(names)
        found: dict[str, tuple[int | None, Any]] = {}
        missing = []
        for name, (code, _) in near.items():
            if suffices(code):
                found[name] = code, None
            else:
                # Nothing, or half of an answer: who completes it needs a far lease.
                missing.append(name)
        if missing:
            lasting = self._far.look_up_lasting(missing)
            for name, (code, lease, seconds) in lasting.items():
                found[name] = code, lease
                if code is not None and seconds > 0 and is_valid(code, self._length):
                    self._local.fill(name, near[name][1], code, seconds)
        return found

    def look_up_held(self, names: Collection[str]) -> Mapping[str, int]:
        # What is over is not kept twice.
        return self._far.look_up_held(names)

    def fill(self, name: str, lease: Any, code: int, ttl: float) -> bool:
        return self._far.fill(name, lease, code, ttl)

    def fill_many(self, fills: Mapping[str, tuple[Any, int, float]]) -> int:
        return self._far.fill_many(fills)

    def place(self) -> Hashable:
        return self._far.place()

    def invalidate_at(self, place: Hashable, names: Collection[str] | None) -> None:
        """Empty this tier second: what a look-up read from the far store is void then."""
        try:
            self._far.invalidate_at(place, names)
        finally:
            self._local.invalidate_at(place, names)

    def clear_below(self, place: Hashable, beginning: str) -> None:
        try:
            self._far.clear_below(place, beginning)
        finally:
            self._local.clear_below(place, beginning)

    def seconds_left(self, name: str) -> float | None:
        return self._far.seconds_left(name)

    def publish(self, deltas: Mapping[str, int]) -> bool:
        return self._far.publish(deltas)

    def published(self, names: Collection[str]) -> Mapping[str, int] | None:
        return self._far.published(names)

    def close(self) -> None:
        self._listener.leave(self._local)
        self._far.close()

    def stats(self) -> dict[str, int]:
        """Return the local store's own counters and the tracker's.

        ``near_connected``: 1 while hits are served in process; ``near_connections``:
        how often that began; ``near_messages``: invalidation messages received.
        """
        return {
            **self._local.stats(),
            "near_connected": int(self._tracker.connected),
            "near_connections": self._tracker.connections,
            "near_messages": self._tracker.invalidations,
        }


def _is_complete(code: int | None) -> bool:
    return code is not None and (code in {NOWHERE, HIDDEN} or is_held(code))


def _has_facts(code: int | None) -> bool:
    # Of who holds a file there is more to be known, while a part is left out.
    is_whole = "" not in facts_of(code).split(",")
    return _is_complete(code) and (code in {NOWHERE, HIDDEN} or is_whole)
