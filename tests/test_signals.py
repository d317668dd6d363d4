"""What monitoring is told, and that telling nobody costs nothing."""

from __future__ import annotations

import gc
import threading
from contextlib import suppress

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage
from fakes import RecordingStorage

from fallback_storage import signals
from fallback_storage.chain.outcomes import Outcome
from fallback_storage.signals import backend_failed, called, promoted, resolved
from fallback_storage.storage import FallbackStorage


class Chain(FallbackStorage):
    """A class of its own, to be the sender."""


def entry(storage, **policy):
    return {
        "BACKEND": "typing.cast",
        "OPTIONS": {"typ": Storage, "val": storage},
        "NAME": storage.label,
        **policy,
    }


@pytest.fixture
def backends():
    return [RecordingStorage("front"), RecordingStorage("back", {"b": b"12"})]


@pytest.fixture
def chain(backends):
    return Chain(backends_of(backends))


def backends_of(backends):
    return [entry(backend) for backend in backends]


@pytest.fixture
def told():
    """Listen to signals: what they tell, in order."""
    received = []
    connected = []

    def listen(signal):
        def receive(sender, storage, **data):
            data.pop("signal")
            received.append((sender, storage, data))

        signal.connect(receive)
        connected.append((signal, receive))
        return received

    yield listen
    for signal, receive in connected:
        signal.disconnect(receive)


READS = {
    "url": lambda chain: chain.url("b"),
    "exists": lambda chain: chain.exists("b"),
    "open": lambda chain: chain.open("b").close(),
    "size": lambda chain: chain.size("b"),
    "get_modified_time": lambda chain: chain.get_modified_time("b"),
    "resolve": lambda chain: chain.resolve("b"),
    "resolve_many": lambda chain: chain.resolve_many(["b"]),
    "prefetch": lambda chain: chain.prefetch(["b"]),
}


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("operation", READS)
def test_a_resolution_is_told_once(chain, told, operation, warm):
    """Of every operation, also where the memo answers."""
    if warm:
        chain.resolve("b")
    received = told(resolved)
    READS[operation](chain)
    ((sender, storage, data),) = received
    assert sender is Chain
    assert storage is chain
    assert data.keys() == {"operation", "resolution"}
    assert data["operation"] == operation
    resolution = data["resolution"]
    assert resolution.name == "b"
    asked_last = warm is False and operation not in {"url", "prefetch"}
    assert len(resolution.trail) == (2 if asked_last or resolution.index == 1 else 1)
    *above, last = resolution.trail
    assert all(attempt.remembered is warm for attempt in above)
    # What the holder itself answers is always asked of it.
    fetched = operation in {"open", "size", "get_modified_time"}
    assert last.remembered is (warm and not fetched)
    if operation in {"url", "prefetch"}:
        assert resolution.held is None
    else:
        assert (resolution.index, resolution.held) == (1, True)
    with pytest.raises(AttributeError):
        resolution.name = "c"


def test_path_tells_as_well(tmp_path, told):
    chain = Chain([FileSystemStorage(tmp_path)])
    received = told(resolved)
    chain.path("a")
    assert [data["operation"] for _, _, data in received] == ["path"]


def test_many_names_are_told_one_by_one(chain, told):
    received = told(resolved)
    chain.resolve_many(["b", "./b", "none", "a"])
    assert [data["resolution"].name for *_, data in received] == ["b", "none", "a"]


@pytest.fixture
def peeked(chain):
    """The names that the memo answered for alone, of which nobody is told."""
    engine, names = chain._get_engine(), []
    peek = engine.peek

    def recording(name):
        names.append(name)
        return peek(name)

    engine.peek = recording
    return names


@pytest.mark.parametrize("call", [Chain.exists, Chain.url])
def test_without_receivers_the_memo_answers_alone(chain, told, peeked, call):
    """Until somebody listens."""
    call(chain, "b")
    call(chain, "b")
    assert peeked == ["b", "b"]
    received = told(resolved)
    call(chain, "b")
    assert (len(received), len(peeked)) == (1, 2)


@pytest.mark.parametrize("how", ["disconnect", "gone"])
def test_when_the_last_receiver_has_gone_all_is_as_before(chain, peeked, how):
    """Disconnected, or thrown away: receivers are held weakly."""
    received = []

    class Receiver:
        def receive(self, **kwargs):
            received.append(kwargs["operation"])

    receiver = Receiver()
    resolved.connect(receiver.receive)
    chain.exists("b")
    assert received == ["exists"]
    if how == "disconnect":
        assert resolved.disconnect(receiver.receive)
    del receiver
    gc.collect()
    chain.exists("b")  # if it was thrown away, that is found now
    assert received == ["exists"]
    assert len(peeked) == (how == "disconnect")
    chain.exists("b")
    assert len(peeked) == 1 + (how == "disconnect")


def test_of_several_receivers_each_is_told_until_it_goes(chain, peeked):
    first, second = [], []

    def one(operation, **kwargs):
        first.append(operation)

    def two(operation, **kwargs):
        second.append(operation)

    resolved.connect(one)
    resolved.connect(two, sender=FallbackStorage)  # not our class
    chain.exists("b")
    resolved.disconnect(one)
    chain.exists("b")
    assert peeked == []
    resolved.disconnect(two, sender=FallbackStorage)
    chain.exists("b")
    assert peeked == ["b"]
    assert (first, second) == (["exists"], [])


