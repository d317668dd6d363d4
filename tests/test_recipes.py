"""The recipes of docs/: their settings pass the checks, and do what the page says."""

from __future__ import annotations

import copy
import subprocess
import sys
import types

import pytest
from django.core.checks import run_checks
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, default_storage, storages
from django.test import Client
from fakes import RecordingStorage
from management.running import environment, run, write_settings
from origins import origin
from pages import blocks

PAGES = ["docs/recipes.rst", "docs/recipes-sites.rst"]
CAT, DOG = "photos/cat.jpg", "photos/dog.jpg"


def code_of(title):
    """Return the blocks of Python of the recipe whose title begins so."""
    return [
        block
        for page in PAGES
        for block in blocks(page)
        if block.language == "python" and block.title.startswith(f"... {title}")
    ]


def settings_in(blocks):
    """Return the settings that blocks define, of those that define any."""
    return [
        {name: value for name, value in block.run().items() if name.isupper()}
        for block in blocks
        if "\nSTORAGES = {" in f"\n{block.code}"
    ]


def need(*modules):
    for module in modules:
        pytest.importorskip(module)


def is_complaint(message):
    return (message.id or "").startswith("fallback_storage.")


@pytest.fixture
def take(settings, media_root, tmp_path):
    """Take the settings of a recipe, as they are but for OPTIONS of some aliases."""

    def take(title, **changes):
        (found,) = settings_in(code_of(title))
        found = copy.deepcopy(found)
        for alias, options in changes.items():
            found["STORAGES"][alias] = options
        for name, value in found.items():
            setattr(settings, name, value)
        return found

    return take


def folder(path, url="/elsewhere/"):
    path.mkdir(exist_ok=True)
    return {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(path), "base_url": url},
    }


def http(site):
    return {
        "BACKEND": "fallback_storage.http.HTTPStorage",
        "OPTIONS": {"base_url": site.base_url},
    }


@pytest.fixture
def site():
    """Production over HTTP. It is only ever read."""
    with origin({f"/media/{CAT}": b"a cat", f"/media/{DOG}": b"a dog"}) as site:
        yield site
    assert {request.method for request in site.requests} <= {"GET", "HEAD"}


def read(name):
    with default_storage.open(name) as file:
        return file.read()


TITLES = [
    "see production's",
    "run a staging",
    "work offline",
    "move from",
    "have a replica",
    "keep tenants",
]


@pytest.mark.parametrize("title", TITLES)
def test_the_checks_have_nothing_to_say(title, take, tenants):
    """Of the settings as they stand on the page."""
    need("urllib3", "storages", "redis")
    take(title)
    assert [each for each in run_checks() if is_complaint(each)] == []


def test_no_block_is_left_out():
    """Each one has a test here, or is one."""
    everywhere = [b for page in PAGES for b in blocks(page) if b.language == "python"]
    counted = {title: len(code_of(title)) for title in [*TITLES, "run my", "use files"]}
    assert counted == {
        "see production's": 1,
        "run a staging": 1,
        "work offline": 3,
        "move from": 1,
        "have a replica": 1,
        "keep tenants": 2,
        "run my": 2,
        "use files": 2,
    }
    assert sum(counted.values()) == len(everywhere)


def test_a_laptop(take, site):
    need("urllib3")
    take("see production's", production=http(site))
    assert default_storage.url(CAT) == f"{site.base_url}{CAT}"
    assert read(CAT) == b"a cat"
    saved = default_storage.save(CAT, ContentFile(b"mine"))
    assert saved != CAT
    assert storages["local"].exists(saved)
    default_storage.delete(CAT)
    assert not default_storage.exists(CAT)
    assert storages["production"].exists(CAT)


def test_a_staging_mirror(take, settings, tmp_path, valkey):
    """Over a real Redis; its commands, too."""
    need("redis", "storages")
    found = take("run a staging", production=folder(tmp_path / "production"))
    cache = {
        **found["CACHES"]["default"],
        "LOCATION": f"redis://127.0.0.1:{valkey.port}",
    }
    settings.CACHES = {"default": cache}
    storages["production"].save(CAT, ContentFile(b"a cat"))
    assert run("warm").status == 0
    found = default_storage.resolve(CAT)
    assert (found.backend, found.source) == ("production", "memo")
    default_storage.delete(CAT)
    assert not default_storage.exists(CAT)
    assert run("stats").status == 0


