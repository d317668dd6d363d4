"""The README's set-ups, pasted into a new project: its blocks and commands, as they are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from urllib.request import urlopen

import pytest
from django.core.management import call_command
from manual import README, blocks, text
from origins import origin

pytestmark = pytest.mark.slow
CAT = "photos/cat.jpg"


class Project:
    """What ``startproject`` makes; what the README gives goes to the end of its settings."""

    def __init__(self, folder):
        self.folder = folder
        # In a process of its own, the project's folder is where modules are found.
        self.environment = {
            **{key: x for key, x in os.environ.items() if key != "PYTHONSAFEPATH"},
            "PYTHONPATH": os.pathsep.join(sys.path),
            "DJANGO_SETTINGS_MODULE": "mysite.settings",
        }
        call_command("startproject", "mysite", str(folder))

    def run(self, *command):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout

    def paste(self, code, **changed):
        """Write lines of the README into the settings; what is example there is not here."""
        for example, real in changed.values():
            assert example in code
            code = code.replace(example, real)
        with (self.folder / "mysite" / "settings.py").open("a") as settings:
            settings.write(f"\n{code}\n")

    def keep(self, name, content):
        """Put a file where the settings' ``MEDIA_ROOT`` is."""
        path = self.folder / "media" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def follow(self, step):
        """Run the commands of a set-up's step; return what they print."""
        below = step.split("::\n\n")[1]
        commands = re.findall(r"^    python (manage\.py .+)$", below, re.MULTILINE)
        assert commands
        return [self.run(*each.split()) for each in commands]

    def urls(self, *names):
        """What a template makes of fields that have these names."""
        code = (
            "import django; django.setup();"
            "from django.core.files.storage import default_storage as it;"
            f"print(*map(it.url, {names!r}))"
        )
        return self.run("-c", code).split()


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def steps(title):
    """Return the steps of a set-up, as the README tells them."""
    below = text(README).split(f"\n{title}\n----")[1]
    here, *_ = re.split(r"\n\n.+\n[-=]{4,}\n", below)
    return re.split(r"^\*\*\d\.\*\*", here, flags=re.MULTILINE)


def content_at(url):
    with urlopen(url) as answer:
        return answer.read()


def test_production_in_s3(project, s3):
    pytest.importorskip("storages.backends.s3")
    s3.put(CAT, b"a cat")
    project.environment |= {
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
    }
    code, *_ = blocks(README)
    bucket = f'"{s3.bucket}", "endpoint_url": "{s3.endpoint_url}"'
    project.paste(code, bucket=('"production-media"', bucket))
    checked, pinged = project.follow(steps("Production's files are in S3")[3])
    assert "no issues" in checked
    assert "production: reachable" in pinged
    assert f"  reading         yes ({CAT})" in pinged
    # What is saved here is read here.
    project.keep("photos/mine.jpg", b"mine")
    cat, mine = project.urls(CAT, "photos/mine.jpg")
    assert (content_at(cat), mine) == (b"a cat", "/media/photos/mine.jpg")


def test_production_over_http(project):
    pytest.importorskip("urllib3")
    whole, changed, _ = blocks(README)
    _, imported, whole = whole.partition("from botocore.config import Config\n")
    entry = re.compile(r'    "production": \{\n.+?\n    \},\n', re.DOTALL)
    code, found = entry.subn(f"{textwrap.indent(changed, '    ')}\n", whole)
    assert (bool(imported), found) == (True, 1)
    with origin({f"/media/{CAT}": b"a cat"}) as site:
        project.paste(code, site=("https://www.example.com/media/", site.base_url))
        step = steps("No credentials: production's files are public")[3]
        assert "``python manage.py check``" in step
        assert "no issues" in project.run("manage.py", "check")
        (told,) = project.follow(step)
        assert f"{CAT}: held by production" in told
        (cat,) = project.urls(CAT)
        assert content_at(cat) == b"a cat"


def test_from_one_storage_to_another(project, s3):
    pytest.importorskip("storages.backends.s3")
    *_, code = blocks(README)
    project.environment |= {
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
    }
    project.paste('MEDIA_ROOT, MEDIA_URL = BASE_DIR / "media", "/media/"')
    bucket = f'"{s3.bucket}", "endpoint_url": "{s3.endpoint_url}"'
    project.paste(code, bucket=('"media"', bucket))
    project.keep(CAT, b"a cat")
    would, did = project.follow(steps("From one storage to another")[2])
    assert "Would copy 1 file " in would
    assert "Copied 1 file " in did
    # The new storage alone, and the chain removed.
    project.paste('STORAGES = {**STORAGES, "default": STORAGES["new"]}')
    (cat,) = project.urls(CAT)
    assert content_at(cat) == b"a cat"
