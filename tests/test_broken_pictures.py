"""docs/broken-pictures.rst shows what the commands really print."""

from __future__ import annotations

import importlib.util
import re
import socket
from contextlib import contextmanager

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from forbidding import ForbiddingS3
from management.running import CHAIN, run
from manual import text
from origins import origin

from fallback_storage.chain import reach

PAGE = "docs/broken-pictures.rst"
CAT = "photos/cat.jpg"
LOCAL = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
READ_ONLY = {"ALIAS": "production", "READ_ONLY": True}
SHOWN = re.compile(
    r'^\.\. Printed for "([\w-]+)"\.\n\n\.\. code-block:: console\n\n((?:    .*\n|\n)+)',
    re.MULTILINE,
)


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """Pauses are as long as they are written."""
    monkeypatch.setattr(reach, "JITTER", 0)


@pytest.fixture
def configure(settings, media_root):
    """Make "default" a chain of a local directory, with a picture, and of another."""
    (media_root / "photos").mkdir()
    (media_root / "photos" / "dog.jpg").write_bytes(b"a dog")

    def configure(production, *entries, **options):
        backends = ["local", *(entries or [READ_ONLY])]
        settings.STORAGES = {
            **settings.STORAGES,
            "default": {"BACKEND": CHAIN, "OPTIONS": {"backends": backends, **options}},
            "local": LOCAL,
            "production": production,
        }
        return storages["default"]

    return configure


def http(base_url):
    return {
        "BACKEND": "fallback_storage.http.HTTPStorage",
        "OPTIONS": {"base_url": base_url},
    }


def s3(**options):
    if importlib.util.find_spec("storages") is None:
        pytest.skip("django-storages is not installed")
    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {"region_name": "eu-central-1", **options},
    }


@contextmanager
def production_over_http():
    """Yield the address of its site; a cat is there."""
    with origin({f"/media/{CAT}": b"a cat"}) as site:
        yield site.base_url.removesuffix("media/")


# What is wrong, by the name that the page has for it. What is yielded is the address of
# production, for which the page has another one.


def well(configure):
    with production_over_http() as url:
        configure(http(f"{url}media/"))
        yield url


def no_chain(configure):
    yield ""


def wrong_place(configure):
    with production_over_http() as url:
        configure(http(f"{url}medias/"))
        yield url


def hidden(configure):
    with production_over_http() as url:
        configure(http(f"{url}media/"), on_delete="whiteout").delete(CAT)
        yield url


def deleted(configure):
    with production_over_http() as url:
        configure(http(f"{url}media/")).delete(CAT)
        yield url


def own_memo(configure):
    configure(LOCAL)
    yield ""


def stale(configure):
    with production_over_http() as url:
        storage = configure(http(f"{url}media/"), cache="media")
        storage.exists(CAT)
        storages["local"].save(CAT, ContentFile(b"another cat"))
        yield url


def no_credentials(configure):
    configure(s3(bucket_name="production-media"))
    yield ""


def may_not_list(configure):
    with ForbiddingS3({CAT: b"a cat"}) as server:
        configure(s3(**server.options))
        yield f"{server.url}/bucket/"


def wrong_key(configure):
    with ForbiddingS3(code="InvalidAccessKeyId") as server:
        configure(s3(**server.options), {**READ_ONLY, "ABSENT_ON_403": True})
        yield f"{server.url}/bucket/"


def outage(configure):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        storage = configure(http(f"{url}media/"))
        for _ in range(3):
            storage.exists("photos/other.jpg")
        yield url


SCENARIOS = {
    each.__name__.replace("_", "-"): each
    for each in (
        well,
        no_chain,
        wrong_place,
        no_credentials,
        wrong_key,
        may_not_list,
        hidden,
        deleted,
        stale,
        own_memo,
        outage,
    )
}


def shown():
    """Yield what the page shows: a scenario, and its commands with their output."""
    for name, block in SHOWN.findall(text(PAGE)):
        lines = [line[4:] for line in block.rstrip().splitlines()]
        begins = [n for n, line in enumerate(lines) if line.startswith("$ ")]
        ends = [*begins[1:], len(lines)]
        commands = [
            (lines[begin].removeprefix("$ manage.py "), lines[begin + 1 : end])
            for begin, end in zip(begins, ends, strict=True)
        ]
        yield name, commands


def plain(output, address=""):
    """Return the words of an output, with the page's address, and no times."""
    if address:
        output = output.replace(address, "https://www.example.com/")
    return re.sub(r"\d+\.\d\d ms", "T ms", output).split()


SHOWN_HERE = list(shown())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "commands"), [pytest.param(*each, id=each[0]) for each in SHOWN_HERE]
)
def test_what_is_shown_is_what_is_printed(
    configure, settings, tmp_path, scenario, commands
):
    """Of every command on the page, in this order."""
    cache = {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": str(tmp_path / "cache"),
    }
    settings.CACHES = {**settings.CACHES, "media": cache}
    with contextmanager(SCENARIOS[scenario])(configure) as address:
        for command, lines in commands:
            done = run(*command.split()[1:])
            printed = plain(done.out + done.err, address)
            assert printed == plain("\n".join(lines)), command


def test_every_scenario_is_shown():
    assert set(SCENARIOS) == {scenario for scenario, _ in SHOWN_HERE}


def test_every_command_of_the_page_runs():
    """There is none but those above."""
    commands = re.findall(r"^ *\$ .*", text(PAGE), re.MULTILINE)
    assert len(commands) == sum(len(commands) for _, commands in SHOWN_HERE)
    assert all(
        each.startswith("    $ manage.py fallback_storage ") for each in commands
    )
