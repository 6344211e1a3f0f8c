"""What every form of the report shows: its figures, its rows, the words of both."""

from __future__ import annotations

from kugetsu.domain import gates as asked
from kugetsu.domain import loops, missing_pull
from kugetsu.domain.report import GROUPS, PERSONAL, SENT_BACK, Item, Report
from kugetsu.domain.worktree_setup import CHANGED
from kugetsu.model import result_words
from kugetsu.model.plural import counted
from kugetsu.runtime import host_id
from kugetsu.runtime.notifications.notice import issue_url
from kugetsu.views import gates, intake, results, times
from kugetsu.views import missing_pull as missing_words
from kugetsu.views.text import line
from kugetsu.views.wording import reason_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypedDict

    from kugetsu.domain.facts import ClaimFacts
    from kugetsu.domain.missing_pull import Reason, Refusal
    from kugetsu.domain.state import Host, State
    from kugetsu.runtime.query.forge_looks import ForgeLook
    from kugetsu.runtime.query.points import AsOf
    from kugetsu.views.screen import Screen

    Missing = Reason | None

    class RowData(TypedDict):
        """One issue, or one task without an issue. ``others``: tasks of the period that it stands for beside its own;
        ``older``: it is from before the period; ``host``: another one that has its worktree (a shared log).
        Texts are single lines without secrets."""

        group: str
        older: bool
        issue: str | None
        task: str | None
        title: str
        state: str | None
        result: dict[str, Any] | None
        words: str
        remarks: list[str]
        review: str | None
        reason: str | None
        until: str | None
        for_a_person: bool
        said: str | None
        branch: str | None
        host: str | None
        url: str | None
        issue_url: str | None
        tokens: int
        cost: float
        agent_seconds: float
        others: int
        changed_at: str
        next: str

    class SinceData(TypedDict):
        """Where the period begins: ``seq`` is null for a point in time; ``why`` as `domain.report.Start`."""

        seq: int | None
        at: str
        why: str

    class ReportData(TypedDict):
        """`kugetsu report --json`. Times are UTC."""

        since: SinceData
        seq: int
        now: str
        headline: str
        tasks: int
        counts: dict[str, int]
        done: dict[str, int]
        agent_seconds: float
        tokens: int
        cost: float
        items: list[RowData]
        older: list[RowData]
        forges: list[ForgeLook]
        as_of: AsOf | None


#: Commands that look at a worktree, and so run on the host that has it.
_AT_THE_WORKTREE = ("kugetsu changes ", "kugetsu verify ")
#: The titles of the groups.
TITLES = {
    "asks": "asks you",
    "review": "to review",
    "label": "needs you",
    "failed": "failed",
    "running": "still running",
    "waiting": "waiting",
    "done": "done",
}
#: Why a task is done, in words; what is not here is a result or a state of the review.
_DONE = {
    "cancelled": "cancelled",
    "ended": "with an ended session",
    "acknowledged": "failed (acknowledged)",
    "same_issue": "listed with the issue",
    "approved": "reviewed",
    "merged": "merged",
    "closed": "closed",
    "nothing": "no change",
    "unknown": "result unknown",
}


def data(
    found: Report,
    state: State,
    facts: ClaimFacts,
    servers: Mapping[str, str],
    refusal: Refusal | None,
    as_of: AsOf | None = None,
) -> ReportData:
    """The whole report as JSON values; ``servers``: where the pages of issues are, ``refusal``: as
    `missing_pull.reason` takes it."""
    items = [_row(item, state, facts, servers, refusal) for item in found.items]
    return {
        "since": {"seq": found.start.seq, "at": found.start.at, "why": found.start.why},
        "seq": found.seq,
        "now": found.at,
        "headline": headline(found, items),
        "tasks": found.tasks,
        "counts": found.counts,
        "done": found.done,
        "agent_seconds": round(found.seconds, 3),
        "tokens": found.tokens,
        "cost": round(found.cost, 6),
        "items": items,
        "older": [_row(item, state, facts, servers, refusal) for item in found.older],
        "forges": [],
        "as_of": as_of,
    }


def _row(item: Item, state: State, facts: ClaimFacts, servers: Mapping[str, str], refusal: Refusal | None) -> RowData:
    task, session, result = item.task, item.session, item.result
    missing = _missing(item, state, facts["now"], refusal)
    reason, until, stuck = _why(item, state, facts)
    pull = (session.pull if session is not None else None) or result.get("pull") or {}
    there = _other_host(item, state, facts)
    next_command = _after_set_up(item, state, facts) or _next(item, missing)
    if there is not None and next_command.startswith(_AT_THE_WORKTREE):
        next_command = host_id.line_there(state, there.id, next_command)
    return {
        "group": item.group,
        "older": item.old,
        "issue": task.issue,
        "task": task.id or None,
        "title": title_of(item),
        "state": task.state or None,
        "result": result or None,
        "words": _result_words(item),
        "remarks": _remarks(item, state, missing),
        "review": session.review if session is not None else None,
        "reason": line(reason) if reason is not None else None,
        "until": until,
        "for_a_person": stuck,
        "said": line(result["said"]) if result.get("said") else None,
        "branch": result.get("branch") or (session.branch if session is not None else None),
        "host": there.name if there is not None else None,
        "url": pull.get("url") or result.get("answer"),
        "issue_url": issue_url(task.issue, servers) if task.issue is not None else None,
        "tokens": task.usage.tokens,
        "cost": round(task.usage.cost, 6),
        "agent_seconds": round(task.usage.seconds, 3),
        "others": item.others,
        "changed_at": task.changed_at,
        "next": next_command,
    }


