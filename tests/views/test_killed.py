"""A download that is kept while it is passed on, killed at calls into the system.

A few of them, drawn; ``HYPOTHESIS_PROFILE=thorough`` draws a hundred.
"""

from __future__ import annotations

import itertools
import random
import tempfile
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.test import RequestFactory
from killed_calls import calls_of, run_killed
from origins import origin
from overlay.parts import need_unnamed_files, staging_left
from proofs import THOROUGH

from fallback_storage import views
from fallback_storage.operations import allowance, drafts

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("closing_ends_no_request")]

KILLS = 100 if THOROUGH else 10
LOCAL = "django.core.files.storage.FileSystemStorage"
LAST = 100
NAME, WHOLE = "d/far.jpg", bytes(range(256)) * 2000


@pytest.fixture
def site():
    with origin({f"/media/{NAME}": WHOLE}) as site:
        yield site


def visit():
    """See the file, as a process of its own does."""
    request = RequestFactory().get(f"/media/{NAME}")
    response = views.media(request, NAME, prefixes=[""])
    assert response.status_code == 200
    assert b"".join(response) == WHOLE
    response.close()


def files_in(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("system", ["unnamed", "folder"])
def test_no_part_is_left(site, settings, tmp_path, monkeypatch, system):
    """Under the name: the whole file or none; beside it: what the next start removes."""
    if system == "unnamed":
        need_unnamed_files(tmp_path)
    else:
        monkeypatch.setattr(drafts, "_open_unnamed", lambda *_: False)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    def begin(number):
        home = tmp_path / f"home-{number}"
        home.mkdir()
        production = {
            "BACKEND": "fallback_storage.http.HTTPStorage",
            "OPTIONS": {"base_url": site.base_url},
        }
        options = {
            "backends": [{"BACKEND": LOCAL, "OPTIONS": {"location": home}}, production],
            "promote": True,
            "promote_max_total": 10 * len(WHOLE),
        }
        settings.STORAGES = {
            "default": {
                "BACKEND": "fallback_storage.storage.FallbackStorage",
                "OPTIONS": options,
            },
            "staticfiles": {"BACKEND": LOCAL},
        }
        return home

    begin("first")
    visit()  # what is imported by the first is no call of the next
    home = begin("whole")
    calls = calls_of(visit)
    assert files_in(home)[NAME] == WHOLE
    assert calls > LAST
    # Its calls are not always the same. Most of them read and pass on; so half of the
    # kills are drawn from the end, where the copy is made and gets its name.
    draw, kills, ends = random.Random(calls), 0, set()
    for number in itertools.count():
        home = begin(number)
        first = max(0, calls - LAST) if number % 2 else 0
        kills += not run_killed(visit, draw.randrange(first, calls))
        assert list(temporary.iterdir()) == []
        found = files_in(home)
        ends.add(found.get(NAME))
        assert ends <= {None, WHOLE}
        left = set(staging_left(home))
        assert set(found) <= {NAME, *left}
        chain = storages["default"]
        assert chain.listdir("")[1] == []
        with monkeypatch.context() as patch:
            patch.setattr(drafts, "ABANDONED", -60)
            chain.save("d/next.txt", ContentFile(b"next"))
        note = Path(home, ".fallback-staging", allowance.NOTE)
        kept = set(map(str, [".fallback-staging", note.relative_to(home)]))
        assert set(staging_left(home)) <= kept
        assert set(files_in(home)) <= {NAME, "d/next.txt", *kept}
        # What was killed has not made room that is not there.
        if note.exists() and NAME in found:
            assert int(note.read_text().split()[1]) >= len(WHOLE)
        visit()
        assert (home / NAME).read_bytes() == WHOLE
        origin_ = vars(chain.backends[1].storage).get("_origin")
        if origin_ is not None:
            origin_.close()
        if kills == KILLS:
            break
