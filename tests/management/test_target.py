"""What a command line names: which storage, and names that no storage takes."""

from __future__ import annotations

import json
from itertools import product

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.utils.functional import LazyObject, SimpleLazyObject
from fakes import RecordingStorage
from management.running import CHAIN, configure, run

from fallback_storage.storage import FallbackStorage

SECRET = "hunter2-hunter2"

# Which storage


class LazyChain(LazyObject):
    """As a project wraps a storage to build it late."""

    def _setup(self):
        self._wrapped = FallbackStorage([RecordingStorage("lazy", {"a": b"x"})])


def make_chain():
    return FallbackStorage([RecordingStorage("made", {"a": b"x"})])


def make_lazy_chain():
    return SimpleLazyObject(make_chain)


def make_other():
    return RecordingStorage("other", {"a": b"x"})


def cannot_make():
    raise OSError("no such bucket")


def plain(label):
    return {"BACKEND": "fakes.RecordingStorage", "OPTIONS": {"label": label}}


def chain_of(label):
    backends = [RecordingStorage(label, {"a": b"x"})]
    return {"BACKEND": CHAIN, "OPTIONS": {"backends": backends}}


@pytest.mark.parametrize(
    ("described", "label"),
    [
        ({"default": chain_of("one"), "a": chain_of("two")}, "one"),
        ({"default": plain("p"), "b": chain_of("two"), "a": plain("p")}, "two"),
        ({"default": {"BACKEND": f"{__name__}.LazyChain"}}, "lazy"),
        ({"default": {"BACKEND": f"{__name__}.make_chain"}}, "made"),
        ({"default": {"BACKEND": f"{__name__}.make_lazy_chain"}}, "made"),
        ({"default": {"BACKEND": f"{__name__}.make_other"}, "b": chain_of("x")}, "x"),
        ({"default": {"BACKEND": "not.there"}, "b": chain_of("x")}, "x"),
        ({"default": {"BACKEND": f"{__name__}.cannot_make"}, "b": chain_of("x")}, "x"),
        ({"a": "nonsense", "b": chain_of("x")}, "x"),
    ],
    ids=[
        "default first", "the only one", "lazy", "function", "lazy function",
        "other function", "cannot import", "cannot build", "no dict",
    ],
)  # fmt: skip
def test_the_storage_that_is_meant_without_an_alias(settings, described, label):
    settings.STORAGES = described
    for args in ([], ["--no-memo"]):
        (found,) = json.loads(run("resolve", "a", "--json", *args).out)
        assert found["url"] == f"https://{label}.example/a"


def test_the_storage_of_the_original_setting(settings):
    settings.FALLBACK_STORAGES = [RecordingStorage("old", {"a": b"x"})]
    (found,) = json.loads(run("resolve", "a", "--json").out)
    assert found["url"] == "https://old.example/a"


def test_the_alias_that_is_given(settings):
    settings.STORAGES = {"default": chain_of("one"), "two": chain_of("two")}
    (found,) = json.loads(run("resolve", "a", "--json", "--storage", "two").out)
    assert found["url"] == "https://two.example/a"


@pytest.mark.parametrize(
    ("described", "args", "words"),
    [
        ({"default": plain("p")}, [], "No alias of STORAGES is a FallbackStorage"),
        ({"default": plain("p")}, [], "found: 'default'"),
        ({"default": plain("p")}, [], CHAIN),
        ({}, ["--storage", "x"], "STORAGES has no alias 'x'"),
        ({"a": chain_of("a")}, ["--storage", "x"], "Write one of: 'a'."),
        ({"a": chain_of("a"), "p": plain("p")}, ["--storage", "p"], "Write one of"),
        ({"p": plain("p")}, ["--storage", "p"], "but fakes.RecordingStorage"),
        ({"default": {"BACKEND": CHAIN}}, [], "FALLBACK_STORAGES"),
        (
            {
                "default": {"BACKEND": CHAIN, "OPTIONS": {"wrong": 1}},
                "a": chain_of("a"),
            },
            [],
            "'wrong'",
        ),
    ],
)
def test_no_such_storage(settings, described, args, words):
    """One line that says what was found and what to write; nothing is built for it."""
    settings.STORAGES = described
    done = run("stats", *args)
    assert done.status == 1
    assert words in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


def test_a_storage_that_cannot_be_a_chain_is_not_built(settings):
    settings.STORAGES = {
        "default": {"BACKEND": "fakes.RecordingStorage", "OPTIONS": {"wrong": SECRET}},
        "chain": chain_of("one"),
    }
    assert run("resolve", "a").status == 0
    assert "no FallbackStorage" in run("resolve", "a", "--storage", "default").err


# Names

FILES = [["resolve", "a"], ["forget", "a"], ["whiteouts", "remove", "a"]]
DIRECTORIES = [["sync", "a"], ["warm", "a"], ["warm", "--after"]]


@pytest.mark.parametrize("args", [*FILES, *DIRECTORIES])
def test_an_absolute_name_below_the_home(settings, shared, tmp_path, args):
    """It is what the storage takes it for: ``obj.file.path`` can be pasted."""
    home = FileSystemStorage(tmp_path / "media")
    storage = configure(
        settings, home, RecordingStorage("two"), cache="media", on_delete="whiteout"
    )
    name = "directory/file" if args in FILES else "directory"
    storage.save("directory/file", ContentFile(b"x"))
    relative, absolute = run(*args, name), run(*args, home.path(name))
    assert relative.status == absolute.status
    # (Not how long it took.)
    said = [[line.split()[0] for line in done.lines] for done in (relative, absolute)]
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("args", "name"),
    [
        *product([*FILES, *DIRECTORIES], ["../a", "/etc/passwd", "a\0"]),
        *product(FILES, ["", "."]),
    ],
)
def test_a_name_that_is_refused(settings, shared, args, name):
    """In one line, before anybody is asked; also of the other names."""
    backends = [RecordingStorage("one"), RecordingStorage("two")]
    configure(settings, *backends, cache="media", on_delete="whiteout")
    done = run(*args, name)
    assert (done.status, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert "backend" not in done.err
    assert not any(backend.count() for backend in backends)
