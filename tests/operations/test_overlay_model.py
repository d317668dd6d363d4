"""Any sequence of operations answers as a plain model of an overlay does.

The model is a dictionary for each backend and the set of hidden names. The read-only
backends are guards: one call that could change them ends the test. The writable ones
fail now and then, before they did anything or half way.

A state machine of hypothesis; see ``support/proofs.py`` for how long it searches.
"""

from __future__ import annotations

import logging
import posixpath
import shutil
import tempfile
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from overlay.model import MISSING, TIMES, Backend, Model
from overlay.parts import (
    Trouble,
    read_only,
    staging_left,
    writable,
)
from proofs import examples, searching

from fallback_storage.exceptions import AllBackendsFailed, FallbackStorageError
from fallback_storage.storage import FallbackStorage

# Of each backend: "h" the home, "w" another writable one, "g" a guard.
SHAPES = ["hg", "hg", "gh", "hgg", "hwg", "ghg", "gwg", "hgw", "h"]
NAMES = st.sampled_from(["a.txt", "b", "d/e.txt", "d/f", "d/g/h"])
DIRECTORIES = ["", "d", "d/g", "none"]
TEXTS = st.text("xyz", max_size=6)
READS = st.sampled_from(
    ["exists", "url", "size", "path", "resolve", "open", "open_text", *TIMES]
)
WRITE_MODES = ["wb", "w+b", "ab", "a+b", "xb", "rb+", "r+b"]
TEXT_MODES = ["w", "w+", "a", "a+", "x", "r+"]
FAULTS = ["exists", "_open", "_save", "delete", "listdir", "size", "url", "close"]
DOWN = (Trouble, AllBackendsFailed)
OWN = (".fallback-whiteouts", ".fallback-staging")


