"""``resolve``: what each backend says, what the memo said before, and the URL."""

from __future__ import annotations

import json
import re

import pytest
from caches import RecordingCache
from django.core.files.storage import FileSystemStorage
from fakes import RecordingStorage
from management.running import configure, run
from overlay.parts import read_only, writable

from fallback_storage.management.resolve import _memo_text, _without_secrets

SECRET = "hunter2-hunter2"
SHARED = {"cache": "media"}


@pytest.fixture
def backends():
    return [
        RecordingStorage("local", {"both": b"1"}),
        RecordingStorage("production", {"a": b"1", "both": b"1"}),
        RecordingStorage("archive", {"a": b"1"}),
    ]


def chain(settings, backends, **options):
    front, *rest = backends
    entries = [writable(front, "local")]
    entries += [read_only(each, each.label) for each in rest]
    return configure(settings, *entries, **options)


def found_of(*args):
    done = run("resolve", "--json", *args)
    return json.loads(done.out)


def times_removed(text):
    """What is printed, with the times replaced."""
    return [
        " ".join("T" if part.replace(".", "").isdecimal() else part for part in words)
        for words in map(str.split, text.splitlines())
    ]


def test_what_each_backend_says(settings, backends):
    chain(settings, backends)
    backends[0].fail("exists", ConnectionError(SECRET))
    done = run("resolve", "a")
    assert done.status == 0
    assert times_removed(done.out) == [
        "a: held by production",
        "local failed T ms (ConnectionError)",
        "production held T ms",
        "archive not asked",
        "memo: nothing known in this process",
        "URL: https://production.example/a",
    ]
    assert SECRET not in done.out + done.err


def test_what_is_known_by_grace(settings, backends, clock, monkeypatch):
    """Why the memo is believed; its entry is over."""
    storage = chain(settings, backends)
    monkeypatch.setattr(type(storage), "clock", clock)
    backends[2].files.clear()
    storage.resolve("a")
    clock.tick(301)
    backends[1].fail("exists", ConnectionError(SECRET))
    done = run("resolve", "a")
    assert done.status == 0
    assert times_removed(done.out) == [
        "a: held by production",
        "local absent T ms",
        "production held by grace: cannot be reached (ConnectionError)",
        "archive not asked",
        "memo: nothing known in this process",
        "URL: https://production.example/a",
    ]
    (found,) = found_of("a")
    assert found["backends"][1]["remembered"] is True
    assert SECRET not in done.out + done.err


def test_every_backend_without_the_memo(settings, backends):
    """Also those below the first that has it; the memo is neither asked nor filled."""
    storage = chain(settings, backends)
    done = run("resolve", "a", "both", "--no-memo")
    assert done.status == 0
    assert times_removed(done.out) == [
        "a: held by production (and by archive)",
        "local absent T ms",
        "production held T ms",
        "archive held T ms",
        "URL: https://production.example/a",
        "both: held by local (and by production)",
        "local held T ms",
        "production held T ms",
        "archive absent T ms",
        "URL: https://local.example/both",
    ]
    stats = storage.stats()
    assert not any(stats[key] for key in ("hits", "misses", "fills", "negative_hits"))


def test_the_memo_is_left_alone_also_where_it_knows(settings, backends):
    storage = chain(settings, backends)
    assert storage.resolve("a").backend == "production"
    for backend in backends[1:]:
        backend.files.clear()
    assert run("resolve", "a").status == 0
    done = run("resolve", "a", "--no-memo")
    assert done.status == 1
    assert done.lines[0] == "a: held by no backend"
    assert storage.resolve("a").backend == "production"


def test_what_the_memo_knew(settings, backends, shared):
    """In words, and for how long it will."""
    storage = chain(settings, backends)
    assert storage.url("a")
    done = run("resolve", "a")
    assert 'memo: "not above archive"' not in done.out
    assert '  memo: "held by production", 300 s left' in done.lines
    chain(settings, backends, **SHARED)
    assert "  memo: nothing known" in run("resolve", "a").lines
    done = run("resolve", "a")
    assert re.search('memo: "held by production", (29.|300) s left', done.out)
    assert times_removed(done.out)[1:3] == [
        "local absent from the memo",
        "production held from the memo",
    ]


def test_a_store_that_cannot_tell_for_how_long():
    """As one of somebody else may be."""
    memo = {"entry": "no backend", "seconds_left": None}
    assert _memo_text(memo) == '"no backend", age unknown'


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda storage: storage.url("x"), "not above archive"),
        (lambda storage: storage.exists("x"), "no backend"),
        (lambda storage: storage.exists("a"), "held by production"),
    ],
)
def test_the_words_for_what_it_knew(settings, backends, prepare, words):
    storage = chain(settings, backends)
    prepare(storage)
    name = "a" if "held" in words else "x"
    ((memo),) = [each["memo"] for each in found_of(name)]
    assert memo["entry"] == words
    assert 0 < memo["seconds_left"] <= 300


def test_a_hidden_file(settings, backends):
    """It was deleted here: the copies below are not asked, and its URL is the local."""
    storage = chain(settings, backends, on_delete="whiteout")
    storage.delete("a")
    for args in ([], ["--no-memo"], []):
        done = run("resolve", "a", *args)
        assert done.status == 1
        assert done.lines[0] == "a: deleted here, and hidden by a whiteout"
        assert done.lines[-1] == "  URL:  https://local.example/a"
        assert [line.split()[1] for line in done.lines[1:4]] == [
            "absent", "hidden", "hidden",
        ]  # fmt: skip
    assert '  memo: "hidden", ' in done.out
    (found,) = found_of("a", "--no-memo")
    assert (found["held"], found["hidden"], found["winner"]) == (False, True, None)


