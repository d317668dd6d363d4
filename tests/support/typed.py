"""What mypy says of code that uses the package: checked with it, never run.

Each ``type: ignore`` stands where an error is wanted; one that is not needed is an error.
"""

from __future__ import annotations

from django.core.files.storage import FileSystemStorage, default_storage

from fallback_storage.conf.types import CacheOptions, Entry
from fallback_storage.storage import FallbackStorage


class Own(FallbackStorage):
    """A subclass hands on what it is given."""

    def __init__(self) -> None:
        super().__init__(["local", {"ALIAS": "production", "READ_ONLY": True}])


def right() -> None:
    entry: Entry = {"BACKEND": "a.B", "OPTIONS": {"x": 1}, "NAME": "b"}
    storage = FallbackStorage(
        ["local", entry, FileSystemStorage(), FileSystemStorage],
        {"ALIAS": "media", "TTL": 60},
        on_delete="whiteout",
        promote=True,
        promote_max_size=2**20,
        promote_max_total=2**30,
        promote_min_free=None,
    )
    FallbackStorage(("local",), cache=False)
    FallbackStorage(cache="media")
    memo: CacheOptions = {"ALIAS": "media", "NEAR": True, "NEGATIVE_TTL": 0.5}
    FallbackStorage(cache=memo)
    storage.delete(None)
    storage.url(None, expire=60)
    hits: int = storage.stats()["hits"]
    seconds: float = storage.stats()["backends"]["local"]["seconds"]
    if isinstance(default_storage, FallbackStorage):
        default_storage.prefetch(["a.jpg"])
    assert hits + seconds + storage.stats().get("entries", 0) == 0


def wrong() -> None:
    FallbackStorage(["local"], on_delete="whiteouts")  # type: ignore[arg-type]
    FallbackStorage(backend=["local"])  # type: ignore[arg-type]
    FallbackStorage([{"ALIAS": "local", "READONLY": True}])  # type: ignore[list-item]
    FallbackStorage([{"ALIAS": 1}])  # type: ignore[list-item]
    FallbackStorage([7])  # type: ignore[list-item]
    FallbackStorage(cache=7)  # type: ignore[arg-type]
    FallbackStorage(cache=True)  # type: ignore[arg-type]
    FallbackStorage(cache={"TLL": 3})  # type: ignore[arg-type]
    FallbackStorage(cache={"TTL": "3"})  # type: ignore[arg-type]
    FallbackStorage(promote="yes")  # type: ignore[arg-type]
    storage = FallbackStorage()
    storage.stats()["hit"]  # type: ignore[typeddict-item]
    storage.exists(7)  # type: ignore[arg-type]
