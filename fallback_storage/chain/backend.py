"""One wrapped Django storage together with its policy."""

from __future__ import annotations

import inspect
import threading
import weakref
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from django.utils.functional import cached_property

from fallback_storage.cache import invalidation
from fallback_storage.chain.calls import Calls
from fallback_storage.chain.instances import Instances
from fallback_storage.chain.look import (
    glance_at,
    look_again_at,
    look_at,
    looks_only,
    quick_url_of,
)
from fallback_storage.chain.nesting import building, refuse_cycle
from fallback_storage.chain.outcomes import Outcome
from fallback_storage.chain.places import class_path
from fallback_storage.chain.profiles import HAVE_DEADLINE, Profile, profile_of
from fallback_storage.chain.reach import DEADLINE, REACHED, THREADS, reach_of
from fallback_storage.utils import forks
from fallback_storage.utils.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from django.core.files.storage import Storage

    from fallback_storage.chain.look import Glance, Look
    from fallback_storage.chain.outcomes import Attempt
    from fallback_storage.chain.policy import Policy
    from fallback_storage.chain.reach import Reach

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


class Backend(Calls):
    """A named, lazily built storage of a chain.

    ``where`` is the place in the configuration that describes it, for messages;
    ``owner`` the FallbackStorage whose chain this is part of; ``origin`` the class
    path and the OPTIONS that the storage is built from, if they are known; ``another``
    builds one more, if that can be.
    """

    def __init__(
        self,
        name: str,
        build: Callable[[], Storage],
        policy: Policy,
        where: str,
        *,
        owner: object = None,
        origin: tuple[str, Mapping[str, Any]] | None = None,
        another: Callable[[], Storage] | None = None,
    ) -> None:
        # Weak: a storage must not keep itself alive through its own chain.
        super().__init__(name, None if owner is None else weakref.ref(owner))
        self.origin = origin
        self.where = where
        self.policy = policy
        self.read_only = bool(policy.read_only)
        self.always_probe = policy.always_probe
        # Whether its bucket is known to be there, why nobody knows, how often that was asked.
        self.place_seen = False
        self.place_error: Exception | None = None
        self.place_asked = 0
        self.place_lock = threading.Lock()
        # False once its server has refused to list.
        self.may_list = True
        # Chains within its storage, one in the other. None, before that was built.
        self.depth = 0
        # Whether it is known by now to be another place for another tenant.
        self.place_varies = False
        self._build = build
        self._another = another
        self._reach: Reach | None = None
        self._reaches: dict[int, Reach] = {}

    def __repr__(self) -> str:
        return f"<Backend {self.name!r}{' (read-only)' if self.read_only else ''}>"

    @cached_property
    def storage(self) -> Storage:
        """Return the wrapped storage, built at the first use and then kept.

        Raises ``ConfigurationError`` if it cannot be built, or leads back to itself:
        what is within a chain is built with it, and whoever is being built already is
        a part of itself.
        """
        with forks.build_lock():
            # Another thread may have built it while this one waited.
            if "storage" not in self.__dict__:
                self.__dict__["storage"] = self._build_whole()
            storage: Storage = self.__dict__["storage"]
            return storage

    def _build_whole(self) -> Storage:
        outer = building.get()
        owner = refuse_cycle(self, outer)
        try:
            building.set((*outer, (self, owner)))
            storage = self._build()
            profile = self.__dict__["profile"] = self._profile_of(storage)
            inner = tuple(entries_of(storage))
            self.policy.refuse_vain(self.where, storage, profile, is_chain=bool(inner))
            self.place_varies = profile.place_varies
            if not profile.thread_safe:
                lent: Any = Instances(
                    self.name, storage, profile, self._another, self.policy.deadline
                )
                return lent  # type: ignore[no-any-return]
            # The checks build for nobody, and look for themselves at what is within.
            for entry in inner if self.owner else ():
                _ = entry.storage
                self.place_varies |= entry.place_varies
                self.depth = max(self.depth, entry.depth + 1)
                invalidation.note_nesting()
            return storage
        finally:
            building.set(outer)

    @cached_property
    def look(self) -> Look | None:
        """Return what looks at the names in a local directory; see ``look_at``."""
        return look_at(self.storage, self.profile.is_directory)

    @cached_property
    def is_chain(self) -> bool:
        """Whether the storage is a chain, whose entries have a reach each."""
        return bool(self._inner)

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
        is_asked = hasattr(self.storage, "exists") and not self._looks_freely
        return is_asked and not self._inner

    def ask(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return the answer to a question; see ``Reach.ask``."""
        return self.reach.ask(self, function, *args)

    def ask_for_names(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return a listing, or a page of one; see ``Reach.ask_for_names``."""
        return self.reach.ask_for_names(self, function, *args)

    @cached_property
    def workers(self) -> Workers:
        """Return the threads from which the storage is asked, beside the caller's."""
        return Workers(THREADS)

    @cached_property
    def look_again(self) -> Look | None:
        """Return what tells, without a request, whether a remembered file is there.

        It answers *held* if it cannot tell. None: what is remembered is believed.
        """
        believed = self.policy.look_again is False
        return None if believed else look_again_at(self.storage)

    @cached_property
    def glance(self) -> Glance | None:
        """Return the same for whether anything has the name, if that is quicker told."""
        return self.look_again and glance_at(self.storage, self.look_again)

    @cached_property
    def _looks_freely(self) -> bool:
        """Whether a look can be had for what a system call takes, which does not fail."""
        return looks_only(self.storage) and not self.deadline

    @cached_property
    def quick_url(self) -> Callable[[str], str] | None:
        """Return what makes the URL of a remembered file without asking the storage."""
        return quick_url_of(self.storage)

    @cached_property
    def tells_files(self) -> bool:
        """Whether it may answer that a name is taken, but by no file."""
        return self.look is not None or bool(self._inner)

    @cached_property
    def _inner(self) -> tuple[Backend, ...]:
        return tuple(entries_of(self.storage))

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
        if self._looks_freely and not live:
            return self.look  # type: ignore[return-value]
        storage: Any = self.storage
        if not self._inner:
            look = None if live else self.look
            return partial(self.reach.ask, self, look or storage.exists)
        return partial(storage._probe, live=live, names=names)  # noqa: SLF001

    @cached_property
    def profile(self) -> Profile:
        """Return what is known of the storage's class, as its entry corrects it."""
        return self._profile_of(self.storage)

    def _profile_of(self, storage: Storage) -> Profile:
        found, corrected = profile_of(storage), self.policy.profile
        return replace(found, **corrected) if corrected else found

    @cached_property
    def make_client(self) -> Callable[[], object] | None:
        """Return what makes the client that each thread has of its own, if it has one."""
        client = self.profile.client
        return client and partial(client, self.storage)

    @property
    def doubts_absence(self) -> bool:
        """Whether a "no such file" of the storage is not to be believed as it is."""
        profile = self.profile
        return profile.ask_again is not None or (
            profile.has_place is not None and not self.place_seen
        )

    @property
    def deletes_trees(self) -> bool:
        """Whether ``delete`` of a directory deletes the files in it as well."""
        # One that was never built has deleted nothing.
        return "storage" in self.__dict__ and self.profile.deletes_trees

    @property
    def has_time_outs(self) -> bool | None:
        """Whether the time-outs of its client were chosen; None: not known."""
        told = self.profile.has_time_outs
        return told and told(self.storage)

    def lend(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return what ``function`` returns for the storage and the arguments.

        For functions that use more than one method of it, or what is none.
        """
        storage: Any = self.storage
        if type(storage) is Instances:
            return storage.lend(function, *args)
        return function(storage, *args)

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
        return self.ask_for_names(listdir, directory)  # type: ignore[no-any-return]

    def implements(self, operation: str) -> bool:
        """Whether the storage has its own ``operation``; Django's base has stubs."""
        method = getattr(self.storage.__class__, operation, None)
        stub = getattr(_django_storage_class(), operation, None)
        return method is not None and method is not stub

    def takes(self, operation: str, *args: Any, **kwargs: Any) -> bool:
        """Whether ``operation`` can be called with these arguments."""
        function = getattr(self.storage, operation, None)
        if function is None:
            return True
        try:
            inspect.signature(function).bind(*args, **kwargs)
        except TypeError:
            return False
        except ValueError:  # no signature: a built-in or extension method
            return True
        return True

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Raise what is raised within as a ``BackendError`` of this backend.

        One that is a ``BackendError`` already stays what it is. Not for code of another
        storage: that may have to know the error by its type.
        """
        try:
            yield
        except BackendError:
            raise
        except Exception as error:
            raise BackendError(self, error) from error

    def stats(self) -> dict[str, Any]:
        """Return the counts, the breaker's state, and when the storage is asked again."""
        found = self._reach.stats() if self._reach else REACHED
        return {**self.counts(), **found}


def _django_storage_class() -> type[Storage]:
    from django.core.files.storage import Storage

    return Storage


def entries_of(storage: object) -> Iterator[Backend]:
    """Yield the chain of a storage that is one."""
    entries = getattr(storage, "backends", None)
    for entry in entries if isinstance(entries, tuple) else ():
        if isinstance(entry, Backend):
            yield entry
