"""Deletes that stay deleted: durable, for every method, undone by a save."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from fakes import RecordingStorage
from overlay.parts import Guard, GuardFiles, content_of, digest, read_only, writable

from fallback_storage.exceptions import ReadOnlyBackendError
from fallback_storage.storage import FallbackStorage
from fallback_storage.utils.locks import changing

FILES = {"a.txt": b"old", "d/e.txt": b"deep", "d/f.txt": b"f"}
TIMES = ("get_accessed_time", "get_created_time", "get_modified_time")
CACHES = {"memo": None, "no-memo": False}


@pytest.fixture(params=CACHES)
def cache(request):
    return CACHES[request.param]


@pytest.fixture(params=["files", "flat", "memory"])
def home(request, tmp_path):
    """A first writable backend of each kind; its class tells what it is."""
    if request.param == "files":
        return FileSystemStorage(tmp_path / "home", base_url="/home/")
    if request.param == "memory":
        return InMemoryStorage(base_url="/home/")
    return RecordingStorage("home")


def make(home, guard, cache=None, **options):
    options = {"on_delete": "whiteout", **options}
    return FallbackStorage([writable(home), read_only(guard)], cache, **options)


def test_a_deleted_file_is_gone_for_every_method(home, cache):
    """Nothing tells that production still has it, in this instance or a new one."""
    guard = Guard("production", FILES)
    first = make(home, guard, cache)
    for warm in (first.exists, first.url, first.size):
        warm("a.txt")
    first.delete("a.txt")
    for chain in (first, make(home, guard, cache)):
        assert not chain.exists("a.txt")
        assert chain.url("a.txt") == home.url("a.txt")
        assert chain.is_name_available("a.txt")
        assert chain.listdir("") == (["d"], [])
        assert list(chain.hidden()) == ["a.txt"]
        for method in ("size", "open", *TIMES):
            with pytest.raises(FileNotFoundError):
                getattr(chain, method)("a.txt")
        with pytest.raises(FileNotFoundError):
            chain.open("a.txt", "r+b")
        found = chain.resolve("a.txt")
        assert (found.index, found.held, found.hidden) == (None, False, True)
        assert chain.exists("d/e.txt")
    assert guard.files == FILES


@pytest.mark.parametrize("above", [False, True])
def test_the_path_of_a_deleted_file_is_not_productions(tmp_path, above):
    """Whoever builds a path for a new file does not get the old one's."""
    (tmp_path / "production").mkdir()
    (tmp_path / "production" / "a.txt").write_bytes(b"old")
    guard = GuardFiles(tmp_path / "production")
    home = FileSystemStorage(tmp_path / "home")
    entries = [read_only(guard), writable(home)]
    chain = FallbackStorage(entries if above else entries[::-1], on_delete="whiteout")
    chain.delete("a.txt")
    assert chain.path("a.txt") == str(tmp_path / "home" / "a.txt")
    flat = FallbackStorage(
        [read_only(guard), writable(RecordingStorage())], on_delete="whiteout"
    )
    flat.delete("a.txt")
    with pytest.raises(NotImplementedError):
        flat.path("a.txt")


@pytest.mark.parametrize("how", ["save", "wb", "xb", "ab"])
def test_a_new_file_under_the_name_removes_the_whiteout(home, cache, how):
    """The new file is seen, and a delete hides both again."""
    if isinstance(home, InMemoryStorage) and how in {"xb", "ab"}:
        pytest.skip("InMemoryStorage makes no new file in these modes")
    guard = Guard("production", FILES)
    chain = make(home, guard, cache)
    chain.delete("a.txt")
    if how == "save":
        assert chain.save("a.txt", ContentFile(b"new")) == "a.txt"
    else:
        with chain.open("a.txt", how) as file:
            file.write(b"new")
    assert list(chain.hidden()) == []
    assert content_of(chain, "a.txt") == b"new"
    assert chain.url("a.txt") == home.url("a.txt")
    chain.delete("a.txt")
    assert not chain.exists("a.txt")
    assert list(chain.hidden()) == ["a.txt"]


def test_a_new_file_wins_over_one_above_it(cache):
    """Where production stands first, its deleted file stays hidden by the new one."""
    guard = Guard("production", FILES)
    home = RecordingStorage("home")
    entries = [read_only(guard), writable(home)]
    chain = FallbackStorage(entries, cache, on_delete="whiteout")
    chain.delete("a.txt")
    assert chain.save("a.txt", ContentFile(b"new")) == "a.txt"
    assert content_of(chain, "a.txt") == b"new"
    with chain.open("d/e.txt", "r+b") as file:
        file.write(b", edited")
    assert content_of(chain, "d/e.txt") == b"deep, edited"
    assert guard.files == FILES


