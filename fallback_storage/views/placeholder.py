"""A picture in the place of one that nobody has."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from fallback_storage.conf.rules import refuse
from fallback_storage.views.options import mistakes_in_placeholder

# Grey, of any size.
PICTURE = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 3">'
    b'<path fill="#ddd" d="M0 0h4v3H0z"/><path fill="#bbb" d="M.5 2.5l1-1.2.6.6.7-1 .7 1.6z"/>'
    b"</svg>"
)


def placeholder(path: str | bool) -> tuple[bytes, str]:
    """Return the bytes and the type of a picture; ``path`` True: the built-in one.

    Raises ``ConfigurationError`` if there is none.
    """
    if not isinstance(path, str):
        return PICTURE, "image/svg+xml"
    refuse(mistakes_in_placeholder({"placeholder": path}))
    kind, _ = mimetypes.guess_type(path)
    return Path(path).read_bytes(), kind or "application/octet-stream"
