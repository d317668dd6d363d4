"""Operations of a store that fail alone, and not with the transaction around them.

A database cache shares the request's connection. On PostgreSQL an error within a
transaction (the cache's table is missing, a deadlock) makes it refuse everything that
follows, also if nobody but the store's guard hears of the error. Django's own cache
uses a savepoint where it writes, but none where it reads, counts and culls.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.db import DatabaseError, connections, router, transaction

from fallback_storage.exceptions import FallbackStorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from django.db.backends.base.base import BaseDatabaseWrapper

    Operation = TypeVar("Operation", bound=Callable[..., Any])


def apart(operation: Operation) -> Operation:
    """Give an operation of ``DjangoCacheStore`` a savepoint where it needs one."""

    @functools.wraps(operation)
    def apart(store: Any, *args: Any, **kwargs: Any) -> Any:
        act = functools.partial(operation, store, *args, **kwargs)
        if not store.in_database:
            return act()
        entry = store._cache().cache_model_class  # noqa: SLF001
        databases = {router.db_for_read(entry), router.db_for_write(entry)}
        try:
            return _in_databases(databases, act)
        except NotCommittedError:
            return _in_databases(databases, act)

    return cast("Operation", apart)


class NotCommittedError(DatabaseError):
    """Raised when what a database took in was never committed."""


def _in_databases(databases: Collection[str], act: Callable[[], Any]) -> Any:
    alone = [connections[database] for database in databases if _is_alone(database)]
    begun = [each for each in databases if connections[each].in_atomic_block]
    error: BaseException | None = None
    try:
        with contextlib.ExitStack() as savepoints:
            for database in begun:
                savepoints.enter_context(transaction.atomic(using=database))
            result = act()
    except BaseException as raised:
        error = raised
        raise
    finally:
        spoiled = [each for each in alone if not _is_sound(each, error)]
        for connection in spoiled:
            # Or it would wait for the end of the transaction.
            connection.in_atomic_block = connection.closed_in_transaction = False
            connection.close()
    if spoiled:
        # PostgreSQL leaves no transaction that is open: an interrupt before its COMMIT
        # ended as an error of the database, and what was read since was our own.
        raise NotCommittedError("The database did not commit what was written.")
    return result


def _is_alone(database: str) -> bool:
    """Whether the store uses the database in no transaction of anybody else's."""
    connection = connections[database]
    begun = connection.connection is not None and not connection.autocommit
    return not (begun or connection.in_atomic_block)


def _is_sound(connection: BaseDatabaseWrapper, error: BaseException | None) -> bool:
    """Whether a connection can be used again, after what an operation has raised.

    An interrupt leaves it in the middle of an answer, or of a transaction that nobody
    commits; it may end as an error of the database, of which Django's cache says nothing.
    Where the server has gone, Django connects anew when a request has ended; but a worker
    of a queue, or a command, has none.
    """
    if connection.connection is None:
        return True
    if not connection.autocommit or connection.in_atomic_block:
        return False
    if error is None or isinstance(error, FallbackStorageError):
        return True
    return isinstance(error, DatabaseError) and connection.is_usable()
