"""What is kept of a file beside its content, by storages that are not at hand here."""

from __future__ import annotations

import gzip
import io
import pickle
from functools import partial
from types import SimpleNamespace

import pytest
from django.core.files.base import ContentFile, File
from fakes import RecordingStorage

from fallback_storage.chain.headers import form_of, shows_plain
from fallback_storage.exceptions import EncodedFileError
from fallback_storage.jobs.compare import content_in
from fallback_storage.storage import FallbackStorage

TEXT = b"a text that can be compressed " * 100
PACKED = gzip.compress(TEXT, mtime=0)
HEADERS = {
    "content_type": "text/css",
    "content_language": "de",
    "content_disposition": "inline",
    "cache_control": "no-cache",
    "metadata": {"owner": "42"},
}
NONE = dict.fromkeys([*HEADERS, "content_encoding"])


class Hidden(RecordingStorage):
    """A store whose files have headers; ``decodes``: what its client undoes."""

    object_parameters = {"cache_control": "max-age=60"}  # noqa: RUF012

    def __init__(self, files, headers, decodes=()):
        super().__init__(files=files)
        self.headers = headers
        self.decodes = decodes
        self.saved = {}

    def get_object_parameters(self, name):
        return dict(self.object_parameters)

    def read(self, name):
        data = self.files[name]
        decodes = self.headers.get("content_encoding") in self.decodes
        return io.BytesIO(gzip.decompress(data) if decodes else data)

    def _save(self, name, content):
        self.saved[name] = self.get_object_parameters(name)
        return super()._save(name, content)


class GoogleCloudStorage(Hidden):
    __module__ = "storages.backends.gcloud"

    def _open(self, name, mode="rb"):
        file = File(self.read(name), name)
        file.blob = SimpleNamespace(**NONE | self.headers)
        file.blob.download_to_file = partial(self.fetch, name)
        return file

    def fetch(self, name, file, *, raw_download):
        assert raw_download
        file.write(self.files[name])


class AzureStorage(Hidden):
    __module__ = "storages.backends.azure_storage"
    timeout = 20
    refuses = False

    def _open(self, name, mode="rb"):
        return File(self.read(name), name)

    def _get_valid_path(self, name):
        return f"location/{name}"

    @property
    def client(self):
        return SimpleNamespace(get_blob_client=self.get_blob_client)

    def get_blob_client(self, path):
        name = path.removeprefix("location/")

        def properties(*, timeout):
            settings = {**NONE, **self.headers}
            return SimpleNamespace(
                metadata=settings.pop("metadata"),
                content_settings=SimpleNamespace(**settings),
            )

        def download(*, timeout, decompress):
            assert decompress is False
            stored = io.BytesIO(self.files[name])
            return SimpleNamespace(readinto=lambda file: file.write(stored.getvalue()))

        def set_metadata(metadata, *, timeout):
            if self.refuses:
                raise ValueError("not a name in C#")
            self.saved[name]["metadata"] = metadata

        return SimpleNamespace(
            get_blob_properties=properties,
            download_blob=download,
            set_blob_metadata=set_metadata,
        )


STORES = pytest.mark.parametrize("klass", [GoogleCloudStorage, AzureStorage])


def form(klass, name="a.css", data=PACKED, **headers):
    storage = klass({name: data}, headers)
    backend = FallbackStorage([storage]).backends[0]
    with storage._open(name) as opened:
        return form_of(backend, name, opened), backend


@STORES
@pytest.mark.parametrize(
    ("name", "header", "coding"),
    [
        ("a", None, ""),
        ("a", "gzip", "gzip"),
        ("a", "X-GZip", "gzip"),
        ("a", "aws-chunked, gzip", "gzip"),
        ("a", "br", "br"),
        ("a", "gzip, br", "gzip, br"),
        ("a", "identity", ""),
        ("a", "utf-8", ""),
        ("a.tar.gz", "gzip", ""),
        ("a.svgz", "gzip", ""),
        ("a.tar.gz", "br", "br"),
    ],
)
def test_a_coding_is_what_neither_http_ignores_nor_the_name_tells(
    klass, name, header, coding
):
    found, _ = form(klass, name, content_encoding=header)
    assert found.coding == coding
    assert found.headers == ({"content_encoding": header} if header else {})


