"""The frame: command lines, how it ends. In processes of their own where that counts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from fakes import RecordingStorage
from management.running import (
    CHAIN,
    COMMAND,
    configure,
    environment,
    run,
    run_alone,
    start,
    write_settings,
)

from fallback_storage.management.commands import fallback_storage as frame

SECRET = "hunter2-hunter2"


def local(folder, name="local"):
    location = folder / name
    location.mkdir(exist_ok=True)
    return {
        "NAME": name,
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(location), "base_url": f"/{name}/"},
    }


def project(folder, *backends, **options):
    """Write settings whose default storage is a chain."""
    options["backends"] = list(backends)
    chain = {"BACKEND": CHAIN, "OPTIONS": options}
    return write_settings(folder, STORAGES={"default": chain})


# Command lines


@pytest.mark.slow
@pytest.mark.parametrize(
    "args", [(), ("nonsense",), ("resolve",), ("forget",)], ids=str
)
def test_a_wrong_command_line(tmp_path, args):
    project(tmp_path, local(tmp_path))
    done = run_alone(tmp_path, *args)
    assert (done.status, done.out) == (2, "")
    assert "usage:" in done.err
    assert "Traceback" not in done.err
    with pytest.raises(CommandError):
        call_command("fallback_storage", *args)


def test_djangos_options_stand_where_one_likes(settings):
    """Also behind the subcommand; what stands before it is not undone."""
    configure(settings, RecordingStorage("one", {"a": b"x"}))
    for args in (
        ["--force-color", "resolve", "a"],
        ["resolve", "a", "--force-color"],
    ):
        assert "\x1b[" in run(*args).out
    for args in (
        ["--no-color", "-v", "0", "resolve", "a"],
        ["resolve", "a", "-v", "0", "--no-color", "--traceback"],
    ):
        assert "\x1b[" not in run(*args).out


def test_the_storage_is_named_where_one_likes(settings):
    """Before the subcommand or behind it; behind it, it is the one that counts."""
    configure(settings, RecordingStorage("one", {"a": b"x"}))
    other = {"backends": [RecordingStorage("two")]}
    settings.STORAGES = {
        **settings.STORAGES,
        "other": {"BACKEND": CHAIN, "OPTIONS": other},
    }
    assert run("resolve", "a").status == 0
    for args in (
        ["--storage", "other", "resolve", "a"],
        ["--storage=other", "-v", "2", "resolve", "a"],
        ["resolve", "a", "--storage", "other"],
        ["--storage", "default", "resolve", "--storage", "other", "a"],
    ):
        assert run(*args).lines[0] == "a: held by no backend"


@pytest.mark.slow
def test_every_subcommand_is_there_and_says_what_it_does():
    done = subprocess.run(
        [*COMMAND, "--help"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
             "DJANGO_SETTINGS_MODULE": "settings", "COLUMNS": "300"},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    for name, subcommand in frame.SUBCOMMANDS.items():
        (line,) = [
            line for line in done.stdout.splitlines() if line.split()[:1] == [name]
        ]
        said = line.split(maxsplit=1)[1]
        assert subcommand.HELP.startswith(said)
        assert said.endswith(".")
    assert list(frame.SUBCOMMANDS) == [
        "resolve", "ping", "stats", "forget", "whiteouts", "warm", "sync",
        "prune",
    ]  # fmt: skip


# Errors


@pytest.mark.slow
def test_a_wrong_configuration_is_one_line(tmp_path):
    project(tmp_path, {"BACKEND": "not.there", "OPTIONS": {"secret": SECRET}})
    done = run_alone(tmp_path, "resolve", "a")
    assert (done.status, done.out) == (1, "")
    assert "No module named 'not'" in done.err
    assert SECRET not in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionError(SECRET), "A backend failed: ConnectionError."),
        (BrokenPipeError(SECRET), "A backend failed: BrokenPipeError."),
    ],
    ids=["ConnectionError", "BrokenPipeError"],
)
def test_a_backend_that_fails_is_named_by_its_type(settings, error, said):
    """Also by one that looks like a closed pipe of ours."""
    storage = RecordingStorage()
    configure(settings, storage, on_delete="whiteout")
    storage.fail("listdir", error)
    done = run("whiteouts")
    assert done.status == 1
    assert said in done.err
    assert SECRET not in done.err


def test_a_traceback_on_demand(settings):
    """It is there for who asks for it, and has the cause."""
    storage = RecordingStorage()
    configure(settings, storage, on_delete="whiteout")
    storage.fail("listdir", ConnectionError("down"))
    with pytest.raises(CommandError) as caught:
        call_command("fallback_storage", "whiteouts", stdout=StringIO())
    assert isinstance(caught.value.__cause__, ConnectionError)


# How it ends


@pytest.mark.slow
def test_status_and_streams_of_a_process(tmp_path):
    """What was asked for on the standard output, in full; complaints on the other."""
    project(tmp_path, local(tmp_path))
    (tmp_path / "local" / "a").touch()
    assert run_alone(tmp_path, "resolve", "a").status == 0
    done = run_alone(tmp_path, "resolve", "b")
    assert done.status == 1
    assert done.lines[0] == "b: held by no backend"
    assert done.err == ""
    done = run_alone(tmp_path, "resolve", "../b")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("CommandError: Detected path traversal")


def hide_many(folder):
    hidden = folder / "local" / ".fallback-whiteouts" / "0"
    hidden.mkdir(parents=True)
    # More than a pipe holds (64 kB).
    for number in range(2000):
        (hidden / f"{number:04d}-{'x' * 60}.jpg").touch()


@pytest.mark.slow
def test_a_reader_that_has_seen_enough(tmp_path):
    """``| head -1``: no complaint, and the status of a program that SIGPIPE ended."""
    project(tmp_path, local(tmp_path), on_delete="whiteout")
    hide_many(tmp_path)
    script = '{ "$@"; echo $? >status; } | head -1'
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *COMMAND, "whiteouts"],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.endswith(f"{'x' * 60}.jpg\n")
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
    assert (tmp_path / "status").read_text() == "141\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "closed", "out", "err"),
    [
        (["resolve", "a"], ["stdout"], None, ""),
        (["resolve", "../a"], ["stderr"], "", None),
        (["whiteouts"], ["stdout", "stderr"], None, None),
        (["resolve", "../a"], ["stdout", "stderr"], None, None),
    ],
    ids=str,
)
def test_nobody_reads_at_all(tmp_path, args, closed, out, err):
    """Little output stays in a buffer; that fails at the very end, unless flushed."""
    project(tmp_path, local(tmp_path), on_delete="whiteout")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run_alone(tmp_path, *args, **dict.fromkeys(closed, writing))
    finally:
        os.close(writing)
    assert (done.status, done.out, done.err) == (141, out, err)


@pytest.mark.slow
def test_ctrl_c(tmp_path):
    """One line, and the status of a program that SIGINT ended."""
    project(tmp_path, {"BACKEND": "management.blocking.Blocking"})
    with start(tmp_path, "resolve", "a") as process:
        assert process.stderr.readline() == "asked\n"
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (out, err) == ("", "Interrupted.\n")


@pytest.mark.slow
def test_ctrl_c_on_a_terminal(tmp_path):
    """The terminal shows "^C" first: the message begins on a line of its own."""
    project(tmp_path, {"BACKEND": "management.blocking.Blocking"})
    master, slave = os.openpty()
    with start(tmp_path, "resolve", "a", "--no-color", stderr=slave) as process:
        os.close(slave)
        screen = os.read(master, 100)
        assert screen == b"asked\r\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
    screen = b""
    with contextlib.suppress(OSError):  # how a terminal ends that nobody has open
        while read := os.read(master, 100):
            screen += read
    os.close(master)
    assert screen == b"\r\nInterrupted.\r\n"


def test_ctrl_c_in_a_program_that_calls_the_command(settings):
    """It is the program's own business."""
    storage = RecordingStorage()
    configure(settings, storage)
    storage.fail("exists", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run("resolve", "a")


@pytest.mark.slow
def test_no_colours_off_a_terminal(tmp_path):
    project(tmp_path, local(tmp_path))
    env = {**environment(tmp_path), "DJANGO_COLORS": "dark"}
    for name in ("a", "../a"):
        done = run_alone(tmp_path, "resolve", name, env=env)
        assert "\x1b" not in done.out + done.err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["café.jpg", "\x1b[31mred", "bad\udc80"])
def test_a_terminal_that_knows_little_ascii(tmp_path, name):
    """A name is printed so that it neither fails nor commands the terminal."""
    project(tmp_path, local(tmp_path))
    env = {**environment(tmp_path), "PYTHONIOENCODING": "ascii"}
    done = run_alone(tmp_path, "resolve", os.fsencode(name), env=env)
    assert done.status == 1
    assert done.err == ""
    assert "\x1b" not in done.out
    assert done.out.isascii()
