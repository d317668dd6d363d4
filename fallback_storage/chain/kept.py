"""What storages keep of a file beside its content, and how one is saved with that.

For ``profiles``. Nothing is imported before it is needed: who asks has the library.
"""

from __future__ import annotations

import mimetypes
import shutil
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fallback_storage.chain.dialects import s3storage_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# As Google and Azure call it, and boto3 in its own spelling.
HEADERS: Final = (
    "content_type",
    "content_encoding",
    "content_language",
    "content_disposition",
    "cache_control",
    "metadata",
)
# What only S3 keeps.
S3_HEADERS: Final = (*HEADERS, "expires")

PIECE: Final = 1024 * 1024
META: Final = "x-amz-meta-"


class Told(NamedTuple):
    """``fetch`` writes the bytes that are stored into a file, if others are read.

    (A file whose name tells its coding as well, "a.tar.gz", would be another one than was
    saved.) ``has_size``: those bytes are as many as ``size`` says.
    """

    headers: Mapping[str, Any]
    fetch: Callable[[Any], object] | None = None
    has_size: bool = True


# What is told of a file that was opened?


def s3storage_headers(storage: Any, name: str, opened: Any) -> Told:
    """Return what S3Storage (1.14) has asked for already."""
    headers = _headers(opened.obj, S3_HEADERS)
    if not (storage.gzip and headers.get("content_encoding") == "gzip"):
        return Told(headers)
    wanted = s3storage_parameters(storage.get_object_parameters(name))
    fetch = opened.obj.download_fileobj
    return Told(
        headers, partial(fetch, ExtraArgs=wanted, Config=storage.transfer_config)
    )


def google_headers(storage: Any, name: str, opened: Any) -> Told:
    """Return what GoogleCloudStorage (1.14) has asked for already."""
    headers = _headers(opened.blob)
    fetch = partial(opened.blob.download_to_file, raw_download=True)
    return Told(headers, fetch if "content_encoding" in headers else None)


def azure_headers(storage: Any, name: str, opened: Any) -> Told:
    """Ask for what AzureStorage (1.14) keeps nothing of."""
    path, timeout = storage._get_valid_path(name), storage.timeout  # noqa: SLF001
    blob = storage.client.get_blob_client(path)
    found = blob.get_blob_properties(timeout=timeout)
    headers = _headers(found.content_settings) | _headers(found)

    def fetch(file: Any) -> None:
        blob.download_blob(timeout=timeout, decompress=False).readinto(file)

    return Told(headers, fetch if "content_encoding" in headers else None)


def django_s3_storage_headers(storage: Any, name: str, opened: Any) -> Told:
    """Ask for what django-s3-storage (0.15) keeps nothing of.

    It decodes gzip, and its ``size`` is that of what is read then.
    """
    found = storage.meta(name)
    headers = boto3_headers(found)

    def fetch(file: Any) -> None:
        wanted = storage._object_params(name)  # noqa: SLF001
        with closing(storage.s3_connection.get_object(**wanted)["Body"]) as body:
            shutil.copyfileobj(body, file)

    if headers.get("content_encoding") == "gzip":
        return Told(headers, fetch, has_size=False)
    return Told(headers)


def minio_headers(storage: Any, name: str, opened: Any) -> Told:
    """Ask for what django-minio-storage (0.6) keeps nothing of.

    Its client decodes whatever coding it knows.
    """
    place = storage._sanitize_path(name)  # noqa: SLF001
    wanted = {"bucket_name": storage.bucket_name, "object_name": place}
    found = storage.client.stat_object(**wanted).metadata
    told = {header: found.get(_dashed(header)) for header in HEADERS}
    told["metadata"] = {
        key[len(META) :].lower(): value
        for key, value in found.items()
        if key.lower().startswith(META)
    }
    headers = {header: value for header, value in told.items() if value}

    def fetch(file: Any) -> None:
        with closing(storage.client.get_object(**wanted)) as response:
            for piece in response.stream(PIECE, decode_content=False):
                file.write(piece)
            response.release_conn()

    return Told(headers, fetch if "content_encoding" in headers else None)


def _headers(source: Any, wanted: tuple[str, ...] = HEADERS) -> dict[str, Any]:
    found = {header: getattr(source, header, None) for header in wanted}
    return {header: value for header, value in found.items() if value}


