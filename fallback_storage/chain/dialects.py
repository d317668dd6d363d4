"""How some servers are asked, where the methods of a storage class do not tell enough.

For ``profiles``. Nothing is imported before it is needed: who asks has the library.
"""

from __future__ import annotations

import posixpath
import sys
from copy import copy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from fallback_storage.chain.outcomes import s3_code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    Listing = tuple[list[str], list[str]]

# Replies of an FTP server for files that are not there: RFC 959, and 450 of those that
# say so of an empty directory.
FTP_NOT_FOUND = ("450", "550")


# Is it there? True, false, or an exception that tells why nobody knows.


def head_object(storage: Any, name: str) -> bool:
    """Ask as django-s3-storage (0.15) does, whose errors keep no code but a text."""
    parameters = storage._object_params(name)  # noqa: SLF001 - a row of the profiles
    return bool(storage.s3_connection.head_object(**parameters))


def stat_object(storage: Any, name: str) -> bool:
    """Ask as django-minio-storage (0.6) does, whose ``exists`` passes over all errors."""
    return storage.size(name) is not None


def stat(storage: Any, name: str) -> bool:
    """Ask as django-minio-backend (4.4) does, whose ``exists`` passes over all errors."""
    return storage.stat(name) is not None


def propfind(storage: Any, name: str) -> bool:
    """Ask as django-storage-webdav (0.1) does, which tells no status from another."""
    storage._propfind(name, 0).raise_for_status()  # noqa: SLF001
    return True


def name_list(storage: Any, name: str) -> bool:
    """Ask as FTPStorage (1.14) does, whose ``exists`` takes "try later" for "no"."""
    import ftplib

    storage._start_connection()  # noqa: SLF001
    directory, base = posixpath.split(name)
    try:
        names = storage._connection.nlst(directory)  # noqa: SLF001
    except (ftplib.error_perm, ftplib.error_temp) as error:
        if str(error).startswith(FTP_NOT_FOUND):
            return False
        raise
    return name in names or base in names


def is_directory_in_memory(storage: Any, name: str) -> bool:
    """Look into Django's InMemoryStorage, whose ``exists`` is true of both."""
    return hasattr(storage._resolve(name, check_exists=False), "listdir")  # noqa: SLF001


# What is in a directory? Its directories and its files, by their own names.


def walk_blobs(storage: Any, directory: str) -> Listing:
    """List as AzureStorage (1.14) does not: level by level, without its prefix."""
    prefix = _prefix(posixpath.join(storage.location.strip("/"), directory))
    found = storage.client.walk_blobs(prefix, timeout=storage.timeout)
    return _level(prefix, (blob.name for blob in found))


def container_objects(storage: Any, directory: str) -> Listing:
    """List as LibCloudStorage (1.14) does not: with directories of any depth."""
    prefix = _prefix(directory)
    container = storage._get_bucket()  # noqa: SLF001
    found = storage.driver.list_container_objects(container, prefix=prefix)
    return _level(prefix, (each.name for each in found))


def collection(storage: Any, directory: str) -> Listing:
    """List as django-storage-webdav (0.1) does not: by names, and without itself."""
    response = storage._propfind(directory)  # noqa: SLF001
    response.raise_for_status()
    directories: list[str] = []
    files: list[str] = []
    for item in storage._parse_propfind(response, ""):  # noqa: SLF001
        name = unquote(item.name).strip("/")
        if name not in {"", ".", directory.strip("/")}:
            (directories if item.path else files).append(posixpath.basename(name))
    return directories, files


def _prefix(directory: str) -> str:
    directory = directory.strip("/")
    return f"{directory}/" if directory else ""


def _level(prefix: str, names: Iterable[str]) -> Listing:
    """Return what is directly below a prefix, of names that begin with it."""
    directories: dict[str, None] = {}
    files: list[str] = []
    for name in names:
        head, slash, _ = name.removeprefix(prefix).partition("/")
        if slash:
            directories[head] = None
        else:
            files.append(head)
    return list(directories), files


# Is the bucket there? Of one that is not, a HEAD says the same as of a missing file.


def has_bucket(storage: Any) -> bool:
    """Ask S3 with the client of django-storages' S3Storage."""
    return bool(storage.connection.meta.client.head_bucket(Bucket=storage.bucket_name))


