"""What is installed, and what is shipped.

The corners of tox run all of this, with the oldest and the newest Python and Django: who
installs here installs there.
"""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
from pathlib import Path

import django
import pytest
from servers import missing

ROOT = Path(__file__).resolve().parent.parent
NAME = "django-fallback-storage"
OPTIONAL = (
    *("boto3", "botocore", "cachetools", "debug_toolbar", "django_redis", "redis"),
    *("storages", "urllib3"),
)
# The rooms that import one of them, and are imported by nobody else.
LACKING = {"http": "urllib3", "panels": "debug_toolbar"}


@pytest.fixture(scope="module")
def distribution():
    """The installed package, from its wheel; not a checkout that stands in for it."""
    try:
        found = importlib.metadata.distribution(NAME)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{NAME} is not installed here; tox installs it")
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        pytest.skip(f"{NAME} is installed as a checkout; tox installs the wheel")
    return found


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_installed_version_is_the_projects(distribution, project):
    assert distribution.version == project["version"]


def test_the_changelog_begins_with_the_version(project):
    lines = (ROOT / "CHANGELOG.rst").read_text().splitlines()
    version = next(line for line in lines if line[:1].isdigit())
    assert version.split()[0] == project["version"]


def test_the_wheel_holds_the_package_and_nothing_else(distribution):
    files = distribution.files
    tops = {file.parts[0] for file in files if file.parts[0] != ".."}
    assert tops == {
        "fallback_storage",
        f"{NAME.replace('-', '_')}-{distribution.version}.dist-info",
    }
    assert "fallback_storage/py.typed" in {str(file) for file in files}


def test_what_is_tested_is_what_is_installed(distribution):
    """Not the checkout, where a file missing in the wheel would be found."""
    imported = importlib.resources.files("fallback_storage")
    assert Path(str(imported)) == Path(
        str(distribution.locate_file("fallback_storage"))
    )


def test_every_file_of_the_checkout_is_installed(distribution):
    wanted = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "fallback_storage").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert "fallback_storage/panels/panel.html" in wanted
    assert wanted <= {str(file) for file in distribution.files}


