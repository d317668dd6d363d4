"""Local copies that can go: only what a backend below holds just so."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from fakes import RecordingStorage
from overlay.parts import Guard, read_only, writable

from fallback_storage.exceptions import OperationNotSupportedError, ReadOnlyBackendError
from fallback_storage.jobs.prune import Pruning, Result
from fallback_storage.storage import FallbackStorage

NOW = 1_800_000_000
DAY = 86_400
FILES = {f"{n}.bin": bytes([n]) * 100 for n in range(6)}


@pytest.fixture
def home(tmp_path):
    return FileSystemStorage(tmp_path / "home")


@pytest.fixture
def production():
    return Guard("production", FILES)


@pytest.fixture
def chain(home, production):
    """All of production's files are local; 0.bin was used last 6 days ago, 5.bin 1."""
    chain = FallbackStorage([writable(home), read_only(production)])
    for number, (name, content) in enumerate(FILES.items()):
        home.save(name, ContentFile(content))
        use(home, name, NOW - (6 - number) * DAY)
    return chain


def named(storage):
    return read_only(storage, storage.label)


def read(chain, name):
    with chain.open(name) as file:
        return file.read()


def use(home, name, moment):
    os.utime(home.path(name), (moment, moment - DAY))


def prune(chain, *prefixes, **options):
    steps = Pruning(chain, now=lambda: NOW).steps(prefixes or ("",), **options)
    return {step.name: step.result for step in steps}


def local(home):
    root = Path(home.location)
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_what_was_not_used_for_long_is_removed(chain, home):
    removed = {"0.bin", "1.bin", "2.bin"}
    assert prune(chain, older=3.5 * DAY) == dict.fromkeys(removed, Result.REMOVED)
    assert local(home) == set(FILES) - removed
    for name, content in FILES.items():
        with chain.open(name) as file:
            assert file.read() == content


def test_until_there_is_room(chain, home):
    assert list(prune(chain, max_total=250)) == ["0.bin", "1.bin", "2.bin", "3.bin"]
    assert local(home) == {"4.bin", "5.bin"}
    assert prune(chain, max_total=250) == {}


def test_a_dry_run_removes_nothing(chain, home):
    assert set(prune(chain, max_total=0, dry_run=True).values()) == {Result.REMOVED}
    assert local(home) == set(FILES)


def test_only_what_is_below_the_prefixes_counts(chain, home, production):
    for name in ("a/x.bin", "a/y.bin", "b/z.bin"):
        production.files[name] = name.encode()
        home.save(name, ContentFile(name.encode()))
        use(home, name, NOW - DAY)
    assert prune(chain, "a", max_total=0) == dict.fromkeys(
        ["a/x.bin", "a/y.bin"], Result.REMOVED
    )
    assert local(home) == {*FILES, "b/z.bin"}


def test_what_is_only_here_stays(chain, home, production):
    home.save("mine.bin", ContentFile(b"mine"))
    use(home, "mine.bin", 1)
    del production.files["0.bin"]
    found = prune(chain, max_total=0)
    assert found["mine.bin"] is found["0.bin"] is Result.ONLY_HERE
    assert local(home) == {"mine.bin", "0.bin"}


@pytest.mark.parametrize("nested", [False, True])
def test_a_file_that_is_below_by_a_link_only_stays(home, tmp_path, nested):
    below = FileSystemStorage(tmp_path / "below")
    below.save("shared/a.bin", ContentFile(b"only once"))
    Path(home.location).mkdir()
    (Path(home.location) / "shared").symlink_to(Path(below.location) / "shared")
    lower = FallbackStorage([writable(below)]) if nested else below
    chain = FallbackStorage([writable(home), read_only(lower)])
    assert prune(chain, max_total=0) == {"shared/a.bin": Result.ONLY_HERE}
    assert read(chain, "shared/a.bin") == b"only once"


def test_to_compare_a_file_is_not_to_use_it(chain, home, production):
    production.files["0.bin"] = b"\1" * 100
    long_ago = 2 * DAY  # by the system's clock, too: it notes no more than one a day
    for name in FILES:
        use(home, name, long_ago)
    assert prune(chain, max_total=0, dry_run=True)["0.bin"] is Result.DIFFERENT
    assert {Path(home.path(name)).stat().st_atime for name in FILES} == {long_ago}


def test_another_file_of_the_name_stays(chain, home, production):
    production.files["0.bin"] = b"\1" * 100
    production.files["1.bin"] = b"longer" * 100
    found = prune(chain, max_total=0)
    assert found["0.bin"] is found["1.bin"] is Result.DIFFERENT
    assert local(home) == {"0.bin", "1.bin"}


