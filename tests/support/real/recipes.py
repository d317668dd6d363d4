"""One recipe for each storage of somebody else: how it is built, and what it lacks.

A recipe makes places: folders, buckets or prefixes of one test's own. ``options`` are
those of the class, for the server itself or for the proxy in front of it.
"""

from __future__ import annotations

import posixpath
import secrets

from django.utils.module_loading import import_string
from servers import HOST, S3Server

from real.proxy import FaultyProxy, TCPProxy
from real.servers import (
    AzureServer,
    FTPServer,
    GoogleServer,
    MotoServer,
    SFTPServer,
    WebDAVServer,
)

# What no object store has.
TIMES = frozenset({"get_accessed_time", "get_created_time"})
# Of clients, where they take them: a test waits for no retry.
PATIENCE = 3


class Recipe:
    """``lacks``: methods that the class has not. ``folder``: where its names may be."""

    name = class_path = ""
    server: type | None = None
    proxy = FaultyProxy
    needs: tuple[str, ...] = ()
    lacks = TIMES
    folder = "dir"
    # In the test's own database: no other thread or process sees it.
    in_database = False
    # As a home for whiteouts it is refused.
    keeps_whiteouts = True
    # It has the one folder only.
    is_flat = False

    def prepare(self, server, place):
        """Make the place on the server."""

    def options(self, server, endpoint, place):
        """OPTIONS for the place, by way of an endpoint (host and port)."""
        raise NotImplementedError

    def raw(self, server, place):
        """The storage itself, straight to the server."""
        endpoint = (HOST, server.port) if server else None
        return import_string(self.class_path)(**self.options(server, endpoint, place))

    def settings(self, place, folder):
        """Settings of Django that the place needs; ``folder`` is the test's own."""
        return {}

    def __repr__(self):
        return self.name


class S3Recipe(Recipe):
    name = "s3"
    class_path = "storages.backends.s3.S3Storage"
    server = S3Server
    needs = ("storages", "boto3")

    def prepare(self, server, place):
        """One bucket for all; a place is a prefix."""

    def options(self, server, endpoint, place):
        from botocore.config import Config

        return {
            "access_key": server.access_key,
            "secret_key": server.secret_key,
            "bucket_name": "media",
            "region_name": server.region,
            "endpoint_url": "http://{}:{}".format(*endpoint),
            "location": place,
            "client_config": Config(
                connect_timeout=PATIENCE,
                read_timeout=PATIENCE,
                retries={"mode": "standard", "total_max_attempts": 1},
                s3={"addressing_style": "path"},
                signature_version="s3v4",
            ),
        }


class S3SubclassRecipe(S3Recipe):
    """A class of the site's own: its ``exists`` may not be passed over."""

    name = "s3-subclass"
    class_path = "real.sites.SiteStorage"


class S3MotoRecipe(S3Recipe):
    name = "s3-moto"
    server = MotoServer
    needs = ("storages", "boto3", "moto", "flask")

    def prepare(self, server, place):
        make_bucket(server, "media")


class GoogleRecipe(Recipe):
    name = "google"
    class_path = "storages.backends.gcloud.GoogleCloudStorage"
    server = GoogleServer
    needs = ("storages", "google.cloud.storage")
    lacks = frozenset({"get_accessed_time"})

    def prepare(self, server, place):
        bucket = self.client((HOST, server.port)).bucket("media")
        if not bucket.exists():
            bucket.create()

    @staticmethod
    def client(endpoint):
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.storage import Client

        return Client(
            project="test",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": "http://{}:{}".format(*endpoint)},
        )

    def options(self, server, endpoint, place):
        from google.auth.credentials import AnonymousCredentials

        return {
            "project_id": "test",
            "credentials": AnonymousCredentials(),
            "bucket_name": "media",
            "location": place,
            "querystring_auth": False,
        }

    def raw(self, server, place):
        storage = super().raw(server, place)
        # Where it is comes from the environment, which names the proxy.
        storage._client = self.client((HOST, server.port))
        return storage


class AzureRecipe(Recipe):
    name = "azure"
    class_path = "storages.backends.azure_storage.AzureStorage"
    server = AzureServer
    needs = ("storages", "azure.storage.blob")

    def prepare(self, server, place):
        from azure.storage.blob import BlobServiceClient

        endpoint = (HOST, server.port)
        text = self.connection_string(server, endpoint)
        with BlobServiceClient.from_connection_string(text) as client:
            client.create_container(place)

    @staticmethod
    def connection_string(server, endpoint):
        return (
            f"DefaultEndpointsProtocol=http;AccountName={server.account};"
            f"AccountKey={server.key};"
            "BlobEndpoint=http://{}:{}/{};".format(*endpoint, server.account)
        )

    def options(self, server, endpoint, place):
        return {
            "connection_string": self.connection_string(server, endpoint),
            "azure_container": place,
            "location": "media",
            "timeout": PATIENCE,
        }


class SFTPRecipe(Recipe):
    name = "sftp"
    class_path = "storages.backends.sftpstorage.SFTPStorage"
    server = SFTPServer
    proxy = TCPProxy
    needs = ("storages", "paramiko", "asyncssh")
    lacks = frozenset({"get_created_time"})

    def prepare(self, server, place):
        (server.folder / place).mkdir()

    def options(self, server, endpoint, place):
        host, port = endpoint
        params = {
            "port": port,
            "username": "media",
            "password": server.password,
            "allow_agent": False,
            "look_for_keys": False,
            "timeout": PATIENCE,
            "banner_timeout": PATIENCE,
            "auth_timeout": PATIENCE,
        }
        return {
            "host": host,
            "params": params,
            "root_path": f"/{place}",
            "base_url": "http://media.invalid/",
            "known_host_file": str(server.directory / "known_hosts"),
        }


