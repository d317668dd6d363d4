"""Django caches for tests: named in CACHES, so at the top of a module."""

from __future__ import annotations

import random
import time

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.locmem import LocMemCache


class RecordingCache(LocMemCache):
    """locmem that lists the calls made to it, and lets time pass when told to.

    ``calls`` and ``offset`` (seconds) are of all instances: Django makes one for every
    thread. ``reset`` before use.
    """

    calls: list[str] = []  # noqa: RUF012 - shared on purpose
    offset = 0.0

    @classmethod
    def reset(cls):
        cls.calls.clear()
        cls.offset = 0.0

    @classmethod
    def tick(cls, seconds):
        cls.offset += seconds

    def get_backend_timeout(self, timeout=DEFAULT_TIMEOUT):
        expiry = super().get_backend_timeout(timeout)
        return None if expiry is None else expiry + RecordingCache.offset

    def _has_expired(self, key):
        expiry = self._expire_info.get(key, -1)
        now = time.time() + RecordingCache.offset
        return expiry is not None and expiry <= now

    def get(self, key, default=None, version=None):
        self.calls.append("get")
        return super().get(key, default, version)

    def add(self, key, value, timeout=DEFAULT_TIMEOUT, version=None):
        self.calls.append("add")
        return super().add(key, value, timeout, version)

    def set(self, key, value, timeout=DEFAULT_TIMEOUT, version=None):
        self.calls.append("set")
        super().set(key, value, timeout, version)

    def delete(self, key, version=None):
        self.calls.append("delete")
        return super().delete(key, version)

    def get_many(self, keys, version=None):
        self.calls.append("get_many")
        missing = object()
        values = {key: LocMemCache.get(self, key, missing, version) for key in keys}
        return {key: value for key, value in values.items() if value is not missing}

    def set_many(self, data, timeout=DEFAULT_TIMEOUT, version=None):
        self.calls.append("set_many")
        for key, value in data.items():
            LocMemCache.set(self, key, value, timeout, version)
        return []

    def clear(self):
        self.calls.append("clear")
        super().clear()


class DroppingCache(RecordingCache):
    """A cache that drops any key at any call, as one that is short of memory."""

    random = random.Random(3)
    rate = 0.05

    @classmethod
    def reset(cls):
        super().reset()
        cls.random.seed(3)
        cls.rate = 0.05

    def _drop(self):
        with self._lock:
            for key in list(self._cache):
                if self.random.random() < self.rate:
                    self._delete(key)

    def get_many(self, keys, version=None):
        self._drop()
        return super().get_many(keys, version)

    def add(self, key, value, timeout=DEFAULT_TIMEOUT, version=None):
        self._drop()
        return super().add(key, value, timeout, version)

    def set(self, key, value, timeout=DEFAULT_TIMEOUT, version=None):
        self._drop()
        super().set(key, value, timeout, version)

    def set_many(self, data, timeout=DEFAULT_TIMEOUT, version=None):
        self._drop()
        return super().set_many(data, timeout, version)


class SilentCache(RecordingCache):
    """A cache that loses writes of chosen methods without a word.

    As the database cache on an error, or django-redis with IGNORE_EXCEPTIONS. ``lost``
    counts down the writes still to be lost; ``reads`` false: reads find nothing too.
    """

    lost = 0
    reads = True

    @classmethod
    def reset(cls):
        super().reset()
        cls.lost, cls.reads = 0, True

    def _loses(self):
        if SilentCache.lost:
            SilentCache.lost -= 1
            return True
        return False

    def get_many(self, keys, version=None):
        found = super().get_many(keys, version)
        return found if self.reads else {}

    def add(self, key, value, timeout=DEFAULT_TIMEOUT, version=None):
        return None if self._loses() else super().add(key, value, timeout, version)

    def set_many(self, data, timeout=DEFAULT_TIMEOUT, version=None):
        if self._loses():
            return None
        return super().set_many(data, timeout, version)


class FailingKeysCache(RecordingCache):
    """A cache that says which keys it failed to write, as memcached."""

    def set_many(self, data, timeout=DEFAULT_TIMEOUT, version=None):
        self.calls.append("set_many")
        return list(data)
