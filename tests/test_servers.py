"""The servers other tests rely on do what tests/support/servers.py says."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import urllib.parse
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from servers import (
    HOST,
    CountingProxy,
    MemcachedServer,
    MissingServerError,
    S3Server,
    Server,
    ServerStartError,
    ValkeyServer,
    find_program,
    free_ports,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def redis_client(valkey):
    redis = pytest.importorskip("redis")
    with redis.Redis(port=valkey.port, socket_timeout=5) as client:
        yield client


@pytest.fixture
def memcached_client(memcached):
    pymemcache = pytest.importorskip("pymemcache")
    client = pymemcache.Client(memcached.location, timeout=5, connect_timeout=5)
    yield client
    client.close()


def test_free_ports_are_different():
    assert len(set(free_ports(20))) == 20


def test_a_missing_program_is_reported_with_what_to_install():
    with pytest.raises(MissingServerError, match=r"no-such-program.*; pip install it"):
        find_program("no-such-program", "pip install it")


def test_a_server_that_ends_at_once_reports_its_log():
    class Broken(Server):
        def command(self):
            return ["sh", "-c", "echo the reason; exit 3"]

        def is_ready(self):
            return False

    server = Broken()
    with pytest.raises(ServerStartError, match="the reason"):
        server.start()
    directory = server.directory
    server.close()
    assert not directory.exists()


def test_a_closed_server_leaves_nothing(valkey_server):
    with ValkeyServer() as server:
        pid, directory, port = server.process.pid, server.directory, server.port
        assert port != valkey_server.port
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not directory.exists()
    with socket.socket() as sock:
        assert sock.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_valkey_keeps_its_data_and_port(valkey, redis_client, way):
    redis_client.set("name", "value")
    port = valkey.port
    getattr(valkey, way)()
    with socket.socket() as sock:
        assert sock.connect_ex(("127.0.0.1", port)) != 0
    valkey.start()
    assert valkey.port == port
    assert redis_client.get("name") == b"value"


def test_a_started_valkey_has_loaded_its_data(valkey, redis_client):
    """It listens earlier, and answers a FLUSHALL with an error until then."""
    with redis_client.pipeline(transaction=False) as pipeline:
        for number in range(200_000):
            pipeline.set(f"name-{number % 100}", "value")  # not loaded in no time
        pipeline.execute()
    valkey.kill()
    valkey.start()
    valkey.flush()


def test_an_error_of_the_server_is_not_waited_on(valkey):
    with pytest.raises(RuntimeError, match="unknown command"):
        valkey._command(b"NOTHING")


def test_a_frozen_valkey_hangs_until_thawed(valkey):
    redis = pytest.importorskip("redis")
    valkey.freeze()
    with (
        redis.Redis(port=valkey.port, socket_timeout=0.05) as client,
        pytest.raises(redis.TimeoutError),
    ):
        client.ping()
    valkey.ensure_running()
    with redis.Redis(port=valkey.port, socket_timeout=5) as client:
        assert client.ping()


def test_flushed_between_tests(valkey, redis_client):
    redis_client.set("name", "value")
    valkey.flush()
    assert redis_client.dbsize() == 0


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_memcached_comes_back_empty_on_its_port(memcached, memcached_client, way):
    memcached_client.set("name", b"value", noreply=False)
    getattr(memcached, way)()
    memcached.start()
    memcached_client.close()
    assert memcached_client.get("name") is None


def test_a_frozen_memcached_keeps_its_data(memcached, memcached_client):
    pymemcache = pytest.importorskip("pymemcache")
    memcached_client.set("name", b"value", noreply=False)
    memcached.freeze()
    impatient = pymemcache.Client(memcached.location, timeout=0.05)
    with pytest.raises(TimeoutError):
        impatient.get("name")
    impatient.close()
    memcached.thaw()
    assert memcached_client.get("name") == b"value"


@pytest.fixture
def s3_storage(s3, s3_proxy):
    s3_module = pytest.importorskip("storages.backends.s3")
    return s3_module.S3Storage(**s3.storage_options(endpoint_url=s3_proxy.endpoint_url))


@pytest.mark.parametrize("size", [0, 1, 3_000_000, 9_000_000])
def test_s3_round_trip_through_the_proxy(s3, s3_storage, size):
    """9 MB is a multipart upload."""
    content = os.urandom(size)
    name = s3_storage.save("a b/ü+%.bin", ContentFile(content))
    assert s3.keys() == [name]
    assert s3.get(name) == content
    with s3_storage.open(name) as file:
        assert file.read() == content
    assert s3_storage.size(name) == size


def test_the_proxy_records_method_and_path(s3, s3_proxy, s3_storage):
    s3.put("a b/ü+%.txt", b"x")
    assert s3_proxy.requests == []
    assert s3_storage.exists("a b/ü+%.txt")
    assert not s3_storage.exists("none")
    assert s3_proxy.requests == [
        ("HEAD", f"/{s3.bucket}/a b/ü+%.txt"),
        ("HEAD", f"/{s3.bucket}/none"),
    ]
    assert s3_proxy.count("HEAD") == s3_proxy.count() == 2
    assert s3_proxy.count("GET") == 0
    s3_proxy.clear()
    assert s3_proxy.count() == 0


def test_the_proxy_plays_an_outage(s3, s3_proxy):
    config = pytest.importorskip("botocore.config")
    exceptions = pytest.importorskip("botocore.exceptions")
    s3_module = pytest.importorskip("storages.backends.s3")
    storage = s3_module.S3Storage(
        access_key=s3.access_key,
        secret_key=s3.secret_key,
        bucket_name=s3.bucket,
        endpoint_url=s3_proxy.endpoint_url,
        region_name=s3.region,
        client_config=config.Config(
            retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}
        ),
    )
    assert not storage.exists("none")
    s3_proxy.outage = True
    with pytest.raises(exceptions.HTTPClientError):
        storage.exists("none")
    s3_proxy.outage = False
    assert not storage.exists("none")


def test_s3_refuses_other_credentials(s3):
    exceptions = pytest.importorskip("botocore.exceptions")
    s3_module = pytest.importorskip("storages.backends.s3")
    storage = s3_module.S3Storage(**s3.storage_options(secret_key="wrong"))
    with pytest.raises(exceptions.ClientError, match="403"):
        storage.exists("none")


def test_s3_signed_urls_work(s3, s3_storage):
    s3.put("a.txt", b"x")
    url = urllib.parse.urlsplit(s3_storage.url("a.txt"))
    assert url.path == f"/{s3.bucket}/a.txt"
    assert "X-Amz-Signature" in url.query


def test_the_digest_of_a_bucket_sees_every_change(s3):
    empty = s3.digest()
    s3.put("a", b"1")
    one = s3.digest()
    s3.put("a", b"2")
    two = s3.digest()
    s3.put("a", b"1")
    assert s3.digest() == one
    s3.flush()
    assert s3.digest() == empty
    assert len({empty, one, two}) == 3


def test_s3_keeps_its_data_over_a_restart(s3_server):
    """On its own, so that the other tests need not wait; but beside another."""
    with S3Server(bucket="other") as server:
        assert server.port != s3_server.port
        server.put("a", b"1")
        server.restart()
        assert server.get("a") == b"1"


def test_a_missing_server_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "")
    server = MemcachedServer()
    with pytest.raises(MissingServerError, match="apt-get install memcached"):
        server.start()
    server.close()


def test_the_clock_moves_only_when_told(clock):
    before = clock()
    assert clock() == before
    clock.tick(2.5)
    assert clock() == before + 2.5
    with pytest.raises(ValueError, match="cannot go back"):
        clock.tick(-1)


def test_the_media_root_is_this_tests_own(settings, media_root, tmp_path):
    assert Path(settings.MEDIA_ROOT) == media_root
    assert media_root.is_relative_to(tmp_path)


def test_a_proxy_that_closes_does_not_wait_for_a_client_that_just_came():
    """Its handler has begun, and is not among the connections that are ended."""
    arrived, swept = threading.Event(), threading.Event()

    class Connections(set):
        def __iter__(self):
            swept.set()
            return super().__iter__()

    class Proxy(CountingProxy):
        def _serve(self, client):
            arrived.set()
            swept.wait()
            super()._serve(client)

    with socket.create_server((HOST, 0)) as upstream, contextlib.ExitStack() as stack:
        proxy = Proxy(*upstream.getsockname())
        proxy._open = Connections()
        with proxy:
            client = stack.enter_context(
                socket.create_connection((HOST, proxy.port), timeout=60)
            )
            assert arrived.wait(60)
        # It is told so, instead of waiting for an answer.
        assert client.recv(1) == b""
