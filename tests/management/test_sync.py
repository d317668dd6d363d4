"""``sync``: what is said, where, and with which exit status."""

from __future__ import annotations

import errno
import os
import re
import signal

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from fakes import RecordingStorage
from management.running import CHAIN, configure, run, run_alone, start, write_settings
from overlay.parts import Guard, InPlace, read_only, staging_left, writable

FILES = {"a/x.txt": b"x" * 1500, "a/y.txt": b"y", "z.txt": b""}
SECRET = "hunter2-hunter2"


@pytest.fixture
def home(tmp_path):
    return FileSystemStorage(tmp_path / "home")


@pytest.fixture
def production():
    return Guard("production", FILES)


@pytest.fixture
def chain(settings, home, production):
    return configure(settings, writable(home), read_only(production))


def files(home):
    return {name for name in FILES if home.exists(name)}


def test_everything(chain, home):
    done = run("sync")
    assert (done.status, done.lines) == (0, ["Copied 3 files (1.5 KB) to 'home'."])
    assert files(home) == set(FILES)
    done = run("sync", "--verify", "--jobs", "2")
    assert done.lines == ["Copied 0 files (0 bytes) to 'home'; already there: 3."]
    assert done.status == 0


def test_progress_goes_to_the_error_output(chain):
    line = r"3 names  .*/s  0:00:0\d  Copied 3 files \(1\.5 KB\)\n"
    assert re.fullmatch(line, run("sync").err)
    assert run("sync", "--verbosity", "0").err == ""


@pytest.mark.parametrize(
    ("prefixes", "copied"),
    [
        (["a"], 2),
        (["a/"], 2),
        # Each name once.
        (["a", "a", "./a/"], 2),
        (["", "a"], 3),
    ],
    ids=str,
)
def test_prefixes(chain, home, prefixes, copied):
    assert run("sync", *prefixes).lines == [
        f"Copied {copied} files (1.5 KB) to 'home'."
    ]


def test_a_prefix_in_another_one_is_not_looked_at_twice(chain, production):
    production.files["a/b/z.txt"] = b"z"
    assert run("sync", "a/b", "a").lines == ["Copied 3 files (1.5 KB) to 'home'."]
    assert production.count("listdir", "a/b") == 1


def test_a_dry_run_says_what_would_be_copied(chain, home):
    home._save("z.txt", ContentFile(b""))
    done = run("sync", "--dry-run")
    assert done.lines == [
        "Would copy: a/ (2 files, 1.5 KB)",
        "Would copy 2 files (1.5 KB) to 'home'; already there: 1.",
    ]
    assert done.status == 0
    assert files(home) == {"z.txt"}


def test_a_dry_run_sums_up_by_directory(chain, production):
    """Those below what was asked for, each with all that it has; files on demand."""
    production.files.update({"a/b/c/x": b"xy", "a/b/y": b"", "e/x": b"z"})
    assert run("sync", "--dry-run").lines == [
        "Would copy: ./ (1 file, 0 bytes)",
        "Would copy: a/ (4 files, 1.5 KB)",
        "Would copy: e/ (1 file, 1 byte)",
        "Would copy 6 files (1.5 KB) to 'home'.",
    ]
    assert run("sync", "--dry-run", "e", "a/b").lines == [
        "Would copy: a/b/ (1 file, 0 bytes)",
        "Would copy: a/b/c/ (1 file, 2 bytes)",
        "Would copy: e/ (1 file, 1 byte)",
        "Would copy 3 files (3 bytes) to 'home'.",
    ]
    assert run("sync", "--dry-run", "e", "-v", "2").lines == [
        "Would copy: e/x (production, 1 byte)",
        "Would copy: e/ (1 file, 1 byte)",
        "Would copy 1 file (1 byte) to 'home'.",
    ]


def test_every_file_on_demand(chain):
    assert run("sync", "a", "-v", "2").lines == [
        "Copied: a/x.txt (production, 1.5 KB)",
        "Copied: a/y.txt (production, 1 byte)",
        "Copied 2 files (1.5 KB) to 'home'.",
    ]


def test_a_difference_is_told_and_counts_if_it_was_asked_for(chain, home):
    home._save("a/y.txt", ContentFile(b"edited"))
    assert "different" not in run("sync").out
    done = run("sync", "--verify")
    assert done.lines[-1].endswith("already there: 2; different, kept: 1.")
    assert "a/y.txt is another file in 'home' than in 'production'" in done.err
    assert done.status == 1


