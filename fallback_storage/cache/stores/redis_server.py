"""What a Redis store sends to its server, or to a cluster; and what time it is there.

On a cluster no command names keys of several slots: ``MGET`` becomes one for each slot
(redis-py's ``mget_nonatomic`` sends them as one pipeline), everything else is one command
a key in a pipeline.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from fallback_storage.cache.stores.redis_client import SharedClient
from fallback_storage.cache.stores.redis_quick import QuickGet

if TYPE_CHECKING:
    from collections.abc import Sequence


class Server:
    """The server, or cluster, of one store. ``client``: see ``RedisStore``."""

    def __init__(self, client: Any) -> None:
        if callable(client) and not isinstance(client, SharedClient):
            client = SharedClient({}, client)
        self.shared = client if isinstance(client, SharedClient) else None
        self._client = None if self.shared else client
        self._quick: QuickGet | None = None
        # By how many ms the server's clock is ahead of ours, at the most. Not known yet.
        self._ahead = math.inf

    @property
    def client(self) -> Any:
        """The client; made now, if it is not yet."""
        if self._client is None and self.shared is not None:
            self._client = self.shared.join(self)
        return self._client

    def close(self) -> None:
        """Let go of the client; one that was passed is left open."""
        if self.shared is not None:
            self._client = self._quick = None
            self.shared.leave(self)

    def now(self) -> float:
        """Return the server's time (ms since 1970), at the latest."""
        return time.monotonic() * 1000 + self._ahead

    def get(self, keys: Sequence[bytes]) -> Sequence[Any]:
        """Return the values of keys, in one round trip."""
        if not keys:
            return ()
        client = self.client
        if math.isinf(self._ahead) and not _is_cluster(client):
            return self._get_and_learn_time(keys)
        if self._quick is None:
            self._quick = QuickGet(client)
        if self._quick.is_right():
            return self._quick.get(keys)
        if len(keys) == 1:
            return (client.get(keys[0]),)
        mget = client.mget_nonatomic if _is_cluster(client) else client.mget
        return mget(keys)  # type: ignore[no-any-return]

    def _get_and_learn_time(self, keys: Sequence[bytes]) -> Sequence[Any]:
        """Get the first values of this process, and the server's time along with them."""
        asked = time.monotonic() * 1000
        pipeline = self.client.pipeline(transaction=False)
        pipeline.mget(keys)
        pipeline.time()
        values, (seconds, microseconds) = pipeline.execute()
        self._ahead = int(seconds) * 1000 + int(microseconds) / 1000 - asked
        return values  # type: ignore[no-any-return]

    def delete(self, keys: Sequence[Any], every: bytes) -> None:
        """Delete keys; the one for ``EVERY``, where it is among them, first."""
        if not keys:
            return
        client = self.client
        if not _is_cluster(client):
            client.unlink(*keys)
            return
        try:
            self._delete_on_cluster([key for key in keys if key == every])
        finally:
            # Also where that could not be said: its node may be dead, and theirs alive.
            self._delete_on_cluster([key for key in keys if key != every])

    def _delete_on_cluster(self, keys: Sequence[Any]) -> None:
        try:
            self._unlink(keys)
        except Exception:  # noqa: BLE001 - raised again below, if it happens again
            # Where one node is dead, none of them was told.
            nodes: defaultdict[Any, list[Any]] = defaultdict(list)
            for key in keys:
                nodes[self.client.get_node_from_key(key)].append(key)
            failures = []
            for of_node in nodes.values():
                try:
                    self._unlink(of_node)
                except Exception as failure:  # noqa: BLE001 - as above
                    failures.append(failure)
            if failures:
                raise failures[0] from None

    def _unlink(self, keys: Sequence[Any]) -> None:
        pipeline = self.client.pipeline(transaction=False)
        for key in keys:
            pipeline.unlink(key)
        if keys:
            pipeline.execute()

    def run(
        self, script: str, keys: Sequence[bytes], texts: Sequence[bytes], *more: Any
    ) -> Sequence[Any]:
        """Run a script that takes a text for each key, and more; in one round trip.

        Returns what it answers for each.
        """
        if not keys:
            return ()
        client = self.client
        if not _is_cluster(client):
            return self.eval(script, keys, *texts, *more)
        asked = time.monotonic() * 1000
        pipeline = client.pipeline(transaction=False)
        for key, text in zip(keys, texts, strict=True):
            # (Not its method eval(), which a cluster's pipeline has not. Without the node
            # redis-py asks the first one, for every key, where that is.)
            node = client.get_node_from_key(key)
            command = ("EVAL", script, 1, key, text, *more)
            pipeline.execute_command(*command, target_nodes=node)
        answers, times = zip(*pipeline.execute(), strict=True)
        self._ahead = max(times) - asked
        return answers

    def eval(self, script: str, keys: Sequence[bytes], *arguments: Any) -> list[Any]:
        """Run a script; return what it answers, but for the time, which is last."""
        asked = time.monotonic() * 1000
        answers: list[Any] = self.client.eval(script, len(keys), *keys, *arguments)
        self._ahead = answers.pop() - asked
        return answers


def _is_cluster(client: Any) -> bool:
    # redis-py's client of a cluster splits what a cluster's server refuses to.
    return hasattr(client, "mget_nonatomic")