@pytest.mark.parametrize("signal", [resolved, called, backend_failed])
def test_a_receiver_that_raises_breaks_nothing(chain, backends, told, signal, caplog):
    """The call goes on, and so do the other receivers."""

    def broken(**kwargs):
        raise ZeroDivisionError

    signal.connect(broken)
    try:
        received = told(signal)
        backends[0].fail("exists")
        assert chain.exists("b")
        assert received
    finally:
        signal.disconnect(broken)
    assert "ZeroDivisionError" in caplog.text


# Failures


@pytest.mark.parametrize(
    "operation", ["exists", "url", "resolve", "resolve_many", "size"]
)
def test_a_failure_is_told_once(chain, backends, told, operation):
    """With the backend, the question, the exception and the time; not for "absent"."""
    error = ConnectionError("secret")
    backends[0].fail("exists", error)
    backends[0].fail("size", error)
    received = told(backend_failed)
    READS[operation](chain)
    ((sender, storage, data),) = received
    assert (sender, storage) == (Chain, chain)
    failure = data["failure"]
    asked = "size" if operation == "size" else "exists"
    assert (failure.backend, failure.operation, failure.name) == ("front", asked, "b")
    assert failure.exception is error
    assert failure.seconds >= 0
    with pytest.raises(AttributeError):
        failure.name = "c"


def test_each_failed_line_of_a_trail_is_told(chain, backends, told):
    """As many failures as lines, of one name and of many."""
    received = told(backend_failed)
    for backend in backends:
        backend.fail("exists")
    found = [*chain.resolve_many(["a", "b", "c"]).values(), chain.resolve("d")]
    lines = [
        (resolution.name, attempt.backend, attempt.exception)
        for resolution in found
        for attempt in resolution.trail
        if attempt.outcome is Outcome.FAILED
    ]
    assert len(lines) == 8
    failures = [data["failure"] for *_, data in received]
    assert sorted((each.name, each.backend) for each in failures) == sorted(
        line[:2] for line in lines
    )


def test_a_failed_write_is_told(chain, backends, told):
    backends[0].fail("_save")
    received = told(backend_failed)
    chain.save("new", ContentFile(b"x"))
    assert [data["failure"].operation for *_, data in received] == ["save"]


@pytest.mark.parametrize(
    "error", [FileNotFoundError(), NotImplementedError(), SuspiciousFileOperation()]
)
def test_what_is_no_failure_is_not_told(chain, backends, told, error):
    """Absent, unsupported, and what is raised at once."""
    received = told(backend_failed)
    backends[0].fail("exists", error)
    with suppress(SuspiciousFileOperation):
        chain.exists("b")
    assert received == []


def test_every_call_of_a_backend_is_told(chain, backends, told):
    """In the thread that makes it."""
    received = told(called)
    backends[0].fail("exists")
    chain.resolve_many(["a", "b"])
    assert [(data["backend"], data["failed"]) for *_, data in received] == [
        ("front", True),
        ("front", True),
        ("back", False),
        ("back", False),
    ]
    received.clear()
    chain.exists("b")
    assert len(received) == 2  # not remembered: a backend failed


def test_a_signal_comes_in_the_thread_of_the_call(chain):
    threads = []

    def receive(**kwargs):
        threads.append(threading.get_ident())

    resolved.connect(receive)
    thread = threading.Thread(target=chain.exists, args=("b",))
    thread.start()
    ident = thread.ident
    thread.join(10)
    resolved.disconnect(receive)
    assert threads == [ident]


def test_a_chain_whose_storage_is_gone_tells_nobody(told):
    """There is no instance to tell of."""
    received = told(called)
    signals.send(called, None, backend="x", seconds=0.0, failed=False)
    assert received == []


# Promotion


@pytest.fixture
def promoting(tmp_path):
    remote = RecordingStorage("remote", {"a": b"1234", "b": b"12"})
    local = FileSystemStorage(tmp_path)
    return Chain([local, entry(remote, READ_ONLY=True)], promote=True)


def test_a_copy_is_told_once(promoting, told):
    """When it was made, not when it was there already."""
    received = told(promoted)
    for _ in range(2):
        promoting.open("a").close()
    ((sender, storage, data),) = received
    assert (sender, storage) == (Chain, promoting)
    promotion = data["promotion"]
    names = [backend.name for backend in promoting.backends]
    assert (promotion.name, promotion.source, promotion.target) == ("a", *names[::-1])
    assert promotion.seconds >= 0
    with pytest.raises(AttributeError):
        promotion.name = "c"


def test_no_copy_is_not_told(promoting, told, tmp_path):
    """It failed, it is not there, or somebody else was first."""
    received = told(promoted)
    promoting.exists("a")
    (tmp_path / "a").write_bytes(b"by hand")  # the memo still says: remote
    with promoting.open("a") as file:
        assert file.read() == b"by hand"
    with pytest.raises(FileNotFoundError):
        promoting.open("none")
    promoting.backends[1].storage.fail("_open")
    with pytest.raises(ConnectionError):
        promoting.open("b")
    assert received == []
