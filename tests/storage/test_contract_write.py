"""The contract of writing and naming: every method, whoever fails, with call counts.

A write is never answered from memory: it costs the same with a memo that knows the
name, with one that does not, and with none.
"""

from __future__ import annotations

import errno

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from fakes import RecordingStorage

from fallback_storage.exceptions import (
    AllBackendsFailed,
    FileNotInAnyBackendError,
    OperationNotSupportedError,
)
from fallback_storage.storage import FallbackStorage

HAS, LACKS, FAILS = "has", "lacks", "fails"
UNSUPPORTED, ABSENT = "unsupported", "absent"
# None of which is an outage, in which a backend is left alone.
ERRORS = {"first": OSError("first"), "second": PermissionError("second")}
FIRST_FAILED, SECOND_FAILED = ERRORS["first"], ERRORS["second"]
MEMOS = {"no memo": (False, 0), "cold": (None, 0), "warm": (None, 1)}
MEMO = pytest.mark.parametrize(("cache", "warmed"), MEMOS.values(), ids=MEMOS)


def itself(storage):
    return storage


def entry(storage, **policy):
    """Return a backend entry that gives an instance a policy."""
    return {
        "BACKEND": f"{__name__}.itself",
        "OPTIONS": {"storage": storage},
        "NAME": storage.label,
        **policy,
    }


def build(label, **states):
    files = {"x": label.encode()} if states.pop("state", LACKS) == HAS else {}
    storage = RecordingStorage(label, files=files)
    for method, doing in states.items():
        if doing == FAILS:
            storage.fail(method, ERRORS[label])
        if doing == ABSENT:
            storage.fail(method, FileNotFoundError("gone"))
        if doing == UNSUPPORTED:
            storage.unsupported.add(method)
    return storage


def chain(backends, cache, warmed, **options):
    storage = FallbackStorage(list(backends), cache=cache, **options)
    for _ in range(warmed):
        storage.exists("x")
        storage.url("x")
    for backend in backends:
        backend.reset()
    return storage


def counted(backends, methods):
    assert {method for backend in backends for method, _ in backend.calls} <= {*methods}
    return tuple(backend.count(method) for backend in backends for method in methods)


def ask(question, *args):
    try:
        return question(*args)
    except Exception as error:
        return error


def answers_alike(answer, expected):
    if isinstance(expected, type):
        return type(answer) is expected
    return answer is expected or answer == expected


OTHER = "a random alternative"
# What each backend does; the name saved; who then has how many files more; calls of
# exists and _save of the first, of the second.
SAVE = {
    "none": ({}, {}, "x", (1, 0), (1, 1, 1, 0)),
    "first only": ({"state": HAS}, {}, OTHER, (1, 0), (2, 1, 1, 0)),
    "second only": ({}, {"state": HAS}, OTHER, (1, 0), (2, 1, 2, 0)),
    "both": ({"state": HAS}, {"state": HAS}, OTHER, (1, 0), (2, 1, 1, 0)),
    # The one further exists: did the failed save leave a part of the file?
    "first fails": ({"_save": FAILS}, {}, "x", (0, 1), (2, 1, 1, 1)),
    "second fails": ({}, {"_save": FAILS}, "x", (1, 0), (1, 1, 1, 0)),
    "both fail": (
        {"_save": FAILS},
        {"_save": FAILS},
        AllBackendsFailed,
        (0, 0),
        (2, 1, 2, 1),
    ),
    "first cannot": ({"_save": UNSUPPORTED}, {}, "x", (0, 1), (1, 1, 1, 1)),
    "nobody can": (
        {"_save": UNSUPPORTED},
        {"_save": UNSUPPORTED},
        OperationNotSupportedError,
        (0, 0),
        (1, 1, 1, 1),
    ),
    "first fails, second cannot": (
        {"_save": FAILS},
        {"_save": UNSUPPORTED},
        FIRST_FAILED,
        (0, 0),
        (2, 1, 1, 1),
    ),
    # Whether the name is taken there is not known: a random one surely is not. Who is
    # silent is asked once, and left alone.
    "first cannot be asked": ({"exists": FAILS}, {}, OTHER, (0, 1), (1, 0, 2, 1)),
    "second cannot be asked": ({}, {"exists": FAILS}, OTHER, (1, 0), (2, 1, 1, 0)),
}


