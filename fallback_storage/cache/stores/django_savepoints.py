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

from django.core.cache.backends.db import BaseDatabaseCache
from django.db import connections, router, transaction

if TYPE_CHECKING:
    from collections.abc import Callable

    Operation = TypeVar("Operation", bound=Callable[..., Any])


def apart(operation: Operation) -> Operation:
    """Give an operation of ``DjangoCacheStore`` a savepoint where it needs one."""

    @functools.wraps(operation)
    def apart(store: Any, *args: Any, **kwargs: Any) -> Any:
        cache = store._cache()  # noqa: SLF001
        if not isinstance(cache, BaseDatabaseCache):
            return operation(store, *args, **kwargs)
        entry = cache.cache_model_class
        with contextlib.ExitStack() as savepoints:
            for database in {router.db_for_read(entry), router.db_for_write(entry)}:
                if connections[database].in_atomic_block:
                    savepoints.enter_context(transaction.atomic(using=database))
            return operation(store, *args, **kwargs)

    return cast("Operation", apart)
