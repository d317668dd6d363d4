"""From settings and constructor arguments to a chain and a memo.

The only reader of settings. What can be wrong raises ``ConfigurationError`` (an
``ImproperlyConfigured``) that says where, what was found and what to write instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings

from fallback_storage.aliases import aliases, class_of, options_of
from fallback_storage.backends import Backend
from fallback_storage.cache.memo import DEFAULT_NEGATIVE_TTL, DEFAULT_TTL
from fallback_storage.cycles import BACKENDS_SETTING, CHAIN_CLASS, refuse_cycles
from fallback_storage.exceptions import ConfigurationError
from fallback_storage.specs import read_backends
from fallback_storage.validation import (
    refuse_unknown_keys,
    require_kinds,
    shown,
    suggestion,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fallback_storage.specs import BackendSpec

CACHE_SETTING = "FALLBACK_STORAGE_CACHE"

ON_DELETE = ("first", "all", "whiteout")
DEFAULTS: Mapping[str, Any] = {
    "backends": None,
    "cache": None,
    "on_delete": "first",
    "promote": False,
    "promote_max_size": None,
    "strict": False,
}
DEFAULT_MAX_ENTRIES = 100_000
DUMMY_BACKEND = "django.core.cache.backends.dummy.DummyCache"
REDIS_BACKENDS = (
    "django.core.cache.backends.redis.RedisCache",
    "django_redis.cache.RedisCache",
)
CACHE_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "ALIAS": str,
    "CLIENT": str,
    "STORE": str,
    "TTL": (int, float),
    "NEGATIVE_TTL": (int, float),
    "MAX_ENTRIES": int,
    "NEAR": bool,
}

# Settings whose change turns what is known stale ...
MEMO_SETTINGS = frozenset({"CACHES", "MEDIA_ROOT", "MEDIA_URL", CACHE_SETTING})

# ... and those after which it is another chain.
CHAIN_SETTINGS = frozenset(
    {"STORAGES", "DEFAULT_FILE_STORAGE", "STATIC_ROOT", "STATIC_URL"}
)


def is_relevant(setting: str) -> bool:
    """Whether a change of this setting must leave nothing of a chain behind."""
    return setting in CHAIN_SETTINGS or setting.startswith("FALLBACK_")


@dataclass(frozen=True, slots=True)
class CacheSpec:
    """How resolutions are remembered.

    ``alias``: of ``CACHES``; ``client``: dotted path of what returns a client of
    redis-py for it; ``store``: dotted path of a store class; neither: process memory. ``near``: process memory in front of a Redis alias. ``ttl`` and
    ``negative_ttl`` are seconds.
    """

    where: str = CACHE_SETTING
    alias: str | None = None
    client: str | None = None
    store: str | None = None
    ttl: float = DEFAULT_TTL
    negative_ttl: float = DEFAULT_NEGATIVE_TTL
    max_entries: int = DEFAULT_MAX_ENTRIES
    near: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """The validated configuration of one FallbackStorage. ``cache`` None: no memo."""

    backends: tuple[BackendSpec, ...]
    cache: CacheSpec | None
    on_delete: str
    promote: bool
    promote_max_size: int | None
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
    for key in ("promote", "strict"):
        if not isinstance(given[key], bool):
            raise ConfigurationError(
                key, f"is {shown(given[key])}.", "Write True or False."
            )
    max_size = given["promote_max_size"]
    if max_size is not None and (
        isinstance(max_size, bool) or not isinstance(max_size, int) or max_size < 0
    ):
        raise ConfigurationError(
            "promote_max_size",
            f"is {shown(max_size)}.",
            "Write a number of bytes, or None for no bound.",
        )
    return Options(
        backends=specs,
        cache=_read_cache(given["cache"]),
        on_delete=given["on_delete"],
        promote=given["promote"],
        promote_max_size=max_size,
        strict=given["strict"],
    )


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
        if options_of(params) and class_of(params.get("BACKEND")) is storage_class:
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
            options = options_of(params)
            from_setting = from_setting and "backends" in options
            yield f"STORAGES[{alias!r}]", found, options
    if from_setting and chain_class:
        yield BACKENDS_SETTING, chain_class, {}


def _place_of(value: object) -> str | None:
    """Return where in ``STORAGES`` this very list stands, for messages."""
    for alias, params in aliases().items():
        if options_of(params).get("backends") is value:
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
    if isinstance(value, str):
        value = {"ALIAS": value}
    if not isinstance(value, dict):
        raise ConfigurationError(
            where,
            f"is {shown(value)}.",
            'Write an alias of CACHES, a dict such as {"TTL": 300}, or False for no '
            "memo.",
        )
    refuse_unknown_keys(value, CACHE_KINDS, where)
    require_kinds(value, CACHE_KINDS.items(), where)
    _require_sense(value, where)
    return CacheSpec(
        where=where,
        alias=value.get("ALIAS"),
        client=value.get("CLIENT"),
        store=value.get("STORE"),
        ttl=float(value.get("TTL", DEFAULT_TTL)),
        negative_ttl=float(value.get("NEGATIVE_TTL", DEFAULT_NEGATIVE_TTL)),
        max_entries=value.get("MAX_ENTRIES", DEFAULT_MAX_ENTRIES),
        near=value.get("NEAR", False),
    )


def _require_sense(value: Mapping[str, Any], where: str) -> None:
    for key in ("TTL", "NEGATIVE_TTL"):
        # Not "< 0": that is false for what is not a number.
        if not 0 <= value.get(key, 0) < float("inf"):
            raise ConfigurationError(
                f"{where}[{key!r}]",
                f"is {value[key]!r}.",
                "Write seconds, 0 for never.",
            )
    if value.get("MAX_ENTRIES", 1) < 1:
        raise ConfigurationError(
            f"{where}['MAX_ENTRIES']",
            f"is {value['MAX_ENTRIES']!r}.",
            "Write how many names to remember, at least 1.",
        )
    alias = value.get("ALIAS")
    if alias is not None and "STORE" in value:
        raise ConfigurationError(
            where, "has both ALIAS and STORE.", "Write one of them."
        )
    if alias is not None and alias not in settings.CACHES:
        raise ConfigurationError(
            where,
            f"names the alias {alias!r}, which CACHES does not have.",
            suggestion(alias, settings.CACHES, "the aliases are"),
        )
    for key in ("NEAR", "CLIENT"):
        if value.get(key) and cache_backend(alias) not in REDIS_BACKENDS:
            raise ConfigurationError(
                f"{where}[{key!r}]",
                "is set without a Redis alias.",
                f"Give it an ALIAS whose BACKEND is one of: {', '.join(REDIS_BACKENDS)}.",
            )


def cache_backend(alias: str | None) -> str:
    """Return the BACKEND of an alias of ``CACHES``, or nothing."""
    return str(settings.CACHES.get(alias, {}).get("BACKEND", ""))
