"""TLS in front of a server, as managed Redis has it: a process that passes on bytes.

python tls.py PORT SERVER-PORT FOLDER
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from paths import SUPPORT
from servers import HOST, Server


class TlsProxy(Server):
    """Its certificate is ``directory / "ca.pem"``, which nobody else has signed."""

    def __init__(self, server):
        super().__init__()
        self.server = server

    def command(self):
        write_certificate(self.directory)
        ports = (str(self.port), str(self.server.port))
        return [sys.executable, __file__, *ports, str(self.directory)]

    def environment(self):
        # Where this file finds its neighbours, whatever PYTHONSAFEPATH says.
        return {**os.environ, "PYTHONPATH": str(SUPPORT)}

    def is_ready(self):
        context = ssl.create_default_context(cafile=self.authority)
        with (
            socket.create_connection((HOST, self.port), timeout=2) as plain,
            context.wrap_socket(plain, server_hostname=HOST),
        ):
            return True

    @property
    def authority(self):
        return str(self.directory / "ca.pem")

    @property
    def url(self):
        return f"rediss://{HOST}:{self.port}/0"


def write_certificate(directory):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number()
        )
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(HOST))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (directory / "ca.pem").write_bytes(certificate.public_bytes(pem))
    private = serialization.PrivateFormat.PKCS8
    text = key.private_bytes(pem, private, serialization.NoEncryption())
    (directory / "key.pem").write_bytes(text)


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def serve(port, target, directory):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "ca.pem", directory / "key.pem")

    async def accepted(reader, writer):
        there, back = await asyncio.open_connection(HOST, target)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(accepted, HOST, port, ssl=context)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