def test_a_train(take, settings, site, closing_ends_no_request):
    need("urllib3")
    take("work offline", production=http(site))
    _, urls, pack = code_of("work offline")
    module = types.ModuleType("urls_of_the_recipe")
    module.urlpatterns = urls.run(urlpatterns=[])["urlpatterns"]
    settings.ROOT_URLCONF = module
    for name in (CAT, DOG):
        assert default_storage.url(name) == f"/media/{name}"
    get = Client().get
    assert get(f"/media/{CAT}").getvalue() == b"a cat"
    photo = types.SimpleNamespace(image=types.SimpleNamespace(name=DOG))
    pack.run()["pack"]([photo])
    assert run("prune", "--max-total", "10G", "--dry-run").status == 0
    site.answer = lambda request: None
    assert get(f"/media/{CAT}").getvalue() == b"a cat"
    assert get(f"/media/{DOG}").getvalue() == b"a dog"
    assert get("/media/photos/none.jpg").status_code == 503
    assert get("/media/elsewhere/none.jpg").status_code == 404


@pytest.mark.slow
def test_a_projects_tests(tmp_path):
    """They pass, as they stand on the page, in a project with the laptop's settings."""
    need("urllib3")
    conftest, photos = code_of("run my")
    (found,) = settings_in(code_of("see production's"))
    write_settings(tmp_path, STORAGES=found["STORAGES"])
    (tmp_path / "conftest.py").write_text(conftest.code)
    (tmp_path / "test_photos.py").write_text(photos.code)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_a_move(take, tmp_path):
    """Every command of the page, in its order."""
    take("move from", new=folder(tmp_path / "new"), old=folder(tmp_path / "old"))
    for name in (CAT, DOG, "gone.jpg"):
        storages["old"].save(name, ContentFile(b"old"))
    default_storage.save("new.jpg", ContentFile(b"new"))
    default_storage.delete("gone.jpg")
    (commands,) = (
        b for b in blocks("docs/recipes-sites.rst") if b.language == "console"
    )
    for line in commands.code.strip().splitlines():
        assert (
            run(*line.removeprefix("$ manage.py fallback_storage ").split()).status == 0
        )
    new = storages["new"]
    assert [name for name in (CAT, DOG, "new.jpg", "gone.jpg") if new.exists(name)] == [
        CAT,
        DOG,
        "new.jpg",
    ]
    assert storages["old"].exists("gone.jpg")
    assert not storages["old"].exists("new.jpg")


def recording(label, names=()):
    storage = RecordingStorage(label, dict.fromkeys(names, b"1"))
    return {"BACKEND": "typing.cast", "OPTIONS": {"typ": Storage, "val": storage}}


def test_a_replica(take):
    take(
        "have a replica",
        primary=recording("primary", [CAT, DOG]),
        replica=recording("replica", [CAT, DOG]),
    )
    primary, replica = storages["primary"], storages["replica"]
    assert default_storage.exists(CAT)
    for method in ("exists", "_open", "size", "_save"):
        primary.fail(method)
    primary.reset()
    for _ in range(3):
        assert default_storage.size(DOG) == 1
        assert read(DOG) == read(CAT) == b"1"
        assert default_storage.url(DOG) == replica.url(DOG)
        assert default_storage.url(CAT) == primary.url(CAT)  # remembered
    default_storage.forget(CAT)
    assert default_storage.url(CAT) == replica.url(CAT)
    with pytest.raises(ConnectionError):
        default_storage.save("new.jpg", ContentFile(b"new"))
    assert sum(method != "url" for method, _ in primary.calls) <= 3
    assert not replica.count("_save")


@pytest.fixture
def tenants(monkeypatch):
    """The module of the recipe, to be imported."""
    module, _ = code_of("keep tenants")
    package = types.ModuleType("mysite")
    package.__path__ = []
    made = types.ModuleType("mysite.tenants")
    vars(made).update(module.run(__name__="mysite.tenants"))
    monkeypatch.setitem(sys.modules, "mysite", package)
    monkeypatch.setitem(sys.modules, "mysite.tenants", made)
    made.tenant.set("public")
    return made


def test_tenants(take, tenants, tmp_path):
    take("keep tenants", shared=folder(tmp_path / "shared", "/shared/"))
    for name in ("ann", "bob"):
        tenants.tenant.set(name)
        assert not default_storage.exists(CAT)
        assert default_storage.save(CAT, ContentFile(name.encode())) == CAT
    for name in ("ann", "bob"):
        tenants.tenant.set(name)
        assert read(CAT) == name.encode()
        assert default_storage.url(CAT) == f"/media/{name}/{CAT}"
        assert default_storage.resolve(CAT).source == "memo"
