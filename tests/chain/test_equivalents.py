"""What is told in a local directory's stead is what its storage tells; in doubt it is asked."""

from __future__ import annotations

import os
import string

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import FileSystemStorage, filesystem
from fakes import RecordingStorage
from hypothesis import given
from hypothesis import strategies as st
from proofs import searching

from fallback_storage.chain import equivalents
from fallback_storage.chain.equivalents import TIMES, answers_of
from fallback_storage.chain.names import clean_name, memo_key
from fallback_storage.signals import resolved
from fallback_storage.storage import FallbackStorage

NAME = "d/a.txt"
FETCHED = ("size", *TIMES)


def read(storage, name):
    with storage.open(name) as file:
        return file.read()


CALLS = {
    "exists": lambda storage, name: storage.exists(name),
    "url": lambda storage, name: storage.url(name),
    "_open": read,
    **{m: lambda storage, name, m=m: getattr(storage, m)(name) for m in FETCHED},
}
USES = [(call, method) for call in CALLS for method in (call, "path")]
USES = [use for use in USES if use != ("url", "path")]


@pytest.fixture
def root(media_root):
    (media_root / "d").mkdir()
    (media_root / "d" / "a.txt").write_bytes(b"local")
    (media_root / "link").symlink_to("d/a.txt")
    return media_root


@pytest.fixture
def local(root):
    return FileSystemStorage()


@pytest.fixture
def chain(local):
    """It knows the name."""
    remote = RecordingStorage("remote", {NAME: b"remote", "link": b"remote"})
    chain = FallbackStorage([local, remote])
    assert chain.exists(NAME)
    assert chain.exists("link")
    return chain


@pytest.fixture
def detours(monkeypatch):
    """The paths that Django's storage has made."""
    made = []
    real = filesystem.safe_join

    def note(*parts):
        made.append(parts)
        return real(*parts)

    monkeypatch.setattr(filesystem, "safe_join", note)
    return made


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", [NAME, "link"])
def test_the_answer_is_that_of_the_storage_without_the_detour(
    local, chain, detours, call, name
):
    told = CALLS[call](chain, name)
    assert detours == []
    assert told == CALLS[call](local, name)


@pytest.mark.parametrize(("call", "method"), USES)
@pytest.mark.parametrize("where", ["class", "instance"])
def test_what_somebody_has_replaced_is_asked(
    local, chain, monkeypatch, call, method, where
):
    """Also after the chain has used it: a test may patch its storage."""
    CALLS[call](chain, NAME)
    target = local if where == "instance" else FileSystemStorage
    asked, real = [], getattr(target, method)
    monkeypatch.setattr(target, method, lambda *args: asked.append(args) or real(*args))
    CALLS[call](chain, NAME)
    assert asked


@pytest.mark.parametrize("call", CALLS)
def test_the_place_may_change(root, chain, local, call, settings, tmp_path):
    """By a setting, or by hand."""
    other = tmp_path / "other"
    (other / "d").mkdir(parents=True)
    (other / "d" / "a.txt").write_bytes(b"another")
    CALLS[call](chain, NAME)
    local.__dict__["location"] = str(other)
    assert CALLS[call](chain, NAME) == CALLS[call](local, NAME)
    (other / "d" / "a.txt").unlink()
    if call in {"_open", "size"}:
        assert CALLS[call](chain, NAME) in {b"remote", len("remote")}


@pytest.mark.parametrize("call", ["_open", *FETCHED])
def test_what_is_no_file_is_no_answer(root, local, chain, call):
    """It has become a directory, or is gone: another backend has the file."""
    remote = chain.backends[1].storage
    for become in (lambda path: path.mkdir(), lambda path: None):
        assert CALLS[call](chain, NAME) == CALLS[call](local, NAME)
        (root / NAME).unlink()
        become(root / NAME)
        assert CALLS[call](chain, NAME) == CALLS[call](remote, NAME)
        if (root / NAME).is_dir():
            (root / NAME).rmdir()
        (root / NAME).write_bytes(b"local")
        chain.forget(NAME)
        assert chain.exists(NAME)


def test_who_listens_is_told(chain, detours):
    """Then there is no short way."""
    heard = []

    def hear(operation, **kwargs):
        heard.append(operation)

    resolved.connect(hear)
    try:
        for call in CALLS.values():
            call(chain, NAME)
        chain.resolve(NAME)
    finally:
        resolved.disconnect(hear)
    assert len(heard) == len(CALLS) + 1


@pytest.mark.parametrize(
    "entry",
    [{"PROFILE": {"LAZY_OPEN": True}}, {"ALWAYS_PROBE": True}, {"DEADLINE": 60}],
    ids=lambda entry: next(iter(entry)),
)
def test_an_entry_may_want_the_long_way(root, detours, entry):
    path = "django.core.files.storage.FileSystemStorage"
    chain = FallbackStorage([{"BACKEND": path, **entry}])
    assert chain.exists(NAME)
    detours.clear()
    assert read(chain, NAME) == b"local"
    assert detours


@pytest.mark.parametrize("call", CALLS)
def test_a_live_backend_is_asked_before_what_is_known(root, tmp_path, call):
    live = FileSystemStorage(tmp_path / "live", "/live/")
    options = {"location": tmp_path / "live", "base_url": "/live/"}
    path = "django.core.files.storage.FileSystemStorage"
    entry = {"BACKEND": path, "OPTIONS": options, "ALWAYS_PROBE": True}
    chain = FallbackStorage([entry, path])
    for _ in range(2):
        assert CALLS[call](chain, NAME) == CALLS[call](chain.backends[1].storage, NAME)
    (tmp_path / "live" / "d").mkdir(parents=True)
    (tmp_path / "live" / "d" / "a.txt").write_bytes(b"live one")
    assert CALLS[call](chain, NAME) == CALLS[call](live, NAME)


