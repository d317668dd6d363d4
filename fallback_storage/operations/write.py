"""The writing half of a storage. Read-only backends never get here.

A writer changes a backend first and invalidates second (``invalidation.announced``).
"""

from __future__ import annotations

import errno
import os
from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from django.core.files.storage import FileSystemStorage

from fallback_storage.cache.invalidation import announced
from fallback_storage.chain import paths
from fallback_storage.chain.names import affected
from fallback_storage.chain.outcomes import HELD, Outcome
from fallback_storage.chain.walk import NOTHING, Walk
from fallback_storage.exceptions import ReadOnlyBackendError
from fallback_storage.operations import staging
from fallback_storage.operations.buffered import BufferedFile
from fallback_storage.operations.directories import in_directory
from fallback_storage.operations.files import (
    FAILED_CONTENT,
    AnyFile,
    Guarded,
    WrittenFile,
    rewindable,
)
from fallback_storage.operations.naming import learning
from fallback_storage.operations.partial import Claim
from fallback_storage.utils.locks import changing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from fallback_storage.chain.backend import Backend
    from fallback_storage.operations.copies import Copies
    from fallback_storage.operations.naming import Namer
    from fallback_storage.operations.overlay import Overlay


class Writer:
    """Saves, deletes and opens for writing, in the writable backends of a chain.

    ``delete_all``: delete from every writable backend, not from the first that can.
    """

    def __init__(
        self,
        backends: Sequence[Backend],
        overlay: Overlay,
        copies: Copies,
        namer: Namer,
        *,
        delete_all: bool,
    ) -> None:
        self._backends = tuple(backends)
        self._writable = tuple(b for b in backends if not b.read_only)
        self._overlay = overlay
        self._copies = copies
        self._namer = namer
        self._delete_all = delete_all

    # Save

    def save(self, name: str, content: Any, another_name: Callable[[str], str]) -> str:
        """Save to the first writable backend that succeeds; return the name it gave.

        Those that could not be asked for the name come last, and get a random one.
        ``another_name`` returns a free one if somebody takes this one meanwhile, or where
        a failed attempt may have left something under it that cannot be removed: the next
        backend's file would not be read there.

        Raises ``ReadOnlyBackendError`` if no backend is writable; at once, and as it is,
        what the content raises when it is read; else what ``Walk.error`` says if all
        failed.
        """
        self.require_writable("save", name)
        written = {name}

        def noted(taken: str) -> str:
            written.add(another := another_name(taken))
            return another

        save = partial(self._save, name, content, noted, written)
        return announced(save, lambda: affected(*written))

    def _save(
        self,
        name: str,
        content: Any,
        another_name: Callable[[str], str],
        written: set[str],
    ) -> str:
        walk = Walk("save", name, writes=True)
        movable = True
        in_bytes = any(backend.profile.wants_bytes for backend in self._writable)
        known, scope = learning()
        with scope, rewindable(content, in_bytes=in_bytes) as source:
            for backend in sorted(self._writable, key=known.cannot_write):
                known.targets[self._namer] = backend
                above = self._backends[: self._backends.index(backend)]
                if known.may_have(name, [*above, backend]):
                    name = another_name(name)
                source.seek(0)
                claim = Claim(backend, name)
                guarded = Guarded(source, movable=movable, begin=claim.begin)
                try:
                    saved = walk.call(
                        backend, _save, backend.storage, name, guarded, another_name
                    )
                except BaseException:  # also a worker's time-out
                    claim.remove_partial(source)
                    raise
                if saved is FAILED_CONTENT and guarded.failure is not None:
                    claim.remove_partial(source)
                    raise guarded.failure
                if saved is not NOTHING:
                    written.add(saved)
                    # It was free: what is above is hidden already.
                    self._overlay.show(saved, backend, strict=False)
                    walk.log_failures(f"saved to {backend.name!r}")
                    return saved  # type: ignore[no-any-return]
                tried = claim.begun or walk.last is Outcome.FAILED
                if tried and not claim.remove_partial(source):
                    name = another_name(name)
                # What stages a file leaves the upload where it was, if it fails.
                staged = staging.can_stage(backend.storage)
                movable = movable and (staged or not claim.begun)
        raise walk.error()

    # Delete

    def delete(self, name: str) -> None:
        """Delete from the first writable backend that can, or from all of them."""
        walk = Walk("delete", name)
        backends = self.require_writable("delete", name)

        def changed() -> Collection[str] | None:
            for backend in backends:
                if backend.deletes_trees:
                    return None
            return affected(name)

        hidden = announced(lambda: self._delete(walk, backends), changed)
        if not self._delete_all and walk.trail[-1].outcome is HELD:
            if walk.failed:
                walk.log_failures(f"deleted from {walk.trail[-1].backend!r}")
            return
        done = any(attempt.outcome is HELD for attempt in walk.trail)
        if self._delete_all:
            walk.trail.insert(0, walk.trail.pop())  # the order of the chain
        if walk.failed or not (done or hidden):
            raise walk.error()

    def _delete(self, walk: Walk, backends: Sequence[Backend]) -> bool:
        """Return whether a whiteout hides the name."""
        hidden = self._overlay.must_hide(walk.name)
        if self._delete_all:
            # The home last: a copy that was made of another's file meanwhile goes, too.
            backends = (*backends[1:], backends[0])
        # (The home alone is held by what holds the name.)
        is_home = backends == (self._overlay.home,)
        delete = partial(self._delete_from, walk=walk, hidden=hidden)
        with nullcontext() if is_home else changing(walk.name):
            if self._delete_all:
                list(map(delete, backends))
            else:
                any(map(delete, backends))
        return hidden

    def _delete_from(self, backend: Backend, walk: Walk, *, hidden: bool) -> bool:
        name, whiteouts = walk.name, self._overlay.whiteouts
        # In the home others wait for this, and for no network.
        is_home = backend is self._overlay.home
        with self._overlay.exclusive(name) if is_home else nullcontext():
            if hidden and whiteouts is not None:
                # Before it is deleted, for what a crash leaves has to be still there;
                # and each time: what was saved meanwhile has removed the whiteout.
                whiteouts.add(name)
                if backend.is_taken(name):
                    # No file: the whiteout is what was asked for. An empty directory,
                    # or a link that leads nowhere, goes all the same.
                    if not backend.deletes_trees:
                        with suppress(Exception):
                            backend.storage.delete(name)
                    walk.note(backend, Outcome.TAKEN)
                    return False
            if isinstance(backend.storage, FileSystemStorage):
                done = walk.call(backend, paths.delete, backend.storage, name)
            else:
                done = walk.ask(backend, "delete", name)
            return done is not NOTHING

    # Open for writing

    def open(self, name: str, mode: str) -> AnyFile:
        """Open a file for writing; what is known of it is forgotten now and at close.

        Some storages write at ``close`` (S3), some at once.
        """
        backends = self.require_writable("open", name)
        if "x" in mode and self._namer.is_free(name) is False:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        if "a" in mode or "r" in mode:
            backends = self._holders(name, backends)
        act = partial(self._open, name, mode, backends)
        return announced(act, lambda: affected(name))

    def _open(self, name: str, mode: str, backends: Sequence[Backend]) -> AnyFile:
        # "r+" of a file that nobody holds is no failure of a backend.
        walk = Walk("open", name, writes="r" not in mode)
        for backend in backends:
            opened = walk.call(backend, _open, backend, name, mode)
            if opened is not NOTHING:
                walk.log_failures(f"opened in {backend.name!r}")
                show = partial(self._overlay.show, name, backend)
                return WrittenFile(opened, name, show)
            error = walk.trail[-1].exception
            if "x" in mode and isinstance(error, FileExistsError):
                raise error  # somebody else has it
        raise walk.error()

    def _holders(self, name: str, backends: Sequence[Backend]) -> Sequence[Backend]:
        """Return where a file whose content is kept is opened.

        A file that a read-only backend holds is copied up first: opening a new one
        elsewhere would lose the content.
        """
        walk = self._namer.find(name)
        if walk.last is Outcome.HELD:
            index = len(walk.trail) - 1
            holder = self._backends[index]
            if not holder.read_only:
                return [holder]
            self._copies.copy_up(name, index)
            return [self._overlay.home]
        if walk.failed:
            raise walk.error()
        return backends

    def require_writable(self, operation: str, name: str) -> Sequence[Backend]:
        """Return the writable backends. Raises ``ReadOnlyBackendError`` for none."""
        if not self._writable:
            names = [backend.name for backend in self._backends]
            raise ReadOnlyBackendError(operation, name, names)
        return self._writable


def _save(
    storage: Any, name: str, content: Guarded, another_name: Callable[[str], str]
) -> Any:
    """Return the name that a file was saved under, or ``FAILED_CONTENT``."""
    if staging.can_stage(storage):
        # No reader, and no restart, finds half a file.
        return content.save_by(partial(staging.save_whole, storage, another_name), name)
    return content.save_by(_implemented(storage, "_save"), name)


def _open(backend: Backend, name: str, mode: str) -> AnyFile:
    """Open a file, in a local directory that is made if it is missing, as by a save."""
    if backend.profile.loses_writes:
        return BufferedFile(backend, name, mode)
    storage: Any = backend.storage
    action = partial(_implemented(storage, "_open"), name, mode)
    if "r" in mode or not isinstance(storage, FileSystemStorage):
        return action()  # type: ignore[no-any-return]
    return in_directory(storage, name, action)


def _implemented(storage: Any, method: str) -> Callable[..., Any]:
    function = getattr(storage, method, None)
    if function is None:
        raise NotImplementedError(method)
    return function  # type: ignore[no-any-return]
