"""One spelling for every name; names that would leave the storage reach nobody."""

from __future__ import annotations

from contextlib import suppress
from pathlib import PurePath, PurePosixPath

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.utils import validate_file_name
from fakes import RecordingStorage
from hypothesis import given
from hypothesis import strategies as st
from methods import METHODS
from proofs import searching

from fallback_storage.chain import names
from fallback_storage.chain.names import (
    affected,
    clean_name,
    memo_key,
    refuse_no_file,
    validated,
)
from fallback_storage.storage import FallbackStorage

REFUSED_TEXTS = [
    "..",
    "../",
    "../x",
    "./../x",
    "a/../../x",
    "a/b/../../../x",
    "/",
    "/x",
    "//host/x",
    "/../x",
    "x\0",
    "a\0b/x",
    "..\\x",
    "a\\..\\..\\x",
    "a\\../..\\x",
    "\\x",
    "\\\\host\\x",
]
REFUSED = [*REFUSED_TEXTS, PurePosixPath("../x"), PurePosixPath("/x")]

NO_NAMES = [None, b"x", 7, ["x"], object]

SPELLINGS = [
    "a/b.txt",
    "./a/b.txt",
    "a//b.txt",
    "a/./b.txt",
    "a/c/../b.txt",
    "a\\b.txt",
    ".\\a\\\\b.txt",
    PurePath("a/b.txt"),
]

TIMES = [method for method in METHODS if method.endswith("_time")]
READING = ["exists", "open", "url", "url-expire", "size", *TIMES, "resolve"]


@pytest.fixture
def first():
    return RecordingStorage("first")


@pytest.fixture
def second():
    return RecordingStorage("second")


@pytest.fixture
def storage(first, second):
    return FallbackStorage([first, second])


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("x", "x"),
        ("", ""),
        (".", ""),
        ("./", ""),
        ("a/..", ""),
        (".\\", ""),
        ("a/", "a/"),
        ("a//", "a/"),
        ("a/.", "a"),
        ("a/./", "a/"),
        ("a\\", "a/"),
        ("a/../b", "b"),
        ("..a/b..", "..a/b.."),
        ("...", "..."),
        ("~/x", "~/x"),
        ("%2e%2e/x", "%2e%2e/x"),
        ("ü ß/日本.txt", "ü ß/日本.txt"),
        ("a b+c%20.txt", "a b+c%20.txt"),
        *((spelling, "a/b.txt") for spelling in SPELLINGS),
    ],
)
def test_names_have_one_canonical_spelling(name, clean):
    """Dots, doubled slashes and backslashes fold; a trailing slash stays."""
    assert clean_name(name) == clean


@pytest.mark.parametrize("name", REFUSED, ids=repr)
def test_names_that_leave_the_storage_are_refused(name):
    """Absolute names, names above the root and NUL are a SuspiciousFileOperation."""
    with pytest.raises(SuspiciousFileOperation):
        clean_name(name)


@pytest.mark.parametrize("name", NO_NAMES, ids=repr)
def test_what_is_no_name_is_a_type_error(name):
    """Only str and paths of str are names."""
    with pytest.raises(TypeError, match=r"must be str|expected str"):
        clean_name(name)


@pytest.mark.parametrize(
    ("clean", "key"), [("a/b", "a/b"), ("", None), ("a/", None), ("a", "a")]
)
def test_directories_have_no_place_in_the_memo(clean, key):
    """The root and names with a trailing slash are never memoised."""
    assert memo_key(clean) == key


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a"], {"a"}),
        (["a/b/c"], {"a/b/c", "a/b", "a"}),
        (["a/b/", "./a//c"], {"a/b", "a/c", "a"}),
        ([""], set()),
        ([], set()),
    ],
)
def test_a_write_affects_the_name_and_its_ancestors(names, expected):
    """Saving a/b/c changes what is known of a/b and a, and nothing else."""
    assert affected(*names) == expected


def test_of_names_of_any_length_little_is_kept(monkeypatch):
    """They come from anywhere, and each has as many ancestors as slashes."""
    deep = "/".join("abc" * 1000)
    names._lineage.cache_clear()
    found = affected(deep)
    assert len(found) == 3000
    assert {deep, "a", "a/b", deep[:-2]} <= found
    assert names._lineage.cache_info().currsize == 0
    assert affected("a/b/c.jpg") == affected("a/b/c.jpg") == {"a/b/c.jpg", "a/b", "a"}
    assert names._lineage.cache_info().currsize == 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", REFUSED, ids=repr)
def test_a_refused_name_reaches_no_backend(storage, first, second, method, name):
    """Through every method, a name that leaves the storage is refused unasked."""
    with pytest.raises(SuspiciousFileOperation):
        METHODS[method](storage, name)
    assert first.calls == second.calls == []


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (method, name)
        for method in METHODS
        for name in NO_NAMES
        # url(None) is Django's spelling of the root's URL; delete(None), of a slip.
        if name is not None or not method.startswith(("url", "delete"))
    ],
)
def test_what_is_no_name_reaches_no_backend(storage, first, second, method, name):
    """Bytes, numbers and None are no names."""
    with pytest.raises(TypeError):
        METHODS[method](storage, name)
    assert first.calls == second.calls == []


