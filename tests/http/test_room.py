"""Room for so many requests at a time: none is lost, whatever ends a request."""

from __future__ import annotations

import gc
import itertools
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from interrupts import at_every_moment
from origins import BODY, origin, reply

from fallback_storage.exceptions import OriginError, OriginUnreachableError
from fallback_storage.http import HTTPStorage, body, soft, storage
from fallback_storage.http import origin as asking
from fallback_storage.utils import room

PAGE = b"<html>welcome</html>"


@pytest.fixture
def site():
    with origin({"/media/a.jpg": BODY, "/media/big.jpg": bytes(1_000_000)}) as site:
        yield site


@pytest.fixture
def narrow(site):
    """A storage with room for one request, and little patience."""
    storage = HTTPStorage(site.base_url, max_requests=1, timeout=0.5)
    yield storage
    storage._origin.close()


@pytest.fixture
def no_collector():
    gc.collect()
    gc.freeze()  # what is here already takes no time
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


def test_a_stream_that_nobody_began_makes_room(narrow, no_collector):
    stream = narrow.stream("big.jpg")
    del stream
    assert narrow.exists("a.jpg")
    stream = narrow.stream("big.jpg")
    stream.close()
    assert narrow.exists("a.jpg")


def test_a_page_in_a_files_place_needs_no_room_for_two(site, narrow):
    site.answer = lambda request: reply(
        200, PAGE, request=request, Content_Type="text/html"
    )
    for name in ("a.jpg", "page.html", "no-extension"):
        with pytest.raises(FileNotFoundError):
            narrow.open(name)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="cached_property has a lock")
def test_threads_that_are_the_first_share_the_room(site):
    """The options are read by two threads, none of which goes on before the other."""
    barrier = threading.Barrier(2)

    class Headers(dict):
        def __iter__(self):  # a dict with one of its own is asked for its keys
            return super().__iter__()

        def keys(self):
            if threading.current_thread() is not threading.main_thread():
                barrier.wait(10)
            return super().keys()

    storage = HTTPStorage(site.base_url, headers=Headers({"X-Key": "k"}))
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(lambda: storage._origin) for _ in range(2)]
        first, second = (each.result(10) for each in asked)
    assert first is second
    first.close()


# What is left open is closed when its frames go, and says so.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_interrupt_costs_no_room_and_leaves_no_answer_half_read(site):
    """At every moment of a question and of a download. Without room the next one fails."""
    storage_ = HTTPStorage(site.base_url, max_requests=1, timeout=5)

    def act():
        assert storage_.exists("a.jpg")
        with storage_.open("a.jpg") as file:
            assert file.read() == BODY

    act()
    modules = [asking, body, room, soft, storage]
    assert sum(act() is None for _ in at_every_moment(modules, act)) > 50
    storage_._origin.close()


@pytest.mark.slow
def test_a_collection_at_any_moment_makes_room(site, no_collector):
    """An answer is collected while its room is given to another one, or taken back."""
    storage_ = HTTPStorage(site.base_url, max_requests=2, timeout=5)
    files = {asking.__file__, room.__file__, threading.__file__}
    left = 0

    def lose_one():
        cycle = [storage_.stream("big.jpg")]
        cycle.append(cycle)
        next(cycle[0])

    def collect(frame, event, argument):
        nonlocal left
        if frame.f_code.co_filename in files:
            left -= 1
            if left == 0:
                gc.collect()

    for moment in itertools.count(1):
        lose_one()
        left = moment
        sys.setprofile(collect)
        try:
            assert storage_.exists("a.jpg")
        finally:
            sys.setprofile(None)
        if left > 0:
            break
    gc.collect()
    assert moment > 20
    with storage_._origin.ask("HEAD", f"{site.base_url}a.jpg"):
        assert storage_.exists("a.jpg")  # room for two
    storage_._origin.close()


def test_an_error_that_is_kept_keeps_no_room(site, narrow):
    site.answer = lambda request: reply(500, b"", request=request)
    kept = []
    for _ in range(3):
        with pytest.raises(OriginError, match="500") as raised:
            narrow.open("a.jpg")
        kept.append(raised.value)


# Connections.


def test_connections_that_all_went_stale_are_made_anew_at_once(site):
    """As after a night: each is closed by the server when it is used again."""
    storage_ = HTTPStorage(site.base_url, timeout=5)
    together = threading.Barrier(4)
    site.answer = lambda request: (together.wait(10), site.serve(request))[1]
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(storage_.exists, ["a.jpg"] * 4))
    assert site.connections == 4
    site.answer = lambda request: None if site.connections == 4 else site.serve(request)
    assert storage_.exists("a.jpg")
    assert site.connections == 5
    storage_._origin.close()


def test_a_new_connection_that_is_closed_is_not_tried_again(site, narrow):
    site.answer = lambda request: None
    with pytest.raises(OriginUnreachableError):
        narrow.exists("a.jpg")
    assert len(site.requests) == 1


@pytest.mark.parametrize("rest", [b"of a page\r\n", b"\r\n", b"HTTP/1.1 two\r\n\r\n"])
def test_a_connection_out_of_step_is_not_used_again(site, narrow, rest):
    assert narrow.exists("a.jpg")
    site.answer = lambda request: rest if site.connections == 1 else site.serve(request)
    assert narrow.exists("a.jpg")
    assert site.connections == 2


def test_a_storage_that_is_gone_keeps_no_connection(site, no_collector):
    ended = threading.Event()
    site.closed = ended.set
    site.answer = lambda request: reply(
        200, PAGE, request=request, Content_Type="text/html"
    )
    storage_ = HTTPStorage(site.base_url)
    assert not storage_.exists("a.jpg")
    del storage_
    assert ended.wait(10)
