"""Finds a setting that explains a divergence: tries a small set of other values for each fact that comes from one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kugetsu.domain.decision import MissingArgumentError
from kugetsu.domain.events import Event
from kugetsu.domain.replay import Earlier, UnknownError, redecide
from kugetsu.domain.replay.divergence import Tried, mismatch
from kugetsu.domain.state import State
from kugetsu.model.clock import seconds_between
from kugetsu.model.errors import BadInput, KugetsuError

#: The largest whole number tried: caps, attempts, runs.
LARGEST = 16


class Case:
    """The sources of the values to try: the state, the transaction, and its facts."""

    def __init__(self, state: State, group: Sequence[Event]) -> None:
        self.state = state
        self.group = group
        self.facts: dict[str, Any] = next((event["facts"] for event in group if "facts" in event), {})

    def said(self, kind: str, name: str) -> list[Any]:
        """The values of a field in the events of a kind, without None."""
        found = [event["data"].get(name) for event in self.group if event["type"] == kind]
        return [value for value in found if value is not None]

    def used(self, name: str) -> list[Any]:
        """A lifetime counter of each issue of the transaction."""
        keys = {event.get("issue") for event in self.group}
        return sorted({getattr(self.state.sessions[key].usage, name) for key in keys if key in self.state.sessions})


def explain(state: State, group: Sequence[Event], earlier: Earlier) -> Tried | None:
    """The first setting under another value of which the decision makes ``group``; None if there is none."""
    case = Case(state, group)
    for fact, (key, candidates, shown) in SETTINGS.items():
        if fact not in case.facts:
            continue
        known = case.facts[fact]
        for value in candidates(case):
            if value != known and _fits(state, _under(group, fact, value), earlier):
                return Tried(fact, key, shown(known), shown(value))
    return None


def _under(group: Sequence[Event], fact: str, value: Any) -> list[Event]:
    """The transaction with another value of a fact."""
    return [
        {**event, "facts": {**event["facts"], fact: value}} if fact in event.get("facts", ()) else event
        for event in group
    ]


def _fits(state: State, group: Sequence[Event], earlier: Earlier) -> bool:
    try:
        return mismatch(group, redecide(state, group, earlier)) is None
    except (KugetsuError, MissingArgumentError, UnknownError, LookupError, TypeError, ValueError):
        return False


def _near(value: int) -> list[int]:
    """Small whole numbers, the nearest first."""
    return sorted(range(LARGEST + 1), key=lambda number: abs(number - value))


def _caps(case: Case) -> Iterable[int]:
    live = len(case.state.live("dev"))
    return [*_near(case.facts["cap"]), *case.said("attempt.claimed", "slot"), live, live + 1]


def _attempts(case: Case) -> Iterable[int]:
    said = case.said("task.retried", "max_attempts") + case.said("task.failed", "max_attempts")
    return [*said, *_near(case.facts["max_attempts"])]


def _room(case: Case, free: str, usual: int) -> Iterable[int]:
    known = case.facts.get(free)
    return [usual, 0, *([known, known + 1] if known is not None else [])]


def _agents(case: Case) -> Iterable[str]:
    met = [attempt.label for attempt in case.state.attempts.values() if attempt.label is not None]
    return [*case.said("task.parked", "limit"), *case.state.limits, *met]


def _backoffs(case: Case) -> Iterable[float]:
    """The first pause that yields the recorded one, after the recorded number of attempts."""
    for until, used in zip(case.said("task.retried", "not_before"), case.said("task.retried", "used"), strict=True):
        yield round(_seconds(case, until) / 2 ** max(used - 1, 0), 6)
    yield 10.0


def _pauses(case: Case) -> Iterable[float]:
    yield from (_seconds(case, until) for until in case.said("task.parked", "until"))
    yield 3600.0


def _seconds(case: Case, until: str) -> float:
    try:
        return seconds_between(case.facts["now"], until)
    except BadInput:  # not a time: no pause explains it
        return 0.0


def _pairs(value: dict[str, int]) -> str:
    return " ".join(f"{name}={cap}" for name, cap in value.items()) or "0"


def _number(value: float) -> str:
    return f"{value:g}"


#: fact → its setting, the values to try, and how a value is written in the settings.
SETTINGS: dict[str, tuple[str, Callable[[Case], Iterable[Any]], Callable[[Any], str]]] = {
    "cap": ("MAX_CONCURRENT_AGENTS", _caps, str),
    "max_attempts": ("MAX_ATTEMPTS", _attempts, str),
    "backoff_seconds": ("RETRY_BACKOFF_SECONDS", _backoffs, _number),
    "pause_seconds": ("USAGE_LIMIT_PAUSE_MINUTES", _pauses, lambda seconds: _number(seconds / 60)),
    "min_free_memory_mb": ("MIN_FREE_MEMORY_MB", lambda case: _room(case, "free_memory_mb", 700), str),
    "min_free_disk_mb": ("MIN_FREE_DISK_MB", lambda case: _room(case, "free_disk_mb", 200), str),
    "issue_max_tokens": ("ISSUE_MAX_TOKENS", lambda case: [0, *case.used("tokens"), 1], str),
    "issue_max_cost": ("ISSUE_MAX_COST", lambda case: [0.0, *case.used("cost"), 0.01], _number),
    "max_runs_without_progress": (
        "MAX_RUNS_WITHOUT_PROGRESS",
        lambda case: _near(case.facts["max_runs_without_progress"]),
        str,
    ),
    "repository_caps": (
        "MAX_AGENTS_PER_REPOSITORY",
        lambda _: [{}, *({"*": cap} for cap in range(1, 5))],
        _pairs,
    ),
    "agent": ("KUGETSU_AGENT:KUGETSU_MODEL", _agents, str),
}
