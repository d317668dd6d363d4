"""One worker's answers, told from those of the others: what `--once` asks.

A GET tells which process answers and what it knows of a name; a POST changes that
name in the storage, and says when that was done.
"""

from __future__ import annotations

import os
import time
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from metering import metered

ACTIONS = {
    "save": lambda name: default_storage.save(name, ContentFile(b"a file")),
    "delete": default_storage.delete,
    "unhide": default_storage.unhide,
    "forget_all": lambda _: default_storage.forget_all(),
}


def memo() -> str:
    """The memo in use, in words."""
    spec = getattr(settings, "FALLBACK_STORAGE_CACHE", None)
    if spec is None:
        return "in process, for each worker its own"
    near = ", with a near tier in each" if spec["NEAR"] else ""
    return f"{settings.CACHES[spec['ALIAS']]['LOCATION']}, shared by all workers{near}"


def whoami() -> dict[str, Any]:
    """This worker, and its memo."""
    return {"worker": os.getpid(), "workers": settings.SITE["workers"], "memo": memo()}


def worker(request: HttpRequest) -> HttpResponse:
    """See above."""
    answer: dict[str, Any] = {**whoami(), "token": get_token(request)}
    name = request.GET.get("name", "")
    action = ACTIONS.get(request.POST.get("action", ""))
    if action is not None:
        action(name)
        # One clock for all processes of the machine.
        answer["at"] = time.monotonic()
    elif name:
        answer["at"] = time.monotonic()
        with metered() as meter:
            resolution = default_storage.resolve(name)
        answer |= {
            "holder": "hidden" if resolution.hidden else resolution.backend,
            "source": resolution.source.value,
            "calls": sum(meter.calls.values()),
        }
    return JsonResponse(answer)
