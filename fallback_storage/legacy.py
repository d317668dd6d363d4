"""The times by the names that the original documents; Django dropped them in 2.0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils import timezone

if TYPE_CHECKING:
    from datetime import datetime

    from fallback_storage.names import StrPath


class LegacyTimes:
    """Mixin: the old methods return naive local times."""

    def _fetch(self, operation: str, name: StrPath) -> Any:
        raise NotImplementedError

    def accessed_time(self, name: StrPath) -> datetime:
        """Return ``get_accessed_time`` as the original documents it: naive local time."""
        return _naive(self._fetch("accessed_time", name))

    def created_time(self, name: StrPath) -> datetime:
        """Return ``get_created_time`` as the original documents it: naive local time."""
        return _naive(self._fetch("created_time", name))

    def modified_time(self, name: StrPath) -> datetime:
        """Return ``get_modified_time`` as the original documents it: naive local time."""
        return _naive(self._fetch("modified_time", name))


def _naive(moment: datetime) -> datetime:
    return timezone.make_naive(moment) if timezone.is_aware(moment) else moment
