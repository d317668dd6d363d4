"""Small real storages for tests: they keep files, count calls and fail on demand."""

from __future__ import annotations

import posixpath
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages
from django.utils.deconstruct import deconstructible

if TYPE_CHECKING:
    from collections.abc import Callable

SOME_TIME = datetime(2020, 5, 17, 12, 0, tzinfo=UTC)


class _Writer(ContentFile):
    """A file opened for writing, which arrives at close, as on an object store."""

    def __init__(self, storage: RecordingStorage, name: str, start: bytes) -> None:
        super().__init__(start, name)
        self._storage = storage
        self.file.seek(0, 2)

    def close(self) -> None:
        self._storage.act("close", self.name)
        self._storage.files[self.name] = self.file.getvalue()


@deconstructible
class RecordingStorage(Storage):
    """A flat dictionary of files, like an object store.

    ``calls`` lists (method, name) in order; ``count("exists")`` counts. ``fail`` makes
    a method raise until ``heal``; ``before`` runs a function inside a call, ahead of
    its work (a barrier, an event); ``unsupported`` names methods that raise
    ``NotImplementedError``.
    """

    def __init__(
        self, label: str = "recording", files: Any = None, unsupported: Any = ()
    ) -> None:
        self.label = label
        self.files: dict[str, bytes] = dict(files or {})
        self.calls: list[tuple[str, str]] = []
        self.unsupported = set(unsupported)
        self._failures: dict[str, BaseException] = {}
        self._before: dict[str, Callable[[str], object]] = {}

    # For tests

    def count(self, method: str | None = None, name: str | None = None) -> int:
        return sum(
            (method is None or call[0] == method) and (name is None or call[1] == name)
            for call in self.calls
        )

    def counts(self) -> Counter[str]:
        return Counter(method for method, _ in self.calls)

    def reset(self) -> None:
        self.calls.clear()

    def fail(self, method: str, error: BaseException | None = None) -> None:
        self._failures[method] = error or ConnectionError(f"{self.label} is down")

    def heal(self, *methods: str) -> None:
        for method in methods or tuple(self._failures):
            self._failures.pop(method, None)

    def before(self, method: str, function: Callable[[str], object]) -> None:
        self._before[method] = function

    def act(self, method: str, name: str) -> None:
        self.calls.append((method, name))
        if method in self.unsupported:
            raise NotImplementedError(method)
        if method in self._before:
            self._before[method](name)
        if method in self._failures:
            raise self._failures[method]

    def _get(self, name: str) -> bytes:
        try:
            return self.files[name]
        except KeyError:
            raise FileNotFoundError(f"{self.label} has no {name}") from None

    # Django's interface

    def _open(self, name: str, mode: str = "rb") -> Any:
        self.act("_open", name)
        if "r" in mode and "+" not in mode:
            return ContentFile(self._get(name), name)
        start = self._get(name) if "r" in mode else b""
        if "a" in mode:
            start = self.files.get(name, b"")
        return _Writer(self, name, start)

    def _save(self, name: str, content: Any) -> str:
        self.act("_save", name)
        data = b"".join(
            chunk.encode() if isinstance(chunk, str) else chunk
            for chunk in content.chunks()
        )
        self.files[name] = data
        return name

    def delete(self, name: str) -> None:
        self.act("delete", name)
        self.files.pop(name, None)

    def exists(self, name: str) -> bool:
        self.act("exists", name)
        return name in self.files

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        self.act("listdir", path)
        directories: dict[str, None] = {}
        files = []
        prefix = posixpath.join(path, "") if path else ""
        for name in self.files:
            if name.startswith(prefix):
                head, slash, _ = name.removeprefix(prefix).partition("/")
                if slash:
                    directories[head] = None
                else:
                    files.append(head)
        return list(directories), files

    def size(self, name: str) -> int:
        self.act("size", name)
        return len(self._get(name))

    def url(self, name: str) -> str:
        self.act("url", name)
        return f"https://{self.label}.example/{name}"

    def path(self, name: str) -> str:
        self.act("path", name)
        raise NotImplementedError("This storage has no paths.")

    def _time(self, method: str, name: str) -> datetime:
        self.act(method, name)
        self._get(name)
        return SOME_TIME

    def get_accessed_time(self, name: str) -> datetime:
        return self._time("get_accessed_time", name)

    def get_created_time(self, name: str) -> datetime:
        return self._time("get_created_time", name)

    def get_modified_time(self, name: str) -> datetime:
        return self._time("get_modified_time", name)


class Bucket(RecordingStorage):
    """One that implements no ``path``, as object stores do not."""

    path = Storage.path


def read_only(settings, files=None, alias="production"):
    """An entry for a read-only RecordingStorage, and the storage itself."""
    settings.STORAGES = {
        **settings.STORAGES,
        alias: {
            "BACKEND": "fakes.RecordingStorage",
            "OPTIONS": {"label": alias, "files": files},
        },
    }
    return {"ALIAS": alias, "READ_ONLY": True}, storages[alias]


def read(storage, name):
    with storage.open(name) as file:
        return file.read()


FAKE = "fakes.RecordingStorage"


def fake(label, **options):
    """An entry for a RecordingStorage that is built by its path."""
    return {"BACKEND": FAKE, "OPTIONS": {"label": label, **options}}


def labels(chain):
    """The labels of a chain's RecordingStorages."""
    return [backend.storage.label for backend in chain.backends]