def test_a_directory_that_failed_is_asked_as_such(chain, detours):
    """What is known of a backend that cannot be reached is kept by its way."""
    backend = chain.backends[0]
    assert backend.is_sound
    backend.reach.breaker.failed(backend.reach.breaker.ticket)
    assert not backend.is_sound
    assert chain.size(NAME) == len("local")
    assert detours
    assert backend.is_sound


def test_it_is_counted_as_a_call(chain):
    before = chain.stats()["backends"]["FileSystemStorage"]["calls"]
    assert read(chain, NAME) == b"local"
    assert chain.size(NAME) == len("local")
    after = chain.stats()["backends"]["FileSystemStorage"]["calls"]
    assert after == before + 2


def test_there_is_none_for_a_class_with_methods_of_its_own(root):
    class Own(FileSystemStorage):
        def path(self, name):
            return super().path(f"d/{name}")

    class OwnPlace(FileSystemStorage):
        @property
        def location(self):
            return str(root)

    class OwnSize(FileSystemStorage):
        def size(self, name):
            return 7

    assert answers_of(Own()) == answers_of(OwnPlace()) == answers_of(object()) == {}
    assert set(answers_of(OwnSize())) == {"_open", *TIMES}
    assert set(answers_of(FileSystemStorage())) == {"_open", *FETCHED}
    chain = FallbackStorage([OwnSize()])
    assert chain.exists(NAME)
    assert chain.size(NAME) == 7


PARTS = st.one_of(
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1),
    st.text("./\\~ -%\n" + string.ascii_letters[:2], min_size=1, max_size=6),
)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere the storage makes the path")
@searching(100)
@given(
    name=st.lists(PARTS, min_size=1, max_size=4).map("/".join),
    place=st.sampled_from(["/", "//", "/srv/media", "//srv", "/a b/ü"]),
)
def test_the_path_is_that_of_the_storage(name, place):
    """For every clean name of a file: where it is looked for, opened, measured."""
    try:
        clean = clean_name(name)
    except SuspiciousFileOperation:
        return
    if memo_key(clean) is None:
        return
    storage = FileSystemStorage(place)
    storage.__dict__["location"] = place  # abspath() leaves it as it is
    for method in ("exists", "_open", *FETCHED):
        start = equivalents._beginning(storage, method)()
        assert f"{start}{clean}" == storage.path(clean)


# ``resolve``


@pytest.mark.parametrize("name", [NAME, "there", "nowhere"])
def test_a_resolution_from_memory_is_that_of_the_long_way(chain, monkeypatch, name):
    chain.backends[1].storage.files["there"] = b"x"
    chain.resolve(name)
    resolver = chain._get_engine().resolver
    expected = resolver.resolve(name)
    monkeypatch.setattr(resolver, "locate", pytest.fail)
    assert chain.resolve(name) == expected
    assert chain.resolve(name).name == name


def test_a_file_that_went_away_is_resolved_anew(root, chain):
    assert chain.resolve(NAME).index == 0
    (root / NAME).unlink()
    assert chain.resolve(NAME).index == 1
    chain.backends[1].storage.files.clear()
    chain.forget(NAME)
    assert chain.resolve(NAME).held is False
    (root / NAME).touch()
    assert chain.resolve(NAME).index == 0


def test_what_is_known_in_part_is_asked_for(chain):
    """A ``url`` has learned that it is not in the first: who has it, nobody knows."""
    remote = chain.backends[1].storage
    remote.files["b"] = b"x"
    chain.url("b")
    chain.url("c")
    assert remote.count("exists") == 0
    assert chain.resolve("b").index == 1
    assert chain.resolve("c").index is None
    assert remote.count("exists") == 2


class Elsewhere(FileSystemStorage):
    """Its files lie in a folder of their own, which no method of the class tells."""

    folder = "own"

    def __getattribute__(self, name):
        found = super().__getattribute__(name)
        if name != "path":
            return found
        return lambda name: found(f"{self.folder}/{name}")


def test_a_class_that_intercepts_is_asked_where_its_files_are(root):
    (root / "own").mkdir()
    (root / "own" / "b.txt").write_bytes(b"own")
    (root / "c.txt").write_bytes(b"not")
    storage, remote = Elsewhere(), RecordingStorage("remote", {"c.txt": b"remote"})
    for cache in (None, False):
        chain = FallbackStorage([storage, remote], cache=cache)
        for _ in range(2):
            assert storage.exists("b.txt")
            assert chain.exists("b.txt")
            assert chain.resolve("b.txt").backend == chain.backends[0].name
            assert chain.size("b.txt") == len(b"own")
            assert chain.resolve("c.txt").index == 1
            assert chain.url("c.txt") == remote.url("c.txt")


def test_a_location_that_the_class_gets_later_is_seen(chain, local, root, monkeypatch):
    """Also by who knows that the file is there."""
    assert chain.exists(NAME)
    chain.backends[1].storage.files.clear()
    elsewhere = property(lambda storage: str(root / "elsewhere"))
    monkeypatch.setattr(FileSystemStorage, "location", elsewhere)
    assert not local.exists(NAME)
    assert not chain.exists(NAME)
