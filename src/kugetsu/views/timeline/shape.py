"""What every form of the timeline shares: the scale of time, the lanes, the words."""

from __future__ import annotations

from typing import Any

from kugetsu.domain.intervals import DAEMON, MICRO, Hold, Run
from kugetsu.domain.phases import Phase
from kugetsu.domain.timeline import Timeline, gate_of
from kugetsu.model.clock import from_micros
from kugetsu.model.record import record
from kugetsu.views import times
from kugetsu.views.gates import reason
from kugetsu.views.results import result_words
from kugetsu.views.text import cut, line

#: Seconds between two marks of the axis, the smallest that leaves enough room is taken.
STEPS = (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400, 7 * 86_400)


#: Columns of a host's name before its slots; the list below the picture has all of it.
NAME_WIDTH = 16


class Scale:
    """Where a time lies between the timeline's ends, from 0 to 1."""

    __slots__ = ("since", "span", "until")

    def __init__(self, since: int, until: int) -> None:
        self.since = since
        self.until = until
        self.span = max(until - since, MICRO // 1000)

    def place(self, at: int | None) -> float:
        """The place of a time; the end for None, what has not come yet."""
        if at is None:
            return 1.0
        return min(max((at - self.since) / self.span, 0.0), 1.0)

    def ticks(self, most: int) -> list[int]:
        """At most so many round times between the ends."""
        seconds = self.span / MICRO
        step = next((step for step in STEPS if seconds / step <= most), STEPS[-1])
        while seconds / step > most:
            step *= 2
        offset = (times.local(from_micros(self.since)).tm_gmtoff or 0) * MICRO
        width = step * MICRO
        first = -(-(self.since + offset) // width) * width - offset
        return list(range(first, self.since + self.span + 1, width))

    def label(self, at: int) -> str:
        """A mark's text: the day when it is midnight, seconds when the whole is short."""
        text = from_micros(at)
        if self.span > 86_400 * MICRO and times.time_of_day(text, seconds=False) == "00:00":
            return times.day(text)[5:]
        return times.time_of_day(text, seconds=self.span < 300 * MICRO)

    def lasted(self, since: int, until: int | None) -> str:
        """How long something lasted, or lasts at the end."""
        return times.duration(max((until if until is not None else self.until) - since, 0) / MICRO)


def time_of_day(at: int) -> str:
    """``10:00:02``."""
    return times.time_of_day(from_micros(at))


@record
class Lane:
    """What a slot was used for, or (last, if it ran) the PM agent; of a log that hosts share, those of each host."""

    name: str
    runs: list[Run]


def lanes(found: Timeline) -> list[Lane]:
    """The lanes, in order."""
    if not found.hosts:
        return _lanes(found.slots, found.runs, "slot ", "")
    drawn = []
    for host_id, host in sorted(found.hosts.items(), key=lambda entry: (entry[1].name, entry[0])):
        here = [run for run in found.runs if run.host == host_id]
        before = f"{cut(host.name, NAME_WIDTH)}:"
        drawn += _lanes(host.slots, here, before, before)
    return drawn


def _lanes(slots: int, runs: list[Run], before: str, before_pm: str) -> list[Lane]:
    numbered = [Lane(f"{before}{slot}", [run for run in runs if run.slot == slot]) for slot in range(1, slots + 1)]
    of_pm = [run for run in runs if run.slot is None]
    return [*numbered, Lane(f"{before_pm}pm", of_pm)] if of_pm else numbered


def slot_of(run: Run, found: Timeline) -> str:
    """The name of the slot that a run held: ``1``, ``box2:1``, ``pm``."""
    slot = str(run.slot) if run.slot is not None else "pm"
    return f"{found.hosts[run.host].name}:{slot}" if found.hosts else slot


def gates(found: Timeline) -> dict[str, list[Hold]]:
    """The holds of each gate that held a task back, the one first met first."""
    by_gate: dict[str, list[Hold]] = {}
    for hold in found.holds:
        by_gate.setdefault(gate_of(hold), []).append(hold)
    return by_gate


def gate_row(gate: str) -> str:
    """The name of a gate's row: the daemon has one of its own, of when it was there."""
    return "no daemon" if gate == DAEMON else gate


def tried_again(run: Run) -> bool:
    """Whether it is not the first attempt at its task."""
    return not run.attempt.endswith(".1")


@record
class Outcome:
    """What came of runs: the mark of the text, and the words of the legends."""

    mark: str
    words: str


#: What a run is coloured by, in the order of the legends.
OUTCOMES = {
    "pull_request": Outcome("✓", "pull request"),
    "pushed": Outcome("✓", "pushed"),
    "answered": Outcome("✓", "answered"),
    "kept": Outcome("◇", "not pushed"),
    "question": Outcome("?", "asks you"),
    "nothing": Outcome("○", "no commit"),
    "unknown": Outcome("·", "not known"),
    "checks_failed": Outcome("✗", "verification failed"),
    "set_up_failed": Outcome("✗", "set-up failed"),
    "failed": Outcome("✗", "failed"),
    "lost": Outcome("!", "lost"),
    "runs": Outcome("▶", "runs"),
}
#: The parts of a run besides preparing and working.
PARTS = {"sets_up": Outcome("▒", "sets up"), "verifies": Outcome("▄", "verifies")}
_BY_RESULT = {"merged": "pull_request", "push_refused": "kept", "unpushed": "kept", "uncommitted": "kept"}


def outcome(run: Run) -> str:
    """What came of a run: a key of `OUTCOMES`."""
    if run.end is None:
        return "runs"
    kind = run.result["kind"] if run.result is not None else "unknown"
    if run.end != "succeeded":
        return kind if kind == "set_up_failed" else "lost" if run.end == "lost" else "failed"
    kind = _BY_RESULT.get(kind, kind)
    return kind if kind in OUTCOMES else "unknown"


def outcomes(found: Timeline) -> list[str]:
    """The outcomes that its runs have, in the order of the legends."""
    present = {outcome(run) for run in found.runs}
    return [name for name in OUTCOMES if name in present]


def ended(run: Run) -> str:
    """How a run ended, in words: ``PR #92, checks ok``, ``failed: tests do not pass``."""
    if run.end is None:
        return "runs"
    if run.end == "succeeded" and run.result is not None:
        return result_words(run.result)
    if outcome(run) == "set_up_failed":
        exit_code = run.set_up.exit if run.set_up is not None else None
        return "set-up failed" + (f" (exit {exit_code})" if exit_code is not None else "")
    return f"{run.end.replace('_', ' ')}: {line(run.reason)}"


def parts_of(run: Run) -> list[tuple[str, Phase]]:
    """The parts of a run that are shown by themselves: a key of `PARTS`, and when it was."""
    phases = (("sets_up", run.set_up), ("verifies", run.verified))
    return [(name, phase) for name, phase in phases if phase is not None]


def parts(found: Timeline) -> list[str]:
    """The keys of `PARTS` that its runs have, in their order."""
    present = {name for run in found.runs for name, _ in parts_of(run)}
    return [name for name in PARTS if name in present]


def turn_of(run: Run, found: Timeline) -> str:
    """``turn 2`` of a run that answers feedback; else empty."""
    turn = found.turns.get(run.task)
    return f"turn {turn}" if turn is not None else ""


def title_of(run: Run, found: Timeline) -> str:
    """The title of its issue, else of its task."""
    return line(found.titles.get(run.task, ""))


def about_run(run: Run, found: Timeline, scale: Scale) -> str:
    """A run in a few lines: what it was for, when, and what came of it."""
    again = " (tried again)" if tried_again(run) else ""
    title = " · ".join(filter(None, (turn_of(run, found), title_of(run, found))))
    when = f"{time_of_day(run.since)} for {scale.lasted(run.since, run.until)}"
    lasted = [f"{PARTS[name].words} for {scale.lasted(one.since, one.until)}" for name, one in parts_of(run)]
    shown = [f"{run.attempt}{again} {run.issue or 'PM agent'}", title, f"{when}, {ended(run)}", ", ".join(lasted)]
    url = ((run.result or {}).get("pull") or {}).get("url")
    return "\n".join([*filter(None, shown), *([line(url)] if url else [])])


def about_hold(hold: Hold, scale: Scale) -> str:
    """A hold in one line."""
    lasted = scale.lasted(hold.since, hold.until)
    since = time_of_day(hold.since)
    return f"{hold.task} waits ({gate_of(hold)}) from {since} for {lasted}: {line(reason_of(hold))}"


def reason_of(hold: Hold) -> str:
    """Why it holds the task, in words."""
    return "no daemon was running" if hold.gate == DAEMON != hold.recorded else reason(hold.reason, hold.values)


def data(found: Timeline) -> dict[str, Any]:
    """`kugetsu timeline --json`."""

    def with_times(one: Any, names: tuple[str, ...], **more: Any) -> dict[str, Any]:
        values = {name: getattr(one, name) for name in names}
        for name in ("since", "ran", "until"):
            if name in values and values[name] is not None:
                values[name] = from_micros(values[name])
        return {**values, **more}

    def phase(one: Phase | None) -> dict[str, Any] | None:
        return with_times(one, ("since", "until", "code")) if one is not None else None

    run = ("attempt", "task", "issue", "slot", "since", "ran", "until", "end", "reason", "result", "seq", "end_seq")
    hold, shift = ("task", "issue", "since", "until", "seq"), ("state", "since", "until", "end", "seq")
    return {
        **with_times(found, ("since", "until", "seq", "slots")),
        "hosts": [{"host": one.name, "slots": one.slots} for one in found.hosts.values()],
        "holdings": [
            with_times(
                one,
                run,
                host=found.hosts[one.host].name if found.hosts else None,
                title=title_of(one, found) or None,
                turn=found.turns.get(one.task),
                set_up=phase(one.set_up),
                verified=phase(one.verified),
            )
            for one in found.runs
        ],
        "holds": [with_times(one, hold, gate=gate_of(one), reason=reason_of(one)) for one in found.holds],
        "daemon": [with_times(one, shift) for one in found.shifts],
    }
