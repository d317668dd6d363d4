"""Which backend an exception came from, where several are asked."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fallback_storage.backends import Backend


class Blame:
    """``backend``: the first that failed while it was asked."""

    def __init__(self) -> None:
        self.backend: Backend | None = None

    @contextmanager
    def asking(self, backend: Backend) -> Iterator[None]:
        """Blame ``backend`` for what is raised within, unless another is already."""
        try:
            yield
        except Exception:
            self.backend = self.backend or backend
            raise
