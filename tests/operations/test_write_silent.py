"""Saves while a backend cannot be asked: it is asked once, and nothing of it is lost."""

from __future__ import annotations

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from fakes import RecordingStorage, read

from fallback_storage.exceptions import AllBackendsFailed, NoAvailableNameError
from fallback_storage.storage import FallbackStorage

READ_ONLY = {"P", "Q"}


class Naming(RecordingStorage):
    """Makes the alternatives x1.jpg, x2.jpg, ..."""

    made = 0

    def get_alternative_name(self, file_root, file_ext):
        self.made += 1
        return f"x{self.made}{file_ext}"


def chain_of(names, *, classes=None, **options):
    """Return a chain, P and Q of it read-only, and its storages by their names."""
    chain = FallbackStorage(
        [
            {
                "BACKEND": "fakes.RecordingStorage",
                "NAME": n,
                "READ_ONLY": n in READ_ONLY,
            }
            for n in names
        ],
        **options,
    )
    parts = {n: (classes or {}).get(n, RecordingStorage)(n) for n in names}
    for backend in chain.backends:
        backend.__dict__["storage"] = parts[backend.name]
    return chain, parts


def save(chain, name="x.jpg"):
    return chain.save(name, ContentFile(b"new"))


# chain; who is silent; whose save fails; where it is saved; is the name kept?
CASES = [
    # Below the target: kept if read-only, for what is saved is what is read.
    ("AP", "P", "", "A", True),
    ("APQ", "PQ", "", "A", True),
    ("AB", "B", "", "A", False),
    ("APB", "PB", "", "A", False),
    # Above: its file would hide the new one.
    ("PA", "P", "", "A", False),
    ("PAQ", "Q", "", "A", True),
    # A writable one is passed over, and may have the name for all that is known.
    ("AB", "A", "", "B", False),
    ("APB", "AP", "", "B", False),
    ("PAB", "A", "", "B", False),
    ("ABC", "AB", "", "C", False),
    # If nobody else is left, it is tried after all.
    ("AP", "A", "", "A", False),
    ("AB", "A", "B", "A", False),
    # The name is chosen for each target.
    ("APB", "P", "A", "B", False),
    ("ABP", "P", "A", "B", True),
    ("APB", "", "A", "B", True),
    ("APBQ", "Q", "A", "B", True),
]


@pytest.mark.parametrize(("names", "silent", "failing", "saved_in", "kept"), CASES)
def test_a_save(names, silent, failing, saved_in, kept):
    """Who is silent is asked once, and written to only if nobody else is left."""
    chain, parts = chain_of(names)
    for name in silent:
        parts[name].fail("exists")
    for name in failing:
        parts[name].fail("_save")
    saved = save(chain)
    assert (saved == "x.jpg") is kept
    for name, part in parts.items():
        assert part.files == ({saved: b"new"} if name == saved_in else {}), name
        if name in silent:
            asked = {"exists": 1, **({"_save": 1} if name == saved_in else {})}
            assert part.counts() == asked, name
        part.heal()
    assert read(chain, saved) == b"new"
    # The next save knows nothing of it.
    assert save(chain, "y.jpg") == "y.jpg"


@pytest.mark.parametrize("names", ["PAB", "APB", "ABP"])
def test_every_candidate_is_asked_of_the_others(names):
    """Also where it takes many names to find a free one."""
    chain, parts = chain_of(names, classes={"A": Naming})
    parts["P"].fail("exists")
    for taken in ("x.jpg", "x1.jpg", "x2.jpg"):
        parts["B"].files[taken] = b"theirs"
    assert save(chain) == "x3.jpg"
    assert parts["P"].counts() == {"exists": 1}
    assert parts["B"].count("exists") == 4


def test_strict():
    """The failure is raised, and nothing is written."""
    for names, silent in [("AP", "P"), ("AB", "A"), ("PA", "P"), ("AB", "B")]:
        chain, parts = chain_of(names, strict=True)
        parts[silent].fail("exists")
        with pytest.raises(ConnectionError):
            save(chain)
        assert parts[silent].counts() == {"exists": 1}
        assert not any(part.files for part in parts.values())


