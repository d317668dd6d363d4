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
    from collections.abc import Iterable, Mapping


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
