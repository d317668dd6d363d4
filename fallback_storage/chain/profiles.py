"""What is known of storage classes: one table, by class path.

Nothing is imported for it. A row holds for the class and for its subclasses, but for
what a subclass does in a way of its own: see ``METHODS``. A class that is in no row is
taken to keep Django's contract. An entry of a chain overrides its row by ``PROFILE``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from fallback_storage.chain import dialects, kept, streams, timeouts, within
from fallback_storage.chain.places import class_path, computes_its_place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a storage; the defaults are what Django's contract says.

    ``concurrent``: it is far away, and one request may ask it from several threads.
    ``deletes_trees``: ``delete`` of a directory takes along what is below it.
    ``is_directory``: whether a directory has a name; no request.
    ``in_database``, ``in_process``: its content lives in the database, in this process.
    ``lazy_open``: ``open`` succeeds for files that are not there. ``lists_flat``: it can
    be asked for all keys that begin with a text (``flat_listing``). ``reads_at_open``:
    the call of ``open`` reads all of the file; ``open_by`` does so by a function that asks.
    ``whole``: it never shows a part of a file, and its server checks what arrives.

    ``loses_writes``: what it opens for writing does not keep all that is written to it.
    ``wants_bytes``: it stores no text, or not all of it; text is given to it in UTF-8.
    ``answers_always``: methods that answer for files that are not there. ``not_found``:
    paths of exceptions that mean "no such file".
    ``ask_again``: tells "absent" from "failed" where the class itself does not: true,
    false, an exception; ``ask_for_directory``: where a listing failed. ``listdir``: lists
    where the class's own does not keep the contract. ``keeps_whiteouts``: files of any
    name can be saved under it, and listed. ``keeps_facts``: its ``size`` and
    ``get_modified_time`` tell what a server far away says, or raise.
    ``has_place``: asks for its bucket, where a missing one is told as a missing file.
    ``is_denied``: whether a 403 means that a file may not be there; ``permission``: what
    credentials lack then.
    ``thread_safe``: several threads may call it at once; else each call has an instance
    for itself (``instances``), but for the ``thread_safe_methods``; ``close`` ends it.
    ``headers_of``: what is kept beside the content of a file that it opened, and what
    fetches its bytes where it gives others; ``save_with_headers``: saves with that.
    ``get``: opens a file that is to be copied by one request, with a ``client``; ``send``:
    what has its server copy files to another storage there (``within``).
    ``first_byte``: gets no more than that of a file, where reading it loads all of it.
    ``has_time_outs``: whether its client's time-outs were chosen. ``needs``: an option
    without which it can reach nothing, and the setting for it. ``client``: makes the
    client that each thread has of its own; neither asks a server.
    ``stream``: opens a file that is read as it arrives (``streams``).
    ``unlike_listed``: of a file that it opened, whether it is decoded when it is read, and
    whether what a listing shows for its MD5 is none.
    ``place_is_all``: where its files are says which files it has. ``place_varies``: that
    is computed at each call, and may be another tenant's. ``writable``: something can be
    written to it.
    """

    concurrent: bool = False
    deletes_trees: bool = False
    in_database: bool = False
    in_process: bool = False
    keeps_facts: bool = False
    lazy_open: bool = False
    lists_flat: bool = False
    loses_writes: bool = False
    place_is_all: bool = False
    place_varies: bool = False
    reads_at_open: bool = False
    wants_bytes: bool = False
    whole: bool = False
    writable: bool = True
    keeps_whiteouts: bool = True
    is_directory: Callable[[Any, str], bool] | None = None
    listdir: Callable[[Any, str], dialects.Listing] | None = None
    answers_always: tuple[str, ...] = ()
    not_found: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    ask_again: Callable[[Any, str], bool] | None = None
    ask_for_directory: Callable[[Any, str], bool] | None = None
    has_place: Callable[[Any], bool] | None = None
    open_by: Callable[[Any, Callable[..., Any], str, str], Any] | None = None
    get: Callable[[Any, Any, str, str], streams.Arriving] | None = None
    send: Callable[[Any, Any], within.Send | None] | None = None
    headers_of: Callable[[Any, str, Any], kept.Told] | None = None
    save_with_headers: Callable[[Any, str, Any, Mapping[str, Any]], str] | None = None
    stream: Callable[[Any, str], streams.Streamed] | None = None
    unlike_listed: Callable[[Any, Any], tuple[bool, bool]] | None = None
    is_denied: Callable[[Any, str, Exception], bool] | None = None
    first_byte: Callable[[Any, str], Any] | None = None
    has_time_outs: Callable[[Any], bool] | None = None
    client: Callable[[Any], object] | None = None
    permission: str = ""
    thread_safe: bool = True
    thread_safe_methods: tuple[str, ...] = ()
    close: str = "close"