@MEMO
@pytest.mark.parametrize(
    ("first", "second", "expected", "more", "calls"), SAVE.values(), ids=SAVE
)
def test_save(cache, warmed, first, second, expected, more, calls):
    """Under a name that is free in all backends, to the first that succeeds."""
    backends = [build("first", **first), build("second", **second)]
    before = [dict(backend.files) for backend in backends]
    storage = chain(backends, cache, warmed)
    answer = ask(storage.save, "x", ContentFile(b"new"))
    assert counted(backends, ["exists", "_save"]) == calls
    for backend, files, number in zip(backends, before, more, strict=True):
        assert backend.files.items() >= files.items()
        assert len(backend.files) == len(files) + number
    if expected == OTHER:
        assert answer.startswith("x_")
    else:
        assert answers_alike(answer, expected)
    if isinstance(answer, str):
        assert storage.open(answer).read() == b"new"
        for backend in backends:
            backend.heal()
        assert storage.exists(answer) is True


@pytest.mark.parametrize("holder", ["first", "second"])
def test_a_remembered_miss_never_decides_the_name_of_a_save(holder):
    """Names are asked for live: a file that came meanwhile is not overwritten."""
    backends = {label: build(label) for label in ("first", "second")}
    storage = FallbackStorage(list(backends.values()))
    assert storage.exists("x") is False
    backends[holder].files["x"] = b"came meanwhile"
    assert storage.exists("x") is False
    assert storage.is_name_available("x") is False
    saved = storage.save("x", ContentFile(b"new"))
    assert saved != "x"
    assert backends[holder].files["x"] == b"came meanwhile"


# What each backend does; the answer with on_delete="first" and its calls of delete;
# the same with "all".
DELETE = {
    "none": ({}, {}, None, (1, 0), None, (1, 1)),
    "first only": ({"state": HAS}, {}, None, (1, 0), None, (1, 1)),
    "second only": ({}, {"state": HAS}, None, (1, 0), None, (1, 1)),
    "both": ({"state": HAS}, {"state": HAS}, None, (1, 0), None, (1, 1)),
    "first fails": ({"delete": FAILS}, {}, None, (1, 1), FIRST_FAILED, (1, 1)),
    "second fails": ({}, {"delete": FAILS}, None, (1, 0), SECOND_FAILED, (1, 1)),
    "both fail": (
        {"delete": FAILS},
        {"delete": FAILS},
        *(AllBackendsFailed, (1, 1)) * 2,
    ),
    "first cannot": ({"delete": UNSUPPORTED}, {}, *(None, (1, 1)) * 2),
    "nobody can": (
        {"delete": UNSUPPORTED},
        {"delete": UNSUPPORTED},
        *(OperationNotSupportedError, (1, 1)) * 2,
    ),
    "first says absent": ({"delete": ABSENT}, {}, *(None, (1, 1)) * 2),
    "both say absent": (
        {"delete": ABSENT},
        {"delete": ABSENT},
        *(FileNotInAnyBackendError, (1, 1)) * 2,
    ),
    "first says absent, second fails": (
        {"delete": ABSENT},
        {"delete": FAILS},
        *(SECOND_FAILED, (1, 1)) * 2,
    ),
}


@MEMO
@pytest.mark.parametrize("row", DELETE.values(), ids=DELETE)
@pytest.mark.parametrize("on_delete", ["first", "all"])
def test_delete(cache, warmed, row, on_delete):
    """From the first backend that can, as documented, or from every one."""
    backends = [build("first", **row[0]), build("second", **row[1])]
    storage = chain(backends, cache, warmed, on_delete=on_delete)
    expected, calls = row[2:4] if on_delete == "first" else row[4:]
    answer = ask(storage.delete, "x")
    assert answers_alike(answer, expected)
    assert counted(backends, ["delete"]) == calls
    assert storage.exists("x") is any("x" in backend.files for backend in backends)


