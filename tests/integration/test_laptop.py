"""A laptop with production's database, and without production's credentials."""

from __future__ import annotations

import logging
import os

import pytest
from django.http import HttpResponse
from django.template import Context, Template
from django.urls import path
from gallery_app.models import Picture

pytest.importorskip("storages.backends.s3")

PAGE = Template(
    "{% for picture in pictures %}"
    '<img src="{{ picture.image.url }}" width="{{ picture.width }}">'
    "{% endfor %}"
)
NAMES = [f"photos/{number}.jpg" for number in range(100)]


def gallery(request):
    return HttpResponse(PAGE.render(Context({"pictures": Picture.objects.all()})))


urlpatterns = [path("gallery/", gallery)]


@pytest.fixture
def pictures(db):
    rows = [Picture(image=name, width=64, height=64) for name in NAMES]
    Picture.objects.bulk_create(rows)


@pytest.fixture
def without_credentials(monkeypatch, tmp_path):
    """Neither in the environment nor in the user's files, nor the machine's own."""
    for variable in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path))
    # A machine of Amazon's has some; any other one waits for them.
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.slow
@pytest.mark.parametrize("cache", [None, "default", False])
def test_a_page_of_100_private_pictures(
    settings, client, caplog, media_root, pictures, without_credentials, cache
):
    """It is shown, with local addresses, and why is said once."""
    settings.ROOT_URLCONF = __name__
    settings.STORAGES = {
        "default": {
            "BACKEND": "fallback_storage.storage.FallbackStorage",
            "OPTIONS": {
                "backends": ["local", {"ALIAS": "production", "READ_ONLY": True}],
                **({} if cache is None else {"cache": cache}),
            },
        },
        "local": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(media_root), "base_url": "/media/"},
        },
        "production": {
            "BACKEND": "storages.backends.s3.S3Storage",
            "OPTIONS": {"bucket_name": "pictures", "region_name": "eu-central-1"},
        },
        "staticfiles": settings.STORAGES["staticfiles"],
    }
    with caplog.at_level(logging.INFO):
        pages = [client.get("/gallery/") for _ in range(2)]
    for page in pages:
        assert page.status_code == 200
        text = page.content.decode()
        assert [f'src="/media/{name}"' in text for name in NAMES] == [True] * 100
    [line] = [record.getMessage() for record in caplog.records]
    assert "NoCredentialsError" in line
    assert "production" in line
