"""Which backend holds a name, how that is known, and who learns of a change."""

from __future__ import annotations

from contextlib import suppress

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage
from django.db.models import FileField
from fakes import RecordingStorage

from fallback_storage.chain.outcomes import Outcome, Source
from fallback_storage.storage import FallbackStorage

HELD, ABSENT, FAILED = Outcome.HELD, Outcome.ABSENT, Outcome.FAILED


def entry(storage, **policy):
    """Return a chain's entry for an instance with a policy."""
    # typing.cast is a callable with a dotted path that returns what it is given.
    return {
        "BACKEND": "typing.cast",
        "OPTIONS": {"typ": Storage, "val": storage},
        "NAME": storage.label,
        **policy,
    }


@pytest.fixture
def backends():
    return [RecordingStorage(label) for label in ("front", "middle", "back")]


@pytest.fixture
def chain(backends, clock, monkeypatch):
    monkeypatch.setattr(FallbackStorage, "clock", clock)
    return FallbackStorage([entry(backend) for backend in backends])


def asked(backends, method="exists"):
    """Return how often each backend was asked since the last time; forget that."""
    counts = [backend.count(method) for backend in backends]
    for backend in backends:
        backend.reset()
    return counts


def trail(resolution):
    return [(line.backend, line.outcome, line.remembered) for line in resolution.trail]


# What resolve() tells


def test_a_cold_name_is_probed_and_then_remembered(chain, backends):
    """First from the backends, each with its answer; then from memory, with none."""
    backends[1].files["a"] = b"x"
    cold = chain.resolve("./a")
    assert (cold.name, cold.index, cold.backend, cold.held) == ("a", 1, "middle", True)
    assert cold.source is Source.PROBE
    assert trail(cold) == [("front", ABSENT, False), ("middle", HELD, False)]
    assert asked(backends) == [1, 1, 0]
    warm = chain.resolve("a")
    assert (warm.index, warm.backend, warm.held) == (1, "middle", True)
    assert warm.source is Source.MEMO
    assert trail(warm) == [("front", ABSENT, True), ("middle", HELD, True)]
    assert asked(backends) == [0, 0, 0]


def test_a_name_that_nobody_holds_is_remembered_as_such(chain, backends, clock):
    """``held`` is False if all said so; that is forgotten after NEGATIVE_TTL."""
    for source in (Source.PROBE, Source.MEMO):
        found = chain.resolve("a")
        assert (found.index, found.backend, found.held) == (None, None, False)
        assert found.source is source
    assert asked(backends) == [1, 1, 1]
    backends[2].files["a"] = b"x"
    clock.tick(5)
    assert chain.resolve("a").index == 2
    assert asked(backends) == [1, 1, 1]


def test_a_failure_is_not_a_miss(chain, backends):
    """With a failure above the answer nothing is remembered, and held is not False."""
    backends[0].fail("exists", OSError("no outage"))
    for _ in range(2):
        found = chain.resolve("a")
        assert (found.index, found.held, found.source) == (None, None, Source.PROBE)
        assert [line.outcome for line in found.trail] == [FAILED, ABSENT, ABSENT]
    backends[1].files["a"] = b"x"
    assert chain.resolve("a").index == 1
    assert asked(backends) == [3, 3, 2]
    backends[0].heal()
    backends[0].files["a"] = b"x"
    assert chain.resolve("a").index == 0


@pytest.mark.parametrize("operation", ["exists", "url", "path"])
def test_a_failure_inside_an_inner_chain_is_not_a_miss_either(backends, operation):
    """An inner chain's ``exists`` passes over failures; what it says is not kept."""
    backends[0].files["a"] = b"x"
    chain = FallbackStorage([FallbackStorage(backends[:2]), *backends[2:]])
    backends[0].fail("exists")
    with suppress(NotImplementedError, ConnectionError):
        getattr(chain, operation)("a")
    assert chain.resolve("a").held is None
    backends[0].heal()
    assert chain.exists("a")
    assert chain.url("a") == backends[0].url("a")
    backends[0].fail("exists")
    with pytest.raises(ConnectionError):  # of this one nobody answers
        FallbackStorage([chain]).is_name_available("a")


def test_a_failure_below_the_answer_is_not_met(chain, backends):
    """A walk ends at the holder: what is below it may be broken."""
    backends[0].files["a"] = b"x"
    backends[1].fail("exists")
    assert chain.resolve("a").index == 0
    assert chain.resolve("a").source is Source.MEMO
    assert asked(backends) == [1, 0, 0]


