"""Outages come and go, and nothing that is remembered of them is wrong afterwards."""

from __future__ import annotations

import logging
import random

import pytest
from clocks import ManualClock
from django.core.files.base import ContentFile
from fakes import RecordingStorage
from proofs import THOROUGH
from silent import SilentStorage, silent

from fallback_storage.chain.reachability import is_unreachable
from fallback_storage.exceptions import FileNotInAnyBackendError
from fallback_storage.storage import FallbackStorage

STEPS = 100_000 if THOROUGH else 2_000
NAMES = [f"{letter}{number}" for letter in ("a", "d/b", "d/e/c") for number in range(4)]


class Refusal(Exception):
    """As boto3 tells the status of an answer."""

    def __init__(self, status):
        super().__init__(status)
        self.response = {"ResponseMetadata": {"HTTPStatusCode": status}}


FAULTS = {
    "refuses": ConnectionRefusedError(),
    "503": Refusal(503),
    "403": Refusal(403),
    "interrupts": KeyboardInterrupt(),
}


class Chain(FallbackStorage):
    clock = ManualClock()


class World:
    """A home and a production that fails, and what is in them."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.chain = Chain(
            [RecordingStorage("home"), silent(READ_ONLY=True, DEADLINE=0.2)]
        )
        self.home, self.production = (each.storage for each in self.chain.backends)
        for name in NAMES[::2]:
            self.production.files[name] = b"production's"
        self.fault = ""

    @property
    def is_well(self):
        return not self.fault and self.breaker == "closed"

    @property
    def breaker(self):
        return self.chain.stats()["backends"]["SilentStorage"]["breaker"]

    def change(self):
        """Let another fault begin, or the last one end."""
        self.recover()
        self.fault = self.random.choice(["", "", "hangs", *FAULTS])
        if self.fault == "hangs":
            self.production.hang()
        elif self.fault:
            for method in ("exists", "size", "_open", "listdir"):
                self.production.fail(method, FAULTS[self.fault])

    def recover(self):
        self.production.heal()
        self.production.answer()
        self.fault = ""

    def content(self, name):
        return self.home.files.get(name, self.production.files.get(name))

    def check(self, name):
        """Ask something of a name; the answer is true, or tells of the outage."""
        expected, well = self.content(name), self.is_well
        ask = self.random.choice([self.exists, self.size, self.read])
        try:
            found = ask(name)
        except KeyboardInterrupt:
            assert self.fault == "interrupts"
            assert self.breaker != "trial"
            return
        except FileNotInAnyBackendError:
            assert expected is None  # and it may be remembered
            return
        except Exception as error:
            is_told = is_unreachable(error) or self.fault == "403"
            # (A machine that is busy answers too late.)
            if (well and self.is_well) or name in self.home.files or not is_told:
                raise
            return
        if ask == self.exists:
            is_missed = found is False and not (well and self.is_well)
            assert found == (expected is not None) or is_missed
            assert found or name not in self.home.files
        else:
            assert found == (len(expected) if ask == self.size else expected)

    def exists(self, name):
        return self.chain.exists(name)

    def size(self, name):
        return self.chain.size(name)

    def read(self, name):
        with self.chain.open(name) as file:
            return file.read()

    def save(self, name):
        try:
            saved = self.chain.save(name, ContentFile(b"home's"))
        except KeyboardInterrupt:
            assert self.fault == "interrupts"
        else:
            assert self.home.files[saved] == b"home's"

    def delete(self, name):
        self.chain.delete(name)
        assert name not in self.home.files

    def step(self):
        name = self.random.choice(NAMES)
        dice = self.random.random()
        if dice < 0.03:
            self.change()
        elif dice < 0.06:
            self.save(name)
        elif dice < 0.09:
            self.delete(name)
        elif dice < 0.15:
            Chain.clock.tick(self.random.choice([1, 5, 10, 60, 300]))
        else:
            self.check(name)

    def check_all(self):
        """All is well again, after the longest pause and a call that tries."""
        self.recover()
        for _ in range(100):  # threads that were stuck need a moment
            Chain.clock.tick(66)
            self.chain.exists(f"new{self.random.random()}")
            if self.breaker == "closed":
                break
        assert self.is_well
        for name in NAMES:
            self.check(name)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_outages_come_and_go(seed, caplog):
    """By hanging, refusing, 503, 403 and Ctrl-C in a call."""
    caplog.set_level(logging.CRITICAL, "fallback_storage")
    world = World(seed)
    assert isinstance(world.production, SilentStorage)
    try:
        for number in range(STEPS // 4):
            world.step()
            if not number % 100:
                world.check_all()
        world.check_all()
    finally:
        world.recover()
