"""``prune``: what is said, and with which exit status."""

from __future__ import annotations

import os

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from management.running import configure, run
from overlay.parts import Guard, read_only, writable

FILES = {"a/x.bin": b"x" * 2048, "a/y.bin": b"y" * 1024, "z.bin": b"z"}


@pytest.fixture
def home(settings, tmp_path):
    home = FileSystemStorage(tmp_path / "home")
    configure(settings, writable(home), read_only(Guard("production", FILES)))
    for age, (name, content) in enumerate(FILES.items()):
        home.save(name, ContentFile(content))
        os.utime(home.path(name), (1_000_000 + age, 1_000_000))
    return home


def test_by_age(home):
    done = run("prune", "--older", "30d")
    assert (done.status, done.out) == (0, "Removed 3 files (3.0 KB).\n")
    assert not home.exists("z.bin")


def test_by_room(home):
    done = run("prune", "--max-total", "1.5k", "--verbosity", "2")
    assert done.lines == [
        "Removed: a/x.bin (production, 2.0 KB)",
        "Removed 1 file (2.0 KB).",
    ]
    assert home.exists("a/y.bin")


def test_a_dry_run_names_the_files(home):
    done = run("prune", "a", "--max-total", "0", "--dry-run")
    assert done.lines == [
        "Would remove: a/x.bin (production, 2.0 KB)",
        "Would remove: a/y.bin (production, 1.0 KB)",
        "Would remove 2 files (3.0 KB).",
    ]
    assert home.exists("a/x.bin")


def test_what_stays_is_counted(home):
    home.save("mine.bin", ContentFile(b"mine"))
    home.delete("z.bin")
    home.save("z.bin", ContentFile(b"Z"))
    done = run("prune", "--max-total", "0")
    assert done.lines == [
        "Removed 2 files (3.0 KB); only here: 1; different below, kept: 1."
    ]
    assert done.status == 0


def test_what_failed_is_told(settings, home):
    class Broken(Guard):
        def exists(self, name):
            raise ConnectionResetError("secret")

    configure(settings, writable(home), read_only(Broken("production", FILES)))
    done = run("prune", "--max-total", "0")
    assert done.status == 1
    assert done.out == "Removed 0 files (0 bytes); failed: 3.\n"
    assert "Kept: z.bin (" in done.err
    assert "secret" not in done.err


@pytest.mark.parametrize("text", ["10x", "-1", "", "G", "1e3"])
def test_sizes_and_times_that_are_none(home, text):
    for option in ("--max-total", "--older"):
        done = run("prune", f"{option}={text}")
        assert done.status != 0
        assert "is not a" in done.err


def test_one_of_them_has_to_be_said(home):
    assert run("prune").status != 0
    assert run("prune", "--older", "1d", "--max-total", "1G").status != 0
    assert home.exists("z.bin")
