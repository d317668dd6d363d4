"""collectstatic into a FallbackStorage: what works, and what the manual warns of."""

from __future__ import annotations

import json
import os

import pytest
from django.contrib.staticfiles.storage import ManifestFilesMixin, staticfiles_storage
from django.core.files.storage import storages
from django.core.management import call_command
from django.test import override_settings

from fallback_storage.storage import FallbackStorage

LOCAL = "django.core.files.storage.FileSystemStorage"
LONG_AGO = (1_000_000_000, 1_000_000_000)


class ManifestFallback(ManifestFilesMixin, FallbackStorage):
    """Static files with hashed names, in a chain."""


@pytest.fixture
def source(settings, tmp_path):
    """A project's static files."""
    directory = tmp_path / "source"
    (directory / "css").mkdir(parents=True)
    (directory / "css" / "a.css").write_text('body { background: url("../b.png") }')
    (directory / "b.png").write_bytes(b"png")
    settings.STATICFILES_DIRS = [str(directory)]
    settings.STATICFILES_FINDERS = [
        "django.contrib.staticfiles.finders.FileSystemFinder"
    ]
    return directory


@pytest.fixture
def configure(settings, source, tmp_path):
    """Make STORAGES["staticfiles"] a chain of upper/ and a lower backend."""

    def make(lower, backend="fallback_storage.storage.FallbackStorage"):
        settings.STORAGES = {
            **settings.STORAGES,
            "staticfiles": {
                "BACKEND": backend,
                "OPTIONS": {
                    "backends": ["upper", {"ALIAS": "lower", "READ_ONLY": True}]
                },
            },
            "upper": directory(tmp_path / "upper"),
            "lower": lower,
        }
        return tmp_path / "upper"

    return make


def directory(path):
    return {
        "BACKEND": LOCAL,
        "OPTIONS": {"location": str(path), "base_url": "/static/"},
    }


def collect(**options):
    """Run collectstatic; return how many files it copied."""
    lines = []

    class Output:
        def write(self, text, *args, **kwargs):
            lines.append(text)

        def flush(self):
            pass

        def isatty(self):
            return False

    call_command(
        "collectstatic", interactive=False, verbosity=2, stdout=Output(), **options
    )
    return sum(line.startswith("Copying ") for line in "".join(lines).splitlines())


def tree(path):
    return sorted(
        str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()
    )


def test_collectstatic_twice(configure, source, tmp_path):
    """Files are collected once; again only when they have changed."""
    upper = configure(directory(tmp_path / "lower"))
    assert collect() == 2
    assert tree(upper) == ["b.png", "css/a.css"]
    assert collect() == 0
    os.utime(upper / "b.png", LONG_AGO)
    (source / "b.png").write_bytes(b"new")
    assert collect() == 1
    assert (upper / "b.png").read_bytes() == b"new"
    assert tree(upper) == ["b.png", "css/a.css"]
    assert staticfiles_storage.url("b.png") == "/static/b.png"


def test_collectstatic_clear(configure, tmp_path):
    """--clear empties the writable backend and collects everything again."""
    upper = configure(directory(tmp_path / "lower"))
    collect()
    (upper / "stale.txt").write_bytes(b"x")
    assert collect(clear=True) == 2
    assert tree(upper) == ["b.png", "css/a.css"]


def test_collectstatic_dry_run(configure, tmp_path):
    """--dry-run writes nothing."""
    upper = configure(directory(tmp_path / "lower"))
    collect(dry_run=True)
    assert not upper.exists()


def test_a_newer_file_below_is_good_enough(configure, tmp_path):
    """What a lower backend holds, no older than the source, is not collected."""
    lower = tmp_path / "lower"
    lower.mkdir()
    (lower / "b.png").write_bytes(b"png")
    upper = configure(directory(lower))
    assert collect() == 1
    assert tree(upper) == ["css/a.css"]


# What a chain is not for: a lower backend that holds older files of the same names.
# collectstatic deletes and saves, expecting the name back; the lower file can neither
# be deleted nor, names being unique in a chain, be hidden.


def older_file(lower):
    lower.mkdir()
    (lower / "b.png").write_bytes(b"old")
    os.utime(lower / "b.png", LONG_AGO)


