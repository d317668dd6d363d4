"""What every chain promises, asked of one that has somebody else's storage in it.

A *case* is a chain of that storage and a local directory, with files that are only here
(in the storage), only there (in the directory), in both or in neither. What is expected
comes from the package's contract, not from what the code does. Each operation has files
of its own, so that none meets what another one left.
"""

from __future__ import annotations

import posixpath
from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage

from fallback_storage.chain.outcomes import Source
from fallback_storage.jobs.sync import Result, sync
from fallback_storage.jobs.warm import warm
from fallback_storage.storage import FallbackStorage

HERE = b"\x89what the storage holds"
THERE = b"\x89what the directory holds, which is longer"
NEW = b"\x89what is new"

PLACEMENTS = ("here", "there", "both", "neither")
# The storage is the first of the chain, and writable; or the last, and read-only.
POSITIONS = ("first", "last")

NOT_SUPPORTED = (NotImplementedError, AttributeError)
WRITES = frozenset({"PUT", "POST", "DELETE", "MKCOL", "PATCH"})


class Case:
    """One storage, one position, one placement, with a memo or without."""

    def __init__(self, place, local, position, placement, *, memo):
        self.place, self.recipe = place, place.recipe
        self.position, self.placement, self.memo = position, placement, memo
        self.raw = place.raw
        self.local = FileSystemStorage(str(local), base_url="/there/")
        self.folder = place.file("" if self.recipe.is_flat else placement).rstrip("/")
        self.is_first = position == "first"
        self.home = self.raw if self.is_first else self.local
        self.is_here = placement in {"here", "both"}
        self.is_there = placement in {"there", "both"}
        order = (self.is_here, self.is_there)
        order = order if self.is_first else order[::-1]
        # Which of the chain holds the files: 0, 1 or None.
        self.index = order.index(True) if True in order else None
        real_index = 0 if self.is_first else 1
        self.holder = {real_index: "real", 1 - real_index: "local"}.get(self.index)
        self.content = {"real": HERE, "local": THERE}.get(self.holder)
        # Only the other one, which is read-only, holds them.
        self.is_lower = self.index == 1

    def chain(self, **options):
        real = {"ALIAS": "real", "READ_ONLY": not self.is_first}
        local = {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": self.local.location, "base_url": "/there/"},
            "NAME": "local",
            "READ_ONLY": self.is_first,
        }
        backends = [real, local] if self.is_first else [local, real]
        return FallbackStorage(backends, None if self.memo else False, **options)

    def file(self, base):
        """A name in the case's own folder; of a flat storage, with its prefix."""
        prefix = f"{self.placement}_" if self.recipe.is_flat else ""
        return f"{self.folder}/{prefix}{base}"

    def put(self, operation):
        name = self.file(f"{operation}.bin")
        if self.is_here:
            put(self.raw, name, HERE)
        if self.is_there:
            put(self.local, name, THERE)
        return name

    def lacks(self, method):
        """Whether the holder lacks a method."""
        return self.holder == "real" and method in self.recipe.lacks

    @property
    def lists(self):
        return "listdir" not in self.recipe.lacks


def put(storage, name, content):
    assert storage.save(name, ContentFile(content, posixpath.basename(name))) == name


def read(storage, name):
    with storage.open(name) as file:
        return file.read()


OPERATIONS = {}


def operation(function):
    OPERATIONS[function.__name__] = function
    return function


# --- Reading ------------------------------------------------------------------


@operation
def exists(case):
    name, chain = case.put("exists"), case.chain()
    for _ in (1, 2):
        assert chain.exists(name) is (case.index is not None)


@operation
def open_read(case):
    name, chain = case.put("open_read"), case.chain()
    for _ in (1, 2):
        if case.index is None:
            with pytest.raises(FileNotFoundError):
                read(chain, name)
        else:
            assert read(chain, name) == case.content
            with chain.open(name) as file:
                assert b"".join(file.chunks(5)) == case.content


def told(case, method):
    """Return what a method answers, twice; raises what it is expected to raise."""
    name, chain = case.put(method), case.chain()
    ask = getattr(chain, method)
    if case.index is None:
        # Where the last one lacks it, nobody can say that nobody has it.
        allowed = NOT_SUPPORTED if method in case.recipe.lacks else ()
        with pytest.raises((FileNotFoundError, *allowed)):
            ask(name)
    elif case.lacks(method):
        with pytest.raises(NOT_SUPPORTED):
            ask(name)
    else:
        first, second = ask(name), ask(name)
        assert first == second
        return first
    return None


@operation
def size(case):
    found = told(case, "size")
    assert found is None or found == len(case.content)


def time_is_now(case, method):
    found = told(case, method)
    if found is not None:
        assert abs(found - datetime.now(UTC)) < timedelta(minutes=5), found


@operation
def get_modified_time(case):
    time_is_now(case, "get_modified_time")