class FTPRecipe(Recipe):
    name = "ftp"
    class_path = "storages.backends.ftp.FTPStorage"
    server = FTPServer
    proxy = TCPProxy
    needs = ("storages", "pyftpdlib")
    lacks = TIMES | {"get_modified_time"}

    def prepare(self, server, place):
        (server.folder / place).mkdir()

    def options(self, server, endpoint, place):
        host, port = endpoint
        return {
            "location": f"ftp://media:{server.password}@{host}:{port}/{place}",
            "base_url": "http://media.invalid/",
        }


class LibCloudRecipe(Recipe):
    name = "libcloud"
    class_path = "storages.backends.apache_libcloud.LibCloudStorage"
    needs = ("storages", "libcloud", "fasteners")
    lacks = TIMES | {"get_modified_time"}

    def settings(self, place, folder):
        (folder / "media").mkdir()
        provider = {
            "type": "libcloud.storage.types.Provider.LOCAL",
            "user": str(folder),
            "key": str(folder),
            "bucket": "media",
        }
        return {"LIBCLOUD_PROVIDERS": {place: provider}}

    def options(self, server, endpoint, place):
        return {"provider_name": place}


class MinioRecipe(Recipe):
    name = "minio"
    class_path = "minio_storage.storage.MinioMediaStorage"
    server = S3Server
    needs = ("minio_storage", "minio")

    def prepare(self, server, place):
        make_bucket(server, place)

    def options(self, server, endpoint, place):
        import minio
        import urllib3

        client = minio.Minio(
            "{}:{}".format(*endpoint),
            access_key=server.access_key,
            secret_key=server.secret_key,
            region=server.region,
            secure=False,
            http_client=urllib3.PoolManager(timeout=PATIENCE, retries=False),
        )
        return {
            "minio_client": client,
            "bucket_name": place,
            "assume_bucket_exists": True,
        }


class DjangoS3Recipe(Recipe):
    name = "django-s3"
    class_path = "django_s3_storage.storage.S3Storage"
    server = MotoServer
    needs = ("django_s3_storage", "moto", "flask")
    # It has one time, and gives that for all three.
    lacks = frozenset()

    def prepare(self, server, place):
        make_bucket(server, "media")

    def options(self, server, endpoint, place):
        return {
            "aws_region": server.region,
            "aws_access_key_id": server.access_key,
            "aws_secret_access_key": server.secret_key,
            "aws_s3_endpoint_url": "http://{}:{}".format(*endpoint),
            "aws_s3_bucket_name": "media",
            "aws_s3_addressing_style": "path",
            "aws_s3_key_prefix": place,
            "aws_s3_connect_timeout": PATIENCE,
        }


class WebDAVRecipe(Recipe):
    name = "webdav"
    class_path = "django_storage_webdav.storage.WebDavStorage"
    server = WebDAVServer
    needs = ("django_storage_webdav", "lxml", "dateutil", "requests", "wsgidav")
    lacks = frozenset({"get_accessed_time"})

    def prepare(self, server, place):
        (server.folder / place).mkdir()

    def options(self, server, endpoint, place):
        return {"webdav_url": "http://{}:{}/{}/".format(*endpoint, place)}


class DBFilesRecipe(Recipe):
    name = "dbfiles"
    class_path = "dbfiles.storage.DBStorage"
    needs = ("dbfiles",)
    lacks = TIMES | {"get_modified_time", "listdir"}
    in_database = True
    keeps_whiteouts = False

    def options(self, server, endpoint, place):
        return {"base_url": "/files/"}


class DBFileStorageRecipe(Recipe):
    name = "db-file-storage"
    class_path = "db_file_storage.storage.DatabaseFileStorage"
    needs = ("db_file_storage",)
    lacks = TIMES | {"get_modified_time", "listdir", "size"}
    # A name tells the model, its fields, and the file.
    folder = "gallery_app.Blob/content/filename/mimetype"
    in_database = is_flat = True
    keeps_whiteouts = False

    def options(self, server, endpoint, place):
        return {}


def make_bucket(server, name):
    """Make a bucket, if it is not there."""
    import boto3

    client = boto3.client(
        "s3",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        endpoint_url=server.endpoint_url,
        region_name=server.region,
    )
    try:
        client.create_bucket(Bucket=name)
    except client.exceptions.BucketAlreadyOwnedByYou:
        pass
    finally:
        client.close()


RECIPES = {
    recipe.name: recipe
    for recipe in (
        S3Recipe(),
        S3SubclassRecipe(),
        S3MotoRecipe(),
        GoogleRecipe(),
        AzureRecipe(),
        SFTPRecipe(),
        FTPRecipe(),
        LibCloudRecipe(),
        MinioRecipe(),
        DjangoS3Recipe(),
        WebDAVRecipe(),
        DBFilesRecipe(),
        DBFileStorageRecipe(),
    )
}


class Place:
    """A place of one test's own on a server, and the proxy in front of that."""

    def __init__(self, recipe, server, proxy, folder):
        self.recipe, self.server, self.proxy = recipe, server, proxy
        self.name = f"p{secrets.token_hex(6)}"
        self.settings = recipe.settings(self.name, folder)

    def prepare(self):
        """Make it, once the settings hold."""
        if self.server is not None:
            self.recipe.prepare(self.server, self.name)
        self.raw = self.recipe.raw(self.server, self.name)

    def configuration(self):
        """As STORAGES has it, by way of the proxy."""
        endpoint = (HOST, self.proxy.port) if self.proxy else None
        options = self.recipe.options(self.server, endpoint, self.name)
        return {"BACKEND": self.recipe.class_path, "OPTIONS": options}

    def file(self, name):
        return posixpath.join(self.recipe.folder, name)
