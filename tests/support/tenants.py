"""A site of several tenants: whose turn it is, and storages and keys that depend on it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from pathlib import Path

from django.core.cache.backends.base import default_key_func
from django.core.files.storage import FileSystemStorage


class Here(threading.local):
    name = None


_here = Here()


@contextmanager
def tenant(name):
    """Work for a tenant, on this thread, as ``django_tenants.utils.tenant_context``."""
    before = _here.name
    _here.name = name
    try:
        yield
    finally:
        _here.name = before


def whose():
    """A VARY, which counts how often it is asked."""
    whose.asked += 1
    return _here.name


whose.asked = 0


def key_of_tenant(key, key_prefix, version):
    """A KEY_FUNCTION, as ``django_tenants.cache.make_key``."""
    return f"{_here.name}:{default_key_func(key, key_prefix, version)}"


class TenantStorage(FileSystemStorage):
    """A directory for each tenant, as ``django_tenants.files.storage`` has it."""

    @property
    def base_location(self):
        return str(Path(super().base_location, _here.name or "public"))

    @property
    def location(self):
        return str(Path(self.base_location).absolute())

    @property
    def base_url(self):
        return f"{super().base_url}{_here.name or 'public'}/"
