"""URL patterns of the media view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.urls import path

from fallback_storage.conf.rules import refuse
from fallback_storage.conf.settings import media_route
from fallback_storage.exceptions import ConfigurationError, Mistake
from fallback_storage.views.options import mistakes_in_options
from fallback_storage.views.serve import media as view

if TYPE_CHECKING:
    from django.urls import URLPattern


def media(route: str | None = None, **options: Any) -> list[URLPattern]:
    """Return patterns to add to ``urlpatterns``: files below ``MEDIA_URL`` are served.

    ``route``: another place, as ``django.urls.path`` has it. ``options``: those of
    ``views.media``. Raises ``ConfigurationError`` for options that cannot be right, and
    if ``MEDIA_URL`` says no place of this site.
    """
    refuse(mistakes_in_options(options))
    place = media_route() if route is None else route
    if place is None:
        raise ConfigurationError(
            Mistake.WRONG_VALUE,
            "MEDIA_URL",
            "is no path of this site.",
            'Write media("media/"), with the place that files are to be served at.',
        )
    pattern = f"{place.lstrip('/')}<path:name>"
    return [path(pattern, view, options, name="fallback_storage_media")]
