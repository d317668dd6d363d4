"""A real S3 server that goes away behind a local directory."""

from __future__ import annotations

import logging

import pytest
from django.core.files.base import ContentFile
from real.proxy import FaultyProxy
from servers import S3Server

from fallback_storage.exceptions import MissingPlaceError
from fallback_storage.storage import FallbackStorage

pytest.importorskip("storages.backends.s3")
exceptions = pytest.importorskip("botocore.exceptions")

LOCAL = "django.core.files.storage.FileSystemStorage"


def entry_of(server, endpoint_url, **policy):
    """An S3 backend whose client gives up soon and does not retry."""
    from botocore.config import Config

    options = server.storage_options(endpoint_url=endpoint_url)
    # With a client_config S3Storage takes these from there.
    del options["addressing_style"], options["signature_version"]
    options["client_config"] = Config(
        connect_timeout=1,
        read_timeout=1,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"},
        signature_version="s3v4",
    )
    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": options,
        "NAME": "remote",
        **policy,
    }


@pytest.fixture
def entry(s3, s3_proxy, media_root):
    """An S3 backend behind the proxy, which plays the outage."""
    return entry_of(s3, s3_proxy.endpoint_url)


@pytest.fixture
def mirror(entry):
    return FallbackStorage(backends=[LOCAL, {**entry, "READ_ONLY": True}])


def test_exists_is_false_logged_and_not_remembered(mirror, s3, s3_proxy, caplog):
    """During an outage exists says False and a warning; afterwards it says True."""
    s3.put("a.txt", b"hello")
    s3_proxy.outage = True
    assert not mirror.exists("a.txt")
    [record] = caplog.records
    assert (record.name, record.levelno) == ("fallback_storage", logging.WARNING)
    assert "'a.txt'" in record.getMessage()
    assert "ConnectionClosedError" in record.getMessage()
    assert s3.secret_key not in caplog.text
    assert mirror.resolve("a.txt").held is None
    s3_proxy.outage = False
    assert mirror.exists("a.txt")


def test_strict_raises(entry, s3, s3_proxy, media_root):
    """With strict an outage is the backend's own exception, never False."""
    chain = FallbackStorage(backends=[LOCAL, entry], strict=True)
    (media_root / "local.txt").write_bytes(b"x")
    s3_proxy.outage = True
    with pytest.raises(exceptions.HTTPClientError):
        chain.exists("a.txt")
    with pytest.raises(exceptions.HTTPClientError):
        chain.listdir("")
    assert chain.exists("local.txt")


def test_reading_raises_what_s3_raised(entry, s3, s3_proxy):
    """An unreachable file is never reported as one that does not exist."""
    mirror = FallbackStorage([LOCAL, {**entry, "READ_ONLY": True, "RETRY_AFTER": 0}])
    s3.put("a.txt", b"hello")
    s3_proxy.outage = True
    for operation in (mirror.open, mirror.size, mirror.get_modified_time):
        with pytest.raises(exceptions.HTTPClientError):
            operation("a.txt")
    s3_proxy.outage = False
    with mirror.open("a.txt") as file:
        assert file.read() == b"hello"


def test_local_files_and_urls_go_on(mirror, s3, s3_proxy, media_root, caplog):
    """What the disk holds, and every URL, needs no S3."""
    (media_root / "local.txt").write_bytes(b"x")
    s3_proxy.outage = True
    assert mirror.exists("local.txt")
    assert mirror.size("local.txt") == 1
    assert mirror.url("local.txt") == "/media/local.txt"
    assert mirror.url("a.txt").startswith(s3_proxy.endpoint_url)
    assert not caplog.records
    assert mirror.listdir("") == ([], ["local.txt"])
    assert "listdir" in caplog.text


def test_a_save_goes_to_the_local_backend(mirror, s3, s3_proxy, media_root):
    """A save during an outage keeps its name: what is saved is what is read."""
    s3.put("a.txt", b"hello")
    s3_proxy.outage = True
    assert mirror.save("a.txt", ContentFile(b"mine")) == "a.txt"
    assert (media_root / "a.txt").read_bytes() == b"mine"
    s3_proxy.outage = False
    with mirror.open("a.txt") as file:
        assert file.read() == b"mine"


