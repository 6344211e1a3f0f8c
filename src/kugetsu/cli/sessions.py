"""`kugetsu list` and `kugetsu destroy`."""

from __future__ import annotations

from kugetsu.cli.declarations import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.cli.call import Call
    from kugetsu.cli.parser import Parser


def _list_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("--all", action="store_true", help="base and PM sessions too")


def _list(call: Call) -> int:
    from kugetsu.runtime import liveness
    from kugetsu.views import sessions

    state = call.ready()
    paths = call.workspace.paths
    found = sessions.listed(state, lambda attempt: liveness.of(paths, attempt), call.args.all)
    lines = sessions.lines(found, call.screen, call.screen.now)
    call.show({"sessions": found}, lines or ["there are no sessions yet"])
    if not found and not call.json:
        call.say("next: kugetsu start REF MESSAGE, or: kugetsu queue enqueue REF MESSAGE")
    return 0


def _destroy_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("ref", nargs="?", metavar="REF", completes="issue", help="the issue whose session ends")
    parser.add_argument(
        "--base", metavar="REPOSITORY", completes="base", help="end the base session of host/owner/repo instead"
    )
    parser.add_argument("--pm-agent", action="store_true", help="end the PM session instead")
    parser.add_argument("--force", action="store_true", help="also with unsaved work: it goes to a rescue branch first")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _destroy(call: Call) -> int:
    from kugetsu.domain.decide.sessions import find_session
    from kugetsu.runtime import destruction
    from kugetsu.views.wording import words

    key = _key(call)
    state = call.ready()
    find_session(state, key)
    if not call.args.yes and not call.args.force and _asks():
        from kugetsu.cli.asking import confirmed

        if not confirmed(f"end the session {key}?", ""):
            call.say("nothing was changed")
            return 1
    event = destruction.destroy(call.workspace, key, force=call.args.force)
    data = event["data"]
    call.show({"session": key, "seq": event["seq"], **data}, [f"destroyed {key}: {words(event)}"])
    if data["rescue"] and not call.json:
        call.say(f"its work is on the branch {data['rescue']}")
    return 0


def _asks() -> bool:
    """A terminal is asked; a script has said what it wants, and unsaved work is refused anyway."""
    import sys

    return sys.stdin.isatty() and sys.stderr.isatty()


def _key(call: Call) -> str:
    from kugetsu.errors import BadInput

    args = call.args
    if sum((args.ref is not None, args.base is not None, args.pm_agent)) != 1:
        raise BadInput("kugetsu destroy: which session?", "one of: REF, --base host/owner/repo, --pm-agent")
    if args.pm_agent:
        return "pm"
    if args.base is not None:
        from kugetsu.refs import parse_repository

        host, owner, repo = parse_repository(args.base.removeprefix("base:"))
        return f"base:{host}/{owner}/{repo}"
    from kugetsu.cli.subjects import issue

    return str(issue(call.workspace, args.ref))


COMMANDS = {
    "list": Command(
        "[--all] [--json]",
        "",
        _list_arguments,
        _list,
        json="""\
sessions[].session        host/owner/repo#N, base:host/owner/repo or pm
sessions[].kind           issue, base or pm
sessions[].state          requested, preparing, idle, working, broken or destroyed
sessions[].agent          opencode or command, or null
sessions[].agent_session  the agent's own id, or null
sessions[].attempt        the attempt that works in it, or null
sessions[].agent_alive    whether that attempt lives; null while there is none
sessions[].worktree       its folder, or null
sessions[].branch         its branch, or null
sessions[].base_branch    the branch that it was made from, or null
sessions[].base_commit    the commit that it was made from, or null
sessions[].pr             the URL of its pull request, or null
sessions[].pr_state       open, closed or merged after the last attempt, or null
sessions[].reason         why it is in that state, or null
sessions[].created_at     UTC
sessions[].changed_at     UTC
sessions[].attempts       how many were made in it; this and the next three over its whole life
sessions[].parks          how often its tasks were parked
sessions[].tokens         what the agents took
sessions[].cost           what they cost, as the agent says
sessions[].commits        commits on its branch after the last attempt
sessions[].dirty          files not committed after the last attempt
sessions[].pushed         whether its commits were pushed then, or null
sessions[].event          the event of its latest change""",
        examples="kugetsu list\nkugetsu list --all  # base and PM sessions too",
    ),
    "destroy": Command(
        "REF|--base REPOSITORY|--pm-agent [--force] [--yes] [--json]",
        "Refused, with each reason, while an agent works in it, tasks wait for it, its worktree is dirty, commits are\n"
        "not pushed or its pull request may be open. Its branch and its history stay.",
        _destroy_arguments,
        _destroy,
        json="""\
session   the session's key
seq       the event that says so
worktree  the folder that was removed, or null
branch    its branch, which stays, or null
rescue    the branch that keeps unsaved work, or null
kept[]    what else was kept, in words""",
        examples="kugetsu destroy owner/project#14\nkugetsu destroy --base github.com/owner/project",
        exits=(4, 5),
    ),
}
