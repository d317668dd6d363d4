"""Names for new files: free in every backend, by the rules of the one that saves.

A backend that cannot be asked is *silent*, and is asked once for one save (``Learnt``),
however many names are tried. What it may hold must not be hidden, overwritten or deleted
by the new file: else that gets a random name, under which it has nothing. Only a
read-only backend below the one that is written to can be none the worse.
"""

from __future__ import annotations

import pathlib
import posixpath
import weakref
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import File
from django.core.files.storage import Storage

from fallback_storage.chain.names import StrPath, is_own, refuse_dots, validated
from fallback_storage.chain.outcomes import Outcome
from fallback_storage.chain.reachability import is_unreachable
from fallback_storage.chain.walk import NOTHING, Walk
from fallback_storage.chain.whiteouts import Veil
from fallback_storage.exceptions import NoAvailableNameError
from fallback_storage.utils.locks import choices, saving
from fallback_storage.utils.scopes import Scopes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.whiteouts import Whiteouts

GET_AVAILABLE_NAME: Final = "get_available_name"

# Tries for a free name. Django's own loop has no bound.
NAME_TRIES = 100


@dataclass(slots=True, weakref_slot=True)
class Learnt:
    """What one save has found out.

    ``silent``: who could not be asked, and why; ``made``: names that were made at random;
    ``targets``: by chain (there may be one within another), who is written to next.
    """

    silent: dict[Backend, Exception | None] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)
    targets: dict[Namer, Backend] = field(default_factory=dict)

    def cannot_write(self, backend: Backend) -> bool:
        """Whether one that is silent is to be written to last.

        Of a chain within the chain only a part may be.
        """
        return backend in self.silent and not backend.is_chain

    def may_have(self, name: str, backends: Sequence[Backend]) -> bool:
        """Whether one of these that is silent may have a file of the name."""
        return name not in self.made and any(each in self.silent for each in backends)

    def scope(self) -> AbstractContextManager[object]:
        """Return what a save goes on with it in: a lock."""
        return _scopes.enter(weakref.ref(self))


# (A save that is over leaves none of its errors, and so none of their frames.)
_scopes: Scopes[weakref.ref[Learnt]] = Scopes("learnt")


def learnt() -> Learnt:
    """Return what this save has learnt so far."""
    reference = _scopes.value()
    return (reference and reference()) or Learnt()


def learning() -> tuple[Learnt, AbstractContextManager[object]]:
    """Return the same, and what this save goes on with it in."""
    reference = _scopes.value()
    known = reference and reference()
    if known:
        return known, nullcontext()
    known = Learnt()
    return known, known.scope()


