"""The guard of the other tests: it lets reading through and nothing else."""

from __future__ import annotations

import pytest
from django.core.files.base import ContentFile
from overlay.parts import CHANGES, READS, STORAGE_API, Guard, GuardError, GuardFiles


def test_every_method_of_a_storage_either_reads_or_changes():
    """What a later Django adds is refused until it is known to read."""
    assert sorted(CHANGES) == ["_save", "delete", "save"]
    # Django 4.2 has no is_name_available.
    assert READS - {"is_name_available"} < STORAGE_API


@pytest.mark.parametrize("mode", ["w", "wb", "a", "ab", "r+", "rb+", "r+b", "x", "w+b"])
def test_a_guard_cannot_be_changed(tmp_path, mode):
    """Not even by code that handles every Exception."""
    (tmp_path / "a.txt").write_bytes(b"x")
    for guard in (Guard("production", {"a.txt": b"x"}), GuardFiles(tmp_path)):
        with guard.open("a.txt") as file:
            assert file.read() == b"x"
        for change in (
            lambda guard=guard: guard.open("a.txt", mode),
            lambda guard=guard: guard._open("a.txt", mode),
            lambda guard=guard: guard.save("b.txt", ContentFile(b"x")),
            lambda guard=guard: guard._save("b.txt", ContentFile(b"x")),
            lambda guard=guard: guard.delete("a.txt"),
        ):
            with pytest.raises(GuardError):
                change()
    assert not issubclass(GuardError, Exception)