def test_what_url_learned_is_used_by_exists(chain, backends):
    """A cold ``url`` asks all but the last; a later ``exists`` asks the last only."""
    backends[2].files["a"] = b"x"
    assert chain.url("a") == chain.url("a") == backends[2].url("a")
    assert asked(backends) == [1, 1, 0]
    assert chain.exists("a")
    assert chain.exists("a")
    assert asked(backends) == [0, 0, 1]


@pytest.mark.parametrize("operation", ["exists", "url", "open", "size", "path"])
@pytest.mark.parametrize("holder", [0, 1, 2, None])
def test_what_one_operation_learned_serves_all(chain, backends, operation, holder):
    """After any operation a second walk asks no backend known not to hold the name."""
    if holder is not None:
        backends[holder].files["a"] = b"x"
    try:
        answer = getattr(chain, operation)("a")
    except (FileNotFoundError, NotImplementedError):
        answer = None
    if operation == "open" and answer:
        answer.close()
    asked(backends)
    found = chain.resolve("a")
    assert (found.index, found.held) == (holder, holder is not None)
    one_left = operation == "url" and holder in {2, None}
    assert asked(backends) == [0, 0, 1 if one_left else 0]


@pytest.mark.parametrize("operation", ["open", "size", "get_modified_time"])
@pytest.mark.parametrize("moved_to", [0, 2, None])
def test_a_holder_that_lost_the_file_is_noticed(chain, backends, operation, moved_to):
    """The file went away behind our back: the name is resolved afresh, once."""
    backends[1].files["a"] = b"x"
    assert chain.exists("a")
    del backends[1].files["a"]
    if moved_to is not None:
        backends[moved_to].files["a"] = b"moved"
    asked(backends)
    if moved_to is None:
        with pytest.raises(FileNotFoundError):
            getattr(chain, operation)("a")
    else:
        getattr(chain, operation)("a")
    assert chain.stats()["lost_holders"] == 1
    method = "_open" if operation == "open" else operation
    last = 2 if moved_to is None else moved_to
    assert asked(backends, method) == [1, 1 + (last >= 1), int(last == 2)]
    assert chain.resolve("a").index == moved_to
    assert chain.exists("a") is (moved_to is not None)
    assert asked(backends) == [0, 0, 0]


def test_a_holder_that_fails_has_not_lost_the_file(chain, backends):
    """An outage of the holder is an outage: it is raised, and the memo keeps it."""
    backends[1].files["a"] = b"x"
    assert chain.exists("a")
    backends[1].fail("_open")
    with pytest.raises(ConnectionError, match="middle is down"):
        chain.open("a")
    backends[2].files["a"] = b"replica"
    assert chain.open("a").read() == b"replica"
    assert asked(backends, "_open") == [0, 2, 2]
    backends[1].heal()
    assert chain.open("a").read() == b"x"
    assert asked(backends, "_open") == [0, 1, 0]


@pytest.mark.parametrize("name", ["", ".", "d/", "./d//"])
def test_directories_by_spelling_are_never_remembered(chain, backends, name):
    """The root, and names with a trailing slash, are asked of the backends each time."""
    for _ in range(2):
        assert not chain.exists(name)
        with pytest.raises(FileNotFoundError):
            chain.size(name)
    assert asked(backends) == [2, 2, 2]
    assert chain.stats()["entries"] == chain.stats()["negative_entries"] == 0


# ALWAYS_PROBE


@pytest.mark.parametrize("live", [0, 1, 2])
@pytest.mark.parametrize("operation", ["exists", "url", "open", "size"])
def test_a_live_backend_is_asked_every_time(backends, live, operation):
    """Whatever others put into it, or take out, is seen at once."""
    chain = FallbackStorage(
        [entry(each, ALWAYS_PROBE=index == live) for index, each in enumerate(backends)]
    )
    truth = FallbackStorage(backends, cache=False)

    def answer(storage):
        try:
            found = getattr(storage, operation)("a")
        except FileNotFoundError as error:
            return type(error)
        return found.read() if operation == "open" else found

    for _ in range(2):
        for content in (None, b"1", b"22", None, b"333"):
            backends[live].files.pop("a", None)
            if content:
                backends[live].files["a"] = content
            assert answer(chain) == answer(truth)
    # The others, which hold nothing, were asked by the first call only.
    asked(backends)
    answer(chain)
    method = "_open" if operation == "open" else operation
    method = "exists" if operation == "url" else method
    others = [n for n, backend in enumerate(backends) if backend.count(method)]
    assert others in ([live], [live] if operation != "url" or live < 2 else [])