class Namer:
    """Finds names in a chain. The memo is not asked: two uploads must not agree.

    ``look``: tells who has a file (``Scout.look``). ``strict``: a backend that fails to say
    whether a name is free is an error.
    """

    def __init__(
        self,
        backends: Sequence[Backend],
        whiteouts: Whiteouts | None,
        look: Callable[[str, int], int | None],
        *,
        strict: bool,
    ) -> None:
        self._backends = tuple(backends)
        self._look = look
        self._writable = tuple(b for b in backends if not b.read_only)
        self._whiteouts = whiteouts
        self._strict = strict

    def save(
        self,
        storage: Any,
        given: StrPath,
        name: str,
        content: Any,
        max_length: int | None,
    ) -> str:
        """Do what Django's ``Storage.save`` does; ``name`` is what ``given`` folds to."""
        if name is not given:
            refuse_dots(given)
        known = Learnt()
        with saving(name), choices.scope(max_length), known.scope():
            if not hasattr(content, "chunks"):
                content = File(content, name)
            free = storage.get_available_name(name, max_length=max_length)
            saved = storage._save(free if free is name else validated(free), content)
            return saved if saved is free else validated(saved)

    @property
    def max_length(self) -> int | None:
        """How many characters the name may have of what is saved now; None: no bound."""
        return choices.max_length

    def rule(self, method: str) -> Callable[..., str]:
        """Return ``method`` of the first writable backend that implements it.

        Of Django's own ``Storage`` where no backend is writable.
        """

        def ask(*args: Any) -> str:
            for storage in (*(each.storage for each in self._writable), Storage()):
                with suppress(NotImplementedError):
                    function = getattr(storage, method, None)
                    if function is not None:
                        return function(*args)  # type: ignore[no-any-return]
            raise AssertionError("Django's Storage implements it")

        return ask

    @cached_property
    def _only_looks(self) -> bool:
        """Whether looks at local directories tell all of a name that nobody has."""
        return all(backend.only_look for backend in self._backends)

    @cached_property
    def _makes_names(self) -> bool:
        """Whether the home gives names of its own (a UUID, a hash)."""
        return any(each.implements(GET_AVAILABLE_NAME) for each in self._writable[:1])

    def is_free(self, name: str, *, hides: bool = False) -> bool | None:
        """Whether no backend holds the name, asked live; None if that is not known.

        The memo is not asked: two uploads must not agree on a name. ``hides``: of a new
        file, which is read in place of what lies below. A read-only backend
        there that does not answer takes no name: thumbnail libraries save under names of
        their own, and do not look at the one that they are given.
        """
        if is_own(f"{name}/"):
            return False  # where whiteouts and staged files are
        length = len(self._backends)
        if self._only_looks and self._look(name, length) == length:
            return True  # (What is hidden is free as well.)
        walk = self.find(name)
        if walk.last is Outcome.HELD:
            return False
        if walk.unanswered or (walk.failed and self._strict):
            raise walk.error()
        walk.log_failures("the name may be taken there")
        return None if walk.failed and not (hides and self._is_below(walk)) else True

    def _is_below(self, walk: Walk) -> bool:
        """Whether all that failed to answer is read-only, and below the target."""
        if not self._writable:
            return False
        target = learnt().targets.get(self, self._writable[0])
        position = self._backends.index(target)
        return all(
            backend.read_only and index > position
            for index, backend in enumerate(self._backends[: len(walk.trail)])
            if walk.trail[index].outcome is Outcome.FAILED
        )

    def available_name(
        self,
        name: str,
        max_length: int | None,
        alternative: Callable[[str, str], str] | None = None,
        is_free: Callable[[str], bool | None] | None = None,
    ) -> str:
        """Return ``name``, or an alternative of it, that is free in all backends.

        Where a backend fails to answer whose file would be read in place of the new one, or
        deleted with it, an alternative is taken: it is random, so it meets no file there. ``alternative`` and
        ``is_free``: instead of the first writable backend's rule, and of ``is_free``.

        Raises ``SuspiciousFileOperation`` if ``max_length`` characters leave no room,
        and ``NoAvailableNameError`` after ``NAME_TRIES`` tries.
        """
        known, scope = learning()
        with scope:
            if not alternative:
                name = self._own_name(name, max_length, known)
            return self._available_name(name, max_length, alternative, is_free, known)

    def _own_name(self, name: str, max_length: int | None, known: Learnt) -> str:
        """Return the name that the home gives, if it makes names."""
        if not self._makes_names or (home := self._writable[0]) in known.silent:
            return name
        walk = Walk(GET_AVAILABLE_NAME, name)
        given = walk.ask(home, GET_AVAILABLE_NAME, name, max_length=max_length)
        if given is not NOTHING:
            return given  # type: ignore[no-any-return]
        error = walk.trail[-1].exception
        if is_unreachable(error):
            known.silent[home] = error
        return name

    def _available_name(
        self,
        name: str,
        max_length: int | None,
        alternative: Callable[[str, str], str] | None,
        is_free: Callable[[str], bool | None] | None,
        known: Learnt,
    ) -> str:
        asks = is_free or partial(self.is_free, hides=True)
        excess = len(name) - max_length if max_length else 0
        if excess <= 0 and _choose(name, asks, is_random=False):
            return name
        alternative = alternative or self.rule("get_alternative_name")
        asked = name
        directory, filename = posixpath.split(name)
        extension = "".join(pathlib.PurePath(filename).suffixes)
        root = filename.removesuffix(extension)
        for _ in range(NAME_TRIES - 1):
            if excess > 0:
                root = root[:-excess]
                if not root:
                    message = (
                        f"Storage can not find an available filename for {name!r}. "
                        "Please make sure that the corresponding file field allows "
                        'sufficient "max_length".'
                    )
                    raise SuspiciousFileOperation(message)
            other = posixpath.join(directory, alternative(root, extension))
            # A storage that may overwrite offers the taken name again; names are
            # unique across backends all the same, so Django's own rule decides.
            djangos = Storage().get_alternative_name(root, extension)
            name = posixpath.join(directory, djangos) if other == name else other
            excess = len(name) - max_length if max_length else 0
            if excess <= 0 and _choose(name, asks, is_random=True):
                known.made.add(name)
                return name
        suspect = "is_name_available()" if is_free else "exists() of the backends"
        raise NoAvailableNameError(asked, NAME_TRIES, suspect)

    def find(self, name: str) -> Walk:
        """Ask the backends themselves who holds a name; the last one asked does."""
        walk = Walk("exists", name, live=True)
        veil = Veil(self._whiteouts, walk)
        silent = learnt().silent
        home = self._writable[0] if self._writable else None
        for index, backend in enumerate(self._backends):
            if backend in silent:
                walk.note(backend, Outcome.FAILED, silent[backend])
            # (The home has the whiteouts.)
            elif home not in silent and veil.hides(index):
                walk.note(backend, Outcome.HIDDEN)
            elif walk.probe(backend) is Outcome.HELD:
                break
            elif walk.last is Outcome.FAILED:
                silent[backend] = walk.trail[-1].exception
        return walk


def _choose(
    name: str, is_free: Callable[[str], bool | None], *, is_random: bool
) -> bool:
    # First taken, then looked for: another save of the name may end in between.
    if not choices.take(name):
        return False
    free = is_free(name)
    if free or (free is None and is_random):
        return True
    choices.drop(name)
    return False
