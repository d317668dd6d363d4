"""Copying to the home what only the backends below it hold.

Nothing is overwritten, nothing is deleted, and a copy is checked before it can be seen.
A run that was ended leaves whole files; the next one goes on from there. One that was
killed may leave a part of a file, in homes that are written to in place (see ``copy``):
the next one says so, and replaces it if it is to ``repair``.
"""

from __future__ import annotations

import errno
import threading
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage

from fallback_storage.chain.ask_many import IN_A_ROW
from fallback_storage.chain.backend import BackendError
from fallback_storage.chain.exists_many import probe_many
from fallback_storage.chain.flat_listing import Listed, lists_flat
from fallback_storage.chain.listing import is_listed, pages
from fallback_storage.chain.look import obstacle
from fallback_storage.chain.names import clean_name
from fallback_storage.chain.outcomes import Outcome, classify
from fallback_storage.chain.reachability import is_unreachable
from fallback_storage.chain.within import originals
from fallback_storage.exceptions import OperationNotSupportedError, PartialCopyError
from fallback_storage.jobs.compare import differ, shown, sized, tells_sizes_at_once
from fallback_storage.jobs.copy import Copier
from fallback_storage.jobs.limits import Limits
from fallback_storage.jobs.original import ReplacedError
from fallback_storage.jobs.steps import Result, Step, failed
from fallback_storage.utils.spread import CLOCKS, spread

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from datetime import datetime, timedelta

    from fallback_storage.chain.backend import Backend
    from fallback_storage.jobs.compare import Content
    from fallback_storage.storage import FallbackStorage

# What no further file will fare better with.
HOPELESS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


def sync(
    storage: FallbackStorage,
    directory: str = "",
    *,
    dry_run: bool = False,
    jobs: int = 4,
    verify: bool = False,
    repair: bool = False,
    max_size: int | None = None,
    newer: datetime | timedelta | None = None,
) -> Generator[Step, None, None]:
    """Copy every file below a directory to the first writable backend, if it lacks it.

    Under exactly its name, whole or not at all, from the first backend below that holds
    it; what a whiteout hides is not copied. Sizes are checked, and MD5s where a listing
    shows them. ``dry_run``: nothing is written, the steps say what would be.
    ``verify``: MD5s are also checked of what is there already. ``jobs`` threads copy,
    if all backends bear that. ``repair``: in a home that is written to in place, replace
    true beginnings of the files to copy; else they fail with ``PartialCopyError``. Left
    out are files of more than ``max_size`` bytes, or last written to before ``newer`` (a
    time; or so long ago).

    Raises ``ReadOnlyBackendError`` if no backend is writable, ``ValueError`` for limits
    that are none. What else fails is told by a step.
    """
    limits = Limits.of(max_size, newer)
    storage._get_engine().writer.require_writable("sync", directory)  # noqa: SLF001 - ours
    run = _Run(storage, jobs, limits, dry_run=dry_run, verify=verify, repair=repair)
    yield from run.steps(clean_name(directory).rstrip("/"))


@dataclass(slots=True)
class _Task:
    """One name to look after."""

    index: int
    shows: Listed
    is_home: bool


