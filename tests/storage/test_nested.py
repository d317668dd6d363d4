"""A chain within a chain: what the outer one remembers rests on the inner one's answers."""

from __future__ import annotations

import pytest
from django.core.files.base import ContentFile
from fakes import RecordingStorage

from fallback_storage.cache import invalidation
from fallback_storage.cache.stores.local import LocalStore
from fallback_storage.storage import FallbackStorage


class Hooked(LocalStore):
    """Calls ``before`` when it is about to be told of a write."""

    def __init__(self, _chain):
        super().__init__()

    def invalidate(self, names):
        for hook in before:
            hook()
        super().invalidate(names)


before = []


@pytest.fixture(autouse=True)
def no_hooks():
    before.clear()


@pytest.mark.parametrize("used", ["outer first", "inner first"])
@pytest.mark.parametrize("depth", [1, 2])
def test_a_reader_between_two_invalidations_fills_nothing_old(used, depth):
    """A lease that the outer store gives when it was told meets new answers only."""
    name = f"{used} {depth}"  # the stores of equal chains are one
    files = {name: b""}
    cache = {"STORE": f"{__name__}.Hooked"}
    inner = FallbackStorage([RecordingStorage("bottom", files)], cache)
    chains = [inner]
    for _ in range(depth):
        chains.append(FallbackStorage([RecordingStorage("top"), chains[-1]]))
    outer = chains[-1]
    order = chains if used == "inner first" else reversed(chains)
    assert all(chain.exists(name) for chain in order)
    answers = []
    before.append(lambda: answers.append(outer.exists(name)))
    inner.delete(name)
    assert len(answers) == 1
    assert not any(chain.exists(name) for chain in chains)


def test_stores_of_inner_chains_are_told_first():
    """Whichever was used first."""
    inner = FallbackStorage([RecordingStorage("bottom")])
    middle = FallbackStorage([inner])
    outer = FallbackStorage([RecordingStorage("top"), middle])
    outer.save("x", ContentFile(b""))
    assert middle.exists("x") is inner.exists("x") is False
    told = invalidation.stores()
    places = [
        told.index(chain._get_engine().memo.store) for chain in (inner, middle, outer)
    ]
    assert places == sorted(places)
