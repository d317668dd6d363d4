"""URLs that are put together, where a storage would quote and join and sign nothing.

As ``equivalents``: only where the storage's own methods are what makes them, which each
call looks at anew, as at what stands before the name (``MEDIA_URL``, a domain).
"""

from __future__ import annotations

import re
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

from fallback_storage.chain.equivalents import intercepts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Nothing of such a name is quoted in a URL, and it is no URL itself.
PLAIN: Final = re.compile(r"[A-Za-z0-9_.~!*()'/-]+").fullmatch

# Names of which URLs are made to see what stands before the name.
SAMPLES: Final = ("a/b.c", "~!*()'-_0")

# What is the same as long as it is equal.
STEADY: Final = frozenset({str, bool, NoneType})


def quick_url_of(
    storage: Any, rests_on: Sequence[str], made_by: Sequence[str]
) -> Callable[[str], str] | None:
    """Return what makes the URL of a clean name as the storage does.

    ``rests_on``: the attributes that decide what stands before a name in its URL
    (``Profile.url_rests_on``); None without. ``made_by``: the methods that make it.
    """
    kind = type(storage)
    methods = [name for name in made_by if hasattr(kind, name)]
    if not (rests_on and methods) or intercepts(storage):
        return None
    read, methods_of, own = attrgetter(*rests_on), attrgetter(*methods), vars(storage)
    untouched = methods_of(kind)
    made: tuple[Any, str | None] = kind, None

    # The hot path: nothing here is for beauty.
    def url(name: str, is_plain: Any = PLAIN) -> str:
        nonlocal made
        known, start = made
        try:
            told = read(storage)
        except AttributeError:
            return storage.url(name)  # type: ignore[no-any-return]
        if told != known:
            start = _before_names(storage, told)
            if read(storage) == told:
                made = told, start
        if (
            start is None
            or not is_plain(name)
            or methods_of(kind) != untouched
            or not own.keys().isdisjoint(methods)
        ):
            return storage.url(name)  # type: ignore[no-any-return]
        return start + name

    return url


def _before_names(storage: Any, told: Any) -> str | None:
    """Return what stands before every name in its URL; None if there is no such thing.

    ``told``: what that rests on, one or several; the first is what there must be.
    """
    told = told if type(told) is tuple else (told,)
    if not told[0] or not STEADY.issuperset(map(type, told)):
        return None
    try:
        first, second = map(storage.url, SAMPLES)
    except Exception:  # noqa: BLE001 - who asks for a URL will be told
        return None
    start = first.removesuffix(SAMPLES[0]) if type(first) is str else None
    return (
        start
        if (first, second) == tuple(f"{start}{name}" for name in SAMPLES)
        else None
    )
