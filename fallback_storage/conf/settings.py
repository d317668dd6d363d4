"""The only reader of settings: their names, and what they say.

``STORAGES`` and the older settings of Django 4.2 are read as one (``aliases``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import global_settings, settings
from django.core.files.storage import storages
from django.utils.module_loading import import_string

BACKENDS_SETTING = "FALLBACK_STORAGES"
CACHE_SETTING = "FALLBACK_STORAGE_CACHE"
CHAIN_CLASS = "fallback_storage.storage.FallbackStorage"


# Settings whose change turns what is known stale ...
MEMO_SETTINGS = frozenset({"CACHES", "MEDIA_ROOT", "MEDIA_URL", CACHE_SETTING})

# ... and those after which it is another chain.
CHAIN_SETTINGS = frozenset(
    {"STORAGES", "DEFAULT_FILE_STORAGE", "STATIC_ROOT", "STATIC_URL"}
)


def is_relevant(setting: str) -> bool:
    """Whether a change of this setting must leave nothing of a chain behind."""
    return setting in CHAIN_SETTINGS or setting.startswith("FALLBACK_")


def backends_setting() -> Any:
    """Return ``FALLBACK_STORAGES``, the chain of whoever names none; None if not set."""
    return getattr(settings, BACKENDS_SETTING, None)


def cache_setting() -> Any:
    """Return ``FALLBACK_STORAGE_CACHE``, the memo of whoever names none."""
    return getattr(settings, CACHE_SETTING, None)


def unread_default() -> Any:
    """Return ``DEFAULT_FILE_STORAGE`` where this Django does not read it; else None."""
    reads = hasattr(global_settings, "DEFAULT_FILE_STORAGE")  # until 5.1
    return None if reads else getattr(settings, "DEFAULT_FILE_STORAGE", None)


def names_of_settings() -> list[str]:
    """Return the names of all settings that there are."""
    return dir(settings)


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


def is_like_a_chain(path: object) -> bool:
    """Whether a path says FallbackStorage, or names something of this package."""
    return "fallbackstorage" in str(path).replace("_", "").lower()


def chain_class_of(path: object) -> type | None:
    """Return the class that a path names if it is FallbackStorage or a subclass."""
    found = class_of(path)
    return found if found and issubclass(found, class_of(CHAIN_CLASS) or ()) else None


def uses_time_zones() -> bool:
    """Whether times are aware, by ``USE_TZ``."""
    return bool(settings.USE_TZ)


def is_debug() -> bool:
    """Whether this is a developer's machine, by ``DEBUG``."""
    return bool(settings.DEBUG)


def media_route() -> str | None:
    """Return the path of ``MEDIA_URL`` as URL patterns have it; None if it has a host.

    They begin below the place of the site (``FORCE_SCRIPT_NAME``), which Django writes
    before a ``MEDIA_URL`` that is relative.
    """
    from django.urls import get_script_prefix  # with most of Django

    url = urlsplit(settings.MEDIA_URL)
    path = url.path.removeprefix(get_script_prefix()).strip("/")
    return None if url.netloc or not path else f"{path}/"


def has_urls() -> bool:
    """Whether there are URL patterns."""
    return bool(getattr(settings, "ROOT_URLCONF", None))
