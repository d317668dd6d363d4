"""A process of a site: visits its pages, one command a line, one answer a line.

    {"visit": "/page/easy/"}            -> {"status": 200, "body": "...", "calls": {...}}
    {"visit": "/x/", "data": {...}}     the same, posted; {"file": [name, base64]} uploads
    {"do": "first", "args": ["photo"]}  -> {"value": ...}, a function of consumers/acts.py

``calls``: how often each backend of the chains was asked meanwhile.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import traceback
import warnings
from collections import Counter

warnings.simplefilter("ignore")
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what a library prints is no answer

import django  # noqa: E402

django.setup()

from django.core.files.uploadedfile import SimpleUploadedFile  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import setup_test_environment  # noqa: E402

from consumers import acts  # noqa: E402

setup_test_environment(debug=False)
client = Client()


def calls():
    """How often each backend was asked until now, by name."""
    made = Counter()
    for storage in acts.storages():
        for backend in getattr(storage, "backends", ()):
            made[backend.name] += backend.calls
    return made


def visit(command):
    data = command.get("data")
    if data is None:
        response = client.get(command["visit"])
    else:
        data = {key: _field(value) for key, value in data.items()}
        response = client.post(command["visit"], data)
    body = response.getvalue().decode("utf-8", "replace")
    place = response.get("Location", "")
    return {"status": response.status_code, "to": place, "body": body}


def _field(value):
    if isinstance(value, dict):
        name, content = value["file"]
        return SimpleUploadedFile(name, base64.b64decode(content))
    return value


def answer(command):
    before = calls()
    try:
        if "visit" in command:
            told = visit(command)
        else:
            told = {"value": getattr(acts, command["do"])(*command["args"])}
        return {**told, "calls": dict(calls() - before)}
    except BaseException:
        return {"error": traceback.format_exc(limit=-8)}


acts.log_in(client)
answers.write("ready\n")
answers.flush()
for line in sys.stdin:
    answers.write(json.dumps(answer(json.loads(line))) + "\n")
    answers.flush()
