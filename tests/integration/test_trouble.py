"""A cache server in trouble: every answer stays right, and little time is lost."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest
from coherence.history import show
from django.core.files.base import ContentFile
from fakes import RecordingStorage

from fallback_storage.storage import FallbackStorage

pytestmark = pytest.mark.slow

HOST = "127.0.0.1"
ROUNDS = 20
# What the guard allows: a time-out of 0.25 s, or 1 s of slow answers, and some margin
# for a machine that is busy with other things.
SECONDS = 5.0


class Trouble:
    """A server that does not do what a Redis server does; ``talk`` serves a client."""

    def __init__(self, talk):
        self.connections = 0
        self._talk = talk
        self._socket = socket.create_server((HOST, 0))
        self.port = self._socket.getsockname()[1]
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        with contextlib.ExitStack() as stack:
            while True:
                try:
                    client, _ = self._socket.accept()
                except OSError:
                    return
                self.connections += 1
                stack.enter_context(client)
                threading.Thread(
                    target=self._talk, args=(client, self._end), daemon=True
                ).start()

    def close(self):
        self._end.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)


def hang(client, end):
    end.wait()


def garbage(client, end):
    with contextlib.suppress(OSError):
        while client.recv(4096):
            client.sendall(b"!! no such protocol\r\n\0\0\r\n")


def slowly(port):
    """Talk to a real server, and give its answers 100 ms late."""

    def talk(client, end):
        with contextlib.suppress(OSError), socket.create_connection((HOST, port)) as to:
            while request := client.recv(65536):
                to.sendall(request)
                answer = to.recv(65536)
                end.wait(0.1)
                client.sendall(answer)

    return talk


@pytest.fixture(params=["down", "hanging", "garbage", "slow"])
def trouble(request):
    """A port with that trouble behind it."""
    if request.param == "slow":
        talk = slowly(request.getfixturevalue("valkey").port)
    else:
        talk = {"down": hang, "hanging": hang, "garbage": garbage}[request.param]
    server = Trouble(talk)
    if request.param == "down":
        server.close()
    yield request.param, server
    if request.param != "down":
        server.close()


@pytest.mark.parametrize("near", [False, True], ids=["redis", "near"])
def test_every_call_answers_rightly_and_soon(settings, trouble, near, capsys):
    """As the chain without a memo does, at the price of a time-out or two."""
    kind, server = trouble
    settings.CACHES = {
        "media": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"redis://{HOST}:{server.port}",
        }
    }
    backends = [RecordingStorage("local"), RecordingStorage("production")]
    backends[1].files.update({f"p{number}": b"p" for number in range(ROUNDS)})
    chain = FallbackStorage(backends, cache={"ALIAS": "media", "NEAR": near})
    oracle = FallbackStorage(backends, cache=False)
    begin = time.monotonic()
    for number in range(ROUNDS):
        for name in (f"p{number}", f"n{number}"):
            assert chain.exists(name) is oracle.exists(name)
            assert chain.url(name) == oracle.url(name)
        saved = chain.save(f"n{number}", ContentFile(b"n"))
        assert (saved, chain.exists(saved)) == (f"n{number}", True)
        assert chain.open(saved).read() == b"n"
        chain.delete(saved)
        assert chain.exists(saved) is False
        assert chain.size(f"p{number}") == 1
    added = time.monotonic() - begin
    show(capsys, f"{kind}: {ROUNDS * 9} calls took {added:.2f} s")
    assert added < SECONDS
    if kind == "hanging":
        # The near tier's listener tries again on its own thread.
        assert server.connections <= (6 if near else 2)
    assert chain.stats()["store_failures"] <= 4
