"""Names for new files: free in every backend, by the rules of the one that saves."""

from __future__ import annotations

import pathlib
import posixpath
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import Storage

from fallback_storage.chain.names import is_own
from fallback_storage.chain.outcomes import Outcome
from fallback_storage.chain.walk import NOTHING, Walk
from fallback_storage.chain.whiteouts import Veil
from fallback_storage.exceptions import NoAvailableNameError
from fallback_storage.utils.locks import choices

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.whiteouts import Whiteouts

# Tries for a free name. Django's own loop has no bound.
NAME_TRIES = 100


class Namer:
    """Finds names in a chain. The memo is not asked: two uploads must not agree.

    ``strict``: a backend that fails to say whether a name is free is an error.
    """

    def __init__(
        self,
        backends: Sequence[Backend],
        whiteouts: Whiteouts | None,
        *,
        strict: bool,
    ) -> None:
        self._backends = tuple(backends)
        self._writable = tuple(b for b in backends if not b.read_only)
        self._whiteouts = whiteouts
        self._strict = strict

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

    def is_free(self, name: str, *, hides: bool = False) -> bool | None:
        """Whether no backend holds the name, asked live; None if that is not known.

        The memo is not asked: two uploads must not agree on a name. ``hides``: of a new
        file in the home, which is read in place of what lies below. A read-only backend
        there that does not answer takes no name: thumbnail libraries save under names of
        their own, and do not look at the one that they are given.
        """
        if is_own(f"{name}/"):
            return False  # where whiteouts and staged files are
        walk = self.find(name)
        if walk.last is Outcome.HELD:
            return False
        if walk.unanswered or (walk.failed and self._strict):
            raise walk.error()
        walk.log_failures("the name may be taken there")
        return None if walk.failed and not (hides and self._is_below(walk)) else True

    def _is_below(self, walk: Walk) -> bool:
        """Whether all that failed to answer is read-only, and below the home."""
        if not self._writable:
            return False
        home = self._backends.index(self._writable[0])
        return all(
            backend.read_only and index > home
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
        home = self._writable[0] if self._writable else None
        if home and not alternative and home.implements("get_available_name"):
            # A storage that makes names of its own (a UUID, a hash) is asked first.
            walk = Walk("get_available_name", name)
            given = walk.ask(home, "get_available_name", name, max_length=max_length)
            if given is not NOTHING:
                name = given
        alternative = alternative or self.rule("get_alternative_name")
        directory, filename = posixpath.split(name)
        extension = "".join(pathlib.PurePath(filename).suffixes)
        root = filename.removesuffix(extension)
        for attempt in range(NAME_TRIES):
            if attempt:
                other = posixpath.join(directory, alternative(root, extension))
                # A storage that may overwrite offers the taken name again; names are
                # unique across backends all the same, so Django's own rule decides.
                djangos = Storage().get_alternative_name(root, extension)
                name = posixpath.join(directory, djangos) if other == name else other
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
            asks = is_free or partial(self.is_free, hides=True)
            if _choose(name, asks, is_random=attempt > 0):
                return name
        raise NoAvailableNameError(name, NAME_TRIES)

    def find(self, name: str) -> Walk:
        """Ask the backends themselves who holds a name; the last one asked does."""
        walk = Walk("exists", name, live=True)
        veil = Veil(self._whiteouts, walk)
        for index, backend in enumerate(self._backends):
            if veil.hides(index):
                walk.note(backend, Outcome.HIDDEN)
            elif walk.probe(backend) is Outcome.HELD:
                break
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
