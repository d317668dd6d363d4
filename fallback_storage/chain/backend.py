"""One wrapped Django storage together with its policy: how it is asked."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django.utils.functional import cached_property

from fallback_storage.chain.equivalents import answers_of
from fallback_storage.chain.look import is_sure, looks_only, only_look
from fallback_storage.chain.outcomes import Outcome, is_stub
from fallback_storage.chain.places import class_path
from fallback_storage.chain.profiles import HAVE_DEADLINE
from fallback_storage.chain.reach import DEADLINE, REACHED, make_workers
from fallback_storage.chain.reaches import reach_of
from fallback_storage.chain.wrapped import Wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fallback_storage.chain.equivalents import Look
    from fallback_storage.chain.outcomes import Attempt
    from fallback_storage.chain.reach import Reach
    from fallback_storage.utils.workers import Workers

# Places of one that varies (of tenants) of which is known whether they are reached.
MAX_PLACES = 1000


class BackendError(Exception):
    """What a backend raised while it was asked: ``error``, as it was.

    The error itself carries no mark. It may be one object that is raised again and
    again, by more than one backend, in more than one thread.
    """

    def __init__(self, backend: Backend, error: Exception) -> None:
        super().__init__(backend, error)
        self.backend = backend
        self.error = error


class Asking:
    """What raises the errors of a block as those of one backend."""

    __slots__ = ("_backend",)

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, BackendError):
            raise BackendError(self._backend, error) from error


class Backend(Wrapped):
    """A storage of a chain, and the way to its server; see ``Wrapped``."""

    _reach: Reach | None = None

    @cached_property
    def _reaches(self) -> dict[int, Reach]:
        return {}

    @cached_property
    def deadline(self) -> float:
        """Return for how many seconds an answer is waited for; 0: for as long as it takes."""
        if not self.profile.thread_safe:
            return 0.0  # it bounds waiting for an instance
        given = self.policy.deadline
        known = class_path(self.storage.__class__) in HAVE_DEADLINE
        return given if given is not None else DEADLINE * known

    @property
    def reach(self) -> Reach:
        """Return the way to the storage's server; where its place varies, to that of now."""
        reach = self._reach
        if reach is None:
            reach = reach_of(self)
            if self.profile.place_varies:
                if len(self._reaches) > MAX_PLACES:
                    self._reaches.clear()
                self._reaches[id(reach)] = reach  # nobody else may have it
            else:
                self._reach = reach
        return reach

    def refusal(self) -> Attempt | None:
        """Return a trail's line where a question would not be asked now; else None.

        None as well where only the question can tell.
        """
        reach = self._reach
        if reach is None or reach.breaker.is_sound or not self._is_one_question:
            return None
        return reach.refusal(self)

    @cached_property
    def _is_one_question(self) -> bool:
        """Whether to be asked for a name is one call to one server, and nothing else."""
        exists = getattr(self.storage, "exists", None)
        is_asked = exists is not None and not is_stub(exists)
        return is_asked and not self._looks_freely and not self._inner

    def ask(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return the answer to a question; see ``Reach.ask``."""
        return self.reach.ask(self, function, *args)

    def ask_for_names(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return a listing, or a page of one; see ``Reach.ask_for_names``."""
        return self.reach.ask_for_names(self, function, *args)

    @cached_property
    def workers(self) -> Workers:
        """Return the threads from which the storage is asked, beside the caller's."""
        return make_workers()

    @cached_property
    def _looks_freely(self) -> bool:
        """Whether a look can be had for what a system call takes, which does not fail."""
        return looks_only(self.storage) and not self.deadline

    @cached_property
    def only_look(self) -> Look | None:
        """Return the look that is all there is to a question; None: there is none.

        It never asks the storage, whose methods may be replaced later: it raises then.
        """
        free = self._looks_freely and is_sure(self.storage)
        return only_look(self.storage) if free and not self.doubts_absence else None

    @property
    def is_sound(self) -> bool:
        """Whether nothing is known that would keep one from asking it."""
        return self._reach is None or self._reach.breaker.is_sound

    @cached_property
    def answers(self) -> Mapping[str, Callable[..., Any]]:
        """Return what answers of a known file as the storage's methods do, but quicker."""
        profile = self.profile
        asks_first = profile.lazy_open or profile.answers_always
        return answers_of(self.storage) if self._looks_freely and not asks_first else {}

    def has(self, name: str) -> bool:
        """Whether anything has the name, as ``exists`` says; raises what that raises."""
        if self._looks_freely:
            return self.look(name) is not Outcome.ABSENT  # type: ignore[misc]
        return bool(self.ask(self.storage.exists, name))

    def is_taken(self, name: str) -> bool:
        """Whether a directory, or a link that leads nowhere, has the name, and no file.

        Costs no request, unless it is so in a chain within the chain.
        """
        try:
            if self.look is not None:
                look = self.question(live=False, names=False)
                return look(name) is Outcome.TAKEN
            if not any(inner.is_taken(name) for inner in self._inner):
                return False
            return self.question(live=False, names=False)(name) is Outcome.TAKEN
        except Exception:  # noqa: BLE001 - who asks for the file will be told
            return False

    def question(self, *, live: bool, names: bool) -> Callable[[str], Outcome | bool]:
        """Return what tells whether the storage holds a name; see ``Walk``.

        Of a chain within a chain, what raises where its ``exists`` would pass over a
        failure: that answer must not be taken for "absent". Raises ``AttributeError``
        if the storage cannot tell.
        """
        if self._looks_freely:
            return self.has if live else self.look  # type: ignore[return-value]
        storage: Any = self.storage
        if not self._inner:
            exists = (None if live else self.look) or storage.exists
            return exists if is_stub(exists) else partial(self.reach.ask, self, exists)
        return partial(storage._probe, live=live, names=names)  # noqa: SLF001

    def listdir(self, directory: str) -> tuple[Sequence[str], Sequence[str]]:
        """Return the directories and the files in a directory.

        Raises what the storage raises, and ``NotImplementedError`` if it cannot list.
        """
        listdir: Any = self.profile.listdir
        if listdir is not None:
            return self.ask_for_names(self.lend, listdir, directory)  # type: ignore[no-any-return]
        listdir = getattr(self.storage, "listdir", None)
        if listdir is None:
            raise NotImplementedError("This storage has no listdir().")
        if is_stub(listdir):
            return listdir(directory)  # type: ignore[no-any-return]
        return self.ask_for_names(listdir, directory)  # type: ignore[no-any-return]

    def asking(self) -> Asking:
        """Raise what is raised within as a ``BackendError`` of this backend.

        One that is a ``BackendError`` already stays what it is. Not for code of another
        storage: that may have to know the error by its type.
        """
        return Asking(self)

    def stats(self) -> dict[str, Any]:
        """Return the counts, the breaker's state, and when the storage is asked again."""
        found = self._reach.stats() if self._reach else REACHED
        return {**self.counts(), **found}
