"""docs/recipes-thumbnails.rst shows what these tests run; and the recipe for Celery."""

from __future__ import annotations

import importlib.util
import re
import sys
import types

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage, default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import RequestFactory
from management.running import configure
from manual import text
from overlay.parts import read_only, writable
from pages import blocks
from paths import SUPPORT
from servers import missing
from sites import KINDS, S3

# Fast, but the libraries are in one environment only.
pytestmark = [pytest.mark.consumers, pytest.mark.slow]

PAGE = "docs/recipes-thumbnails.rst"
LIBRARIES = {
    "easy-thumbnails": "easy",
    "sorl-thumbnail": "sorl",
    "django-imagekit": "imagekit",
    "Wagtail": "wagtail",
}


def test_the_settings_are_those_of_the_mirror():
    """Whose bucket has another alias."""
    (block,) = (b for b in blocks(PAGE) if "STORAGES" in b.code)
    found = block.run()["STORAGES"]
    front, production = found["default"]["OPTIONS"].pop("backends")
    expected = KINDS["mirror"]
    assert [front, {**production, "ALIAS": "bucket"}] == expected["OPTIONS"]["backends"]
    assert found["default"]["BACKEND"] == expected["BACKEND"]
    assert not found["default"]["OPTIONS"]
    assert found["production"]["BACKEND"] == S3


def same(template):
    """Return a template without what is the test site's: sizes, names of tags, lines."""
    template = re.sub(r"{% load (easy|sorl) %}", "{% load thumbnail %}", template)
    return re.sub(r"\d+x\d+", "NxN", "".join(template.split()))


@pytest.mark.parametrize("title", LIBRARIES)
def test_the_templates_are_those_of_the_sites(title):
    (block,) = (b for b in blocks(PAGE) if (b.title, b.language) == (title, "django"))
    folder = SUPPORT / "consumers" / "templates" / "consumers"
    assert same(block.code) == same((folder / f"{LIBRARIES[title]}.html").read_text())


def test_the_field_is_that_of_the_site():
    (block,) = (b for b in blocks(PAGE) if "ImageSpecField(" in b.code)
    models = (SUPPORT / "consumers" / "models.py").read_text()
    shown = block.code.partition("\n\n")[2]
    assert " ".join(shown.replace("300, 300", "8, 8").split()) in " ".join(
        models.split()
    )


def test_the_costs_are_those_of_the_tests():
    """``asked`` of tests/consumers/test_pages.py, for 50 pictures."""
    pages = (SUPPORT.parent / "consumers" / "test_pages.py").read_text()
    asked = dict(re.findall(r'\("(easy|sorl|imagekit|wagtail)", (\d)\)', pages))
    table = re.findall(r"^(\S+) +(\d+) .*?(\d+)$", text(PAGE), re.MULTILINE)
    shown = {name: (int(new), int(later)) for name, new, later in table}
    assert shown == {
        "easy-thumbnails": (50 * int(asked["easy"]), 0),
        "sorl": (50 * int(asked["sorl"]), 0),
        "imagekit": (50 * int(asked["imagekit"]), 0),
        "Wagtail": (50 * int(asked["wagtail"]), 0),
    }


@pytest.fixture
def celery(monkeypatch):
    """An app without a broker: a task that is handed over runs at once."""
    if importlib.util.find_spec("celery") is None:
        missing("Not installed: celery; pip install --group consumers")
    from celery import Celery

    app = Celery("mysite", broker="memory://", backend="cache+memory://")
    app.conf.update(task_always_eager=True, task_store_eager_result=True)
    app.set_current()
    yield app
    app.close()


@pytest.mark.django_db(transaction=True)
def test_celery(celery, settings, tmp_path, monkeypatch):
    """What a view saved, a task reads and saves beside it."""
    tasks, views = (b for b in blocks("docs/recipes-sites.rst") if "Celery" in b.title)
    monkeypatch.setitem(sys.modules, "mysite", types.ModuleType("mysite"))
    module = types.ModuleType("mysite.tasks")
    monkeypatch.setitem(sys.modules, "mysite.tasks", module)
    vars(module).update(tasks.run(__name__="mysite.tasks"))
    upload = views.run()["upload"]
    production = InMemoryStorage()
    production.save("text.txt", ContentFile(b"production's"))
    configure(settings, writable(InMemoryStorage(), "local"), read_only(production))
    file = SimpleUploadedFile("text.txt", b"hello")
    upload(RequestFactory().post("/", {"text": file}))
    _, files = default_storage.listdir("")
    (loud,) = (name for name in files if name.endswith(".loud"))
    with default_storage.open(loud) as file:
        assert file.read() == b"HELLO"
    assert production.listdir("") == ([], ["text.txt"])
