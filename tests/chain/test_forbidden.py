"""A server that refuses to say whether a file is there, and what is made of that."""

from __future__ import annotations

import gc

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage
from forbidding import ForbiddingS3

from fallback_storage.exceptions import ConfigurationError, FileNotInAnyBackendError
from fallback_storage.storage import FallbackStorage

pytest.importorskip("storages.backends.s3")
pytestmark = pytest.mark.slow

S3 = "storages.backends.s3.S3Storage"
NAMES = [f"photos/{number}.jpg" for number in range(50)]


@pytest.fixture
def production():
    with ForbiddingS3({"there.jpg": b"1"}) as endpoint:
        yield endpoint
        gc.collect()  # boto3's connections lie in cycles


def mirror(production, local=None, *, absent=True, **options):
    # (No deadline: eight clients at once take seconds where there is other work.)
    entry = {
        "BACKEND": S3,
        "OPTIONS": production.options,
        "READ_ONLY": True,
        "DEADLINE": 0,
    }
    if absent:
        entry["ABSENT_ON_403"] = True
    return FallbackStorage([local or InMemoryStorage(), entry], **options)


def test_without_being_told_a_403_is_a_failure(production, caplog):
    """Wrong credentials are answered by it as well. The log says once what to do."""
    chain = mirror(production, absent=False)
    assert chain.resolve("gone.jpg").held is None
    for _ in range(3):
        assert chain.exists("gone.jpg") is False
    with pytest.raises(Exception, match="403"):
        chain.open("gone.jpg")
    assert production.requests["HEAD"] == 5
    told = [r.getMessage() for r in caplog.records if "s3:ListBucket" in r.getMessage()]
    warned = [r for r in caplog.records if r.levelname == "WARNING"]
    assert "ABSENT_ON_403" in told[0]
    assert "'gone.jpg'" in told[0]
    assert sum("s3:ListBucket" in r.getMessage() for r in warned) == 1


@pytest.mark.parametrize("strict", [False, True])
def test_a_403_for_want_of_a_permission_can_mean_absent(production, strict):
    """Every question about a file that is not there has its usual answer."""
    chain = mirror(production, strict=strict)
    assert chain.exists("there.jpg") is True
    assert chain.exists("gone.jpg") is False
    assert chain.resolve("other.jpg").held is False
    assert chain.is_name_available("free.jpg") is True
    assert chain.is_name_available("there.jpg") is False
    for question in (chain.open, chain.size, chain.get_modified_time):
        with pytest.raises(FileNotInAnyBackendError):
            question("new.jpg")
    assert chain.save("upload.jpg", ContentFile(b"2")) == "upload.jpg"
    with chain.open("there.jpg") as file:
        assert file.read() == b"1"


def test_what_is_refused_is_remembered_as_absent(production):
    """Twenty questions are one."""
    chain = mirror(production)
    for _ in range(20):
        assert chain.exists("gone.jpg") is False
    assert production.requests == {"HEAD": 1, "GET": 1}


def test_a_prefetch_of_what_is_refused_is_remembered(production):
    """The second page of the same names costs nothing."""
    chain = mirror(production)
    chain.prefetch(NAMES, complete=True)
    production.requests.clear()
    chain.prefetch(NAMES, complete=True)
    assert production.requests.total() == 0


def test_a_listing_that_is_refused_is_not_tried_for_every_page(production):
    """Listing needs the permission that is lacking."""
    chain = mirror(production)
    chain.prefetch(NAMES, complete=True)
    heads = production.requests["HEAD"]
    production.requests.clear()
    chain.prefetch([f"other/{name}" for name in NAMES], complete=True)
    assert production.requests == {"HEAD": heads, "GET": heads}


def test_a_delete_of_what_never_was_writes_no_whiteout(production):
    """Only a file that may be there has to be hidden."""
    local = InMemoryStorage()
    chain = mirror(production, local, on_delete="whiteout")
    chain.delete("gone.jpg")
    assert list(chain.hidden()) == []
    chain.delete("there.jpg")
    assert list(chain.hidden()) == ["there.jpg"]


@pytest.mark.parametrize(
    "code",
    ["InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "x"],
)
def test_wrong_credentials_stay_failures(production, code):
    """The GET says why: what is wrong with the credentials says nothing of the file."""
    production.code = code
    chain = mirror(production)
    assert chain.resolve("gone.jpg").held is None
    with pytest.raises(Exception, match="403"):
        chain.size("gone.jpg")
    with pytest.raises(Exception, match="403"):
        mirror(production, strict=True).save("upload.jpg", ContentFile(b"2"))


def test_a_listing_that_is_refused_stays_a_failure(production):
    """Nobody knows what is in there."""
    chain = mirror(production, strict=True)
    with pytest.raises(Exception, match="AccessDenied"):
        chain.listdir("photos")


WRONG = {
    "not read-only": (
        {"BACKEND": S3, "OPTIONS": {"bucket_name": "b"}, "ABSENT_ON_403": True},
        "is not READ_ONLY. Grant its credentials",
    ),
    "unknown class": (
        {
            "BACKEND": "django.core.files.storage.InMemoryStorage",
            "ABSENT_ON_403": True,
            "READ_ONLY": True,
        },
        "InMemoryStorage it is not known what a 403 means",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_where_it_would_mean_nothing_it_is_refused(wrong):
    """Of a writable backend it must be known which names are taken."""
    entry, message = WRONG[wrong]
    with pytest.raises(ConfigurationError, match=message):
        FallbackStorage([InMemoryStorage(), entry]).exists("x")


def test_a_class_of_ones_own_can_say_what_its_403_means(production):
    """PROFILE has what the table has."""
    entry = {
        "BACKEND": S3,
        "OPTIONS": production.options,
        "READ_ONLY": True,
        "ABSENT_ON_403": True,
        "PROFILE": {"IS_DENIED": lambda storage, name, error: name == "gone.jpg"},
    }
    chain = FallbackStorage([InMemoryStorage(), entry])
    assert chain.resolve("gone.jpg").held is False
    assert chain.resolve("other.jpg").held is None
