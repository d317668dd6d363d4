"""Measures the gallery's page, and writes the figures into it.

The page is made by its view and rendered by Django as on any site, and only that is
"the page". What comes after - the badges and the comparison - is asked separately,
metered separately, and put where the template left a mark, as a debug toolbar does.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.files.storage import Storage, default_storage
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from metering import Meter, metered
from production import Bucket, Website

from fallback_storage.storage import FallbackStorage
from gallery.models import Photo


def instrumented(view: Callable[..., TemplateResponse]) -> Callable[..., HttpResponse]:
    """Measure the gallery's view; `?plain` leaves the instruments out."""

    def measured_view(request: HttpRequest) -> HttpResponse:
        if "plain" in request.GET:
            return view(request)
        before = default_storage.stats()
        with metered(default_storage) as page:
            response = view(request)
        photos = list(response.context_data["photos"])
        # Unmeasured, once: clients, templates and caches that a thread builds at its
        # first page are no cost of a name, and whoever came first would pay them.
        render(response, photos, chain(cache=False))
        with metered(default_storage, page):
            response.render()
        after = default_storage.stats()
        figures = {
            **{key: after[key] - before[key] for key in ("hits", "misses")},
            **{key: settings.SITE[key] for key in ("workers", "redis")},
            "photos": len(photos),
            "worker": os.getpid(),
            "page": asdict(page),
        }
        fill_marks(response, photos, figures)
        return response

    return measured_view


def fill_marks(
    response: TemplateResponse, photos: Sequence[Photo], figures: dict[str, Any]
) -> None:
    """Put badges and panel into a page."""
    with metered(default_storage) as asked:
        found = default_storage.resolve_many(photo.image.name for photo in photos)
    places = {photo.pk: labelled(found[photo.image.name]) for photo in photos}
    holders = dict(Counter(place["label"] for place in places.values()))
    meters = {"badges": asked, **compare(response, photos)}
    figures |= {column: asdict(meter) for column, meter in meters.items()}
    panel = {"figures": figures, "production": integrity(), "holders": holders}
    text = response.content.decode()
    for pk, place in places.items():
        badge = render_to_string("gallery/_badge.html", {"place": place})
        text = text.replace(f"<!-- badge {pk} -->", badge)
    shown = render_to_string("gallery/_panel.html", panel)
    response.content = text.replace("<!-- panel -->", shown)


def watched() -> Bucket | Website:
    """Production, seen from outside."""
    site = settings.SITE
    return (Website if site["http"] else Bucket)(site["endpoint"], site["metrics"])


def integrity() -> dict[str, Any]:
    """The bucket now, compared with what it was when the demo started."""
    bucket, then = watched(), settings.SITE["digest"]
    now, objects = bucket.digest()
    # By the S3 server's own count, whoever sent them.
    writes = bucket.writes() - settings.SITE["writes"]
    told = {"objects": objects, "then": then[:12], "now": now[:12], "writes": writes}
    return {**told, "unchanged": now == then and not writes}


def labelled(resolution: Any) -> dict[str, Any]:
    """Which backend holds a name, in one word, and how that was known."""
    holder = resolution.backend if resolution.held else "nowhere"
    label = "hidden" if resolution.hidden else holder
    return {"label": label, "source": resolution.source, "trail": resolution.trail}


class VersionOneRule(Storage):
    """Emulates how django-fallback-storage 1.x is documented to make a URL.

    "When computing a url, FallbackStorage first checks if the file exists. If the
    file exists in none of the storage backends, the last backend is used."
    """

    def __init__(self) -> None:
        self.backends = chain(cache=False).backends

    def url(self, name: str | None) -> str:
        for backend in self.backends:
            backend.calls += 1
            if backend.storage.exists(name):
                break
        return str(backend.storage.url(name))


def compare(response: TemplateResponse, photos: Sequence[Photo]) -> dict[str, Meter]:
    """The same page, and `exists` of every picture, with other chains."""
    meters = {
        "memo_off": render(response, photos, chain(cache=False)),
        "version_one": render(response, photos, VersionOneRule()),
        "exists": ask_exists(photos, default_storage),
        "exists_memo_off": ask_exists(photos, chain(cache=False)),
    }
    if settings.SITE["redis"]:
        far = {**settings.FALLBACK_STORAGE_CACHE, "NEAR": False}
        meters["one_by_one"] = render(response, photos, chain(far))
        meters["prefetched"] = render(response, photos, chain(far), prefetch=True)
    return meters


def chain(cache: Any) -> FallbackStorage:
    """The same chain with another memo, or without one."""
    return FallbackStorage(**settings.STORAGES["default"]["OPTIONS"], cache=cache)


def render(
    response: TemplateResponse,
    photos: Sequence[Photo],
    storage: Storage,
    prefetch: bool = False,
) -> Meter:
    """Render the very same page with its pictures in another storage."""
    for photo in photos:
        photo.image.storage = storage
    with metered(storage) as meter:
        if prefetch:
            storage.prefetch(photos)
        _ = response.rendered_content
    for photo in photos:
        photo.image.storage = default_storage
    return meter


def ask_exists(photos: Sequence[Photo], storage: Storage) -> Meter:
    """Ask `exists` for every picture."""
    with metered(storage) as meter:
        for photo in photos:
            storage.exists(photo.image.name)
    return meter
