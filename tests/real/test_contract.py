"""Every operation, wherever the file is, with every storage, first and last of a chain."""

from __future__ import annotations

import pytest
from real.contract import OPERATIONS, PLACEMENTS, POSITIONS, Case, deviations
from real.deviations import KNOWN, known
from real.recipes import RECIPES


@pytest.mark.parametrize("memo", ["memo", "bare"])
@pytest.mark.parametrize("position", POSITIONS)
def test_contract(place, tmp_path, position, memo):
    """What deviates is in the table of ``real.deviations``, and nothing else."""
    storage, found, expected = place.recipe.name, {}, {}
    for placement in PLACEMENTS:
        cell = f"{position}/{placement}/{memo}"
        case = Case(place, tmp_path / "local", position, placement, memo=memo == "memo")
        for operation, text in deviations(case).items():
            found[operation, cell] = text
        for operation in OPERATIONS:
            if (reason := known(storage, operation, cell)) is not None:
                expected[operation, cell] = reason
    unknown = {cell: text for cell, text in found.items() if cell not in expected}
    assert not unknown
    healed = {cell: text for cell, text in expected.items() if cell not in found}
    assert not healed, "No deviation any more: remove it from real/deviations.py."


def test_the_table_speaks_of_what_there_is():
    """Every line is about an operation of the contract, and happens somewhere."""
    cells = [
        f"{position}/{placement}/{memo}"
        for position in POSITIONS
        for placement in PLACEMENTS
        for memo in ("memo", "bare")
    ]
    for row in KNOWN:
        assert set(row.operations.split()) <= set(OPERATIONS), row
        assert set(row.storages.split()) <= set(RECIPES), row
        assert any(row.covers(cell) for cell in cells), row
