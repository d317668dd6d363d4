"""Sets the stage: servers, pictures, database, site. Run by run.py, with its options."""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from options import parse
from pictures import Picture, draw_picture
from processes import Child, DemoError
from servers import HOST, start_redis, start_s3, start_website


def main() -> int:
    """The demo from start to end; returns the exit status."""
    options, data = parse(), Path(tempfile.gettempdir())
    # First of all: a port that is taken is said before anything is started.
    with listen(options.port) as listener:
        url = f"http://{HOST}:{listener.getsockname()[1]}/"
        pid, bucket = None, None
        if options.http:
            bucket, pid = start_website(data)
            print(f"Production is the public site {bucket.endpoint}; no credentials")
        else:
            bucket = start_s3(data)
            print(f"Production is an S3 server (SeaweedFS) at {bucket.endpoint}")
        if redis := options.redis and start_redis(data):
            print(f"Redis server (Valkey) at {redis}, for the memo of all workers")
        pictures = draw(options.photos)
        bucket.fill(pictures)
        print(f"{len(pictures)} pictures in production, none in the local directory")
        before = {"digest": bucket.digest()[0], "writes": bucket.writes()}
        site = vars(options) | asdict(bucket) | before | {"redis": redis, "pid": pid}
        (data / "site.json").write_text(json.dumps(site), encoding="utf-8")
        fill_database(pictures)
        web = serve(listener, data / "web.log", options.workers)
    web.wait_until(lambda: "Booting worker" in web.log.read_text())
    if options.once:
        from story import Story
        from train import Train

        return (Train if options.http else Story)(url, bucket, pictures).tell()
    print(f"\n  The gallery is at {url}   (Ctrl-C ends it)\n")
    ended, _ = os.wait()
    if ended == pid:  # as a button has it
        ended, _ = os.wait()
    raise next(it for it in Child.started if it.process.pid == ended).error("ended")


def listen(port: int | None) -> socket.socket:
    """A listening socket; held by us, so that nobody can take the port."""
    for candidate in [port] if port else [*range(8000, 8010), 0]:
        try:
            return socket.create_server((HOST, candidate), backlog=128)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
    raise DemoError(f"port {candidate}: {reason}; choose another with --port")


def draw(count: int) -> list[Picture]:
    """Draw what fills production, without this site."""
    # Pillow lets threads work side by side.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(draw_picture, range(1, count + 1)))


def fill_database(pictures: Sequence[Picture]) -> None:
    """The "database dump": rows that name files which are not here."""
    import django

    django.setup()

    from django.core.management import call_command
    from gallery.models import Photo

    call_command("migrate", run_syncdb=True, verbosity=0)
    # Newest first on the page; so the last picture comes first here.
    Photo.objects.bulk_create(
        Photo(title=picture.title, image=picture.name) for picture in reversed(pictures)
    )


def serve(listener: socket.socket, log: Path, workers: int) -> Child:
    """The site under gunicorn, on the socket we hold."""
    command = [
        *(sys.executable, "-m", "gunicorn", "--preload", "--no-control-socket"),
        *("--bind", f"fd://{listener.fileno()}", "--workers", str(workers)),
        *("--worker-class", "gthread", "--threads", "8"),
        "django.core.wsgi:get_wsgi_application()",
    ]
    return Child("the web server", command, log, fds=[listener.fileno()])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DemoError as error:
        sys.exit(f"demo: {error}")