def has_google_bucket(storage: Any) -> bool:
    """Ask Google with the client of GoogleCloudStorage."""
    return storage.client.get_bucket(storage.bucket_name) is not None


def has_container(storage: Any) -> bool:
    """Ask Azure with the client of AzureStorage."""
    return bool(storage.client.exists())


# Is a 403 one for a file that may not be there?


def is_denied_to_s3storage(storage: Any, name: str, error: Exception) -> bool:
    """Whether S3 says ``AccessDenied`` to S3Storage; see ``_is_access_denied``."""
    return _is_access_denied(get_by_s3storage, storage, name)


def is_denied_to_django_s3_storage(storage: Any, name: str, error: Exception) -> bool:
    """Whether S3 says so to django-s3-storage."""
    return _is_access_denied(get_by_django_s3_storage, storage, name)


def is_denied_to_minio(storage: Any, name: str, error: Exception) -> bool:
    """Whether MinIO says so to django-minio-storage."""
    return _is_access_denied(get_by_minio, storage, name)


def _is_access_denied(get: Callable[[Any, str], Any], storage: Any, name: str) -> bool:
    """Whether a 403 of S3 is its ``AccessDenied``.

    That is what S3 answers for files that are not there to credentials that may read
    and may not list; wrong, expired and skewed ones get other codes. Only a GET is
    answered with a code, so one byte is asked for by ``get``.
    """
    try:
        get(storage, name).close()
    except Exception as denial:  # noqa: BLE001 - what it says is the answer
        return s3_code(denial) == "AccessDenied"
    return False


def takes_refusal_for_absence(storage: Any, name: str, error: Exception) -> bool:
    """Whether a 403 means "not there": of a public site, where it was said to."""
    return True


def get_by_s3storage(storage: Any, name: str) -> Any:
    """Get a byte with the client and the parameters of django-storages' S3Storage."""
    key = storage._normalize_name(name)  # noqa: SLF001
    wanted = s3storage_parameters(storage.get_object_parameters(key))
    return storage.connection.meta.client.get_object(
        Bucket=storage.bucket_name, Key=key, Range="bytes=0-0", **wanted
    )["Body"]


def head_by_s3storage(storage: Any, name: str) -> tuple[int, datetime] | None:
    """Ask with what S3Storage (1.14) sends along to open a file, and not for its size.

    Of an object under a key of the customer's S3 tells nothing without that. None: it
    sends nothing along.
    """
    wanted = s3storage_parameters(storage.get_object_parameters(name))
    if not wanted:
        return None
    key, client = storage._normalize_name(name), storage.connection.meta.client  # noqa: SLF001
    found = client.head_object(Bucket=storage.bucket_name, Key=key, **wanted)
    return found["ContentLength"], found["LastModified"]


def s3storage_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return those parameters of S3Storage that it sends along with questions."""
    # Its module was imported by whoever made the storage.
    module = sys.modules.get("storages.backends.s3")
    chosen = getattr(module, "_filter_download_params", dict)
    return dict(chosen(parameters))


def get_by_django_s3_storage(storage: Any, name: str) -> Any:
    """Get a byte with the client of django-s3-storage."""
    wanted = storage._object_params(name)  # noqa: SLF001
    return storage.s3_connection.get_object(**wanted, Range="bytes=0-0")["Body"]


def open_by_django_s3_storage(
    storage: Any, ask: Callable[..., Any], name: str, mode: str
) -> Any:
    """Open as django-s3-storage (0.15) does, which reads what its GET answers."""

    def get_object(**wanted: Any) -> Any:
        # The client is that of the thread which asks.
        return ask(lambda: storage.s3_connection.get_object(**wanted))

    asking = copy(storage)
    connection = SimpleNamespace(get_object=get_object)
    asking._connections = SimpleNamespace(s3_connection=connection)  # noqa: SLF001
    opened = asking._open(name, mode)
    opened._storage = storage  # noqa: SLF001
    return opened


def get_by_minio(storage: Any, name: str) -> Any:
    """Get a byte with the client of django-minio-storage."""
    return storage.client.get_object(storage.bucket_name, name, length=1)


def is_denied_by_google(storage: Any, name: str, error: Exception) -> bool:
    """Look at the reason: no account, no quota and no billing are 403 as well."""
    reasons = {each.get("reason") for each in getattr(error, "errors", ())}
    return reasons == {"forbidden"}
