"""A look at what has a name in a local directory: a system call, not a question.

It tells a file from what only has the name: a directory, or a link that leads nowhere.
"""

from __future__ import annotations

import time
from collections import defaultdict
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from django.core.files.storage import FileSystemStorage

from fallback_storage.chain.equivalents import (
    has_djangos,
    kind_of,
    plain_glance,
    plain_look,
)
from fallback_storage.chain.outcomes import ABSENT, HELD, TAKEN, Outcome
from fallback_storage.exceptions import NameBlockedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.equivalents import Glance, Look


def look_at(
    storage: Any, is_directory: Callable[[Any, str], bool] | None = None
) -> Look | None:
    """Return what looks a clean name up in a local directory; None for other storages.

    It answers *held*, *taken* or *absent*, and as ``exists`` does: what is taken is
    there. A storage with an ``exists`` of its own is asked that; what it raises is
    raised. ``is_directory``: see ``Profile``.
    """
    if is_plain_directory(storage):
        return plain_look(storage, partial(_ask, storage))
    if is_directory is not None:
        return partial(_look_by, storage, is_directory)
    if not isinstance(storage, FileSystemStorage):
        return None
    return partial(_ask, storage)


def is_plain_directory(storage: Any, *also: str) -> bool:
    """Whether a name is where it says, and there is no more to it.

    ``also``: methods that have to be Django's own as well.
    """
    return has_djangos(storage, "exists", "path", *also)


def looks_only(storage: Any) -> bool:
    """Whether a look at it is one system call: its ``exists`` is Django's."""
    return has_djangos(storage, "exists")


def look_again_at(storage: Any) -> Look | None:
    """Return what tells whether a file that is remembered in a storage is there.

    It makes no request and raises nothing; what it cannot tell is *held*. None: nothing
    can be told of this storage.
    """
    if is_sure(storage):
        return plain_look(storage, partial(_believing, partial(_ask, storage)))
    look: Look | None = look_at(storage) or getattr(storage, "_look_again", None)
    return look and partial(_believing, look)


def only_look(storage: Any) -> Look:
    """Return the same of a storage that ``is_sure``, for who will ask it in any doubt.

    It raises where the storage would have to be asked: that is done once.
    """
    return plain_look(storage, _refuse)


def glance_at(storage: Any, look: Look) -> Glance:
    """Return what tells whether anything has a name that was looked up before.

    For less than ``look`` takes, where that is possible. False need not be true.
    """
    return (
        plain_glance(storage) if is_sure(storage) else lambda name: look(name) is HELD
    )


def is_sure(storage: Any) -> bool:
    """Whether a look at it raises nothing."""
    return is_plain_directory(storage, "location")


def obstacle(look: Look | None, name: str) -> NameBlockedError | None:
    """Return what keeps a local directory from having a file of this name, if it does."""
    if look is None:
        return None
    if look(name) is TAKEN:
        return NameBlockedError(name, name, "a directory or a broken link")
    for place in map(str, list(PurePosixPath(name).parents)[:-1]):
        if look(place) is HELD:
            return NameBlockedError(name, place, "a file")
    return None


def look_at_many(
    backend: Backend, look: Look, names: Iterable[str]
) -> Iterator[tuple[Outcome, list[str], float]]:
    """Yield what looks tell, of which names, and how many seconds these took.

    A directory that is not there has no files: one look at it is enough. What is wrong
    with a name, of whose directory nothing is told then, the questions will tell.
    """
    by_directory = defaultdict(list)
    for name in names:
        by_directory[name.rpartition("/")[0]].append(name)
    for directory, those in by_directory.items():
        answers = defaultdict(list)
        start = time.perf_counter()
        try:
            if directory and len(those) > 1 and look(directory) is ABSENT:
                answers[ABSENT], calls = those, 1
            else:
                calls = len(those)
                for name in those:
                    answers[look(name)].append(name)
        except Exception:  # noqa: BLE001, S112 - see above
            continue
        seconds = time.perf_counter() - start
        backend.count_many(calls, seconds)
        for outcome, found in answers.items():
            yield outcome, found, seconds * len(found) / len(those)


def _ask(storage: FileSystemStorage, name: str) -> Outcome:
    if not storage.exists(name):
        return ABSENT
    try:
        kind = kind_of(storage.path(name))
    except Exception:  # noqa: BLE001 - its files may be anywhere
        return HELD
    return TAKEN if kind is TAKEN else HELD


def _refuse(name: str) -> Outcome:
    raise LookupError(name)


def _look_by(
    storage: Any, is_directory: Callable[[Any, str], bool], name: str
) -> Outcome:
    if not storage.exists(name):
        return ABSENT
    return TAKEN if is_directory(storage, name) else HELD


def _believing(look: Look, name: str) -> Outcome:
    try:
        return look(name)
    except Exception:  # noqa: BLE001 - a failure is no reason to forget
        return HELD
