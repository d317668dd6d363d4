"""The marker that every invalidation voids, and before the names that it is about."""

from __future__ import annotations

import pytest
from caches import FailingKeysCache, RecordingCache, SilentCache
from django.core.cache import caches
from django.core.files.base import ContentFile
from fakes import RecordingStorage
from servers import ValkeyServer

from fallback_storage.cache import invalidation
from fallback_storage.cache.entry import held
from fallback_storage.cache.memo import Memo
from fallback_storage.cache.stores.base import EVERY
from fallback_storage.cache.stores.django_cache import (
    MAX_NAMES,
    CacheLosesWritesError,
    DjangoCacheStore,
)
from fallback_storage.cache.stores.guarded import GuardedStore
from fallback_storage.cache.stores.keys import Keys
from fallback_storage.cache.stores.local import LocalStore
from fallback_storage.chain.names import clean_name
from fallback_storage.conf.memo import close_shared_stores
from fallback_storage.storage import FallbackStorage


@pytest.fixture(
    params=[
        "process",
        "Django cache",
        pytest.param("redis", marks=pytest.mark.slow),
        pytest.param("near", marks=pytest.mark.slow),
    ]
)
def chain(request, settings):
    """A chain with each kind of memo."""
    cache, location = None, request.node.name
    if request.param != "process":
        cache, backend = "media", "caches.RecordingCache"
        if request.param != "Django cache":
            pytest.importorskip("redis")
            backend = "django.core.cache.backends.redis.RedisCache"
            location = request.getfixturevalue("valkey").url
        settings.CACHES = {"media": {"BACKEND": backend, "LOCATION": location}}
        if request.param == "near":
            cache = {"ALIAS": "media", "NEAR": True}
    RecordingCache.reset()
    files = {"a": b"1"}
    yield FallbackStorage([RecordingStorage(request.node.name, files)], cache)
    close_shared_stores()


def lease(store, name=EVERY):
    return store.look_up([name])[name][1]


def is_void(store, taken):
    store.fill(EVERY, taken, held(0), 60.0)
    return store.look_up([EVERY])[EVERY][0] is None


def write(chain):
    with chain.open("c", "wb") as file:
        file.write(b"1")


