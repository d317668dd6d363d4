"""When another server takes the writes, and our connections still lead to the old one.

A failover may leave the old primary running, as a replica: it keeps connections open,
answers reads, and refuses every write. The name of the endpoint leads to the new one by
then, so it is enough to connect again.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    Operation = TypeVar("Operation", bound=Callable[..., Any])

# redis-py's names of what a replica answers. A script of Redis 6 reports it in its text.
REFUSALS = frozenset({"ReadOnlyError", "MasterDownError"})
IN_A_SCRIPT = "-READONLY"


def reconnecting(operation: Operation) -> Operation:
    """Let an operation of ``RedisStore`` try once more, where it met a replica.

    What was refused was not done, so nothing is done twice.
    """

    @functools.wraps(operation)
    def reconnecting(store: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return operation(store, *args, **kwargs)
        except Exception as error:
            if not (_is_refusal(error) and drop_connections(store.client)):
                raise
        return operation(store, *args, **kwargs)

    return cast("Operation", reconnecting)


def drop_connections(client: Any) -> bool:
    """Let go of connections to a server that takes no writes any more.

    Returns false for a client of a cluster, which looks after itself.
    """
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        return False
    # Those in use belong to other threads, which will see for themselves.
    pool.disconnect(inuse_connections=False)
    return True


def _is_refusal(error: Exception) -> bool:
    return type(error).__name__ in REFUSALS or IN_A_SCRIPT in str(error)