class Overlay(Model, RuleBasedStateMachine):
    """Two instances, one with a memo, over the same backends, beside a model."""

    @initialize(
        shape=st.sampled_from(SHAPES),
        kinds=st.lists(st.sampled_from(["files", "flat"]), min_size=3, max_size=3),
        contents=st.lists(
            st.dictionaries(NAMES, TEXTS.map(str.encode)), min_size=3, max_size=3
        ),
        on_delete=st.sampled_from(["whiteout", "whiteout", "first", "all"]),
        promote=st.sampled_from([(False, None), (True, None), (True, 3)]),
    )
    def build(self, shape, kinds, contents, on_delete, promote):
        self.root = Path(tempfile.mkdtemp(prefix="overlay-"))
        self.backends = [
            Backend(index, role, kind, self.root)
            for index, (role, kind) in enumerate(zip(shape, kinds, strict=False))
        ]
        for backend, content in zip(self.backends, contents, strict=False):
            if backend.role == "g":
                backend.put(content)
        self.frozen = [(each, each.raw()) for each in self.backends if each.role == "g"]
        self.writable = [i for i, each in enumerate(self.backends) if each.role != "g"]
        self.home_index = self.writable[0]
        self.home = self.backends[self.home_index]
        self.on_delete = on_delete
        self.promote, self.max_size = promote
        self.hidden = set()
        self.faulty = False
        entries = [
            (read_only if each.role == "g" else writable)(
                each.storage, f"backend-{index}"
            )
            for index, each in enumerate(self.backends)
        ]
        options = {
            "on_delete": on_delete,
            "promote": self.promote,
            "promote_max_size": self.max_size,
        }
        self.chains = [
            FallbackStorage(entries, {"TTL": 300, "NEGATIVE_TTL": 300}, **options),
            FallbackStorage(entries, False, **options),
        ]

    def teardown(self):
        if hasattr(self, "root"):
            shutil.rmtree(self.root)

    # The storage

    def ask(self, chain, operation, name):
        """What the storage answers, in the model's terms."""
        try:
            if operation.startswith("open"):
                with chain.open(
                    name, "r" if operation == "open_text" else "rb"
                ) as file:
                    data = file.read()
                return data.encode() if isinstance(data, str) else data
            found = getattr(chain, operation)(name)
        except DOWN:
            return "failed"
        except FileNotFoundError:
            return MISSING
        except NotImplementedError:
            return NotImplementedError
        if operation == "resolve":
            if found.held is None:
                return "failed"
            return found.index, found.held, found.hidden
        if operation in TIMES:
            return "time"
        return found

    def raw_home(self):
        return {
            name: content
            for name, content in self.home.raw().items()
            if not name.startswith(OWN)
        }

    def raw_hidden(self):
        """The whiteouts, asked of nobody."""
        places = [place.split("/", 2) for place in self.home.raw()]
        return {place[2] for place in places if place[0] == ".fallback-whiteouts"}

    def learn(self):
        """Take the state of the writable backends over: an operation may have failed."""
        for index in self.writable[1:]:
            self.backends[index].files = self.backends[index].raw()
        self.home.files = self.raw_home()
        self.hidden = self.raw_hidden()

    def changing(self, name, contents=()):
        """After a change while backends fail: nothing half-made, and learn the rest."""
        known = {each.files.get(name) for each in self.backends} | set(contents)
        found = self.raw_home().get(name)
        assert found in known or not self.can_clean_up(), (
            f"{name!r} has {found!r}, of {known!r}"
        )
        self.learn()

    @invariant()
    def nothing_else_is_there(self):
        """Guards have what they had, the home has what the model has."""
        if not hasattr(self, "frozen"):
            return
        for backend, files in self.frozen:
            assert backend.raw() == files
        assert self.raw_home() == self.home.files
        assert self.raw_hidden() == self.hidden
        if self.home.kind == "files":
            assert staging_left(self.home.root) == []

    # Questions

    @rule(operation=READS, name=NAMES)
    def read(self, operation, name):
        for chain in self.chains:
            expected = self.expected(operation, name)
            found = self.ask(chain, operation, name)
            if not self.faulty:
                self.after(operation, name)
                assert found == expected, f"{operation}({name!r}) of {chain!r}"
                continue
            allowed = [expected, "failed", *self.blind(operation, name)]
            if operation == "path":
                allowed.append(NotImplementedError)  # it could not be copied
            elif operation == "url":
                # A holder whose url() fails leaves it to the next.
                every = range(len(self.backends))
                allowed += [self.url_of(index, name) for index in every]
            assert found in allowed, f"{operation}({name!r}) of {chain!r}"
            self.changing(name)

    @rule(name=NAMES)
    def read_all(self, name):
        for operation in ("url", "exists", "path", "size", "open", "url"):
            self.read(operation, name)

    @rule(directory=st.sampled_from(DIRECTORIES))
    def listdir(self, directory):
        for chain in self.chains:
            try:
                directories, files = chain.listdir(directory)
            except FileNotFoundError:
                directories, files = [], []
            except DOWN:
                assert self.faulty
                continue
            expected, within = set(), set()
            for name in {name for each in self.backends for name in each.files}:
                if self.visible(name) is None:
                    continue
                head, tail = posixpath.split(name)
                if head == directory:
                    expected.add(tail)
                elif (head + "/").startswith(directory + "/" if directory else ""):
                    rest = head[len(directory) :].lstrip("/")
                    within.add(rest.partition("/")[0])
            assert len(set(files)) == len(files)
            assert not set(directories) & set(OWN)
            if not self.faulty:
                assert set(files) == expected
                assert set(directories) >= within

    @rule(name=NAMES)
    def get_available_name(self, name):
        for chain in self.chains:
            try:
                found = chain.get_available_name(name)
            except DOWN:
                assert self.faulty
                continue
            if not self.faulty:
                assert (found == name) is (self.visible(name) is None)
                assert self.visible(found) is None

    @rule()
    def hidden_names(self):
        for chain in self.chains:
            try:
                assert set(chain.hidden()) == self.hidden
            except DOWN:
                assert self.faulty

    # Changes

    @rule(which=st.booleans(), name=NAMES, text=TEXTS)
    def save(self, which, name, text):
        content = text.encode()
        free = self.visible(name) is None
        before = self.raw_home()
        try:
            saved = self.chains[which].save(name, ContentFile(content))
        except (Trouble, FallbackStorageError):
            assert self.faulty
            if self.can_clean_up():
                # A half of nothing is all of it, which is not taken for a part. (Under
                # another name, where the first could not be asked for.)
                left = self.raw_home()
                assert before == {n: left.pop(n) for n in before if n in left}
                assert not content or not left
                assert set(left.values()) <= {b""}
            self.learn()
            return
        if self.faulty:
            self.learn()
            if self.can_clean_up():
                assert self.backends[self.visible(saved)].files[saved] == content
            return
        assert (saved == name) is free
        self.home.files[saved] = content
        self.shown(saved, self.home_index)

    def can_clean_up(self):
        """Whether a home that fails lets what a save left be removed."""
        storage = self.home.storage
        return self.home.kind == "files" or not storage.down - {"_save", "url", "size"}

    @rule(which=st.booleans(), name=NAMES)
    def delete(self, which, name):
        try:
            self.chains[which].delete(name)
        except DOWN:
            assert self.faulty
            self.changing(name, [None])
            return
        if self.faulty:
            self.changing(name, [None])
            if self.on_delete == "whiteout":
                assert self.visible(name) is None
            return
        if self.on_delete == "whiteout" and any(
            name in each.files for each in self.backends if each.role == "g"
        ):
            self.hidden.add(name)
        count = 1 if self.on_delete == "first" else None
        for index in self.writable[:count]:
            self.backends[index].files.pop(name, None)

    @rule(which=st.booleans(), name=NAMES)
    def unhide(self, which, name):
        try:
            self.chains[which].unhide(name)
        except DOWN:
            assert self.faulty
            self.learn()
            return
        self.hidden.discard(name)
        assert name not in self.raw_hidden()

    @rule(
        which=st.booleans(),
        name=NAMES,
        mode=st.sampled_from(WRITE_MODES),
        text_mode=st.sampled_from([None, *TEXT_MODES]),
        text=TEXTS,
    )
    def write(self, which, name, mode, text_mode, text):
        if text_mode and all(each.kind == "files" for each in self.backends):
            mode = text_mode
        target, raised = self.target(name, mode), None
        try:
            file = self.chains[which].open(name, mode)
            try:
                file.write(text.encode() if "b" in mode else text)
            finally:
                file.close()
        except DOWN:
            assert self.faulty
            self.learn()
            return
        except (FileNotFoundError, FileExistsError) as error:
            raised = type(error)
        if self.faulty:
            self.learn()
        elif raised:
            assert isinstance(target, type)
            assert issubclass(raised, target)
        else:
            assert target in self.writable
            self.written(target, name, mode, text.encode())

    # What happens around it

    @rule(
        data=st.data(),
        methods=st.one_of(
            st.just(FAULTS), st.lists(st.sampled_from(FAULTS), min_size=1)
        ),
        half=st.booleans(),
    )
    def fail(self, data, methods, half):
        index = data.draw(st.sampled_from(self.writable))
        self.backends[index].storage.down = frozenset(methods)
        self.backends[index].storage.half = half
        self.faulty = True

    @rule()
    def heal(self):
        for index in self.writable:
            self.backends[index].storage.down = frozenset()
        self.faulty = False


@pytest.fixture(autouse=True)
def quiet():
    """Failures are logged, which here is of no interest."""
    logger = logging.getLogger("fallback_storage")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


@examples(300)
def test_every_answer_is_that_of_the_model(examples):
    """Whatever is done and whatever fails, guards are not changed and nobody is told wrong."""
    run_state_machine_as_test(Overlay, settings=searching(examples, steps=40))
