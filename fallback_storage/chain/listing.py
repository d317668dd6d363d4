"""Every file of a backend, in pages: how a listing is read without holding all of it.

Two ways. S3 is asked for flat pages of keys (``flat_listing``). Any other storage is
walked by its ``listdir``, directory after directory.

A listing goes on after a name (``after``): on S3 by ``StartAfter``, in a walk by
leaving out what comes before it. On S3 that is as good as the server's order. Servers
that sort by directory (SeaweedFS) go on in their order; one that sorts by nothing (S3
directory buckets) does not know what comes after. Then names can be missing from a
listing that was continued by name, never from one that is read in one go.
"""

from __future__ import annotations

import posixpath
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from django.core.files.storage import FileSystemStorage

from fallback_storage.chain.flat_listing import Listed, flat_pages, lists_flat
from fallback_storage.chain.names import is_name, is_own, is_passed_over
from fallback_storage.chain.outcomes import Outcome, classify
from fallback_storage.chain.second_look import LISTING, look_again
from fallback_storage.exceptions import OperationNotSupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.flat_listing import PassedOver

# Names of a page, at the most; as many as S3 gives.
PAGE_SIZE: Final = 1000


def pages(
    backend: Backend,
    directory: str = "",
    after: str = "",
    *,
    passed_over: PassedOver | None = None,
) -> Iterator[list[Listed]]:
    """Yield every file below a directory, in pages of up to ``PAGE_SIZE``, in one order.

    ``directory`` and ``after`` are clean; ``after`` is the last name that is left out.
    A directory that is not there has no files. Left out are this package's own folders,
    and keys that no clean name reaches (``a//b``, ``./a``, ``a/``); ``passed_over`` is
    told those that are files.

    Raises what the backend raises, and ``OperationNotSupportedError`` if it cannot list.
    """
    directory = directory.rstrip("/")
    if lists_flat(backend):
        start = f"{directory}/" if directory else ""
        yield from flat_pages(backend, start, after, passed_over=passed_over)
    else:
        yield from _walked_pages(backend, directory, after, passed_over)


def is_listed(backend: Backend, name: str) -> bool:
    """Whether a listing of the backend still shows a file. Raises what ``pages`` does."""
    if lists_flat(backend):
        return any(each.name == name for each in next(flat_pages(backend, name), ()))
    directory, base = posixpath.split(name)
    return base in _listdir(backend, directory)[1]


# Walks


def _walked_pages(
    backend: Backend, directory: str, after: str, passed_over: PassedOver | None
) -> Iterator[list[Listed]]:
    page: list[Listed] = []
    for name in _walk(backend, directory, after, passed_over):
        page.append(Listed(name))
        if len(page) == PAGE_SIZE:
            yield page
            page = []
    if page:
        yield page


def _walk(
    backend: Backend, directory: str, after: str, passed_over: PassedOver | None
) -> Iterator[str]:
    """Yield every file below a directory, depth first, sorted by the parts of names.

    Held in memory: for each level of the directory one is in, what is in it.
    """
    left = _left_of(after, directory)
    if left is None:
        return
    levels = [_level(backend, directory, left, passed_over)]
    while levels:
        for path, is_directory, left in levels[-1]:
            if is_directory:
                levels.append(_level(backend, path, left, passed_over))
                break
            yield path
        else:
            levels.pop()


def _level(
    backend: Backend,
    directory: str,
    left: Sequence[str],
    passed_over: PassedOver | None,
) -> Iterator[tuple[str, bool, Sequence[str]]]:
    """Yield what is in one directory: path, whether it is one, what it leaves out.

    ``left``: the parts of the name after which to begin, from this directory on.
    """
    directories, files = _listdir(backend, directory)
    entries = {(name.strip("/"), True) for name in directories}
    entries.update((name, False) for name in files)
    for name, is_directory in sorted(entries):
        path = posixpath.join(directory, name)
        is_next = left and name == left[0]
        if left and (name < left[0] or (is_next and not is_directory)):
            continue
        # (A name with a slash in it is that of another directory's file.)
        if "/" in name or not is_name(path):
            if passed_over and ("/" in name or is_passed_over(path)):
                passed_over(path)
            continue
        if is_directory and not _is_to_walk(backend, path):
            continue
        yield path, is_directory, left[1:] if is_next else ()


def _listdir(backend: Backend, directory: str) -> tuple[Sequence[str], Sequence[str]]:
    try:
        return backend.listdir(directory)
    except NotImplementedError as error:
        raise OperationNotSupportedError(
            f"The backend {backend.name!r} cannot list its files: its storage does not "
            "implement listdir()."
        ) from error
    except Exception as error:
        seen, _ = look_again(backend, LISTING, directory, classify(error), error)
        if seen is Outcome.ABSENT:
            return (), ()
        raise


def _left_of(after: str, directory: str) -> Sequence[str] | None:
    """Return the parts of ``after`` below a directory; None if it comes after all."""
    if not after:
        return ()
    parts = after.split("/")
    above = directory.split("/") if directory else []
    if parts[: len(above)] == above:
        return parts[len(above) :]
    return None if parts > above else ()


def _is_to_walk(backend: Backend, path: str) -> bool:
    if is_own(f"{path}/"):
        return False
    if not isinstance(backend.storage, FileSystemStorage):
        return True
    place = Path(backend.storage.path(path))
    # A link to a directory that it lies in: there would be no end.
    if not place.is_symlink():
        return True
    target, above = place.resolve(), PurePosixPath(path).parents
    return not any(
        # (By way of other links, perhaps: so each that led here.)
        Path(backend.storage.path(str(each))).resolve().is_relative_to(target)
        for each in above
    )
