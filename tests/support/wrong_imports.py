"""Shows that import-linter refuses what it is there to refuse: ``tox run -e lint``.

In a copy of the package, one wrong import of each kind.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "fallback_storage"

# The module that gets a line, the line, and the contract that it breaks.
WRONG = (
    ("chain/outcomes", f"import {PACKAGE}.storage", "The rooms"),
    ("utils/locks", f"import {PACKAGE}.cache.entry", "The rooms"),
    ("cache/entry", f"import {PACKAGE}.cache.memo", "The cache: the memo's policy"),
    (
        "cache/stores/redis",
        f"import {PACKAGE}.cache.stores.local",
        "Stores do not know",
    ),
    ("jobs/limits", f"import {PACKAGE}.jobs.sync", "No circle, in any room"),
    ("chain/backend", "import boto3", "An optional library"),
)


def lint(folder):
    """Return what import-linter says of a copy, and whether it finds nothing wrong."""
    command = ["lint-imports", "--no-cache"]
    env = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr, done.returncode == 0


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / PACKAGE, folder / PACKAGE)
        shutil.copy(ROOT / "pyproject.toml", folder)
        said, is_fine = lint(folder)
        if not is_fine:
            return f"The copy itself is refused:\n{said}"
        for module, line, contract in WRONG:
            path = folder / PACKAGE / f"{module}.py"
            text = path.read_text(encoding="utf-8")
            path.write_text(f"{text}\n{line}\n", encoding="utf-8")
            said, is_fine = lint(folder)
            path.write_text(text, encoding="utf-8")
            broken = [each for each in said.splitlines() if " BROKEN" in each]
            if is_fine or not any(each.startswith(contract) for each in broken):
                return f"Not refused: {line!r} in {module}.py\n{said}"
    sys.stdout.write(f"{len(WRONG)} wrong imports, all refused.\n")
    return None


if __name__ == "__main__":
    sys.exit(main())
