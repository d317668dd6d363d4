"""Which chain an entry of a shared memo belongs to.

Two processes share entries if, and only if, their chains ask the same storages in the
same order. The fingerprint is a digest of the classes, their options and where they
point to; reordering, renaming or re-pointing backends gives another one, so old
entries are never reused. It stands in the keys of the cache, so it is keyed with
``SECRET_KEY``: who reads the cache cannot guess at options from it.

A storage whose content lives in the process (``InMemoryStorage``), or that does not
say how it was made, is a world of its own: its chain shares with no other process.
"""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from django.utils.crypto import salted_hmac

from fallback_storage.chain.places import PLACES, class_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fallback_storage.chain.backend import Backend


def fingerprint(
    backends: Iterable[Backend], *, whiteouts: bool = False, vary: str = ""
) -> str:
    """Return the digest of a chain: 32 hexadecimal digits. Builds its storages.

    ``whiteouts``: whether what its read-only backends hold may be hidden. ``vary``: what
    tells apart the tenants, if there are any.
    """
    parts = [
        (
            backend.name,
            backend.always_probe,
            whiteouts and backend.read_only,
            *_describe_backend(backend),
        )
        for backend in backends
    ]
    parts.append((whiteouts, vary) if vary else (whiteouts,))
    digest = salted_hmac(
        "fallback_storage.fingerprint", repr(parts), algorithm="sha256"
    )
    return digest.hexdigest()[:32]


def is_shareable(backend: Backend) -> bool:
    """Whether another process can have the same backend."""
    # What is only here is described anew each time.
    return bool(_describe_backend(backend) == _describe_backend(backend))


def identity(backend: Backend) -> str | None:
    """Return a digest of the backend's class, origin and place; None: it has no place."""
    described = _describe_backend(backend)
    if not isinstance(described, tuple):
        return None
    # Where it is computed, it is that of now.
    described = *described[:2], _places(backend.storage)
    if not _has_place(described):
        return None
    digest = salted_hmac(
        "fallback_storage.identity", repr(described), algorithm="sha256"
    )
    return digest.hexdigest()


def hold_the_same(one: Backend, other: Backend) -> bool:
    """Whether two backends are certain to have the same files."""
    if one.storage is other.storage:
        return True
    described = _describe_backend(one), _describe_backend(other)
    if not all(isinstance(each, tuple) for each in described):
        return False
    (klass, origin, places), (other_class, other_origin, other_places) = described
    placed = _has_place(described[0]) and places == other_places
    same_made = origin == other_origin or one.profile.place_is_all
    return bool(placed and klass == other_class and same_made)


def _has_place(described: tuple[Any, Any, Any]) -> bool:
    """Whether it is said where the files are; else each may be a world of its own."""
    return any(place for _, place in described[2])


def _describe_backend(backend: Backend) -> Any:
    storage: Any = backend.storage
    inner = getattr(storage, "backends", None)
    if isinstance(inner, tuple) and hasattr(storage, "resolve"):
        return [_describe_backend(each) for each in inner]
    if backend.profile.in_process:
        return [_only_here()]
    origin = _describe(backend.origin) or _constructor_arguments(storage)
    klass = class_path(storage.__class__)
    # What is computed is the place of whoever comes first.
    return klass, origin, [] if backend.profile.place_varies else _places(storage)


def _places(storage: object) -> list[tuple[str, Any]]:
    return [(place, _describe(getattr(storage, place, None))) for place in PLACES]


def _constructor_arguments(storage: Any) -> Any:
    try:
        _, args, kwargs = storage.deconstruct()
    except (AttributeError, ValueError):
        return _only_here()
    return _describe(args), _describe(kwargs)


def _describe(value: Any) -> Any:
    """Return a value whose ``repr`` is the same in every process, if there is one."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if isinstance(value, dict):
        return sorted((str(key), _describe(inner)) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return [_describe(inner) for inner in value]
    if isinstance(value, set | frozenset):
        return sorted(repr(_describe(inner)) for inner in value)
    if hasattr(value, "deconstruct"):
        return _constructor_arguments(value)
    # A path says itself; of other objects (a client's configuration) the class does.
    return f"{type(value).__qualname__} {value if isinstance(value, PurePath) else ''}"


def _only_here() -> str:
    return os.urandom(16).hex()
