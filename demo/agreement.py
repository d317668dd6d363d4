"""Several workers, one memo: what one of them knows or does, the others know."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from processes import DemoError
from table import Table
from visitor import Visitor

GATHER_SECONDS = 60.0
# The memo's bound is far below; this is for machines that are busy.
BOUND_SECONDS = 5.0
UPLOAD = "photos/seen-by-all.jpg"


class Member:
    """One worker process, on a connection that stays with it."""

    def __init__(self, url: str) -> None:
        self.visitor = Visitor(url)
        answer = self._read("worker/")
        self.pid: int = answer["worker"]
        self.memo: str = answer["memo"]

    def ask(self, name: str) -> dict[str, Any]:
        """What the worker knows of a name, and what it asked to know it."""
        return self._read(f"worker/?name={quote(name)}")

    def do(self, action: str, name: str) -> float:
        """Have the worker change a name; return when its storage's call returned."""
        body = self.visitor.post(f"worker/?name={quote(name)}", action=action)
        return float(json.loads(body)["at"])

    def wait_for(self, name: str, holder: str | None) -> tuple[bool, list[float]]:
        """Ask until the worker says that; return whether it did, and when it did not."""
        deadline, old = time.monotonic() + BOUND_SECONDS, []
        while (answer := self.ask(name))["holder"] != holder:
            old.append(float(answer["at"]))
            if time.monotonic() > deadline:
                return False, old
        return True, old

    def _read(self, path: str) -> dict[str, Any]:
        answer = json.loads(self.visitor.bytes_of(path))
        self.visitor.token = answer["token"]
        return dict(answer)


def gather(url: str, count: int) -> list[Member]:
    """Connect until every worker has taken a connection; the kernel chooses which."""
    crew: dict[int, Member] = {}
    deadline = time.monotonic() + GATHER_SECONDS
    with ThreadPoolExecutor(4 * count) as pool:
        while len(crew) < count:
            for member in pool.map(Member, [url] * (4 * count)):
                if crew.setdefault(member.pid, member) is not member:
                    member.visitor.close()
            if len(crew) < count and time.monotonic() > deadline:
                raise DemoError(f"only {len(crew)} of {count} workers answered")
    return list(crew.values())


def show_agreement(
    table: Table, url: str, site: dict[str, Any], name: str, count: int
) -> None:
    """The chapter. `name` is held by production, and nobody has asked for it yet."""
    claim = table.claim
    crew = gather(url, site["workers"])
    claim("workers, by their process ids", site["workers"], len(crew))
    memos = {member.memo.partition(",")[0] for member in crew}
    claim("the memo that each of them uses", {site["redis"]}, memos)

    for member in crew:
        # Each builds its S3 client now; that takes half a second, and is no lag.
        member.ask(f"photos/nobody-{member.pid}.jpg")
    first, *others = crew
    answer = first.ask(name)
    claim("a name nobody asked for: its holder, by", "production, probe", _told(answer))
    claim("  backends were asked", True, answer["calls"] > 0)
    answers = [member.ask(name) for member in others]
    claim("  the others know it", {"production, memo"}, set(map(_told, answers)))
    claim("  backends asked by them", 0, sum(each["calls"] for each in answers))

    _show_page(table, crew, count)
    for member in crew:
        member.ask(UPLOAD)
    answers = [member.ask(UPLOAD) for member in crew]
    claim("no such picture: known to all", {"None, memo"}, set(map(_told, answers)))
    turns = [crew[turn % len(crew)] for turn in range(4)]
    _change(table, crew, turns[0], "save", UPLOAD, "local")
    _change(table, crew, turns[1], "delete", UPLOAD, None)
    _change(table, crew, turns[2], "delete", name, "hidden")
    _change(table, crew, turns[3], "unhide", name, "production")
    first.do("forget_all", "")
    for member in crew:
        member.visitor.close()


def _show_page(table: Table, crew: Sequence[Member], count: int) -> None:
    """A page that one worker has made, by each of the others, which never did."""
    first, *others = crew
    first.visitor.look()
    for member in others:
        figures = member.visitor.look().figures
        page = figures["page"]
        table.claim(
            f"worker {member.pid}: its first page", member.pid, figures["worker"]
        )
        text = f"  round trips to the memo for {count} names"
        table.claim(text, 1, page["round_trips"])
        table.claim("  S3 requests", 0, page["requests"])
        asked = page["calls"] - page["calls_by_kind"].get("local.listdir", 0)
        table.claim("  backend calls, all of them url()", count, asked)


def _change(
    table: Table,
    crew: Sequence[Member],
    doer: Member,
    action: str,
    name: str,
    holder: str | None,
) -> None:
    """One worker changes a name while all others ask for it all the time."""
    others = [member for member in crew if member is not doer]
    with ThreadPoolExecutor(len(others)) as pool:
        seen = [pool.submit(member.wait_for, name, holder) for member in others]
        done = doer.do(action, name)
        results = [each.result() for each in seen]
    text = f"worker {doer.pid}: {action}; the others see: {holder or 'nothing'}"
    table.claim(text, len(others), sum(agrees for agrees, _ in results))
    # What was asked for before the call returned may be answered either way.
    late = [at - done for _, old in results for at in old if at > done]
    lag = f", the last {max(late) * 1000:.1f} ms after" if late else ""
    table.note("  old answers once the call had returned", f"{len(late)}{lag}")
    again = [member.ask(name) for member in others]
    agreed = {each["holder"] for each in again}
    table.claim("  and go on to see", {holder}, agreed)


def _told(answer: dict[str, Any]) -> str:
    return f"{answer['holder']}, {answer['source']}"
