"""Any sequence of operations answers as the same chain without a memo does.

But for grace: while a backend cannot be reached, who held a file may be what it was at
any time since the file was last written through the storage, or forgotten.

A state machine of hypothesis; see ``support/proofs.py`` for how long it searches.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from aging import SharedStore
from clocks import ManualClock
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage
from fakes import RecordingStorage
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from proofs import examples, searching

from fallback_storage.chain.names import affected
from fallback_storage.conf.memo import close_shared_stores
from fallback_storage.exceptions import AllBackendsFailed
from fallback_storage.storage import FallbackStorage

METHODS = (
    "exists", "_open", "_save", "delete", "listdir", "size", "url", "path",
    "get_accessed_time", "get_created_time", "get_modified_time",
)  # fmt: skip


# Without those that may arrive though nothing is answered.
ASKING = tuple(method for method in METHODS if method not in {"delete", "_save"})


class Chain(FallbackStorage):
    """The storage under test, on a clock that is moved by hand."""

    clock = ManualClock()


class Trouble(OSError):
    """What fails, and is no outage."""


class Gone(ConnectionError):
    """What fails because it cannot be reached. (Nobody is left alone: RETRY_AFTER.)"""


class Failing:
    """Raises in the methods that ``down`` names at the moment of the call."""

    down = frozenset()
    error = Trouble

    def __getattribute__(self, attribute):
        found = super().__getattribute__(attribute)
        if attribute not in METHODS:
            return found

        def call(*args, **kwargs):
            if attribute in self.down:
                raise self.error(attribute)
            return found(*args, **kwargs)

        return call


class Flat(Failing, RecordingStorage):
    """An object store: no directories, writes arrive at close.

    Where it is only read, the chain keeps sizes and times of it, which tell contents
    apart.
    """

    def get_modified_time(self, name):
        passed = timedelta(seconds=sum(self._get(name)))
        return self._time("get_modified_time", name) + passed


class Lazy(Flat):
    """An object store whose open() tells nothing: reading does."""

    def _open(self, name, mode="rb"):
        if "r" in mode and "+" not in mode and name not in self.files:
            return LazyFile(name)
        return super()._open(name, mode)


class LazyFile(File):
    def __init__(self, name):
        super().__init__(None, name)

    def read(self, *args):
        raise FileNotFoundError(self.name)

    def close(self):
        """There is nothing to close."""


class Files(FileSystemStorage):
    """A directory. What raises takes the place of methods that else are Django's own."""

    error = Trouble

    @property
    def down(self):
        return frozenset(METHODS) & vars(self).keys()

    @down.setter
    def down(self, methods):
        for method in METHODS:
            vars(self).pop(method, None)
        vars(self).update({method: partial(self._raise, method) for method in methods})

    def _raise(self, method, *args, **kwargs):
        raise self.error(method)


class OwnFiles(Files):
    """A directory with an ``exists`` of its own, which is asked."""

    def exists(self, name):
        return super().exists(name)


class Memory(Failing, InMemoryStorage):
    """A tree in memory, which deletes directories with all that is in them."""

    def _resolve(self, name, *args, **kwargs):
        try:
            return super()._resolve(name, *args, **kwargs)
        except (FileExistsError, ValueError):
            # Django's says anything of a name below a file; exists() says False.
            raise NotADirectoryError(name) from None


KINDS = st.sampled_from(["flat", "lazy", "files", "files", "own", "memory"])
SELDOM = st.sampled_from([False, False, True])
# Of each backend: its kind, READ_ONLY, ALWAYS_PROBE.
CHAINS = st.lists(
    st.tuples(KINDS, SELDOM, SELDOM),
    min_size=1,
    max_size=3,
)
ALL_FILES = {"a", "a/b", "a/b/c", "d", "d/e"}
FILES = st.sampled_from(sorted(ALL_FILES))
ODD = st.sampled_from(["", "a/", "./a", "a//b", "d\\e", "x/../a", "../a", "/a", "z"])
NAMES = st.one_of(FILES, FILES, FILES, ODD)
READERS = st.integers(0, 5)
# What may be answered by grace.
GRACEFUL = ("exists", "url", "resolve")
FACTS = ("size", "get_modified_time")
TIMES = ("get_accessed_time", "get_created_time", "get_modified_time")
READS = st.sampled_from(
    ["exists", "url", "open", "size", "path", "resolve", "listdir", *TIMES]
)