@pytest.mark.parametrize("args", [(), ("--no-memo",)], ids=str)
@pytest.mark.parametrize(
    ("name", "down", "status", "summary"),
    [
        ("a", (), 0, "a: held by production"),
        ("a", (0,), 0, "a: held by production"),
        ("x", (), 1, "x: held by no backend"),
        ("x", (0,), 1, "x: not decided, for not every backend answered"),
        ("a", (0, 1, 2), 1, "a: not decided, for not every backend answered"),
    ],
)
def test_status(settings, backends, args, name, down, status, summary):
    chain(settings, backends)
    for index in down:
        backends[index].fail("exists", TimeoutError(SECRET))
    done = run("resolve", name, *args)
    assert done.status == status
    assert done.lines[0].startswith(summary)
    assert SECRET not in done.out + done.err


def test_one_name_that_is_missing_counts(settings, backends):
    chain(settings, backends)
    done = run("resolve", "x", "a")
    assert done.status == 1
    assert "a: held by production" in done.lines


def test_one_spelling(settings, backends):
    chain(settings, backends)
    (found,) = found_of("./a", "b/../a", "a")
    assert found["name"] == "a"


def test_as_json(settings, backends):
    chain(settings, backends)
    backends[0].fail("exists", ConnectionError(SECRET))
    first, second = found_of("a", "x")
    assert list(first) == [
        "name", "held", "hidden", "winner", "backends", "memo", "url", "url_error",
    ]  # fmt: skip
    assert list(first["memo"]) == ["entry", "seconds_left", "trouble"]
    asked = first["backends"].pop(0)
    assert asked.pop("milliseconds") >= 0
    assert asked == {
        "backend": "local",
        "answer": "failed",
        "exception": "ConnectionError",
        "remembered": False,
    }
    assert first["backends"][1] == {
        "backend": "archive",
        "answer": None,
        "exception": None,
        "remembered": False,
        "milliseconds": None,
    }
    assert (first["held"], first["winner"]) == (True, "production")
    assert (second["held"], second["winner"]) == (None, None)
    assert first["url"] == "https://production.example/a"
    (found,) = found_of("a", "--no-memo")
    assert found["memo"] is None


def test_what_the_memo_answered_took_nobody_any_time(settings, backends):
    storage = chain(settings, backends)
    storage.resolve("a")
    (found,) = found_of("a")
    assert [each["remembered"] for each in found["backends"]] == [True, True, False]
    assert {each["milliseconds"] for each in found["backends"]} == {None}


# The memo's troubles


def test_no_memo(settings, backends):
    chain(settings, backends, cache=False)
    assert "  memo: none (the cache is off)" in run("resolve", "a").lines


def test_a_directory(settings, backends):
    chain(settings, backends)
    done = run("resolve", "a/")
    assert "  memo: none (directories are not remembered)" in done.lines


def test_a_memo_that_does_not_answer(settings, backends):
    """The files are resolved all the same."""
    settings.CACHES = {"media": {"BACKEND": f"{__name__}.DownCache", "LOCATION": "x"}}
    chain(settings, backends, **SHARED)
    done = run("resolve", "a")
    assert done.status == 0
    assert "  memo: its cache does not answer" in done.lines
    assert SECRET not in done.out + done.err


class DownCache(RecordingCache):
    def get_many(self, keys, version=None):
        raise ConnectionError(SECRET)


# The URL


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        ("/media/a%20b.jpg?v=2#token", "/media/a%20b.jpg?v=2"),
        ("https://cdn/a?md5=abc&expires=1", "https://cdn/a?..."),
        ("https://user:pw@host:81/a", "https://host:81/a"),
        ("https://h/a?X-Amz-Credential=k&X-Amz-Signature=s", "https://h/a?..."),
        ("https://h/a?se=2026&sig=s", "https://h/a?..."),
        ("https://h/a?Expires=1&Key-Pair-Id=K&Policy=", "https://h/a?..."),
    ],
)
def test_a_url_is_printed_without_its_secrets(url, printed):
    assert _without_secrets(url) == printed


def test_no_url(settings, backends):
    chain(settings, backends[:1])
    backends[0].fail("url", ValueError(SECRET))
    for args in ([], ["--no-memo"]):
        done = run("resolve", "both", *args)
        assert done.status == 0
        assert done.lines[-1] == "  URL:  none (ValueError)"
        assert SECRET not in done.out + done.err
    (found,) = found_of("both")
    assert (found["url"], found["url_error"]) == (None, "ValueError")


def test_options_are_not_shown(settings, backends):
    described = {
        "BACKEND": "fakes.RecordingStorage",
        "OPTIONS": {"files": {SECRET: SECRET}},
        "NAME": "one",
    }
    configure(settings, described)
    for args in (["resolve", "a"], ["resolve", "a", "--json"], ["stats"]):
        done = run(*args)
        assert SECRET not in done.out + done.err


def test_a_directory_that_has_the_name(settings, tmp_path):
    (tmp_path / "photos").mkdir()
    local = FileSystemStorage(tmp_path, "/media/")
    configure(settings, writable(local, "local"), read_only(RecordingStorage(), "far"))
    done = run("resolve", "photos")
    assert done.status == 0
    assert times_removed(done.out)[:3] == [
        "photos: a directory has the name, and no backend a file",
        "local taken T ms",
        "far absent T ms",
    ]
