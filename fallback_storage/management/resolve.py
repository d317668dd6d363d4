"""``resolve``: where a file is looked for, what each backend says, and its URL."""

from __future__ import annotations

import re
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from fallback_storage.cache.entry import HIDDEN, NOWHERE, index_of, is_held
from fallback_storage.chain.names import memo_key
from fallback_storage.management.output import FAILED, OK, print_json
from fallback_storage.management.target import (
    Options,
    Scope,
    clean_names,
    engine_of,
    scope_of,
)
from fallback_storage.operations.engine import build_engine

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from django.core.management.base import BaseCommand

    from fallback_storage.chain.backend import Backend
    from fallback_storage.chain.outcomes import Attempt
    from fallback_storage.storage import FallbackStorage

HELP = "Shows where files are looked for, what each backend says, and the URL."

# Parameters of a URL that hold a key, or are as good as one.
SECRET_PARAMETER = re.compile(
    "sig|cred|token|key|secret|policy|auth|pass|md5|hmac|hash", re.IGNORECASE
)

# All that is told of one name, as --json prints it.
Finding = dict[str, Any]


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="NAME", help="The file's name.")
    parser.add_argument(
        "--no-memo",
        action="store_true",
        help="Ask every backend, whatever the memo knows, and leave the memo alone.",
    )
    parser.add_argument("--json", action="store_true", help="Print a JSON array.")


def handle(storage: FallbackStorage, options: Options, command: BaseCommand) -> int:
    """Print what is found; 0 if a backend holds each of the names."""
    look = _look_everywhere if options["no_memo"] else _look
    findings = []
    for name in clean_names(storage, options["names"]):
        findings.append(look(storage, name))
        if not options["json"]:
            _print(findings[-1], command)
    if options["json"]:
        print_json(command.stdout, findings)
    return OK if all(finding["held"] for finding in findings) else FAILED


def _look(storage: FallbackStorage, name: str) -> Finding:
    memo = _memo_of(storage, name)  # before anybody is asked
    found = storage.resolve(name)
    return {
        "name": name,
        "held": found.held,
        "hidden": found.hidden,
        **_answers(storage, found.trail),
        "memo": memo,
        **_url_of(storage, name),
    }


def _look_everywhere(storage: FallbackStorage, name: str) -> Finding:
    given = {**storage._given, "cache": False}  # noqa: SLF001
    engine = build_engine(storage, given, type(storage).clock, kept=storage.backends)
    walk = engine.resolver.ask_all(name)
    answers = _answers(storage, walk.trail)
    held = answers["winner"] is not None
    return {
        "name": name,
        "held": held or (False if walk.certain else None),
        "hidden": walk.hidden and not held,
        **answers,
        "memo": None,
        **_url_of(engine.reader, name),
    }


def _answers(storage: FallbackStorage, trail: Sequence[Attempt]) -> Finding:
    """Return whose file it is, and what each backend answered, also if not asked."""
    names = [backend.name for backend in storage.backends]
    backends = list(map(_answer, names, chain(trail, repeat(None))))
    return {"winner": next(_holders(backends), None), "backends": backends}


def _answer(backend: str, attempt: Attempt | None) -> Finding:
    answer = attempt and attempt.outcome.value
    remembered = attempt is not None and attempt.remembered
    told = remembered or answer == "failed"
    failure = attempt.exception if attempt and told else None
    asked = attempt and not remembered and answer != "hidden"
    return {
        "backend": backend,
        "answer": answer,
        "exception": type(failure).__name__ if failure else None,
        "remembered": remembered,
        "milliseconds": round(attempt.seconds * 1000, 3) if attempt and asked else None,
    }


def _holders(backends: Iterable[Finding]) -> Iterator[str]:
    return (each["backend"] for each in backends if each["answer"] == "held")


