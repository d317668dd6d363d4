"""Measures the gallery's page, and writes the figures into it.

The page is made by its view and rendered by Django as on any site, and only that is
"the page". What comes after - the badges and the comparison - is asked separately,
metered separately, and put where the template left a mark, as a debug toolbar does.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.core.files.storage import Storage, default_storage
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from metering import Meter, metered

from fallback_storage.chain.outcomes import Resolution
from gallery.contenders import memo_off, version_one_rule, without_near
from gallery.models import Photo
from gallery.production import integrity
from gallery.workers import whoami

BADGE_MARK = "<!-- badge of photo {} -->"
PANEL_MARK = "<!-- panel -->"
_BADGE = re.compile(BADGE_MARK.format(r"(\d+)"))


class InstrumentsMiddleware:
    """For the gallery only; `?plain` leaves the instruments out."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """Called by Django instead of the view, which is called here, and metered."""
        match = request.resolver_match
        if match is None or match.url_name != "gallery" or "plain" in request.GET:
            return None
        memo_before = default_storage.stats()
        with metered() as page:
            response: HttpResponse = view(request, *args, **kwargs)
        request.seen = page, memo_before  # type: ignore[attr-defined]
        return response

    def process_template_response(
        self, request: HttpRequest, response: TemplateResponse
    ) -> TemplateResponse:
        """Called by Django between the view and the rendering."""
        seen: tuple[Meter, dict[str, Any]] | None = getattr(request, "seen", None)
        if seen is None:
            return response
        page, memo_before = seen
        photos: list[Photo] = list((response.context_data or {})["photos"])
        # Unmeasured, once: clients, templates and caches that a thread builds at its
        # first page are no cost of a name, and whoever came first would pay them.
        measure_page(request, response, photos, memo_off())
        view_ms = page.report()["ms"]
        with metered(page):
            response.render()
        memo_after = default_storage.stats()

        with metered() as asked:
            found = default_storage.resolve_many(photo.image.name for photo in photos)
            badges = {photo.pk: place_of(found[photo.image.name]) for photo in photos}
        figures = {
            "photos": len(photos),
            **whoami(),
            "look_ups": {
                key: memo_after.get(key, 0) - memo_before.get(key, 0)
                for key in ("hits", "misses")
            },
            "page": {**page.report(), "view_ms": view_ms},
            "badges": asked.report(),
            "memo_off": measure_page(request, response, photos, memo_off()),
            "version_one": measure_page(request, response, photos, version_one_rule),
            "exists": measure_exists(photos, default_storage),
            "exists_memo_off": measure_exists(photos, memo_off()),
            **measure_shared(request, response, photos),
        }
        panel = render_to_string(
            "gallery/_panel.html",
            {
                "figures": figures,
                "production": integrity(),
                "holders": dict(Counter(place["label"] for place in badges.values())),
            },
            request,
        )
        text = response.content.decode()
        text = _BADGE.sub(lambda mark: render_badge(badges[int(mark[1])]), text)
        response.content = text.replace(PANEL_MARK, panel, 1).encode()
        return response


def where(name: str) -> dict[str, Any]:
    """Which backend holds a name, and how that was known, for a template."""
    return place_of(default_storage.resolve(name))


def place_of(resolution: Resolution) -> dict[str, Any]:
    """What a resolution tells, for a template."""
    backend = resolution.backend if resolution.held else None
    return {
        "backend": backend,
        "label": "hidden" if resolution.hidden else backend or "nowhere",
        "hidden": resolution.hidden,
        "held": resolution.held,
        "source": resolution.source.value,
        "trail": [
            {
                "backend": attempt.backend,
                "outcome": attempt.outcome.value,
                "remembered": attempt.remembered,
                "ms": attempt.seconds * 1000,
            }
            for attempt in resolution.trail
        ],
    }


def answers(name: str) -> dict[str, Any]:
    """What the storage says of one name, method by method."""
    folder, file = posixpath.split(name)
    return {
        "exists": default_storage.exists(name),
        "listed": file in default_storage.listdir(folder)[1],
        "url": default_storage.url(name),
    }


def render_badge(place: dict[str, Any]) -> str:
    """The badge's HTML."""
    return render_to_string("gallery/_badge.html", {"place": place}).strip()


def measure_page(
    request: HttpRequest,
    response: TemplateResponse,
    photos: Iterable[Photo],
    storage: Storage,
    *,
    prefetch: bool = False,
) -> dict[str, Any]:
    """Render the very same page with its pictures in another storage."""
    own = [photo.image.storage for photo in photos]
    try:
        for photo in photos:
            photo.image.storage = storage
        template = response.resolve_template(response.template_name)
        with metered() as meter:
            if prefetch:
                storage.prefetch(photos)  # type: ignore[attr-defined]
            template.render(response.resolve_context(response.context_data), request)
    finally:
        for photo, storage_of_its_own in zip(photos, own, strict=True):
            photo.image.storage = storage_of_its_own
    return meter.report()


def measure_shared(
    request: HttpRequest, response: TemplateResponse, photos: Iterable[Photo]
) -> dict[str, Any]:
    """Render the same page on the shared memo alone, with `prefetch` and without."""
    if not settings.SITE["redis"]:
        return {}
    figures = {}
    for column, prefetch in (("prefetched", True), ("one_by_one", False)):
        storage = without_near(column)
        figures[column] = measure_page(
            request, response, photos, storage, prefetch=prefetch
        )
    return figures


def measure_exists(photos: Iterable[Photo], storage: Storage) -> dict[str, Any]:
    """Ask `exists` for every picture."""
    with metered() as meter:
        held = [storage.exists(photo.image.name) for photo in photos]
    return {**meter.report(), "held": sum(held)}
