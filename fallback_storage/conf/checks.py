"""System checks: what is wrong with the configuration, before the first request.

Nothing is contacted. Ids are stable (those of errors: ``exceptions.Mistake``); the manual
(checks) lists them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from fallback_storage.chain.whiteouts import refuse_home
from fallback_storage.chain.wrapped import entries_of
from fallback_storage.conf.backend_checks import check_backends, check_overlay
from fallback_storage.conf.backends import build_call, mistakes_in_functions
from fallback_storage.conf.cache import mistakes_in_cache, read_cache
from fallback_storage.conf.memo import mistakes_in_memo
from fallback_storage.conf.memo_checks import check_memo, check_places, check_sharing
from fallback_storage.conf.messages import as_error, nearest, quoted
from fallback_storage.conf.options import (
    build_backends,
    configured_chains,
    malformed_chains,
    mistakes_in,
    read_options,
    refuse_bounds_of,
)
from fallback_storage.conf.settings import (
    BACKENDS_SETTING,
    CACHE_SETTING,
    CHAIN_CLASS,
    aliases,
    cache_setting,
    class_of,
    is_like_a_chain,
    names_of_settings,
    unread_default,
)
from fallback_storage.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from fallback_storage.chain.backend import Backend
    from fallback_storage.conf.options import Options

# What a place in the settings begins with; any other is a place within a backend.
SETTINGS = ("STORAGES[", "CACHES[", "FALLBACK_STORAGE")

SETTING_NAMES = (BACKENDS_SETTING, CACHE_SETTING)
# What does not look like one of them, and means it.
MEANT = dict.fromkeys(
    ("FALLBACK_BACKENDS", "FALLBACK_STORAGE_BACKENDS"), BACKENDS_SETTING
)


def check_chains(**kwargs: Any) -> list[CheckMessage]:
    """Check every FallbackStorage of ``STORAGES``, and the ``FALLBACK_`` settings."""
    chains = list(configured_chains())
    report = _Report([where for where, *_ in chains])
    cache = cache_setting(), CACHE_SETTING
    unusable = report.add(mistakes_in_cache(*cache), CACHE_SETTING)
    if not unusable:
        spec = read_cache(*cache)
        unusable = report.add(mistakes_in_memo(spec), CACHE_SETTING)
        if not unusable:
            report.warn(check_memo(spec) if spec else (), CACHE_SETTING)
    report.add(malformed_chains())
    for where, warning in _check_spelling():
        report.warn([warning], where)
    for where, storage_class, given in chains:
        _check_chain(report, where, storage_class, given, with_memo=not unusable)
    return report.messages


class _Report:
    """The messages. One mistake in the settings is one, however many chains it harms.

    ``places``: of the chains; a mistake within one of them is reported there.
    """

    def __init__(self, places: Sequence[str]) -> None:
        self.messages: list[CheckMessage] = []
        self._places = places
        self._told: set[object] = set()

    def add(self, mistakes: Iterable[ConfigurationError], where: str = "") -> bool:
        """Report mistakes that harm what stands at ``where``; return whether any do."""
        found = list(mistakes)
        for mistake in found:
            if mistake.args not in self._told:
                places = filter(mistake.where.startswith, self._places)
                place = next(places, where or mistake.where)
                self.messages.append(as_error(mistake, place))
            if mistake.where.startswith(SETTINGS):
                self._told.add(mistake.args)
        return bool(found)

    def warn(self, warnings: Iterable[CheckMessage], where: str) -> None:
        """Report warnings of what stands at ``where``."""
        for warning in warnings:
            warning.obj = where
            self.messages.append(warning)


def _check_chain(
    report: _Report,
    where: str,
    storage_class: type,
    given: Mapping[str, Any],
    *,
    with_memo: bool,
) -> None:
    try:
        given = _arguments(where, storage_class, given)
    except ConfigurationError as mistake:
        report.add([mistake], where)
        return
    if not with_memo and given.get("cache") is None:
        # What is wrong with the setting's memo does not hide what is wrong here.
        given = {**given, "cache": False}
    if report.add(mistakes_in(storage_class, given), where):
        return
    options = read_options(storage_class, given)
    backends = build_backends(options, owner=None)
    if not report.add(_mistakes_of_first_use(options, backends), where):
        report.warn(_warnings(where, options, backends), where)


def _warnings(
    where: str, options: Options, backends: Sequence[Backend]
) -> Iterator[CheckMessage]:
    yield from check_overlay(where, options, backends)
    yield from check_backends(backends)
    if options.cache and options.cache.where != CACHE_SETTING:
        yield from check_memo(options.cache)
    if options.cache:
        yield from check_places(options.cache, backends)
        yield from check_sharing(options.cache, backends)


def _arguments(
    where: str, storage_class: type, given: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return what ``FallbackStorage`` itself is given."""
    chain_class = class_of(CHAIN_CLASS)
    if chain_class and storage_class.__init__ is chain_class.__init__:  # type: ignore[misc]
        return given
    # A subclass has OPTIONS of its own; only it can tell what it makes of them.
    storage = build_call(lambda: storage_class(**given), where, given)
    return getattr(storage, "_given", given)


