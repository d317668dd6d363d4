"""The methods for async views: the same answers, and the event loop goes on."""

from __future__ import annotations

import asyncio
import inspect
import threading

import pytest
from django.core.cache import caches
from django.core.files.storage import FileSystemStorage
from fakes import RecordingStorage
from overlay.parts import read_only, writable

from fallback_storage.chain.outcomes import Resolution
from fallback_storage.exceptions import FileNotInAnyBackendError
from fallback_storage.operations.awaited import Awaited
from fallback_storage.signals import resolved
from fallback_storage.storage import FallbackStorage

CONTENT = b"all of it" * 1000
CALLS = {
    "aexists": ("a.txt",),
    "aurl": ("a.txt",),
    "aresolve": ("a.txt",),
    "aresolve_many": (["a.txt", "gone.txt"],),
    "aopen": ("a.txt",),
    "aprefetch": (["a.txt", "gone.txt"],),
}


@pytest.fixture
def production():
    return RecordingStorage("production", {"a.txt": CONTENT})


@pytest.fixture
def make(tmp_path, production):
    home = FileSystemStorage(tmp_path / "home")

    def make(**options):
        return FallbackStorage([writable(home), read_only(production)], **options)

    return make


def test_each_method_is_tested():
    assert set(CALLS) == {
        name for name, _ in inspect.getmembers(Awaited, inspect.iscoroutinefunction)
    }


@pytest.mark.parametrize("cache", [None, False], ids=["memo", "no-memo"])
@pytest.mark.parametrize("method", CALLS)
def test_the_answer_is_that_of_the_method_without_a(make, cache, method):
    for _ in range(2):
        chain, other = make(cache=cache), make(cache=cache)
        found = asyncio.run(getattr(chain, method)(*CALLS[method]))
        expected = getattr(other, method[1:])(*CALLS[method])
        if method == "aopen":
            with found, expected:
                assert found.name == "a.txt"
                assert found.read() == expected.read() == CONTENT
        else:
            assert told(found) == told(expected)


def told(answer):
    """What is the same each time: walks take another time."""
    if isinstance(answer, dict):
        return {name: told(each) for name, each in answer.items()}
    if isinstance(answer, Resolution):
        return answer.name, answer.index, answer.held, answer.source
    return answer


@pytest.mark.parametrize("method", CALLS)
def test_the_event_loop_goes_on_while_a_backend_is_asked(make, production, method):
    """The backend waits for what the loop does meanwhile."""
    chain, went_on, threads = make(cache=False), threading.Event(), set()

    def wait(*args):
        threads.add(threading.get_ident())
        assert went_on.wait(60)

    for name in ("exists", "_open", "url"):
        production.before(name, wait)

    async def visit():
        asked = asyncio.ensure_future(getattr(chain, method)(*CALLS[method]))
        while not threads and not asked.done():
            await asyncio.sleep(0)
        went_on.set()
        found = await asked
        if method == "aopen":
            found.close()
        return threading.get_ident()

    loop = asyncio.run(visit())
    assert loop not in threads


def test_what_is_known_to_be_elsewhere_needs_no_thread(make, production, tmp_path):
    """What is in a local directory is looked at, which a disk may take its time for."""
    chain = make()
    assert chain.exists("a.txt")

    coroutine = chain.aexists("a.txt")
    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)  # it comes to its end without any loop
    assert ended.value.value is True
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "b.txt").write_bytes(b"b")
    assert chain.exists("b.txt")
    (tmp_path / "home" / "b.txt").unlink()
    assert asyncio.run(chain.aexists("b.txt")) is False


def test_a_subclass_is_asked_by_its_own_method(make):
    class Sub(FallbackStorage):
        def exists(self, name):
            return False

    chain = Sub(backends=make()._given["backends"])
    assert chain.resolve("a.txt").held
    assert asyncio.run(chain.aexists("a.txt")) is False


def test_who_listens_is_told(make):
    chain, told = make(), []

    def listen(resolution, **kwargs):
        told.append(resolution.name)

    resolved.connect(listen)
    try:
        for _ in range(2):
            assert asyncio.run(chain.aexists("a.txt"))
    finally:
        resolved.disconnect(listen)
    assert told == ["a.txt", "a.txt"]


def test_what_aprefetch_has_learned_is_known_to_the_view(make, production):
    """Its snapshot is that of the task, whatever becomes of the shared memo."""
    chain = make(cache="default")

    async def visit():
        await chain.aprefetch(["a.txt"], complete=True)
        asked = production.count("exists")
        caches["default"].clear()
        assert await chain.aexists("a.txt")
        assert production.count("exists") == asked
        return asked

    assert asyncio.run(visit()) == 1


def test_errors_are_those_of_the_method_without_a(make):
    with pytest.raises(FileNotInAnyBackendError):
        asyncio.run(make().aopen("gone.txt"))
    with pytest.raises(TypeError):
        asyncio.run(make().aresolve_many("a.txt"))
