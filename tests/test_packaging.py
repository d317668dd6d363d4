"""What is installed, and what is shipped."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import json
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NAME = "django-fallback-storage"
OPTIONAL = ("boto3", "botocore", "debug_toolbar", "django_redis", "redis", "storages")


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
    code = "\n".join(
        [
            "import sys",
            "import fallback_storage.storage",
            f"print(*sorted(set({OPTIONAL!r}) & set(sys.modules)))",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.slow
def test_the_sdist_holds_no_stray_folders(tmp_path, project):
    pytest.importorskip("hatchling")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (archive,) = tmp_path.iterdir()
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
