"""One spelling for every file name, before any backend or memo sees it.

``./a``, ``a//b`` and backslashes are spellings that Django's storages and
django-storages fold in different ways. Folding them once, here, makes all backends
of a chain and the memo speak of the same file; names that would leave the storage
are refused here, so they reach no backend.
"""

from __future__ import annotations

import ntpath
import os
import posixpath

from django.core.exceptions import SuspiciousFileOperation

StrPath = str | os.PathLike[str]

# The memo's name for "any name at all": no file can have it. Whoever invalidates a name
# invalidates this one before it, so a lease on it tells whether anything was written
# since. Who fills names that it did not know beforehand needs that (``warming``).
EVERY = "/"


def clean_name(name: StrPath) -> str:
    """Return the canonical spelling of ``name``.

    The storage's root is ``""``; a trailing slash is kept, because object stores
    tell ``a/`` from ``a``.

    Raises ``SuspiciousFileOperation`` (Django answers 400) for names that are
    absolute, climb above the storage's root or hold a NUL character, and
    ``TypeError`` for anything but ``str`` or a path of ``str``.
    """
    if type(name) is str and _is_plain(name):
        return name
    text = os.fspath(name)
    if not isinstance(text, str):
        raise TypeError(f"A file name must be str or a path of str, not {text!r}.")
    if "\0" in text:
        raise SuspiciousFileOperation(f"The file name {text!r} holds a NUL character.")
    slashed = text.replace("\\", "/")
    if slashed.startswith("/") or (os.name == "nt" and ntpath.splitdrive(text)[0]):
        raise SuspiciousFileOperation(
            f"The file name {text!r} is absolute; names are relative to the storage."
        )
    clean = posixpath.normpath(slashed)
    if clean == ".." or clean.startswith("../"):
        raise SuspiciousFileOperation(
            f"Detected path traversal attempt in {text!r}: it leaves the storage."
        )
    if clean == ".":
        return ""
    return clean + "/" if slashed.endswith("/") else clean


def _is_plain(text: str) -> bool:
    """Whether there is nothing to fold or refuse; as most names are, of every call."""
    return (
        "\\" not in text
        and "\0" not in text
        and "//" not in text
        and "/." not in text
        and not text.startswith(("/", "."))
        and not text.endswith("/")
        and text != ""
        and os.name != "nt"  # C:a
    )


def memo_key(clean: str) -> str | None:
    """Return the memo's key for a clean name, or None if it must not be memoised.

    The root and names with a trailing slash mean directories, of which each kind
    of backend has its own idea.
    """
    return None if not clean or clean.endswith("/") else clean


def affected(*names: StrPath) -> frozenset[str]:
    """Return every name of which a write to ``names`` may change what is known.

    These are the names and their ancestors: saving ``a/b/c`` makes ``exists("a/b")``
    true on a file system.
    """
    result: set[str] = set()
    for name in names:
        try:
            head = clean_name(name).rstrip("/")
        except (SuspiciousFileOperation, TypeError):
            continue  # what a backend returned: nothing can be known of it
        while head and head not in result:
            result.add(head)
            head = posixpath.dirname(head)
    return frozenset(result)
