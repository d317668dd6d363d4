"""The reading half of a storage: every operation that changes nothing.

``name`` is clean everywhere (``names.clean_name``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallback_storage.chain.outcomes import Outcome
from fallback_storage.chain.walk import NOTHING, Walk
from fallback_storage.operations.files import AnyFile, ReadFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.outcomes import Resolution
    from fallback_storage.chain.resolver import Resolver
    from fallback_storage.operations.overlay import Overlay


class Reader:
    """Answers for the chain. ``strict``: a backend's failure is never passed over.

    ``write`` opens a file for writing (``Writer.open``).
    """

    def __init__(
        self,
        backends: Sequence[Backend],
        resolver: Resolver,
        overlay: Overlay,
        write: Callable[[str, str], AnyFile],
        *,
        strict: bool,
    ) -> None:
        self._backends = tuple(backends)
        self._resolver = resolver
        self._overlay = overlay
        self._write = write
        self._strict = strict

    def exists(self, name: str) -> bool:
        """Whether any backend holds the name; see ``FallbackStorage.exists``."""
        walk = self._resolver.locate(name)
        if walk.holder is not None:
            walk.log_failures(f"the answer is that of {walk.trail[-1].backend!r}")
            return True
        self._raise_or_log(walk, "the answer is False, which may be wrong")
        return False

    def resolve(self, name: str) -> Resolution:
        """Return which backend holds the name and how that is known."""
        return self._resolver.resolve(name)

    def url(self, name: str, *args: Any, **kwargs: Any) -> str:
        """Return the holder's URL; the last backend answers without being asked."""
        last = len(self._backends) - 1
        asked = self._resolver.locate(name, last, "url")
        holder = asked.holder
        if holder is None:
            # A hidden file has the 404 of where it was deleted, not the picture.
            hidden = len(asked.trail) > last and asked.last is Outcome.HIDDEN
            holder = self._overlay.home_index if hidden else last
        if asked.certain and not args and not kwargs:
            # All that happens in a page of pictures, when it is first shown.
            try:
                return self._backends[holder].storage.url(name)
            except Exception as error:  # noqa: BLE001 - the next may have a URL
                return self._url_past(name, asked, holder, error)
        return self._url_from(Walk("url", name), asked, holder, args, kwargs)

    def url_past(self, name: str, holder: int, error: Exception) -> str:
        """Return the URL of a file whose known holder just raised ``error``."""
        asked = self._resolver.locate(name, len(self._backends) - 1, "url")
        return self._url_past(name, asked, holder, error)

    def _url_past(self, name: str, asked: Walk, holder: int, error: Exception) -> str:
        walk = Walk("url", name)
        backend = self._backends[holder]
        if hasattr(backend.storage, "url"):
            walk.judge(backend, error, 0.0)
        else:
            walk.note(backend, Outcome.UNSUPPORTED)
        return self._url_from(walk, asked, holder, (), {})

    def _url_from(
        self, walk: Walk, asked: Walk, holder: int, args: Any, kwargs: Any
    ) -> str:
        """Ask the holder, if ``walk`` has not; go on only because it has no URL."""
        name, begun = walk.name, bool(walk.trail)
        start = holder + 1 if begun else holder
        last = holder if asked.holder is None else len(self._backends) - 1
        for index, backend in enumerate(self._backends[start : last + 1], start):
            if begun and index < last and asked.probe(backend) is not Outcome.HELD:
                continue
            begun = True
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
        walk.take_failures(asked)
        raise walk.error()

    def fetch(self, operation: str, name: str) -> Any:
        """Return what the holder answers to ``size`` or a ``get_*_time``."""
        return self._resolver.fetch(operation, operation, name)[0]

    def open(self, name: str, mode: str) -> Any:
        """Open a file for reading, without asking first whether it exists."""
        opened, index = self._resolver.fetch("open", "_open", name, mode)
        if self._overlay.promotes(name, index):
            opened, index = self._overlay.promote(name, index, opened, mode)
        if self._backends[index].read_only:
            return ReadFile(opened, name, self._write)
        return opened

    def path(self, name: str) -> str:
        """Return the local path of the holder's file; see ``FallbackStorage.path``."""
        walk, asked = Walk("path", name), Walk("exists", name)
        candidates: Iterable[Backend] = self._backends
        if name:
            asked = self._resolver.locate(name, operation="path")
            if asked.holder is not None:
                candidates = self._with_path(name, asked.holder)
            elif asked.failed and self._strict:
                raise asked.error()
            elif asked.hidden:
                # Not where a deleted file still lies.
                candidates = [
                    backend
                    for backend, attempt in zip(
                        self._backends, asked.trail, strict=True
                    )
                    if attempt.outcome is not Outcome.HIDDEN
                ]
        for backend in candidates:
            answer = walk.ask(backend, "path", name)
            if answer is not NOTHING:
                asked.log_failures(f"the path is that of {backend.name!r}")
                walk.log_failures(f"the path is that of {backend.name!r}")
                return answer  # type: ignore[no-any-return]
        if not walk.unsupported:
            walk.take_failures(asked)
        raise walk.error()

    def listdir(self, name: str) -> tuple[list[str], list[str]]:
        """Return the union of the backends' listings: directories, files."""
        walk = Walk("listdir", name)
        directories: dict[str, None] = {}
        files: dict[str, None] = {}
        for index, backend in enumerate(self._backends):
            answer = walk.call(backend, backend.listdir, name)
            if answer is not NOTHING:
                answer = self._overlay.shown(name, index, *answer)
                directories.update(dict.fromkeys(answer[0]))
                files.update(dict.fromkeys(answer[1]))
        if not any(attempt.outcome is Outcome.HELD for attempt in walk.trail):
            raise walk.error()
        self._raise_or_log(walk, "its names are missing from the listing")
        return list(directories), list(files)

    def _with_path(self, name: str, index: int) -> Iterator[Backend]:
        """Yield the holder; then the home, if the file can be copied there."""
        yield self._backends[index]
        overlay = self._overlay
        local = overlay.promotes(name, index) and overlay.home.implements("path")
        if local and overlay.bring_home(name, index):
            yield overlay.home

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
