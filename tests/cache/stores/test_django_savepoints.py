"""A database cache that fails leaves the request's transaction as it was."""

from __future__ import annotations

import contextlib

import pytest
from django.core.management import call_command
from django.db import DatabaseError, InternalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from fallback_storage.cache.entry import held
from fallback_storage.cache.stores.django_cache import DjangoCacheStore
from fallback_storage.cache.stores.django_entries import Lease

LEASE = Lease("0" * 33)
OPERATIONS = {
    "look_up": lambda store: store.look_up(["a", "b"]),
    "look_up_one": lambda store: store.look_up_one("a"),
    "seconds_left": lambda store: store.seconds_left("a"),
    "fill": lambda store: store.fill("a", LEASE, held(0), 60.0),
    "fill_many": lambda store: store.fill_many({"a": (LEASE, held(0), 60.0)}),
    "invalidate": lambda store: store.invalidate(["a"]),
    "clear": lambda store: store.clear(),
}
every_operation = pytest.mark.parametrize(
    "operation", OPERATIONS.values(), ids=OPERATIONS.keys()
)


class Strict:
    """As PostgreSQL: after an error a transaction refuses all that follows.

    Until it goes back to a savepoint from before the error.
    """

    aborted = False

    def __call__(self, execute, sql, params, many, context):
        if sql.startswith("ROLLBACK TO"):
            self.aborted = False
        if self.aborted:
            raise InternalError("current transaction is aborted")
        try:
            return execute(sql, params, many, context)
        except DatabaseError:
            self.aborted = True
            raise


@pytest.fixture
def store(settings):
    """A store in a database cache, whose table is not there."""
    settings.CACHES = {
        "media": {
            "BACKEND": "django.core.cache.backends.db.DatabaseCache",
            "LOCATION": "savepoints",
        },
    }
    return DjangoCacheStore("media", "c0ffee")


def words_of(queries):
    return [query["sql"].split()[0] for query in queries.captured_queries]


@pytest.mark.django_db
@every_operation
def test_an_error_does_not_abort_the_transaction(store, operation):
    """Here the table is missing. What the view does next works, and is committed."""
    with connection.execute_wrapper(Strict()):
        with transaction.atomic():
            with pytest.raises(DatabaseError):
                operation(store)
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            assert not connection.needs_rollback
        assert not connection.needs_rollback


@pytest.mark.django_db
@every_operation
def test_in_a_transaction_everything_is_within_one_savepoint(store, operation):
    call_command("createcachetable", verbosity=0)
    operation(store)
    with CaptureQueriesContext(connection) as queries:
        operation(store)
    words = words_of(queries)
    assert words[0] == "SAVEPOINT"
    assert words[-1] == "RELEASE"
    assert (
        queries.captured_queries[0]["sql"].split()[-1]
        == (queries.captured_queries[-1]["sql"].split()[-1])
    )


@pytest.mark.django_db(transaction=True)
def test_without_a_transaction_there_is_no_savepoint(store):
    """A hit is one query; a transaction of our own would hold locks for longer."""
    call_command("createcachetable", verbosity=0)
    assert store.fill("a", store.look_up(["a"])["a"][1], held(0), 60.0)
    with CaptureQueriesContext(connection) as queries:
        assert store.look_up(["a"])["a"][0] == held(0)
    assert words_of(queries) == ["SELECT"]


class ReadsElsewhere:
    """A router: the cache is read from one database and written to another."""

    def db_for_read(self, model, **hints):
        return "reading"

    def db_for_write(self, model, **hints):
        return "writing"


@pytest.fixture
def two(tmp_path, settings, django_db_blocker):
    """Two databases, of this test's own."""
    settings.DATABASE_ROUTERS = [ReadsElsewhere()]
    aliases = ["reading", "writing"]
    default = connections.settings["default"]
    with django_db_blocker.unblock():
        for alias in aliases:
            path = str(tmp_path / alias)
            connections.settings[alias] = {**default, "NAME": path}
        yield [connections[alias] for alias in aliases]
        for alias in aliases:
            connections[alias].close()
            del connections[alias], connections.settings[alias]