def _memo_of(storage: FallbackStorage, name: str) -> Finding:
    """Return what the memo says of a name, for how long yet, or why it says nothing."""
    entry, seconds_left, trouble = None, None, None
    scope, key, memo = scope_of(storage), memo_key(name), engine_of(storage).memo
    if scope is Scope.NONE:
        trouble = "none (the cache is off)"
    elif key is None:
        trouble = "none (directories are not remembered)"
    else:
        refused = _refusals(memo.stats())
        code, _ = memo.look_up(key)
        if _refusals(memo.stats()) > refused:
            trouble = "its cache does not answer"
        elif code is not None:
            entry = _words_of(code, storage.backends)
            seconds_left = memo.seconds_left(key)
        elif scope is not Scope.SHARED:
            trouble = "nothing known in this process"
    return {"entry": entry, "seconds_left": seconds_left, "trouble": trouble}


def _refusals(stats: Mapping[str, int]) -> int:
    return stats.get("store_failures", 0) + stats.get("bypassed", 0)


def _words_of(code: int, backends: Sequence[Backend]) -> str:
    if code == NOWHERE:
        return "no backend"
    if code == HIDDEN:
        return "hidden"
    backend = backends[index_of(code)].name
    return f"held by {backend}" if is_held(code) else f"not above {backend}"


def _url_of(source: Any, name: str) -> Finding:
    """Return the URL, or the type of the exception that there is instead."""
    try:
        return {"url": _without_secrets(source.url(name)), "url_error": None}
    except Exception as error:  # noqa: BLE001 - whatever a backend raises
        return {"url": None, "url_error": type(error).__name__}


def _without_secrets(url: str) -> str:
    """Return a URL without a password, and without the signature of a signed one."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = parts.query
    if any(SECRET_PARAMETER.search(name) for name, _ in parse_qsl(query, True)):
        query = "..."
    return urlunsplit(parts._replace(netloc=host, query=query, fragment=""))


def _print(finding: Finding, command: BaseCommand) -> None:
    text, style = _summary(finding)
    command.stdout.write(text, getattr(command.style, style))
    width = max(len(told["backend"]) for told in finding["backends"])
    for told in finding["backends"]:
        answer = told["answer"] or "not asked"
        text = f"  {told['backend']:<{width}}  {answer:<6}  {_how(told)}"
        command.stdout.write(text.rstrip())
    if finding["memo"]:
        command.stdout.write(f"  memo: {_memo_text(finding['memo'])}")
    url = finding["url"] or f"none ({finding['url_error']})"
    command.stdout.write(f"  URL:  {url}")


def _summary(finding: Finding) -> tuple[str, str]:
    """Return the answer in one line, and its style."""
    name = finding["name"]
    holders = list(_holders(finding["backends"]))
    if finding["held"] and not holders:
        return f"{name}: a directory has the name, and no backend a file", "WARNING"
    if finding["held"]:
        winner, *others = holders
        also = f" (and by {', '.join(others)})" if others else ""
        return f"{name}: held by {winner}{also}", "SUCCESS"
    if finding["hidden"]:
        return f"{name}: deleted here, and hidden by a whiteout", "WARNING"
    if finding["held"] is None:
        return f"{name}: not decided, for not every backend answered", "ERROR"
    return f"{name}: held by no backend", "ERROR"


def _how(told: Finding) -> str:
    """Return how an answer came about."""
    if told["remembered"] and told["exception"]:
        return f"by grace: cannot be reached ({told['exception']})"
    if told["remembered"]:
        return "from the memo"
    if told["milliseconds"] is None:
        return "not asked" if told["answer"] else ""
    failure = f" ({told['exception']})" if told["exception"] else ""
    return f"{told['milliseconds']:.2f} ms{failure}"


def _memo_text(memo: Finding) -> str:
    if memo["entry"] is None:
        return memo["trouble"] or "nothing known"
    left = memo["seconds_left"]
    left = "age unknown" if left is None else f"{left:.0f} s left"
    return f'"{memo["entry"]}", {left}'
