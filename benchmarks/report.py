"""The results as a table, as JSON, and as the tables of the manual and the README."""

from __future__ import annotations

import json
from dataclasses import asdict

import machine
from result import DIRECT, OFF, ON, ORIGINAL, Claim, Figure, Result, Target

FORMAT = 1
ORIGINAL_NOTE = (
    "1.1.1: the original django-fallback-storage, on Django 4.2 in a process of its "
    "own; its ratios are to its own backends there. Installed without its bound "
    "Django < 1.12."
)


# The table on the terminal


def print_result(name, result, seconds):
    """Print one row: a line for each contender, then targets and claims."""
    print(f"\n{result.title}  [{name}, per {result.per}; took {seconds:.0f} s]")
    for figure in result.figures:
        if figure.value is None:
            print(f"    {figure.contender:<18} {figure.note}")
            continue
        print(
            f"    {figure.contender:<18} {quantity(figure.value, result.unit):>10}"
            f"   {ratio(figure.ratio):>9}{_requests(figure)}"
        )
    for line in judgements(result):
        print(f"    -> {line}")


def judgements(result):
    """Return lines on targets and claims."""
    lines = []
    if result.target:
        target = result.target
        figure = result.figure(target.contender)
        limit, value = _limit(result)
        verdict = "reached" if result.reached else "missed"
        line = f"{verdict}: {figure.contender} {value}, target {limit}"
        if (
            not target.absolute
            and (figure.median_ratio <= target.limit) != result.reached
        ):
            line += f" (but by medians {ratio(figure.median_ratio)}: a noisy run)"
        lines.append(line)
    for claim in result.claims:
        verdict = "holds" if claim.held else "BROKEN"
        lines.append(
            f"{verdict}: {claim.text} {claim.counted:g}, claimed {claim.expected:g}"
        )
    return lines


def _limit(result):
    figure = result.figure(result.target.contender)
    if result.target.absolute:
        limit, value = result.target.limit, figure.value
        return f"<= {quantity(limit, result.unit)}", quantity(value, result.unit)
    return f"<= {ratio(result.target.limit)}", ratio(figure.ratio)


def _requests(figure):
    if figure.requests is None:
        return ""
    plural = "" if figure.requests == 1 else "s"
    return f"   {figure.requests:g} request{plural}"


def ratio(value):
    if value >= 100:
        return f"{value:,.0f} x"
    return f"{value:.2f} x" if value >= 0.1 else f"{value:.2g} x"


def quantity(value, unit):
    if unit == "B":
        return f"{value:,.0f} B"
    if not unit:
        return f"{value:.2f}"
    if value >= 1:
        return f"{value:.3g} s"
    if value >= 1e-3:
        return f"{value * 1e3:.3g} ms"
    return f"{value * 1e6:.3g} µs"


# The file


def to_json(described, results, *, quick):
    """Return the text of the machine-readable file."""
    content = {
        "format": FORMAT,
        "quick": quick,
        "environment": described,
        "rows": {
            name: {
                **asdict(result),
                "reached": result.reached,
                "claims": [
                    asdict(claim) | {"held": claim.held} for claim in result.claims
                ],
            }
            for name, result in results.items()
        },
    }
    return json.dumps(content, indent=2) + "\n"


def from_json(text):
    """Return (environment, quick, results) of such a text."""
    content = json.loads(text)
    if content.get("format") != FORMAT:
        raise ValueError("written by another version of the benchmarks")
    results = {}
    for name, item in content["rows"].items():
        del item["reached"]
        item["figures"] = [Figure(**figure) for figure in item["figures"]]
        item["target"] = item["target"] and Target(**item["target"])
        item["claims"] = [
            Claim(claim["text"], claim["expected"], claim["counted"])
            for claim in item["claims"]
        ]
        results[name] = Result(**item)
    return content["environment"], content["quick"], results


# What was faster once

#: By best passes and by medians: one of them alone is noise.
MOST_LOSS = 1.15


def comparable(before, now):
    """Whether ratios of two runs, as of ``from_json``, mean the same."""
    same = all(before[0][key] == now[0][key] for key in ("python", "django"))
    return same and not before[1] and not now[1]


def losses(before, now):
    """Return lines on rows that are slower than they were.

    A row's ratio to its peer is compared: to the same peer, hence with the same title.
    """
    lines = []
    for name, result in now[2].items():
        old = before[2].get(name)
        if old is None or old.title != result.title:
            continue
        label = result.target.contender if result.target else ON
        was, is_now = old.figure(label), result.figure(label)
        if not (was and was.ratio and is_now and is_now.ratio):
            continue
        growth = (is_now.ratio / was.ratio, is_now.median_ratio / was.median_ratio)
        if min(growth) > MOST_LOSS:
            lines.append(f"{name}: {ratio(is_now.ratio)}, was {ratio(was.ratio)}")
    return lines


# The tables of the manual and the README

HEADINGS = ("what", DIRECT, ON, OFF, ORIGINAL, "target")
#: What the README shows: what pages ask most, what it is for, and what it costs.
SHORT = (
    "warm-url",
    "warm-exists",
    "warm-exists-s3",
    "warm-page",
    "cold-page",
    "facts",
    "cold-open",
    "save",
    "crowd",
)


def to_rst(described, results, *, quick):
    """Return a table in reStructuredText, with what it was measured on."""
    lines = _table([HEADINGS, *map(_cells, results.values())])
    lines += ["", f"Measured on {machine.line(described)}.", ORIGINAL_NOTE]
    if quick:
        lines.insert(0, ".. From a quick run: not for quoting.\n")
    return "\n".join(lines)


def to_readme(results):
    """Return a few of its rows, for readers who have seen no ratio yet."""
    kept = [HEADINGS.index(heading) for heading in ("what", DIRECT, ON, ORIGINAL)]
    rows = [_cells(results[name], ratios=False) for name in SHORT if name in results]
    return "\n".join(
        _table([[row[index] for index in kept] for row in [HEADINGS, *rows]])
    )


def _table(rows):
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    head, *body = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return [rule, head, rule, *body, rule]


def _cells(result, *, ratios=True):
    cells = [result.title]
    first = result.figures[0]
    # A row may have another word for what it is compared with.
    for label in (first.contender, ON, OFF, ORIGINAL):
        figure = result.figure(label)
        cells.append(_cell(result, figure, ratios=ratios) if figure else "")
    if result.figure(ON) is None:
        judged = result.target and result.figure(result.target.contender)
        ours = judged or result.figures[1]
        cells[2] = _cell(result, ours, ratios=ratios)
    target = ""
    if result.target:
        target = f"{_limit(result)[0]}: {'reached' if result.reached else 'missed'}"
    return tuple(cell or "—" for cell in (*cells, target))


def _cell(result, figure, *, ratios):
    if figure.value is None:
        return "not measured"
    text = quantity(figure.value, result.unit)
    if ratios and figure is not result.figures[0]:
        text += f" ({ratio(figure.ratio)})"
    # Where one contender makes requests, that another makes none is worth saying.
    if figure.requests is not None and any(other.requests for other in result.figures):
        text += f", {figure.requests:g} req."
    return text
