"""A panel for django-debug-toolbar: what a request asked of its storages.

``fallback_storage.panels.FallbackStoragePanel`` goes into ``DEBUG_TOOLBAR_PANELS``.
It shows names, backends, outcomes and times; never a URL (it may be signed), a value
of ``OPTIONS`` or the text of an exception.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from debug_toolbar.panels import Panel
from django.template import Context, Engine

from fallback_storage.panels.recorder import Recorder
from fallback_storage.signals import backend_failed, called, promoted, resolved

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse
    from django.template import Template

# Whose request it is: threads and tasks that take their context along belong to it.
_recorder: ContextVar[Recorder | None] = ContextVar("fallback_storage_recorder")
_lock = threading.Lock()
_recording = 0


def _receiver(add: Callable[..., None]) -> Callable[..., None]:
    def receive(**data: Any) -> None:
        recorder = _recorder.get(None)
        if recorder is not None:
            add(recorder, **data)

    return receive


RECEIVERS = (
    (resolved, _receiver(Recorder.add_resolution)),
    (called, _receiver(Recorder.add_call)),
    (backend_failed, _receiver(Recorder.add_failure)),
    (promoted, _receiver(Recorder.add_promotion)),
)


def _count_recording(by: int) -> None:
    """Listen while at least one request is recorded: listeners make a hit slower."""
    global _recording  # noqa: PLW0603 - one process, one set of receivers
    with _lock:
        _recording += by
        for signal, receiver in RECEIVERS:
            if _recording:
                signal.connect(receiver)
            else:
                signal.disconnect(receiver)


@cache
def _template() -> Template:
    # Found without the app in INSTALLED_APPS, which is optional.
    engine = Engine(dirs=[str(Path(__file__).parent)])
    return engine.get_template("panel.html")


class FallbackStoragePanel(Panel):
    """Shows who was asked for a request's files, who answered, and what that cost."""

    title = "Fallback storage"
    template = "panel.html"
    is_async = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._recorded = Recorder()
        self._outer: Recorder | None = None
        self._enabled = False

    @property
    def nav_subtitle(self) -> str:
        """The most important figures, in the toolbar's list of panels."""
        stats = self.get_stats()
        if not stats or not (stats["look_ups"] or stats["calls"]):
            return "Not used"
        plural = "" if stats["calls"] == 1 else "s"
        text = f"{stats['calls']} call{plural} in {stats['ms']:.1f}ms"
        if stats["saved"]:
            text += f", {stats['saved']} saved"
        return f"{text}, {stats['failed']} failed" if stats["failed"] else text

    @property
    def content(self) -> str:
        """The panel's page."""
        return _template().render(Context(self.get_stats()))

    def enable_instrumentation(self) -> None:
        """Record what this request's thread, or task, asks from now on."""
        if not self._enabled:
            self._enabled = True
            _count_recording(1)
            # A request within a request, as by a test client, is recorded alone.
            self._outer = _recorder.get(None)
            _recorder.set(self._recorded)

    def disable_instrumentation(self) -> None:
        """Record no more."""
        if self._enabled:
            self._enabled = False
            _recorder.set(self._outer)
            _count_recording(-1)

    def generate_stats(self, request: HttpRequest, response: HttpResponse) -> None:
        """Hand over what was recorded."""
        self.record_stats(self._recorded.report())
