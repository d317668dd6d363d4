"""Two workers of a site with two tenants, over one memo: judged after every step."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys

import pytest
from nearby import until
from paths import SUPPORT

pytestmark = pytest.mark.slow

NAMES = ("a", "b", "d/e")
TENANTS = ("one", "two")
STEPS = 400


class Worker:
    """A process that answers one question after the other."""

    def __init__(self, settings):
        self.process = subprocess.Popen(
            [sys.executable, str(SUPPORT / "tenant_worker.py"), json.dumps(settings)],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(SUPPORT), *sys.path]),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, who, what, *arguments):
        self.process.stdin.write(json.dumps([who, what, arguments]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(params=["redis", "near", "key-function"])
def site(request, valkey, tmp_path):
    alias = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": valkey.url,
    }
    if request.param == "key-function":
        alias["KEY_FUNCTION"] = "tenants.key_of_tenant"
    storages = {
        "default": {
            "BACKEND": "tenant_worker.Chain",
            "OPTIONS": {
                "backends": [
                    {"BACKEND": "tenants.TenantStorage", "LOOK_AGAIN": False},
                    {"BACKEND": "fakes.RecordingStorage", "READ_ONLY": True},
                ],
                "cache": {
                    "ALIAS": "default",
                    "VARY": "tenants.whose",
                    "NEAR": request.param == "near",
                },
            },
        },
        "staticfiles": {"BACKEND": "fakes.RecordingStorage"},
    }
    settings = {
        "CACHES": {"default": alias},
        "FALLBACK_STORAGES": storages["default"]["OPTIONS"]["backends"],
        "FALLBACK_STORAGE_CACHE": storages["default"]["OPTIONS"]["cache"],
        "MEDIA_ROOT": str(tmp_path),
        "MEDIA_URL": "/media/",
        "SECRET_KEY": "one for both",
        "USE_TZ": True,
    }
    with contextlib.ExitStack() as ends:
        workers = [Worker(settings) for _ in range(2)]
        for worker in workers:
            ends.callback(worker.process.wait, 30)
            ends.callback(worker.process.stdin.close)
            ends.callback(worker.process.stdout.close)
        yield request.param == "near", tmp_path, workers


def test_no_answer_of_another_tenant_and_no_lost_announcement(site):
    """In any order; with cuts, in which a worker writes and another tenant comes first."""
    near, root, workers = site
    chance = random.Random(11)
    cut = set()
    if near:
        for worker in workers:
            worker.ask("one", "exists", "x")
            until(lambda worker=worker: worker.ask("one", "near"))

    def judge(worker, who, name):
        there = (root / who / name).exists()
        url = f"/media/{who}/{name}" if there else f"/{name}"

        def right():
            return worker.ask(who, "exists", name) is there and worker.ask(
                who, "url", name
            ).endswith(url)

        if near and not right():
            until(right)  # a message is on its way
        assert right()

    for _ in range(STEPS):
        worker, who = chance.choice(workers), chance.choice(TENANTS)
        name, what = chance.choice(NAMES), chance.random()
        if what < 0.05 and not cut:
            worker.ask(who, "cut")
            cut.add(worker)
        elif what < 0.2 and cut:
            (cut_off,) = cut
            cut.clear()
            cut_off.ask(who, "heal")
            cut_off.ask(who, "tick", 60)
            cut_off.ask(who, "exists", "another")  # whoever comes first delivers
            assert cut_off.ask(who, "undelivered") == 0
        elif what < 0.5:
            there = (root / who / name).exists()
            worker.ask(who, *(("delete", name) if there else ("save", name)))
        # A worker that was cut off is right; the others may not have heard of it yet.
        for each in cut or workers:
            judge(each, chance.choice(TENANTS), chance.choice(NAMES))
