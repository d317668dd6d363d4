"""A page does not fail for one of its pictures."""

from __future__ import annotations

import logging

import pytest
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from fakes import RecordingStorage, fake, labels

from fallback_storage.storage import FallbackStorage


class NoCredentials(Exception):
    """Like botocore's: nothing is said of whether the file is there."""


@pytest.fixture
def disk(tmp_path):
    return FileSystemStorage(tmp_path, base_url="/media/")


NAMES = [f"photos/{number}.jpg" for number in range(100)]


@pytest.mark.parametrize("cache", [None, False])
def test_a_page_of_private_pictures_without_credentials(disk, caplog, cache):
    """100 pictures of production, on a laptop: the local URL, and one log line."""
    production = RecordingStorage("production", dict.fromkeys(NAMES, b""))
    production.fail("url", NoCredentials("AKIA"))
    chain = FallbackStorage([disk, production], cache=cache)
    with caplog.at_level(logging.WARNING, "fallback_storage"):
        for _ in range(2):
            assert [chain.url(name) for name in NAMES] == [
                f"/media/{name}" for name in NAMES
            ]
    [line] = [record.getMessage() for record in caplog.records]
    assert "NoCredentials" in line
    assert "AKIA" not in line
    assert "FileSystemStorage" in line


def test_boto3_without_credentials(disk, caplog, monkeypatch):
    """The same with S3Storage itself, which signs, and with arguments for it."""
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    s3 = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {"bucket_name": "pictures", "region_name": "eu-central-1"},
        "READ_ONLY": True,
    }
    chain = FallbackStorage([disk, s3])
    assert chain.url("a.jpg") == "/media/a.jpg"
    assert chain.url("a.jpg", parameters={}, expire=60) == "/media/a.jpg"
    assert "NoCredentialsError" in caplog.text


def test_strict_raises_what_the_holder_raises(disk):
    """Whether it is the last backend or not."""
    for position in (0, 1):
        failing = RecordingStorage("failing", {"x": b""})
        failing.fail("url", NoCredentials())
        backends = [disk, failing] if position else [failing, disk]
        with pytest.raises(NoCredentials):
            FallbackStorage(backends, strict=True).url("x")
        assert FallbackStorage(backends).url("x") == "/media/x"


@pytest.mark.parametrize("strict", [False, True])
def test_a_configuration_error_is_raised(disk, strict):
    """It is nobody's outage."""
    production = RecordingStorage("production")
    production.fail("url", ImproperlyConfigured("no domain"))
    with pytest.raises(ImproperlyConfigured):
        FallbackStorage([disk, production], strict=strict).url("x")


def test_a_chain_that_has_no_url_fails(tmp_path):
    """With the failures of all."""
    one, two = RecordingStorage("one"), RecordingStorage("two", {"x": b""})
    for backend in (one, two):
        backend.fail("url", NoCredentials(backend.label))
    with pytest.raises(NoCredentials, match="one"):
        FallbackStorage([one]).url("x")
    with pytest.raises(ExceptionGroup) as caught:
        FallbackStorage([one, two]).url("x")
    assert [str(error) for error in caught.value.exceptions] == ["two", "one"]


def test_those_below_come_before_those_above(disk):
    """What holds the file has the better URL."""
    first, second, third = (RecordingStorage(f"b{n}", {"x": b""}) for n in range(3))
    del first.files["x"]
    second.fail("url", NoCredentials())
    chain = FallbackStorage([first, second, third])
    assert chain.url("x") == "https://b2.example/x"
    del third.files["x"]
    third.fail("url", NoCredentials())
    assert chain.url("x") == "https://b0.example/x"


def test_a_deleted_picture_is_not_shown_in_place_of_a_url(disk):
    """Where home has no URL for it, neither has a read-only backend."""
    production = fake("production", files={"x": b""})
    local = RecordingStorage("local")
    chain = FallbackStorage(
        [{**production, "READ_ONLY": True}, local, {**production, "READ_ONLY": True}],
        on_delete="whiteout",
    )
    assert labels(chain) == ["production", "local", "production"]
    chain.delete("x")
    local.fail("url", NoCredentials())
    with pytest.raises(NoCredentials):
        chain.url("x")


# Names that are refused elsewhere

BAD = [
    ("a\0b.jpg", "/media/a%00b.jpg"),
    ("/etc/passwd", "/media/etc/passwd"),
    ("//host/x", "/media/host/x"),
    ("/http://host/x", "/media/http%3A/host/x"),
    ("..", "/media/"),
    ("../../secret.jpg", "/media/secret.jpg"),
    ("a/../../x y.jpg", "/media/a/x%20y.jpg"),
    ("..\\x", "/media/x"),
    ("\\\\host\\x", "/media/host/x"),
    (("a", "b"), "/media/%28%27a%27%2C%20%27b%27%29"),
    (["a"], "/media/%5B%27a%27%5D"),
    (7, "/media/7"),
    (b"x", "/media/b%27x%27"),
]


def unquoted(url):
    # Which of these are quoted is Django's business.
    return url.replace("%28", "(").replace("%29", ")").replace("%27", "'")


@pytest.mark.parametrize(("name", "expected"), BAD, ids=repr)
def test_a_name_that_is_refused_is_quoted(disk, name, expected):
    """No backend sees it; nothing in it leads out of the base URL."""
    signing = RecordingStorage("signing")
    chain = FallbackStorage([signing, disk])
    for arguments in ({}, {"expire": 5}):
        for _ in range(2):
            assert unquoted(chain.url(name, **arguments)) == unquoted(expected)
    assert signing.calls == []


@pytest.mark.parametrize("name", ["../x", "/x", "a\0", 7, ["x"]], ids=repr)
def test_a_name_is_refused_where_nothing_can_be_quoted(disk, name, tmp_path):
    """Without a base URL, and with ``strict``."""
    nowhere = FileSystemStorage(tmp_path)
    nowhere.base_url = None
    for chain in (
        FallbackStorage([disk], strict=True),
        FallbackStorage([RecordingStorage()]),
        FallbackStorage([nowhere]),
    ):
        with pytest.raises((SuspiciousFileOperation, TypeError)):
            chain.url(name)
    assert FallbackStorage([nowhere, disk]).url("../x") == "/media/x"


def test_a_page_with_a_bad_row_can_be_prefetched(disk):
    """What ``url`` only quotes needs no looking up."""
    disk.save("a.jpg", ContentFile(b"1"))
    last = RecordingStorage("last")
    chain = FallbackStorage([disk, last])
    names = ["a.jpg", "../x", "/x", "b\0", "b.jpg"]
    chain.prefetch(names)
    assert [chain.url(name) for name in names] == [
        "/media/a.jpg",
        "/media/x",
        "/media/x",
        "/media/b%00",
        "https://last.example/b.jpg",
    ]
