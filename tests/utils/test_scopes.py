"""A value holds as long as its block runs, and no longer, whatever ends that."""

from __future__ import annotations

import contextlib
import threading

from interrupts import at_every_moment

from fallback_storage.utils import scopes
from fallback_storage.utils.scopes import Scopes


def test_the_innermost_value_holds():
    scope = Scopes("test")
    outer = scope.enter("outer")
    assert scope.value() is None
    with outer:
        with scope.enter("inner"):
            assert scope.value() == "inner"
            assert [value for _, value in scope.entered()] == ["outer", "inner"]
        assert scope.value() == "outer"
    assert scope.value() is None


def test_a_thread_is_in_none_of_anothers():
    scope, seen = Scopes("test"), []
    with scope.enter("here"):
        thread = threading.Thread(target=lambda: seen.append(scope.value()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_an_interrupt_leaves_no_value():
    """At any moment: what runs later on this thread does not go by it."""
    scope = Scopes("test")

    def act():
        with scope.enter("outer"), scope.enter("inner"):
            assert scope.value() == "inner"
        assert scope.value() is None

    left = [scope.entered() for _ in at_every_moment([scopes, contextlib], act)]
    assert set(left) == {()}
    assert len(left) > 5
