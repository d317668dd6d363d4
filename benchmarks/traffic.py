"""Counts what goes over the wire: every request botocore is about to send.

Counted in the client, so one that fails or is repeated counts as well. Runs in the
original's environment too, hence imports nothing of this package.
"""

from __future__ import annotations

from types import SimpleNamespace

from storages.backends.s3 import S3Storage

#: The methods of all requests since the last ``clear``; appending is atomic.
SENT: list[str] = []


def _record(request, **kwargs):
    SENT.append(request.method)


class CountedS3Storage(S3Storage):
    """S3Storage whose clients, one a thread, all report to ``SENT``."""

    def _create_session(self):
        session = super()._create_session()
        session.events.register("before-send.s3", _record)
        return session


class OneClientS3Storage(CountedS3Storage):
    """One client for all threads."""

    def __init__(self, **options):
        super().__init__(**options)
        self._connections = SimpleNamespace()
