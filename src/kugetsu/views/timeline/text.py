"""The timeline in a terminal: a lane for each slot, a row of counts for each gate that held tasks back."""

from __future__ import annotations

from collections.abc import Callable

from kugetsu.domain.intervals import Hold, Run
from kugetsu.domain.timeline import Timeline
from kugetsu.views.screen import Screen
from kugetsu.views.tables import Column, table
from kugetsu.views.text import wrapped
from kugetsu.views.timeline.shape import (
    OUTCOMES,
    PARTS,
    Scale,
    ended,
    gate_row,
    gates,
    lanes,
    outcome,
    outcomes,
    parts,
    parts_of,
    slot_of,
    time_of_day,
    tried_again,
    turn_of,
)

#: Columns where the screen does not say how wide it is.
WIDTH = 100
#: Below so many columns there is no room for a picture: only the list is shown.
NARROWEST = 44
#: The column of how a run ended.
_END = 5
#: Runs that the list below the picture shows.
LISTED = 20

PREPARING, WORKING, MANY, AGAIN = "░", "█", "▓", "↻"


def lines(found: Timeline, screen: Screen) -> list[str]:
    """The picture, its legend, and the list of who held what."""
    scale = Scale(found.since, found.until)
    if not found.runs and not found.holds:
        return []
    width = screen.width or WIDTH
    shown = _picture(found, scale, screen, width) if width >= NARROWEST else []
    return [*shown, *_list(found, scale, screen)]


def _picture(found: Timeline, scale: Scale, screen: Screen, width: int) -> list[str]:
    names = [lane.name for lane in lanes(found)] + [*map(gate_row, gates(found)), "daemon"]
    margin = max(map(len, names)) + 2
    room = width - margin
    shown = [screen.dim(" " * margin + _axis(scale, room))]
    for lane in lanes(found):
        shown.append(f"{lane.name:<{margin}}{_lane(lane.runs, scale, room)}".rstrip())
    for gate, holds in gates(found).items():
        shown.append(screen.yellow(f"{gate_row(gate):<{margin}}{_counts(holds, scale, room)}".rstrip()))
    shown.append(screen.dim(f"{'daemon':<{margin}}{_daemon(found, scale, room)}".rstrip()))
    marks: dict[str, list[str]] = {}
    for name in outcomes(found):
        marks.setdefault(OUTCOMES[name].mark, []).append(OUTCOMES[name].words)
    between = [f"{PARTS[name].mark} {PARTS[name].words}" for name in parts(found)]
    legend = "  ".join(
        [
            f"{PREPARING} prepares  {WORKING} works",
            *between,
            *(f"{mark} {' or '.join(words)}" for mark, words in marks.items()),
        ]
    )
    if any(map(tried_again, found.runs)):
        legend += f"  {AGAIN} tried again"
    if found.holds:
        legend += "  digits: how many tasks the gate held back"
    return [*shown, *(screen.dim(part) for part in wrapped(legend, width)), ""]


def _axis(scale: Scale, room: int) -> str:
    drawn = [" "] * room
    for at in scale.ticks(max(room // 12, 1)):
        place = min(int(scale.place(at) * room), room - 1)
        label = "│" + scale.label(at)
        if place + len(label) <= room and all(c == " " for c in drawn[max(place - 1, 0) : place + len(label)]):
            drawn[place : place + len(label)] = label
    return "".join(drawn).rstrip()


def _columns(scale: Scale, room: int, since: int, until: int | None) -> tuple[int, int]:
    first = min(int(scale.place(since) * room), room - 1)
    return first, max(min(int(scale.place(until) * room + 0.5), room), first + 1)


def _lane(held: list[Run], scale: Scale, room: int) -> str:
    drawn = [" "] * room
    for one in held:
        first, last = _columns(scale, room, one.since, one.until)
        if any(c != " " for c in drawn[first:last]):
            # Several in the width of a column: the list and --json name them.
            for at in range(first, last):
                drawn[at] = MANY if drawn[at] != " " else WORKING
            continue
        runs = _columns(scale, room, one.ran, one.until)[0] if one.ran is not None else last
        bar = [PREPARING if first + at < runs else WORKING for at in range(last - first)]
        for name, part in parts_of(one):
            begins, ends = _columns(scale, room, part.since, part.until)
            within = slice(max(begins - first, 0), min(ends, last) - first)
            bar[within] = PARTS[name].mark * len(bar[within])
        label = f"{AGAIN}{one.attempt}" if tried_again(one) else one.attempt
        if len(bar) > len(label) + 1:
            bar[: len(label)] = label
        elif tried_again(one):
            bar[0] = AGAIN
        bar[-1] = OUTCOMES[outcome(one)].mark
        drawn[first:last] = bar
    return "".join(drawn)


def _counts(holds: list[Hold], scale: Scale, room: int) -> str:
    """How many tasks waited in each column, however often each of them did within it."""
    tasks: list[set[str]] = [set() for _ in range(room)]
    for one in holds:
        first, last = _columns(scale, room, one.since, one.until)
        for at in range(first, last):
            tasks[at].add(one.task)
    counts = map(len, tasks)
    return "".join(" " if not count else str(count) if count < 10 else "+" for count in counts)


def _daemon(found: Timeline, scale: Scale, room: int) -> str:
    drawn = [" "] * room
    for shift in found.shifts:
        first, last = _columns(scale, room, shift.since, shift.until)
        drawn[first:last] = ("─" if shift.state == "running" else "┄") * (last - first)
        if shift.end == "lost":
            drawn[last - 1] = "!"
    return "".join(drawn)


def _list(found: Timeline, scale: Scale, screen: Screen) -> list[str]:
    heads = [
        Column("SLOT"),
        Column("ATTEMPT"),
        Column("ISSUE", gives=True, names=True),
        Column("FROM"),
        Column("FOR", right=True),
        Column("END", gives=True),
    ]
    rows = [
        [
            slot_of(one, found),
            one.attempt,
            screen.issue(one.issue) if one.issue else "-",
            time_of_day(one.since),
            scale.lasted(one.since, one.until),
            _ended(one, found),
        ]
        for one in found.runs[-LISTED:]
    ]
    colours = {_ended(one, found): _colour(screen, outcome(one)) for one in found.runs}
    painted = lambda at, value, cell: colours[value](cell) if at == _END and value in colours else cell  # noqa: E731
    shown = table(screen, heads, rows, paint=painted) if rows else []
    left = len(found.runs) - len(rows)
    return [*shown, *([f"and {left} before these: --since, --json"] if left > 0 else [])]


def _ended(run: Run, found: Timeline) -> str:
    """How a run ended, after which turn of its pull request it was."""
    return ": ".join(filter(None, (turn_of(run, found), ended(run))))


def _colour(screen: Screen, name: str) -> Callable[[str], str]:
    """The colour of an outcome."""
    if name in ("failed", "lost", "set_up_failed"):
        return screen.red
    return screen.green if name in ("pull_request", "pushed", "answered", "runs") else screen.yellow
