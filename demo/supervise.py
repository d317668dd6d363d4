"""Starts the S3 server and the web server, and stops both whatever happens."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from pictures import Picture, draw_picture
from processes import Child, DemoError
from redisserver import RedisServer
from s3server import ACCESS_KEY, BUCKET, HOST, REGION, SECRET_KEY, Bucket, S3Server

HERE = Path(__file__).resolve().parent
FIRST_PORT, LAST_PORT = 8000, 8009
WATCH_SECONDS = 0.5


def run(options: argparse.Namespace, data: Path) -> int:
    """The demo from start to end; returns the exit status."""
    logs = data / "logs"
    logs.mkdir()
    (data / "media").mkdir()
    with ExitStack() as stack:
        # First of all: a port that is taken is said before anything is started.
        listener = stack.enter_context(listen(options.port))
        port = listener.getsockname()[1]
        server = stack.enter_context(S3Server(data / "s3", logs / "s3.log"))
        say("Starting an S3 server", "")
        bucket = server.start()
        say(f"S3 server (SeaweedFS) at {bucket.endpoint}, bucket {BUCKET}")
        pictures = draw(options.photos)
        put(bucket, pictures)
        say(f"{len(pictures)} pictures in the bucket, none in the local directory")
        redis = stack.enter_context(RedisServer(data / "redis", logs / "redis.log"))
        shared = redis.start() if options.redis else None
        if shared:
            say(f"Redis server (Valkey) at {shared}, for the memo of all workers")
        site = {
            **describe(bucket),
            "workers": options.workers,
            "redis": shared,
            "toolbar": options.toolbar,
        }
        (data / "site.json").write_text(json.dumps(site), encoding="utf-8")
        os.environ["FALLBACK_DEMO_DIRECTORY"] = str(data)
        os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
        fill_database(pictures)
        web = serve(listener, logs / "web.log", options.workers)
        stack.callback(web.stop)
        # The workers have it now; kept here as well, it would accept and not answer.
        listener.close()
        url = f"http://{HOST}:{port}/"
        web.wait_until(lambda: _answers(url), seconds=30)
        if options.once:
            from story import tell

            return tell(url, data, bucket, site, pictures)
        say(f"\n  The gallery is at {url}   (Ctrl-C ends it)\n")
        return watch(server, redis, web)


def say(text: str, end: str = "\n") -> None:
    """One line of progress; a line without an end is replaced by the next."""
    if not end and not sys.stdout.isatty():
        return
    start = "\r\x1b[K" if sys.stdout.isatty() else ""
    print(start + text, end=end, flush=True)


def listen(port: int | None) -> socket.socket:
    """A listening socket; held by us, so that nobody can take the port."""
    wanted = [port] if port else [*range(FIRST_PORT, LAST_PORT + 1), 0]
    for candidate in wanted:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, candidate))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if candidate == wanted[-1]:
                raise DemoError(
                    f"port {candidate}: {error.strerror}; choose another with --port"
                ) from error
        else:
            return listener
    raise AssertionError("not reached")


def draw(count: int) -> list[Picture]:
    """Draw the pictures; Pillow lets threads work side by side."""
    drawn: list[Picture] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for picture in pool.map(draw_picture, range(1, count + 1)):
                drawn.append(picture)
                say(f"Drawing pictures: {len(drawn)} of {count}", "")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return drawn


def put(bucket: Bucket, pictures: Sequence[Picture]) -> None:
    """Fill production, the way production was filled: without this site."""
    client = bucket.client()
    for done, picture in enumerate(pictures, 1):
        client.put_object(
            Bucket=BUCKET,
            Key=key(picture),
            Body=picture.jpeg,
            ContentType="image/jpeg",
        )
        say(f"Filling the bucket: {done} of {len(pictures)}", "")


def key(picture: Picture) -> str:
    """A picture's name in the bucket, and in the database."""
    return f"photos/{picture.filename}"


def describe(bucket: Bucket) -> dict[str, Any]:
    """What the site has to know, and what the bucket was at the start."""
    return {
        "bucket": BUCKET,
        "endpoint": bucket.endpoint,
        "metrics": bucket.metrics,
        "region": REGION,
        "access_key": ACCESS_KEY,
        "secret_key": SECRET_KEY,
        "django_secret_key": secrets.token_urlsafe(40),
        "digest": bucket.listing_digest()[0],
        "server_counts": bucket.server_counts(),
    }


def fill_database(pictures: Sequence[Picture]) -> None:
    """The "database dump": rows that name files which are not here."""
    import django

    django.setup()

    from django.core.management import call_command
    from django.db import connections
    from gallery.models import Photo

    call_command("migrate", verbosity=0)
    # Newest first on the page; so the last picture comes first here.
    Photo.objects.bulk_create(
        Photo(title=picture.title, image=key(picture)) for picture in reversed(pictures)
    )
    connections.close_all()


def serve(listener: socket.socket, log: Path, workers: int) -> Child:
    """The site under gunicorn, on the socket we hold."""
    descriptor = listener.fileno()
    return Child(
        "the web server",
        [
            *(sys.executable, "-m", "gunicorn", "wsgi:application"),
            *("--bind", f"fd://{descriptor}"),
            *("--workers", str(workers), "--worker-class", "gthread", "--threads", "8"),
            # What --once asks of one worker goes there on one connection.
            *("--preload", "--keep-alive", "75"),
            *("--chdir", str(HERE), "--graceful-timeout", "3", "--no-control-socket"),
        ],
        log,
        pass_fds=(descriptor,),
    )


def watch(server: S3Server, redis: RedisServer, web: Child) -> int:
    """Until Ctrl-C, or until one of them ends by itself."""
    try:
        while True:
            server.check()
            redis.check()
            web.check()
            with suppress(subprocess.TimeoutExpired):
                web.process.wait(WATCH_SECONDS)
    except KeyboardInterrupt:
        say("Stopping.")
        return 0


def _answers(url: str) -> bool:
    try:
        with urlopen(f"{url}static/gallery/icon.svg", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
