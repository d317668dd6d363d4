"""The writing half of a storage. Read-only backends never get here.

A writer changes a backend first and invalidates second, also when the change failed:
what a failed write left behind is not known either.
"""

from __future__ import annotations

import errno
import logging
import os
import pathlib
import posixpath
from typing import TYPE_CHECKING, Any

from django.core.exceptions import SuspiciousFileOperation
from django.core.files import locks
from django.core.files.storage import Storage

from fallback_storage.cache import memo
from fallback_storage.chain import NOTHING, Walk
from fallback_storage.content import AnyFile, Guarded, is_cut_short, rewindable
from fallback_storage.exceptions import NoAvailableNameError, ReadOnlyBackendError
from fallback_storage.names import affected
from fallback_storage.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fallback_storage.backends import Backend
    from fallback_storage.resolution import Resolver

logger = logging.getLogger("fallback_storage")

# Tries for a free name. Django's own loop has no bound.
NAME_TRIES = 100


class Writer:
    """Saves, deletes and opens for writing, in the writable backends of a chain.

    ``delete_all``: delete from every writable backend, not from the first that can.
    ``strict``: a backend that fails to say whether a name is free is an error.
    """

    def __init__(
        self,
        backends: Sequence[Backend],
        resolver: Resolver,
        *,
        delete_all: bool,
        strict: bool,
    ) -> None:
        self._backends = tuple(backends)
        self._writable = tuple(b for b in backends if not b.read_only)
        self._resolver = resolver
        self._delete_all = delete_all
        self._strict = strict

    # Names

    def namer(self, method: str) -> Any:
        """Return ``method`` of the first writable backend that has it.

        Of Django's own ``Storage`` where no backend is writable.
        """
        for backend in self._writable:
            function = getattr(backend.storage, method, None)
            if function is not None:
                return function
        return getattr(Storage(), method)

    def is_free(self, name: str) -> bool | None:
        """Whether no backend holds the name, asked live; None if that is not known.

        The memo is not asked: two uploads must not agree on a name.
        """
        walk = Walk("exists", name)
        for backend in self._backends:
            if walk.probe(backend) is Outcome.HELD:
                return False
        if walk.unsupported or (walk.failed and self._strict):
            raise walk.error()
        walk.log_failures("the name may be taken there")
        return None if walk.failed else True

    def available_name(self, name: str, max_length: int | None) -> str:
        """Return ``name``, or an alternative of it, that is free in all backends.

        Where a backend fails to answer, an alternative is taken: it is random, so it
        hides no file of the backend that could not be asked.

        Raises ``SuspiciousFileOperation`` if ``max_length`` characters leave no room,
        and ``NoAvailableNameError`` after ``NAME_TRIES`` tries.
        """
        if self._writable and self._writable[0].implements("get_available_name"):
            # A storage that makes names of its own (a UUID, a hash) is asked first.
            name = self._writable[0].storage.get_available_name(
                name, max_length=max_length
            )
        directory, filename = posixpath.split(name)
        extension = "".join(pathlib.PurePath(filename).suffixes)
        root = filename.removesuffix(extension)
        for attempt in range(NAME_TRIES):
            if attempt:
                name = self._alternative(directory, root, extension, name)
            excess = len(name) - max_length if max_length else 0
            if excess > 0:
                root = root[:-excess]
                if not root:
                    message = (
                        f"Storage can not find an available filename for {name!r}. "
                        "Please make sure that the corresponding file field allows "
                        'sufficient "max_length".'
                    )
                    raise SuspiciousFileOperation(message)
                continue
            free = self.is_free(name)
            if free or (free is None and attempt):
                return name
        raise NoAvailableNameError(name, NAME_TRIES)

    def _alternative(
        self, directory: str, root: str, extension: str, tried: str
    ) -> str:
        alternative = self.namer("get_alternative_name")(root, extension)
        name = posixpath.join(directory, alternative)
        if name == tried:
            # A storage that may overwrite offers the taken name again; names are
            # unique across backends all the same, so Django's own rule decides.
            alternative = Storage().get_alternative_name(root, extension)
            name = posixpath.join(directory, alternative)
        return name

    # Save

    def save(self, name: str, content: Any) -> str:
        """Save to the first writable backend that succeeds; return the name it gave.

        Raises ``ReadOnlyBackendError`` if no backend is writable, else what
        ``Walk.error`` says if all failed.
        """
        walk = Walk("save", name)
        backends = self._require_writable("save", name)
        written = {name}
        try:
            with rewindable(content) as source:
                for attempt, backend in enumerate(backends):
                    source.seek(0)
                    guarded = source
                    if len(backends) > 1:
                        guarded = Guarded(source, movable=attempt == 0)
                    saved = walk.ask(backend, "_save", name, guarded)
                    if saved is not NOTHING:
                        written.add(saved)
                        walk.log_failures(f"saved to {backend.name!r}")
                        return saved  # type: ignore[no-any-return]
                    if walk.last is Outcome.FAILED:
                        _remove_partial(backend, name, source)
        finally:
            memo.invalidate(affected(*written))
        raise walk.error()

    # Delete

    def delete(self, name: str) -> None:
        """Delete from the first writable backend that can, or from all of them."""
        walk = Walk("delete", name)
        backends = self._require_writable("delete", name)
        try:
            for backend in backends:
                done = walk.ask(backend, "delete", name) is not NOTHING
                if done and not self._delete_all:
                    walk.log_failures(f"deleted from {backend.name!r}")
                    return
        finally:
            if any(backend.deletes_trees for backend in backends):
                memo.invalidate_all()
            else:
                memo.invalidate(affected(name))
        done = any(attempt.outcome is Outcome.HELD for attempt in walk.trail)
        if walk.failed or not done:
            raise walk.error()

    # Open for writing

    def open(self, name: str, mode: str) -> AnyFile:
        """Open a file for writing; what is known of it is forgotten now and at close.

        Some storages write at ``close`` (S3), some at once.
        """
        walk = Walk("open", name)
        backends = self._require_writable("open", name)
        if "x" in mode and self.is_free(name) is False:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        if "a" in mode or "r" in mode:
            backends = self._holders_first(name, mode, backends)
        try:
            for backend in backends:
                opened = walk.ask(backend, "_open", name, mode)
                if opened is not NOTHING:
                    walk.log_failures(f"opened in {backend.name!r}")
                    return WrittenFile(opened, name)
        finally:
            memo.invalidate(affected(name))
        raise walk.error()

    def _holders_first(
        self, name: str, mode: str, backends: Sequence[Backend]
    ) -> Sequence[Backend]:
        """Return where a file whose content is kept may be opened.

        Raises ``ReadOnlyBackendError`` if a read-only backend holds it: opening a
        new file elsewhere would lose the content.
        """
        walk = Walk("open", name)
        for backend in self._backends:
            if walk.probe(backend) is Outcome.HELD:
                if backend.read_only:
                    raise ReadOnlyBackendError(
                        f"open(mode={mode!r})", name, [backend.name]
                    )
                return [backend]
        if walk.failed:
            raise walk.error()
        return backends

    def _require_writable(self, operation: str, name: str) -> Sequence[Backend]:
        if not self._writable:
            names = [backend.name for backend in self._backends]
            raise ReadOnlyBackendError(operation, name, names)
        return self._writable


