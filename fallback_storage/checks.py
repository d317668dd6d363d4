"""System checks: what is wrong with the configuration, before the first request.

Nothing is contacted. Ids are stable; the README lists them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning

from fallback_storage import config
from fallback_storage.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fallback_storage.backends import Backend
    from fallback_storage.config import Options


def check_chains(**kwargs: Any) -> list[CheckMessage]:
    """Check every FallbackStorage of ``STORAGES``, and ``FALLBACK_STORAGES``."""
    messages: list[CheckMessage] = []
    for where, storage_class, given in config.configured_chains():
        messages.extend(_check_chain(where, storage_class, given))
    return messages


def _check_chain(
    where: str, storage_class: type, given: Mapping[str, Any]
) -> Iterable[CheckMessage]:
    try:
        options = config.read_options(storage_class, given)
        backends = config.build_backends(options, owner=None)
        for backend in backends:
            # Builds the storage, as the first request would; contacts nothing.
            _ = backend.storage
    except ConfigurationError as error:
        yield Error(
            f"{error.where}: {error.found}",
            hint=error.instead,
            obj=where,
            id="fallback_storage.E001",
        )
        return
    writable = [backend for backend in backends if not backend.read_only]
    unsaid = [backend for backend in writable if backend.policy.read_only is None]
    if not writable:
        yield CheckWarning(
            "Every backend is READ_ONLY: saving and deleting will fail.",
            hint="Put a writable backend into the chain if files are to be saved.",
            obj=where,
            id="fallback_storage.W002",
        )
    elif len(writable) > 1 and unsaid:
        names = ", ".join(repr(backend.name) for backend in unsaid)
        yield CheckWarning(
            f"More than one backend is writable, {names} without saying so: a save "
            "that fails in one is tried in the next.",
            hint='Write {"ALIAS": ..., "READ_ONLY": True} for what must not be '
            'written, {"READ_ONLY": False} for what may be.',
            obj=where,
            id="fallback_storage.W001",
        )
    yield from _check_overlay(where, options, backends)


def _check_overlay(
    where: str, options: Options, backends: Sequence[Backend]
) -> Iterable[CheckMessage]:
    writable = [backend for backend in backends if not backend.read_only]
    if options.on_delete == "whiteout" and not writable:
        yield CheckWarning(
            'on_delete is "whiteout", but no backend is writable: there is nowhere to '
            "note what was deleted.",
            hint="Put a writable backend in front of the chain, or leave out on_delete.",
            obj=where,
            id="fallback_storage.W003",
        )
    elif options.on_delete == "whiteout" and len(writable) == len(backends):
        yield CheckWarning(
            'on_delete is "whiteout", but no backend is READ_ONLY: there is nothing to '
            "hide.",
            hint='Write {"ALIAS": ..., "READ_ONLY": True} for what must not be '
            'written, or on_delete="all".',
            obj=where,
            id="fallback_storage.W004",
        )
    if options.promote and (not writable or writable[0] is backends[-1]):
        lacks = "is below the first writable one" if writable else "is writable"
        yield CheckWarning(
            f"promote is True, but no backend {lacks}: nothing will be copied.",
            hint="Put a writable backend in front of those that files are copied from, "
            "or leave out promote.",
            obj=where,
            id="fallback_storage.W005",
        )
