"""System checks: what ``manage.py check`` says of a chain, with hints."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings
from fakes import RecordingStorage

from fallback_storage.conf.checks import check_chains
from fallback_storage.storage import FallbackStorage

CHAIN = "fallback_storage.storage.FallbackStorage"
FAKE = "fakes.RecordingStorage"
WRITABLE = {"BACKEND": FAKE, "READ_ONLY": False}
READ_ONLY = {"BACKEND": FAKE, "READ_ONLY": True}


class Sub(FallbackStorage):
    """A chain under another name."""


class Untouchable(RecordingStorage):
    """May be built; whatever else is done to it is a failure."""

    def act(self, method, name):
        raise AssertionError(f"{method}({name!r}) contacts the storage")


def chain_of(*entries, klass=CHAIN, **options):
    return {"BACKEND": klass, "OPTIONS": {"backends": list(entries), **options}}


def found(storages=None, **settings):
    """What the checks say: (id, where, message, hint) each."""
    # Django 4.2 has "default" and "staticfiles" in any case.
    storages = {**(storages or {}), "staticfiles": {"BACKEND": FAKE}}
    with override_settings(STORAGES=storages, **settings):
        return [(m.id, m.obj, m.msg, m.hint) for m in check_chains()]


def test_a_project_without_a_chain_is_fine():
    """The app may be installed before it is used."""
    assert found({"default": {"BACKEND": FAKE}, "other": {"BACKEND": "no.Such"}}) == []


@pytest.mark.parametrize(
    "entries",
    [
        [FAKE],
        [READ_ONLY, FAKE],
        [WRITABLE, READ_ONLY, READ_ONLY],
        [WRITABLE, WRITABLE],
        [{"BACKEND": f"{__name__}.Untouchable", "READ_ONLY": False}],
    ],
    ids=["one", "read-only-first", "one-said", "all-said", "untouched"],
)
def test_a_chain_that_says_what_may_be_written_is_fine(entries):
    """One writable backend needs to say nothing; several have said so. None is asked."""
    assert found({"default": chain_of(*entries)}) == []


@pytest.mark.parametrize(
    ("entries", "names"),
    [
        ([FAKE, FAKE], "'RecordingStorage', 'RecordingStorage-2'"),
        ([WRITABLE, "local"], "'local'"),
        (["local", WRITABLE, READ_ONLY], "'local'"),
    ],
)
def test_several_writable_backends_must_say_so(entries, names):
    """Else a full disk sends an upload to production."""
    storages = {"local": {"BACKEND": FAKE}, "default": chain_of(*entries)}
    assert found(storages) == [
        (
            "fallback_storage.W001",
            "STORAGES['default']",
            (
                f"More than one backend is writable, {names} without saying so: a save "
                "that fails in one is tried in the next."
            ),
            (
                'Write {"ALIAS": ..., "READ_ONLY": True} for what must not be written, '
                '{"READ_ONLY": False} for what may be.'
            ),
        )
    ]


@pytest.mark.parametrize("count", [1, 2])
def test_no_writable_backend_is_worth_a_warning(count):
    """It may be meant: a mirror that only reads."""
    assert found({"default": chain_of(*[READ_ONLY] * count)}) == [
        (
            "fallback_storage.W002",
            "STORAGES['default']",
            "Every backend is READ_ONLY: saving and deleting will fail.",
            "Put a writable backend into the chain if files are to be saved.",
        )
    ]


def test_the_setting_of_the_original_is_checked():
    """Also where no alias names the class, as with ``FileField(storage=...)``."""
    messages = found(FALLBACK_STORAGES=["no.Such"])
    assert [message[:2] for message in messages] == [
        ("fallback_storage.E013", "FALLBACK_STORAGES")
    ]
    assert messages[0][2].startswith("FALLBACK_STORAGES[0]: cannot be built: ")


def test_the_setting_is_reported_once():
    """An alias that uses the setting's chain stands for it."""
    messages = found({"default": {"BACKEND": CHAIN}}, FALLBACK_STORAGES=[READ_ONLY])
    assert [message[:2] for message in messages] == [
        ("fallback_storage.W002", "STORAGES['default']")
    ]


def test_the_setting_is_checked_beside_an_alias_with_its_own_chain():
    """Two chains, two reports."""
    messages = found({"default": chain_of(FAKE, FAKE)}, FALLBACK_STORAGES=[READ_ONLY])
    assert [message[:2] for message in messages] == [
        ("fallback_storage.W001", "STORAGES['default']"),
        ("fallback_storage.W002", "FALLBACK_STORAGES"),
    ]


def test_every_alias_is_checked_by_its_own_options():
    """A sound default does not stand for another alias, nor for a subclass."""
    messages = found(
        {
            "default": chain_of(FAKE),
            "media": chain_of(FAKE, on_delete="never"),
            "sub": chain_of(READ_ONLY, klass=f"{__name__}.Sub"),
        }
    )
    assert [message[:2] for message in messages] == [
        ("fallback_storage.E003", "STORAGES['media']"),
        ("fallback_storage.W002", "STORAGES['sub']"),
    ]


@pytest.mark.parametrize(
    "malformed",
    [None, FAKE, {"OPTIONS": {}}, {"BACKEND": FAKE, "OPTIONS": None}, []],
    ids=str,
)
def test_a_malformed_alias_does_not_break_the_check(malformed):
    """A check reports, it does not raise; another alias's form is Django's business."""
    assert found({"other": malformed, "default": chain_of(FAKE)}) == []


def test_the_checks_are_registered():
    """With the app in INSTALLED_APPS, under the tag ``files``."""
    with override_settings(STORAGES={"default": chain_of(READ_ONLY)}):
        for messages in (run_checks(), run_checks(tags=["files"])):
            ids = [message.id for message in messages]
            assert "fallback_storage.W002" in ids


def test_the_command_shows_the_message_and_the_hint():
    """What a user reads when a deployment stops."""
    storages = {
        "local": {"BACKEND": FAKE},
        "default": chain_of("locl"),
        "staticfiles": {"BACKEND": FAKE},
    }
    with (
        override_settings(STORAGES=storages),
        pytest.raises(SystemCheckError) as caught,
    ):
        call_command("check", tags=["files"])
    text = str(caught.value)
    assert (
        "STORAGES['default']: (fallback_storage.E009) STORAGES['default']['OPTIONS']"
        "['backends'][0]: names the alias 'locl', which STORAGES does not have."
    ) in text
    assert (
        "HINT: Did you mean 'local'? Write one of the aliases: default, local, staticfiles."
        in text
    )
