"""A store of somebody's own."""

from __future__ import annotations

from fallback_storage.cache.stores.base import Store


class DictStore(Store):
    """The least that a store can be: somebody's own, given by its dotted path."""

    def __init__(self, chain):
        self.chain = chain
        self.codes = {}
        self.closed = False

    def look_up(self, names):
        return {name: (self.codes.get(name), "lease") for name in names}

    def fill(self, name, lease, code, ttl):
        self.codes[name] = code
        return True

    def invalidate(self, names):
        for name in names:
            self.codes.pop(name, None)

    def clear(self):
        self.codes.clear()

    def close(self):
        self.closed = True


def as_of_an_alias():
    """Return arguments for a client of redis-py like the ones that are made of aliases."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return {"protocol": 2, "retry": Retry(NoBackoff(), 0)}
