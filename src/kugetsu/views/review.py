"""The text of `kugetsu review`: what is to review, and what the forge and git show of one issue's work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kugetsu.domain.machines import OPEN_REVIEW
from kugetsu.domain.standing import TO_LOOK_AT, last_tasks, title
from kugetsu.domain.state import Session, State, Task
from kugetsu.views import results, times
from kugetsu.views.screen import Screen
from kugetsu.views.tables import Column, table
from kugetsu.views.text import line

#: The order in which a person acts on reviews.
_ORDER = (*TO_LOOK_AT, *(state for state in OPEN_REVIEW if state not in TO_LOOK_AT))
_VERDICTS = {
    "approved": "approved",
    "changes_requested": "changes requested",
    "outdated": "the last verdict is on an earlier commit",
}
_CHECK_ORDER = ("failure", "pending", "other", "success")
_CHECK_WORDS = {"failure": "failed", "pending": "pending", "other": "neither", "success": "passed"}


def open_reviews(state: State) -> list[dict[str, Any]]:
    """The sessions whose review is open, in the order in which a person acts, the longest waiting first."""
    found = [one for one in state.sessions.values() if one.kind == "issue" and one.review in OPEN_REVIEW]
    found.sort(key=lambda one: (_ORDER.index(one.review), one.review_at))
    last = last_tasks(state)
    return [recorded(one, state, last) for one in found]


def recorded(session: Session, state: State, last: Mapping[str, Task] | None = None) -> dict[str, Any]:
    """What the log knows of a session's review."""
    return {
        "session": session.key,
        "title": title(state, session, last_tasks(state) if last is None else last),
        "review": session.review,
        "since": session.review_at or None,
        "reviewed": session.reviewed,
        "host": there.name if (there := state.hosts.get(session.host or "")) is not None else None,
        "branch": session.branch,
        "base_branch": session.base_branch,
        "pull": session.pull,
        "result": session.result,
        "next": results.next_command(session.key, session.result, session.review),
    }


def table_of(reviews: list[dict[str, Any]], screen: Screen, now: str) -> list[str]:
    """A row for each open review."""
    heads = [
        Column("ISSUE", names=True),
        Column("REVIEW"),
        Column("FOR", right=True),
        Column("RESULT", whole=True),
        Column("LINES", whole=True),
        Column("TITLE", gives=True),
    ]
    rows = [
        [
            screen.issue(one["session"]),
            results.review_words(one["review"]),
            times.duration(times.since(one["since"], now)) if one["since"] else "-",
            results.result_words(one["result"]),
            results.lines_words(one["result"]) or "-",
            line(one["title"] or "-"),
        ]
        for one in reviews
    ]

    def paint(at: int, value: str, text: str) -> str:
        if at != 1:
            return text
        return screen.green(text) if value == results.review_words("approved") else screen.yellow(text)

    return table(screen, heads, rows, paint=paint)


def lines(data: dict[str, Any], screen: Screen, now: str) -> list[str]:
    """One issue's review: pull request, checks, reviews, work, and the commands that come next."""
    head = [screen.issue(data["session"]), results.review_words(data["review"])]
    if data["review"] == "none":
        head[1] = "nothing to review"
    if data["since"]:
        head[1] += f" for {times.duration(times.since(data['since'], now))}"
    told = [screen.bold(" · ".join([*head, *([line(data["title"])] if data["title"] else [])]))]
    told += [f"{label.ljust(12)}  {words}" for label, words in _facts(data) if words]
    for check in data["checks"] or []:
        if check["state"] == "failure":
            told.append(screen.red(f"  {line(check['name'])}  {line(check['url'])}"))
    for one in data["reviews"] or []:
        said = f": {line(one['body'])[:120]}" if one["body"].strip() else ""
        told.append(f"  {line(one['author'])} {_VERDICTS.get(one['state'], one['state'])}{said}")
    return told


def _facts(data: dict[str, Any]) -> list[tuple[str, str]]:
    pull, merged = data["pull"], data["merged"]
    branch = line(data["branch"] or "")
    if merged is not None:
        branch += f", merged into {line(merged['base_branch'])}"
    elif data["looked"] and pull is None and data["base_branch"] and data["problem"] is None and branch:
        branch += f", not merged into {line(data['base_branch'])}"
    came = results.result_words(data["result"]) if pull is None and data["result"] is not None else ""
    said = (data["result"] or {}).get("said")
    where = f"on host {line(data['host'])}" if data["host"] else ""
    return [
        ("pull request", _pull_words(pull)),
        ("branch", branch),
        ("checks", _checks_words(data)),
        ("reviews", _VERDICTS.get((pull or {}).get("review") or "", "")),
        ("work", ", ".join(part for part in (came, results.size_words(data["result"]), where) if part)),
        ("said", f"“{line(said)}”" if said else ""),
        ("not seen", line(data["problem"] or "")),
    ]


def _pull_words(pull: dict[str, Any] | None) -> str:
    if pull is None:
        return ""
    state = "draft" if pull.get("draft") and pull["state"] == "open" else pull["state"]
    parts = [f"#{pull['number']} {state}"]
    if pull["state"] == "open" and pull["mergeable"] is not None:
        parts.append("mergeable" if pull["mergeable"] else "conflicts with the base branch")
    return f"{', '.join(parts)}  {line(pull['url'])}"


_CHECKS_TOGETHER = {
    "success": "ok",
    "failure": "failed",
    "pending": "pending",
    "not_started": "not started",
    "none": "none configured",
}


def _checks_words(data: dict[str, Any]) -> str:
    checks = data["checks"]
    if not checks:
        known = (data["pull"] or {}).get("checks") or ""
        return _CHECKS_TOGETHER.get(known, "")
    counts = {state: sum(check["state"] == state for check in checks) for state in _CHECK_ORDER}
    return ", ".join(f"{count} {_CHECK_WORDS[state]}" for state, count in counts.items() if count)


def next_steps(data: dict[str, Any]) -> list[str]:
    """The commands that come next."""
    key, review = data["session"], data["review"]
    steps = [f"next: {data['next']}"]
    if review in OPEN_REVIEW and review != "approved":
        steps.append(f"reviewed: kugetsu review {key} --done")
    if review in ("merged", "closed"):
        steps = [f"clean up: kugetsu destroy {key}"]
    return steps


def summary(reviews: list[dict[str, Any]]) -> str:
    """How many there are of each state."""
    counts = {state: sum(one["review"] == state for one in reviews) for state in _ORDER}
    return ", ".join(f"{count} {results.review_words(state)}" for state, count in counts.items() if count)
