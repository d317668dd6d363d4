"""What is remembered of reading: for how long, of whom, and who may say otherwise."""

from __future__ import annotations

from contextlib import suppress

import pytest
from fakes import RecordingStorage

from fallback_storage.chain.outcomes import Outcome, Source
from fallback_storage.storage import FallbackStorage

HELD, ABSENT = Outcome.HELD, Outcome.ABSENT


def itself(storage):
    return storage


def entry(storage, **policy):
    return {
        "BACKEND": f"{__name__}.itself",
        "OPTIONS": {"storage": storage},
        "NAME": storage.label,
        **policy,
    }


class Ticking(FallbackStorage):
    """Its lifetimes follow a clock that stands still until ``tick``."""

    now = 1000.0
    clock = staticmethod(lambda: Ticking.now)


@pytest.fixture
def tick(monkeypatch):
    monkeypatch.setattr(Ticking, "now", 1000.0)

    def tick(seconds):
        Ticking.now += seconds

    return tick


@pytest.fixture
def first():
    return RecordingStorage("first")


@pytest.fixture
def second():
    return RecordingStorage("second")


@pytest.fixture
def storage(first, second):
    return FallbackStorage([entry(first), entry(second)])


def calls_of(*backends):
    """Return how many calls each got since the last time."""
    result = [backend.count() for backend in backends]
    for backend in backends:
        backend.reset()
    return result


# A file that went away behind the storage's back

READS = {
    "open": lambda storage: storage.open("x").read(),
    "size": lambda storage: storage.size("x"),
    "get_accessed_time": lambda storage: storage.get_accessed_time("x"),
    "get_created_time": lambda storage: storage.get_created_time("x"),
    "get_modified_time": lambda storage: storage.get_modified_time("x"),
    "modified_time": lambda storage: storage.modified_time("x"),
}
ALL_READS = pytest.mark.parametrize("read", READS.values(), ids=READS)


@ALL_READS
def test_a_holder_that_lost_the_file_is_noticed_at_once(storage, first, second, read):
    """The name is resolved afresh, once, and what is found is remembered."""
    second.files["x"] = first.files["x"] = b"12"
    assert storage.exists("x")
    del first.files["x"]
    calls_of(first, second)
    expected = read(FallbackStorage([second]))
    second.reset()
    assert read(storage) == expected
    assert calls_of(first, second) == [2, 1]
    assert storage.url("x") == "https://second.example/x"
    assert calls_of(first, second) == [0, 1]
    assert storage.stats()["lost_holders"] == 1


@ALL_READS
def test_a_file_that_nobody_has_any_more_is_noticed_at_once(
    storage, first, second, read
):
    """Then it is missing, for exists as well."""
    second.files["x"] = b"12"
    read(storage)
    del second.files["x"]
    calls_of(first, second)
    with pytest.raises(FileNotFoundError):
        read(storage)
    assert calls_of(first, second) == [1, 2]
    assert storage.exists("x") is False
    assert calls_of(first, second) == [0, 0]


def test_a_file_that_moved_up_is_found_there(storage, first, second):
    """What is above the former holder is asked again."""
    second.files["x"] = b"12"
    storage.exists("x")
    first.files["x"] = second.files.pop("x") + b"3"
    assert storage.size("x") == 3
    assert storage.resolve("x").backend == "first"


def test_a_holder_that_fails_has_lost_nothing(storage, first, second):
    """An outage of the holder is not the file's end: nothing is forgotten."""
    first.files["x"] = b"12"
    second.files["x"] = b"123"
    storage.exists("x")
    first.fail("size")
    assert storage.size("x") == 3
    first.heal()
    calls_of(first, second)
    assert storage.size("x") == 2
    assert calls_of(first, second) == [1, 0]
    first.fail("size")
    del second.files["x"]
    with pytest.raises(ConnectionError):
        storage.size("x")
    assert calls_of(first, second) == [1, 1]
    assert storage.stats()["lost_holders"] == 0


# Lifetimes


