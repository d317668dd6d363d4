"""Copies that a server makes by itself: of a file of one storage, to another of the same.

For ``profiles``. The content does not come here; what is kept beside it is as if it had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fallback_storage.chain.dialects import s3storage_parameters
from fallback_storage.chain.kept import saving_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.flat_listing import Listed

    # Of a name, its headers, the file that was opened, and its ETag (without quotes) if
    # that is known: makes the copy, and returns the ETag of that.
    Send = Callable[[str, Mapping[str, Any], Any, str], str]

# Bytes up to which S3 copies by one request.
AT_ONCE: Final = 5 * 1024**3

# What two storages have in common that speak to one server as one user.
ACCOUNT: Final = (
    "endpoint_url",
    "region_name",
    "access_key",
    "secret_key",
    "security_token",
    "session_profile",
    "use_ssl",
    "verify",
)


def send_in_s3storage(source: Any, home: Any) -> Send | None:
    """Return what has S3 copy from one ``S3Storage`` to another; None: it cannot.

    That is: another server, or other credentials; objects under keys of the customer's;
    or a home that would compress them.
    """
    is_one = all(getattr(source, key) == getattr(home, key) for key in ACCOUNT)
    if home.gzip or not is_one or s3storage_parameters(source.object_parameters):
        return None

    def send(name: str, headers: Mapping[str, Any], opened: Any, etag: str) -> str:
        client, key = home.connection.meta.client, home._normalize_name(name)  # noqa: SLF001
        place = {"Bucket": home.bucket_name, "Key": key}
        origin = {"Bucket": source.bucket_name, "Key": opened.obj.key}
        wanted = {
            # (By the key, as S3Storage's own ``_save`` asks for them.)
            **saving_with(home, headers)._get_write_parameters(key),  # noqa: SLF001
            "CopySourceIfMatch": f'"{etag}"' if etag else opened.obj.e_tag,
            # (To copy tags takes a permission of its own.)
            "MetadataDirective": "REPLACE",
            "TaggingDirective": "REPLACE",
        }
        if opened.obj.content_length > AT_ONCE:
            config = home.transfer_config
            client.copy(origin, **place, ExtraArgs=wanted, Config=config)
            return etag
        made = client.copy_object(CopySource=origin, **place, **wanted)
        return str(made["CopyObjectResult"]["ETag"].strip('"'))

    return send


def originals(source: Backend, home: Backend, page: list[Listed]) -> Iterable[Listed]:
    """Return what was listed in a source but for what lies in a home within that."""
    if source.profile.root is None or home.profile.root is None:
        return page
    (there, outer), (here, root) = (
        (place, f"{path.strip('/')}/".lstrip("/"))
        for place, path in (
            source.profile.root(source.storage),
            home.profile.root(home.storage),
        )
    )
    if there != here or not root.startswith(outer) or root == outer:
        return page
    inner = root.removeprefix(outer)
    return [listed for listed in page if not listed.name.startswith(inner)]