def test_nobody_answers():
    """As one storage alone does: nothing is written under a name that may be taken."""
    chain, parts = chain_of("AB")
    for part in parts.values():
        part.fail("exists")
    with pytest.raises(AllBackendsFailed):
        save(chain)
    assert {name: dict(part.counts()) for name, part in parts.items()} == {
        "A": {"exists": 1},
        "B": {"exists": 1},
    }


def test_a_home_that_makes_names_of_its_own():
    """Where it cannot even do that, it is asked for nothing else."""

    class Uuid(RecordingStorage):
        def get_available_name(self, name, max_length=None):
            self.act("get_available_name", name)
            return f"of-its-own-{name}"

    chain, parts = chain_of("AB", classes={"A": Uuid})
    parts["A"].fail("get_available_name")
    saved = save(chain)
    assert saved.startswith("x_")
    assert parts["B"].files == {saved: b"new"}
    assert parts["A"].counts() == {"get_available_name": 1}
    # A bug is no silence.
    parts["A"].fail("get_available_name", TypeError())
    assert save(chain, "y.jpg") == "y.jpg"
    assert parts["A"].files == {"y.jpg": b"new"}


def test_whiteouts_of_a_silent_home():
    """It is not asked for them either."""
    chain, parts = chain_of("ABP", on_delete="whiteout")
    parts["A"].fail("exists")
    assert save(chain) in parts["B"].files
    assert parts["A"].counts() == {"exists": 1}


def test_a_whiteout_above_which_somebody_is_silent():
    """Whether it hides the file is not asked again: it may."""
    chain, parts = chain_of("PA", on_delete="whiteout")
    parts["P"].fail("exists")
    saved = save(chain)
    assert parts["P"].counts() == {"exists": 1}
    parts["P"].heal()
    assert read(chain, saved) == b"new"


def test_a_chain_within_the_chain():
    """What is silent in there counts as it would here, and is asked once as well."""
    inner, parts = chain_of("APB")
    outer = FallbackStorage([inner, RecordingStorage("last")])
    parts["P"].fail("exists")
    saved = save(outer)
    assert saved in parts["A"].files
    assert parts["P"].counts() == {"exists": 1}
    parts["A"].fail("_save")
    parts["P"].reset()
    saved = save(outer, "y.jpg")
    assert saved in parts["B"].files
    assert parts["P"].counts() == {"exists": 1}


def test_without_a_name_that_was_chosen():
    """``_save`` alone, as some libraries call it, asks nobody."""
    chain, parts = chain_of("PAB")
    parts["P"].fail("exists")
    parts["A"].fail("_save")
    assert chain._save("x.jpg", ContentFile(b"new")) == "x.jpg"
    assert parts["B"].files == {"x.jpg": b"new"}
    assert parts["P"].counts() == {}


def test_a_name_for_others():
    """``get_available_name`` alone asks once as well, and does not trust a silent one."""
    for names, kept in [("AP", True), ("PA", False), ("AB", False)]:
        chain, parts = chain_of(names)
        last = parts["P" if "P" in names else "B"]
        last.fail("exists")
        assert (chain.get_available_name("x.jpg") == "x.jpg") is kept
        assert last.counts() == {"exists": 1}


def test_ten_thumbnails_of_ten_page_views(tmp_path):
    """Libraries save under fixed names, and ignore the one that they are given."""
    production = RecordingStorage("production")
    production.fail("exists")
    disk = FileSystemStorage(tmp_path)
    chain = FallbackStorage(
        [
            disk,
            {"BACKEND": "fakes.RecordingStorage", "READ_ONLY": True, "RETRY_AFTER": 0},
        ]
    )
    chain.backends[1].__dict__["storage"] = production
    names = [f"cache/{number}.jpg" for number in range(10)]
    for _ in range(10):
        for name in names:
            if not chain.exists(name):
                save(chain, name)
    assert sorted(disk.listdir("cache")[1]) == [f"{n}.jpg" for n in range(10)]
    # Once by the view, once by the save.
    assert production.count("exists") == 20


def test_a_name_of_a_subclass_that_is_taken(tmp_path):
    """The error names what makes the names."""

    class Fixed(FallbackStorage):
        def get_available_name(self, name, max_length=None):
            return "x.jpg"

    chain = Fixed([FileSystemStorage(tmp_path)])
    assert save(chain) == "x.jpg"
    with pytest.raises(NoAvailableNameError, match=r"what get_available_name\(\) ret"):
        save(chain)
