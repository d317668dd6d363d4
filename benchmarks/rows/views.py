"""The media view beside what Django has for files; and when a large file begins."""

from __future__ import annotations

import contextlib
import socket
import time
from functools import partial
from itertools import repeat
from pathlib import Path
from wsgiref.util import FileWrapper

from registry import row
from result import DIRECT, ON, Claim, Result, Target
from timing import Contender, race

MB = 1_000_000


@contextlib.contextmanager
def mirror(production):
    """Yield the media view, over the local directory and what is behind it."""
    import django.test.signals  # noqa: F401 - so that another STORAGES is noticed
    from django.test.utils import override_settings

    from fallback_storage import views

    chain = {
        "BACKEND": "fallback_storage.storage.FallbackStorage",
        "OPTIONS": {
            "backends": ["django.core.files.storage.FileSystemStorage", production]
        },
    }
    with override_settings(STORAGES={"default": chain}):
        yield partial(views.media, prefixes=["photos/", "films/"])


def parts_of(response):
    """Yield a response's body as a WSGI server has it."""
    with contextlib.closing(response):
        file = getattr(response, "file_to_stream", None)
        yield from FileWrapper(file, response.block_size) if file else response


def _serve(root):
    from django.views.static import serve

    return lambda request, name: serve(request, name, document_root=root)


def _file_response(root):
    from django.http import FileResponse

    return lambda request, name: FileResponse((root / name).open("rb"))


def _local(world, size, names, rounds, label, other):
    """The thread's CPU time: what other processes do is not counted."""
    from django.test import RequestFactory

    requests = {name: RequestFactory().get(f"/media/{name}") for name in names}

    def reader(view):
        def call(name):
            for _ in parts_of(view(requests[name], name)):
                pass

        return call

    with mirror(world.s3) as media:
        contenders = [
            Contender(DIRECT, reader(other(Path(world.media_root)))),
            Contender(ON, reader(media)),
        ]
        laps = race(contenders, names, rounds, clock=time.thread_time)
    title = f"local file of {size}, media view (directly: {label}; CPU time)"
    result = Result(title, target=Target(1.0))
    for contender in contenders:
        result.add_laps(contender.label, laps[contender.label], len(names))
        result.figures[-1].requests = None
    return result


def _small(world, *other):
    return _local(world, "20 kB", world.local_names, world.rounds(60, 10), *other)


def _large(world, *other):
    name = "films/local.webm"
    path = Path(world.media_root, name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(20 * MB))
    return _local(world, "20 MB", [name], world.rounds(30, 5), *other)


@row("view-20kB")
def small_served(world):
    return _small(world, "static.serve", _serve)


@row("view-20kB-response")
def small_response(world):
    """Which looks nothing up: no name, no change, no ETag."""
    return _small(world, "a bare FileResponse", _file_response)


@row("view-20MB")
def large_served(world):
    return _large(world, "static.serve", _serve)


@row("view-20MB-response")
def large_response(world):
    return _large(world, "a bare FileResponse", _file_response)


def _first_byte(world, kind, storage, name, size):
    """When it comes, and how much was read from the wire before."""
    from django.test import RequestFactory

    request = RequestFactory().get(f"/media/{name}")
    taken = []
    readinto = socket.SocketIO.readinto

    def counted(self, buffer):
        taken.append(readinto(self, buffer))
        return taken[-1]

    def opened(name):
        with storage.open(name) as file:
            file.read(1)

    with mirror(storage) as media:

        def begun(name):
            taken.clear()
            parts = parts_of(media(request, name))
            next(parts)
            parts.close()

        contenders = [Contender(DIRECT, opened), Contender(ON, begun)]
        socket.SocketIO.readinto = counted
        try:
            laps = race(contenders, [name], world.rounds(5, 1))
            begun(name)
        finally:
            socket.SocketIO.readinto = readinto
    title = f"first byte of {size // MB} MB {kind}, media view (directly: open)"
    result = Result(title)
    for contender in contenders:
        result.add_laps(contender.label, laps[contender.label])
        result.figures[-1].requests = None
    share = sum(taken) / size
    result.claims.append(Claim("read before it, over 1 % of all", 0, int(share > 0.01)))
    return result


@row("first-byte-s3")
def first_byte_s3(world):
    name, size = "films/remote.webm", (20 if world.quick else 200) * MB
    world.s3_server.put(name, bytes(size))
    return _first_byte(world, "in S3", world.s3, name, size)


@row("first-byte-http")
def first_byte_http(world):
    from origins import origin, reply

    from fallback_storage.http import HTTPStorage

    size = (20 if world.quick else 200) * MB

    def answer(request):
        yield reply(200, Content_Length=size)
        if request.method == "GET":
            yield from repeat(bytes(MB), size // MB)

    with origin() as site:
        site.answer = answer
        storage = HTTPStorage(site.base_url)
        return _first_byte(world, "over HTTP", storage, "films/remote.webm", size)
