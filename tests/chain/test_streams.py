"""What is asked of the clients that stream; over their servers: tests/real/test_streams.py."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from fallback_storage.chain import streams

CONTENT = bytes(range(256)) * 40_000


class Client:
    """One object, for each of the three ways of asking."""

    etag, encoding, closed = '"1"', None, 0

    def head_object(self, **place):
        assert place == {"Bucket": "b", "Key": "p/a"}
        head = {"ContentLength": len(CONTENT), "LastModified": 1, "ETag": self.etag}
        return head | ({"ContentEncoding": self.encoding} if self.encoding else {})

    def get_object(self, **place):
        assert place.pop("IfMatch") == self.etag
        first, _, last = place.pop("Range").removeprefix("bytes=").partition("-")
        part = CONTENT[int(first) : int(last) + 1]

        def chunks(size):
            return (part[at : at + size] for at in range(0, len(part), size))

        body = SimpleNamespace(iter_chunks=chunks, close=self.close)
        return {"Body": body}

    def close(self):
        self.closed += 1

    # Google
    content_encoding, size, updated, generation = None, len(CONTENT), 1, 7

    def get_blob(self, name):
        return None if name == "p/gone" else self

    def download_as_bytes(self, *, start, end, raw_download, if_generation_match):
        assert (raw_download, if_generation_match) == (True, self.generation)
        return CONTENT[start : end + 1]

    # Azure
    def get_blob_client(self, path):
        assert path == "p/a"
        return self

    def get_blob_properties(self, timeout):
        settings = SimpleNamespace(content_encoding=self.encoding)
        return SimpleNamespace(
            size=len(CONTENT),
            last_modified=1,
            etag=self.etag,
            content_settings=settings,
        )

    def download_blob(self, *, offset, length, etag, match_condition, timeout):
        assert (etag, match_condition) == (self.etag, "unchanged")
        part = CONTENT[offset : offset + length]
        return SimpleNamespace(chunks=lambda: iter([part[:10], part[10:]]))


@pytest.fixture
def client(monkeypatch):
    azure = SimpleNamespace(MatchConditions=SimpleNamespace(IfNotModified="unchanged"))
    monkeypatch.setitem(sys.modules, "azure.core", azure)
    return Client()


@pytest.fixture
def storage(client):
    meta = SimpleNamespace(client=client)
    return SimpleNamespace(
        bucket=client,
        bucket_name="b",
        client=client,
        connection=SimpleNamespace(meta=SimpleNamespace(client=meta.client)),
        get_object_parameters=lambda name: {},
        timeout=5,
        _get_valid_path=lambda name: f"p/{name}",
        _normalize_name=lambda name: f"p/{name}",
    )


ALL = [streams.from_s3storage, streams.from_google, streams.from_azure]


@pytest.mark.parametrize("stream", ALL)
def test_whole_and_in_parts(storage, stream):
    found = stream(storage, "a")
    assert (found.size, found.modified) == (len(CONTENT), 1)
    assert found.etag.startswith('"')
    for start, stop in ((0, len(CONTENT)), (5, 6), (100, 5_000_000), (7, 7)):
        assert b"".join(found.read(start, stop)) == CONTENT[start:stop]


def test_what_was_not_read_to_its_end_is_closed(storage, client):
    parts = streams.from_s3storage(storage, "a").read(0, len(CONTENT))
    next(parts)
    parts.close()
    assert client.closed == 1


@pytest.mark.parametrize("stream", ALL)
def test_what_is_stored_encoded_is_to_be_opened(storage, client, stream):
    client.encoding = client.content_encoding = "gzip"
    with pytest.raises(NotImplementedError):
        stream(storage, "a")


def test_a_blob_that_is_not_there(storage):
    with pytest.raises(FileNotFoundError):
        streams.from_google(storage, "gone")