CHANGES = {
    "save": lambda chain: chain.save("b", ContentFile(b"1")),
    "delete": lambda chain: chain.delete("a"),
    "write": write,
    "forget": lambda chain: chain.forget("any"),
    "forget_all": lambda chain: chain.forget_all(),
    "another instance": lambda chain: FallbackStorage(
        [RecordingStorage()], cache=False
    ).delete("x"),
    "all memos": lambda chain: invalidation.invalidate(None),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_voids_the_marker(chain, change):
    """Whatever is written through any instance of the process, or forgotten."""
    store = chain._get_engine().memo.store
    taken = lease(store)
    change(chain)
    assert is_void(store, taken)


def test_without_a_change_it_holds(chain):
    """Also when names are resolved."""
    store = chain._get_engine().memo.store
    taken = lease(store)
    chain.exists("a")
    chain.resolve_many(["a", "b"])
    store.fill(EVERY, taken, held(0), 60.0)
    assert store.look_up([EVERY])[EVERY][0] == held(0)


def test_no_file_has_its_name():
    """Nor does a backend meet it."""
    with pytest.raises(Exception, match="absolute"):
        clean_name(EVERY)


def test_in_process_memory_both_go_at_once(clock):
    """There is no moment at which a name is forgotten and the marker is not."""
    store = LocalStore(clock=clock)
    kept = Memo(store, 1, clock=clock)
    taken = lease(store)
    invalidation.invalidate({"a"})
    assert is_void(kept.store, taken)


# A Django cache


class OrderCache(RecordingCache):
    """Lists the keys of its writes, one entry a call."""

    written = []  # noqa: RUF012 - shared on purpose

    def set_many(self, data, *args, **kwargs):
        OrderCache.written.append(list(data))
        return super().set_many(data, *args, **kwargs)


def use(settings, request, kind):
    kind.reset()
    path = f"{kind.__module__}.{kind.__qualname__}"
    settings.CACHES = {
        "media": {
            "BACKEND": path,
            "LOCATION": request.node.name,
            "OPTIONS": {"MAX_ENTRIES": 9999},
        }
    }
    return DjangoCacheStore("media", "c0ffee")


MARKER = Keys("c0ffee").stamp(EVERY)


@pytest.mark.parametrize("count", [1, 3, MAX_NAMES + 1])
def test_a_cache_gets_the_marker_before_the_names(settings, request, count):
    """In a call of its own: no cache says in which order many keys are written."""
    store = use(settings, request, OrderCache)
    OrderCache.written.clear()
    names = [f"d/{number}" for number in range(count)]
    store.invalidate([*names, EVERY])
    assert OrderCache.written[0] == [MARKER]
    after = [key for call in OrderCache.written[1:] for key in call]
    assert {Keys("c0ffee").stamp(name) for name in names} <= set(after)


def test_the_marker_alone_can_be_invalidated(settings, request):
    store = use(settings, request, RecordingCache)
    taken = lease(store)
    store.invalidate([EVERY])
    assert is_void(store, taken)


@pytest.mark.parametrize("lost", [1, 2])
def test_a_marker_that_the_cache_lost_is_written_again_before_the_names(
    settings, request, lost
):
    """Names that were forgotten before the marker are forgotten once more."""
    store = use(settings, request, SilentCache)
    marker, name = lease(store), lease(store, "a")
    SilentCache.lost = lost
    store.invalidate([EVERY, "a"])
    second = lease(store, "a")
    assert second != name
    assert is_void(store, marker)
    store.fill("a", name, held(0), 60.0)
    assert store.look_up(["a"])["a"][0] is None


def test_what_lies_between_is_void_as_well(settings, request):
    """A lease of a name that was taken while only the marker's write was lost."""

    class Between(RecordingCache):
        def set_many(self, data, *args, **kwargs):
            nonlocal lost, taken
            if MARKER in data and not lost:
                lost = True
                return None
            failed = super().set_many(data, *args, **kwargs)
            if MARKER not in data and not taken and started:
                taken.append(lease(store, "a"))
            return failed

    lost, taken, started = True, [], False
    store = use(settings, request, RecordingCache)
    lease(store), lease(store, "a")
    caches["media"].__class__ = Between
    lost, started = False, True
    store.invalidate([EVERY, "a"])
    assert taken
    store.fill("a", taken[0], held(0), 60.0)
    assert store.look_up(["a"])["a"][0] is None


def test_a_marker_that_cannot_be_written_leaves_the_names_alone(
    settings, request, clock
):
    """The invalidation fails as a whole; the guard around the store repeats it."""
    store = use(settings, request, RecordingCache)
    guarded = GuardedStore(store, clock)
    marker, name = lease(guarded), lease(guarded, "a")
    caches["media"].__class__ = FailingKeysCache
    with pytest.raises(CacheLosesWritesError):
        store.invalidate([EVERY, "a"])
    assert RecordingCache.calls[-1] == "set_many"
    guarded.invalidate([EVERY, "a"])
    assert guarded.stats()["undelivered"] == 2
    caches["media"].__class__ = RecordingCache
    clock.tick(60)
    assert guarded.look_up(["b"])["b"][1] is not None
    assert guarded.stats()["undelivered"] == 0
    for key, taken in ((EVERY, marker), ("a", name)):
        guarded.fill(key, taken, held(0), 60.0)
        assert guarded.look_up([key])[key][0] is None


# A cluster of Redis servers


class ClusterNode(ValkeyServer):
    """A cluster of one."""

    port_names = ("port", "bus")

    def command(self):
        return [
            *super().command(),
            *("--cluster-enabled", "yes"),
            *("--cluster-port", str(self.ports["bus"])),
        ]


@pytest.mark.parametrize("how", ["invalidate", "clear"])
def test_a_cluster_gets_the_marker_before_the_names(valkey_server, how):
    """In a pipeline of its own: pipelines go to several servers at once."""
    redis = pytest.importorskip("redis")
    from nearby import until

    from fallback_storage.cache.stores.redis import RedisStore

    with ClusterNode() as node, redis.Redis(port=node.port) as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        until(lambda: client.cluster("INFO")["cluster_state"] == "ok")
        store = RedisStore(
            lambda: redis.RedisCluster(host=node.host, port=node.port), "p:"
        )
        names = [f"d/{number}" for number in range(20)]
        leases = {name: lease(store, name) for name in (EVERY, *names)}
        with client.monitor() as monitor:
            if how == "clear":
                store.clear()
            else:
                store.invalidate([*names, EVERY])
            client.echo("end")
            commands = []
            while "ECHO" not in (command := monitor.next_command()["command"]):
                commands.append(command)
        unlinked = [each.split()[1] for each in commands if "UNLINK" in each.upper()]
        assert unlinked[0] == f"p:{EVERY}"
        assert {f"p:{name}" for name in names} <= set(unlinked)
        for name, taken in leases.items():
            assert not store.fill(name, taken, held(0), 60.0)
        store.close()
