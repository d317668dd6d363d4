"""An SFTP server for tests: python sftp_server.py PORT FOLDER PASSWORD."""

from __future__ import annotations

import asyncio
import sys

import asyncssh

PORT, FOLDER, PASSWORD = int(sys.argv[1]), sys.argv[2], sys.argv[3]


class Server(asyncssh.SSHServer):
    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return password == PASSWORD


async def serve():
    await asyncssh.listen(
        "127.0.0.1",
        PORT,
        server_factory=Server,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=FOLDER),
    )
    await asyncio.get_running_loop().create_future()


asyncio.run(serve())