class WrittenFile(AnyFile):
    """A file opened for writing: the memo forgets its name again when it is closed."""

    def __init__(self, file: Any, name: str) -> None:
        super().__init__(file, getattr(file, "name", None))
        self._opened = file
        self._affected = affected(name)

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_"):
            raise AttributeError(attribute)
        return getattr(self._opened, attribute)

    def open(self, mode: str | None = None, *args: Any, **kwargs: Any) -> WrittenFile:
        """Open the file again, as the backend's file object does."""
        self._opened.open(mode, *args, **kwargs)
        return self

    def close(self) -> None:
        """Close the file and forget what was known of its name."""
        try:
            self._opened.close()
        finally:
            memo.invalidate(self._affected)


def _remove_partial(backend: Backend, name: str, content: Any) -> None:
    """Remove what a failed save left of ``content``, and nothing else.

    Another process may have saved a file under this name in the meantime. So only a
    file that is a true beginning of ``content`` goes, and only if nobody is writing
    it: FileSystemStorage locks a file while it writes it.
    """
    storage = backend.storage
    try:
        if not storage.exists(name):
            return
        with storage.open(name) as partial:
            ours = _is_idle(partial) and is_cut_short(partial, content)
        if ours:
            storage.delete(name)
    except Exception as error:  # noqa: BLE001 - the save's own failure is what counts
        logger.warning(
            "save(%r): what the failed save left in %r could not be removed: %s",
            name,
            backend.name,
            type(error).__name__,
        )


def _is_idle(file: Any) -> bool:
    """Whether no other open file object of this file is locked, if that can be told."""
    try:
        descriptor = file.fileno()
    except (AttributeError, OSError, ValueError):
        return True
    try:
        return bool(locks.lock(descriptor, locks.LOCK_EX | locks.LOCK_NB))
    except OSError as error:
        return error.errno not in {errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK}
