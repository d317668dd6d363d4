"""The public methods of a storage that take a name, called with one."""

from __future__ import annotations

from django.core.files.base import ContentFile

# Every public method that takes a file name and asks backends about it.
METHODS = {
    "exists": lambda storage, name: storage.exists(name),
    "open": lambda storage, name: storage.open(name),
    "open-w": lambda storage, name: storage.open(name, "wb"),
    "open-a": lambda storage, name: storage.open(name, "ab"),
    "open-x": lambda storage, name: storage.open(name, "xb"),
    "open-r+": lambda storage, name: storage.open(name, "r+b"),
    "save": lambda storage, name: storage.save(name, ContentFile(b"new")),
    "delete": lambda storage, name: storage.delete(name),
    "url": lambda storage, name: storage.url(name),
    "url-expire": lambda storage, name: storage.url(name, expire=60),
    "path": lambda storage, name: storage.path(name),
    "size": lambda storage, name: storage.size(name),
    "get_accessed_time": lambda storage, name: storage.get_accessed_time(name),
    "get_created_time": lambda storage, name: storage.get_created_time(name),
    "get_modified_time": lambda storage, name: storage.get_modified_time(name),
    "accessed_time": lambda storage, name: storage.accessed_time(name),
    "created_time": lambda storage, name: storage.created_time(name),
    "modified_time": lambda storage, name: storage.modified_time(name),
    "listdir": lambda storage, name: storage.listdir(name),
    "get_available_name": lambda storage, name: storage.get_available_name(name),
    "is_name_available": lambda storage, name: storage.is_name_available(name),
    "resolve": lambda storage, name: storage.resolve(name),
    "forget": lambda storage, name: storage.forget(name),
}
