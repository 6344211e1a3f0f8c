"""The rows of the table: what was measured, beside what, and whether the ratio keeps its limit."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Sizes:
    """How much is measured. The defaults are what the limits are stated for."""

    large: int = 1_000_000
    middle: int = 1_000
    small: int = 100
    rounds: int = 15
    slow_rounds: int = 3
    append_seconds: float = 1.0
    append_rounds: int = 5
    writers: tuple[int, ...] = (1, 8, 32)
    dispatches: int = 15
    tasks: int = 10_000
    """Those in the queue of many hosts."""
    points: int = 20
    """Those travelled to, anywhere in the log, each by a process of its own."""

    @classmethod
    def quick(cls) -> Sizes:
        """Enough to see that everything can be measured, in about half a minute."""
        return cls(
            large=4_000,
            rounds=2,
            slow_rounds=1,
            append_seconds=0.1,
            append_rounds=1,
            writers=(1, 4),
            dispatches=2,
            tasks=500,
            points=3,
        )


@dataclass(frozen=True)
class Row:
    """One line of the table. ``ratio`` is value / reference; ``limit`` is the ratio's or the value's own bound."""

    part: str
    what: str
    value: float
    best: float
    unit: str
    reference: str = ""
    against: float | None = None
    limit: float | None = None
    at_least: bool = False
    absolute: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The value in units of its reference."""
        return self.value / self.against if self.against else None

    @property
    def kept(self) -> bool | None:
        """Whether the limit is kept; None when there is none."""
        judged = self.value if self.absolute else self.ratio
        if self.limit is None or judged is None:
            return None
        return judged >= self.limit if self.at_least else judged <= self.limit


@dataclass
class Report:
    """Collects rows; says on stderr what is being measured."""

    quiet: bool = False
    rows: list[Row] = field(default_factory=list)

    def doing(self, text: str) -> None:
        """Tell whoever waits."""
        if not self.quiet:
            print(f"· {text}", file=sys.stderr, flush=True)

    def add(
        self,
        part: str,
        what: str,
        samples: Sequence[float],
        unit: str,
        *,
        reference: str = "",
        against: Sequence[float] | None = None,
        higher_is_better: bool = False,
        **limits: Any,
    ) -> None:
        """A row from samples: the median, and the best one beside it; ``against`` are the reference's samples."""
        best = max(samples) if higher_is_better else min(samples)
        base = statistics.median(against) if against else None
        self.rows.append(Row(part, what, statistics.median(samples), best, unit, reference, base, **limits))

    def as_data(self) -> list[dict[str, Any]]:
        """The rows as JSON values."""
        return [{**row.__dict__, "ratio": row.ratio, "kept": row.kept} for row in self.rows]

    def closing(self) -> str:
        """How many limits were kept."""
        judged = [row.kept for row in self.rows if row.kept is not None]
        return f"{sum(judged)} of {len(judged)} limits kept"

    def table(self) -> str:
        """The rows as text for people."""
        head = ("", "what", "median", "best", "against", "", "ratio", "limit", "")
        cells = [head, *(_cells(row) for row in self.rows)]
        widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
        right = {2, 3, 5, 6, 7}
        lines = []
        part = ""
        for line in cells:
            if line[0] and line[0] != part:
                part = line[0]
            elif line[0]:
                line = ("", *line[1:])
            padded = (
                text.rjust(width) if column in right else text.ljust(width)
                for column, (text, width) in enumerate(zip(line, widths, strict=True))
            )
            lines.append("  ".join(padded).rstrip())
        return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    sign = "≥" if row.at_least else "≤"
    unit = f" {row.unit}" if row.absolute else ""
    verdict = {True: "ok", False: "over" if not row.at_least else "under", None: ""}[row.kept]
    return (
        row.part,
        row.what,
        f"{_number(row.value)} {row.unit}",
        _number(row.best),
        row.reference,
        "" if row.against is None else _number(row.against),
        "" if row.ratio is None else f"{row.ratio:.2f}",
        "" if row.limit is None else f"{sign} {row.limit:g}{unit}",
        " ".join(filter(None, (verdict, row.note))),
    )


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