def test_unhide_shows_production_again(home, cache):
    """A delete can be undone, also of several names at once."""
    chain = make(home, Guard("production", FILES), cache)
    for name in FILES:
        chain.delete(name)
    assert sorted(chain.hidden()) == sorted(FILES)
    assert not chain.exists("d/e.txt")
    chain.unhide("a.txt", "d/e.txt", "never-deleted")
    assert list(chain.hidden()) == ["d/f.txt"]
    assert content_of(chain, "d/e.txt") == b"deep"
    assert chain.listdir("d") == ([], ["e.txt"])


@pytest.mark.parametrize("names", [("n", "n/m"), ("n/m", "n"), ("n/m/o", "n", "n/m")])
def test_names_below_names_are_hidden_alone(home, cache, names):
    """An object store holds both "n" and "n/m": each delete hides one."""
    files = dict.fromkeys(("n", "n/m", "n/m/o"), b"x")
    chain = make(home, Guard("production", files), cache)
    left = set(files)
    for name in names:
        chain.delete(name)
        left.remove(name)
        assert {each for each in files if chain.exists(each)} == left
    assert sorted(chain.hidden()) == sorted(names)


def test_own_folders_are_never_listed(tmp_path, cache):
    """Neither the home's nor those of a production that is a mirror itself."""
    for name in ("home", "production"):
        (tmp_path / name).mkdir()
    guard = GuardFiles(tmp_path / "production")
    mirror = make(
        FileSystemStorage(tmp_path / "production"), Guard("x", FILES), promote=True
    )
    mirror.delete("a.txt")
    mirror.open("d/e.txt").close()
    before = digest(tmp_path / "production")
    chain = make(FileSystemStorage(tmp_path / "home"), guard, cache)
    chain.save("own.txt", ContentFile(b"x"))
    chain.delete("d/e.txt")
    for path in ("", ".", "./"):
        assert chain.listdir(path) == (["d"], ["own.txt"])
    assert digest(tmp_path / "production") == before


def test_a_name_that_nobody_holds_is_deleted_in_silence(home):
    """As Django does; no whiteout is written for it."""
    chain = make(home, Guard("production"))
    chain.delete("nothing.txt")
    assert list(chain.hidden()) == []


@pytest.mark.parametrize("how", ["fails", "cannot-tell"])
def test_a_backend_that_does_not_answer_is_hidden_all_the_same(home, how):
    """It may hold the file, and will answer later."""
    guard = Guard("production", FILES)
    if how == "fails":
        guard.fail("exists")
    else:
        guard.unsupported.add("exists")
    chain = make(home, guard)
    chain.delete("a.txt")
    guard.heal()
    guard.unsupported.clear()
    assert not chain.exists("a.txt")


def test_deletes_without_a_read_only_backend_hide_nothing(home):
    """The mode costs such a chain nothing and changes nothing."""
    chain = FallbackStorage([writable(home)], on_delete="whiteout")
    chain.save("a.txt", ContentFile(b"x"))
    chain.delete("a.txt")
    assert not chain.exists("a.txt")
    assert list(chain.hidden()) == []
    chain.unhide("a.txt")


def test_a_chain_that_is_all_read_only_hides_nothing():
    """There is nowhere to write a whiteout to."""
    chain = FallbackStorage([read_only(Guard("one", FILES))], on_delete="whiteout")
    with pytest.raises(ReadOnlyBackendError, match="READ_ONLY is set for 'production'"):
        chain.delete("a.txt")
    assert list(chain.hidden()) == []
    chain.unhide("a.txt")
    assert chain.exists("a.txt")


@pytest.mark.parametrize("on_delete", ["first", "all"])
def test_other_modes_hide_nothing(home, on_delete):
    """What is deleted from the home shows production's again."""
    chain = make(home, Guard("production", FILES), on_delete=on_delete)
    with chain.open("a.txt", "wb") as file:
        file.write(b"own")
    chain.delete("a.txt")
    assert content_of(chain, "a.txt") == b"old"


def test_every_writable_backend_loses_the_file():
    """Else a copy further down would show."""
    home, second = RecordingStorage("home"), RecordingStorage("second", {"a.txt": b"2"})
    guard = Guard("production", FILES)
    entries = [writable(home), writable(second, "second"), read_only(guard)]
    chain = FallbackStorage(entries, on_delete="whiteout")
    chain.delete("a.txt")
    assert not chain.exists("a.txt")
    assert second.files == {}


