"""Whether the time-outs of a client were chosen, and the lines of the manual for it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.core.files.storage import FileSystemStorage, storages
from manual import block

from fallback_storage.chain.profiles import profile_of
from fallback_storage.chain.timeouts import of_azure, of_sftp

s3 = pytest.importorskip("storages.backends.s3")
config = pytest.importorskip("botocore.config")


class OwnConnection(s3.S3Storage):
    """Makes its client in a way of its own."""

    @property
    def connection(self):
        return super().connection


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ({}, False),
        ({"client_config": config.Config(connect_timeout=1)}, False),
        ({"client_config": config.Config(read_timeout=1)}, False),
        ({"client_config": config.Config(connect_timeout=1, read_timeout=1.5)}, True),
        ({"client_config": config.Config(connect_timeout=1, read_timeout=None)}, False),
    ],
    ids=["none", "connect", "read", "both", "for ever"],
)
def test_s3(options, chosen):
    storage = s3.S3Storage(bucket_name="media", **options)
    assert profile_of(storage).has_time_outs(storage) is chosen
    mine = OwnConnection(bucket_name="media", **options)
    assert profile_of(mine).has_time_outs is None


@pytest.mark.parametrize(
    ("attributes", "chosen"),
    [
        ({}, False),  # before 1.14.3
        ({"client_options": {}}, False),
        ({"client_options": {"read_timeout": 1}}, False),
        ({"client_options": {"read_timeout": 1, "connection_timeout": 1}}, True),
    ],
    ids=["old", "none", "half", "both"],
)
def test_azure(attributes, chosen):
    """A connection string leaves them without effect."""
    assert of_azure(SimpleNamespace(connection_string=None, **attributes)) is chosen
    assert not of_azure(SimpleNamespace(connection_string="x", **attributes))


@pytest.mark.parametrize("chosen", [False, True])
def test_sftp(chosen):
    """What it connects with."""
    params = {"timeout": 2} if chosen else {}
    assert of_sftp(SimpleNamespace(params=params)) is chosen


def test_others():
    assert profile_of(FileSystemStorage()).has_time_outs is None


def test_the_manual_s3(settings):
    """The client has what the lines say, and the check is content."""
    settings.STORAGES = {**settings.STORAGES, "production": block("S3 = {")["S3"]}
    storage = storages["production"]
    assert profile_of(storage).has_time_outs(storage)
    found = storage.connection.meta.client.meta.config
    assert (found.connect_timeout, found.read_timeout) == (2, 10)
    assert found.retries["total_max_attempts"] == 2
