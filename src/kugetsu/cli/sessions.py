"""`kugetsu list` and `kugetsu set-pr`."""

from __future__ import annotations

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.runtime import liveness
from kugetsu.runtime.query import points
from kugetsu.runtime.query.subjects import issue
from kugetsu.views import point, sessions


def _list_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("--all", action="store_true", help="include base and PM sessions")
    parser.at()
    parser.source()


def _list(call: Call) -> int:
    if call.args.at is not None or call.foreign is not None:
        return _listed_then(call)

    state = call.ready()
    paths = call.workspace.paths
    found = sessions.listed(state, lambda attempt: liveness.of(paths, attempt), call.args.all)
    lines = sessions.lines(found, call.screen, call.screen.now)
    call.show({"sessions": found, "as_of": None}, lines or ["no sessions yet"])
    if not found and not call.json:
        call.note("next: kugetsu start REF MESSAGE, or: kugetsu queue enqueue REF MESSAGE")
    return 0


def _listed_then(call: Call) -> int:
    """The sessions at a past point, or of an exported log: which agents were alive is unknown."""

    state, now, as_of = points.then(call.workspace, call.args.at, call.screen.now)
    found = sessions.listed(state, lambda _: None, call.args.all)
    lines = sessions.lines(found, call.screen, now) or ["no sessions at that point"]
    call.show({"sessions": found, "as_of": as_of}, [*point.heading(as_of, call.screen), *lines])
    return 0


def _set_pr_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("ref", metavar="REF", completes="issue", help="the issue whose session it belongs to")
    parser.add_argument("url", metavar="URL", help="the pull request: https://host/owner/repo/pulls/15")
    parser.add_argument("--force", action="store_true", help="even if it belongs to another repository")


def _set_pr(call: Call) -> int:
    call.ready()
    key = str(issue(call.workspace, call.args.ref))
    from kugetsu.runtime import pull_requests  # `list` stays light

    url, seq, seen = pull_requests.tie(call.workspace, key, call.args.url, force=call.args.force)
    known = seen.state if seen.pull is not None else None
    stands = f", which is {known}" if known else ""
    said = f"{key} is already tied to {url}{stands}" if seq is None else f"tied to {key}: {url}{stands}"
    data = {"session": key, "pr": url, "number": seen.pull.number if seen.pull is not None else None}
    call.show({**data, "state": known, "checked": known is not None, "why_not": seen.why, "seq": seq}, [said])
    if known is None and not call.json:
        call.note(f"not checked whether it exists: {seen.why}")
    return 0


COMMANDS = {
    "list": Command(
        "[--all] [--at WHEN] [--from FILE] [--json]",
        "",
        _list_arguments,
        _list,
        json="""\
sessions[].session        host/owner/repo#N, base:host/owner/repo or pm
sessions[].kind           issue, base or pm
sessions[].state          requested, preparing, idle, working, broken or destroyed
sessions[].agent          opencode or command, or null
sessions[].agent_session  the agent's own id, or null
sessions[].attempt        the attempt working in it, or null
sessions[].agent_alive    whether that attempt is alive; null if there is none, and with --at and --from
sessions[].worktree       its folder, or null
sessions[].branch         its branch, or null
sessions[].base_branch    the branch that it was made from, or null
sessions[].base_commit    the commit that it was made from, or null
sessions[].pr             the URL of its pull request, or null
sessions[].pr_state       open, closed or merged after the last attempt, or null
sessions[].reason         why it is in that state, or null
sessions[].created_at     UTC
sessions[].changed_at     UTC
sessions[].attempts       number of attempts; this and the next three count over its whole life
sessions[].parks          how often its tasks were parked
sessions[].tokens         tokens used by the agents
sessions[].cost           cost, as reported by the agent
sessions[].commits        commits on its branch after the last attempt
sessions[].dirty          uncommitted files, new ones included, after the last attempt
sessions[].pushed         whether its commits were pushed then, or null
sessions[].event          the event of its latest change
as_of.seq                 with --at or --from: the last event included; else as_of is null
as_of.at                  the time of that point (UTC)""",
        examples="kugetsu list\nkugetsu list --all  # include base and PM sessions\nkugetsu list --at 2h ago",
        exits=(4,),
    ),
    "set-pr": Command(
        "REF URL [--force] [--json]",
        "kugetsu finds the pull request of a session's branch by itself after each run; this is for any other. While\n"
        "it is open, destroy and prune keep the session; the next run's prompt describes its state.",
        _set_pr_arguments,
        _set_pr,
        json="""\
session   the session's key
pr        the URL that the session is tied to
number    its number according to the forge, or null
state     open, closed or merged, or null
checked   whether the forge confirmed that it exists
why_not   why the forge could not confirm it, or null
seq       the event that records it, or null if it was already tied""",
        examples="kugetsu set-pr owner/project#14 https://github.com/owner/project/pull/15",
        exits=(4, 5),
    ),
}