def test_what_is_held_is_remembered_for_its_lifetime(tick, first, second):
    """TTL seconds, 300 if not said; a hit does not prolong them."""
    second.files["x"] = b""
    for options, lifetime in ((None, 300), ({"TTL": 20.5}, 20.5)):
        storage = Ticking([first, second], options)
        storage.exists("x")
        calls_of(first, second)
        tick(lifetime / 2)
        storage.url("x")
        assert calls_of(first, second) == [0, 1]
        tick(lifetime / 2 - 0.01)
        assert storage.exists("x")
        assert calls_of(first, second) == [0, 0]
        tick(0.02)
        assert storage.exists("x")
        assert calls_of(first, second) == [1, 1]


def test_what_nobody_holds_is_remembered_for_a_shorter_time(tick, first, second):
    """NEGATIVE_TTL seconds, 5 if not said."""
    for options, lifetime in ((None, 5), ({"NEGATIVE_TTL": 2.5}, 2.5)):
        first.files.clear()
        storage = Ticking([first, second], options)
        assert storage.exists("x") is False
        first.files["x"] = b""
        tick(lifetime - 0.01)
        assert storage.exists("x") is False
        tick(0.02)
        assert storage.exists("x") is True


def test_what_url_learns_has_the_lifetime_of_what_is_known(tick, first, second):
    """ "Not above the last backend" is no "held by none"."""
    storage = Ticking([first, second], {"TTL": 100, "NEGATIVE_TTL": 1})
    storage.url("x")
    tick(99)
    storage.url("x")
    assert first.count("exists") == 1
    tick(2)
    storage.url("x")
    assert first.count("exists") == 2


@pytest.mark.parametrize(
    ("options", "held", "missing"),
    [({"TTL": 0}, 2, 1), ({"NEGATIVE_TTL": 0}, 1, 2), (False, 2, 2)],
    ids=["TTL 0", "NEGATIVE_TTL 0", "no memo"],
)
def test_a_lifetime_of_zero_remembers_nothing(first, options, held, missing):
    """Of that kind; the other is remembered as ever."""
    first.files["held"] = b""
    storage = FallbackStorage([first], options)
    for _ in range(2):
        assert storage.exists("held") is True
        assert storage.exists("missing") is False
    stats = storage.stats()
    assert stats.get("entries", 0) == 2 - held
    assert stats.get("negative_entries", 0) == 2 - missing
    assert first.count("exists", "held") == held
    assert first.count("exists", "missing") == missing


def test_a_refined_entry_grows_no_older_than_what_it_rests_on(tick, first, second):
    """That the first has it not was learned by url, and is believed TTL seconds."""
    second.files["x"] = b""
    storage = Ticking([first, second], {"TTL": 100})
    storage.url("x")
    first.files["x"] = b""
    tick(99)
    assert storage.exists("x")
    assert first.count("exists") == 1
    tick(2)
    assert storage.url("x") == "https://first.example/x"


def test_a_change_behind_its_back_is_seen_by_exists_after_forget(
    storage, first, second
):
    """exists and url keep what they know until it is forgotten or grows old."""
    second.files["x"] = b""
    storage.exists("x")
    first.files["x"] = second.files.pop("x")
    assert storage.url("x") == "https://second.example/x"
    storage.forget("./x")
    assert storage.url("x") == "https://first.example/x"


# forget, forget_all, stats, resolve


def test_forget_is_of_the_names_given_in_every_instance(storage, first, second):
    """All spellings, several at once, and what other instances know as well."""
    other = FallbackStorage([entry(first), entry(second)])
    names = ["a/b", "c", "kept"]
    for name in names:
        assert storage.exists(name) is other.exists(name) is False
    calls_of(first, second)
    storage.forget("a//b", ".\\c")
    for chain in (storage, other):
        assert [chain.exists(name) for name in names] == [False] * 3
        assert calls_of(first, second) == [2, 2]
    storage.forget_all()
    for chain in (storage, other):
        assert [chain.exists(name) for name in names] == [False] * 3
        assert calls_of(first, second) == [3, 3]
    storage.forget()


