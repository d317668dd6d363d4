"""When connections have to be dropped: they lead to the wrong server, or are spoiled.

A failover may leave the old primary running, as a replica: it keeps connections open,
answers reads, and refuses every write. The name of the endpoint leads to the new one by
then, so it is enough to connect again.

What a signal's handler raises may come when a question has been sent, and before its
answer is read. redis-py keeps that connection, and looks whether there is something to
read on it when it is used next: if the server takes a moment too long, the next question
gets this answer, and so a name another one's entry.
"""

from __future__ import annotations

import functools
import traceback
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    Operation = TypeVar("Operation", bound=Callable[..., Any])

# redis-py's names of what a replica answers. A script of Redis 6 reports it in its text.
REFUSALS = frozenset({"ReadOnlyError", "MasterDownError"})
IN_A_SCRIPT = "-READONLY"
# Whose frames are a client's.
LIBRARIES = frozenset({"redis", "valkey"})


def reconnecting(operation: Operation) -> Operation:
    """Let an operation of ``RedisStore`` try once more, where it met a replica.

    What was refused was not done, so nothing is done twice. Where it was interrupted,
    its connection is not used again.
    """

    @functools.wraps(operation)
    def reconnecting(store: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return operation(store, *args, **kwargs)
        except BaseException as error:
            is_refused = _is_refusal(error)
            if not is_refused and not _is_from_outside(error):
                raise
            if not (drop_connections(store.client) and is_refused):
                raise
        return operation(store, *args, **kwargs)

    return cast("Operation", reconnecting)


def drop_connections(client: Any) -> bool:
    """Let go of connections.

    Returns false for a client of a cluster, which sees for itself who takes writes.
    """
    is_one = getattr(client, "connection_pool", None) is not None
    clients = [client]
    if not is_one:
        nodes: list[Any] = getattr(client, "get_nodes", list)()
        clients = [node.redis_connection for node in nodes]
    for each in filter(None, clients):  # (a node may never have been asked)
        # Connections in use belong to other threads, which will see for themselves.
        each.connection_pool.disconnect(inuse_connections=False)
    return is_one


def _is_from_outside(error: BaseException) -> bool:
    """Whether an error came in between within the client.

    To its own errors it has seen; and of what is raised before it is called (by a
    KEY_FUNCTION, say) no connection knows.
    """
    if any(base.__module__ == "redis.exceptions" for base in type(error).__mro__):
        return False
    frames = traceback.walk_tb(error.__traceback__)
    modules = (frame.f_globals.get("__name__", "") for frame, _ in frames)
    return any(module.partition(".")[0] in LIBRARIES for module in modules)


def _is_refusal(error: BaseException) -> bool:
    return type(error).__name__ in REFUSALS or IN_A_SCRIPT in str(error)
