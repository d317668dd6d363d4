"""``sync`` of objects under a key of the customer's: nothing is told without the key."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from overlay.parts import content_of, read_only, writable

from fallback_storage.jobs.sync import Result, sync
from fallback_storage.storage import FallbackStorage

pytest.importorskip("storages.backends.s3")

from botocore.exceptions import ClientError
from storages.backends.s3 import S3Storage

pytestmark = pytest.mark.slow

KEY = {"SSECustomerKey": b"k" * 32, "SSECustomerAlgorithm": "AES256"}
FILES = {f"d{number % 2}/{number}.bin": b"x" * 100 * number for number in range(4)}


class OwnSize(S3Storage):
    """It asks with the key itself."""

    sizes = 0

    def size(self, name):
        self.sizes += 1
        with self.open(name) as file:
            return file.size


@pytest.fixture
def open_s3(s3):
    made = []

    def build(klass=S3Storage, **options):
        made.append(klass(**s3.storage_options(object_parameters=KEY, **options)))
        return made[-1]

    yield build
    for storage in made:
        storage.connection.meta.client.close()


@pytest.fixture
def local(tmp_path):
    return FileSystemStorage(tmp_path / "local")


@pytest.fixture
def bucket(s3):
    for name, data in FILES.items():
        s3.client.put_object(Bucket=s3.bucket, Key=name, Body=data, **KEY)


def copy(home, source, **options):
    steps = sync(FallbackStorage([writable(home), read_only(source)]), **options)
    return {step.name: (step.result, step.size) for step in steps}


def all_of(result):
    return {name: (result, len(data)) for name, data in FILES.items()}


def test_the_storage_itself_does_not_tell(bucket, open_s3):
    """Once it does, there is nothing left here to be done for it."""
    for method in ("size", "get_modified_time"):
        with pytest.raises(ClientError):
            getattr(open_s3(), method)("d0/2.bin")


@pytest.mark.parametrize("tz", [True, False])
def test_limits_and_a_dry_run(bucket, open_s3, local, settings, tz):
    settings.USE_TZ = tz
    source = open_s3()
    assert copy(local, source, dry_run=True) == all_of(Result.COPIED)
    assert not local.exists("d0")
    found = copy(local, source, newer=timedelta(hours=-1), dry_run=True)
    assert {result for result, _ in found.values()} == {Result.LEFT_OUT}
    found = copy(local, source, max_size=100, newer=timedelta(hours=1))
    assert {name for name, (result, _) in found.items() if result == "copied"} == {
        "d0/0.bin",
        "d1/1.bin",
    }
    assert content_of(local, "d1/1.bin") == FILES["d1/1.bin"]


def test_what_is_copied_is_compared(bucket, open_s3, local):
    source = open_s3()
    assert copy(local, source) == all_of(Result.COPIED)
    for options in ({}, {"verify": True}, {"repair": True}):
        found = {result for result, _ in copy(local, source, **options).values()}
        assert found == {Result.PRESENT}
    Path(local.path("d0/2.bin")).write_bytes(b"other")
    assert copy(local, source, verify=True)["d0/2.bin"][0] is Result.DIFFERENT


def test_into_a_bucket(s3, open_s3, local):
    """A copy that was just made is looked at with the key."""
    for name, data in FILES.items():
        local.save(name, ContentFile(data))
    assert copy(open_s3(), local) == all_of(Result.COPIED)
    for name, data in FILES.items():
        with s3.client.get_object(Bucket=s3.bucket, Key=name, **KEY)["Body"] as body:
            assert body.read() == data


def test_a_class_that_asks_in_its_own_way_is_asked(bucket, open_s3, local):
    source = open_s3(OwnSize)
    assert copy(local, source, dry_run=True) == all_of(Result.COPIED)
    assert source.sizes == len(FILES)
