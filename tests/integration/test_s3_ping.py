"""``ping`` of a real S3 server, and of one in every kind of trouble."""

from __future__ import annotations

import json

import pytest
from management.running import CHAIN, configure, run, run_alone, write_settings
from real.proxy import FaultyProxy

pytest.importorskip("storages.backends.s3")


@pytest.fixture
def proxy(s3):
    with FaultyProxy(s3.host, s3.port) as proxy:
        yield proxy


def entry_of(s3, proxy, entry=None, **changed):
    options = s3.storage_options(endpoint_url=proxy.endpoint_url, **changed)
    path = "storages.backends.s3.S3Storage"
    return {"BACKEND": path, "OPTIONS": options, "NAME": "s3", **(entry or {})}


def pinged(s3, *args, status=0):
    done = run("ping", "--json", *args)
    assert done.status == status, done
    assert s3.secret_key not in done.out + done.err
    [found] = json.loads(done.out)
    keys = ("missing", "place", "lists", "reads")
    return found["reachable"], tuple(found[key]["answer"] for key in keys)


def methods(proxy):
    return [method for method, _ in proxy.requests]


def test_all_is_well(settings, s3, proxy):
    """Five requests, of which none writes; of a file one byte is read."""
    s3.put("a/big.bin", b"x" * 1_000_000)
    configure(settings, entry_of(s3, proxy))
    assert pinged(s3) == (True, ("absent", "yes", "yes", "yes"))
    assert methods(proxy) == ["HEAD", "HEAD", "HEAD", "GET", "GET"]
    done = run("ping")
    assert done.status == 0
    assert done.lines[0].startswith("s3: reachable, ")
    assert done.lines[1:] == [
        "  a missing name  absent",
        "  its bucket      yes",
        "  listing         yes (a/big.bin)",
        "  reading         yes (a/big.bin)",
        "  time-outs       those of its client (see W018 of manage.py check)",
    ]


def test_an_empty_file_and_none(settings, s3, proxy):
    configure(settings, entry_of(s3, proxy))
    assert pinged(s3) == (True, ("absent", "yes", "yes", "unknown"))
    s3.put("empty", b"")
    assert pinged(s3) == (True, ("absent", "yes", "yes", "yes"))


def test_a_file_that_is_not_there(settings, s3, proxy):
    configure(settings, entry_of(s3, proxy))
    found = pinged(s3, "--name", "none", status=1)
    assert found == (True, ("absent", "yes", "yes", "absent"))


def test_a_bucket_that_is_not_there(settings, s3, proxy):
    configure(settings, entry_of(s3, proxy, bucket_name="no-such-bucket"))
    found = pinged(s3, status=1)
    assert found == (True, ("absent", "absent", "failed", "unknown"))


@pytest.mark.parametrize("trouble", ["refused", "503"])
def test_a_server_that_cannot_be_reached(settings, s3, proxy, trouble):
    """It is asked once; the client's own retries aside."""
    from botocore.config import Config

    entry = entry_of(s3, proxy)
    del entry["OPTIONS"]["addressing_style"], entry["OPTIONS"]["signature_version"]
    entry["OPTIONS"]["client_config"] = Config(
        retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}
    )
    configure(settings, entry)
    if trouble == "refused":
        proxy.refuse()
    else:
        proxy.status = 503
    found = pinged(s3, status=1)
    assert found == (False, ("failed", "unknown", "unknown", "unknown"))
    assert len(proxy.requests) == (trouble == "503")


def test_credentials_that_may_do_nothing(settings, s3, proxy):
    """The server is there. Whether the bucket is, nobody says."""
    configure(settings, entry_of(s3, proxy))
    proxy.status = 403
    found = pinged(s3, "--name", "a", status=1)
    assert found == (True, ("forbidden", "unknown", "forbidden", "forbidden"))


def test_credentials_that_may_not_list(settings, s3, proxy):
    """A 403 for a missing file, which only ABSENT_ON_403 can live with."""
    s3.put("a", b"x")
    proxy.hides_missing = True
    configure(settings, entry_of(s3, proxy))
    found = pinged(s3, status=1)
    assert found == (True, ("forbidden", "yes", "yes", "yes"))
    configure(settings, entry_of(s3, proxy, {"READ_ONLY": True, "ABSENT_ON_403": True}))
    assert pinged(s3) == (True, ("absent", "yes", "yes", "yes"))
    # Wrong credentials have another code.
    proxy.denial = proxy.denial.replace(b"AccessDenied", b"InvalidAccessKeyId")
    assert pinged(s3, status=1)[1][0] == "forbidden"


def test_a_server_that_hangs(settings, tmp_path, s3, proxy):
    """The command ends in time, and so does its process, with boto3's defaults."""
    backends = [{"BACKEND": "fakes.RecordingStorage"}, entry_of(s3, proxy)]
    chain = {"BACKEND": CHAIN, "OPTIONS": {"backends": backends}}
    write_settings(tmp_path, STORAGES={**settings.STORAGES, "default": chain})
    proxy.hang()
    done = run_alone(tmp_path, "ping", "--timeout=2")
    assert (done.status, done.err) == (1, "")
    assert "RecordingStorage: reachable" in done.out
    assert done.lines[4:6] == ["s3: not reachable", "  a missing name  no answer"]
