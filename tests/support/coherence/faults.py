"""What happens to a memo's store while workers use it: one fault at a time.

Each is a function of the site (``Site``), and returns what makes it happen again and
again, or None; ``site.ends`` undoes it.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

from nearby import until
from servers import Server, ValkeyServer


@dataclass
class Site:
    """A store that workers share: its server, if it has one, and how it is configured."""

    kind: str
    cache: dict
    directory: object
    ends: ExitStack
    server: Server | None = None
    # Of redis-py, for what only its owner does.
    admin: object = None
    # What else the crew is told.
    crew: dict = field(default_factory=dict)
    happened: int = 0

    def every(self, seconds, action):
        """Return a function that calls ``action`` when so much time has passed since."""
        last = float("-inf")

        def act():
            nonlocal last
            if time.monotonic() - last >= seconds:
                action()
                self.happened += 1
                last = time.monotonic()

        return act


def nothing(site):
    """They only write and read."""


def threads(site):
    """Many threads, which all have to connect anew at once."""
    site.crew["threads"] = 16
    site.crew["operations"] = 10
    if site.admin is not None:
        return site.every(0.3, lambda: site.admin.client_kill_filter(_type="normal"))
    return None


def killed(site):
    """The server crashes; it comes back with what it had (memcached: with nothing)."""

    def crash():
        site.server.kill()
        site.server.start()

    # PostgreSQL takes a while to come back, and to connect to.
    return site.every(3.0 if site.kind == "postgres" else 0.6, crash)


def hangs(site):
    """The server accepts and does not answer, for longer than anybody waits."""

    def hang():
        site.server.freeze()
        try:
            time.sleep(0.4)
        finally:
            site.server.thaw()

    return site.every(0.3, hang)


def flushed(site):
    """All keys go, leases and stamps among them."""
    return site.every(0.02, site.admin.flushall if site.admin else site.server.flush)


def evicted(site):
    """Keys go for want of memory."""
    numbers = itertools.count()
    client = site.admin

    def press():
        pipeline = client.pipeline(transaction=False)
        for _ in range(500):
            pipeline.set(f"junk-{next(numbers)}", "x" * 1000)
        pipeline.execute(raise_on_error=False)

    client.config_set("maxmemory-policy", "allkeys-random")
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 1_000_000)
    site.ends.callback(client.config_set, "maxmemory-policy", "noeviction")
    site.ends.callback(client.config_set, "maxmemory", 0)
    return site.every(0.02, press)


def unheard(site):
    """The connections are lost on which a near tier listens."""

    def kill():
        for connection in site.admin.client_list():
            if "t" in connection["flags"]:
                # (It may have gone meanwhile.)
                with contextlib.suppress(Exception):
                    site.admin.client_kill_filter(_id=connection["id"])

    return site.every(0.1, kill)


def failover(site):
    """The endpoint leads to the replica, which was promoted; connections stay open."""
    redis = type(site.admin)
    second = site.ends.enter_context(ValkeyServer())
    servers = [site.server, second]
    clients = [redis(port=each.port, socket_timeout=10) for each in servers]
    for client in clients:
        site.ends.callback(client.close)
        client.config_set("repl-diskless-sync-delay", 0)
    site.ends.callback(clients[0].replicaof, "NO", "ONE")
    clients[1].replicaof(servers[0].host, servers[0].port)
    until_synced(clients[1])
    endpoint = site.directory / "endpoint"
    endpoint.write_text(str(servers[0].port))
    site.cache["endpoint"] = str(endpoint)

    def fail_over():
        """As who runs it does it by hand: no write that was confirmed is lost."""
        (old, new), (_, server) = clients, servers
        old.execute_command("FAILOVER", "TO", server.host, server.port)
        until(lambda: new.info("replication")["role"] == "master", 30)
        endpoint.write_text(str(server.port))
        clients.reverse()
        servers.reverse()
        until_synced(clients[1])

    return site.every(0.3, fail_over)


def swapped(site):
    """Another database takes the place of this one, of which no server tells."""
    site.cache["ttl"] = 1.0
    return site.every(0.2, lambda: site.admin.swapdb(0, 1))


def interrupted(site):
    """The workers' calls end in exceptions of a signal's handler, at any moment."""
    site.crew["interrupts"] = True


def written(site):
    """Somebody else writes into the database, and takes a while."""
    database = site.cache["databases"]["default"]["NAME"]
    connection = sqlite3.connect(database, isolation_level=None, timeout=10)
    site.ends.callback(connection.close)
    connection.execute("CREATE TABLE IF NOT EXISTS other (x)")

    def write():
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO other VALUES (1)")
        time.sleep(0.02)
        connection.execute("COMMIT")

    return site.every(0.02, write)


def nested(site):
    """The chain is a backend of another one, which remembers as well."""
    site.crew["nested"] = True


def until_synced(replica):
    until(lambda: replica.info("replication").get("master_link_status") == "up", 30)
