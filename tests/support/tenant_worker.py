"""Another worker of a site of tenants: does what it is told, line by line.

python tenant_worker.py '{...settings}'; then lines of JSON: tenant, what, arguments.
"""

from __future__ import annotations

import json
import sys

from django.conf import settings

settings.configure(**json.loads(sys.argv[1]))

from clocks import ManualClock  # noqa: E402
from django.core.files.base import ContentFile  # noqa: E402
from nearby import impatient  # noqa: E402
from tenants import tenant  # noqa: E402

from fallback_storage.storage import FallbackStorage  # noqa: E402

clock = ManualClock()


class Chain(FallbackStorage):
    """With a clock that is told."""

    clock = clock


chain = Chain()


def far():
    store = chain._get_engine().memo.store._store._store
    return getattr(store, "_far", store)


ACTS = {
    "save": lambda name: chain.save(name, ContentFile(b"1")),
    "cut": lambda: setattr(far(), "_client", impatient(1)),
    "heal": lambda: setattr(far(), "_client", None),
    "tick": clock.tick,
    "near": lambda: chain.stats()["near_connected"],
    "undelivered": lambda: chain.stats()["undelivered"],
}

for line in sys.stdin:
    who, what, arguments = json.loads(line)
    with tenant(who):
        answer = (ACTS.get(what) or getattr(chain, what))(*arguments)
    print(json.dumps(answer), flush=True)  # noqa: T201
