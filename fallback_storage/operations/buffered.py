"""Files opened for writing in storages whose own file objects lose what is written.

Some keep the last ``write()`` only, some none (``profiles``). Here all of it is kept in
a temporary file, and saved once, when the file is closed.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

from django.core.files.base import File

from fallback_storage.operations.files import AnyFile, Guarded
from fallback_storage.utils.spools import SPOOL_MEMORY

if TYPE_CHECKING:
    from fallback_storage.chain.backend import Backend


class BufferedFile(AnyFile):
    """A file of a backend that is saved when it is closed.

    Raises ``FileNotFoundError`` if ``mode`` is "r+" and there is none.
    """

    file: Any

    def __init__(self, backend: Backend, name: str, mode: str) -> None:
        storage: Any = backend.storage
        is_there = ("r" in mode or "a" in mode) and backend.ask(storage.exists, name)
        if "r" in mode and not is_there:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        self._storage = storage
        self._spool: Any = tempfile.SpooledTemporaryFile(SPOOL_MEMORY)  # noqa: SIM115
        file: Any = self._spool
        if "b" not in mode:
            file = io.TextIOWrapper(self._spool, encoding="utf-8", newline="")
        super().__init__(file, name)
        self.mode = mode
        if is_there:
            with storage._open(name, "rb") as found:
                shutil.copyfileobj(found, self._spool)
            file.seek(0, os.SEEK_END if "a" in mode else os.SEEK_SET)

    def close(self) -> None:
        """Save what was written. Raises what the storage raises."""
        if self.closed:
            return
        try:
            self.file.flush()
            self._spool.seek(0)
            content = Guarded(File(self._spool, self.name), movable=False)
            save_exactly(self._storage, self.name, content)
        finally:
            self._spool.close()


def save_exactly(storage: Any, name: str | None, content: AnyFile) -> None:
    """Save in the place of what has the name. Raises what the storage raises.

    Where it gives its files other names instead, the content is under one of them until
    the name is free: it is never nowhere.
    """
    saved = storage._save(name, content)
    if saved != name:
        storage.delete(name)
        content.seek(0)
        again = storage._save(name, content)
        storage.delete(saved)
        if again != name:
            raise FileExistsError(
                errno.EEXIST, "the file was given another name", again
            )