def told(resolution):
    return [(line.backend, line.outcome, line.remembered) for line in resolution.trail]


def test_resolve_tells_the_holder_and_how_that_is_known(storage, second):
    """Position, name, source, and one line for every backend asked or remembered."""
    second.files["x"] = b""
    cold, warm = storage.resolve("./x"), storage.resolve("x")
    for resolution, source in ((cold, Source.PROBE), (warm, Source.MEMO)):
        assert (resolution.name, resolution.index) == ("x", 1)
        assert (resolution.backend, resolution.held) == ("second", True)
        assert resolution.source is source
        remembered = source is Source.MEMO
        assert told(resolution) == [
            ("first", ABSENT, remembered),
            ("second", HELD, remembered),
        ]
    assert all(line.seconds > 0 for line in cold.trail)
    assert all(line.seconds == 0 for line in warm.trail)


def test_resolve_of_a_missing_file(storage):
    """held is False where all backends said so, whether now or before."""
    for source in (Source.PROBE, Source.MEMO):
        resolution = storage.resolve("x")
        assert (resolution.index, resolution.backend) == (None, None)
        assert resolution.held is False
        assert resolution.source is source
        assert [outcome for _, outcome, _ in told(resolution)] == [ABSENT, ABSENT]


def test_resolve_after_a_failure(storage, first):
    """held is None where a backend could not say; its error is in the trail."""
    error = ConnectionError("m")
    first.fail("exists", error)
    for _ in range(2):
        resolution = storage.resolve("x")
        assert resolution.held is None
        assert resolution.source is Source.PROBE
        assert resolution.trail[0].outcome is Outcome.FAILED
        assert resolution.trail[0].exception is error


def test_resolve_after_url(storage, second):
    """What url learned is remembered, the rest is asked."""
    storage.url("x")
    resolution = storage.resolve("x")
    assert resolution.source is Source.PROBE
    assert told(resolution) == [("first", ABSENT, True), ("second", ABSENT, False)]


@pytest.mark.parametrize("before", ["url", "exists"])
@pytest.mark.parametrize("operation", ["exists", "resolve", "size", "open"])
@pytest.mark.parametrize("name", ["held", "nowhere"])
def test_a_look_up_is_counted_once(storage, second, before, operation, name):
    """Whatever was known, and whether that was enough."""
    second.files["held"] = b"x"
    getattr(storage, before)(name)
    counts = storage.stats()
    with suppress(FileNotFoundError):
        getattr(storage, operation)(name)
    results = ("hits", "negative_hits", "misses")
    assert sum(storage.stats()[each] - counts[each] for each in results) == 1


def test_stats(storage, first, second):
    """Look-ups by their result, walks, and what each backend was called for."""
    second.files["x"] = b""
    storage.exists("x")
    storage.exists("x")
    storage.exists("y")
    storage.exists("y")
    storage.size("x")
    first.fail("exists")
    storage.exists("z")
    stats = storage.stats()
    assert (stats["hits"], stats["negative_hits"], stats["misses"]) == (2, 1, 3)
    assert (stats["walks"], stats["coalesced"], stats["late_fills"]) == (3, 0, 0)
    assert (stats["entries"], stats["negative_entries"]) == (1, 1)
    assert list(stats["backends"]) == ["first", "second"]
    counts = [(b["calls"], b["failures"]) for b in stats["backends"].values()]
    assert counts == [(3, 1), (4, 0)]
    assert all(b["seconds"] > 0 for b in stats["backends"].values())
    assert FallbackStorage([first], False).stats()["backends"]


def test_forgetting_a_name_forgets_the_directories_it_lies_in(storage, first):
    """A file made behind the storage's back makes its directories, too."""
    assert storage.exists("a/b") is False
    first.files["a/b"] = b""
    storage.forget("a/b/c")
    assert storage.exists("a/b") is True