def build(index, kind, root):
    if kind in {"files", "own"}:
        make = Files if kind == "files" else OwnFiles
        return make(root / str(index), base_url=f"/{index}/")
    if kind == "memory":
        return Memory(base_url=f"/{index}/")
    return (Lazy if kind == "lazy" else Flat)(str(index))


BY_HAND = (
    "unlink",
    "rmtree",
    "all",
    "mkdir",
    "file",
    "to-file",
    "to-dir",
    "to-nothing",
)


def change_by_hand(place, name, how):
    """Do to a name what a shell does, or to the whole directory."""
    path, target = place / name, place / f".{how}-{name.replace('/', '-')}"
    if how == "all":
        shutil.rmtree(place)
        return
    if path.is_dir() and not path.is_symlink():
        if how == "unlink":
            return
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
    if how in {"unlink", "rmtree"}:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if how == "mkdir":
        path.mkdir()
    elif how == "file":
        path.write_bytes(b"by hand")
    else:
        if how == "to-file":
            target.write_bytes(b"linked")
        elif how == "to-dir":
            target.mkdir(exist_ok=True)
        path.symlink_to(target)


def kinds_in(place):
    """Return of each name whether a file has it, something else, or nothing (None)."""
    kinds = {}
    for name in ALL_FILES:
        path = place / name
        there = os.path.lexists(path)
        kinds[name] = ("file" if path.is_file() else "other") if there else None
    return kinds


def answer(storage, operation, name):
    """Return what the storage answers, or the type of what it raises."""
    try:
        found = getattr(storage, operation)(name)
        if operation == "open":
            with found:
                return "content", found.read()
        if operation == "resolve":
            return found.name, found.index, found.backend, found.held
    except (Trouble, Gone, AllBackendsFailed):
        return "failed"
    except Exception as error:
        return type(error)
    return found


