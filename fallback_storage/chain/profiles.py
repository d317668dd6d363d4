"""What is known of storage classes: data, by class path.

A class is named, or a base of it. Nothing is imported for that.
"""

from __future__ import annotations

# Storages whose open() succeeds for files that are not there (they only build a file
# object): by class name, of this class or of one of its bases.
LAZY_OPEN_CLASSES = frozenset(
    {
        "storages.backends.apache_libcloud.LibCloudStorage",
        "storages.backends.azure_storage.AzureStorage",
        "storages.backends.dropbox.DropboxStorage",
        "storages.backends.dropbox.DropBoxStorage",
        "storages.backends.ftp.FTPStorage",
        "storages.backends.sftpstorage.SFTPStorage",
    }
)

# Storages that bear questions from several threads at once, and are far enough away for
# that to be worth while.
CONCURRENT_CLASSES = frozenset(
    {
        "storages.backends.azure_storage.AzureStorage",
        "storages.backends.gcloud.GoogleCloudStorage",
        "storages.backends.s3.S3Storage",
    }
)

# Storages that never show a part of a file, and whose servers check what arrives.
WHOLE_CLASSES = frozenset(
    {
        "django.core.files.storage.memory.InMemoryStorage",
        "storages.backends.azure_storage.AzureStorage",
        "storages.backends.gcloud.GoogleCloudStorage",
        "storages.backends.s3.S3Storage",
    }
)

# Storages whose delete() of a directory takes what is below it along.
DELETES_TREES_CLASSES = frozenset(
    {
        "django.core.files.storage.memory.InMemoryStorage",
        "storages.backends.dropbox.DropboxStorage",
        "storages.backends.dropbox.DropBoxStorage",
    }
)