def test_a_difference_alone_is_no_failure(settings, home, tmp_path):
    lower = FileSystemStorage(tmp_path / "production")
    for storage in (home, lower):
        storage._save("a.txt", ContentFile(os.fsencode(storage.location)))
    configure(settings, writable(home), read_only(lower))
    done = run("sync")
    assert "different, kept: 1" in done.out
    assert "Different, kept: a.txt" in done.err
    assert done.status == 0
    assert run("sync", "--verify").status == 1


def test_a_part_is_told_with_what_to_do(settings, tmp_path, production):
    home = InPlace(tmp_path / "home")
    home._save("a/x.txt", ContentFile(b"x" * 700))
    configure(settings, writable(home), read_only(production))
    done = run("sync")
    assert done.lines == ["Copied 2 files (1 byte) to 'home'; failed: 1."]
    assert "Failed: a/x.txt (home: only the first 700" in done.err
    assert "--repair replaces it" in done.err
    assert done.status == 1
    done = run("sync", "--repair")
    assert done.lines == ["Copied 1 file (1.5 KB) to 'home'; already there: 2."]
    assert (done.status, home.size("a/x.txt")) == (0, 1500)


def test_what_was_deleted_here_is_counted(settings, home, production):
    chain = configure(
        settings, writable(home), read_only(production), on_delete="whiteout"
    )
    chain.delete("z.txt")
    done = run("sync")
    assert done.lines == ["Copied 2 files (1.5 KB) to 'home'; deleted here: 1."]
    assert done.status == 0


def test_a_failure_is_a_line_without_the_text_of_its_error(chain, home, production):
    def fail(name):
        if name == "a/y.txt":
            raise ConnectionResetError(SECRET)

    production.before("_open", fail)
    done = run("sync")
    assert "Failed: a/y.txt (production: ConnectionResetError)\n" in done.err
    assert SECRET not in done.out + done.err
    assert done.lines == ["Copied 2 files (1.5 KB) to 'home'; failed: 1."]
    assert done.status == 1
    assert files(home) == {"a/x.txt", "z.txt"}


def test_a_source_that_cannot_be_reached(chain, production):
    production.fail("listdir", ConnectionRefusedError(errno.ECONNREFUSED, SECRET))
    done = run("sync")
    assert done.err.startswith(
        "Failed: everything (production: ConnectionRefusedError: Connection refused)\n"
        "Stopped: nothing else would succeed.\n"
    )
    assert SECRET not in done.out + done.err
    assert done.status == 1


def test_what_no_storage_reaches_is_told_and_is_no_success(chain, production):
    """A listing that shows it shows a file that is not copied."""
    production.files["back\\slash"] = b"1"
    done = run("sync")
    assert done.status == 1
    assert done.lines == [
        "Copied 3 files (1.5 KB) to 'home'; passed over: 1.",
    ]
    assert "Passed over: 'production' lists back\\slash" in done.err


def test_a_source_that_cannot_list(chain, production):
    production.unsupported.add("listdir")
    done = run("sync", "a", "z")
    assert "The backend 'production' cannot list" in done.err
    # No second prefix is tried.
    assert done.err.count("Stopped") == 1
    assert done.status == 1


def test_a_home_that_cannot_be_reached(settings, production):
    home = RecordingStorage("home")
    home.fail("exists", OSError(SECRET))
    configure(settings, writable(home), read_only(production))
    done = run("sync")
    assert "Failed: a/x.txt (home: OSError)" in done.err
    assert "Stopped" in done.err
    assert done.status == 1


def test_a_full_disk(settings, production):
    home = RecordingStorage("home")
    home.fail("_save", OSError(errno.ENOSPC, SECRET))
    configure(settings, writable(home), read_only(production))
    done = run("sync")
    assert "(home: OSError: No space left on device)" in done.err
    assert SECRET not in done.err
    assert production.count("_open") == 1


def test_an_unknown_prefix(chain, home):
    """Known is what any backend has, the home included."""
    done = run("sync", "none", "a")
    assert "No backend has files below 'none/'." in done.err
    assert done.lines == ["Copied 2 files (1.5 KB) to 'home'."]
    assert done.status == 1
    home._save("mine/x.txt", ContentFile(b"x"))
    assert run("sync", "mine").status == 0


def test_an_empty_chain_is_in_order(settings, home):
    configure(settings, writable(home), read_only(Guard("production")))
    assert run("sync").status == 0


