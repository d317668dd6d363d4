"""Another process of the same site: does one thing with its storage, and tells of it.

python elsewhere.py '{"settings": {...}, "do": "delete", "names": ["a.jpg"]}'
"""

from __future__ import annotations

import json
import sys

from django.conf import settings

told = None
config = json.loads(sys.argv[1])
settings.configure(**config["settings"])

from django.core.files.storage import default_storage  # noqa: E402

names = config["names"]
if config["do"] == "page":
    default_storage.prefetch(names)
    told = [default_storage.url(name) for name in names]
elif config["do"] == "resolve":
    found = default_storage.resolve(*names)
    told = "hidden" if found.hidden else found.backend
elif config["do"] == "exists":
    told = [default_storage.exists(name) for name in names]
else:
    getattr(default_storage, config["do"])(*names)
print(json.dumps(told))  # noqa: T201