def test_an_older_file_below_makes_renamed_copies(configure, tmp_path):
    """A limit: every run saves the changed file beside, and the old one is served."""
    older_file(tmp_path / "lower")
    upper = configure(directory(tmp_path / "lower"))
    for run in (1, 2):
        collect()
        assert "b.png" not in tree(upper)
        assert len(tree(upper)) == 1 + run
    with staticfiles_storage.open("b.png") as file:
        assert file.read() == b"old"
    assert tree(tmp_path / "lower") == ["b.png"]


def test_an_older_file_below_comes_back(configure, source, tmp_path):
    """A limit: replacing a collected file uncovers the old one below."""
    upper = configure(directory(tmp_path / "lower"))
    collect()
    older_file(tmp_path / "lower")
    os.utime(upper / "b.png", LONG_AGO)
    (source / "b.png").write_bytes(b"new")
    collect()
    with staticfiles_storage.open("b.png") as file:
        assert file.read() == b"old"


@pytest.mark.parametrize("clear", [False, True])
def test_a_file_in_an_object_store_below_stops_collectstatic(configure, clear):
    """A limit: it asks for the path of a file that only a pathless backend holds."""
    configure({"BACKEND": "fakes.RecordingStorage"})
    storages["lower"].files["b.png"] = b"old"
    with pytest.raises(NotImplementedError, match="without paths"):
        collect(clear=clear)
    assert storages["lower"].files == {"b.png": b"old"}


def test_collecting_into_the_first_backend(configure, settings, source, tmp_path):
    """What to do instead: collect into the first backend, serve through the chain."""
    older_file(tmp_path / "lower")
    upper = configure(directory(tmp_path / "lower"))
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    with override_settings(
        STATIC_ROOT=str(upper), STORAGES={**settings.STORAGES, "staticfiles": plain}
    ):
        assert collect() == 2
    with staticfiles_storage.open("b.png") as file:
        assert file.read() == b"png"
    assert staticfiles_storage.exists("b.png")


def test_collectstatic_link(configure, source, tmp_path):
    """--link links into the writable backend, by path: forget() what was known."""
    upper = configure(directory(tmp_path / "lower"))
    collect(link=True)
    assert (upper / "b.png").readlink() == source / "b.png"
    staticfiles_storage.forget("b.png")
    assert collect(link=True) == 0
    with staticfiles_storage.open("b.png") as file:
        assert file.read() == b"png"


def test_collectstatic_over_an_object_store(configure):
    """An object store below without the files is no obstacle."""
    upper = configure({"BACKEND": "fakes.RecordingStorage"})
    assert collect() == 2
    assert collect() == 0
    assert tree(upper) == ["b.png", "css/a.css"]


def hashed(name, upper):
    return json.loads((upper / "staticfiles.json").read_text())["paths"][name]


def test_a_manifest(configure, settings, source, tmp_path):
    """Hashed names, the manifest and references between files work over a chain."""
    settings.DEBUG = False
    upper = configure(directory(tmp_path / "lower"), f"{__name__}.ManifestFallback")
    collect()
    names = [hashed(name, upper) for name in ("b.png", "css/a.css")]
    assert set(names) <= set(tree(upper))
    assert names[0] in (upper / names[1]).read_text()
    assert staticfiles_storage.url("b.png") == f"/static/{names[0]}"
    collect()
    assert len(tree(upper)) == 5

    (source / "b.png").write_bytes(b"new")
    os.utime(upper / "b.png", LONG_AGO)
    collect()
    assert staticfiles_storage.url("b.png") == f"/static/{hashed('b.png', upper)}"
    assert hashed("b.png", upper) != names[0]
    collect(clear=True)
    assert len(tree(upper)) == 5
    assert FallbackStorage(backends=["upper"]).exists(hashed("css/a.css", upper))


def test_a_manifest_of_the_last_release_below(configure, settings, source, tmp_path):
    """The last release's files stay readable below; this one's manifest wins."""
    settings.DEBUG = False
    path = f"{__name__}.ManifestFallback"
    last = configure(directory(tmp_path / "none"), path)
    (source / "b.png").write_bytes(b"last release")
    collect()
    name = hashed("b.png", last)
    last.rename(tmp_path / "lower")
    upper = configure(directory(tmp_path / "lower"), path)
    (source / "b.png").write_bytes(b"this release")
    collect()
    assert staticfiles_storage.url("b.png") == f"/static/{hashed('b.png', upper)}"
    with staticfiles_storage.open(hashed("b.png", upper)) as file:
        assert file.read() == b"this release"
    with staticfiles_storage.open(name) as file:
        assert file.read() == b"last release"
