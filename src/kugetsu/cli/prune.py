"""`kugetsu prune`: what nobody needs any more goes; everything else stays, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kugetsu.cli import progress
from kugetsu.cli.call import Call, Command
from kugetsu.cli.confirmation import confirmed
from kugetsu.cli.parser import Parser
from kugetsu.model.plural import counted
from kugetsu.model.refs import parse_ref
from kugetsu.model.servers import LOCAL
from kugetsu.runtime import forges, prune
from kugetsu.runtime.git.local_state import IGNORED
from kugetsu.runtime.prune import Item, Kept, Plan
from kugetsu.views.text import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    Row = dict[str, Any]


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("--force", action="store_true", help="do not ask; dirty or unpushed work stays anyway")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be removed, and what stays")
    parser.add_argument("--all", action="store_true", help="list each thing with all reasons, instead of counting them")
    parser.add_argument(
        "--runs", action="store_true", help="also remove the transcripts of old, retired tasks (there is no other copy)"
    )


def _prune(call: Call) -> int:
    call.ready()
    with progress.shown(call.environment, "prune: looking at worktrees and branches"):
        plan = prune.plan(call.workspace, runs=call.args.runs)
    if call.args.dry_run or not plan.items:
        _show(call, [(item, None) for item in plan.items], plan.kept, done=False)
        _show_how_to_see_all(call, plan)
        _show_remedy(call, plan.kept)
        if plan.items and not call.json:
            call.note("do it: kugetsu prune")
        return 0
    if not call.args.force:
        if not call.json:
            _show(call, [(item, None) for item in plan.items], plan.kept, done=False)
            _show_how_to_see_all(call, plan)
        count = len(plan.items)
        if not confirmed(f"remove {'this' if count == 1 else f'these {count}'}?", "kugetsu prune --force"):
            call.note("nothing was removed")
            return 1
    with progress.shown(call.environment, "prune: removing"):
        outcome = prune.carry_out(call.workspace, plan)
    # What was shown before the question need not be shown again.
    told = plan.kept if call.args.force or call.json else []
    _show(call, outcome.removed, [*outcome.kept, *told], done=True)
    _show_remedy(call, told)
    return 1 if any(kept.failed for kept in outcome.kept) else 0


def _show_remedy(call: Call, kept: Sequence[Kept]) -> None:
    """Name once the command that makes each unavailable server available, and how to list ignored files."""
    if call.json:
        return

    if any(IGNORED in reason for one in kept for reason in one.reasons):
        call.note("to see ignored files: git -C WORKTREE clean -ndX")
        call.note("to remove those that can be made again, list them in: kugetsu config get DISPOSABLE_FILES")
    hosts = {parse_ref(one.subject).host for one in kept if one.unqueried}
    for host in sorted(hosts - {LOCAL}):
        call.note(f"to query {host}: {forges.how_to_allow(call.workspace, host)}")


def _show(call: Call, items: Sequence[tuple[Item, int | None]], kept: Sequence[Kept], *, done: bool) -> None:
    data = {
        "dry_run": call.args.dry_run,
        "removed": [{**item.as_data(), "seq": seq} for item, seq in items],
        "kept": [one.as_data() for one in kept],
    }
    call.show(data, [] if call.json else _lines(call, data, done))


def _lines(call: Call, data: dict[str, Any], done: bool) -> list[str]:
    lines = []
    rows = _rows if call.args.all else _groups
    if data["removed"]:
        lines += ["removed" if done else "would be removed", *rows(call, data["removed"])]
    elif not done:
        lines.append("nothing to remove")
    if data["kept"]:
        lines += ["stays", *rows(call, data["kept"])]
    return lines


def _groups(call: Call, rows: list[Row]) -> list[str]:
    """A line for each reason, the most frequent first; what is alone with its reason is named with all of it."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["kind"], row["group"]), []).append(row)
    told = []
    for (kind, group), members in sorted(groups.items(), key=lambda item: -len(item[1])):
        if len(members) > 1:
            told.append((counted(len(members), kind), group))
        else:
            reasons = "; ".join(map(line, _reasons(members[0])))
            told.append((kind, f"{_subject(call, members[0])}  {call.screen.dim(reasons)}"))
    width = max(len(what) for what, _ in told)
    return list(call.screen.folded((f"  {what.ljust(width)}  {rest}" for what, rest in told), words=True))


def _rows(call: Call, rows: list[Row]) -> list[str]:
    """What it is, and below it why; reasons are whole, because they are what one looks for."""
    shown = []
    for row in rows:
        shown.append(f"  {row['kind']}  {_subject(call, row)}")
        shown += [call.screen.dim(f"    {line(reason)}") for reason in _reasons(row)]
    return list(call.screen.folded(shown, words=True))


def _subject(call: Call, row: Row) -> str:
    return line(call.screen.issue(row["subject"]).replace(call.workspace.paths.root + "/", ""))


def _reasons(row: Row) -> list[str]:
    return row.get("reasons") or [row["reason"]]


def _show_how_to_see_all(call: Call, plan: Plan) -> None:
    """Name the command that lists each, where the screen only counts them."""
    for rows in (plan.items, plan.kept):
        if len({(row.kind, row.group) for row in rows}) < len(rows) and not call.args.all and not call.json:
            call.note("each of them, with its reason: kugetsu prune --dry-run --all")
            return


COMMANDS = {
    "prune": Command(
        "[--dry-run] [--all] [--force] [--runs] [--json]",
        "Considers sessions of issues (the pull request is merged or closed, the base branch has the work of the\n"
        "branch, also squashed, the issue is closed, or worktree and branch are missing), folders in worktrees/\n"
        "without a session, git's records of missing worktrees, and leases that no process holds. What is in use,\n"
        "dirty, not pushed, or has an open pull request stays, and so does every doubtful case: --force only skips\n"
        "the question. Files that git ignores keep a worktree, except those that can be made again\n"
        "(DISPOSABLE_FILES), as for destroy. Branches, base sessions and the PM session are never removed.\n"
        "Things that share a reason are counted; --all and --json list each. --json needs --force or --dry-run.",
        _arguments,
        _prune,
        json="""\
dry_run            whether this was a dry run
removed[].kind     session, worktree (of no session), registration, checkout, lease or run
removed[].subject  the session's key or the path
removed[].group    the reason that it shares with others
removed[].paths    what was removed from the disk
removed[].reason   why it is not needed
removed[].seq      the event that records it, or null
kept[].kind        session, worktree or registration
kept[].subject     the session's key or the path
kept[].group       the reason that it shares with others
kept[].reasons     each reason""",
        examples="kugetsu prune --dry-run  # what would go, what stays, and why\nkugetsu prune --force  # from cron",
        exits=(5,),
    )
}
