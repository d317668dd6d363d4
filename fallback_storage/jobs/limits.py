"""Which files a run of ``sync`` is for: by their size, and by when they were written."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from django.utils import timezone

from fallback_storage.exceptions import OperationNotSupportedError
from fallback_storage.jobs.compare import modified_in, size_in

if TYPE_CHECKING:
    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.flat_listing import Listed


class Limits(NamedTuple):
    """Files of up to ``max_size`` bytes, written at ``newer`` or later (aware)."""

    max_size: int | None
    newer: datetime | None

    @classmethod
    def of(cls, max_size: Any, newer: Any) -> Limits:
        """Return the limits that somebody means. Raises ``ValueError``."""
        if max_size is not None and (type(max_size) is not int or max_size < 0):
            raise ValueError(f"max_size is {max_size!r}: give a number of bytes.")
        if isinstance(newer, timedelta):
            try:
                newer = datetime.now(tz=timezone.get_default_timezone()) - newer
            except OverflowError:
                raise ValueError(f"newer is {newer!r}: that is no year.") from None
        if newer is not None and not isinstance(newer, datetime):
            raise ValueError(f"newer is {newer!r}: give a datetime, or a timedelta.")
        if newer is not None and timezone.is_naive(newer):
            newer = timezone.make_aware(newer)
        return cls(max_size, newer)

    def leave_out(self, source: Backend, shows: Listed) -> bool:
        """Whether a file is not meant; asks for what no listing tells.

        Raises a ``BackendError``: of ``OperationNotSupportedError``, if that cannot be
        known.
        """
        name, size = shows.name, shows.size
        with source.asking():
            if self.max_size is not None:
                size = size_in(source, name) if size is None else size
                if size is None:
                    raise _unknown(source, "sizes")
                if size > self.max_size:
                    return True
            return self.newer is not None and _modified(source, shows) < self.newer


def _modified(source: Backend, shows: Listed) -> datetime:
    if shows.date:
        return datetime.fromisoformat(f"{shows.date}+00:00")
    try:
        return modified_in(source, shows.name)
    except (AttributeError, NotImplementedError) as error:
        raise _unknown(source, "times of modification") from error


def _unknown(source: Backend, what: str) -> OperationNotSupportedError:
    return OperationNotSupportedError(
        f"The backend {source.name!r} tells no {what}: leave that limit out."
    )