@operation
def get_created_time(case):
    time_is_now(case, "get_created_time")


@operation
def get_accessed_time(case):
    time_is_now(case, "get_accessed_time")


@operation
def url(case):
    name, chain = case.put("url"), case.chain()
    first, last = (backend.storage for backend in chain.backends)
    expected = first if case.index == 0 else last
    try:
        wanted = expected.url(name)
    except Exception:
        # A page never fails for one name.
        wanted = first.url(name)
    for _ in (1, 2):
        assert chain.url(name).split("?")[0] == wanted.split("?")[0]


@operation
def path(case):
    name, chain = case.put("path"), case.chain()
    if case.is_there:
        assert chain.path(name) == case.local.path(name)
    else:
        with pytest.raises(NotImplementedError):
            chain.path(name)


@operation
def listdir(case):
    is_flat = case.recipe.is_flat
    folder = case.folder if is_flat else case.file("listed")

    def within(base):
        return case.file(base) if is_flat else f"{folder}/{base}"

    names = {which: within(f"{which}_listed.bin") for which in ("here", "there", "it")}
    put(case.local, names["there"], THERE)
    if case.lists:
        put(case.raw, f"{folder}/deep/here.bin", HERE)
        put(case.raw, names["here"], HERE)
    for storage, is_in in ((case.raw, case.is_here), (case.local, case.is_there)):
        if is_in:
            put(storage, names["it"], HERE)
    expected = {names["there"]}
    if case.is_there or (case.is_here and case.lists):
        expected.add(names["it"])
    if case.lists:
        expected.add(names["here"])
    chain = case.chain()
    for _ in (1, 2):
        folders, files = chain.listdir(folder)
        found = [f"{folder}/{base}" for base in files]
        # (A flat storage has one folder, with the files of all.)
        found = [name for name in found if not is_flat or name in names.values()]
        assert sorted(found) == sorted(expected)
        assert list(folders) == (["deep"] if case.lists else [])


@operation
def listdir_of_nothing(case):
    chain = case.chain()
    try:
        folders, files = chain.listdir(case.file("no such"))
    except FileNotFoundError:
        pass
    else:
        assert [*folders, *files] == []


@operation
def resolve(case):
    name, chain = case.put("resolve"), case.chain()
    for source in (Source.PROBE, Source.MEMO if case.memo else Source.PROBE):
        found = chain.resolve(name)
        assert found.index == case.index
        assert found.backend == (case.holder)
        assert found.held is (case.index is not None)
        assert found.source is source


@operation
def resolve_many(case):
    names = [case.put(f"many_{number}") for number in range(4)]
    missing = case.file("many_missing.bin")
    put(case.local, case.file("many_local.bin"), THERE)
    chain = case.chain()
    for _ in (1, 2):
        found = chain.resolve_many([*names, missing, case.file("many_local.bin")])
        for name in names:
            assert found[name].index == case.index
            assert found[name].held is (case.index is not None)
        assert found[missing].held is False
        assert found[case.file("many_local.bin")].backend == "local"


@operation
def prefetch(case):
    names = [case.put(f"prefetch_{number}") for number in range(4)]
    missing = case.file("prefetch_missing.bin")
    chain = case.chain()
    for round_ in (1, 2):
        chain.prefetch([*names, missing], complete=True)
        if case.place.proxy and case.memo and round_ == 2:
            assert case.place.proxy.requests == []
        if case.place.proxy:
            case.place.proxy.clear()
        for name in names:
            assert chain.exists(name) is (case.index is not None)
        assert chain.exists(missing) is False
        if case.place.proxy and case.memo:
            assert case.place.proxy.requests == []


# --- Writing ------------------------------------------------------------------


@operation
def save(case):
    name, chain = case.put("save"), case.chain()
    assert chain.exists(name) is (case.index is not None)
    saved = chain.save(name, ContentFile(NEW, "new.bin"))
    assert (saved == name) is (case.index is None), saved
    assert chain.exists(saved)
    assert read(chain, saved) == NEW
    assert read(case.home, saved) == NEW
    if case.index is not None:
        assert read(chain, name) == case.content


@operation
def available_name(case):
    name, chain = case.put("available_name"), case.chain()
    is_free = case.index is None
    assert chain.is_name_available(name) is is_free
    assert (chain.get_available_name(name) == name) is is_free


@operation
def delete(case):
    name, chain = case.put("delete"), case.chain()
    assert chain.exists(name) is (case.index is not None)
    try:
        chain.delete(name)
    except FileNotFoundError:
        # Of a file that is nowhere where it may be deleted.
        assert case.index != 0
    assert chain.exists(name) is (case.placement == "both" or case.is_lower)
    assert not case.home.exists(name)


