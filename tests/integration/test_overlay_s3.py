"""A local directory over a real S3 server, with credentials that may only read.

The server refuses every change, a proxy in front of it records that none was asked
for, and the bucket is the same afterwards.
"""

from __future__ import annotations

import contextlib
import json
import secrets

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from overlay.parts import content_of, staging_left, writable
from servers import CountingProxy, S3Server, run_or_skip

from fallback_storage.storage import FallbackStorage

pytestmark = pytest.mark.slow

s3_storage = pytest.importorskip("storages.backends.s3")
client_error = pytest.importorskip("botocore.exceptions").ClientError

FILES = {
    "a.txt": b"production",
    "d/e.txt": b"deep",
    "d/f.txt": b"f",
    "large.bin": b"\0\1\2\3" * 1024 * 1024,
}
MODES = ["r", "rb", "w", "wb", "a", "ab", "r+b", "w+b", "x", "xb"]


class SharedS3Server(S3Server):
    """An S3 server with a second user, who may list and read."""

    def __init__(self):
        super().__init__()
        self.reader_access_key = secrets.token_hex(8)
        self.reader_secret_key = secrets.token_hex(16)

    def command(self):
        path = self.directory / "s3.json"
        owner = identity("owner", self.access_key, self.secret_key, "Admin")
        keys = self.reader_access_key, self.reader_secret_key
        reader = identity("reader", *keys, f"Read:{self.bucket}", f"List:{self.bucket}")
        path.write_text(json.dumps({"identities": [owner, reader]}))
        return [*super().command(), f"-s3.config={path}"]

    def reader_options(self, **overrides):
        return self.storage_options(
            access_key=self.reader_access_key,
            secret_key=self.reader_secret_key,
            **overrides,
        )

    def listing(self):
        """What the bucket holds: keys, ETags, sizes, times."""
        found = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        keys = ("Key", "ETag", "Size", "LastModified")
        return [tuple(item[key] for key in keys) for item in found]


def identity(name, access_key, secret_key, *actions):
    credentials = [{"accessKey": access_key, "secretKey": secret_key}]
    return {"name": name, "credentials": credentials, "actions": list(actions)}


@pytest.fixture(scope="module")
def server():
    yield from run_or_skip(SharedS3Server())


@pytest.fixture
def proxy(server):
    """Records what is asked; and checks that nothing was changed."""
    server.flush()
    for name, content in FILES.items():
        server.put(name, content)
    before = server.listing(), server.digest()
    with CountingProxy(server.host, server.port) as proxy:
        yield proxy
    assert {method for method, _ in proxy.requests} <= {"GET", "HEAD"}
    assert (server.listing(), server.digest()) == before


@pytest.fixture
def home(tmp_path):
    return FileSystemStorage(tmp_path / "home", base_url="/home/")


@pytest.fixture
def make(server, proxy, home):
    def make(**options):
        production = {
            "BACKEND": "storages.backends.s3.S3Storage",
            "OPTIONS": server.reader_options(endpoint_url=proxy.endpoint_url),
            "NAME": "production",
            "READ_ONLY": True,
        }
        return FallbackStorage([writable(home), production], **options)

    return make


def test_the_server_refuses_the_readers_changes(server):
    """Else the tests below would show less than they say."""
    storage = s3_storage.S3Storage(**server.reader_options())
    server.put("a.txt", b"production")
    assert content_of(storage, "a.txt") == b"production"
    with pytest.raises(client_error, match="AccessDenied"):
        storage.save("b.txt", ContentFile(b"x"))
    with pytest.raises(client_error, match="AccessDenied"):
        storage.delete("a.txt")
    assert server.get("a.txt") == b"production"


@pytest.mark.parametrize("on_delete", ["first", "all", "whiteout"])
@pytest.mark.parametrize("promote", [False, True])
def test_nothing_that_is_done_to_a_mirror_changes_production(
    make, home, on_delete, promote
):
    """Every operation in every mode: the server is asked to read, and nothing else."""
    chain = make(on_delete=on_delete, promote=promote)
    for name in [*FILES, "nothing.txt"]:
        for mode in MODES:
            with contextlib.suppress(OSError), chain.open(name, mode) as file:
                if "r" in mode:
                    file.read(10)
                if set(mode) & set("wax+"):
                    file.write(b"x" if "b" in mode else "x")
        for ask in ("exists", "url", "size", "path", "get_modified_time", "resolve"):
            with contextlib.suppress(OSError, NotImplementedError):
                getattr(chain, ask)(name)
        chain.save(name, ContentFile(b"x"))
        chain.delete(name)
        chain.delete(name)
        assert chain.exists(name) is (on_delete != "whiteout" and name in FILES)
    chain.listdir("d")
    chain.unhide(*chain.hidden())
    for name, content in FILES.items():
        assert content_of(chain, name) == content
        assert home.exists(name) is promote
    assert staging_left(home.location) == []


def test_a_mirror_behaves_as_if_it_owned_the_files(make, home, proxy):
    """Deleted is gone, edited is its own, read once is there without the network."""
    chain = make(on_delete="whiteout", promote=True)
    chain.delete("a.txt")
    assert not chain.exists("a.txt")
    assert chain.url("a.txt") == "/home/a.txt"
    with chain.open("d/e.txt", "ab") as file:
        file.write(b", edited")
    assert content_of(chain, "d/e.txt") == b"deep, edited"
    assert content_of(chain, "large.bin") == FILES["large.bin"]
    assert chain.path("d/f.txt") == home.path("d/f.txt")
    times = chain.get_modified_time("large.bin")
    proxy.outage = True
    assert content_of(chain, "large.bin") == FILES["large.bin"]
    assert content_of(chain, "d/f.txt") == b"f"
    assert chain.get_modified_time("large.bin") == times
    with pytest.raises(FileNotFoundError):
        chain.open("a.txt")
    assert sorted(chain.hidden()) == ["a.txt"]


def test_a_copy_that_breaks_off_leaves_nothing(make, home, proxy):
    """The connection is lost while the file is read; when it is back all is well."""
    chain = make(promote=True)
    chain.exists("large.bin")
    proxy.outage = True
    with pytest.raises(Exception):  # noqa: B017, PT011 - botocore's
        chain.open("large.bin").read()
    assert not home.exists("large.bin")
    proxy.outage = False
    assert content_of(chain, "large.bin") == FILES["large.bin"]
    assert home.exists("large.bin")


def test_a_delete_while_production_is_down_hides(make, proxy):
    """It may hold the file."""
    chain = make(on_delete="whiteout")
    proxy.outage = True
    chain.delete("a.txt")
    proxy.outage = False
    assert not chain.exists("a.txt")
    chain.unhide("a.txt")
    assert content_of(chain, "a.txt") == b"production"
