"""`kugetsu destroy`: end sessions, unless something would be lost."""

from __future__ import annotations

import sys
from typing import Any

from kugetsu.cli.call import Call, Command
from kugetsu.cli.confirmation import confirmed
from kugetsu.cli.failure import print_lines
from kugetsu.cli.parser import Parser
from kugetsu.domain.decide.sessions import find_session
from kugetsu.model.errors import BadInput, KugetsuError, LogDamaged, LogWriteFailed
from kugetsu.model.refs import parse_repository
from kugetsu.runtime import destroy
from kugetsu.runtime.destroy import Known
from kugetsu.runtime.query.subjects import issue
from kugetsu.views import refusals
from kugetsu.views.wording import words


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("ref", nargs="*", metavar="REF", completes="issue", help="the issues whose sessions end")
    parser.add_argument(
        "--base", metavar="REPOSITORY", completes="base", help="end the base session of host/owner/repo instead"
    )
    parser.add_argument("--pm-agent", action="store_true", help="end the PM session instead")
    parser.add_argument(
        "--force", action="store_true", help="even with unsaved work: it is moved to a rescue branch first"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _destroy(call: Call) -> int:
    keys = _keys(call)
    call.ready()
    ended: list[dict[str, Any]] = []
    refused: list[tuple[str, KugetsuError]] = []
    known: dict[str, Known | None] = {}
    for key in keys:
        try:
            known[key] = _examined(call, key)
        except (LogWriteFailed, LogDamaged):
            raise
        except KugetsuError as problem:
            refused.append((key, problem))
    if known and not _agreed(call, list(known)):
        call.note("nothing was changed")
        return 1
    for key, seen in known.items():
        try:
            ended.append(_end(call, key, seen))
        except (LogWriteFailed, LogDamaged):
            raise
        except (KugetsuError, OSError) as problem:
            refused.append((key, problem if isinstance(problem, KugetsuError) else KugetsuError(str(problem))))
    return _told(call, keys, ended, refused)


def _examined(call: Call, key: str) -> Known | None:
    """What was seen of the session's work. Raises KugetsuError with everything against ending it."""
    session = find_session(call.state(), key)
    if call.args.force:
        destroy.require_unused(call.workspace, key, force=True)
        return None
    known = destroy.look_up(call.workspace, session) if session.kind == "issue" else destroy.Known()
    against = destroy.refusals(call.workspace, key, known)
    if against:
        raise refusals.together(against)
    return known


def _agreed(call: Call, keys: list[str]) -> bool:
    """Ask once for all of them. A script has said what it wants, and unsaved work is refused anyway."""
    if call.args.yes or call.args.force or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    what = f"the session {keys[0]}" if len(keys) == 1 else f"these {len(keys)} sessions: {', '.join(keys)}"
    return confirmed(f"end {what}?", "")


def _end(call: Call, key: str, known: Known | None) -> dict[str, Any]:
    event = destroy.destroy(call.workspace, key, force=call.args.force, known=known)
    data = event["data"]
    if not call.json:
        call.print_lines([f"destroyed {key}: {words(event)}"], flush=True)
        if data["rescue"]:
            call.note(f"its work is on the branch {data['rescue']}")
    return {"session": key, "seq": event["seq"], "ignored": [], **data}


def _told(call: Call, keys: list[str], ended: list[dict[str, Any]], refused: list[tuple[str, KugetsuError]]) -> int:
    """Report what was refused; the exit status is that of the worst."""
    if len(keys) == 1:
        if refused:
            raise refused[0][1]
        call.show(ended[0], [])
        return 0
    for key, problem in refused:
        refusals.put_into_words(problem)
        if not call.json:
            print_lines(KugetsuError(f"{key} was not ended: {problem.message}", problem.hint))
    told = [{"session": key, "code": one.code, "message": one.message, "hint": one.hint} for key, one in refused]
    call.show({"destroyed": ended, "refused": told}, [])
    return max((problem.exit_code for _, problem in refused), default=0)


def _keys(call: Call) -> list[str]:
    args = call.args
    if sum((bool(args.ref), args.base is not None, args.pm_agent)) != 1:
        raise BadInput("kugetsu destroy: which session?", "one of: REF…, --base host/owner/repo, --pm-agent")
    if args.pm_agent:
        return ["pm"]
    if args.base is not None:
        host, owner, repo = parse_repository(args.base.removeprefix("base:"))
        return [f"base:{host}/{owner}/{repo}"]
    return list(dict.fromkeys(str(issue(call.workspace, ref)) for ref in args.ref))


COMMANDS = {
    "destroy": Command(
        "REF…|--base REPOSITORY|--pm-agent [--force] [--yes] [--json]",
        "Of several sessions each is ended by itself; the exit status is that of the worst.\n"
        "Refused, with each reason, while an agent works in it, tasks wait for it, its worktree is dirty, commits are\n"
        "not pushed or its pull request may be open. Submodules and clones inside the worktree count as well, and so\n"
        "do files that git ignores, except those that can be made again: files listed in DISPOSABLE_FILES, and caches\n"
        "marked as such (CACHEDIR.TAG, Python's virtual environments); prune has the same rule.\n"
        "Its branch and its history stay. On a terminal it asks first, without --yes and --force. --force moves\n"
        "unsaved work to rescue branches of the clone, one for the worktree and one for each repository in it;\n"
        "it deletes ignored files, which often hold secrets, and names them.",
        _arguments,
        _destroy,
        json="""\
session    the session's key
seq        the event that records it
worktree   the folder that was removed, or null if there was none
branch     the name of its branch, or null
rescue     the branch that keeps unsaved work, or null
kept[]     what stays, as text: its branch if it exists, further rescue branches
ignored[]  files that --force deleted and no branch holds: ignored, or hidden from git's index

With several REFs: destroyed[], each as above, and refused[], each with session, code, message and hint.""",
        examples="kugetsu destroy owner/project#14\nkugetsu destroy --yes owner/project#14 owner/project#15\n"
        "kugetsu destroy --base github.com/owner/project",
        exits=(4, 5),
    ),
}
