"""Who tries whether a server is back waits for a moment; his call, for its deadline."""

from __future__ import annotations

import threading

import pytest
from forked import needs_fork, run
from silent import SilentStorage, silent

from fallback_storage.chain import reach
from fallback_storage.exceptions import BackendUnavailable
from fallback_storage.storage import FallbackStorage

DEADLINE = 15


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """Pauses are as long as they are written, and nobody waits who need not."""
    monkeypatch.setattr(reach, "JITTER", 0)
    monkeypatch.setattr(reach, "TRIAL_WAIT", 0)


@pytest.fixture
def mirror(clock):
    """A chain whose production has been away for a pause; it has ``a``, and hangs."""

    class Chain(FallbackStorage):
        pass

    Chain.clock = clock
    entry = silent(NAME="production", READ_ONLY=True, DEADLINE=DEADLINE)
    chain = Chain([{"BACKEND": "fakes.RecordingStorage"}, entry], cache=False)
    production = chain.backends[1].storage
    production.files["a"] = b"1"
    production.fail("exists", ConnectionError())
    for _ in range(3):
        chain.exists("a")
    production.heal()
    production.hang()
    production.reset()
    clock.tick(10)
    yield chain
    production.answer()


@pytest.fixture
def production(mirror):
    return mirror.backends[1].storage


def state(mirror):
    told = mirror.stats()["backends"]["production"]
    return told["breaker"], told["retry_in"]


def until(condition):
    for _ in range(20_000):
        if condition():
            return
        threading.Event().wait(0.001)
    raise AssertionError


def idle(mirror):
    """Whether the thread of the one that tried has said what there was to say."""
    return mirror.backends[1].reach._workers.idle == 1


def test_an_answer_within_a_moment(mirror, production, monkeypatch):
    """All is as before, after this one call."""
    monkeypatch.setattr(reach, "TRIAL_WAIT", 20)
    found = []
    asks = threading.Thread(target=lambda: found.append(mirror.exists("a")))
    asks.start()
    production.wait_for(1)
    production.answer()
    asks.join(30)
    assert found == [True]
    assert state(mirror) == ("closed", None)
    assert production.count() == 1


def test_an_answer_that_comes_later(mirror, production):
    """The next one gets his, and waits for it: this server is slow, and is there."""
    assert not mirror.exists("a")
    assert state(mirror) == ("trial", 20)
    with pytest.raises(BackendUnavailable, match=r"ConnectionError.*again in 20 s"):
        mirror.size("a")
    assert mirror.stats()["backends"]["production"]["given_up"] == 1
    production.wait_for(1)
    assert production.count() == 1
    assert not mirror.exists("b")
    production.answer()
    until(lambda: idle(mirror))
    assert state(mirror) == ("open", 0)
    production.hang()
    found = []
    asks = threading.Thread(target=lambda: found.append(mirror.exists("a")))
    asks.start()
    production.wait_for(2)
    production.answer()
    asks.join(30)
    assert found == [True]
    assert state(mirror) == ("closed", None)
    assert production.count() == 2


def test_no_answer_at_all(mirror, production, clock):
    """The pause doubles; nobody else tries before the deadline is over."""
    pauses = []
    for _ in range(4):
        assert not mirror.exists("a")
        assert state(mirror)[0] == "trial"
        pauses.append(state(mirror)[1])
        clock.tick(pauses[-1])
    assert pauses == [20, 40, 60, 60]
    production.wait_for(4)
    assert production.count() == 4


def test_who_has_waited_for_a_slow_server_in_vain(mirror, production, clock):
    """The next one waits for a moment again."""
    mirror.exists("a")
    production.answer()
    until(lambda: idle(mirror))
    production.fail("exists", ConnectionError())
    assert not mirror.exists("a")
    assert state(mirror) == ("open", 40)
    production.heal()
    production.hang()
    clock.tick(40)
    assert not mirror.exists("a")
    assert state(mirror)[0] == "trial"


@pytest.mark.parametrize(
    ("seconds", "error", "retry_in"),
    [
        (DEADLINE, None, 0),
        (DEADLINE, PermissionError("403"), 0),
        (0, ConnectionError(), 20),
        (DEADLINE + 1, None, 4),
    ],
)
def test_what_comes_late_is_an_answer(
    mirror, production, clock, seconds, error, retry_in
):
    """If it comes within the deadline, and is none that tells of the outage."""
    mirror.exists("a")
    clock.tick(seconds)
    if error:
        production.fail("exists", error)
    production.answer()
    until(lambda: idle(mirror))
    assert state(mirror)[1] == retry_in


def test_a_file_that_comes_later_is_closed(mirror, production):
    closed = threading.Event()

    class Opener(SilentStorage):
        def _open(self, name, mode="rb"):
            file = super()._open(name, mode)
            file.close = closed.set
            return file

    production.__class__ = Opener
    with pytest.raises(BackendUnavailable):
        mirror.open("a")
    production.answer()
    assert closed.wait(30)
    assert state(mirror) == ("open", 0)


def test_a_listing_that_takes_long_proves_nothing(mirror, clock):
    """When its deadline is over, the next one may try."""
    assert mirror.listdir("") == ([], [])
    assert state(mirror) == ("trial", DEADLINE)
    clock.tick(DEADLINE)
    assert state(mirror) == ("open", 0)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_ctrl_c_when_one_leaves(mirror, production, monkeypatch, moment):
    """The next one may try, or the call goes on as it would have."""
    breaker = mirror.backends[1].reach.breaker
    real = breaker.leave_trial

    def leave(*args, **kwargs):
        if moment == "after":
            real(*args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(breaker, "leave_trial", leave)
        with pytest.raises(KeyboardInterrupt):
            mirror.exists("a")
    assert state(mirror) == (("open", 0) if moment == "before" else ("trial", 20))
    production.answer()
    until(lambda: idle(mirror))
    assert mirror.exists("a")
    assert state(mirror) == ("closed", None)


@needs_fork
@pytest.mark.slow
def test_a_child_that_is_forked_while_one_tries():
    """It knows of no outage, and has no such call."""
    run(
        """
        import logging
        from fallback_storage.chain import reach
        from silent import silent

        logging.disable()
        reach.TRIAL_WAIT = 0
        chain = FallbackStorage([silent(DEADLINE=9, RETRY_AFTER=0.001)], cache=False)
        storage, way = chain.backends[0].storage, chain.backends[0].reach
        storage.fail("size", ConnectionError())
        for _ in range(3):
            try:
                chain.size("a")
            except ConnectionError:
                pass
        storage.heal()
        storage.hang()
        while way.breaker.rests:
            pass
        try:
            chain.exists("a")
        except ConnectionError:
            assert way.breaker.state == "trial"

        def ask():
            assert way.breaker.state == "closed"
            storage.answer()
            assert chain.exists("a") is False
            assert way.breaker.state == "closed"

        in_child(ask)
        assert way.breaker.state == "trial"
        storage.answer()
        """
    )