@pytest.mark.slow
def test_optional_libraries_are_not_imported():
    """Nor what of Django takes longest: models and templates come with them."""
    unwanted = [*OPTIONAL, "django.urls", "django.http", "django.core.checks", "uuid"]
    code = "\n".join(
        [
            "import sys",
            # (What measures coverage imports something, too.)
            "before = set(sys.modules)",
            "import fallback_storage.storage",
            f"print(*sorted(set({unwanted!r}) & set(sys.modules) - before))",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.slow
def test_who_only_reads_imports_nothing_that_others_need():
    """Neither at the start nor with the first page: what writes, caches, databases."""
    unwanted = ["dataclasses", "django.core.cache", "django.db", "mimetypes"]
    rooms = {
        "chain": "batch dialects exists_many fingerprint instances kept listing streams",
        "conf": "checks",
        "operations": "allowance copies naming overlay partial serving staging write",
        "utils": "locks questions workers",
    }
    for room, modules in rooms.items():
        unwanted += [f"fallback_storage.{room}.{each}" for each in modules.split()]
    code = f"""
import sys
from django.conf import settings
from django.core.files.storage import FileSystemStorage
before = set(sys.modules)
from fallback_storage.storage import FallbackStorage
settings.configure(MEDIA_URL="/media/", CACHES={{}})
local, other = (FileSystemStorage(place) for place in sys.argv[1:])
chain = FallbackStorage([local, other])
assert chain.url("a.txt") == "/media/a.txt"
assert chain.exists("a.txt") is False
print(*sorted(set({unwanted!r}) & set(sys.modules) - before))
"""
    arguments = [sys.executable, "-c", code, "/nowhere", "/nowhere/else"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist and the wheel, built once."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("built")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return {path.suffix: path for path in folder.iterdir()}


@pytest.mark.slow
def test_the_sdist_holds_no_stray_folders(built, project):
    archive = built[".gz"]
    with tarfile.open(archive) as tar:
        names = [Path(*Path(name).parts[1:]) for name in tar.getnames()]
    tops = {name.parts[0] for name in names}
    assert tops >= {
        "CHANGELOG.rst",
        "CONTRIBUTING.rst",
        "LICENSE",
        "PKG-INFO",
        "README.rst",
        "docs",
        "fallback_storage",
        "pyproject.toml",
        "tests",
        "tox.ini",
    }
    # .gitignore is hatchling's own addition.
    assert tops <= {
        ".gitignore",
        "CHANGELOG.rst",
        "CONTRIBUTING.rst",
        "LICENSE",
        "PKG-INFO",
        "README.rst",
        "benchmarks",
        "docs",
        "demo",
        "fallback_storage",
        "pyproject.toml",
        "tests",
        "tox.ini",
    }
    for name in names:
        assert not {"__pycache__", ".venv", "site-packages"} & set(name.parts), name
    assert archive.name.endswith(f"-{project['version']}.tar.gz")


# In an environment of its own

SITE = """
import importlib, importlib.metadata, importlib.util, json, pkgutil, sys
import django
from django.conf import settings

disk = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
chain = "fallback_storage.storage.FallbackStorage"
redis = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://"}
settings.configure(
    CACHES={"default": redis},
    INSTALLED_APPS=["fallback_storage"],
    MEDIA_ROOT=sys.argv[1],
    SECRET_KEY="x",
    STORAGES={
        "default": {"BACKEND": chain, "OPTIONS": {"backends": ["local"]}},
        "local": disk,
        "staticfiles": disk,
    },
)
django.setup()
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
import fallback_storage
from fallback_storage.http import HTTPStorage
from fallback_storage.storage import FallbackStorage

call_command("check", fail_level="WARNING", stdout=sys.stderr)
default_storage.save("a.txt", ContentFile(b"x"))
call_command("fallback_storage", "resolve", "a.txt", stdout=sys.stderr)
lacking = {}
for module in pkgutil.walk_packages(fallback_storage.__path__, "fallback_storage."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        lacking[module.name] = error.name
told = []
for use in (
    lambda: HTTPStorage("https://example.com/media/"),
    lambda: FallbackStorage(["local"], cache="default").exists("a.txt"),
):
    try:
        use()
    except ImproperlyConfigured as error:
        told.append(str(error))
optional = [name for name in sys.argv[2:] if importlib.util.find_spec(name)]
metadata = importlib.metadata.metadata("django-fallback-storage").json
print(json.dumps([fallback_storage.__file__, optional, lacking, told, metadata]))
"""


@pytest.fixture(scope="module")
def install(tmp_path_factory):
    """What installs into an environment that has Django alone, and runs a site there."""
    pytest.importorskip("pip")
    folder = tmp_path_factory.mktemp("site")
    venv.create(folder / "venv")
    python = folder / "venv" / "bin" / "python"
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "DJANGO", "COVERAGE"))
    }

    def call(*command):
        done = subprocess.run(
            [*map(str, command)],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def pip_install(*given):
        pip = sys.executable, "-m", "pip", "--python", python, "install", "-q"
        call(*pip, "--no-compile", *given)

    def install(archive):
        pip_install("--no-deps", "--force-reinstall", archive)
        found = call(python, "-I", "-c", SITE, folder / archive.name, *OPTIONAL)
        return python, json.loads(found)

    try:
        pip_install(f"django=={django.__version__}")
    except AssertionError as error:
        missing(f"No package index: {error}")
    return install


@pytest.mark.slow
@pytest.mark.parametrize("kind", [".whl", ".gz"])
def test_it_works_where_nothing_else_is_installed(built, install, project, kind):
    """From the wheel, and from the sdist as pip builds it; with Django alone."""
    python, (place, optional, lacking, told, metadata) = install(built[kind])
    assert Path(place).is_relative_to(python.parents[1])
    assert optional == []
    assert {module.split(".")[1]: name for module, name in lacking.items()} == LACKING
    for extra, said in zip(("http", "redis"), told, strict=True):
        assert f"{NAME}[{extra}]" in said
    assert metadata["requires_python"] == project["requires-python"]
    assert metadata["description_content_type"] == "text/x-rst"
    assert metadata["description"].strip() == (ROOT / "README.rst").read_text().strip()
    assert metadata["license_expression"] == "MIT"
    assert metadata["license_file"] in ("LICENSE", ["LICENSE"])  # by Python
    assert metadata["author"] == project["authors"][0]["name"]
    assert sorted(metadata["provides_extra"]) == sorted(
        project["optional-dependencies"]
    )
    assert set(metadata["project_url"]) == {
        f"{name}, {address}" for name, address in project["urls"].items()
    }
    assert {"Homepage", "Documentation", "Changelog", "Issues"} <= set(project["urls"])
    assert metadata["classifier"] == project["classifiers"]


def test_the_classifiers_are_what_is_tested(project):
    """Each Python and each Django of tox.ini, and no other."""
    tox = (ROOT / "tox.ini").read_text().split("[testenv]")[0]
    tested = re.findall(r"^    py3(\d+)-django\{?([\d,]+)", tox, re.MULTILINE)
    pythons = {f"3.{minor}" for minor, _ in tested}
    djangos = {
        f"{version[0]}.{version[1]}"
        for _, versions in tested
        for version in versions.split(",")
    }
    said = {
        kind: {
            each.removeprefix(kind)
            for each in project["classifiers"]
            if re.fullmatch(rf"{kind}\d+\.\d+", each)
        }
        for kind in ("Programming Language :: Python :: ", "Framework :: Django :: ")
    }
    assert [*said.values()] == [pythons, djangos]
    assert project["requires-python"] == f">={min(pythons, key=_number)}"
    assert project["dependencies"] == [f"django>={min(djangos, key=_number)}"]


def _number(version):
    return [*map(int, version.split("."))]
