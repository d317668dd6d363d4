"""PostgreSQL, as Debian installs it: for a memo in the database."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

from servers import HOST, STOP_SECONDS, MissingServerError, Server

USER = "nobody"


def program(name):
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if not found:
        raise MissingServerError(f"{name} is not installed; on Debian: postgresql.")
    if os.geteuid():
        return [str(found[-1])]
    # It refuses to be run by root. (Who changes users survives its parent's death, but
    # for what it says now: see ``Server``.)
    is_main = threading.current_thread() is threading.main_thread()
    ends = ["--pdeathsig=QUIT"] if is_main else []
    return ["setpriv", f"--reuid={USER}", "--clear-groups", *ends, "--", str(found[-1])]


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
            "unix_socket_directories": "",
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

    def flush(self):
        with self.connect() as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")

    def connect(self):
        import psycopg

        return psycopg.connect(**self.params, connect_timeout=2, autocommit=True)

    def is_ready(self):
        import psycopg

        try:
            self.connect().close()
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