# What only the first request would find: it builds the storages, and so do we


def _mistakes_of_first_use(
    options: Options, backends: Sequence[Backend]
) -> Iterator[ConfigurationError]:
    found = [
        _placed(mistake, backend.where)
        for backend in backends
        for mistake in _mistakes_of_backend(backend)
    ]
    for backend in backends:
        yield from mistakes_in_functions(backend.policy)
    yield from found or _mistakes_in_overlay(options, backends)
    yield from mistakes_in_memo(options.cache)


def _mistakes_in_overlay(
    options: Options, backends: Sequence[Backend]
) -> Iterator[ConfigurationError]:
    home = next((backend for backend in backends if not backend.read_only), None)
    if home is None:
        return
    total, free = options.promote_max_total, options.promote_min_free
    try:
        if options.on_delete == "whiteout":
            refuse_home(home)
        refuse_bounds_of(home, total, free)
    except ConfigurationError as mistake:
        yield mistake


def _mistakes_of_backend(backend: Backend) -> Iterator[ConfigurationError]:
    try:
        within = list(entries_of(backend.storage))
    except ConfigurationError as mistake:
        yield mistake
        return
    for inner in within:
        yield from _mistakes_of_backend(inner)


def _placed(mistake: ConfigurationError, where: str) -> ConfigurationError:
    """Say in which entry of the chain a mistake is, if its own place does not tell."""
    if mistake.where.startswith((where, *SETTINGS)):
        return mistake
    return ConfigurationError(
        mistake.mistake, f"{where}, {mistake.where}", mistake.found, mistake.instead
    )


# What works, and is hardly meant


def _check_spelling() -> Iterator[tuple[str, CheckMessage]]:
    """Yield warnings of what nobody reads, and the place of each."""
    for name in names_of_settings():
        word = name.removeprefix("DJANGO_")
        meant = MEANT.get(word) or nearest(word, SETTING_NAMES, cutoff=0.9)
        if meant is None or name in SETTING_NAMES:
            continue
        yield (
            name,
            CheckWarning(
                f"{name} is no setting of this package: it has no effect.",
                hint=f"Did you mean {meant}?",
                id="fallback_storage.W014",
            ),
        )
    if is_like_a_chain(unread_default()):
        yield (
            "DEFAULT_FILE_STORAGE",
            CheckWarning(
                "DEFAULT_FILE_STORAGE is not read by Django 5.1 and later: it has no "
                "effect.",
                hint=f"Write {CHAIN_CLASS!r} into STORAGES, as the BACKEND of 'default'.",
                id="fallback_storage.W022",
            ),
        )
    for alias, params in aliases().items():
        path = params.get("BACKEND")
        if is_like_a_chain(path) and class_of(path) is None:
            place = f"STORAGES[{alias!r}]"
            yield (
                place,
                CheckWarning(
                    f"{place}['BACKEND'] is {quoted(path)}, which cannot be imported.",
                    hint=f"Write {CHAIN_CLASS!r}, or the path of a subclass of it.",
                    id="fallback_storage.W015",
                ),
            )