def test_a_save_falls_through_to_the_local_backend(entry, s3, s3_proxy, media_root):
    """With S3 first and writable, a save during an outage lands on the disk, whole."""
    chain = FallbackStorage(backends=[entry, LOCAL])
    content = bytes(range(256)) * 50_000
    s3_proxy.outage = True
    name = chain.save("a.bin", ContentFile(content))
    assert (media_root / name).read_bytes() == content
    with chain.open(name) as file:
        assert file.read() == content
    s3_proxy.outage = False
    assert chain.exists(name)
    assert s3.keys() == []


def test_a_name_known_before_the_outage(mirror, s3, s3_proxy):
    """What was known to be in S3 stays known; opening it tells of the outage."""
    s3.put("a.txt", b"hello")
    assert mirror.exists("a.txt")
    s3_proxy.outage = True
    assert mirror.exists("a.txt")
    with pytest.raises(exceptions.HTTPClientError):
        mirror.open("a.txt")
    s3_proxy.outage = False
    with mirror.open("a.txt") as file:
        assert file.read() == b"hello"


def test_a_server_that_was_killed(s3, media_root, caplog):
    """The same holds where nobody listens any more."""
    with S3Server(bucket="killed") as server:
        server.put("a.txt", b"hello")
        chain = FallbackStorage(
            backends=[LOCAL, entry_of(server, server.endpoint_url, READ_ONLY=True)]
        )
        assert chain.size("a.txt") == 5
        chain.forget_all()
        server.kill()
        assert not chain.exists("a.txt")
        assert "EndpointConnectionError" in caplog.text
        with pytest.raises(exceptions.EndpointConnectionError):
            chain.open("a.txt")
        name = chain.save("a.txt", ContentFile(b"mine"))
    assert (media_root / name).read_bytes() == b"mine"


def test_a_server_that_hangs(mirror, s3, caplog):
    """A server that accepts and never answers ends in its client's time-out."""
    s3.put("a.txt", b"hello")
    s3.freeze()
    assert not mirror.exists("a.txt")
    assert "Timeout" in caplog.text
    s3.thaw()
    assert mirror.exists("a.txt")


@pytest.mark.parametrize("trouble", ["hangs", "503"])
def test_an_upload_while_s3_is_asked_in_vain(s3, media_root, caplog, trouble):
    """One request; the name is kept, the file is whole, and a log line tells of it."""
    with FaultyProxy(s3.host, s3.port) as proxy:
        chain = FallbackStorage(
            backends=[LOCAL, entry_of(s3, proxy.endpoint_url, READ_ONLY=True)]
        )
        content = bytes(range(256)) * 20_000
        if trouble == "hangs":
            proxy.hang()
        else:
            proxy.status = 503
        assert chain.save("a.bin", ContentFile(content)) == "a.bin"
        assert [method for method, _ in proxy.requests] == ["HEAD"]
    assert (media_root / "a.bin").read_bytes() == content
    assert "the name may be taken there" in caplog.text


def test_refused_credentials_are_a_failure(s3, media_root, caplog):
    """S3's 403 is no "not found": it is logged, not remembered, and shows no secret."""
    entry = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": s3.storage_options(secret_key="top-secret-key"),
    }
    chain = FallbackStorage(backends=[LOCAL, entry])
    assert chain.resolve("a.txt").held is None
    assert not chain.exists("a.txt")
    with pytest.raises(exceptions.ClientError, match="403"):
        chain.open("a.txt")
    assert "ClientError" in caplog.text
    assert "top-secret-key" not in caplog.text + repr(chain) + repr(chain.backends)


@pytest.mark.parametrize("strict", [False, True])
def test_a_missing_bucket(s3, media_root, caplog, strict):
    """It looks empty to HEAD, which has no body. So it is asked whether it is there."""
    entry = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": s3.storage_options(bucket_name="no-such-bucket"),
    }
    chain = FallbackStorage(backends=[LOCAL, entry], strict=strict)
    assert chain.resolve("a.txt").held is None
    if strict:
        with pytest.raises(MissingPlaceError, match="S3Storage"):
            chain.exists("a.txt")
    else:
        assert not chain.exists("a.txt")
        assert "MissingPlaceError" in caplog.text
    with pytest.raises(OSError, match="S3Storage") as caught:
        chain.open("a.txt")
    assert not isinstance(caught.value, FileNotFoundError)
    if strict:
        with pytest.raises(exceptions.ClientError, match="NoSuchBucket"):
            chain.listdir("")
    else:
        assert chain.listdir("") == ([], [])
        assert "NoSuchBucket" in caplog.text
