"""``resolve``: where a file is looked for, what each backend says, and its URL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from fallback_storage.cache.entry import HIDDEN, NOWHERE, index_of, is_held
from fallback_storage.chain.names import memo_key
from fallback_storage.chain.outcomes import Outcome
from fallback_storage.management.output import FAILED, OK, Marked
from fallback_storage.management.target import Scope, clean_names, engine_of, scope_of
from fallback_storage.operations.engine import build_engine

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Mapping, Sequence

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.outcomes import Attempt
    from fallback_storage.management.output import Output
    from fallback_storage.operations.engine import Engine
    from fallback_storage.storage import FallbackStorage

HELP = "Shows where files are looked for, what each backend says, and the URL."

# Parameters of a URL that hold a key, or are as good as one.
SECRET_PARAMETER = re.compile(
    "sig|cred|token|key|secret|policy|auth|pass|md5|hmac|hash", re.IGNORECASE
)

STYLES = {
    Outcome.HELD: "SUCCESS",
    Outcome.FAILED: "ERROR",
    Outcome.HIDDEN: "WARNING",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """What the memo said of a name before anybody was asked.

    ``words``: in words, or None if it knew nothing; ``seconds``: how long it will, or
    None; ``trouble``: why it said nothing.
    """

    words: str | None = None
    seconds: float | None = None
    trouble: str | None = None

    def __str__(self) -> str:
        if self.words is None:
            return self.trouble or "nothing known"
        left = "age unknown" if self.seconds is None else f"{self.seconds:.0f} s left"
        return f'"{self.words}", {left}'


@dataclass(frozen=True, slots=True)
class Finding:
    """All that is told of one name. ``entry`` None: the memo was left alone."""

    name: str
    trail: Sequence[Attempt]
    held: bool | None
    hidden: bool
    entry: Entry | None
    url: str | None
    url_error: str | None

    @property
    def winner(self) -> str | None:
        """The backend whose file it is."""
        return next(iter(self.holders), None)

    @property
    def holders(self) -> list[str]:
        """The backends that said that they hold it."""
        return [each.backend for each in self.trail if each.outcome is Outcome.HELD]


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="The file's name.")
    parser.add_argument(
        "--no-memo",
        action="store_true",
        help="Ask every backend, whatever the memo knows, and leave the memo alone.",
    )
    parser.add_argument("--json", action="store_true", help="Print a JSON array.")


def handle(storage: FallbackStorage, options: Mapping[str, Any], output: Output) -> int:
    """Print what is found; 0 if a backend holds each of the names."""
    names = clean_names(options["names"])
    look = _look_everywhere if options["no_memo"] else _look
    as_json, missing = [], False
    for name in names:
        finding = look(storage, name)
        missing = missing or not finding.held
        if options["json"]:
            as_json.append(_as_json(finding, storage.backends))
        else:
            _print(finding, storage.backends, output)
    if options["json"]:
        output.json(as_json)
    return FAILED if missing else OK


# Looking


def _look(storage: FallbackStorage, name: str) -> Finding:
    entry = _entry_of(storage, name)
    found = storage.resolve(name)
    url, error = _url_of(storage, name)
    return Finding(name, found.trail, found.held, found.hidden, entry, url, error)


def _look_everywhere(storage: FallbackStorage, name: str) -> Finding:
    engine = _without_memo(storage)
    walk = engine.resolver.ask_all(name)
    held = any(attempt.outcome is Outcome.HELD for attempt in walk.trail)
    known = held or (False if walk.certain else None)
    url, error = _url_of(engine.reader, name)
    hidden = walk.hidden and not held
    return Finding(name, walk.trail, known, hidden, None, url, error)


def _without_memo(storage: FallbackStorage) -> Engine:
    given = {**storage._given, "cache": False}  # noqa: SLF001
    return build_engine(storage, given, type(storage).clock, kept=storage.backends)


def _entry_of(storage: FallbackStorage, name: str) -> Entry:
    scope, key = scope_of(storage), memo_key(name)
    if scope is Scope.NONE:
        return Entry(trouble="none (the cache is off)")
    if key is None:
        return Entry(trouble="none (directories are not remembered)")
    memo = engine_of(storage).memo
    refused = _refusals(memo.stats())
    code, _ = memo.look_up(key)
    if _refusals(memo.stats()) > refused:
        return Entry(trouble="its cache does not answer")
    if code is None:
        alone = scope is not Scope.SHARED
        return Entry(trouble="nothing known in this process" if alone else None)
    return Entry(_words_of(code, storage.backends), memo.seconds_left(key))


def _refusals(stats: Mapping[str, int]) -> int:
    return stats.get("store_failures", 0) + stats.get("bypassed", 0)


def _words_of(code: int, backends: Sequence[Backend]) -> str:
    if code == NOWHERE:
        return "no backend"
    if code == HIDDEN:
        return "hidden"
    backend = backends[index_of(code)].name
    return f"held by {backend}" if is_held(code) else f"not above {backend}"


def _url_of(source: Any, name: str) -> tuple[str | None, str | None]:
    """Return the URL, or the type of the exception that there is instead."""
    try:
        return _without_secrets(source.url(name)), None
    except Exception as error:  # noqa: BLE001 - whatever a backend raises
        return None, type(error).__name__


def _without_secrets(url: str) -> str:
    """Return a URL without a password, and without the signature of a signed one."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = parts.query
    if any(SECRET_PARAMETER.search(name) for name, _ in parse_qsl(query, True)):
        query = "..."
    return urlunsplit(parts._replace(netloc=host, query=query, fragment=""))


