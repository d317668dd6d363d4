"""The tests of a project that overrides what its chain is made of: see "In tests"."""

from __future__ import annotations

import unittest

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage, storages
from django.test import SimpleTestCase, override_settings

from fallback_storage.storage import FallbackStorage

DISK = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
PROJECT = {
    "default": {
        "BACKEND": "fallback_storage.storage.FallbackStorage",
        "OPTIONS": {"backends": ["local", {"ALIAS": "production", "READ_ONLY": True}]},
    },
    "local": DISK,
    "production": DISK,
    "staticfiles": DISK,
}
# As a model has it, made when it was imported.
with override_settings(STORAGES=PROJECT):
    of_a_field = FallbackStorage(PROJECT["default"]["OPTIONS"]["backends"])


def look_and_leave_files(*_):
    """What a test finds, and what it would leave to the next one."""
    production = storages["production"]
    assert not default_storage.exists("upload.txt")
    assert not production.exists("photo.txt")
    of_a_field.save("upload.txt", ContentFile(b"x"))
    production.save("photo.txt", ContentFile(b"y"))
    for chain in (default_storage, of_a_field):
        assert chain.exists("upload.txt")
        assert chain.exists("photo.txt")


class InSetUp(SimpleTestCase):
    """For each test of a class, not for the class: a decorator of it makes one memory."""

    __test__ = False  # for pytest: it is run below

    def setUp(self):
        memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
        self.enterContext(
            override_settings(
                STORAGES={**settings.STORAGES, "local": memory, "production": memory}
            )
        )

    test_one = test_two = look_and_leave_files


@pytest.fixture
def _in_memory(settings):
    memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    settings.STORAGES = {**settings.STORAGES, "local": memory, "production": memory}


@override_settings(STORAGES=PROJECT)
def test_a_project_that_uses_djangos_test_case():
    """No test of it sees the files of another one."""
    run = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(InSetUp).run(run)
    assert (run.testsRun, run.failures, run.errors) == (2, [], [])


@pytest.fixture
def _project(settings):
    settings.STORAGES = PROJECT


@pytest.mark.parametrize("number", range(2))
@pytest.mark.usefixtures("_project", "_in_memory")
def test_a_project_that_uses_pytest_django(number):
    """The same."""
    look_and_leave_files()
