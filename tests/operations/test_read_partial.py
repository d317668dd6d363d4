"""Partial knowledge: chains of many backends, and backends that are asked each time."""

from __future__ import annotations

import pytest
from django.core.files.base import ContentFile
from fakes import SOME_TIME, RecordingStorage

from fallback_storage.storage import FallbackStorage


def itself(storage):
    return storage


def live_entry(storage):
    """Return a backend entry for an instance of which nothing is remembered."""
    return {
        "BACKEND": f"{__name__}.itself",
        "OPTIONS": {"storage": storage},
        "ALWAYS_PROBE": True,
    }


def calls_of(*backends):
    """Return how many calls each got since the last time."""
    result = [backend.count() for backend in backends]
    for backend in backends:
        backend.reset()
    return result


# ALWAYS_PROBE


def test_a_live_backend_is_asked_every_time():
    """ALWAYS_PROBE: the memo answers for the others only."""
    first, second = RecordingStorage("first"), RecordingStorage("second")
    storage = FallbackStorage([live_entry(first), second])
    second.files["x"] = b"12"
    for _ in range(3):
        assert storage.exists("x")
        assert storage.exists("y") is False
    assert (first.count("exists"), second.count("exists")) == (6, 2)
    calls_of(first, second)
    for _ in range(3):
        assert storage.url("x") == "https://second.example/x"
        assert storage.size("x") == 2
    assert first.counts() == {"exists": 3, "size": 3}
    assert second.counts() == {"url": 3, "size": 3}


@pytest.mark.parametrize("position", [0, 1, 2])
def test_what_changes_in_a_live_backend_is_seen_at_once(position):
    """A file that comes or goes there, wherever in the chain it stands."""
    live = RecordingStorage("live")
    others = [RecordingStorage("one"), RecordingStorage("two")]
    entries = list(others)
    entries.insert(position, live_entry(live))
    storage = FallbackStorage(entries)
    for _ in range(2):
        assert storage.exists("x") is False
        live.files["x"] = b"123"
        assert storage.exists("x") is True
        assert storage.resolve("x").index == position
        assert storage.url("x") == "https://live.example/x"
        assert storage.size("x") == 3
        assert storage.get_modified_time("x") == SOME_TIME
        del live.files["x"]
    assert [other.count("exists") for other in others] == [1, 1]


# Chains of many: partial knowledge

CHAIN = ["b0", "b1", "b2", "b3"]
ASKS = {
    "exists": lambda storage: storage.exists("x"),
    "url": lambda storage: storage.url("x"),
    "size": lambda storage: storage.size("x"),
}


def many(holder):
    backends = [
        RecordingStorage(label, files={"x": b""} if index == holder else {})
        for index, label in enumerate(CHAIN)
    ]
    return backends, FallbackStorage(backends)


@pytest.mark.parametrize("holder", [0, 1, 2, 3])
@pytest.mark.parametrize("known_by", ASKS)
@pytest.mark.parametrize("asked", ASKS)
def test_what_is_known_is_not_asked_again(holder, known_by, asked):
    """After any first question, another one reaches the holder alone, if anybody."""
    backends, storage = many(holder)
    ASKS[known_by](storage)
    cold = [index <= holder for index in range(4)]
    if known_by == "url":
        cold = [index <= holder and index < 3 for index in range(4)]
        cold[holder] += 1
    assert calls_of(*backends) == cold
    ASKS[asked](storage)
    # Of the last backend url asked nothing, so exists still has to.
    unknown = known_by == "url" and holder == 3
    expected = [0] * 4
    expected[holder] = int(asked != "exists" or unknown)
    assert calls_of(*backends) == expected
    ASKS["exists"](storage)
    last = unknown and asked == "url"
    assert calls_of(*backends) == [0, 0, 0, int(last)]


def test_a_missing_file_after_url_costs_the_last_backend_alone():
    """ "Not above the last" and the last one's answer make "held by none"."""
    backends, storage = many(None)
    assert storage.url("x") == "https://b3.example/x"
    assert calls_of(*backends) == [1, 1, 1, 1]
    with pytest.raises(FileNotFoundError):
        storage.size("x")
    assert calls_of(*backends) == [0, 0, 0, 1]
    assert storage.exists("x") is False
    assert storage.url("x") == "https://b3.example/x"
    assert calls_of(*backends) == [0, 0, 0, 1]
    saved = storage.save("x", ContentFile(b"1"))
    assert (saved, storage.url("x")) == ("x", "https://b0.example/x")


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_failure_above_the_answer_is_not_remembered(failing):
    """Whoever answered below it: once it is back, its own answer counts."""
    backends, storage = many(3)
    backends[failing].fail("exists")
    assert storage.exists("x") is True
    assert storage.url("x") == "https://b3.example/x"
    backends[failing].heal()
    backends[failing].files["x"] = b"newer"
    assert storage.resolve("x").index == failing
    assert storage.url("x") == f"https://b{failing}.example/x"


@pytest.mark.parametrize("second_holder", [1, 2, 3])
def test_past_a_holder_without_a_url_only_holders_are_asked_for_one(second_holder):
    """The backends between are asked exists; the last is the last resort as ever."""
    backends, storage = many(0)
    backends[0].unsupported.add("url")
    backends[second_holder].files["x"] = b""
    assert storage.url("x") == f"https://b{second_holder}.example/x"
    asked = [backend.count("exists") for backend in backends]
    assert asked == [1, 1, int(second_holder > 1), 0]
    given = [backend.count("url") for backend in backends]
    assert given == [int(index in {0, second_holder}) for index in range(4)]
