"""Redis as it is run for production: behind TLS, and watched by Sentinel."""

from __future__ import annotations

from contextlib import suppress

import pytest
from nearby import until
from servers import ValkeyServer
from tls import TlsProxy

from fallback_storage.cache.entry import held
from fallback_storage.cache.stores.guarded import GuardedStore
from fallback_storage.cache.stores.local import LocalStore
from fallback_storage.cache.stores.near import NearStore
from fallback_storage.cache.stores.redis import RedisStore, redis_store

redis = pytest.importorskip("redis")
pytest.importorskip("cryptography")
sentinels = pytest.importorskip("redis.sentinel")

pytestmark = pytest.mark.slow


def fill(store, name="a"):
    return store.fill(name, store.look_up_one(name)[1], held(1), 60.0)


def known(store, name="a"):
    return store.look_up_one(name)[0]


def hears(near, other):
    """A near tier knows a name in process, and hears of another one's write."""
    assert fill(other)
    until(lambda: known(near) == near.peek("a") == held(1))
    other.invalidate(["a"])
    until(lambda: near.peek("a") is None)
    assert known(near) is None


@pytest.fixture
def tls(valkey):
    with TlsProxy(valkey) as proxy:
        yield proxy


def make_alias(settings, url, **options):
    settings.CACHES = {
        "media": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": url,
            "OPTIONS": {"socket_timeout": 10, "socket_connect_timeout": 10, **options},
        }
    }
    return "media"


def test_over_tls_everything_works_and_ends(settings, tls, valkey):
    """Also the listening connection, which is cut while it waits."""
    alias = make_alias(settings, tls.url, ssl_ca_certs=tls.authority)
    store = NearStore(redis_store(alias, "c0ffee"), LocalStore())
    with redis.Redis(port=valkey.port) as client:
        hears(store, RedisStore(client, ":1:fbs3:c0ffee::"))
    tracker = store._tracker._thread
    store.close()
    assert not tracker.is_alive()


def test_a_certificate_that_nobody_vouches_for_is_a_failure(settings, tls, caplog):
    """It is not taken all the same; the memo is passed over, and the log says why."""
    alias = make_alias(settings, tls.url)
    guarded = GuardedStore(redis_store(alias, "c0ffee"))
    assert guarded.look_up_one("a") == (None, None)
    assert guarded.stats()["store_failures"] == 1
    assert "ConnectionError" in caplog.text
    guarded.close()


class Sentinel(ValkeyServer):
    """Watches a server, and says who is the primary."""

    def __init__(self, primary):
        super().__init__()
        self.primary = primary

    def command(self):
        configuration = self.directory / "sentinel.conf"
        configuration.write_text(
            f"port {self.port}\nbind {self.host}\n"
            f"sentinel monitor media {self.host} {self.primary.port} 1\n"
            "sentinel down-after-milliseconds media 300\n"
        )
        return [self._program(), str(configuration), "--sentinel"]


@pytest.fixture
def watched(valkey_server):
    """A primary, its replica, and a Sentinel. Servers of our own: roles change."""
    with ValkeyServer() as primary, ValkeyServer() as replica:
        with redis.Redis(port=primary.port) as client:
            client.config_set("repl-diskless-sync-delay", 0)
        with redis.Redis(port=replica.port) as client:
            client.replicaof(primary.host, primary.port)
            until(lambda: client.info("replication")["master_link_status"] == "up")
        with Sentinel(primary) as sentinel:
            yield sentinel, primary, replica


def leads_to(asked, port):
    with suppress(sentinels.MasterNotFoundError):
        return asked.discover_master("media")[1] == port
    return False


def test_sentinel_says_who_is_the_primary(watched):
    """The primary dies; writes go to the new one, and near tiers hear of them there."""
    sentinel, primary, replica = watched
    asked = sentinels.Sentinel([(sentinel.host, sentinel.port)], socket_timeout=10)
    far = RedisStore(lambda: asked.master_for("media"), "p:")
    guarded = GuardedStore(far, cool_down=0.1)
    near = NearStore(
        RedisStore(lambda: asked.master_for("media"), "p:"), LocalStore(), 0.5
    )
    with (
        redis.Redis(port=sentinel.port) as client,
        redis.Redis(port=replica.port) as promoted,
    ):
        hears(near, guarded)
        # It has to have asked the replica who that is.
        until(lambda: client.sentinel_slaves("media"))
        primary.kill()
        until(lambda: leads_to(asked, replica.port))
        until(lambda: promoted.info("replication")["role"] == "master")
        other = RedisStore(promoted, "p:")
        assert fill(other)
        guarded.invalidate(["a"])
        # It is announced at once, or by the next call that reaches the server.
        until(lambda: known(guarded) is known(other) is None)
        until(lambda: near.stats()["near_connections"] > 1)
        hears(near, other)
    near.close()
    guarded.close()
    for each in asked.sentinels:
        each.close()