def _other_host(item: Item, state: State, facts: ClaimFacts) -> Host | None:
    """The other host that has the worktree; None if it is here."""
    session = item.session
    if session is None or session.worktree is None or session.host == facts.get("host"):
        return None
    return state.hosts.get(session.host or "")


def _missing(item: Item, state: State, now: str, refusal: Refusal | None) -> Missing:
    """Why the work has no pull request."""
    if item.session is None or item.group == "running":
        return None
    return missing_pull.reason(state, item.session, now, refusal)


def _remarks(item: Item, state: State, missing: Missing) -> list[str]:
    """What else one must know of the work."""
    said: list[str | None] = [*results.remarks(item.result or None)]
    refused = item.result.get("refused")
    if refused and item.result["kind"] == "push_refused":
        said.append(f"the server: {line(refused['words'])}")
    if missing is not None:
        said.append(missing_words.words(*missing))
    brake = loops.held(state, item.task.issue or "")
    if brake is not None:
        said.append(line(result_words.held(brake["code"], brake["values"])))
    if item.group == "label":
        seen = state.intake[item.task.issue or ""]
        said.append(intake.remedy(seen["code"], seen["values"], item.task.issue or ""))
    return [part for part in said if part]


def _result_words(item: Item) -> str:
    """What came of it; of a question nothing more, and of a review only what the result does not say."""
    result = item.result
    if not result or item.task.state != "completed" or item.group == "asks":
        return ""
    review = item.session.review if item.session is not None else "none"
    said = results.result_words(_as_seen(item))
    if result["kind"] in ("pushed", "unpushed", "push_refused") and result.get("branch"):
        said += f" ({line(result['branch'])})"
    more = results.review_words(review) if review in SENT_BACK else ""
    return f"{said}, {more}" if more and more not in said else said


def _as_seen(item: Item) -> dict[str, Any]:
    """The result, with its pull request as it was last seen: its checks end later than the run."""
    result, session = item.result, item.session
    seen = session.pull if session is not None else None
    if seen is None or (result.get("pull") or {}).get("url") != seen["url"]:
        return result
    return {**result, "pull": seen}


def name(row: RowData) -> str:
    """What an item is called: its issue, else its task."""
    return row["issue"] or row["task"] or ""


def next_of(row: RowData, screen: Screen) -> str:
    """The command that comes next, as one types it here."""
    issue = row["issue"]
    return screen.command(row["next"].replace(issue, screen.issue(issue), 1) if issue else row["next"])


def title_of(item: Item) -> str:
    """The issue's title, else the first line of the task's message."""
    session = item.session
    return line((session.title if session is not None else None) or item.task.title)


def _why(item: Item, state: State, facts: ClaimFacts) -> tuple[str | None, str | None, bool]:
    """As `_waits`, and why a task ended, or a labelled issue is not queued."""
    if item.group == "waiting":
        return _waits(item, state, facts)
    if item.group == "label":
        return intake.what_is_needed(state.intake[item.task.issue or ""]), None, False
    return gates.of_task(item.task), None, False


def _waits(item: Item, state: State, facts: ClaimFacts) -> tuple[str | None, str | None, bool]:
    """Why a task waits, until when, and whether a person has to see to it."""
    closed = asked.first_closed(state, item.task, facts)
    if closed is None:
        return None, None, False
    stranded = asked.stranded(state, item.task) if closed.gate == "dependencies" else None
    closed = stranded or closed
    unready = closed.code == "parked_by_set_up"  # it may be tried again, and what failed is the user's to mend
    stuck = stranded is not None or unready or (closed.until is None and closed.gate in gates.FOR_A_PERSON)
    return gates.reason_of(closed), closed.until, stuck


def _after_set_up(item: Item, state: State, facts: ClaimFacts) -> str | None:
    """The command for a worktree that is not ready: accept what changed, else try all of the set-up."""
    closed = asked.first_closed(state, item.task, facts) if item.group == "waiting" else None
    if closed is None or closed.code != "parked_by_set_up" or item.session is None:
        return None
    accept = gates.commands_of(closed)[0] if closed.values["step"] == CHANGED else None
    return accept or f"kugetsu doctor --repo {item.session.repository}"


