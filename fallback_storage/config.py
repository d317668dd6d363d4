"""From settings and constructor arguments to a chain and a memo.

The only reader of settings. What can be wrong raises ``ConfigurationError`` (an
``ImproperlyConfigured``) that says where, what was found and what to write instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings

from fallback_storage.backends import Backend
from fallback_storage.cache.memo import (
    DEFAULT_NEGATIVE_TTL,
    DEFAULT_TTL,
    Memo,
    ResolutionMemo,
)
from fallback_storage.cycles import BACKENDS_SETTING, CHAIN_CLASS, refuse_cycles
from fallback_storage.exceptions import ConfigurationError
from fallback_storage.specs import aliases, class_of, read_backends
from fallback_storage.validation import refuse_unknown_keys, shown, suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fallback_storage.specs import BackendSpec

CACHE_SETTING = "FALLBACK_STORAGE_CACHE"

ON_DELETE = ("first", "all")
DEFAULTS = {"backends": None, "cache": None, "on_delete": "first", "strict": False}
DEFAULT_MAX_ENTRIES = 100_000
CACHE_KEYS = ("TTL", "NEGATIVE_TTL", "MAX_ENTRIES")

# Settings whose change can turn a chain, or what is known of it, stale.
RELEVANT_SETTINGS = frozenset(
    {"STORAGES", "CACHES", "MEDIA_ROOT", "MEDIA_URL", "DEFAULT_FILE_STORAGE"}
)


def is_relevant(setting: str) -> bool:
    """Whether a change of this setting must leave nothing of a chain behind."""
    return setting in RELEVANT_SETTINGS or setting.startswith("FALLBACK_")


@dataclass(frozen=True, slots=True)
class CacheSpec:
    """How resolutions are remembered. ``ttl`` and ``negative_ttl`` are seconds."""

    ttl: float = DEFAULT_TTL
    negative_ttl: float = DEFAULT_NEGATIVE_TTL
    max_entries: int = DEFAULT_MAX_ENTRIES


@dataclass(frozen=True, slots=True)
class Options:
    """The validated configuration of one FallbackStorage. ``cache`` None: no memo."""

    backends: tuple[BackendSpec, ...]
    cache: CacheSpec | None
    on_delete: str
    strict: bool


def refuse_unknown_options(options: Mapping[str, Any]) -> None:
    """Raise ``ConfigurationError`` for options that ``FallbackStorage`` has not."""
    for key in options:
        if key in DEFAULTS:
            continue
        raise ConfigurationError(
            CHAIN_CLASS,
            f"has the unknown option {key!r}.",
            suggestion(key, DEFAULTS, "the options are"),
        )


def without_defaults(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that say something."""
    return {key: value for key, value in arguments.items() if value != DEFAULTS[key]}


def read_options(storage_class: type, given: Mapping[str, Any]) -> Options:
    """Validate the constructor's arguments, completed from the settings.

    ``given`` are the arguments of ``FallbackStorage`` that are not defaults. Builds
    nothing.
    """
    refuse_unknown_options(given)
    given = {**DEFAULTS, **_options_of_alias(storage_class, given), **given}
    setting = getattr(settings, BACKENDS_SETTING, None)
    value, where = setting, BACKENDS_SETTING
    if given["backends"] is not None:
        value = given["backends"]
        where = _place_of(value) or "backends"
    if value is None:
        raise ConfigurationError(
            BACKENDS_SETTING,
            "is not set, and no backends were given.",
            f"Set {BACKENDS_SETTING} to a list of storages, or give "
            "STORAGES['default'] the OPTIONS {'backends': [...]}.",
        )
    specs = read_backends(value, where)
    refuse_cycles(specs, setting)
    if given["on_delete"] not in ON_DELETE:
        raise ConfigurationError(
            "on_delete",
            f"is {shown(given['on_delete'])}.",
            f"Write one of {', '.join(map(repr, ON_DELETE))}.",
        )
    if not isinstance(given["strict"], bool):
        raise ConfigurationError(
            "strict", f"is {shown(given['strict'])}.", "Write True or False."
        )
    cache = _read_cache(given["cache"])
    return Options(specs, cache, given["on_delete"], given["strict"])