def test_a_live_backend_above_a_remembered_holder_wins_at_once(backends):
    """The memo knows the holder; a live backend above it that has the file now wins."""
    chain = FallbackStorage(
        [entry(backends[0], ALWAYS_PROBE=True), *map(entry, backends[1:])]
    )
    backends[2].files["a"] = b"old"
    assert chain.url("a") == backends[2].url("a")
    assert chain.exists("a")
    backends[0].files["a"] = b"new"
    assert chain.url("a") == backends[0].url("a")
    assert chain.open("a").read() == b"new"
    del backends[0].files["a"]
    assert chain.open("a").read() == b"old"
    assert chain.resolve("a").backend == "back"


# Who learns of a change


@pytest.fixture(params=["flat", "files", "memory"])
def two(request, tmp_path):
    """Two backends of one kind."""
    if request.param == "flat":
        return [RecordingStorage("front"), RecordingStorage("back")]
    if request.param == "memory":
        return [InMemoryStorage(base_url="/0/"), InMemoryStorage(base_url="/1/")]
    return [
        FileSystemStorage(tmp_path / label, base_url=f"/{label}/") for label in "01"
    ]


def ask(chain, name="d/a"):
    return (
        chain.exists(name),
        chain.exists("d"),
        chain.url(name),
        chain.resolve(name).index,
    )


@pytest.mark.parametrize("cached", [True, False], ids=["memo", "writer has none"])
def test_a_write_through_one_instance_is_seen_by_all(two, cached):
    """Instances of one chain, of a part of it and of its reverse, and a FileField's."""
    writer = FallbackStorage(two, None if cached else False)
    field = FileField(storage=FallbackStorage(two))
    readers = [
        writer,
        field.storage,
        FallbackStorage(two),
        FallbackStorage(two[::-1]),
        FallbackStorage(two[:1]),
        FallbackStorage([FallbackStorage(two), two[1]]),
    ]
    truths = [
        FallbackStorage(backends, cache=False)
        for backends in (two, two, two, two[::-1], two[:1], two)
    ]

    def check(held):
        for reader, truth in zip(readers, truths, strict=True):
            answers = ask(reader)
            assert answers[0] is held
            if reader is not readers[-1]:
                assert answers == ask(truth)
            assert answers[:3] == ask(truth)[:3]

    check(held=False)
    assert writer.save("d/a", ContentFile(b"1")) == "d/a"
    check(held=True)
    writer.delete("d/a")
    check(held=False)
    with writer.open("a", "wb") as file:
        file.write(b"2")
    assert all(reader.exists("a") for reader in readers)
    field.storage.delete("a")
    assert not any(reader.exists("a") for reader in readers)
    assert not writer.exists("d/a")


def test_a_name_that_the_package_refuses_was_written_all_the_same():
    """A backend that saves and returns an absolute name: what is known is forgotten."""

    class Absolute(RecordingStorage):
        def _save(self, name, content):
            return "/elsewhere/" + super()._save(name, content)

    chain = FallbackStorage([Absolute("odd")])
    assert not chain.exists("a")
    with pytest.raises(SuspiciousFileOperation):
        chain.save("a", ContentFile(b"1"))
    assert chain.exists("a")


def test_a_delete_needs_no_backend_that_it_does_not_reach(backends):
    """A file deleted from the first is gone, and so is what was known of it."""
    chain = FallbackStorage([backends[0], "no.such.Storage"])
    reader = FallbackStorage(backends)
    backends[0].files["a"] = b"x"
    assert chain.exists("a")
    assert reader.exists("a")
    chain.delete("a")
    assert not reader.exists("a")


@pytest.mark.parametrize("options", [{}, {"cache": False}, {"cache": {"TTL": 0}}])
@pytest.mark.parametrize("policy", [{}, {"ALWAYS_PROBE": True}])
def test_a_chain_of_one_backend_asks_it_nothing_for_a_url(backends, options, policy):
    """The only backend is the last one: its URL is the answer, with and without memo."""
    chain = FallbackStorage([entry(backends[0], **policy)], **options)
    assert chain.url("a") == chain.url("a") == backends[0].url("a")
    assert backends[0].count("exists") == 0
