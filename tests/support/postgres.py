"""PostgreSQL, as Debian installs it: for a memo in the database. Not a part of CI."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

from servers import HOST, STOP_SECONDS, MissingServerError, Server

USER = "nobody"


def program(name):
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if not found:
        raise MissingServerError(f"{name} is not installed; on Debian: postgresql.")
    # It refuses to be run by root.
    other = ["setpriv", f"--reuid={USER}", "--clear-groups", "--"]
    return [*(other if os.geteuid() == 0 else ()), str(found[-1])]


class PostgresServer(Server):
    """With a cluster of its own, which trusts whoever comes."""

    def command(self):
        data = self.directory / "data"
        if not data.exists():
            if os.geteuid() == 0:
                shutil.chown(self.directory, USER)
            options = ("--auth=trust", "--username=me", "--no-sync", "-D", str(data))
            made = [*program("initdb"), *options]
            subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
        settings = {
            "port": self.port,
            "listen_addresses": HOST,
            "unix_socket_directories": self.directory,
            "fsync": "off",
        }
        options = [f"-c{key}={value}" for key, value in settings.items()]
        return [*program("postgres"), "-D", str(data), *options]

    def kill(self):
        """End it at once. (Its children hold on to what they share, if it is killed.)"""
        if self.is_running:
            self.process.send_signal(signal.SIGQUIT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        super().kill()

    def is_ready(self):
        import psycopg

        try:
            psycopg.connect(**self.params, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def params(self):
        return {"host": HOST, "port": self.port, "user": "me", "dbname": "postgres"}

    @property
    def database(self):
        """As DATABASES has it."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "USER": "me",
            "HOST": HOST,
            "PORT": self.port,
        }
