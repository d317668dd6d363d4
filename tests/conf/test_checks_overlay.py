"""System checks: an overlay that cannot do what its options ask for."""

from __future__ import annotations

import pytest
from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks
from django.test import override_settings

from fallback_storage.conf.checks import check_chains

CHAIN = "fallback_storage.storage.FallbackStorage"
FAKE = "fakes.RecordingStorage"
WRITABLE = {"BACKEND": FAKE, "READ_ONLY": False}
READ_ONLY = {"BACKEND": FAKE, "READ_ONLY": True}


def found(*entries, check=check_chains, **options):
    """The warnings of the overlay: id -> message."""
    options = {"backends": list(entries), **options}
    storages = {"default": {"BACKEND": CHAIN, "OPTIONS": options}}
    with override_settings(STORAGES=storages):
        messages = check()
    for message in messages:
        if message.id.startswith("fallback_storage."):
            assert isinstance(message, CheckWarning)
            assert message.obj == "STORAGES['default']"
            assert message.hint
    return {
        message.id.removeprefix("fallback_storage."): message.msg
        for message in messages
        if message.id in {f"fallback_storage.W00{number}" for number in (3, 4, 5)}
    }


@pytest.mark.parametrize(
    ("entries", "options"),
    [
        ([WRITABLE, READ_ONLY], {}),
        ([WRITABLE, READ_ONLY], {"on_delete": "whiteout", "promote": True}),
        ([READ_ONLY, WRITABLE], {"on_delete": "whiteout"}),
        ([READ_ONLY, WRITABLE, WRITABLE], {"promote": True}),
        ([WRITABLE, WRITABLE], {"promote": True, "on_delete": "all"}),
        ([READ_ONLY], {"on_delete": "all"}),
    ],
)
def test_an_overlay_that_works_is_fine(entries, options):
    """There is a home, something to hide, something to copy."""
    assert found(*entries, **options) == {}


def test_whiteouts_need_a_writable_backend():
    """They are files, in the first of them."""
    assert found(READ_ONLY, READ_ONLY, on_delete="whiteout") == {
        "W003": (
            'on_delete is "whiteout", but no backend is writable: there is nowhere to '
            "note what was deleted."
        )
    }


def test_whiteouts_need_a_read_only_backend():
    """What can be deleted needs not be hidden."""
    assert found(WRITABLE, WRITABLE, on_delete="whiteout") == {
        "W004": (
            'on_delete is "whiteout", but no backend is READ_ONLY: there is nothing to '
            "hide."
        )
    }


@pytest.mark.parametrize(
    ("entries", "lacks"),
    [
        ([READ_ONLY], "is writable"),
        ([WRITABLE], "is below the first writable one"),
        ([READ_ONLY, WRITABLE], "is below the first writable one"),
    ],
)
def test_promotion_needs_two_backends_in_order(entries, lacks):
    """One to copy from, below the one to copy to."""
    message = f"promote is True, but no backend {lacks}: nothing will be copied."
    assert found(*entries, promote=True) == {"W005": message}


def test_manage_py_check_runs_them():
    """The app registers them."""
    assert set(
        found(READ_ONLY, check=run_checks, on_delete="whiteout", promote=True)
    ) == {
        "W003",
        "W005",
    }
