"""What object stores keep of a file beside its content, and content that is encoded.

A file may be stored compressed, and only its Content-Encoding says so. Where no headers
are kept those bytes are not the file. So a copy keeps its headers, or is decoded, or is
not made.
"""

from __future__ import annotations

import gzip
import mimetypes
import tempfile
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fallback_storage.chain.kept import Told
from fallback_storage.exceptions import EncodedFileError
from fallback_storage.utils.spools import SPOOL_MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from fallback_storage.chain.backend import Backend

# What HTTP knows as a content coding. Anything else that people write into the header
# ("utf-8", "aws-chunked") says nothing of the bytes.
CODINGS: Final = frozenset(
    [
        "aes128gcm",
        "br",
        "compress",
        "dcb",
        "dcz",
        "deflate",
        "exi",
        "gzip",
        "pack200-gzip",
        "zstd",
    ]
)


class Form(NamedTuple):
    """What a backend keeps of an opened file, and in which form it gives its content.

    ``coding``: what the content is encoded by; "" if by nothing, or by what the name
    tells ("a.tar.gz"): who serves such a file, or saves it, goes by the name.
    ``as_stored``: the size and MD5 that a listing shows are those of what is read, coding
    and all; ``has_size``: the size alone is. ``modified``: when it was, if that is known.
    ``send``: has the server of the home make the copy, and returns its name.
    """

    name: str
    headers: Mapping[str, Any]
    coding: str
    as_stored: bool
    has_size: bool = True
    modified: datetime | None = None
    send: Callable[[], str] | None = None

    def is_kept_by(self, home: Backend) -> bool:
        """Whether a copy in this backend keeps the headers, and so the coding."""
        return bool(self.headers and home.profile.save_with_headers)

    def plain(self, opened: Any) -> Any:
        """Return what the file is without its coding, as far as that can be told."""
        return _Gunzipped(opened, self) if self.coding == "gzip" else opened

    def to_copy(self, home: Backend, opened: Any) -> Any:
        """Return what a copy in this backend is made of.

        Raises ``EncodedFileError`` if it can neither keep the coding nor do without.
        """
        if self.is_kept_by(home):
            return opened
        if self.coding not in {"", "gzip"}:
            raise EncodedFileError(self.name, self.coding)
        return self.plain(opened)

    def save(self, home: Backend, content: Any) -> str:
        """Save to a backend, with the headers as far as it keeps them."""
        if self.send is not None:
            return self.send()
        storage: Any = home.storage
        save = home.profile.save_with_headers
        if save is not None and self.headers:
            return save(storage, self.name, content, self.headers)
        if "content_type" in self.headers:
            # What many storages look for.
            content.content_type = self.headers["content_type"]
        return storage._save(self.name, content)  # type: ignore[no-any-return]


def form_of(backend: Backend, name: str, opened: Any, *, is_read: bool = True) -> Form:
    """Return the form of a file that a backend has just opened.

    ``is_read``: it is going to be. From then on it gives the bytes that are stored, also
    if its client decodes what it reads. A request to Azure, MinIO, and by
    django-s3-storage. Raises what the backend
    raises.
    """
    if isinstance(getattr(opened, "form", None), Form):
        return opened.form  # type: ignore[no-any-return]  # told when it was opened
    profile = backend.profile
    unlike = profile.unlike_listed
    decoded, odd = unlike(backend.storage, opened) if unlike else (False, False)
    if profile.headers_of is None:
        return Form(name, {}, "", not (decoded or odd), has_size=not decoded)
    headers, fetch, has_size = Told(*profile.headers_of(backend.storage, name, opened))
    if fetch is not None and is_read:
        opened.file = tempfile.SpooledTemporaryFile(SPOOL_MEMORY)  # noqa: SIM115
        fetch(opened.file)
        opened.file.seek(0)
    coding = coding_of(name, headers.get("content_encoding", ""))
    return Form(name, headers, coding, has_size and not odd, has_size)


def coding_of(name: str, header: str) -> str:
    """Return what a file is encoded by, as its Content-Encoding says; see ``Form``."""
    codings = [each.strip().lower().removeprefix("x-") for each in header.split(",")]
    coding = ", ".join(each for each in codings if each in CODINGS)
    _, told = mimetypes.guess_type(name)
    return "" if coding == told else coding


class _Gunzipped(gzip.GzipFile):
    """What a compressed file is when it is read."""

    def __init__(self, packed: Any, form: Form) -> None:
        super().__init__(fileobj=packed, mode="rb")
        self._form = form

    def read(self, size: int | None = -1) -> bytes:
        """Read on. Raises ``EncodedFileError`` if that is no gzip, or broken off."""
        try:
            return super().read(size)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise EncodedFileError(self._form.name, self._form.coding) from error


def shows_plain(backend: Backend, name: str) -> bool:
    """Whether a listing shows the size and MD5 of the file without its coding.

    A request, the file is not read. Raises a ``BackendError``.
    """
    storage: Any = backend.storage
    with backend.asking(), storage._open(name, "rb") as opened:
        form = form_of(backend, name, opened, is_read=False)
        return form.as_stored and form.coding != "gzip"