DJANGO = Profile()

# What a subclass must have as it is for a row's permission to hold for it, too. (What
# warns of a class is kept for all of its subclasses: a method that calls that of the
# class is as lazy as it.)
METHODS: Mapping[str, tuple[str, ...]] = {
    fact: tuple(methods.split())
    for fact, methods in {
        "has_time_outs": "connection client service_client _get_service_client _connect",
        "client": "connection s3_connection",
        "get": "_open _normalize_name bucket connection get_modified_time",
        "headers_of": "_open",
        "is_directory": "exists _resolve",
        "keeps_facts": "size get_modified_time",
        "listdir": "listdir",
        "lists_flat": "exists listdir _normalize_name get_object_parameters",
        "open_by": "_open s3_connection",
        "place_is_all": "__init__ path",
        "save_with_headers": "_save _get_content_settings_parameters "
        "_get_write_parameters",
        "send": "_open _save _create_session _get_write_parameters _normalize_name "
        "bucket connection",
        "stream": "_open",
        "whole": "_save",
    }.items()
}


def _row(flags: str, **facts: Any) -> Profile:
    # The flags that are true, and what else is known.
    return Profile(**{**dict.fromkeys(flags.split(), True), **facts})


_AZURE = _row(
    "wants_bytes concurrent keeps_facts lazy_open whole",
    listdir=dialects.walk_blobs,
    has_place=dialects.has_container,
    has_time_outs=timeouts.of_azure,
    needs=("azure_container", "AZURE_CONTAINER"),
    stream=streams.from_azure,
    headers_of=kept.azure_headers,
    save_with_headers=kept.save_to_azure,
)
_DATABASE = _row(
    "in_database wants_bytes loses_writes",
    keeps_whiteouts=False,
    not_found=(
        "django.core.exceptions.ObjectDoesNotExist",
        "db_file_storage.storage.NameException",
    ),
)
# Of a storage that is not thread-safe, what makes no use of its connection.
_OF_NAMES = (
    *("deconstruct", "generate_filename", "get_alternative_name"),
    *("get_valid_name", "url"),
)
# (Some of them compute it in ``path``.)
_OF_TENANTS = _row("place_varies")
_DROPBOX = _row("deletes_trees keeps_facts lazy_open loses_writes wants_bytes")

