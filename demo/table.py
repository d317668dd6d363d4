"""The table that `--once` prints."""

from __future__ import annotations


class Table:
    """Claims, what was expected and what was measured."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, str]] = []
        self.failed = 0

    def claim(self, text: str, expected: object, measured: object) -> None:
        """One line; it holds if the two are equal."""
        held = expected == measured
        self.failed += not held
        self.rows.append((text, str(expected), str(measured), "yes" if held else "NO"))

    def note(self, text: str, measured: str) -> None:
        """A measured figure of which nothing is claimed."""
        self.rows.append((text, "", measured, ""))

    def __str__(self) -> str:
        rows = [("claim", "expected", "measured", "held"), *self.rows]
        widths = [max(len(row[at]) for row in rows) for at in range(4)]
        lines = [
            "  ".join(
                cell.ljust(width) for cell, width in zip(row, widths, strict=True)
            )
            for row in rows
        ]
        rule = "  ".join("-" * width for width in widths)
        return "\n".join(line.rstrip() for line in [lines[0], rule, *lines[1:]])