@pytest.mark.parametrize(
    "within", [set(), {"reading"}, {"writing"}, {"reading", "writing"}]
)
def test_of_two_databases_each_that_is_in_a_transaction(store, two, within):
    call_command("createcachetable", database="writing", verbosity=0)
    with contextlib.ExitStack() as stack:
        for alias in within:
            stack.enter_context(transaction.atomic(using=alias))
        queries = [stack.enter_context(CaptureQueriesContext(each)) for each in two]
        OPERATIONS["fill"](store)
        first = [words_of(each)[:1] for each in queries]
    assert first == [
        ["SAVEPOINT"] if "reading" in within else [],
        ["SAVEPOINT"] if "writing" in within else ["SELECT"],
    ]


class WritesThere(ReadsElsewhere):
    def db_for_read(self, model, **hints):
        return "writing"


class Ends:
    """Ends every query after ``begins``: as an interrupt does, or as a lost server."""

    def __init__(self, error, *, begins=0, change=lambda: None):
        self.error, self.begins, self.change = error, begins, change

    def __call__(self, execute, sql, params, many, context):
        if self.begins:
            self.begins -= 1
            return execute(sql, params, many, context)
        self.change()
        raise self.error


@pytest.fixture
def alone(store, two):
    """A connection to a database in a file, which has the table, and is connected."""
    call_command("createcachetable", database="writing", verbosity=0)
    connections.settings["reading"]["NAME"] = connections.settings["writing"]["NAME"]
    (_, connection) = two
    connection.ensure_connection()
    return connection


def left(store, ends, connection):
    """Return what is left of a connection on which an invalidation was ended."""
    ended = contextlib.suppress(KeyboardInterrupt, DatabaseError)
    with connection.execute_wrapper(ends), ended:
        store.invalidate(["a"])
    return connection.connection


def test_what_an_interrupt_has_spoiled_is_not_used_again(store, alone):
    """It would answer the question before; and what is written would not be committed."""
    assert left(store, Ends(KeyboardInterrupt(), begins=1), alone) is None
    store.invalidate(["a"])
    assert alone.get_autocommit()
    assert not alone.in_atomic_block


def test_nor_is_a_connection_whose_error_was_swallowed(store, alone):
    """Django's cache says nothing where an interrupt ends as an error of the database."""
    spoiled = alone.connection

    def spoil():
        alone.autocommit = False
        ends.begins = 1000  # once is enough

    ends = Ends(DatabaseError("swallowed"), begins=1, change=spoil)
    with alone.execute_wrapper(ends):
        OPERATIONS["fill"](store)
    assert alone.connection is not spoiled
    assert alone.get_autocommit()


def test_what_was_not_committed_was_not_announced(store, alone, settings, monkeypatch):
    """PostgreSQL: an interrupt before COMMIT ends as an error, which nobody hears of.

    What is read on that connection looks written, and is gone when it is closed.
    """
    settings.DATABASE_ROUTERS = [WritesThere()]
    commit, set_autocommit = alone.commit, alone.set_autocommit
    interrupts = [KeyboardInterrupt()]

    def commit_or_end():
        if interrupts:
            raise interrupts.pop()
        commit()

    def set_as_postgresql(autocommit, **kwargs):
        if autocommit and alone.connection.in_transaction:
            raise DatabaseError("can't change autocommit now")
        set_autocommit(autocommit, **kwargs)

    lease = store.look_up_one("a")[1]
    assert store.fill("a", lease, held(0), 60.0)
    assert store.look_up_one("a")[0] == held(0)
    monkeypatch.setattr(alone, "commit", commit_or_end)
    monkeypatch.setattr(alone, "set_autocommit", set_as_postgresql)
    store.invalidate(["a"])
    assert not interrupts
    assert store.look_up_one("a")[0] is None


@pytest.mark.parametrize("usable", [True, False])
def test_a_connection_is_given_up_when_its_server_has_gone(
    store, alone, monkeypatch, usable
):
    """Who has no requests, at whose end Django does that, would never connect again."""
    monkeypatch.setattr(alone, "is_usable", lambda: usable)
    there = left(store, Ends(DatabaseError("gone")), alone)
    assert (there is not None) is usable


def test_within_a_transaction_it_is_the_transactions(store, alone):
    """Who has begun it sees to its end."""
    with transaction.atomic(using="writing"):
        assert left(store, Ends(KeyboardInterrupt(), begins=2), alone) is not None
        assert alone.in_atomic_block
        transaction.set_rollback(True, using="writing")