class Oracle(RuleBasedStateMachine):
    """Several instances over the same backends, each beside one without a memo."""

    graced = 0  # answers, of all examples
    noted = 0  # sizes and times that were known

    @initialize(
        chain=CHAINS,
        on_delete=st.sampled_from(["first", "all"]),
        strict=st.booleans(),
        ttls=st.sampled_from([(300, 5), (300, 5), (5, 300), (0, 5), (300, 0)]),
    )
    def build(self, chain, on_delete, strict, ttls):
        self.root = Path(tempfile.mkdtemp(prefix="oracle-"))
        self.storages = [
            build(index, kind, self.root) for index, (kind, _, _) in enumerate(chain)
        ]
        self.live = [live for _, _, live in chain]
        self.strict = strict
        # A class path that gives back the instance it is given.
        entries = [
            {
                "BACKEND": "typing.cast",
                "OPTIONS": {"typ": Storage, "val": storage},
                "NAME": f"{kind}{index}",
                "READ_ONLY": read_only,
                "ALWAYS_PROBE": live,
                "LAZY_OPEN": kind == "lazy",
                "RETRY_AFTER": 0,
                "PROFILE": {"KEEPS_FACTS": kind in {"flat", "lazy"}},
            }
            for index, ((kind, read_only, live), storage) in enumerate(
                zip(chain, self.storages, strict=True)
            )
        ]
        options = {"on_delete": on_delete, "strict": strict}
        cache = {"TTL": ttls[0], "NEGATIVE_TTL": ttls[1]}
        self.pairs = [
            (
                Chain(backends, {**cache, **more}, **options),
                Chain(backends, False, **options),
            )
            for backends, more in [
                (entries, {}),
                (entries, {}),
                (entries[::-1], {}),
                (entries[:2], {"MAX_ENTRIES": 2}),
                (entries, {"STORE": "aging.SharedStore", "GRACE": 1000}),
            ]
        ]
        SharedStore.hand = Chain.clock
        # Of each reader, operation and name: what was the answer before somebody else
        # changed something.
        self.formerly = {}
        subject, truth = self.pairs[2]  # a chain in a chain
        self.pairs.append(
            (
                Chain([subject, entries[0]], cache, **options),
                Chain([truth, entries[0]], False, **options),
            )
        )
        self.opened = []
        self.is_down = False

    def teardown(self):
        close_shared_stores()
        for subject, _ in getattr(self, "pairs", ()):
            Oracle.graced += subject.stats()["grace_hits"]
        for _, file in getattr(self, "opened", ()):
            with suppress(Exception):
                file.close()
        if hasattr(self, "root"):
            shutil.rmtree(self.root)

    def healed(self, function, *args):
        """Call a function while no backend fails."""
        down = [storage.down for storage in self.storages]
        for storage in self.storages:
            storage.down = frozenset()
        try:
            return function(*args)
        finally:
            for storage, methods in zip(self.storages, down, strict=True):
                storage.down = methods

    def check(self, reader, operation, name):
        subject, truth = self.pairs[reader]
        expected = [answer(truth, operation, name)]
        if self.is_down and operation != "listdir":
            # What is remembered may be better than what can be asked just now.
            expected.append(self.healed(answer, truth, operation, name))
            expected += self.formerly.get((reader, operation, name), ())
        calls = [self.calls(operation)]
        found = answer(subject, operation, name)
        calls.append(self.calls(operation))
        if operation in FACTS and found == expected[0] and calls[0] == calls[1]:
            Oracle.noted += isinstance(found, (int, datetime))
        if self.is_down and operation == "url" and self.strict:
            # A remembered holder's failure is raised; without a memo it would have failed
            # to say that it holds the file, and the next one's URL would be the answer.
            expected.append("failed")
        if self.is_down and operation == "exists" and expected[0] == "failed":
            # Nobody answers. That one does not hold the file may be remembered: then one
            # has answered, and "no" is what is said, and logged, and not remembered.
            expected.append(False)
        if self.is_down and operation == "path":
            # The next backend's path, if one has no path just now: nothing to compare.
            return
        if self.is_down and operation == "resolve":
            found = found[1] if isinstance(found, tuple) else found
            expected = [
                each[1] if isinstance(each, tuple) else each for each in expected
            ]
        assert found in expected, f"{operation}({name!r}) of {subject!r}"

    def calls(self, operation):
        """Return how often any backend that counts was asked this."""
        flat = [each for each in self.storages if isinstance(each, Flat)]
        return sum(each.count(operation) for each in flat) if flat else -1

    def remember(self):
        """Somebody else is about to change something: keep what the answers are."""
        for reader, (_, truth) in enumerate(self.pairs):
            for name in ALL_FILES:
                for operation in GRACEFUL:
                    found = self.healed(answer, truth, operation, name)
                    key = reader, operation, name
                    self.formerly.setdefault(key, []).append(found)

    def told(self, *names):
        """These were written through a storage, or forgotten."""
        with suppress(SuspiciousFileOperation):
            for key in [key for key in self.formerly if key[2] in affected(*names)]:
                del self.formerly[key]

    def check_all(self, *names):
        """Ask every instance of these names, of what is above and what is below."""
        for each in sorted(ALL_FILES):
            if not any(f"{each}/".startswith(n) or n.startswith(each) for n in names):
                continue
            for reader in range(len(self.pairs)):
                for operation in ("url", "exists", "open"):
                    self.check(reader, operation, each)

    def check_facts(self, reader, name):
        """Ask twice: the second time it may know."""
        for operation in FACTS * 2:
            self.check(reader, operation, name)

    # Reading

    @rule(reader=READERS, operation=READS, name=NAMES)
    def read(self, reader, operation, name):
        self.check(reader, operation, name)

    @rule(name=FILES)
    def read_all(self, name):
        self.check_all(name)

    # Writing. What is known of the name before may be anything; then it is known.

    @rule(
        writer=READERS, cached=st.booleans(), name=NAMES, content=st.binary(max_size=3)
    )
    def save(self, writer, cached, name, content):
        storage = self.pairs[writer][0 if cached else 1]
        free = answer(self.pairs[writer][1], "is_name_available", name)
        try:
            saved = storage.save(name, ContentFile(content))
        except Exception:
            self.check_all(name)
            return
        self.told(saved)
        self.check_all(name, saved)
        if not self.is_down:
            clean = os.path.normpath(name.replace("\\", "/"))
            assert (saved == clean) is (free is True)
            assert answer(storage, "open", saved) == ("content", content)

    @rule(writer=READERS, cached=st.booleans(), name=NAMES)
    def delete(self, writer, cached, name):
        with suppress(Exception):
            self.pairs[writer][0 if cached else 1].delete(name)
            self.told(name)
        self.check_all(name)

    @rule(
        writer=READERS,
        cached=st.booleans(),
        name=NAMES,
        mode=st.sampled_from(["wb", "ab", "xb", "r+b"]),
        content=st.binary(max_size=3),
    )
    def open(self, writer, cached, name, mode, content):
        try:
            file = self.pairs[writer][0 if cached else 1].open(name, mode)
        except Exception:
            pass
        else:
            self.told(name)
            file.write(content)
            self.opened.append((name, file))
        self.check_all(name)

    @precondition(lambda self: self.opened)
    @rule(data=st.data())
    def close(self, data):
        name, file = self.opened.pop(data.draw(st.integers(0, len(self.opened) - 1)))
        with suppress(Exception):
            file.close()
        self.check_all(name)

    # What happens around it

    @rule(seconds=st.sampled_from([1, 5, 299, 300]))
    def tick(self, seconds):
        Chain.clock.tick(seconds)

    @rule(reader=READERS, names=st.sets(NAMES, max_size=3))
    def forget(self, reader, names):
        try:
            self.pairs[reader][0].forget(*names)
        except SuspiciousFileOperation:
            return
        self.told(*names)

    @rule(reader=READERS)
    def forget_all(self, reader):
        self.pairs[reader][0].forget_all()

    @rule(
        data=st.data(),
        methods=st.sampled_from([METHODS, ("_save",), ("exists",)]),
        error=st.sampled_from([Trouble, Gone]),
    )
    def fail(self, data, methods, error):
        storage = self.storages[data.draw(st.integers(0, len(self.storages) - 1))]
        storage.down, storage.error = frozenset(methods), error
        self.is_down = True

    @precondition(lambda self: not self.is_down)
    @rule(
        data=st.data(),
        name=FILES,
        written=st.booleans(),
        methods=st.sampled_from([METHODS, ASKING, ASKING]),
    )
    def long_outage(self, data, name, written, methods):
        """What was known when it began is over; deletes may still arrive."""
        self.check_all(name)
        Chain.clock.tick(300)
        self.fail(data, methods, Gone)
        self.check_all(name)
        if written:
            with suppress(Exception):
                self.pairs[0][0].delete(name)
            self.told(name)
            self.check_all(name)
        self.heal()
        self.check_all(name)

    @rule()
    def heal(self):
        for storage in self.storages:
            storage.down = frozenset()
        self.is_down = False

    # Behind its back

    @rule(
        data=st.data(),
        name=FILES,
        how=st.sampled_from(["forget", "wait", "all"]),
        replaced=st.booleans(),
        reader=READERS,
    )
    def change_behind(self, data, name, how, replaced, reader):
        """What others change is seen after ``forget``, or after the lifetime."""
        self.remember()
        storage = self.storages[data.draw(st.integers(0, len(self.storages) - 1))]
        try:
            if replaced and isinstance(storage, Flat):
                self.check_facts(reader, name)
                storage.files[name] = storage.files.get(name, b"") + b"replaced"
            elif self.healed(storage.exists, name):
                self.healed(storage.delete, name)
            else:
                self.healed(storage.save, name, ContentFile(b"behind"))
        except Exception:
            pass  # a directory that is not empty, a file above the name
        if how == "wait":
            Chain.clock.tick(300)
        elif how == "all" or isinstance(storage, Memory):
            for subject, _ in self.pairs:
                subject.forget_all()
            self.formerly.clear()
        else:
            parents = [name[:end] for end in range(1, len(name)) if name[end] == "/"]
            self.pairs[0][0].forget(name, *parents)
            self.told(name)
        self.check_facts(reader, name)

    @precondition(lambda self: not self.is_down)
    @rule(
        reader=READERS,
        name=FILES,
        operation=st.sampled_from(["open", "size"]),
        moved=st.booleans(),
    )
    def lose_behind(self, reader, name, operation, moved):
        """A file that is gone, or moved down, is missed at once by whoever reads it."""
        truth = self.pairs[reader][1]
        storages = [backend.storage for backend in truth.backends]
        holder = truth.resolve(name).index
        if holder is None or not isinstance(storages[holder], Flat):
            return
        self.check(reader, "exists", name)
        if truth.backends[holder].read_only:
            operation = "open"  # of its size, and time, that is seen with the others
        self.remember()
        content = storages[holder].files.pop(name)
        for storage in storages[holder + 1 :]:
            if moved and isinstance(storage, Flat):
                storage.files[name] = content
        self.check(reader, operation, name)
        self.pairs[0][0].forget(name)

    @precondition(
        lambda self: (
            not self.is_down and any(isinstance(each, Files) for each in self.storages)
        )
    )
    @rule(data=st.data(), name=FILES, how=st.sampled_from(BY_HAND))
    def change_by_hand(self, data, name, how):
        """In a local directory what is gone, or is no file any more, is seen at once.

        What is new is seen after ``forget``, or after the lifetime.
        """
        storage = data.draw(
            st.sampled_from([each for each in self.storages if isinstance(each, Files)])
        )
        self.remember()
        place = Path(storage.location)
        before = kinds_in(place)
        with suppress(OSError):  # a file above the name, nothing to remove
            change_by_hand(place, name, how)
        new = [
            each
            for each, kind in kinds_in(place).items()
            if kind != before[each] and (kind == "file" or before[each] is None)
        ]
        if new:
            self.pairs[0][0].forget(*new)
        if not all(isinstance(each, Files) for each in self.storages):
            # Of what is only remembered around a chain, that does not tell where it was.
            self.pairs[-1][0]._get_engine().memo.forget_all()
        self.check_all("")

    @precondition(lambda self: not self.is_down and any(self.live))
    @rule(name=FILES, operation=st.sampled_from(["exists", "url", "open", "size"]))
    def change_live(self, name, operation):
        """A backend that is always asked may be changed by anybody."""
        self.remember()
        for storage, live in zip(self.storages, self.live, strict=True):
            if live and isinstance(storage, Flat):
                found = storage.files.pop(name, None)
                if found is None:
                    storage.files[name] = b"live"
        self.check(0, operation, name)
        self.check(2, operation, name)
        # The chain around a chain does not know what is live in there.
        self.pairs[0][0].forget(name)


@pytest.fixture(autouse=True)
def quiet():
    """Failures are logged, which here is of no interest."""
    logger = logging.getLogger("fallback_storage")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


@examples(150, moment=4)
def test_the_memo_changes_no_answer(examples):
    """Values and exceptions are those of the chain without a memo."""
    run_state_machine_as_test(Oracle, settings=searching(examples, steps=30))
    assert (Oracle.graced > 0 and Oracle.noted > 0) or examples < 100
