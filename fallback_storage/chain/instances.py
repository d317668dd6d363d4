"""Storages that are not thread-safe, behind something that is.

Two threads on one connection get each other's answers, or wait for ever; and after one
failure some never answer again. So each call has an instance for itself, of a few that
nobody else uses, and one that failed is thrown away. What cannot be built anew (an
instance that was given, or what a callable returns) is used by one call at a time.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import weakref
from contextlib import closing, contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from django.core.files.base import File

from fallback_storage.chain.outcomes import RAISE_AT_ONCE, Outcome, classify, is_stub
from fallback_storage.exceptions import BackendUnavailable
from fallback_storage.utils.spools import SPOOL_MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fallback_storage.chain.profile import Profile

# Instances of one backend, and so calls at the same time.
INSTANCES: Final = 4

# Seconds that a call waits for its turn.
PATIENCE: Final = 5.0


class Instances:
    """A storage whose methods many threads may call; each call is lent an instance.

    ``template`` has the class, and the attributes that are no methods. ``build`` makes
    another one like it; None: there is only the template. A call that does not get its
    turn within the ``patience`` seconds (None: ``PATIENCE``) raises ``BackendUnavailable``.
    """

    def __init__(
        self,
        name: str,
        template: Any,
        profile: Profile,
        build: Callable[[], Any] | None = None,
        patience: float | None = None,
    ) -> None:
        self._name = name
        self._template = template
        self._profile = profile
        self._build = build
        self._patience = patience
        self._idle: list[Any] = [] if build else [template]
        self._turns: SimpleQueue[None] = SimpleQueue()
        for _ in range(INSTANCES if build else 1):
            self._turns.put(None)
        if build:
            weakref.finalize(self, _close_all, self._idle, profile.close, os.getpid())

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return self._template.__class__  # type: ignore[no-any-return]

    def __getattr__(self, attribute: str) -> Any:
        if attribute == "_template":  # of a copy, which has nothing yet
            raise AttributeError(attribute)
        value = getattr(self._template, attribute)
        is_safe = attribute in self._profile.thread_safe_methods or is_stub(value)
        if is_safe or not callable(value):
            return value

        @functools.wraps(value)
        def call(*args: Any, **kwargs: Any) -> Any:
            return self.lend(_call, attribute, *args, **kwargs)

        return call

    def lend(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return what ``function`` returns for an instance and the arguments."""
        with self._instance() as instance:
            return function(instance, *args, **kwargs)

    @contextmanager
    def _instance(self) -> Iterator[Any]:
        turn: list[None] = []
        patience = self._patience or PATIENCE
        try:
            # One step, so an interrupt finds the turn taken and noted, or neither.
            turn.extend(map(self._turns.get, (True,), (patience,)))
            instance = self._take()
            try:
                yield instance
            except BaseException as error:
                if self._build and not _is_harmless(error):
                    _close(instance, self._profile.close)
                    instance = None
                raise
            finally:
                if instance is not None:
                    self._idle.append(instance)
        except Empty:
            if turn:
                raise
            reason = f"busy for {patience:g} seconds"
            raise BackendUnavailable(self._name, reason) from None
        finally:
            if turn:
                self._turns.put(None)

    def _take(self) -> Any:
        try:
            # The last one used: its connection is the likeliest to be alive.
            return self._idle.pop()
        except IndexError:
            return self._build() if self._build else self._template


def _is_harmless(error: BaseException) -> bool:
    """Whether an instance that raised this can be used again: it said "no"."""
    if isinstance(error, RAISE_AT_ONCE):
        return True  # of the name, before anything was sent
    with suppress(BaseException):  # an interruption within
        if isinstance(error, Exception):
            return classify(error) in {Outcome.ABSENT, Outcome.UNSUPPORTED}
    return False


def _call(instance: Any, method: str, *args: Any, **kwargs: Any) -> Any:
    answer = getattr(instance, method)(*args, **kwargs)
    mode = args[1] if len(args) > 1 else kwargs.get("mode", "rb")
    if method in {"open", "_open"} and not set(mode) & set("wax+"):
        return _read_whole(answer)
    return answer


def _read_whole(opened: Any) -> File[bytes]:
    """Return a file that needs no connection any more."""
    spool: Any = tempfile.SpooledTemporaryFile(SPOOL_MEMORY)  # noqa: SIM115
    try:
        with closing(opened):
            shutil.copyfileobj(opened, spool)
        spool.seek(0)
    except BaseException:
        spool.close()
        raise
    return File(spool, opened.name)


def _close(instance: Any, method: str) -> None:
    with suppress(Exception):  # it may never have been connected
        getattr(instance, method)()


def _close_all(instances: list[Any], method: str, process: int) -> None:
    # A forked child has its parent's connections, which it must not end.
    while instances and os.getpid() == process:
        _close(instances.pop(), method)
