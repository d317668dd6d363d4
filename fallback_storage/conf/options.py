"""From settings and constructor arguments to a chain and a memo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.files.storage import storages

from fallback_storage.chain.backend import Backend
from fallback_storage.chain.look import is_plain_directory
from fallback_storage.conf import rules
from fallback_storage.conf.backends import mistakes_in_backends, read_backends
from fallback_storage.conf.cache import mistakes_in_cache, read_cache
from fallback_storage.conf.entries import mistakes_in_entry
from fallback_storage.conf.messages import nearest
from fallback_storage.conf.settings import (
    BACKENDS_SETTING,
    CACHE_SETTING,
    CHAIN_CLASS,
    aliases,
    backends_setting,
    cache_setting,
    chain_class_of,
    class_of,
    options_of,
)
from fallback_storage.exceptions import ConfigurationError, Mistake
from fallback_storage.utils.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fallback_storage.conf.backends import BackendSpec
    from fallback_storage.conf.cache import CacheSpec

# What says it where nobody was given it.
SETTINGS = {
    "backends": (backends_setting, BACKENDS_SETTING),
    "cache": (cache_setting, CACHE_SETTING),
}
ON_DELETE = ("first", "all", "whiteout")
DELETING = rules.Rule(
    lambda value: value in ON_DELETE, f"Write one of {', '.join(map(repr, ON_DELETE))}."
)
WHOSE_URLS = rules.Rule(
    lambda value: value in {"holder", "home"}, "Write one of 'holder', 'home'."
)
SIZE = rules.Rule(
    lambda value: value is None or (rules.WHOLE_NUMBER.holds(value) and value >= 0),
    "Write a number of bytes, or None for no bound.",
)
SWITCH = rules.Rule(rules.FLAG.holds, "Write True or False.")
VALUES: rules.Rules = {
    "on_delete": (DELETING,),
    "promote": (SWITCH,),
    "strict": (SWITCH,),
    "promote_max_size": (SIZE,),
    "promote_max_total": (SIZE,),
    "promote_min_free": (SIZE,),
    "urls": (WHOSE_URLS,),
}


class Options(Record):
    """The validated configuration of one FallbackStorage. ``cache`` None: no memo."""

    backends: tuple[BackendSpec, ...]
    cache: CacheSpec | None
    on_delete: str = "first"
    promote: bool = False
    promote_max_size: int | None = None
    promote_max_total: int | None = None
    promote_min_free: int | None = 1 << 30
    strict: bool = False
    urls: str = "holder"


# As they are for ``FallbackStorage``.
DEFAULTS: Mapping[str, Any] = {
    each: getattr(Options, each, None) for each in Options._fields
}


def refuse_unknown_options(options: Mapping[str, Any], backends: object) -> None:
    """Raise ``ConfigurationError`` for options that ``FallbackStorage`` has not."""
    if options:
        rules.refuse(_unknown({**options, "backends": backends}))


def _unknown(options: Mapping[str, Any]) -> Iterator[ConfigurationError]:
    places = _places(options)
    for key in options:
        where = places.get(key, CHAIN_CLASS)
        yield from rules.unknown([key], DEFAULTS, where, "option")


def without_defaults(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of ``FallbackStorage``'s arguments that say something."""
    return {key: arguments[key] for key in DEFAULTS if arguments[key] != DEFAULTS[key]}


def read_options(storage_class: type, given: Mapping[str, Any]) -> Options:
    """Validate the constructor's arguments, completed from the settings.

    ``given`` are the arguments of ``FallbackStorage`` that are not defaults. Builds
    nothing. Raises ``ConfigurationError``.
    """
    rules.refuse(mistakes_in(storage_class, given))
    options = _completed(storage_class, given)
    places = _places(options)
    return Options(
        backends=read_backends(*_value_and_place("backends", options, places)),
        cache=read_cache(*_value_and_place("cache", options, places)),
        **{key: options[key] for key in VALUES},
    )


