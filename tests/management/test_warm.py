"""``warm``: what it remembers, and what it says where it cannot."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.files.storage import InMemoryStorage
from fakes import RecordingStorage
from management.running import CHAIN, configure, run, run_alone, write_settings

from fallback_storage.management.commands.fallback_storage import Command


def named(label, *names):
    """A backend of this name; the same storage wherever the entry is used."""
    storage = RecordingStorage(label, dict.fromkeys(names, b""))
    return storage, {"NAME": label, "BACKEND": f"{__name__}.itself",
                     "OPTIONS": {"storage": storage}}  # fmt: skip


def itself(storage):
    return storage


@pytest.fixture
def chain(settings, shared):
    """Two backends: local, and production with files in several directories."""
    local, first = named("local", "d/a")
    production, second = named("production", "b", "d/a", "d/c", "e/f/g")
    storage = configure(settings, first, second, cache="media")
    return storage, local, production


def known_to(storage, local, production):
    """Return which names are known: nobody is asked for them."""
    found = set()
    for name in ("b", "d/a", "d/c", "e/f/g"):
        local.reset()
        production.reset()
        storage.exists(name)
        if not local.calls + production.calls:
            found.add(name)
    return found


# What it does


@pytest.mark.parametrize(
    ("args", "known", "said"),
    [
        ([], "b d/a d/c e/f/g", "4 of 5 names; up to date already: 1"),
        (["d"], "d/a d/c", "2 of 3 names; up to date already: 1"),
        (["./e/f/", "d"], "d/a d/c e/f/g", "3 of 4 names; up to date already: 1"),
        (["--backend", "local"], "d/a", "1 of 1 name."),
        (["d", "--backend=production"], "d/a d/c", "2 of 2 names."),
        (["--backend=production", "--after=d/a"], "d/c e/f/g", "2 of 2 names."),
        (["--backend=production", "--backend=local", "--after=d/a"],
         "b d/a d/c e/f/g", "4 of 4 names."),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_remembered(chain, args, known, said):
    done = run("warm", *args)
    assert done.status == 0
    assert done.lines[0].startswith(f"Remembered {said}")
    assert known_to(*chain) == set(known.split())


def test_what_is_known_is_asked_for_again(chain):
    """But not what a backend holds that was listed before, in the same run."""
    _, local, _ = chain
    run("warm")
    local.reset()
    done = run("warm")
    assert done.lines == ["Remembered 4 of 5 names; up to date already: 1."]
    assert sorted(path for call, path in local.calls if call == "exists") == [
        "b", "b", "d/c", "e/f/g",
    ]  # fmt: skip
    local.unsupported.add("listdir")
    done = run("warm")
    assert done.lines == ["Remembered 4 of 4 names."]


def test_progress_goes_to_the_error_output(chain):
    done = run("warm")
    assert len(done.lines) == 1
    assert done.err.startswith("5 names  ")
    assert "production" in done.err
    assert run("warm", "--verbosity", "0").err == ""


def test_an_empty_chain(settings, shared):
    configure(settings, RecordingStorage("empty"), cache="media")
    done = run("warm")
    assert (done.status, done.lines) == (
        0,
        ["Remembered 0 of 0 names."],
    )


# What it cannot do


@pytest.mark.parametrize(
    ("cache", "said"),
    [(None, "FALLBACK_STORAGE_CACHE"), (False, "no memo"), ("media", "of the chain")],
    ids=str,
)
def test_a_memo_that_ends_with_the_process(settings, shared, cache, said):
    """No memo, one in process memory, or of a chain in process memory."""
    storage = InMemoryStorage()
    configure(settings, storage, cache=cache)
    done = run("warm")
    assert done.status == 1
    assert said in done.err
    assert "ends with its process" in done.err


def test_an_unknown_backend(chain):
    done = run("warm", "--backend", "productoin")
    assert done.status == 1
    assert done.err == (
        "No backend is named 'productoin'. Write one of: 'local', 'production'.\n"
    )


@pytest.mark.parametrize("prefix", ["nothing", "nothing/", "b"])
def test_an_unknown_prefix(chain, prefix):
    """The others are warmed."""
    done = run("warm", prefix, "d")
    assert done.status == 1
    assert f"No backend has files below '{prefix.rstrip('/')}/'." in done.err
    assert known_to(*chain) == {"d/a", "d/c"}


def test_nothing_is_left_of_a_known_prefix(chain):
    """After the last name: that is the end, not an unknown prefix."""
    done = run("warm", "d", "--backend=production", "--after=d/c")
    assert (done.status, "No backend" in done.err) == (0, False)


TWO_LINES = (
    "warm d --storage=default --backend=production && "
    "manage.py fallback_storage warm 'e x' --storage=default"
)


@pytest.mark.parametrize(
    ("args", "fails_at", "to_go_on"),
    [
        ([], "", "warm --backend=production"),
        ([], "e", "warm --backend=production --after=d/c"),
        (["--after=a"], "local", "warm --after=a"),
        (["--storage=default", "d", "e x"], "d", TWO_LINES),
    ],
    ids=str,
)  # fmt: skip
def test_an_unreachable_backend(chain, monkeypatch, args, fails_at, to_go_on):
    """Which one, what it raised, and how to go on; not the text of its exception."""
    monkeypatch.setattr("fallback_storage.chain.listing.PAGE_SIZE", 1)
    _, local, production = chain
    failing = local if fails_at == "local" else production

    def fail(path):
        if path == fails_at or failing is local:
            raise ConnectionError("to host hunter2")

    failing.before("listdir", fail)
    done = run("warm", *args)
    assert done.status == 1
    last = done.err.splitlines()[-1]
    assert last == (
        f"ConnectionError, while listing {failing.label!r}. "
        f"To go on: manage.py fallback_storage {to_go_on}"
    )
    assert "hunter2" not in done.err


def test_what_is_left_commands_no_terminal(chain):
    """It has the names of directories and files in it."""
    _, _, production = chain
    production.fail("listdir", ConnectionError("down"))
    err = StringIO()
    with pytest.raises(SystemExit):
        Command(stderr=err).run_from_argv(["", "fallback_storage", "warm", "x\x1b[2J"])
    assert "warm 'x\\x1b[2J' --backend=production" in err.getvalue()
    assert "\x1b" not in err.getvalue()


def test_a_backend_above_that_cannot_be_asked(chain):
    _, local, _ = chain
    local.fail("exists", PermissionError("no outage"))
    done = run("warm", "--backend=production")
    assert done.status == 1
    assert "Not remembered, or not renewed: 4 names, " in done.err
    assert "(local: failed (PermissionError))" in done.err


def test_a_backend_that_cannot_list(chain):
    """The others are warmed all the same."""
    _, local, _ = chain
    local.unsupported.add("listdir")
    done = run("warm")
    assert done.status == 1
    assert "'local' cannot list" in done.err
    assert "left out" in done.err
    assert done.lines == ["Remembered 4 of 4 names."]


def test_what_was_deleted_here(settings, shared):
    _, home = named("home", "x")
    _, production = named("production", "a", "b")
    storage = configure(
        settings, home, {**production, "READ_ONLY": True},
        cache="media", on_delete="whiteout",
    )  # fmt: skip
    storage.delete("a")
    done = run("warm")
    assert done.status == 0
    assert "Not remembered: 1 name, deleted here" in done.err


def test_ctrl_c(chain, monkeypatch):
    monkeypatch.setattr("fallback_storage.chain.listing.PAGE_SIZE", 1)
    _, _, production = chain

    def interrupt(path):
        if path == "e":
            raise KeyboardInterrupt

    production.before("listdir", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        run("warm")
    assert str(caught.value) == (
        "Interrupted while listing 'production'. To go on: manage.py fallback_storage "
        "warm --backend=production --after=d/c"
    )


# In a process of its own


@pytest.mark.slow
def test_for_another_process(tmp_path):
    root = tmp_path / "files"
    root.mkdir()
    for name in "abc":
        (root / name).touch()
    cache = "django.core.cache.backends.filebased.FileBasedCache"
    backend = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(root)},
    }
    options = {"backends": [backend], "cache": "media"}
    write_settings(
        tmp_path,
        CACHES={"media": {"BACKEND": cache, "LOCATION": str(tmp_path / "cache")}},
        STORAGES={"default": {"BACKEND": CHAIN, "OPTIONS": options}},
    )
    for _ in range(2):
        done = run_alone(tmp_path, "warm")
        assert (done.status, done.lines) == (
            0,
            ["Remembered 3 of 3 names."],
        )
