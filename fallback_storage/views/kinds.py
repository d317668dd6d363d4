"""What a file is, by its name, whatever Python and machine; and what a browser runs."""

from __future__ import annotations

import mimetypes
from typing import Final

# Types that not every Python knows, of those that web pages are made of.
TYPES: Final = {
    ".avif": "image/avif",
    ".flac": "audio/flac",
    ".heic": "image/heic",
    ".jxl": "image/jxl",
    ".mjs": "text/javascript",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
COMPRESSED: Final = {
    "br": "application/x-brotli",
    "bzip2": "application/x-bzip2",
    "compress": "application/x-compress",
    "gzip": "application/gzip",
    "xz": "application/x-xz",
}

# What a browser runs, as a page of this site. A picture is no page; but SVG can be one.
SVG: Final = "image/svg+xml"
PAGES: Final = frozenset(
    {"text/html", "application/xhtml+xml", "text/xml", "application/xml", "text/xsl"}
)


def type_of(name: str) -> str:
    """Return the content type of a file."""
    # Of the file alone: a directory "data:..." would be believed.
    kind, coding = mimetypes.guess_type(name.rpartition("/")[2])
    if coding is not None:
        return COMPRESSED.get(coding, "application/octet-stream")
    extension = name[name.rfind(".") :].lower() if "." in name else ""
    return TYPES.get(extension) or kind or "application/octet-stream"