@STORES
@pytest.mark.parametrize("decodes", [(), ("gzip",)])
@pytest.mark.parametrize("name", ["a.css", "a.tar.gz"])
def test_what_is_stored_is_read_whatever_the_client_decodes(klass, decodes, name):
    """A compressed archive would not be what its name says; nor is it decoded twice."""
    storage = klass({name: PACKED}, {**HEADERS, "content_encoding": "gzip"}, decodes)
    backend = FallbackStorage([storage]).backends[0]
    home = FallbackStorage([RecordingStorage()]).backends[0]
    plain = TEXT if name == "a.css" else PACKED
    with storage._open(name) as opened:
        found = form_of(backend, name, opened)
        assert found.headers == storage.headers
        assert found.as_stored
        assert found.to_copy(backend, opened) is opened
        assert opened.read() == PACKED
        opened.seek(0)
        assert found.to_copy(home, opened).read() == plain
    assert content_in(backend, name).size == len(plain)
    assert shows_plain(backend, name) is (name != "a.css")


@STORES
def test_a_copy_keeps_all_of_it(klass):
    """And what the target's own settings say, where the file says nothing."""
    headers = {**HEADERS, "content_encoding": "br"}
    del headers["cache_control"]
    found, _ = form(GoogleCloudStorage, **headers)
    home = klass({}, {})
    backend = FallbackStorage([home]).backends[0]
    with io.BytesIO(PACKED) as opened:
        assert found.to_copy(backend, opened) is opened
        assert found.save(backend, File(opened)) == "a.css"
    assert home.files == {"a.css": PACKED}
    assert home.saved == {"a.css": {**headers, "cache_control": "max-age=60"}}
    home._save("b.css", ContentFile(b""))
    assert home.saved["b.css"] == {"cache_control": "max-age=60"}


def test_what_azure_refuses_is_not_left_without_it():
    """Its storage can save no metadata; they are set afterwards."""
    found, _ = form(AzureStorage, **HEADERS)
    home = AzureStorage({}, {})
    home.refuses = True
    with pytest.raises(ValueError, match="C#"):
        found.save(FallbackStorage([home]).backends[0], ContentFile(PACKED))
    assert home.files == {}


def test_who_keeps_no_headers_is_told_the_type():
    types = []

    class Plain(RecordingStorage):
        def _save(self, name, content):
            types.append(getattr(content, "content_type", None))
            return super()._save(name, content)

    home = FallbackStorage([Plain()]).backends[0]
    for headers in (HEADERS, {}):
        found, _ = form(GoogleCloudStorage, **headers)
        found.save(home, ContentFile(b"x"))
    assert types == ["text/css", None]


@pytest.mark.parametrize(
    ("coding", "data"),
    [("br", b"br"), ("gzip", b"not compressed"), ("gzip", PACKED[:-20])],
    ids=["unknown", "not compressed", "broken off"],
)
def test_what_cannot_be_undone_is_refused(coding, data):
    """To compare it, it is read as it is."""
    found, backend = form(GoogleCloudStorage, data=data, content_encoding=coding)
    home = FallbackStorage([RecordingStorage()]).backends[0]
    with pytest.raises(EncodedFileError, match=coding) as caught:
        found.to_copy(home, io.BytesIO(data)).read()
    assert caught.value.filename == "a.css"
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.coding) == (str(caught.value), coding)
    assert content_in(backend, "a.css").size == len(data)


def test_an_open_of_its_own_is_not_asked_for_headers():
    """What it returns may be anything."""

    class Mine(GoogleCloudStorage):
        def _open(self, name, mode="rb"):
            return ContentFile(TEXT, name)

    found, _ = form(Mine, content_encoding="gzip")
    assert (found.headers, found.coding, found.as_stored) == ({}, "", True)
