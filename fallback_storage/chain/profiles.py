"""What is known of storage classes: one table, by class path.

Nothing is imported for it. A row holds for the class and for its subclasses, but for
what a subclass does in a way of its own: see ``METHODS``. A class that is in no row is
taken to keep Django's contract. An entry of a chain overrides its row by ``PROFILE``.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from fallback_storage.chain import places
from fallback_storage.chain.places import class_path, computes_its_place
from fallback_storage.chain.profile import DJANGO, METHODS, Profile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fallback_storage.chain import dialects, kept, streams, timeouts, within
else:

    class _Later:
        """Stands for a module that is imported when a function of it is called.

        A site has one or two of these classes, and most pages need nothing of this.
        """

        def __init__(self, module: str) -> None:
            self._path = f"fallback_storage.chain.{module}"

        def __getattr__(self, function: str) -> partial[Any]:
            return partial(_call, self._path, function)

    def _call(module: str, function: str, *args: Any) -> Any:
        return getattr(import_module(module), function)(*args)

    dialects, kept, streams = _Later("dialects"), _Later("kept"), _Later("streams")
    timeouts, within = _Later("timeouts"), _Later("within")


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
_OF_TENANTS = _row("place_varies")  # (some of them compute it in ``path``)
_DIRECTORY = _row(
    "place_is_all", url_rests_on=("base_url",), root=places.root_of_directory
)
_DROPBOX = _row("deletes_trees keeps_facts lazy_open loses_writes wants_bytes")

PROFILES: Mapping[str, Profile] = {
    "db_file_storage.storage.DatabaseFileStorage": _DATABASE,
    "dbfiles.storage.DBStorage": _DATABASE,
    "django.core.files.storage.filesystem.FileSystemStorage": _DIRECTORY,
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
        is_denied=dialects.is_denied_to_django_s3_storage,
        permission="s3:ListBucket",
    ),
    "django_minio_backend.models.MinioBackend": _row(
        "wants_bytes loses_writes", answers_always=("size",), ask_again=dialects.stat
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
        is_denied=dialects.is_denied_to_minio,
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
        head=dialects.head_by_s3storage,
        root=places.root_of_s3storage,
        send=within.send_in_s3storage,
        stream=streams.from_s3storage,
        headers_of=kept.s3storage_headers,
        save_with_headers=kept.save_to_s3storage,
        unlike_listed=kept.unlike_in_s3storage,
        url_rests_on=("custom_domain", "cloudfront_signer", "location", "url_protocol"),
        is_denied=dialects.is_denied_to_s3storage,
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
        if getattr(row, fact) and any(_is_changed(storage, base, m) for m in methods)
    }
    if row.place_varies or computes_its_place(klass, PROFILES):
        changed |= {"place_varies": True, "concurrent": False}  # threads know no tenant
    return row.replace(**changed)


def _is_changed(storage: object, base: type, method: str) -> bool:
    own = getattr(base, method, None)
    return getattr(storage.__class__, method, None) is not own or method in getattr(
        storage, "__dict__", ()
    )
