"""``whiteouts``: what deletes hide, and undoing them."""

from __future__ import annotations

import pytest
from fakes import RecordingStorage
from management.running import configure, run
from overlay.parts import read_only, writable

NAMES = ["a", "pictures/b", "pictures/c", "pictures2/d"]


@pytest.fixture
def home():
    return RecordingStorage("home")


@pytest.fixture
def production():
    return RecordingStorage("production", dict.fromkeys(NAMES, b"1"))


@pytest.fixture
def storage(settings, home, production):
    storage = configure(
        settings, writable(home), read_only(production), on_delete="whiteout"
    )
    for name in NAMES:
        storage.delete(name)
    return storage


@pytest.mark.parametrize(
    ("args", "listed"),
    [
        ([], NAMES),
        (["list"], NAMES),
        (["list", "pictures"], NAMES[1:]),
        (["list", "pictures/"], NAMES[1:3]),
        (["list", "a"], ["a"]),
    ],
    ids=str,
)
def test_list(storage, args, listed):
    done = run("whiteouts", *args)
    assert (done.status, sorted(done.lines), done.err) == (0, listed, "")


@pytest.mark.usefixtures("storage")
def test_nothing_to_list():
    """Nothing on the standard output, which is names."""
    done = run("whiteouts", "list", "music/")
    assert (done.status, done.out) == (0, "")
    assert done.err == "No hidden name begins with 'music/'.\n"
    run("whiteouts", "remove", "--all")
    done = run("whiteouts")
    assert (done.status, done.out, done.err) == (
        0,
        "",
        "No hidden name begins with ''.\n",
    )


def test_remove(storage):
    done = run("whiteouts", "remove", "./a", "pictures/b")
    assert done.status == 0
    assert done.lines == [
        "a shows again, from production.",
        "pictures/b shows again, from production.",
    ]
    assert storage.exists("a")
    assert sorted(storage.hidden()) == NAMES[2:]


def test_remove_all(storage, home):
    done = run("whiteouts", "remove", "--all")
    assert done.status == 0
    assert len(done.lines) == len(NAMES)
    assert list(storage.hidden()) == []
    assert home.files == {}


def test_remove_where_nothing_is_left_to_show(storage, production):
    del production.files["a"]
    done = run("whiteouts", "remove", "a")
    assert done.status == 0
    assert done.lines == ["a is hidden no longer; no backend holds it."]


def test_remove_what_is_not_hidden(storage):
    """The others are shown all the same."""
    done = run("whiteouts", "remove", "x", "a")
    assert done.status == 1
    assert done.err == "x is not hidden.\n"
    assert done.lines == ["a shows again, from production."]


@pytest.mark.parametrize("args", [(), ("list",), ("remove", "a"), ("remove", "--all")])
@pytest.mark.parametrize("on_delete", ["first", "all"])
def test_a_storage_that_makes_none(settings, home, production, args, on_delete):
    configure(settings, writable(home), read_only(production), on_delete=on_delete)
    done = run("whiteouts", *args)
    assert (done.status, done.out) == (1, "")
    assert (
        "Nothing is hidden in this chain: its on_delete is not 'whiteout'" in done.err
    )
    assert home.count() == production.count() == 0


@pytest.mark.parametrize("method", ["listdir", "exists", "delete"])
def test_a_home_that_fails(storage, home, method):
    home.fail(method, ConnectionError("secret"))
    done = run("whiteouts", "remove", *(["--all"] if method == "listdir" else ["a"]))
    assert (done.status, done.out) == (1, "")
    assert "ConnectionError" in done.err
    assert "secret" not in done.err
    home.heal()
    assert "a" in storage.hidden()


def test_names_or_all():
    assert "not allowed with argument" in run("whiteouts", "remove", "a", "--all").err
    assert "required" in run("whiteouts", "remove").err
