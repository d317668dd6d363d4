"""What ``STORAGES`` and ``CACHES`` define."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.cache import caches
from django.core.files.storage import storages
from django.utils.module_loading import import_string

from fallback_storage.exceptions import ConfigurationError, Mistake

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.core.cache import BaseCache


def aliases() -> Mapping[str, Mapping[str, Any]]:
    """Return what each alias of ``STORAGES`` describes (on 4.2 by older settings, too).

    Without those that describe no storage: only who names them has to know.
    """
    written = settings.STORAGES
    found = {}
    for alias, effective in storages.backends.items():
        params: Any = effective
        if not isinstance(params, dict):
            continue
        # Django 4.2 drops the OPTIONS of an overridden STORAGES["default"].
        original = written.get(alias)
        if isinstance(original, dict):
            same = original.get("BACKEND") == params.get("BACKEND")
            params = original if same else params
        if isinstance(params.get("OPTIONS", {}), dict):
            found[alias] = params
    return found


def options_of(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the OPTIONS of what an alias describes."""
    options: Mapping[str, Any] = params.get("OPTIONS", {})
    return options


def class_of(path: object) -> type | None:
    """Return the class that a dotted path names, or None if it names none."""
    if not isinstance(path, str):
        return None
    try:
        found = import_string(path)
    except Exception:  # noqa: BLE001 - django-storages' own, where a library is missing
        return None
    return found if isinstance(found, type) else None


def build_cache(alias: str) -> BaseCache:
    """Return the cache of an alias of ``CACHES``. Django's own contact nothing yet."""
    try:
        return caches[alias]
    except Exception as error:  # noqa: BLE001 - whatever a constructor raises
        # (Its text may quote LOCATION or OPTIONS, and so a password.)
        raise ConfigurationError(
            Mistake.BAD_CACHE,
            f"CACHES[{alias!r}]",
            f"cannot be built: {type(error).__name__}.",
            "Correct its BACKEND and OPTIONS, or install what it needs.",
        ) from None
