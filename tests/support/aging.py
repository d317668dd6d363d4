"""Stores in which time passes when a test says so."""

from __future__ import annotations

import re

from clocks import ManualClock

from fallback_storage.cache.stores.local import LocalStore


class SharedStore(LocalStore):
    """A STORE of one's own: shared by the memos of a chain, on a clock moved by hand."""

    in_process = False
    hand = ManualClock()

    def __init__(self, chain):
        super().__init__(clock=self.hand)


def age_redis(client, seconds):
    """Let every key have so much less to live, and every entry end so much earlier."""
    passed = int(seconds * 1000)

    def earlier(end):
        return b"%d" % (int(end[0]) - passed)

    for key in client.scan_iter(_type="string"):
        said, colon, token = client.get(key).rpartition(b":")
        left = client.pttl(key) - passed
        value = re.sub(rb"(?<![0-9])[0-9]{13}(?![0-9])", earlier, said) + colon + token
        client.set(key, value, px=left) if left > 0 else client.delete(key)
