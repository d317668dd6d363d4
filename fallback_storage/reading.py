"""The reading half of a storage: every operation that changes nothing.

``name`` is clean everywhere (``names.clean_name``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallback_storage.chain import NOTHING, Walk
from fallback_storage.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fallback_storage.backends import Backend
    from fallback_storage.resolution import Resolution, Resolver


class Reader:
    """Answers for the chain. ``strict``: a backend's failure is never passed over."""

    def __init__(
        self, backends: Sequence[Backend], resolver: Resolver, *, strict: bool
    ) -> None:
        self._backends = tuple(backends)
        self._resolver = resolver
        self._strict = strict

    def exists(self, name: str) -> bool:
        """Whether any backend holds the name; see ``FallbackStorage.exists``."""
        resolution, walk = self._resolver.locate(name)
        if resolution.index is not None:
            walk.log_failures(f"the answer is that of {resolution.backend!r}")
            return True
        self._raise_or_log(walk, "the answer is False, which may be wrong")
        return False

    def resolve(self, name: str) -> Resolution:
        """Return which backend holds the name and how that is known."""
        return self._resolver.locate(name)[0]

    def url(self, name: str, *args: Any, **kwargs: Any) -> str:
        """Return the holder's URL; the last backend answers without being asked."""
        last = len(self._backends) - 1
        walk = Walk("url", name)
        resolution, asked = self._resolver.locate(name, stop=last)
        start = last if resolution.index is None else resolution.index
        for index, backend in enumerate(self._backends[start:], start):
            # Past the holder, a walk goes on only because the holder has no URL.
            if start < index < last and asked.probe(backend) is not Outcome.HELD:
                continue
            if (args or kwargs) and not backend.takes("url", name, *args, **kwargs):
                # FileSystemStorage.url() knows no parameters or expiry; the view was
                # written for the object store further down the chain.
                answer = walk.ask(backend, "url", name)
            else:
                answer = walk.ask(backend, "url", name, *args, **kwargs)
            if answer is not NOTHING:
                asked.log_failures(f"the URL is that of {backend.name!r}")
                walk.log_failures(f"the URL is that of {backend.name!r}")
                return answer  # type: ignore[no-any-return]
        raise walk.error()

    def fetch(self, operation: str, name: str) -> Any:
        """Return what the holder answers to ``size`` or a ``get_*_time``."""
        return self._resolver.fetch(operation, operation, name)

    def open(self, name: str, mode: str) -> Any:
        """Open a file for reading, without asking first whether it exists."""
        return self._resolver.fetch("open", "_open", name, mode)

    def path(self, name: str) -> str:
        """Return the local path of the holder's file; see ``FallbackStorage.path``."""
        walk = Walk("path", name)
        candidates = self._backends
        if name:
            resolution, asked = self._resolver.locate(name)
            if resolution.index is not None:
                candidates = (self._backends[resolution.index],)
            elif asked.failed and self._strict:
                raise asked.error()
            else:
                asked.log_failures("the path is that of a file to come")
        for backend in candidates:
            answer = walk.ask(backend, "path", name)
            if answer is not NOTHING:
                return answer  # type: ignore[no-any-return]
        raise walk.error()

    def listdir(self, name: str) -> tuple[list[str], list[str]]:
        """Return the union of the backends' listings: directories, files."""
        walk = Walk("listdir", name)
        directories: dict[str, None] = {}
        files: dict[str, None] = {}
        for backend in self._backends:
            answer = walk.ask(backend, "listdir", name)
            if answer is not NOTHING:
                directories.update(dict.fromkeys(answer[0]))
                files.update(dict.fromkeys(answer[1]))
        if not any(attempt.outcome is Outcome.HELD for attempt in walk.trail):
            raise walk.error()
        self._raise_or_log(walk, "its names are missing from the listing")
        return list(directories), list(files)

    def attribute(self, attribute: str) -> Any:
        """Return an attribute of the first backend that has it.

        For what Django and others read from storages over a local directory:
        ``location``, ``base_location``, ``base_url``.
        """
        for backend in self._backends:
            try:
                return getattr(backend.storage, attribute)
            except AttributeError:
                continue
        raise AttributeError(f"No backend has the attribute {attribute!r}.")

    def _raise_or_log(self, walk: Walk, consequence: str) -> None:
        if walk.unsupported or (walk.failed and self._strict):
            raise walk.error()
        walk.log_failures(consequence)
