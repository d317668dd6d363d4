"""``ping``: who is there, what the credentials may do; past breakers and memo."""

from __future__ import annotations

import json
import threading

import pytest
from fakes import RecordingStorage
from management.running import configure, run

from fallback_storage.storage import FallbackStorage
from fallback_storage.utils.workers import Workers

SECRET = "hunter2"


class Refusing(Exception):
    """As a client raises it: the status, and a text that nobody may see."""

    def __init__(self, status):
        super().__init__(SECRET)
        self.code = status


def told(*args, status=0):
    done = run("ping", "--json", *args)
    assert done.status == status, done
    assert SECRET not in done.out + done.err
    return {found["name"]: found for found in json.loads(done.out)}


def said(found):
    return {key: found[key]["answer"] for key in ("missing", "place", "lists", "reads")}


def test_a_healthy_chain_as_text(settings, media_root):
    """One line for each backend, and what may be done with it; nothing is written."""
    production = RecordingStorage("production", {"photos/a.jpg": b"1", "x.jpg": b"2"})
    local = {"BACKEND": "django.core.files.storage.FileSystemStorage", "NAME": "local"}
    (media_root / ".fallback-whiteouts").mkdir()
    (media_root / "deep" / "deeper").mkdir(parents=True)
    (media_root / "deep" / "deeper" / "a.jpg").touch()
    configure(settings, local, production)
    done = run("ping")
    assert (done.status, done.err) == (0, "")
    lines = iter(done.lines)
    assert next(lines).startswith("local: reachable, ")
    assert next(lines) == "  a missing name  absent"
    assert next(lines) == "  listing         yes (deep/deeper/a.jpg)"
    assert next(lines) == "  reading         yes (deep/deeper/a.jpg)"
    assert next(lines).startswith("RecordingStorage: reachable, ")
    assert list(lines) == [
        "  a missing name  absent",
        "  listing         yes (x.jpg)",
        "  reading         yes (x.jpg)",
    ]
    # The first question is one that makes a client: the second is what it takes.
    assert production.counts() == {"exists": 3, "listdir": 1, "_open": 1}


def test_a_name_to_read(settings):
    """It is read in each; that one of them has it is enough, as for any mirror."""
    chain = [RecordingStorage("a", {"y": b"1"}), RecordingStorage("b", {"x": b"1"})]
    configure(settings, *chain)
    found = told("--name", "./x")
    assert said(found["RecordingStorage"])["reads"] == "absent"
    assert said(found["RecordingStorage-2"])["reads"] == "yes"
    assert found["RecordingStorage-2"]["reads"]["file"] == "x"
    assert all(each["well"] for each in found.values())
    assert chain[0].count("_open") == 0


def test_a_name_that_nobody_has(settings):
    """Every backend is well, and yet the chain has not got what was asked for."""
    configure(settings, RecordingStorage("a"), RecordingStorage("b"))
    assert all(each["well"] for each in told("--name", "x", status=1).values())
    assert run("ping", "--name", "x").lines[-1] == "x: read from no backend"


def test_a_file_that_is_listed_and_not_there(settings):
    storage = RecordingStorage("a", {"x": b"1"})

    def forget(name):
        storage.files.clear()

    # It goes away between the two questions.
    storage.before("listdir", lambda name: storage.before("exists", forget))
    configure(settings, storage)
    assert said(told(status=1)["RecordingStorage"])["reads"] == "absent"


def test_nothing_to_read(settings):
    """Where nothing is listed, whether reading is allowed is not known."""
    configure(settings, RecordingStorage("empty"))
    found = told()["RecordingStorage"]
    assert said(found)["lists"] == "yes"
    assert said(found)["reads"] == "unknown"
    assert "  reading         unknown" in run("ping").lines


@pytest.mark.parametrize(
    ("error", "reachable", "missing"),
    [
        (ConnectionError(SECRET), False, "failed"),
        (Refusing(503), False, "failed"),
        (Refusing(403), True, "forbidden"),
        (Refusing(400), True, "failed"),
        (ValueError(SECRET), None, "failed"),
    ],
    ids=["refused", "503", "403", "400", "a bug"],
)
def test_a_backend_in_trouble(settings, error, reachable, missing):
    """Told by the type of what it raises; one that is not there is not asked on."""
    down = RecordingStorage("down", {"x": b"1"})
    down.fail("exists", error)
    configure(settings, RecordingStorage("well"), down)
    found = told(status=1)
    assert found["RecordingStorage"]["well"] is True
    found = found["RecordingStorage-2"]
    assert (found["reachable"], said(found)["missing"]) == (reachable, missing)
    assert found["missing"]["exception"] == type(error).__name__
    assert down.count("exists") == (1 if reachable is False else 2)
    assert down.count("listdir") == (0 if reachable is False else 1)
    assert SECRET not in run("ping").out


