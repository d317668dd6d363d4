"""Whether the time-outs of a storage's client were chosen, for ``profiles``.

What clients have by default is made for jobs that run at night: a minute to connect,
another one for an answer, and all of it several times. Nothing is asked of a server.
"""

from __future__ import annotations

from typing import Any, Final

# Seconds that boto3 waits for a connection, and for an answer, if it is not told.
BOTO3_DEFAULT: Final = 60


def of_s3storage(storage: Any) -> bool:
    """Look at the ``client_config`` of django-storages' S3Storage (from 1.14 on)."""
    config = storage.client_config
    chosen = (config.connect_timeout, config.read_timeout)
    # (None is boto3's word for "for ever".)
    return all(seconds is not None and seconds < BOTO3_DEFAULT for seconds in chosen)


def of_azure(storage: Any) -> bool:
    """Look at the ``client_options`` of AzureStorage (from 1.14.3 on).

    Its client is not given them where there is a connection string. (Its ``timeout`` is
    the server's, for the work on one request.)
    """
    options = getattr(storage, "client_options", {})
    chosen = {"connection_timeout", "read_timeout"} <= set(options)
    return chosen and storage.connection_string is None


def of_sftp(storage: Any) -> bool:
    """Look at the ``params`` of SFTPStorage, with which its client connects."""
    return "timeout" in storage.params


def of_google(storage: Any) -> bool:
    """GoogleCloudStorage (1.14) has no option for it; a subclass can make the client."""
    return False
