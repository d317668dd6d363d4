"""Servers that go away and come back, connections that break, answers that say nothing.

Whatever happens, three things hold: an outage is never "no such file", nothing wrong is
remembered of it, and all is as before when it is over.
"""

from __future__ import annotations

import os
import signal
import threading
import warnings

import pytest
from django.core.files.base import ContentFile
from forked import needs_fork
from real.contents import DATA, digest
from real.contract import put, read
from real.proxy import GOOGLE_DENIES

from fallback_storage.storage import FallbackStorage

LOCAL = "django.core.files.storage.FileSystemStorage"
REMOTE = ["s3", "google", "azure", "sftp", "ftp", "minio", "django-s3", "webdav"]
# (FTP sends its files on connections of their own, past the proxy.)
# Nothing is left alone for a while: here it is asked again at once.
REAL = {"ALIAS": "real", "RETRY_AFTER": 0}
BREAKING = [name for name in REMOTE if name != "ftp"]


@pytest.fixture
def remote(recipe, place, monkeypatch):
    """A place on a server, whose clients do not try again for minutes."""
    if recipe.name == "google":
        from google.cloud.storage import retry

        conditional = retry.DEFAULT_RETRY_IF_GENERATION_SPECIFIED
        for policy in (retry.DEFAULT_RETRY, conditional.retry_policy):
            monkeypatch.setattr(policy, "_timeout", 0.1)
        place.proxy.denial = GOOGLE_DENIES
    if recipe.name == "azure":
        from azure.storage.blob import ExponentialRetry

        monkeypatch.setattr(
            ExponentialRetry.__init__, "__defaults__", (0, 0, 0, False, 0)
        )
    if recipe.name == "django-s3":
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    return place


def local(tmp_path, **policy):
    options = {"location": str(tmp_path / "local"), "base_url": "/there/"}
    return {"BACKEND": LOCAL, "OPTIONS": options, "NAME": "local", **policy}


def mirror(tmp_path):
    return FallbackStorage([local(tmp_path), {**REAL, "READ_ONLY": True}])


def failure_of(ask):
    """Return what is raised, whatever it is."""
    try:
        ask()
    except Exception as error:
        return error
    return pytest.fail("DID NOT RAISE")


def begin_drop(proxy):
    proxy.outage = True
    proxy.drop()


TROUBLES = {
    "refused": lambda proxy: proxy.refuse(),
    "dropped": begin_drop,
    "503": lambda proxy: setattr(proxy, "status", 503),
}


@pytest.mark.parametrize(
    ("recipe", "trouble"),
    [
        (name, trouble)
        for name in REMOTE
        for trouble in TROUBLES
        if trouble != "503" or name not in {"sftp", "ftp"}
    ],
    indirect=["recipe"],
)
def test_an_outage_is_no_missing_file_and_ends(remote, tmp_path, trouble):
    name, missing = remote.file("there.bin"), remote.file("missing.bin")
    put(remote.raw, name, DATA)
    chain = mirror(tmp_path)
    # A connection that is open already, too.
    assert chain.exists(name)
    chain.forget_all()

    TROUBLES[trouble](remote.proxy)
    for ask in (lambda: read(chain, name), lambda: chain.size(name)):
        assert not isinstance(failure_of(ask), FileNotFoundError)
    assert chain.resolve(name).held is None
    assert chain.resolve(missing).held is None
    # A page is shown nevertheless, and an upload goes to the directory.
    assert chain.url(name)
    saved = chain.save(missing, ContentFile(b"new", "new.bin"))
    assert read(chain, saved) == b"new"

    remote.proxy.behave()
    assert chain.exists(name)
    assert digest(read(chain, name)) == digest(DATA)
    assert read(chain, saved) == b"new"
    assert not chain.exists(remote.file("also missing.bin"))


@pytest.mark.parametrize("recipe", BREAKING, indirect=True)
def test_an_upload_that_breaks_is_whole_elsewhere(remote, tmp_path):
    """The first backend breaks off; the file is in the second, and nothing of it here."""
    chain = FallbackStorage([REAL, local(tmp_path, READ_ONLY=False)])
    name = remote.file("upload.bin")
    chain.exists(name)
    remote.proxy.break_after = len(DATA) // 2
    saved = chain.save(name, ContentFile(DATA, "upload.bin"))
    assert chain.resolve(saved).backend == "local"
    remote.proxy.behave()
    assert digest(read(chain, saved)) == digest(DATA)
    assert not remote.raw.exists(saved)


@pytest.mark.parametrize("recipe", REMOTE, indirect=True)
def test_two_threads(remote, tmp_path):
    """Each reads its own files, however many ask at once."""
    chain = mirror(tmp_path)
    names = [remote.file(f"thread-{number}.bin") for number in range(4)]
    for number, name in enumerate(names):
        put(remote.raw, name, bytes([number]) * 50_000)
    barrier, found = threading.Barrier(2), {}

    def ask(mine):
        barrier.wait(10)
        for name in mine:
            found[name] = (chain.exists(name), read(chain, name), chain.size(name))

    threads = [threading.Thread(target=ask, args=(names[i::2],)) for i in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    for number, name in enumerate(names):
        assert found[name] == (True, bytes([number]) * 50_000, 50_000)


@needs_fork
@pytest.mark.parametrize("recipe", REMOTE, indirect=True)
def test_fork(remote, tmp_path):
    """A child of a process that has asked already gets answers, and so does its parent."""
    name = remote.file("fork.bin")
    put(remote.raw, name, DATA)
    chain = mirror(tmp_path)
    assert digest(read(chain, name)) == digest(DATA)
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork with threads: those of the proxy.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        try:
            right = digest(read(chain, name)) == digest(DATA) and chain.size(name)
            os._exit(0 if right else 1)
        finally:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
    assert digest(read(chain, name)) == digest(DATA)


@pytest.mark.parametrize(
    "recipe", ["s3", "google", "minio", "django-s3"], indirect=True
)
def test_a_key_that_may_not_list(remote, tmp_path):
    """A missing file is 403, which is no "no such file" without ABSENT_ON_403."""
    held, missing = remote.file("held.bin"), remote.file("missing.bin")
    put(remote.raw, held, DATA)
    remote.proxy.hides_missing = True
    plain = mirror(tmp_path)
    assert plain.resolve(held).held
    assert plain.resolve(missing).held is None
    told = {"ALIAS": "real", "READ_ONLY": True, "ABSENT_ON_403": True}
    chain = FallbackStorage([local(tmp_path), told], strict=True)
    with pytest.raises(FileNotFoundError):
        read(chain, missing)
    assert chain.exists(held)
    assert not chain.exists(missing)
    assert chain.resolve(missing).held is False
    assert chain.save(missing, ContentFile(b"new", "new.bin")) == missing
    assert digest(read(chain, held)) == digest(DATA)


@pytest.mark.parametrize(
    "recipe", ["s3", "google", "minio", "django-s3"], indirect=True
)
def test_what_is_no_denial_is_a_failure(remote, tmp_path):
    """Also with ABSENT_ON_403: a server in trouble says nothing of a file."""
    held = remote.file("held.bin")
    put(remote.raw, held, DATA)
    remote.proxy.status = 503
    told = {"ALIAS": "real", "READ_ONLY": True, "ABSENT_ON_403": True}
    chain = FallbackStorage([local(tmp_path), told])
    assert chain.resolve(held).held is None
