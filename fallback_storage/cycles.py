"""Chains that contain themselves, found before anything is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallback_storage.aliases import aliases, class_of
from fallback_storage.exceptions import ConfigurationError, Mistake

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fallback_storage.specs import BackendSpec

BACKENDS_SETTING = "FALLBACK_STORAGES"
CHAIN_CLASS = "fallback_storage.storage.FallbackStorage"


def refuse_cycles(specs: Sequence[BackendSpec], setting: object) -> None:
    """Raise ``ConfigurationError`` if an entry leads back to itself.

    ``setting`` is the value of ``FALLBACK_STORAGES``, the chain of whoever names none.
    """
    for spec in specs:
        trail = _find_cycle((spec.alias, spec.path, spec.options), setting, ())
        if trail:
            raise ConfigurationError(
                Mistake.CYCLE,
                spec.where,
                f"leads back to itself: {' -> '.join(trail)}.",
                "A chain must end in storages of another kind.",
            )


def _find_cycle(
    named: tuple[str | None, str | None, Mapping[str, Any]],
    setting: object,
    trail: tuple[str, ...],
) -> tuple[str, ...]:
    """Follow what an entry names; return the way back to itself, or nothing.

    The stations are aliases and the setting ``FALLBACK_STORAGES``.
    """
    alias, path, options = named
    if alias is not None:
        if alias in trail:
            return (*trail, alias)
        trail = (*trail, alias)
        params = aliases().get(alias, {})
        path, options = params.get("BACKEND"), params.get("OPTIONS", {})
    if not is_chain(path):
        return ()
    entries = options.get("backends")
    if entries is None:
        if BACKENDS_SETTING in trail:
            return (*trail, BACKENDS_SETTING)
        trail = (*trail, BACKENDS_SETTING)
        entries = setting
    for entry in entries if isinstance(entries, list | tuple) else ():
        found = _find_cycle(_named_by(entry), setting, trail)
        if found:
            return found
    return ()


def _named_by(entry: object) -> tuple[str | None, str | None, Mapping[str, Any]]:
    """Return alias, class path and options of an entry that may not be valid."""
    if isinstance(entry, str):
        return (entry, None, {}) if entry in aliases() else (None, entry, {})
    if isinstance(entry, dict):
        alias, path = entry.get("ALIAS"), entry.get("BACKEND")
        options = entry.get("OPTIONS")
        return (
            alias if isinstance(alias, str) else None,
            path if isinstance(path, str) else None,
            options if isinstance(options, dict) else {},
        )
    return None, None, {}


def is_chain(path: str | None) -> bool:
    """Whether a class path names FallbackStorage or a subclass."""
    klass = class_of(path)
    return klass is not None and issubclass(klass, class_of(CHAIN_CLASS) or ())