def test_no_writable_backend(settings, production):
    configure(settings, read_only(production))
    done = run("sync")
    assert (done.status, done.out) == (1, "")
    assert "READ_ONLY is set for 'production'" in done.err
    assert "Put a writable backend into the chain" in done.err
    assert production.calls == []


def test_nothing_after_the_home(settings, home, production):
    configure(settings, read_only(production), writable(home))
    done = run("sync")
    assert "Nothing to sync: 'home' has no backend after it." in done.out
    assert run("sync", "--quiet").out == ""
    assert done.status == 0
    assert production.calls == []


@pytest.mark.parametrize(
    ("flags", "copied"),
    [
        (["--max-size", "1499"], "2 files (1 byte)"),
        (["--max-size", "1k"], "2 files (1 byte)"),
        (["--max-size=10M", "--newer=2020-05-17"], "3 files (1.5 KB)"),
        (["--newer", "2020-05-17T12:00:01+00:00"], "0 files (0 bytes)"),
        (["--newer", "2w"], "0 files (0 bytes)"),
        (["--newer", "30s"], "0 files (0 bytes)"),
    ],
)
def test_limits(chain, home, flags, copied):
    done = run("sync", *flags)
    left = 3 - int(copied[0])
    told = f"; left out: {left}" if left else ""
    assert done.lines == [f"Copied {copied} to 'home'{told}."]
    assert (done.status, len(files(home))) == (0, 3 - left)


@pytest.mark.parametrize(
    "flag",
    [
        "--max-size=10X",
        "--max-size=",
        f"--max-size={'9' * 400}",
        "--newer=soon",
        "--newer=2024",
        "--newer=999999d",
        "--newer=3000000w",
    ],
)
def test_limits_that_are_none(chain, flag):
    """Before anything is asked or written."""
    done = run("sync", flag)
    assert done.status != 0
    assert re.search("is not a size|is neither a date", done.err)
    assert done.out == ""


def test_quiet_says_what_failed_alone(chain, home, production):
    home._save("z.txt", ContentFile(b"another"))
    done = run("sync", "--quiet", "-v", "2")
    assert (done.out, done.err, done.status) == ("", "", 0)
    production.files["b.txt"] = b"b"
    production.fail("_open")
    done = run("sync", "--quiet")
    assert done.out == ""
    assert done.err == "Failed: b.txt (production: ConnectionError)\n"
    assert done.status == 1


# In processes of their own


def project(folder, production):
    """Write settings for a home in front of a storage; return the home."""
    local = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    local |= {"NAME": "home", "OPTIONS": {"location": str(folder / "home")}}
    backends = [local, {"NAME": "production", "READ_ONLY": True, **production}]
    default = {"BACKEND": CHAIN, "OPTIONS": {"backends": backends}}
    write_settings(folder, STORAGES={"default": default})
    return FileSystemStorage(folder / "home")


def recording(path="fakes.RecordingStorage", **options):
    return {"BACKEND": path, "OPTIONS": {"files": FILES, **options}}


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["0", "-1", "two", "1.5"])
def test_a_wrong_number_of_jobs(tmp_path, jobs):
    project(tmp_path, recording())
    done = run_alone(tmp_path, "sync", f"--jobs={jobs}")
    assert done.status == 2
    assert "is not a number from 1 on" in done.err


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "4"])
def test_ctrl_c(tmp_path, jobs):
    """What is half copied is dropped, what was done is told, and how to go on."""
    production = recording("management.blocking.BlockingSource") | {"CONCURRENT": True}
    home = project(tmp_path, production)
    with start(tmp_path, "sync", "--jobs", jobs) as process:
        assert process.stderr.readline() == "reading\n"
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.fullmatch(r"Copied \d files? \(.*\) to 'home'.*\.\n", out)
    assert err.splitlines()[-1] == (
        "Interrupted. Every copy is whole; run the same command again to go on."
    )
    assert "Traceback" not in err
    assert not home.exists("a/y.txt")
    assert staging_left(home.location) == []
    project(tmp_path, recording())
    assert run_alone(tmp_path, "sync").status == 0
    assert files(home) == set(FILES)


@pytest.mark.slow
def test_a_reader_that_has_seen_enough(tmp_path):
    """``| head``: the copies that were under way are whole, or are not."""
    home = project(tmp_path, recording())
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run_alone(tmp_path, "sync", "-v", "2", stdout=writing)
    finally:
        os.close(writing)
    assert (done.status, done.err) == (141, "")
    assert all(home.size(name) == len(FILES[name]) for name in files(home))
    assert staging_left(home.location) == []