class _Run:
    def __init__(
        self,
        storage: FallbackStorage,
        jobs: int,
        limits: Limits,
        *,
        dry_run: bool,
        verify: bool,
        repair: bool,
    ) -> None:
        self._limits, engine = limits, storage._get_engine()  # noqa: SLF001 - ours
        self._overlay = engine.overlay
        self._backends = storage.backends
        self._home = self._overlay.home
        self._below = range(self._overlay.home_index + 1, len(self._backends))
        self._dry_run, self._verify, self._repair = dry_run, verify, repair
        self._stop = threading.Event()
        self._unreached: list[Step] = []
        involved = self._backends[self._overlay.home_index :]
        self._jobs = max(1, jobs) if all(map(_bears_threads, involved)) else 1
        self._clocks = CLOCKS if all(map(tells_sizes_at_once, involved)) else None
        self._copier = Copier(engine.copies, self._stop, self._jobs)

    def steps(self, directory: str) -> Generator[Step, None, None]:
        if not self._below:
            return
        todo, how = self._tasks(directory), {"if_it_waits": self._clocks}
        with closing(spread(self._step, todo, self._jobs, self._stop, **how)) as steps:
            for step in steps:
                is_last = step.final or self._is_gone(step)
                yield replace(step, final=True) if is_last else step
                if is_last:
                    return

    def _is_gone(self, step: Step) -> bool:
        """Whether no backend is to be reached that files fail for, one after the other.

        It is asked once more: there are files that time out every time.
        """
        if step.result is not Result.FAILED or not is_unreachable(step.error):
            self._unreached.clear()
            return False
        self._unreached.append(step)
        if len(self._unreached) < IN_A_ROW:
            return False
        self._unreached.clear()
        (backend,) = (each for each in self._backends if each.name == step.backend)
        return is_unreachable(probe_many(backend, [step.name])[step.name].exception)

    # What there is to do

    def _tasks(self, directory: str) -> Iterator[_Task | Step]:
        for index in self._below:
            holder = self._backends[index]
            try:
                with holder.asking():
                    passed_over: list[str] = []
                    found = pages(holder, directory, passed_over=passed_over.append)
                    for page in chain(found, [[]]):
                        for name in passed_over:
                            yield Step(name, Result.PASSED_OVER, holder.name)
                        passed_over.clear()
                        yield from self._tasks_of(index, page)
            except BackendError as raised:
                if isinstance(raised.error, ImproperlyConfigured):
                    raise raised.error from raised.error.__cause__
                yield failed(directory, raised.backend, raised.error, final=True)
                return

    def _tasks_of(self, index: int, page: list[Listed]) -> Iterator[_Task | Step]:
        there = originals(self._backends[index], self._home, page)
        names = {listed.name: listed for listed in there}
        for above in range(self._below.start, index):
            yield from self._drop_held(above, names)
        found = probe_many(self._home, names)
        for name, shows in names.items():
            outcome, error = found[name].outcome, found[name].exception
            if outcome is Outcome.FAILED:
                yield failed(name, self._home, error, final=True)
                return
            yield _Task(index, shows, outcome is not Outcome.ABSENT)

    def _drop_held(self, above: int, names: dict[str, Listed]) -> Iterator[Step]:
        """Drop the names that another backend, further up, is the source of."""
        backend = self._backends[above]
        found = probe_many(backend, names)
        errors = [attempt.exception for attempt in found.values()]
        unreached = [each for each in errors if each and is_unreachable(each)]
        if len(unreached) > IN_A_ROW and errors[-1] is unreached[-1]:
            raise BackendError(backend, unreached[-1])
        for name, attempt in found.items():
            if attempt.outcome is Outcome.FAILED:
                yield failed(name, backend, attempt.exception)
            elif attempt.outcome is not Outcome.HELD or self._hides(name, above):
                continue
            del names[name]

    def _hides(self, name: str, index: int) -> bool:
        whiteouts = self._overlay.whiteouts
        if whiteouts is None or index not in whiteouts.covered:
            return False
        with self._home.asking():
            return whiteouts.hides(name)

    # What is done with one name

    def _step(self, task: _Task | Step) -> Step:
        if isinstance(task, Step):
            return task
        name, source = task.shows.name, self._backends[task.index]
        try:
            with source.asking():
                result = self._look_at(task) if task.is_home else self._bring(task)
        except BackendError as raised:
            backend, error = raised.backend, raised.error
            excuse = self._excuse(task, error)
            if excuse is None:
                is_home = backend is self._home
                full = is_home and getattr(error, "errno", None) in HOPELESS
                full = full or isinstance(error, OperationNotSupportedError)
                error = (is_home and obstacle(self._home.look, name)) or error
                return failed(name, backend, error, final=full)
            result = excuse
        return Step(name, result, source.name, task.shows.size)

    def _look_at(self, task: _Task) -> Result:
        """Compare what the home has: by sizes that cost nothing, or all that is shown."""
        name, source = task.shows.name, self._backends[task.index]
        # Where a killed run may have left a part, a size is worth a request.
        asks = self._verify or self._copier.leaves_parts
        if asks or tells_sizes_at_once(source):
            task.shows = sized(source, task.shows)
        ours = Listed(name)
        if asks or tells_sizes_at_once(self._home):
            ours = shown(self._home, name)
        theirs = task.shows if self._verify else task.shows._replace(etag="")
        surely = self._verify or (asks and None in {theirs.size, ours.size})
        if not differ(source, theirs, self._home, ours, surely=surely):
            return Result.PRESENT
        return self._keep(task, ours)

    def _keep(self, task: _Task, ours: Listed) -> Result:
        """Leave another file as it is, unless it is a part that is to be replaced."""
        name, source = task.shows.name, self._backends[task.index]
        part = None
        # (Of what a whiteout hides, nothing is to be copied: it is somebody's own.)
        if self._copier.leaves_parts and not self._hides(name, task.index):
            part = self._copier.part(source, task.shows, ours.size)
        if part is None:
            return Result.DIFFERENT
        if self._repair:
            return self._bring(task, part)
        raise BackendError(self._home, PartialCopyError(name, part.size))

    def _bring(self, task: _Task, part: Content | None = None) -> Result:
        """Copy a file that the home has not, or a ``part`` of it only."""
        name, source = task.shows.name, self._backends[task.index]
        if self._hides(name, task.index):
            return Result.HIDDEN
        for above in self._backends[: self._overlay.home_index]:
            # A file of a read-only backend in front: what is behind is not shown.
            with above.asking():
                if above.storage.exists(name) and not above.is_taken(name):
                    return Result.PRESENT
        with suppress(ReplacedError):
            return self._copy(task, part)
        # (What fails from now on must not seem to be made of that.)
        task.shows = _seen_again(source, task.shows)
        return self._copy(task, part)

    def _copy(self, task: _Task, part: Content | None) -> Result:
        source = self._backends[task.index]
        if self._limits.leave_out(source, task.shows):
            return Result.LEFT_OUT
        if self._dry_run:
            task.shows = sized(source, task.shows)
            return Result.COPIED
        copied = self._copier.copy(source, task.index, task.shows, part)
        task.shows = copied or task.shows
        return Result.COPIED if copied else Result.PRESENT

    def _excuse(self, task: _Task, error: Exception) -> Result | None:
        """Return what has become of the name meanwhile, if that is why; None: it failed."""
        name = task.shows.name
        with suppress(Exception):  # the first error is the one to tell
            if isinstance(error, FileExistsError):
                # Another process was faster; or a file is where a directory should be.
                return Result.PRESENT if self._home.storage.exists(name) else None
            if classify(error) is Outcome.ABSENT:
                if self._hides(name, task.index):
                    return Result.HIDDEN
                source = self._backends[task.index]
                exists = not lists_flat(source) and source.storage.exists(name)
                if not (exists or is_listed(source, name)):
                    return Result.GONE
        return None


def _seen_again(source: Backend, shows: Listed) -> Listed:
    """List a file once more that is not what was listed, as its server says."""
    seen = shown(source, shows.name)
    # (A server may compare in another way than it lists.)
    return seen._replace(etag="") if seen.etag == shows.etag else seen


def _bears_threads(backend: Backend) -> bool:
    # On another thread it may be the place of nobody.
    is_local = isinstance(backend.storage, FileSystemStorage)
    return backend.profile.concurrent or (is_local and not backend.place_varies)