def test_a_hidden_name_is_seen_where_a_writable_backend_below_holds_it():
    """The whiteout hides read-only copies alone, for its URL as well."""
    home, below = RecordingStorage("home"), RecordingStorage("below")
    guard = Guard("production", FILES)
    entries = [writable(home), read_only(guard), writable(below, "below")]
    chain = FallbackStorage(entries, False, on_delete="whiteout")
    chain.delete("a.txt")
    below.files["a.txt"] = b"below"
    assert content_of(chain, "a.txt") == b"below"
    assert chain.url("a.txt") == "https://below.example/a.txt"


@pytest.mark.parametrize("above", [False, True])
@pytest.mark.parametrize(
    "question", ["exists", "url", "size", "resolve", "open", "listdir"]
)
def test_a_home_that_fails_to_tell_does_not_stop_reading(cache, above, question):
    """What production holds is read meanwhile, and not taken for remembered after."""
    home, guard = RecordingStorage("home"), Guard("production", FILES)
    entries = [writable(home), read_only(guard)]
    chain = FallbackStorage(
        entries[::-1] if above else entries, cache, on_delete="whiteout"
    )
    chain.delete("a.txt")
    index = 0 if above else 1
    for method in ("exists", "_open", "listdir", "size"):
        home.fail(method, OSError("no outage"))
    chain.forget_all()
    answers = {
        "exists": lambda: chain.exists("d/e.txt") is True,
        "url": lambda: chain.url("d/e.txt") == "https://production.example/d/e.txt",
        "size": lambda: chain.size("d/e.txt") == 4,
        "resolve": lambda: chain.resolve("d/e.txt").index == index,
        "open": lambda: content_of(chain, "d/e.txt") == b"deep",
        "listdir": lambda: set(chain.listdir("d")[1]) == {"e.txt", "f.txt"},
    }
    assert answers[question]()
    if question != "listdir":
        assert getattr(chain, question)("a.txt")
    home.heal()
    assert not chain.exists("a.txt")


def test_a_save_whose_whiteout_stays_is_a_save(caplog):
    """The whiteout hides production's copy alone, so it does no harm."""
    home, guard = RecordingStorage("home"), Guard("production", FILES)
    chain = make(home, guard)
    chain.delete("a.txt")
    home.fail("delete")
    assert chain.save("a.txt", ContentFile(b"new")) == "a.txt"
    assert "whiteout" in caplog.text
    assert content_of(chain, "a.txt") == b"new"
    home.heal()
    chain.delete("a.txt")
    assert not chain.exists("a.txt")


def test_a_file_deleted_while_it_is_written_stays_hidden(home):
    """What is closed after the delete is not there, or is the new file: never the old."""
    chain = make(home, Guard("production", FILES), False)
    file = chain.open("a.txt", "wb")
    file.write(b"new")
    chain.delete("a.txt")
    file.close()
    assert not chain.exists("a.txt") or content_of(chain, "a.txt") == b"new"


def test_a_save_during_a_delete_leaves_one_of_both(cache, asked):
    """Its whiteout is not taken away while the rest of the delete is to come."""
    home, guard = RecordingStorage("home"), Guard("production", FILES)
    chain = make(home, guard, cache)
    chain.delete("a.txt")

    def deleting(name):
        """Go on when the save waits for the delete, or has not waited."""
        saving = pool.submit(chain.save, "a.txt", ContentFile(b"new"))
        deadline = time.monotonic() + 30
        while asked[changing, "a.txt"] < 2 and not saving.done():
            assert time.monotonic() < deadline

    with ThreadPoolExecutor(1) as pool:
        home.before("delete", lambda name: name == "a.txt" and deleting(name))
        chain.delete("a.txt")
    assert not chain.exists("a.txt") or content_of(chain, "a.txt") == b"new"


def test_whiteouts_are_looked_up_only_where_they_matter(cache):
    """A file that the home holds costs no look-up; one look-up serves several guards."""
    home = RecordingStorage("home", {"own.txt": b"own"})
    guards = [Guard("one", FILES), Guard("two", FILES)]
    entries = [writable(home), *(read_only(guard, guard.label) for guard in guards)]
    chain = FallbackStorage(entries, cache, on_delete="whiteout")
    assert chain.exists("own.txt")
    assert home.calls == [("exists", "own.txt")]
    home.reset()
    assert not chain.exists("nothing.txt")
    assert home.count("exists") == 2


def test_a_home_that_gives_its_files_other_names_cannot_hide():
    """It is told, instead of a delete that did nothing."""

    class Renaming(RecordingStorage):
        def _save(self, name, content):
            return super()._save(f"{name}_x1", content)

    production = RecordingStorage("production", {"a.jpg": b"a"})
    home = Renaming("home")
    chain = FallbackStorage(
        [writable(home), read_only(production)], on_delete="whiteout"
    )
    with pytest.raises(FileExistsError, match="another name"):
        chain.delete("a.jpg")
    assert chain.exists("a.jpg")
    assert home.files == {}