def test_the_memo_is_not_believed(chain, home, production):
    """It says that production holds the file; that has gone."""
    home.delete("0.bin")
    assert chain.resolve("0.bin").index == 1
    home.save("0.bin", ContentFile(FILES["0.bin"]))
    del production.files["0.bin"]
    assert prune(chain, max_total=0)["0.bin"] is Result.ONLY_HERE
    assert read(chain, "0.bin") == FILES["0.bin"]


def test_what_is_not_certain_stays(home):
    class Silent(RecordingStorage):
        def exists(self, name):
            if name == "0.bin":
                raise ConnectionResetError
            return super().exists(name)

    middle = Silent("middle")
    last = Guard("last", FILES)
    chain = FallbackStorage([writable(home), named(middle), named(last)])
    for name in ("0.bin", "1.bin"):
        home.save(name, ContentFile(FILES[name]))
    found = list(Pruning(chain).steps(max_total=0))
    assert {(step.name, step.result, step.backend) for step in found} == {
        ("0.bin", Result.FAILED, "middle"),
        ("1.bin", Result.REMOVED, "last"),
    }
    assert local(home) == {"0.bin"}


def test_what_the_first_below_holds_decides(home):
    """Not a copy further down: the one above would be read."""
    other = Guard("other", {"0.bin": b"other"})
    chain = FallbackStorage([writable(home), named(other), named(Guard("last", FILES))])
    home.save("0.bin", ContentFile(FILES["0.bin"]))
    assert prune(chain, max_total=0) == {"0.bin": Result.DIFFERENT}


def test_what_a_whiteout_hides_below_stays(home, production):
    chain = FallbackStorage(
        [writable(home), read_only(production)], on_delete="whiteout"
    )
    chain.delete("0.bin")
    home.save("0.bin", ContentFile(FILES["0.bin"]))
    home.save("1.bin", ContentFile(FILES["1.bin"]))
    found = prune(chain, max_total=0)
    assert found == {"0.bin": Result.ONLY_HERE, "1.bin": Result.REMOVED}
    assert read(chain, "1.bin") == FILES["1.bin"]
    assert "0.bin" in set(chain.hidden()), "and no whiteout goes"


def test_a_file_that_changes_meanwhile_stays(chain, home, production):
    def change():
        Path(home.path("0.bin")).write_bytes(b"new")

    class Changing(type(production)):
        def _open(self, name, mode="rb"):
            if name == "0.bin":
                change()
            return super()._open(name, mode)

    production.__class__ = Changing
    found = prune(chain, max_total=0)
    assert found["0.bin"] in {Result.CHANGED, Result.DIFFERENT}
    assert Path(home.path("0.bin")).read_bytes() == b"new"


@pytest.mark.slow
def test_readers_and_saves_at_the_same_time_lose_nothing(chain, home):
    """A reader gets the file from one or the other; a save ends with its own file."""
    wrong, done = [], threading.Event()

    def read():
        while not done.is_set():
            for name, content in FILES.items():
                with chain.open(name) as file:
                    if file.read() != content:
                        wrong.append(name)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for number in range(20):
            prune(chain, max_total=0)
            saved = chain.save(f"new-{number}.bin", ContentFile(b"new"))
            for name, content in FILES.items():
                whole = Path(home.path(f"{name}.part"))
                whole.write_bytes(content)
                whole.rename(home.path(name))
            assert prune(chain, max_total=0)[saved] is Result.ONLY_HERE
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert wrong == []


def test_what_is_known_of_a_name_is_forgotten(chain, home):
    assert chain.resolve("0.bin").index == 0
    prune(chain, max_total=0)
    assert chain.resolve("0.bin").index == 1
    assert not chain.url("0.bin").startswith("/media/")


def test_another_home_is_refused(production):
    with pytest.raises(OperationNotSupportedError, match="local directory"):
        Pruning(FallbackStorage([InMemoryStorage(), read_only(production)]))
    with pytest.raises(ReadOnlyBackendError):
        Pruning(FallbackStorage([read_only(production)]))


def test_where_reads_are_not_noted_the_time_of_the_change_counts(
    chain, home, monkeypatch
):
    """It cannot be set by anybody, so these files were all changed just now."""
    real = os.statvfs

    class Flagged:
        def __init__(self, path):
            self.f_flag = real(path).f_flag | os.ST_NOATIME

    monkeypatch.setattr(os, "statvfs", Flagged)
    run = Pruning(chain)
    assert run.used_by == "change"
    assert list(run.steps(older=DAY)) == []
    assert len(list(run.steps(older=-1, dry_run=True))) == len(FILES)