def test_a_content_without_a_name_cannot_be_saved_as_none(storage, first, second):
    """save(None) takes the name of the content, which is checked like any other."""
    assert storage.save(None, ContentFile(b"x", "a.txt")) == "a.txt"
    for calls in (first.calls, second.calls):
        calls.clear()
    content = ContentFile(b"x")
    content.name = "../a.txt"
    with pytest.raises(SuspiciousFileOperation):
        storage.save(None, content)
    assert first.calls == second.calls == []


@pytest.mark.parametrize("method", ["delete", "save", "get_available_name"])
@pytest.mark.parametrize("name", ["", ".", "a/.."])
def test_the_root_is_no_file(storage, first, second, method, name):
    """Nothing is saved as, or deleted at, the root."""
    with pytest.raises((ValueError, SuspiciousFileOperation)):
        METHODS[method](storage, name)
    assert first.calls == second.calls == []


@pytest.mark.parametrize("name", REFUSED_TEXTS, ids=repr)
def test_a_valid_name_stays_in_the_storage(storage, name):
    """What get_valid_name makes of a name, if anything, is one that can be used."""
    try:
        valid = storage.get_valid_name(name)
    except SuspiciousFileOperation:
        return
    assert clean_name(valid) == valid


@pytest.mark.parametrize("name", ["..", "../x", "a/../../x", "..\\x", "a\\..\\..\\x"])
def test_generate_filename_refuses_directories_above_the_root(storage, name):
    """Django's rule for upload_to holds through the chain."""
    with pytest.raises(SuspiciousFileOperation):
        storage.generate_filename(name)


@pytest.mark.parametrize("name", ["/x", "//host/x", "\\x", "\\\\host\\x", "a\0b/x"])
def test_generate_filename_refuses_directories_that_leave(storage, name):
    """A name that save would refuse is not made in the first place."""
    with pytest.raises(SuspiciousFileOperation):
        storage.generate_filename(name)


@pytest.mark.parametrize("method", READING)
def test_all_spellings_share_one_memo_entry(storage, first, second, method):
    """A name resolved in one spelling is known in all; backends see the clean one."""
    second.files["a/b.txt"] = b"x"
    storage.exists("a/b.txt")
    first.reset()
    second.reset()
    for spelling in SPELLINGS:
        METHODS[method](storage, spelling)
    assert first.count() == 0
    assert {name for _, name in second.calls} <= {"a/b.txt"}
    assert second.count("exists") == 0
    assert storage.stats()["entries"] == 1


@pytest.mark.parametrize(
    ("method", "spelling"),
    [
        (method, spelling)
        for method in METHODS
        for spelling in SPELLINGS
        # Django makes no free name of a name with "..", and saves nothing under it.
        if method not in ("get_available_name", "save") or ".." not in str(spelling)
    ],
)
def test_backends_see_the_canonical_spelling(first, second, method, spelling):
    """Whatever the caller writes, every backend is asked about the same name."""
    storage = FallbackStorage([first, second], cache=False)
    if method in {*READING, "open-r+", "delete"}:
        second.files["a/b.txt"] = first.files["a/b.txt"] = b"x"
    with suppress(NotImplementedError):  # RecordingStorage has no paths
        METHODS[method](storage, spelling)
    assert {name for _, name in first.calls + second.calls} <= {"a/b.txt"}
    assert method == "forget" or first.count() > 0


@pytest.mark.parametrize("name", ["", "a/"])
def test_directories_are_asked_live(storage, first, second, name):
    """What a backend says of a directory is not remembered."""
    for _ in range(2):
        assert storage.exists(name) is False
        with pytest.raises(FileNotFoundError):
            storage.size(name)
        assert storage.url(name) == f"https://second.example/{name}"
    assert first.counts() == {"exists": 4, "size": 2}
    assert second.counts() == {"exists": 2, "size": 2, "url": 2}
    assert storage.stats()["negative_entries"] == 0


class Text(str):
    """A name that is not known to be plain."""

    __slots__ = ()


def told(check, name, *args, **kwargs):
    try:
        check(name, *args, **kwargs)
    except SuspiciousFileOperation:
        return "refused"
    return "taken"


@searching(200)
@given(st.text(alphabet="./\\\0aC:", max_size=8))
def test_what_is_plain_is_nothing_that_django_refuses(text):
    djangos = told(validate_file_name, text, allow_relative_path=True)
    assert told(validated, text) == told(validated, Text(text)) == djangos
    assert told(refuse_no_file, text) == told(refuse_no_file, Text(text))