def build_backends(options: Options, owner: object) -> tuple[Backend, ...]:
    """Return the chain; its storages are built at their first use."""
    return tuple(
        Backend(
            spec.name,
            spec.build,
            spec.policy,
            spec.where,
            owner=owner,
            origin=spec.origin,
        )
        for spec in options.backends
    )


def build_memo(options: Options, clock: Callable[[], float]) -> Memo:
    """Return the memo of a chain. ``clock`` gives seconds, for in-process tiers."""
    spec = options.cache
    if spec is None:
        return Memo()
    from fallback_storage.cache.stores.local import LocalStore

    return ResolutionMemo(
        LocalStore(spec.max_entries, clock),
        chain_length=len(options.backends),
        ttl=spec.ttl,
        negative_ttl=spec.negative_ttl,
    )


# Where the configuration comes from


def _options_of_alias(
    storage_class: type, given: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the OPTIONS of the alias that configures this class, if they are meant.

    sorl and django-cleanup build a storage from its class path alone; they mean the
    one that ``STORAGES`` describes.
    """
    if "backends" in given or getattr(settings, BACKENDS_SETTING, None) is not None:
        return {}
    for alias in sorted(aliases(), key=lambda alias: alias != "default"):
        params = aliases()[alias]
        if params.get("OPTIONS") and class_of(params.get("BACKEND")) is storage_class:
            options: Mapping[str, Any] = params["OPTIONS"]
            refuse_unknown_options(options)
            return options
    return {}


def configured_chains() -> Iterator[tuple[str, type, Mapping[str, Any]]]:
    """Yield (place, class, arguments) of every chain that the settings describe."""
    from_setting = getattr(settings, BACKENDS_SETTING, None) is not None
    chain_class = class_of(CHAIN_CLASS)
    for alias, params in aliases().items():
        found = class_of(params.get("BACKEND"))
        if found and chain_class and issubclass(found, chain_class):
            options = params.get("OPTIONS", {})
            from_setting = from_setting and "backends" in options
            yield f"STORAGES[{alias!r}]", found, options
    if from_setting and chain_class:
        yield BACKENDS_SETTING, chain_class, {}


def _place_of(value: object) -> str | None:
    """Return where in ``STORAGES`` this very list stands, for messages."""
    for alias, params in aliases().items():
        if params.get("OPTIONS", {}).get("backends") is value:
            return f"STORAGES[{alias!r}]['OPTIONS']['backends']"
    return None


# The memo


def _read_cache(value: object) -> CacheSpec | None:
    where = "cache"
    if value is None:
        value, where = getattr(settings, CACHE_SETTING, None), CACHE_SETTING
    if value is None:
        return CacheSpec()
    if value is False:
        return None
    if not isinstance(value, dict):
        raise ConfigurationError(
            where,
            f"is {shown(value)}.",
            'Write a dict such as {"TTL": 300}, or False for no memo.',
        )
    refuse_unknown_keys(value, CACHE_KEYS, where)
    for key in CACHE_KEYS:
        number = value.get(key, 1)
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ConfigurationError(
                f"{where}[{key!r}]", f"is {shown(number)}.", "Write a number."
            )
        if number < 0 or (key == "MAX_ENTRIES" and number < 1):
            raise ConfigurationError(
                f"{where}[{key!r}]",
                f"is {number!r}.",
                "Write seconds, 0 for never."
                if key != "MAX_ENTRIES"
                else "Write how many names to remember, at least 1.",
            )
    return CacheSpec(
        float(value.get("TTL", DEFAULT_TTL)),
        float(value.get("NEGATIVE_TTL", DEFAULT_NEGATIVE_TTL)),
        int(value.get("MAX_ENTRIES", DEFAULT_MAX_ENTRIES)),
    )