PROFILES: Mapping[str, Profile] = {
    "db_file_storage.storage.DatabaseFileStorage": _DATABASE,
    "dbfiles.storage.DBStorage": _DATABASE,
    "django.core.files.storage.filesystem.FileSystemStorage": _row("place_is_all"),
    "django.core.files.storage.memory.InMemoryStorage": _row(
        "deletes_trees in_process whole", is_directory=dialects.is_directory_in_memory
    ),
    "django_tenants.files.storage.TenantFileSystemStorage": _OF_TENANTS,
    "django_tenants.files.storages.TenantFileSystemStorage": _OF_TENANTS,
    "django_s3_storage.storage.S3Storage": _row(
        "keeps_facts reads_at_open wants_bytes whole",
        ask_again=dialects.head_object,
        first_byte=dialects.get_by_django_s3_storage,
        open_by=dialects.open_by_django_s3_storage,
        client=attrgetter("s3_connection"),
        headers_of=kept.django_s3_storage_headers,
        save_with_headers=kept.save_to_django_s3_storage,
        is_denied=dialects.denies(dialects.get_by_django_s3_storage),
        permission="s3:ListBucket",
    ),
    "django_storage_webdav.storage.WebDavStorage": _row(
        "keeps_facts wants_bytes loses_writes",
        listdir=dialects.collection,
        ask_again=dialects.propfind,
    ),
    "fallback_storage.http.HTTPStorage": _row(
        "concurrent keeps_facts reads_at_open whole",
        writable=False,
        is_denied=dialects.takes_refusal_for_absence,
        permission="access",
        stream=streams.from_site,
    ),
    "inmemorystorage.storage.InMemoryStorage": _row(
        "deletes_trees in_process wants_bytes"
    ),
    "minio_storage.storage.MinioStorage": _row(
        "keeps_facts wants_bytes lazy_open loses_writes whole",
        ask_again=dialects.stat_object,
        first_byte=dialects.get_by_minio,
        headers_of=kept.minio_headers,
        save_with_headers=kept.save_to_minio,
        is_denied=dialects.denies(dialects.get_by_minio),
        permission="s3:ListBucket",
    ),
    "storages.backends.apache_libcloud.LibCloudStorage": _row(
        "wants_bytes lazy_open loses_writes", listdir=dialects.container_objects
    ),
    "storages.backends.azure_storage.AzureStorage": _AZURE,
    "storages.backends.dropbox.DropBoxStorage": _DROPBOX,
    "storages.backends.dropbox.DropboxStorage": _DROPBOX,
    "storages.backends.ftp.FTPStorage": _row(
        "wants_bytes lazy_open loses_writes",
        answers_always=("size",),
        ask_again=dialects.name_list,
        ask_for_directory=dialects.name_list,
        thread_safe=False,
        thread_safe_methods=_OF_NAMES,
        close="disconnect",
    ),
    "storages.backends.gcloud.GoogleCloudStorage": _row(
        "wants_bytes concurrent keeps_facts whole",
        has_place=dialects.has_google_bucket,
        has_time_outs=timeouts.of_google,
        needs=("bucket_name", "GS_BUCKET_NAME"),
        stream=streams.from_google,
        headers_of=kept.google_headers,
        save_with_headers=kept.save_to_google,
        unlike_listed=kept.unlike_in_google,
        is_denied=dialects.is_denied_by_google,
        permission="storage.objects.list",
    ),
    "storages.backends.s3.S3Storage": _row(
        "wants_bytes concurrent keeps_facts lists_flat whole",
        has_place=dialects.has_bucket,
        first_byte=dialects.get_by_s3storage,
        has_time_outs=timeouts.of_s3storage,
        needs=("bucket_name", "AWS_STORAGE_BUCKET_NAME"),
        client=attrgetter("connection"),
        get=streams.get_from_s3storage,
        send=within.send_in_s3storage,
        stream=streams.from_s3storage,
        headers_of=kept.s3storage_headers,
        save_with_headers=kept.save_to_s3storage,
        unlike_listed=kept.unlike_in_s3storage,
        is_denied=dialects.denies(dialects.get_by_s3storage),
        permission="s3:ListBucket",
    ),
    "storages.backends.sftpstorage.SFTPStorage": _row(
        "wants_bytes keeps_facts lazy_open loses_writes",
        has_time_outs=timeouts.of_sftp,
        needs=("host", "SFTP_STORAGE_HOST"),
        thread_safe=False,
        thread_safe_methods=_OF_NAMES,
    ),
    "tenant_schemas.storage.TenantFileSystemStorage": _OF_TENANTS,
}

# Classes that are far away and thread-safe: exactly these, for what a subclass does may
# need the caller's thread. (libcloud's drivers are not thread-safe.)
HAVE_DEADLINE = frozenset(
    {
        "django_s3_storage.storage.S3Storage",
        "django_storage_webdav.storage.WebDavStorage",
        "fallback_storage.http.HTTPStorage",
        "minio_storage.storage.MinioMediaStorage",
        "minio_storage.storage.MinioStorage",
        "storages.backends.azure_storage.AzureStorage",
        "storages.backends.dropbox.DropBoxStorage",
        "storages.backends.dropbox.DropboxStorage",
        "storages.backends.gcloud.GoogleCloudStorage",
        "storages.backends.s3.S3Storage",
    }
)


def profile_of(storage: object) -> Profile:
    """Return what the table says of a storage's class, or of the nearest base of it."""
    klass = storage.__class__
    base = next((base for base in klass.__mro__ if class_path(base) in PROFILES), klass)
    row = PROFILES.get(class_path(base), DJANGO)
    changed = {
        fact: getattr(DJANGO, fact)
        for fact, methods in METHODS.items()
        if getattr(row, fact)
        and any(_is_changed(storage, base, method) for method in methods)
    }
    if row.place_varies or computes_its_place(klass, PROFILES):
        # Another thread may not know for whom it works.
        changed |= {"place_varies": True, "concurrent": False}
    return replace(row, **changed)


def _is_changed(storage: object, base: type, method: str) -> bool:
    own = getattr(base, method, None)
    return getattr(storage.__class__, method, None) is not own or method in getattr(
        storage, "__dict__", ()
    )
