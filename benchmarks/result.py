"""What a row found out."""

from __future__ import annotations

from dataclasses import dataclass, field

DIRECT = "called directly"
ON = "memo on"
OFF = "memo off"
ORIGINAL = "1.1.1"


@dataclass
class Figure:
    """One contender's: ``value`` is the best pass, in the row's unit.

    ``ratio`` compares best passes, ``median_ratio`` medians. ``requests`` go over the
    wire, the most that any pass made; None where there is nothing to count.
    """

    contender: str
    value: float | None = None
    median: float | None = None
    ratio: float | None = None
    median_ratio: float | None = None
    requests: float | None = None
    note: str = ""


@dataclass
class Claim:
    """Something counted, not timed: it holds or the run fails."""

    text: str
    expected: float
    counted: float

    @property
    def held(self):
        return self.counted == self.expected


@dataclass
class Target:
    """A limit for one contender: of its ratio, or with ``absolute`` of its value."""

    limit: float
    contender: str = ON
    absolute: bool = False


@dataclass
class Result:
    """One row: the first figure is what the others are compared with.

    ``unit``: "s", "B" or "" (a number); ``per``: what one value is for ("call", "page of 100").
    """

    title: str
    unit: str = "s"
    per: str = "call"
    figures: list[Figure] = field(default_factory=list)
    target: Target | None = None
    claims: list[Claim] = field(default_factory=list)

    def figure(self, contender):
        for figure in self.figures:
            if figure.contender == contender:
                return figure
        return None

    @property
    def reached(self):
        """Whether the target was reached; None without one."""
        if self.target is None:
            return None
        figure = self.figure(self.target.contender)
        value = figure.value if self.target.absolute else figure.ratio
        return value <= self.target.limit

    def add_laps(self, contender, laps, count=1, baseline=None):
        """Add a figure from ``timing.Laps`` of so many calls, or of one whole pass.

        Compared with ``baseline`` (Laps), by default with the first figure.
        """
        best, median = laps.best / count, laps.median / count
        if baseline is not None:
            base, base_median = baseline.best / count, baseline.median / count
        elif self.figures:
            base, base_median = self.figures[0].value, self.figures[0].median
        else:
            base, base_median = best, median
        figure = Figure(contender, best, median, best / base, median / base_median)
        # Not rounded: one request in a thousand calls breaks a claim of none.
        requests = max(laps.requests) / count
        figure.requests = int(requests) if requests.is_integer() else requests
        self.figures.append(figure)
        return figure

    def skip(self, contender, reason):
        """Say why a contender has no figure."""
        self.figures.append(Figure(contender, note=f"not measured: {reason}"))

    def claim_requests(self, contender, expected):
        figure = self.figure(contender)
        text = f"{contender}: requests over the wire"
        self.claims.append(Claim(text, expected, figure.requests))
