"""From settings and constructor arguments to a chain and a memo.

What can be wrong raises ``ConfigurationError`` (an
``ImproperlyConfigured``) that says where, what was found and what to write instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core.files.storage import storages

from fallback_storage.chain.backend import Backend
from fallback_storage.conf.backends import entry_mistakes, read_backends
from fallback_storage.conf.memo import read_cache
from fallback_storage.conf.messages import is_whole_number, shown, suggestion
from fallback_storage.conf.settings import (
    BACKENDS_SETTING,
    CACHE_SETTING,
    CHAIN_CLASS,
    aliases,
    backends_setting,
    cache_setting,
    class_of,
    is_chain,
    options_of,
)
from fallback_storage.exceptions import ConfigurationError, Mistake

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fallback_storage.conf.backends import BackendSpec
    from fallback_storage.conf.memo import CacheSpec

ON_DELETE = ("first", "all", "whiteout")
DEFAULTS: Mapping[str, Any] = {
    "backends": None,
    "cache": None,
    "on_delete": "first",
    "promote": False,
    "promote_max_size": None,
    "strict": False,
}

# What an option's value must be, and the advice where it is not.
VALUES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "on_delete": (
        lambda value: value in ON_DELETE,
        f"Write one of {', '.join(map(repr, ON_DELETE))}.",
    ),
    "promote": (lambda value: isinstance(value, bool), "Write True or False."),
    "strict": (lambda value: isinstance(value, bool), "Write True or False."),
    "promote_max_size": (
        lambda value: value is None or (is_whole_number(value) and value >= 0),
        "Write a number of bytes, or None for no bound.",
    ),
}


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
            Mistake.UNKNOWN_OPTION,
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
    given = _completed(storage_class, given)
    specs = _read_chain(given["backends"])
    for key in VALUES:
        _require_value(key, given[key])
    return Options(
        backends=specs,
        cache=_read_cache(given["cache"]),
        on_delete=given["on_delete"],
        promote=given["promote"],
        promote_max_size=given["promote_max_size"],
        strict=given["strict"],
    )


def find_mistakes(
    storage_class: type, given: Mapping[str, Any]
) -> Iterator[ConfigurationError]:
    """Yield everything that ``read_options`` would raise, were each the only one.

    Without what is wrong with ``FALLBACK_STORAGE_CACHE``: that is nobody's own.
    """
    unknown = [key for key in given if key not in DEFAULTS]
    for key in unknown:
        yield from _raised_by(refuse_unknown_options, {key: given[key]})
    known = {key: value for key, value in given.items() if key in DEFAULTS}
    try:
        completed = _completed(storage_class, known)
    except ConfigurationError as error:
        # Of the alias that is meant: the one whose options these are, if any are.
        if not unknown:
            yield error
            return
        completed = {**DEFAULTS, **known}
    # One that is misspelled is not missing.
    if not unknown or completed["backends"] is not None:
        chain = completed["backends"]
        yield from (
            list(entry_mistakes(*_chain_and_place(chain)))
            or _raised_by(_read_chain, chain)
        )
    for key in VALUES:
        yield from _raised_by(_require_value, key, completed[key])
    if completed["cache"] is not None:
        yield from _raised_by(_read_cache, completed["cache"])


def _raised_by(
    function: Callable[..., object], *args: object
) -> Iterator[ConfigurationError]:
    try:
        function(*args)
    except ConfigurationError as error:
        yield error


def _completed(storage_class: type, given: Mapping[str, Any]) -> dict[str, Any]:
    return {**DEFAULTS, **_options_of_alias(storage_class, given), **given}


def _require_value(key: str, value: object) -> None:
    is_right, advice = VALUES[key]
    if not is_right(value):
        raise ConfigurationError(
            Mistake.WRONG_VALUE, key, f"is {shown(value)}.", advice
        )


def _read_chain(given: object) -> tuple[BackendSpec, ...]:
    value, where = _chain_and_place(given)
    if value is None:
        raise ConfigurationError(
            Mistake.NO_CHAIN,
            BACKENDS_SETTING,
            "is not set, and no backends were given.",
            f"Set {BACKENDS_SETTING} to a list of storages, or give "
            "STORAGES['default'] the OPTIONS {'backends': [...]}.",
        )
    return read_backends(value, where)


def _chain_and_place(given: object) -> tuple[object, str]:
    if given is None:
        return backends_setting(), BACKENDS_SETTING
    return given, _place_of(given) or "backends"


def _read_cache(given: object) -> CacheSpec | None:
    return read_cache_setting() if given is None else read_cache(given, "cache")


def read_cache_setting() -> CacheSpec | None:
    """Validate ``FALLBACK_STORAGE_CACHE``, the memo of whoever says nothing of it."""
    return read_cache(cache_setting(), CACHE_SETTING)


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
    if "backends" in given or backends_setting() is not None:
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
    from_setting = backends_setting() is not None
    chain_class = class_of(CHAIN_CLASS)
    for alias, params in aliases().items():
        found = class_of(params.get("BACKEND"))
        if found and chain_class and issubclass(found, chain_class):
            options = options_of(params)
            from_setting = from_setting and "backends" in options
            yield f"STORAGES[{alias!r}]", found, options
    if from_setting and chain_class:
        yield BACKENDS_SETTING, chain_class, {}


def malformed_chains() -> Iterator[ConfigurationError]:
    """Yield an error for every alias that names the class and is no description."""
    for alias, params in storages.backends.items():
        if alias in aliases() or not isinstance(params, dict):
            continue
        if is_chain(params.get("BACKEND")):
            yield from _raised_by(read_backends, [alias], BACKENDS_SETTING)


def _place_of(value: object) -> str | None:
    """Return where in ``STORAGES`` this very list stands, for messages."""
    for alias, params in aliases().items():
        if options_of(params).get("backends") is value:
            return f"STORAGES[{alias!r}]['OPTIONS']['backends']"
    return None
