"""Parts that are built at their first use."""

from __future__ import annotations

import threading

import pytest

from fallback_storage.utils.once import once


class Owner:
    def __init__(self):
        self.built = []
        self.barrier = None
        self.error = None

    @once
    def part(self):
        """Return a part."""
        self.built.append(part := object())
        if self.barrier is not None:
            self.barrier.wait(timeout=20)
        if self.error is not None:
            raise self.error
        return part


def test_it_is_built_at_its_first_use_and_then_kept():
    owner, other = Owner(), Owner()
    assert owner.built == []
    assert owner.part is owner.part is owner.built[0]
    assert len(owner.built) == 1
    assert other.part is not owner.part
    assert Owner.part.__doc__ == "Return a part."


def test_two_threads_that_build_it_get_one():
    """Neither waits for the other."""
    owner, found = Owner(), []
    owner.barrier = threading.Barrier(2)
    threads = [
        threading.Thread(target=lambda: found.append(owner.part)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(owner.built) == 2
    assert found == [owner.part] * 2


def test_what_could_not_be_built_is_tried_again():
    owner = Owner()
    owner.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        _ = owner.part
    owner.error = None
    assert owner.part is owner.built[1]