def test_a_failed_save_is_no_missing_file(tmp_path, caplog):
    """Exactly one backend failed to save: its error, not "no backend holds it"."""
    disk = FileSystemStorage(tmp_path)
    with pytest.raises(OSError, match="too long") as caught:
        FallbackStorage([disk]).save("x" * 300, ContentFile(b"new"))
    assert caught.value.errno == errno.ENAMETOOLONG
    FallbackStorage([disk, RecordingStorage()]).save("x" * 300, ContentFile(b"new"))
    assert "FileSystemStorage: failed (OSError)" in caplog.text


# Naming


class Naming(RecordingStorage):
    """Makes names that tell whose they are."""

    def get_valid_name(self, name):
        self.act("get_valid_name", name)
        return f"{self.label}-{name}"

    def get_alternative_name(self, file_root, file_ext):
        self.act("get_alternative_name", file_root)
        return f"{file_root}.{self.label}{file_ext}"

    def generate_filename(self, filename):
        self.act("generate_filename", filename)
        return f"{self.label}/{filename}"


NAMERS = {
    "get_valid_name": (("x.txt",), "{}-x.txt"),
    "get_alternative_name": (("x", ".txt"), "x.{}.txt"),
    "generate_filename": (("x.txt",), "{}/x.txt"),
}


@pytest.mark.parametrize("method", NAMERS)
@pytest.mark.parametrize("first_read_only", [False, True])
def test_names_are_made_by_the_first_writable_backend(method, first_read_only):
    """Of the backend that will be written to, and of no other."""
    first, second = Naming("first"), Naming("second")
    storage = FallbackStorage([entry(first, READ_ONLY=first_read_only), second])
    args, pattern = NAMERS[method]
    maker, other = (second, first) if first_read_only else (first, second)
    assert getattr(storage, method)(*args) == pattern.format(maker.label)
    assert maker.counts() == {method: 1}
    assert other.calls == []


@pytest.mark.parametrize("method", NAMERS)
def test_names_are_djangos_where_no_backend_is_writable(method):
    """A form can still be validated over a chain that cannot be written to."""
    first = Naming("first")
    storage = FallbackStorage([entry(first, READ_ONLY=True)])
    assert getattr(storage, method)(*NAMERS[method][0]).endswith(".txt")
    assert first.calls == []


@pytest.mark.parametrize("method", NAMERS)
def test_a_backend_that_makes_no_names_is_skipped(method):
    """NotImplementedError means the same here as everywhere."""
    first, second = Naming("first", unsupported=[method]), Naming("second")
    args, pattern = NAMERS[method]
    answer = getattr(FallbackStorage([first, second]), method)(*args)
    assert answer == pattern.format("second")


# Whether "x" is free; exists of the first, of the second.
FREE = {
    "none": ({}, {}, True, (1, 1)),
    "first only": ({"state": HAS}, {}, False, (1, 0)),
    "second only": ({}, {"state": HAS}, False, (1, 1)),
    "both": ({"state": HAS}, {"state": HAS}, False, (1, 0)),
    "first fails": ({"exists": FAILS}, {}, False, (1, 1)),
    "second fails": ({}, {"exists": FAILS}, False, (1, 1)),
    "first cannot": ({"exists": UNSUPPORTED}, {}, True, (1, 1)),
    "nobody can": (
        {"exists": UNSUPPORTED},
        {"exists": UNSUPPORTED},
        OperationNotSupportedError,
        (1, 1),
    ),
}


@MEMO
@pytest.mark.parametrize("row", FREE.values(), ids=FREE)
def test_a_name_is_free_in_all_backends_or_not_at_all(cache, warmed, row):
    """Asked live; while a backend cannot say, the name is not given away."""
    backends = [build("first", **row[0]), build("second", **row[1])]
    if row[2] is OperationNotSupportedError:
        warmed = 0
    storage = chain(backends, cache, warmed)
    assert answers_alike(ask(storage.is_name_available, "x"), row[2])
    assert counted(backends, ["exists"]) == row[3]
    name = ask(storage.get_available_name, "x")
    if row[2] in {True, False}:
        assert (name == "x") is row[2]
        assert name == "x" or name.startswith("x_")
    else:
        assert type(name) is row[2]
