"""What a storage works with: built at its first use, dropped when settings change."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from django.core.signals import setting_changed
from django.dispatch import receiver

from fallback_storage.chain import reaches
from fallback_storage.conf.settings import MEMO_SETTINGS, is_relevant
from fallback_storage.operations.engine import build_engine
from fallback_storage.utils import forks
from fallback_storage.utils.living import Living

if TYPE_CHECKING:
    from collections.abc import Callable

    from fallback_storage.chain.backend import Backend
    from fallback_storage.operations.engine import Engine


class EngineOwner:
    """Has an engine; copies, pickles and forked children of it get one of their own.

    ``given``: the arguments of ``FallbackStorage`` that are not defaults.
    """

    # The clock of lifetimes in process memory: seconds, never going back. For tests.
    clock: ClassVar[Callable[[], float]] = staticmethod(time.monotonic)

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = given
        self._engine: Engine | None = None
        self._kept: tuple[Backend, ...] | None = None
        self._connect()

    def __repr__(self) -> str:
        engine = self._engine
        names = "not used yet"
        if engine:
            names = ", ".join(backend.name for backend in engine.backends)
        return f"<{type(self).__name__}: {names}>"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_engine": None, "_kept": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._connect()

    def _get_engine(self) -> Engine:
        engine = self._engine
        if engine is None:
            with forks.build_lock():
                engine = self._engine
                if engine is None:
                    engine = build_engine(
                        self, self._given, type(self).clock, self._kept
                    )
                    self._engine, self._kept = engine, None
        return engine

    def _connect(self) -> None:
        _storages.add(self)
        forks.register(self)

    def _setting_changed(self, setting: str) -> None:
        if setting in MEMO_SETTINGS:
            # The storages themselves follow; one in memory must keep its files.
            engine = self._engine
            self._kept = engine.backends if engine else self._kept
            self._engine = None
        elif is_relevant(setting):
            self._engine = self._kept = None

    def after_fork(self) -> None:
        """Start afresh with the next call; see ``forks.ForkSensitive``."""
        self._engine = self._kept = None


_storages: Living[EngineOwner] = Living()


# (One for all: a signal goes through all its receivers to connect another one.)
@receiver(setting_changed)
def _follow_settings(*, setting: str, **kwargs: Any) -> None:
    if setting in MEMO_SETTINGS or is_relevant(setting):
        reaches.forget_all()
    for storage in _storages.all():
        storage._setting_changed(setting)  # noqa: SLF001 - ours
