"""The check of the media view: what it is given where it stands in the URL patterns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.urls import get_resolver
from django.urls.resolvers import URLPattern

from fallback_storage.conf.messages import as_error
from fallback_storage.conf.settings import has_urls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from django.core.checks import CheckMessage

# The attribute of the view that tells what is wrong with its options. Decorators (a
# login that is required, say) hand it on.
ATTRIBUTE: Final = "fallback_storage_mistakes"


def check_media(**kwargs: Any) -> list[CheckMessage]:
    """Report options of the media view that the first request would stumble on."""
    return [
        as_error(mistake, f"URL pattern {route!r}")
        for route, find, given in (_views(get_resolver()) if has_urls() else ())
        for mistake in find(given)
    ]


def _views(
    patterns: Any, above: str = ""
) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    for pattern in patterns.url_patterns:
        route = above + str(pattern.pattern)
        if not isinstance(pattern, URLPattern):
            yield from _views(pattern, route)
        elif hasattr(pattern.callback, ATTRIBUTE):
            yield route, getattr(pattern.callback, ATTRIBUTE), pattern.default_args
