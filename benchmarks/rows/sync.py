"""``sync`` beside the tools that people would take."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from registry import row
from result import Result, Target
from timing import Contender, race
from world import FILE_BYTES

FOLDER = "sync"
PAGE = 1000
SYNC = "sync"


def _names(world):
    count = 100 if world.quick else 1000
    return [f"{FOLDER}/{number % 10}/{number:04d}.jpg" for number in range(count)]


@contextmanager
def _directories():
    with tempfile.TemporaryDirectory(prefix="fallback-sync-") as path:
        source, home = Path(path, "source"), Path(path, "home")
        source.mkdir()

        def clear():
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()

        yield source, home, clear


def _sync(home, source, count):
    from django.core.files.storage import FileSystemStorage

    from fallback_storage.jobs.sync import sync
    from fallback_storage.storage import FallbackStorage

    def run(_):
        lower = {"READ_ONLY": True, "NAME": "source", **source}
        chain = FallbackStorage([FileSystemStorage(home), lower], cache=False)
        results = [step.result for step in sync(chain, FOLDER)]
        assert results == ["copied"] * count

    return Contender(SYNC, run, at_once=True)


def _raced(world, title, contenders, names, clear, target):
    contenders = [
        Contender(each.label, each.call, clear, at_once=True) for each in contenders
    ]
    laps = race(contenders, names, world.rounds(5, 2))
    result = Result(title, per=f"{len(names):,} files", target=target)
    for contender in contenders:
        result.add_laps(contender.label, laps[contender.label])
        if contender.label != SYNC:
            result.figures[-1].requests = None
    return result


@row("sync-local")
def sync_local(world):
    names = _names(world)
    with _directories() as (source, home, clear):
        for name in names:
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(FILE_BYTES))

        def copytree(_):
            shutil.copytree(source / FOLDER, home / FOLDER)

        storage = "django.core.files.storage.FileSystemStorage"
        options = {"BACKEND": storage, "OPTIONS": {"location": str(source)}}
        contenders = [
            Contender("shutil.copytree", copytree),
            _sync(home, options, len(names)),
        ]
        title = "sync of files of 20 kB, directory to directory"
        return _raced(world, title, contenders, names, clear, Target(2.0, SYNC))


def _put(world, names):
    server, body = world.s3_server, os.urandom(FILE_BYTES)
    connection = http.client.HTTPConnection(server.host, server.ports["filer.port"])
    for name in names:
        connection.request("PUT", f"/buckets/{server.bucket}/{name}", body)
        answer = connection.getresponse()
        answer.read()
        if answer.status >= http.client.BAD_REQUEST:
            raise RuntimeError(f"{name} was not stored")
    connection.close()


def _tool(*command, **environ):
    # (The server has no certificate; and rclone cannot take another bundle of them.)
    own = {key: each for key, each in os.environ.items() if key != "AWS_CA_BUNDLE"}

    def run(_):
        subprocess.run(
            command,
            check=True,
            stdout=subprocess.DEVNULL,
            env={**own, **environ},
        )

    return run


def _install_aws(folder):
    """Return the path of ``aws``, from PyPI; None if that cannot be had now."""
    venv = Path(folder, "venv")
    try:
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        pip = [venv / "bin" / "pip", "install", "-q", "awscli"]
        subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return None
    return str(venv / "bin" / "aws")


def _tools(server, home, folder):
    """Yield the tools that there are."""
    options, below = server.storage_options(), f"{server.bucket}/{FOLDER}"
    endpoint, key = options["endpoint_url"], options["access_key"]
    secret, region = options["secret_key"], options["region_name"]
    aws = _install_aws(folder)
    if aws is not None:
        command = [aws, "--endpoint-url", endpoint, "s3", "sync", "--only-show-errors"]
        environ = {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        run = _tool(*command, f"s3://{below}", str(home / FOLDER), **environ)
        yield Contender("aws s3 sync", run)
    rclone = shutil.which("rclone")
    if rclone is not None:
        place = f":s3,provider=Other,env_auth,force_path_style,region={region}"
        run = _tool(
            *(rclone, "--config", os.devnull, "copy"),
            *(f'{place},endpoint="{endpoint}":{below}', str(home / FOLDER)),
            AWS_ACCESS_KEY_ID=key,
            AWS_SECRET_ACCESS_KEY=secret,
        )
        yield Contender("rclone", run)


@row("sync-s3")
def sync_s3(world):
    names = _names(world)
    _put(world, names)
    with _directories() as (source, home, clear):
        # (To install one takes longer than all that is counted.)
        tools = [] if world.quick else list(_tools(world.s3_server, home, source))
        lower = {"BACKEND": "traffic.CountedS3Storage"}
        contenders = [*tools, _sync(home, lower, len(names))]
        has_aws = any(tool.label == "aws s3 sync" for tool in tools)
        target = Target(0.6, SYNC) if has_aws else None
        title = "sync of files of 20 kB, S3 to a directory"
        result = _raced(world, title, contenders, names, clear, target)
    if not has_aws:
        result.skip("aws s3 sync", "not in a quick run, or without PyPI")
    result.claim_requests(SYNC, len(names) + -(-len(names) // PAGE))
    return result
