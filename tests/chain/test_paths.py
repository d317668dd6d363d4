"""A path, and a delete, in a directory's stead: those of its storage; in doubt it is asked."""

from __future__ import annotations

import string

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, filesystem
from hypothesis import given
from hypothesis import strategies as st
from proofs import searching

from fallback_storage.chain.names import clean_name
from fallback_storage.chain.paths import delete, path_of
from fallback_storage.storage import FallbackStorage

NAME = "d/a.txt"

PARTS = st.one_of(
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1),
    st.text("./\\~ -%\n" + string.ascii_letters[:2], min_size=1, max_size=6),
)


@searching(100)
@given(
    name=st.lists(PARTS, min_size=1, max_size=4).map("/".join),
    place=st.sampled_from(["/", "//", "/srv/media", "//srv", "/a b/ü", "relative", ""]),
)
def test_the_path_is_that_of_the_storage(name, place):
    """Of every clean name, also of one that means a directory."""
    try:
        clean = clean_name(name)
    except SuspiciousFileOperation:
        return
    storage = FileSystemStorage(place)
    storage.__dict__["location"] = place  # abspath() leaves it as it is
    assert path_of(storage, clean) == storage.path(clean)


@pytest.mark.parametrize("name", ["/etc/passwd", "../a", "d/../../a", ""])
def test_what_is_no_clean_name_of_a_file_is_left_to_the_storage(tmp_path, name):
    """What would be refused is refused."""
    storage = FileSystemStorage(tmp_path)

    def told(function):
        try:
            return function()
        except (SuspiciousFileOperation, ValueError) as error:
            return type(error)

    assert told(lambda: path_of(storage, name)) == told(lambda: storage.path(name))
    assert told(lambda: delete(storage, name)) == told(lambda: storage.delete(name))


def own_path(kind):
    kind.path = lambda self, name: f"{self.location}/own/{name}"


def own_delete(kind):
    kind.delete = lambda self, name: FileSystemStorage.delete(self, f"own/{name}")


def own_methods_at_each_look(kind):
    class Intercepts(kind):
        def __getattribute__(self, name):
            found = super().__getattribute__(name)
            if name not in {"path", "delete"}:
                return found
            return lambda name: found(f"own/{name}")

    return Intercepts


@pytest.mark.parametrize("own", [own_path, own_delete, own_methods_at_each_look])
@pytest.mark.parametrize("where", ["class", "instance"])
def test_methods_of_its_own_are_asked(tmp_path, own, where):
    """The class's, or what a test has set on an instance."""
    kind = type("Own", (FileSystemStorage,), {})
    plain = kind(tmp_path)
    kind = own(kind) or kind
    storage = kind(tmp_path)
    if where == "instance" and own is not own_methods_at_each_look:
        method = own.__name__.removeprefix("own_")
        function = getattr(storage, method)
        delattr(kind, method)
        plain.__dict__[method] = function
        storage = plain
    (tmp_path / "own" / "own").mkdir(parents=True)
    for place in ("a", "own/a", "own/own/a"):
        (tmp_path / place).write_bytes(b"")
    assert path_of(storage, "a") == storage.path("a")
    chain = FallbackStorage([storage], cache=False)
    chain.delete("a")
    assert (tmp_path / "a").exists()


def states(root):
    """One name for everything that a name may have; and where that is."""
    (root / "full" / "below").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "file").write_bytes(b"content")
    (root / "to-file").symlink_to("file")
    (root / "to-directory").symlink_to("empty")
    (root / "nowhere").symlink_to("none")
    return [
        *("full", "empty", "file", "to-file", "to-directory", "nowhere", "none"),
        *("file/below", "x" * 300, "empty/"),
    ]


def test_a_delete_does_what_the_storage_does(tmp_path):
    """It leaves the same, and raises the same."""
    places = tmp_path / "ours", tmp_path / "theirs"
    names, _ = (states(each) for each in places)
    ours, theirs = (FileSystemStorage(each) for each in places)

    def told(function, name):
        try:
            return function(name)
        except OSError as error:
            return type(error), error.errno

    for name in names:
        found = told(lambda name: delete(ours, name), name)
        assert found == told(theirs.delete, name), name
    left = [sorted(path.name for path in each.rglob("*")) for each in places]
    assert left[0] == left[1]


def test_a_save_and_a_delete_make_no_detour(tmp_path, monkeypatch):
    """Each is one call of ``safe_join`` or more with Django's storage."""
    made = []
    monkeypatch.setattr(filesystem, "safe_join", lambda *parts: made.append(parts))
    chain = FallbackStorage([FileSystemStorage(tmp_path)])
    (tmp_path / "d").mkdir()
    assert chain.save(NAME, ContentFile(b"content")) == NAME
    assert (tmp_path / NAME).read_bytes() == b"content"
    chain.delete(NAME)
    assert list((tmp_path / "d").iterdir()) == []
    assert made == []


def test_the_place_may_change(tmp_path, settings):
    """``MEDIA_ROOT``, as tests set it."""
    settings.MEDIA_ROOT = str(tmp_path / "one")
    storage = FileSystemStorage()
    assert path_of(storage, NAME) == f"{tmp_path}/one/{NAME}"
    settings.MEDIA_ROOT = str(tmp_path / "two")
    assert path_of(storage, NAME) == f"{tmp_path}/two/{NAME}"