# Printing


def _print(finding: Finding, backends: Sequence[Backend], output: Output) -> None:
    output.line(_summary(finding))
    rows = []
    for backend, attempt in _lines(finding, backends):
        rows.append((backend.name, *_cells(attempt)))
    output.table(rows, indent="  ")
    if finding.entry is not None:
        output.line(f"  memo: {finding.entry}")
    url = finding.url or f"none ({finding.url_error})"
    output.line(f"  URL:  {url}")


def _summary(finding: Finding) -> Marked:
    name = finding.name
    if finding.held:
        others = ", ".join(finding.holders[1:])
        also = f" (and by {others})" if others else ""
        return Marked(f"{name}: held by {finding.winner}{also}", "SUCCESS")
    if finding.hidden:
        return Marked(f"{name}: deleted here, and hidden by a whiteout", "WARNING")
    if finding.held is None:
        return Marked(f"{name}: not decided, for not every backend answered", "ERROR")
    return Marked(f"{name}: held by no backend", "ERROR")


def _lines(
    finding: Finding, backends: Sequence[Backend]
) -> list[tuple[Backend, Attempt | None]]:
    """Return each backend with what it answered; None: it was not asked."""
    asked = dict(zip(range(len(backends)), finding.trail, strict=False))
    return [(backend, asked.get(index)) for index, backend in enumerate(backends)]


def _cells(attempt: Attempt | None) -> tuple[str, str]:
    if attempt is None:
        return "not asked", ""
    answer: str = attempt.outcome.value
    if attempt.exception is not None and attempt.outcome is Outcome.FAILED:
        answer = f"{answer} ({type(attempt.exception).__name__})"
    if attempt.outcome in STYLES:
        answer = Marked(answer, STYLES[attempt.outcome])
    if attempt.remembered:
        return answer, "from the memo"
    if attempt.outcome is Outcome.HIDDEN:
        return answer, "not asked"
    return answer, f"{attempt.seconds * 1000:.2f} ms"


def _as_json(finding: Finding, backends: Sequence[Backend]) -> dict[str, Any]:
    entry = finding.entry
    return {
        "name": finding.name,
        "held": finding.held,
        "hidden": finding.hidden,
        "winner": finding.winner,
        "backends": [
            _attempt_as_json(backend, attempt)
            for backend, attempt in _lines(finding, backends)
        ],
        "memo": None
        if entry is None
        else {
            "entry": entry.words,
            "seconds_left": entry.seconds,
            "trouble": entry.trouble,
        },
        "url": finding.url,
        "url_error": finding.url_error,
    }


def _attempt_as_json(backend: Backend, attempt: Attempt | None) -> dict[str, Any]:
    failed = attempt is not None and attempt.outcome is Outcome.FAILED
    asked = (
        attempt is not None
        and not attempt.remembered
        and attempt.outcome is not Outcome.HIDDEN
    )
    return {
        "backend": backend.name,
        "answer": attempt.outcome.value if attempt else None,
        "exception": type(attempt.exception).__name__ if attempt and failed else None,
        "remembered": attempt.remembered if attempt else False,
        "milliseconds": round(attempt.seconds * 1000, 3) if attempt and asked else None,
    }