@pytest.mark.parametrize(("method", "key"), [("listdir", "lists"), ("_open", "reads")])
@pytest.mark.parametrize("status", [403, 400])
def test_what_is_not_allowed(settings, method, key, status):
    """A chain needs to read; to list is for ``warm`` and ``sync``."""
    storage = RecordingStorage("a", {"x": b"1"})
    storage.fail(method, Refusing(status))
    configure(settings, storage)
    is_well = (method, status) == ("listdir", 403)
    found = told("--name", "x", status=0 if is_well else 1)["RecordingStorage"]
    assert said(found)[key] == ("forbidden" if status == 403 else "failed")
    assert found["reachable"] is True


def test_a_storage_that_cannot_list(settings):
    configure(settings, RecordingStorage("a", unsupported=["listdir"]))
    assert said(told()["RecordingStorage"])["lists"] == "unsupported"


@pytest.mark.parametrize("method", ["exists", "listdir", "_open"])
def test_a_backend_that_hangs(settings, method):
    """It is given up, and the others are told of; nobody waits for it in the end."""
    over = threading.Event()
    stuck = RecordingStorage("stuck", {"x": b"1"})
    stuck.before(method, lambda name: over.wait(60))
    configure(settings, stuck, RecordingStorage("well"))
    try:
        found = told("--timeout", "0.1", status=1)
    finally:
        over.set()
    question = {"exists": "missing", "listdir": "lists", "_open": "reads"}[method]
    assert said(found["RecordingStorage"])[question] == "no answer"
    assert found["RecordingStorage"]["reachable"] is (method != "exists")
    assert found["RecordingStorage-2"]["well"] is True


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon"])
def test_a_wrong_timeout(settings, text):
    configure(settings, RecordingStorage("a"))
    done = run("ping", "--timeout", text)
    assert (done.status, done.out) == (1, "")
    assert "is no number of seconds" in done.err


def test_without_threads(settings, monkeypatch):
    """A process that may have none asks one after the other."""
    configure(settings, RecordingStorage("a"), RecordingStorage("b"))
    monkeypatch.setattr(Workers, "begin", lambda self, function: None)
    assert all(found["well"] for found in told().values())


def test_a_chain_within_the_chain(settings):
    """Its backends are asked, past its memo."""
    inner = FallbackStorage([RecordingStorage("a", {"x": b"1"}), RecordingStorage("b")])
    assert inner.exists("x")
    configure(settings, RecordingStorage("outer"), inner)
    found = told()
    assert list(found) == [
        "RecordingStorage",
        "FallbackStorage/RecordingStorage",
        "FallbackStorage/RecordingStorage-2",
    ]
    assert inner.backends[0].storage.count("exists") == 4


def test_past_an_open_breaker(settings):
    """Its state is told; what is found out is no answer to it."""
    storage = RecordingStorage("a", {"x": b"1"})
    chain = configure(settings, storage, RecordingStorage("b"))
    assert told()["RecordingStorage"]["breaker"] == "closed"
    storage.fail("exists")
    for _ in range(3):
        chain.exists("y")
    storage.heal()
    found = told()["RecordingStorage"]
    assert (found["well"], found["breaker"]) == (True, "open")
    assert set(said(found).values()) == {"absent", "unknown", "yes"}
    assert 0 < found["retry_in"] < 12
    assert "  breaker         open, asked again in 1" in run("ping").out
    assert chain.stats()["backends"]["RecordingStorage"]["breaker"] == "open"


def test_the_memo_is_no_answer(settings):
    """What it knows is not asked, nor is what is found out remembered."""
    storage = RecordingStorage("a", {"x": b"1"})
    chain = configure(settings, storage)
    assert chain.exists("x")
    before = chain.stats()
    assert list(told()) == ["RecordingStorage"]
    assert {**chain.stats(), "backends": None} == {**before, "backends": None}


@pytest.mark.parametrize(
    "more", [{}, {"VARY": "django.utils.translation.get_language"}], ids=["", "vary"]
)
def test_a_shared_memo(settings, shared, more):
    """It is asked itself; nothing is written there."""
    chain = configure(settings, RecordingStorage("a"), cache={"ALIAS": "media", **more})
    found = told()["memo"]
    assert (found["reachable"], found["well"]) == (True, True)
    assert run("ping").lines[-1].startswith("memo: reachable, ")
    store = chain._get_engine().memo.store
    while hasattr(store, "_store"):
        store = store._store
    store.ping = lambda: 1 / 0
    found = told(status=1)["memo"]
    assert found["reachable"] is None
    assert found["missing"]["exception"] == "ZeroDivisionError"


def test_a_redis_that_went_away(settings, valkey):
    pytest.importorskip("redis")
    settings.CACHES = {
        "media": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"redis://:{SECRET}@127.0.0.1:{valkey.port}",
        }
    }
    configure(settings, RecordingStorage("a"), cache="media")
    valkey.stop()
    found = told(status=1)["memo"]
    assert (found["reachable"], found["missing"]["answer"]) == (False, "failed")
