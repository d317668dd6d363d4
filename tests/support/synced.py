"""What the tests of ``sync`` share: homes, chains, and what became of names."""

from __future__ import annotations

from pathlib import Path

from django.core.files.storage import FileSystemStorage
from fakes import RecordingStorage
from overlay.parts import InPlace, writable

from fallback_storage.jobs.sync import Result
from fallback_storage.storage import FallbackStorage

FILES = {"a/b/x.txt": b"x of production", "a/y.txt": b"y", "z.txt": b""}
HOMES = {"staged": FileSystemStorage, "in-place": InPlace, "flat": RecordingStorage}


def make_home(kind, tmp_path):
    klass = HOMES[kind]
    return klass("home") if klass is RecordingStorage else klass(tmp_path / "home")


def make(home, *lower, **options):
    return FallbackStorage([writable(home), *lower], **options)


def results(steps):
    return {step.name: step.result for step in steps}


def errors(steps):
    """The steps that failed: name, backend, type of the error."""
    return [
        (step.name, step.backend, type(step.error))
        for step in steps
        if step.result is Result.FAILED
    ]


def content(home):
    """All that a home holds, its own folders but for locks included."""
    if isinstance(home, RecordingStorage):
        return home.files
    root = Path(home.location)
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith("lock-")
    }
