"""A Django storage, built when it is needed, and what is known of it."""

from __future__ import annotations

import inspect
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from django.utils.functional import cached_property

from fallback_storage.cache import invalidation
from fallback_storage.chain.calls import Calls
from fallback_storage.chain.look import glance_at, look_again_at, look_at
from fallback_storage.chain.nesting import building, refuse_cycle
from fallback_storage.chain.profile import METHODS, Profile
from fallback_storage.chain.profiles import profile_of
from fallback_storage.chain.quick_url import quick_url_of
from fallback_storage.utils import forks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from django.core.files.storage import Storage

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.equivalents import Glance, Look
    from fallback_storage.chain.policy import Policy


class Wrapped(Calls):
    """A named, lazily built storage.

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
                # (Few are like that.)
                from fallback_storage.chain.instances import Instances

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
    def make_url(self) -> Callable[[str], str]:
        """Return what makes the URL of a clean name, as the storage does."""
        storage, rests_on = self.storage, self.profile.url_rests_on
        quick = quick_url_of(storage, rests_on, METHODS["url_rests_on"])
        # (Its ``url`` may be set, or be replaced, later.)
        return quick or (lambda name: storage.url(name))  # noqa: PLW0108

    @cached_property
    def tells_files(self) -> bool:
        """Whether it may answer that a name is taken, but by no file."""
        return self.look is not None or bool(self._inner)

    @cached_property
    def _inner(self) -> tuple[Backend, ...]:
        return tuple(entries_of(self.storage))

    @cached_property
    def profile(self) -> Profile:
        """Return what is known of the storage's class, as its entry corrects it."""
        return self._profile_of(self.storage)

    def _profile_of(self, storage: Storage) -> Profile:
        found, corrected = profile_of(storage), self.policy.profile
        return found.replace(**corrected) if corrected else found

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
        if not self.profile.thread_safe:
            return storage.lend(function, *args)
        return function(storage, *args)

    def implements(self, operation: str) -> bool:
        """Whether the storage has its own ``operation``; Django's base has stubs."""
        method = getattr(self.storage.__class__, operation, None)
        stub = getattr(_django_storage_class(), operation, None)
        return method is not None and method is not stub

    def has_paths(self, of: Callable[..., bool] = all) -> bool:
        """Whether all its files have paths, or ``any``: also those of a chain within it."""
        inner = [each.has_paths(of) for each in self._inner]
        return of(inner) if inner else self.implements("path")

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


def _django_storage_class() -> type[Storage]:
    from django.core.files.storage import Storage

    return Storage


def entries_of(storage: object) -> Iterator[Backend]:
    """Yield the chain of a storage that is one."""
    entries = getattr(storage, "backends", None)
    for entry in entries if isinstance(entries, tuple) else ():
        if isinstance(entry, Wrapped):
            yield cast("Backend", entry)
