"""How long after a writer's return another process's near tier still knows the old."""

from __future__ import annotations

import contextlib
import json
import threading
import time

import pytest
from coherence.crew import SCALE, start_process
from coherence.history import in_ms, show
from paths import SUPPORT

from fallback_storage.cache.entry import held
from fallback_storage.cache.stores.redis import RedisStore

pytestmark = pytest.mark.slow

LISTENER = SUPPORT / "coherence" / "listener.py"
CHANGES = int(500 * SCALE)
LISTENERS = 4
# Seconds between two changes: their lag is measured, not how fast they can be made.
PAUSE = 0.002


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_every_change_is_heard_of_within_the_bound(valkey, tmp_path, capsys, busy):
    """Each of four processes hears of each invalidation.

    The distribution is printed. On a machine that has nothing else to do p99 is below
    5 ms; a test that shares its two processors with others cannot insist on it, nor on
    how long the scheduler lets one of them wait.
    """
    redis = pytest.importorskip("redis")
    config = {
        "caches": {
            "default": {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": valkey.url,
            }
        },
        "chain": "1a9",
        "busy": busy,
    }
    logs = [tmp_path / f"heard-{number}.json" for number in range(LISTENERS)]
    told, pause = {}, threading.Event()
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(
                start_process(LISTENER, tmp_path, {**config, "log": str(log)})
            )
            for log in logs
        ]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        client = stack.enter_context(redis.Redis(port=valkey.port))
        writer = RedisStore(client, ":1:fbs3:1a9::")
        for number in range(CHANGES):
            name = f"name-{number}"
            assert writer.fill(name, writer.look_up([name])[name][1], held(0), 60)
            writer.invalidate([name])
            told[name] = time.monotonic()
            pause.wait(PAUSE)
        writer.look_up(["the end"])
        for process in processes:
            assert process.wait(60) == 0
    heard = [json.loads(log.read_text()) for log in logs]
    lags = [each[name] - end for each in heard for name, end in told.items()]
    assert len(lags) == CHANGES * LISTENERS
    show(capsys, f"{'busy' if busy else 'idle'} listeners: {in_ms(lags)}")
    assert max(lags) < 20
