"""An S3 that accepts and never answers, asked by boto3 as it is without any options."""

from __future__ import annotations

import threading

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from servers import HOST
from silent import SilentServer

from fallback_storage.chain.reach import THREADS
from fallback_storage.exceptions import BackendUnavailable
from fallback_storage.storage import FallbackStorage

pytest.importorskip("storages.backends.s3")

pytestmark = pytest.mark.slow


@pytest.fixture
def production():
    with SilentServer() as server:
        yield server


@pytest.fixture
def chain(production, tmp_path):
    s3 = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": "media",
            "access_key": "key",
            "secret_key": "secret",
            "region_name": "us-east-1",
            "endpoint_url": f"http://{HOST}:{production.port}",
        },
        "READ_ONLY": True,
        "NAME": "production",
        "DEADLINE": 2,
    }
    return FallbackStorage([FileSystemStorage(tmp_path, base_url="/media/"), s3])


def test_a_hundred_names_are_one_connection_at_most(chain, production):
    """The others fail without a call; URLs need none."""
    names = [f"{number}.jpg" for number in range(100)]
    assert [chain.exists(name) for name in names] == [False] * 100
    with pytest.raises(BackendUnavailable):
        chain.open("0.jpg")
    assert all(chain.url(name) for name in names)
    assert len(production.connections) <= 1  # a busy machine has not even made a client
    assert chain.stats()["backends"]["production"]["given_up"] == 1


def test_an_upload_is_one_connection_at_most_and_keeps_its_name(
    chain, production, tmp_path
):
    content = bytes(range(256)) * 1000
    assert chain.save("a.bin", ContentFile(content)) == "a.bin"
    assert (tmp_path / "a.bin").read_bytes() == content
    assert len(production.connections) <= 1  # a busy machine has not even made a client


def test_many_threads_at_the_moment_of_the_outage(chain, production):
    """As many connections as there are threads for it, and no more."""
    answers = []

    def ask(number):
        answers.append(chain.exists(f"{number}.jpg"))

    threads = [
        threading.Thread(target=ask, args=(number,), daemon=True)
        for number in range(64)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [False] * 64
    assert len(production.connections) < THREADS
