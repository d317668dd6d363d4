"""Servers that accept and never answer: one deadline, then nothing is asked of them."""

from __future__ import annotations

import pytest
from django.core.files.base import ContentFile
from real.contents import DATA
from real.contract import put, read

from fallback_storage.exceptions import BackendUnavailable
from fallback_storage.storage import FallbackStorage

LOCAL = "django.core.files.storage.FileSystemStorage"
# Those that have a deadline (here one shorter than their clients' time-outs); SFTP's and FTP's calls are bounded by their clients.
BOUNDED = ["s3", "google", "azure", "minio", "django-s3", "webdav"]
NAMES = 20


@pytest.fixture
def chain(place, tmp_path, clock):
    class Chain(FallbackStorage):
        pass

    Chain.clock = clock
    options = {"location": str(tmp_path / "local"), "base_url": "/there/"}
    return Chain(
        [
            {"BACKEND": LOCAL, "OPTIONS": options, "NAME": "local"},
            {"ALIAS": "real", "READ_ONLY": True, "DEADLINE": 2},
        ],
        cache=False,
    )


@pytest.mark.parametrize("recipe", BOUNDED, indirect=True)
def test_it_costs_one_deadline_and_is_over_when_it_is_over(place, chain, clock):
    name, new = place.file("held.bin"), place.file("new.bin")
    put(place.raw, name, DATA)
    assert chain.exists(name)
    real = chain.backends[1]
    place.proxy.hang()
    for number in range(NAMES):
        assert chain.exists(place.file(f"gone-{number}.bin")) is False
    assert (real.stats()["given_up"], real.stats()["breaker"]) == (1, "open")
    for ask in (chain.open, chain.size):
        with pytest.raises(BackendUnavailable):
            ask(name)
    assert chain.resolve(name).held is None
    assert chain.save(new, ContentFile(b"new")) == new
    assert chain.url(name)
    assert real.stats()["given_up"] == 1
    place.proxy.go_on()
    clock.tick(100)
    assert chain.exists(name)
    assert real.stats()["breaker"] == "closed"
    assert read(chain, name) == DATA
    assert read(chain, new) == b"new"


@pytest.mark.parametrize("recipe", BOUNDED, indirect=True)
def test_reads_go_on_from_a_replica(place, tmp_path, clock):
    """The storage hangs; a local directory below it has the same files."""
    name = place.file("held.bin")
    put(place.raw, name, DATA)
    (tmp_path / "replica" / name).parent.mkdir(parents=True)
    (tmp_path / "replica" / name).write_bytes(DATA)

    class Chain(FallbackStorage):
        pass

    Chain.clock = clock
    options = {"location": str(tmp_path / "replica"), "base_url": "/replica/"}
    replica = {"BACKEND": LOCAL, "OPTIONS": options, "READ_ONLY": True}
    chain = Chain([{"ALIAS": "real", "DEADLINE": 2}, replica], cache=False)
    place.proxy.hang()
    for _ in range(3):
        assert read(chain, name) == DATA
        assert chain.size(name) == len(DATA)
        assert chain.url(name).startswith("/replica/")
    assert chain.backends[0].stats()["given_up"] == 1
    place.proxy.go_on()