def mistakes_in(
    storage_class: type, given: Mapping[str, Any]
) -> Iterator[ConfigurationError]:
    """Yield all that is wrong with what ``read_options`` is given."""
    options = _completed(storage_class, given)
    misspelled = [*_unknown(options)]
    yield from misspelled
    places = _places(options)
    chain, where = _value_and_place("backends", options, places)
    if chain is not None:
        yield from mistakes_in_backends(chain, where)
    elif not misspelled:  # then it is not missing
        yield ConfigurationError(
            Mistake.NO_CHAIN,
            BACKENDS_SETTING,
            "is not set, and no backends were given.",
            f"Set {BACKENDS_SETTING} to a list of storages, or give "
            "STORAGES['default'] the OPTIONS {'backends': [...]}.",
        )
    for key in VALUES:
        where = places.get(key, "")
        yield from rules.broken({key: options[key]}, VALUES, where)
    yield from mistakes_in_cache(*_value_and_place("cache", options, places))


def _completed(storage_class: type, given: Mapping[str, Any]) -> dict[str, Any]:
    return {**DEFAULTS, **_options_of_alias(storage_class, given), **given}


def _value_and_place(
    key: str, options: Mapping[str, Any], places: Mapping[str, str]
) -> tuple[object, str]:
    if options[key] is None:
        read, setting = SETTINGS[key]
        return read(), setting
    return options[key], f"{places[key]}[{key!r}]" if key in places else key


def build_backends(options: Options, owner: object) -> tuple[Backend, ...]:
    """Return the chain; its storages are built at their first use."""
    return tuple(
        Backend(
            s.name,
            s.build,
            s.policy,
            s.where,
            owner=owner,
            origin=s.origin,
            another=s.another,
        )
        for s in options.backends
    )


def refuse_bounds_of(home: Backend, total: int | None, free: int | None) -> None:
    """Raise ``ConfigurationError`` for bounds on a disk that nobody can look at."""
    given = {"promote_max_total": total, "promote_min_free": free or None}
    meant = [key for key in given if given[key] not in {None, DEFAULTS[key]}]
    if meant and not is_plain_directory(home.storage):
        raise ConfigurationError(
            Mistake.WRONG_VALUE,
            meant[0],
            f"is given, but the first writable backend, {home.name!r}, is no local "
            "directory: what it has room for is not known.",
            "Leave it out, or put a FileSystemStorage in front.",
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
            return options_of(params)
    return {}


def configured_chains() -> Iterator[tuple[str, type, Mapping[str, Any]]]:
    """Yield (place, class, arguments) of every chain that the settings describe."""
    from_setting = backends_setting() is not None
    for alias, params in aliases().items():
        found = chain_class_of(params.get("BACKEND"))
        if found:
            options = options_of(params)
            from_setting = from_setting and "backends" in options
            yield f"STORAGES[{alias!r}]", found, options
    if from_setting and (chain_class := class_of(CHAIN_CLASS)):
        yield BACKENDS_SETTING, chain_class, {}


def malformed_chains() -> Iterator[ConfigurationError]:
    """Yield what is wrong with an alias that names the class, beside its OPTIONS."""
    described: dict[str, Any] = {**storages.backends, **aliases()}
    for alias, params in described.items():
        path = params.get("BACKEND") if isinstance(params, dict) else None
        if not chain_class_of(path):
            continue
        if alias not in aliases():
            yield from mistakes_in_entry({"ALIAS": alias}, BACKENDS_SETTING)
        for key in params:
            if key in DEFAULTS or (key != "OPTIONS" and nearest(key, ["OPTIONS"])):
                yield ConfigurationError(
                    Mistake.UNKNOWN_KEY,
                    f"STORAGES[{alias!r}]",
                    f"has the key {key!r}, which Django does not read.",
                    "Write what a chain is made of into OPTIONS, a dict.",
                )


def _places(options: Mapping[str, Any]) -> Mapping[str, str]:
    """Return which OPTIONS of ``STORAGES`` have these very values, for messages.

    By key; those that were given in code are left out.
    """
    return {
        key: f"STORAGES[{alias!r}]['OPTIONS']"
        for alias, params in aliases().items()
        if (written := options_of(params)).get("backends") is options["backends"]
        for key in options.keys() & written.keys()
        if written[key] is options[key]
    }
