"""The text of `replay --what-if`: a table of real and simulated figures, the most affected tasks, the assumptions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypedDict

from kugetsu.domain.simulation.comparison import Comparison
from kugetsu.model.plural import counted
from kugetsu.views import assumptions, times
from kugetsu.views.screen import Screen
from kugetsu.views.tables import Column, table
from kugetsu.views.text import columns, line, wrapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.simulation.metrics import FigureData

    class ChangeData(TypedDict):
        """One change; ``recorded`` is the value that the record's last decision read, or None if unknown."""

        key: str
        value: str
        recorded: str | None

    class MovedData(TypedDict):
        """A task whose wait for its first claim changed, in seconds; None if it never started."""

        task: str
        issue: str | None
        real: float | None
        simulated: float | None

    class CheckData(TypedDict):
        """How an unchanged simulation compares with the record."""

        same_order: bool
        off: float

    class WhatIfData(TypedDict):
        """`kugetsu replay --what-if --json`; durations in seconds, times UTC."""

        changes: list[ChangeData]
        since: str | None
        until: str | None
        tasks: int
        open: int
        real: FigureData
        simulated: FigureData
        moved: list[MovedData]
        moved_in_all: int
        assumptions: list[str]
        check: CheckData


#: Tasks whose waits are listed in text and in JSON.
MOVED_SHOWN = 5
#: Columns of prose if the output is not a terminal.
PROSE = 100
#: Seconds below which a difference is not worth reporting.
SLIGHT = 0.05


def collect(found: Comparison, changes: list[ChangeData], since: str | None, until: str | None) -> WhatIfData:
    """Everything that is shown, as JSON values."""
    return {
        "changes": changes,
        "since": since,
        "until": until,
        "tasks": len(found.measured.tasks),
        "open": len(found.measured.open),
        "real": found.before,
        "simulated": found.after,
        "moved": [
            {"task": one.task, "issue": one.issue, "real": one.before, "simulated": one.after}
            for one in found.moved[:MOVED_SHOWN]
        ],
        "moved_in_all": len(found.moved),
        "assumptions": assumptions.sentences(found),
        "check": {"same_order": found.check.same_order, "off": found.check.off},
    }


def lines(data: WhatIfData, screen: Screen) -> list[str]:
    """The text of `replay --what-if`."""
    shown = _prose(_title(data), screen)
    shown += ["", *_figures(data, screen)]
    shown += ["", *_moved(data, screen)]
    shown += ["", screen.bold("assumed")]
    for number, sentence in enumerate(data["assumptions"], 1):
        shown += _hanging(f"{number}.", sentence, screen)
    return [*shown, "", *_prose(_check(data), screen)]


def _title(data: WhatIfData) -> str:
    changed = ", ".join(
        f"{one['key']}={line(one['value'])}" + (f" (was {one['recorded']})" if one["recorded"] is not None else "")
        for one in data["changes"]
    )
    still = f", {data['open']} of them still open" if data["open"] else ""
    return f"{counted(data['tasks'], 'task')}{still}, simulated with {changed}"


# --- the table ------------------------------------------------------------------------------------------------------


def _figures(data: WhatIfData, screen: Screen) -> list[str]:
    real, simulated = data["real"], data["simulated"]
    changed = "with " + " ".join(f"{one['key']}={line(one['value'])}" for one in data["changes"])
    room = (screen.width or PROSE) - 44
    heads = [
        Column(""),
        Column("REAL", right=True),
        Column(changed if columns(changed) <= room else "WHAT IF", right=True),
        Column("CHANGE", right=True),
    ]
    rows = [_row(name, show, real[key], simulated[key]) for name, key, show in _ROWS]  # type: ignore[literal-required]
    return table(screen, heads, rows)


def _row(name: str, show: Callable[[float], str], before: float | None, after: float | None) -> list[str]:
    sides = ["-" if side is None else show(side) for side in (before, after)]
    if before is None or after is None:
        change = "" if before is after else "?"
    elif sides[0] == sides[1]:
        change = "="
    else:
        change = ("+" if after > before else "-") + show(abs(_as_shown(after, show) - _as_shown(before, show)))
    return [name, *sides, change]


def _as_shown(value: float, show: Callable[[float], str]) -> float:
    """The value as shown, so that two shown values and their shown difference agree."""
    if show is times.duration:
        return float(int(value)) if value >= 1 else round(value, 1)
    return round(value, 2) if show is _share else value


def _share(part: float) -> str:
    return f"{part * 100:.0f}%"


def _count(number: float) -> str:
    return str(int(number))


def _amount(number: float) -> str:
    return times.amount(int(number))


def _money(number: float) -> str:
    return f"{number:.2f}"


_ROWS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("waits for a first claim", "waits", _count),
    ("  median (p50)", "wait_p50", times.duration),
    ("  p95", "wait_p95", times.duration),
    ("  longest", "wait_max", times.duration),
    ("total waiting time", "waiting_total", times.duration),
    ("first queued to last end", "makespan", times.duration),
    ("slots in use", "slot_use", _share),
    ("attempts", "attempts", _count),
    ("  retried", "retries", _count),
    ("  parked", "parks", _count),
    ("tasks completed", "completed", _count),
    ("  in error", "error", _count),
    ("  cancelled", "cancelled", _count),
    ("  not finished", "unfinished", _count),
    ("tokens", "tokens", _amount),
    ("cost", "cost", _money),
)


# --- the rest -------------------------------------------------------------------------------------------------------


def _moved(data: WhatIfData, screen: Screen) -> list[str]:
    if not data["moved"]:
        return ["no task would have waited longer or shorter for its first claim"]
    more = data["moved_in_all"] - len(data["moved"])
    title = "waits that change most" + (f" ({more} more {'changes' if more == 1 else 'change'})" if more else "")
    rows = [
        [one["task"], screen.issue(one["issue"]), *_from_to(one["real"], one["simulated"])] for one in data["moved"]
    ]
    heads = [
        Column("TASK"),
        Column("ISSUE", gives=True, names=True),
        Column("REAL", right=True),
        Column("WHAT IF", right=True),
        Column("CHANGE", right=True),
    ]
    return [screen.bold(title), *table(screen, heads, rows)]


def _from_to(before: float | None, after: float | None) -> Sequence[str]:
    if before is None or after is None:
        return [_wait(before), _wait(after), ""]
    return _row("", times.duration, before, after)[1:]


def _wait(seconds: float | None) -> str:
    return "never starts" if seconds is None else times.duration(seconds)


def _prose(text: str, screen: Screen, margin: int = 0) -> list[str]:
    return wrapped(text, PROSE - margin) if screen.width is None else screen.wrapped(text, margin)


def _hanging(mark: str, text: str, screen: Screen) -> list[str]:
    first, *rest = _prose(text, screen, len(mark) + 1)
    return [f"{mark} {first}", *(" " * (len(mark) + 1) + part for part in rest)]


def _check(data: WhatIfData) -> str:
    check = data["check"]
    off = check["off"]
    if check["same_order"] and off < SLIGHT:
        return "checked: an unchanged simulation claims in the recorded order, and every wait is as recorded"
    order = "the recorded order" if check["same_order"] else "another order"
    return (
        f"checked: an unchanged simulation claims in {order}, and waits differ by up to {times.duration(off)}: "
        "ignore differences of that size"
    )