@operation
def open_write(case):
    name, chain = case.put("open_write"), case.chain()
    assert chain.exists(name) is (case.index is not None)
    try:
        with chain.open(name, "wb") as file:
            file.write(b"one, ")
            file.write(b"two")
    except (*NOT_SUPPORTED, ValueError):
        # Refused, and nothing has happened.
        assert chain.exists(name) is (case.index is not None)
        if case.index is not None:
            assert read(chain, name) == case.content
    else:
        assert chain.exists(name)
        assert read(chain, name) == b"one, two"
        assert read(case.home, name) == b"one, two"


# --- Beyond Django's interface ------------------------------------------------


@operation
def warming(case):
    if not case.memo:
        return
    folder, names = tree(case, "warm")
    if not case.lists:
        with pytest.raises(NOT_SUPPORTED):
            list(warm(case.chain(), folder))
        return
    for storage, is_in in ((case.raw, case.is_here), (case.local, case.is_there)):
        for name in names if is_in else ():
            put(storage, name, HERE)
    chain = case.chain()
    *_, last = warm(chain, folder)
    assert last.names == len(names) * (case.is_here + case.is_there)
    for name in names:
        found = chain.resolve(name)
        assert found.held is (case.index is not None)
        if case.index is not None:
            assert (found.index, found.source) == (case.index, Source.MEMO)


@operation
def syncing(case):
    folder, names = tree(case, "sync")
    for name in names if case.is_here else ():
        put(case.raw, name, HERE)
    for name in names if case.is_there else ():
        put(case.local, name, THERE)
    chain = case.chain()
    steps = list(sync(chain, folder, verify=True))
    if not case.is_first and not case.lists:
        assert [step.result for step in steps] == [Result.FAILED]
        return
    is_flat = case.recipe.is_flat
    results = {s.name: s.result for s in steps if s.name in names or not is_flat}
    if case.is_lower:
        assert results == dict.fromkeys(names, Result.COPIED)
        for name in names:
            assert read(case.home, name) == case.content
    elif case.placement == "both":
        assert results == dict.fromkeys(names, Result.DIFFERENT)
    else:
        assert results == {}


def tree(case, operation):
    """A folder of the operation's own, and the names of files below it."""
    if case.recipe.is_flat:
        return case.folder, [case.file(f"{operation}_{n}.bin") for n in range(3)]
    folder = case.file(operation)
    names = [f"{folder}/{number}.bin" for number in range(3)]
    return folder, [*names, f"{folder}/deep/er/3.bin"]


@operation
def whiteouts(case):
    name, chain = case.put("whiteouts"), case.chain(on_delete="whiteout")
    if case.is_first and not case.recipe.keeps_whiteouts:
        with pytest.raises(ImproperlyConfigured):
            chain.delete(name)
        return
    assert chain.exists(name) is (case.index is not None)
    try:
        chain.delete(name)
    except FileNotFoundError:
        assert case.index is None
    is_hidden = case.placement == "both" or case.is_lower
    for fresh in (chain, case.chain(on_delete="whiteout")):
        assert not fresh.exists(name)
        assert fresh.resolve(name).hidden is is_hidden
        with pytest.raises(FileNotFoundError):
            read(fresh, name)
        assert list(fresh.hidden()) == ([name] if is_hidden else [])
    assert chain.save(name, ContentFile(NEW, "new.bin")) == name
    for fresh in (chain, case.chain(on_delete="whiteout")):
        assert read(fresh, name) == NEW
        assert list(fresh.hidden()) == []


@operation
def promotion(case):
    name, chain = case.put("promotion"), case.chain(promote=True)
    if case.index is None:
        with pytest.raises(FileNotFoundError):
            read(chain, name)
        return
    assert read(chain, name) == case.content
    assert read(case.home, name) == case.content
    assert read(chain, name) == case.content
    assert chain.resolve(name).index == 0


@operation
def special_names(case):
    """Names as people upload them go there and back."""
    if case.placement != "neither":
        return
    chain = case.chain()
    for base in ("with a space.bin", "100%.bin", "a+b.bin", "ünïcödé.bin", "#1?.bin"):
        name = case.file(base)
        assert chain.save(name, ContentFile(NEW, base)) == name
        assert chain.exists(name), name
        assert read(chain, name) == NEW, name
        if case.lists or not case.is_first:
            assert posixpath.basename(name) in chain.listdir(case.folder)[1], name


def deviations(case):
    """Run every operation; return what deviates: operation -> what happened."""
    found = {}
    for name, ask in OPERATIONS.items():
        if case.place.proxy:
            case.place.proxy.clear()
        try:
            ask(case)
            if not case.is_first and case.place.proxy:
                seen = {method for method, _ in case.place.proxy.requests}
                assert not seen & WRITES, f"the read-only one was written to: {seen}"
        except (Exception, pytest.fail.Exception) as error:
            text = " ".join(str(error).split())[:300]
            found[name] = f"{type(error).__name__}: {text} (line {line_of(error)})"
    return found


def line_of(error):
    """The line of this module that deviates."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == __file__:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