def boto3_headers(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an answer of boto3's to a HEAD or a GET tells."""
    told = {header: answer.get(_spelled(header)) for header in S3_HEADERS}
    return {header: value for header, value in told.items() if value}


def _spelled(header: str) -> str:
    return header.title().replace("_", "")


def _dashed(header: str) -> str:
    return header.replace("_", "-")


# Of a file that was opened: is what is read of it decoded, and is what a listing shows
# for its MD5 none? (An ``open`` of a subclass's own may return anything.)


def unlike_in_s3storage(storage: Any, opened: Any) -> tuple[bool, bool]:
    """Of what S3Storage has asked for already."""
    stored = getattr(opened, "obj", None)
    is_packed = getattr(stored, "content_encoding", None) == "gzip"
    encryption = getattr(stored, "server_side_encryption", None)
    customer = getattr(stored, "sse_customer_algorithm", None)
    return (
        bool(is_packed and getattr(storage, "gzip", False)),
        has_odd_etag(encryption, customer),
    )


def has_odd_etag(encryption: str | None, customer: str | None) -> bool:
    """Whether an object's ETag is no MD5, for it is under other keys than the bucket's."""
    return (encryption or "").startswith("aws:kms") or bool(customer)


def unlike_in_google(storage: Any, opened: Any) -> tuple[bool, bool]:
    """Google's client decodes gzip."""
    stored = getattr(opened, "blob", None)
    return getattr(stored, "content_encoding", None) == "gzip", False


# A save with headers.


def save_to_google(
    storage: Any, name: str, content: Any, headers: Mapping[str, Any]
) -> str:
    """Save with what Google calls as it is called here."""
    return _save_with(storage, name, content, _common(headers))


def save_to_s3storage(
    storage: Any, name: str, content: Any, headers: Mapping[str, Any]
) -> str:
    """Save with what boto3 calls ``ContentType``, and so on."""
    return _save_with(storage, name, content, _for_boto3(headers))


def save_to_azure(
    storage: Any, name: str, content: Any, headers: Mapping[str, Any]
) -> str:
    """Save with what AzureStorage can set, then set the metadata, or delete again."""
    settings = _common(headers)
    metadata = settings.pop("metadata", None)
    saved = _save_with(storage, name, content, settings)
    if metadata:
        try:
            path = storage._get_valid_path(saved)  # noqa: SLF001
            blob = storage.client.get_blob_client(path)
            blob.set_blob_metadata(metadata, timeout=storage.timeout)
        except BaseException:
            storage.delete(saved)
            raise
    return saved


def save_to_django_s3_storage(
    storage: Any, name: str, content: Any, headers: Mapping[str, Any]
) -> str:
    """Save as django-s3-storage does, but for what it makes of a name's ending."""
    wanted = {
        "ContentType": _guessed(name),
        **storage._object_put_params(name),  # noqa: SLF001
        **_for_boto3(headers),
    }
    bucket, key = wanted.pop("Bucket"), wanted.pop("Key")
    config = storage._transfer_config  # noqa: SLF001
    storage.s3_connection.upload_fileobj(
        content, bucket, key, ExtraArgs=wanted, Config=config
    )
    return name


def save_to_minio(
    storage: Any, name: str, content: Any, headers: Mapping[str, Any]
) -> str:
    """Save as django-minio-storage does, whose client takes headers for metadata."""
    told = {_dashed(header): value for header, value in _common(headers).items()}
    kind = told.pop("content-type", None) or _guessed(name)
    own = {META + key: value for key, value in told.pop("metadata", {}).items()}
    place: str = storage._sanitize_path(name)  # noqa: SLF001
    storage.client.put_object(
        bucket_name=storage.bucket_name,
        object_name=place,
        data=content,
        length=content.size,
        content_type=kind,
        metadata={**(storage.object_metadata or {}), **told, **own},
    )
    return place


def _save_with(
    storage: Any, name: str, content: Any, parameters: Mapping[str, Any]
) -> str:
    """Save by the storage's own ``_save``, with other parameters for this one object.

    Of what is said in its settings as well, that of the file is taken.
    """
    return _saving(storage, parameters)._save(name, content)  # type: ignore[no-any-return]


def saving_with(storage: Any, headers: Mapping[str, Any]) -> Any:
    """Return an S3Storage that saves with these headers of a file."""
    return _saving(storage, _for_boto3(headers))


def _saving(storage: Any, parameters: Mapping[str, Any]) -> Any:
    saving = object.__new__(type(storage))
    # Not a copy: it has the same clients.
    saving.__dict__ = {
        **storage.__dict__,
        "get_object_parameters": lambda name: {
            **storage.get_object_parameters(name),
            **parameters,
        },
    }
    return saving


def _common(headers: Mapping[str, Any]) -> dict[str, Any]:
    return {header: headers[header] for header in HEADERS if header in headers}


def _for_boto3(headers: Mapping[str, Any]) -> dict[str, Any]:
    return {_spelled(header): value for header, value in headers.items()}


def _guessed(name: str) -> str:
    return mimetypes.guess_type(name, strict=False)[0] or "application/octet-stream"
