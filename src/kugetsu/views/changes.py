"""The text and the data of `kugetsu changes`: what an issue's branch changes against its base."""

from __future__ import annotations

from typing import Any

from kugetsu.model.plural import counted
from kugetsu.model.result_words import lines_changed, verification
from kugetsu.runtime.git import comparison
from kugetsu.runtime.git.comparison import Base, ChangedFile
from kugetsu.runtime.query.work import Work
from kugetsu.views import times
from kugetsu.views.screen import Screen
from kugetsu.views.tables import Column, table
from kugetsu.views.text import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.runtime.query.points import AsOf

#: Commits that a screen lists; `--json` has all of them.
LISTED = 20
#: Characters of a commit's id that are shown.
SHORT = 9

_LETTERS = {
    "added": "A",
    "copied": "C",
    "deleted": "D",
    "modified": "M",
    "renamed": "R",
    "type_changed": "T",
    "unmerged": "U",
}
_COUNTED = (("commits", "commit"), ("files", "file"))
_HOW = {
    comparison.MERGE_BASE: "where it left {branch}",
    comparison.RECORDED: "which it was made from",
    comparison.BEFORE_MERGE: "where it left {branch} before it was merged",
}


def data(issue: str, work: Work, as_of: AsOf | None, verified: dict[str, Any] | None = None) -> dict[str, Any]:
    """`changes --json`."""
    found, place = work.found, work.place
    base = found.base if found is not None else Base(place.base_commit or None, comparison.RECORDED)
    return {
        "issue": issue,
        "source": work.where,
        "worktree": work.folder if work.where == "worktree" else None,
        "clone": place.source,
        "branch": work.branch,
        "base_branch": place.base_branch or None,
        "base": base.commit,
        "base_found": base.how if base.commit is not None else comparison.NOTHING,
        "head": found.head if found is not None else work.evidence.get("head"),
        "verification": verified,
        "totals": work.totals,
        "commits": [
            {"commit": one.id, "at": one.at, "author": one.author, "subject": line(one.subject)}
            for one in (found.commits if found is not None else [])
        ],
        "files": [_file(one) for one in (found.files if found is not None else [])],
        "uncommitted": [_file(one) for one in work.uncommitted],
        "unknown": work.unknown,
        "recorded": work.recorded,
        "as_of": as_of,
    }


def _file(one: ChangedFile) -> dict[str, Any]:
    return {
        "path": one.path,
        "status": one.status,
        "was": one.was,
        "added": one.added,
        "removed": one.removed,
        "binary": one.binary,
    }


def header(issue: str, work: Work, screen: Screen, verified: dict[str, Any] | None = None) -> list[str]:
    """What was changed, in numbers, and since which commit; what the latest verification said of it."""
    name = f"branch {line(work.branch)}" if work.branch else "on no branch"
    gone = {"worktree": "", "branch": "; its worktree is gone", "recorded": ""}[work.where]
    shown = [f"{screen.bold(screen.issue(issue))} · {name}{gone}", ", ".join(numbers(work))]
    if work.recorded is not None:
        moment = f"{times.day(work.recorded['at'])} {times.time_of_day(work.recorded['at'])}"
        end = f"{work.recorded['attempt']} ended" if work.recorded["attempt"] else "a person left"
        shown.append(f"as recorded when {end}, {moment} (event {work.recorded['event']})")
    elif work.found is not None and work.found.base.commit is not None:
        base = work.found.base
        how = _HOW[base.how].format(branch=line(work.place.base_branch or "the base branch"))
        shown.append(f"since {(base.commit or '')[:SHORT]}, {how}")
    if verified:
        shown.append(f"{verification(verified)}{_of_which(verified, work)}")
    shown += [screen.yellow(f"not known: {line(text)}") for text in work.unknown]
    return shown


def _of_which(verified: dict[str, Any], work: Work) -> str:
    """Of which commit a verification speaks, if it is not the last."""
    commit = verified.get("commit") or ""
    same = work.found is None or work.found.head == commit
    return "" if same else f": of the earlier commit {commit[:SHORT]}"


def numbers(work: Work) -> list[str]:
    """`2 commits`, `3 files`, `+48 −12`; only what is known."""
    totals = {name: number for name, number in work.totals.items() if number is not None}
    shown = [counted(totals[name], noun) for name, noun in _COUNTED if name in totals]
    if totals.get("binary"):
        shown[-1] += f" ({totals['binary']} binary)"
    if "added" in totals and "removed" in totals and totals.get("files"):
        shown.append(lines_changed(totals["added"], totals["removed"]))
    if totals.get("uncommitted"):
        shown.append(counted(totals["uncommitted"], "uncommitted file"))
    return shown or ["no numbers were recorded"]


def uncommitted(changed: list[ChangedFile]) -> str:
    """The heading of what is not committed."""
    added, removed, _ = comparison.totals(changed)
    return f"{counted(len(changed), 'uncommitted file')}, {lines_changed(added, removed)}"


def commits(work: Work, screen: Screen) -> list[str]:
    """The commits, the last one first."""
    found = work.found
    if found is None:
        return []
    shown = [f"  {screen.yellow(one.id[:SHORT])}  {line(one.subject)}" for one in found.commits[:LISTED]]
    left = len(found.commits) - LISTED + found.more_commits
    if left > 0 and shown:
        shown.append(f"  … {counted(left, 'earlier commit')}: git log {found.head[:SHORT]}")
    return shown


def files(changed: list[ChangedFile], screen: Screen) -> list[str]:
    """A line a file: its status as git's letter, its lines, its path."""
    if not changed:
        return []
    rows = [
        [
            _LETTERS[one.status],
            f"+{one.added}" if one.added is not None else "bin",
            f"−{one.removed}" if one.removed is not None else "",
            line(f"{one.was} → {one.path}" if one.was is not None else one.path),
        ]
        for one in changed
    ]
    heads = [Column(""), Column("", right=True), Column("", right=True), Column("", whole=True)]

    def paint(at: int, value: str, text: str) -> str:
        return {1: screen.green, 2: screen.red}[at](text) if at in (1, 2) and value != "bin" else text

    return table(screen, heads, rows, paint=paint, titles=False)
