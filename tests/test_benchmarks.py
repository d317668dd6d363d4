"""The benchmarks refuse what would be worth nothing, and the pages show what they found."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest
from manual import text
from paths import ROOT

RUN = ROOT / "benchmarks" / "run.py"
GATE = RUN.with_name("gate.py")


@pytest.fixture
def modules(monkeypatch):
    """Import modules of the benchmarks, whose names are common ones, for one test."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(RUN.parent)
    yield __import__
    for name in set(sys.modules) - before:
        if str(RUN.parent) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


def run(*arguments, script=RUN):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}
    return subprocess.run(
        [sys.executable, script, *arguments],
        env={**environment, "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
        encoding="utf-8",
    ).stdout.strip()


# The tables


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flag", "page"), [("--rst", "docs/figures.rst"), ("--readme", "README.rst")]
)
def test_the_figures_of_a_page_are_those_that_were_measured(flag, page):
    """As the benchmarks print them from the file that they were kept in."""
    assert f"\n{run(flag)}\n" in text(page)


@pytest.mark.slow
def test_other_figures_are_put_into_both_pages_by_one_command(tmp_path):
    for page in ("benchmarks", "docs/figures.rst", "README.rst"):
        copy = shutil.copytree if (ROOT / page).is_dir() else shutil.copy
        (tmp_path / page).parent.mkdir(exist_ok=True)
        copy(ROOT / page, tmp_path / page)
    script = tmp_path / "benchmarks" / "run.py"
    snapshot = script.with_name("snapshot.json")
    measured = tmp_path / "measured.json"
    kept = snapshot.read_text(encoding="utf-8")
    other = re.sub(r'"cores": \d+', '"cores": 96', kept)
    measured.write_text(other, encoding="utf-8")
    run("--publish", measured, script=script)
    assert snapshot.read_text(encoding="utf-8") == other
    figures = (tmp_path / "docs/figures.rst").read_text(encoding="utf-8")
    assert "96 cores" in figures
    assert run("--rst", script=script) in figures
    readme = (tmp_path / "README.rst").read_text(encoding="utf-8")
    assert run("--readme", script=script) in readme


def test_what_a_table_shows_is_what_was_to_reach_its_target(modules):
    """Whoever else took part."""
    result, report = modules("result"), modules("report")
    figures = [
        result.Figure(label, value, value, value, value)
        for label, value in (("aws", 1.0), ("rclone", 0.25), ("sync", 0.5))
    ]
    target = result.Target(0.4, "sync")
    row = result.Result("sync", figures=figures, target=target)
    assert "0.50 x" in report._cells(row)[2]
    assert "missed" in report._cells(row)[-1]


# Figures that are worth nothing


@pytest.mark.parametrize(
    ("busy", "delay", "said"),
    [
        (0.1, 0.01, None),
        (0.6, 0.01, "others keep 0.6 of "),
        (0.1, 0.50, "lasts 1.50 s"),
    ],
)
def test_a_busy_machine_is_noticed(modules, monkeypatch, busy, delay, said):
    machine = modules("machine")
    totals = iter([100.0, 100.0 + busy])
    monkeypatch.setattr(machine, "_busy_seconds", lambda: next(totals))
    monkeypatch.setattr(machine, "_delay", lambda: delay)
    monkeypatch.setattr(machine.time, "sleep", lambda _: None)
    found = machine.loaded()
    assert found is None if said is None else said in found


def test_what_was_measured_on_a_busy_machine_says_so(modules):
    machine = modules("machine")
    keys = ("python", "django", "cpu", "cores", "load", "system", "date")
    described = {**dict.fromkeys(keys, "?"), "loaded": "others keep 2 cores busy"}
    assert "not for quoting: others keep 2 cores busy" in machine.line(described)


def test_a_row_is_lost_where_best_and_median_are_slower(modules):
    result, report = modules("result"), modules("report")

    def run_with(ratio, median, title="url"):
        figures = [result.Figure(result.ON, 1, 1, ratio, median)]
        rows = {"row": result.Result(title, figures=figures)}
        return {"python": "3", "django": "5"}, False, rows

    before = run_with(1.0, 1.0)
    assert report.losses(before, run_with(1.2, 1.2)) == ["row: 1.20 x, was 1.00 x"]
    assert report.losses(before, run_with(1.1, 1.2)) == []
    assert report.losses(before, run_with(1.2, 1.1)) == []
    assert report.losses(before, run_with(1.2, 1.2, title="other")) == []
    assert report.comparable(before, before)
    assert not report.comparable(before, ({**before[0], "python": "4"}, *before[1:]))


# The gate: what our calls cost, counted


COUNTED = ("--tool", "bytecodes")


@pytest.mark.slow
def test_a_hot_path_that_became_slower_is_noticed_and_the_same_is_not(tmp_path):
    """By a fifth: each fifth call is made twice."""
    counts = ("--counts", tmp_path / "counts.json")
    assert "Nothing was compared" in run(*COUNTED, *counts, script=GATE)
    run("--record", *COUNTED, *counts, script=GATE)
    assert "LOST" not in run(*COUNTED, *counts, script=GATE)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run("--slower", "5", *COUNTED, *counts, script=GATE)
    lost = re.findall(r"^ +(.+?)  .*LOST$", caught.value.stdout, re.MULTILINE)
    assert {"url, local", "exists, local", "url, S3", "size, local"} <= set(lost)


def test_a_loss_up_to_the_bound_is_none(modules):
    gate = modules("gate")
    recorded = {"url": 0.5, "exists": 0.5, "open": 0.5}
    found = {"url": 0.57, "exists": 0.58, "open": 0.1, "new": 9.0}
    lines, lost = gate.judge(recorded, found)
    assert lost == ["exists"]
    assert len(lines) == 4


def test_where_nothing_counts_the_gate_fails_and_without_valgrind_it_does_not(
    modules, monkeypatch, capsys
):
    gate = modules("gate")
    kept = {f"{tool}, {gate.versions()}": {"url": 1.0} for tool in gate.TOOLS}

    missing = ["callgrind"]

    def count(tool, slower):
        if tool in missing:
            raise gate.NotCounted("there is none")
        return {"url": 1.0}

    monkeypatch.setattr(gate, "count", count)
    assert gate.compare(kept, gate.TOOLS, 0) == 0
    assert "Not counted by callgrind: there is none." in capsys.readouterr().out
    missing.append("bytecodes")
    assert gate.compare(kept, gate.TOOLS, 0) == 1