def _next(item: Item, missing: Missing) -> str:
    """The command that comes next."""
    task, session = item.task, item.session
    refused = session is not None and item.result.get("kind") == "push_refused"
    if item.group in ("failed", "waiting") and not refused:
        return f"kugetsu why {task.id}"
    if item.group == "label":
        return f"kugetsu why {task.issue}"
    if item.group == "running":
        return f"kugetsu logs {task.attempt} -f" if task.attempt is not None else f"kugetsu why {task.id}"
    if item.group == "asks" and session is None:
        return "kugetsu delegate MESSAGE"  # the PM agent's question
    if session is None:
        return f"kugetsu history {task.issue or task.id}"
    told = missing_words.next_command(session.key, *missing) if missing is not None else None
    if missing is not None and missing[0] in missing_words.SETTLED:
        told = None
    return told or results.next_command(session.key, item.result or None, session.review)


# --- words ----------------------------------------------------------------------------------------------------------


def headline(found: Report, items: list[RowData]) -> str:
    """``10 tasks: 6 to review, 1 asks you, 2 failed, 1 waits until 09:00; 2h40m of agents, 1.2M tokens, $3.12``."""
    labels = sum(row["group"] == "label" and row["task"] is None for row in items)
    more = f"{counted(labels, 'labelled issue')} {'needs' if labels == 1 else 'need'} you" if labels else ""
    if not found.tasks:
        return ", ".join(filter(None, ("no tasks", more)))
    counts = found.counts
    verb = {"asks": ("asks you", "ask you"), "running": ("runs", "run"), "waiting": ("waits", "wait")}
    verb["label"] = ("needs you", "need you")
    parts = []
    for group in ("review", *(name for name in GROUPS if name != "review")):
        number = counts[group]
        if number:
            word = verb[group][number > 1] if group in verb else TITLES[group]
            parts.append(f"{number} {word}{_until(group, items, found.at)}")
    spent = amounts(found.seconds, found.tokens, found.cost)
    return "; ".join(filter(None, (f"{counted(found.tasks, 'task')}: {', '.join(parts)}", more, spent)))


def _until(group: str, items: list[RowData], now: str) -> str:
    """Until when the waiting tasks wait, if all wait for a time."""
    ends = [item["until"] for item in items if item["group"] == group] if group == "waiting" else []
    first = min((end for end in ends if end is not None), default=None)
    if first is None or None in ends:
        return ""
    return f" until {times.moment(first, now)}" if len(ends) == 1 else f", the next until {times.moment(first, now)}"


def amounts(seconds: float, tokens: int, cost: float) -> str:
    """``2h40m of agents, 1.2M tokens, $3.12``."""
    parts = [f"{times.duration(seconds)} of agents", times.tokens(tokens)]
    return ", ".join([*parts, money(cost)] if cost else parts)


def money(cost: float) -> str:
    """``$3.12``; fractions of a cent as such."""
    return f"${cost:.2f}" if cost >= 0.005 else "<$0.01"


def period(report: ReportData) -> str:
    """``since yesterday 18:04 UTC, when the last report was acknowledged``."""
    since, now = report["since"], report["now"]
    if since["why"] == "beginning" or not since["at"]:
        return "since the beginning" + (" (no report was acknowledged yet)" if report["tasks"] else "")
    start = f"since {_moment(since['at'], now)} {times.zone(since['at'])}"
    said = {
        "acknowledged": ", the last acknowledged report",
        "day": " (no report was acknowledged yet)",
        "listed": " (no report was acknowledged yet; earlier tasks: --since)",
    }
    return start + said.get(since["why"], "")


def _moment(at: str, now: str) -> str:
    """``18:04``, ``yesterday 18:04``, ``11-24 18:04``."""
    from kugetsu.model import clock

    if times.day(at) == times.day(clock.add_seconds(now, -86_400.0)):
        return f"yesterday {times.time_of_day(at, seconds=False)}"
    return times.moment(at, now)


def needs_a_person(row: RowData) -> bool:
    """Whether somebody has to act on it: then it is listed; else it is counted, unless everything is wanted."""
    return row["group"] in PERSONAL or row["for_a_person"]


def facts_of(row: RowData) -> list[str]:
    """The facts of a row, each a few words: what came of it, how much it changed, what it cost."""
    parts = []
    if row["group"] in ("failed", "waiting", "label") and row["reason"]:
        parts.append(row["reason"])
    elif row["state"] == "cancelled" and row["reason"]:
        parts.append(reason_words(row["reason"]))
    parts += [row["words"], results.size_words(row["result"])]
    parts += [f"on host {line(row['host'])}"] if row["host"] and row["group"] in ("asks", "review", "failed") else []
    parts += row["remarks"]
    if row["cost"]:
        parts.append(money(row["cost"]))
    elif row["tokens"]:
        parts.append(times.tokens(row["tokens"]))
    if row["others"]:
        parts.append(f"and {counted(row['others'], 'more task')}")
    return [part for part in parts if part]


def behind_words(report: ReportData, group: str) -> str:
    """How many tasks of a group no item of it tells of: they come after another task of their issue."""
    number = report["counts"][group] - sum(row["group"] == group for row in report["items"])
    return f"{number} behind another task of the issue" if number > 0 and group != "done" else ""


def done_words(done: dict[str, int]) -> str:
    """``2 merged, 1 no change``: why the tasks of the last group are done."""
    return ", ".join(f"{number} {_DONE.get(code, code.replace('_', ' '))}" for code, number in done.items())
