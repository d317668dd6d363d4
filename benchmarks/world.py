"""What is measured: a local directory in front of a real S3 server, both with files."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from functools import cached_property
from pathlib import Path

import project
from original import Original, Unavailable
from result import ORIGINAL

# The servers are the tests'.
sys.path.append(str(Path(__file__).resolve().parent.parent / "tests" / "support"))

FILE_BYTES = 20_000


class World:
    """The two backends, chains over them, and how thorough to be."""

    def __init__(self, *, quick):
        self.quick = quick
        self.page_size = 10 if quick else 100
        self.threads = 64
        self.local_names = self._names("local")
        self.remote_names = self._names("remote")

    def _names(self, kind):
        return [f"photos/2024/05/{kind}-{i:04d}.jpg" for i in range(self.page_size)]

    def rounds(self, thorough, quick=3):
        """How often everyone takes a turn."""
        return quick if self.quick else thorough

    def __enter__(self):
        from servers import MemcachedServer, MissingServerError, S3Server, ValkeyServer

        with contextlib.ExitStack() as stack:
            directory = tempfile.TemporaryDirectory(prefix="fallback-bench-")
            self.media_root = stack.enter_context(directory)
            self.s3_server = server = stack.enter_context(S3Server())
            self.valkey = stack.enter_context(ValkeyServer())
            try:
                self.memcached = stack.enter_context(MemcachedServer())
            except MissingServerError:
                self.memcached = None
            self._s3_options = server.storage_options()
            configuration = {"media_root": self.media_root, "s3": self._s3_options}
            project.configure(**configuration, caches=self._caches())
            self._original = Original(configuration)
            stack.callback(self._original.close)
            for name in self.local_names:
                path = Path(self.media_root, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(bytes(FILE_BYTES))
            for name in self.remote_names:
                server.put(name, bytes(FILE_BYTES))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info):
        self._stack.close()

    def _caches(self):
        backends = "django.core.cache.backends"
        redis = {"BACKEND": f"{backends}.redis.RedisCache", "LOCATION": self.valkey.url}
        caches = {
            "default": {"BACKEND": f"{backends}.locmem.LocMemCache"},
            "locmem": {
                "BACKEND": f"{backends}.locmem.LocMemCache",
                "LOCATION": "memo",
                # The default, 300 entries, is less than a page's.
                "OPTIONS": {"MAX_ENTRIES": 10_000},
            },
            "redis": redis,
            # The same server: a breaker that opens is of an alias.
            "redis-down": redis,
        }
        if self.memcached is not None:
            caches["memcached"] = {
                "BACKEND": f"{backends}.memcached.PyMemcacheCache",
                "LOCATION": self.memcached.location,
            }
        return caches

    # The contenders

    @cached_property
    def local(self):
        from django.core.files.storage import FileSystemStorage

        return FileSystemStorage()

    @cached_property
    def s3(self):
        from traffic import CountedS3Storage

        return CountedS3Storage()

    @cached_property
    def public_s3(self):
        """S3Storage that needs not sign its URLs."""
        from traffic import CountedS3Storage

        return CountedS3Storage(custom_domain=project.PUBLIC_DOMAIN)

    @cached_property
    def one_client_s3(self):
        """S3Storage whose threads share a client, as botocore allows."""
        from traffic import OneClientS3Storage

        return OneClientS3Storage()

    def chain(self, s3=None, **options):
        """Return a new FallbackStorage: the local directory, then S3."""
        from fallback_storage.storage import FallbackStorage

        return FallbackStorage(backends=[self.local, s3 or self.s3], **options)

    def add_original(self, result, operation, names, rounds, count=1, **task):
        """Add the original's figure to a row, or the reason why there is none.

        Its ratio is to its own backends on its own Django, in its own process.
        """
        try:
            laps = self._original.measure(operation, names, rounds, **task)
        except Unavailable as error:
            result.skip(ORIGINAL, error)
            return
        result.add_laps(ORIGINAL, laps["original"], count, baseline=laps.get("direct"))
