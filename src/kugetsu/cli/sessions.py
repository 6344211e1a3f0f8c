"""`kugetsu list` and `kugetsu set-pr`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.domain.standing import STANDINGS
from kugetsu.domain.state import Attempt
from kugetsu.model.errors import BadInput
from kugetsu.model.plural import counted
from kugetsu.runtime import liveness
from kugetsu.runtime.query import points, subjects
from kugetsu.runtime.query.subjects import issue
from kugetsu.views import point, sessions
from kugetsu.views.results import standing_words


def _list_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("--all", action="store_true", help="include base and PM sessions")
    parser.add_argument("--state", metavar="STATE", completes="standing", help="only issues that stand there")
    parser.add_argument("--repo", metavar="REPO", completes="repository", help="only issues of this repository")
    parser.add_argument("--since", metavar="WHEN", completes="when", help="only what changed after this point")
    parser.at()
    parser.source()


def _list(call: Call) -> int:
    args = call.args
    wanted = _standing(args.state)
    repository = subjects.repository(call.workspace, args.repo) if args.repo is not None else None
    then = args.at is not None or call.foreign is not None
    alive: Callable[[Attempt], bool | None] = lambda _: None  # noqa: E731  of the past nobody can tell
    now, as_of = call.screen.now, None
    if then:
        state, now, as_of = points.then(call.workspace, args.at, now)
    else:
        state = call.ready()
        alive = partial(liveness.of, call.workspace.paths)
    everything = sessions.listed(state, alive, args.all)
    found = [one for one in everything if wanted in (None, one["standing"]) and _of(one["session"], repository)]
    if args.since is not None:
        seq, at = points.moment(call.workspace.log, args.since, now, "--since")
        found = [one for one in found if (one["last_at"] > at if at is not None else one["event"] > (seq or 0))]
    heading = point.heading(as_of, call.screen) if as_of is not None else []
    call.show({"sessions": found, "as_of": as_of}, [*heading, *sessions.lines(found, call.screen, now)])
    if not found and not call.json:
        _say_that_none(call, len(everything), then=then)
    return 0


def _standing(given: str | None) -> str | None:
    """The standing that is asked for, as it is typed or as screens name it."""
    if given is None:
        return None
    name = next((one for one in STANDINGS if given in (one, standing_words(one), one.replace("_", "-"))), None)
    if name is None:
        raise BadInput(f"not a state of issues: {given[:40]!r}", f"one of: {', '.join(STANDINGS)}")
    return name


def _of(session: str, repository: str | None) -> bool:
    name = session.removeprefix("base:").partition("#")[0].partition("@")[0]  # `decide.sessions.base_key`
    return repository is None or name == repository


def _say_that_none(call: Call, others: int, *, then: bool) -> None:
    if others:
        call.print_lines([f"none of {counted(others, 'session')}"])
        call.note("all of them: kugetsu list")
    else:
        call.print_lines(["no sessions at that point" if then else "no sessions yet"])
        if not then:
            call.note("next: kugetsu start REF MESSAGE, or: kugetsu queue enqueue REF MESSAGE")


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
    call.note_undo_of(seq)
    return 0


COMMANDS = {
    "list": Command(
        "[--all] [--state STATE] [--repo REPO] [--since WHEN] [--at WHEN] [--from FILE] [--json]",
        "A session per issue, the latest change last: where the issue stands, what came of its latest run, the state\n"
        "of its review, and what it cost. From 120 columns on the table has agent, branch, pull request and worktree.\n"
        f"STATE is one of {', '.join(STANDINGS[:8])},\n"
        f"{', '.join(STANDINGS[8:])}.\n"
        "REPO is host/owner/repo, owner/repo on the default server, or . inside a clone.",
        _list_arguments,
        _list,
        json="""\
sessions[].session        host/owner/repo#N, base:host/owner/repo or pm
sessions[].kind           issue, base or pm
sessions[].standing       where its issue stands: one of the words that --state takes
sessions[].title          the issue's title, else the first line of its latest message, or null
sessions[].result         what came of its latest run (as result of kugetsu report --json), or null
sessions[].begun          whether an agent began on its latest task
sessions[].review         none, to_review, changes_requested, checks_failed, conflicting, approved, merged or closed
sessions[].state          requested, preparing, idle, working, broken or destroyed
sessions[].agent          opencode or command, or null
sessions[].agent_session  the agent's own id, or null
sessions[].attempt        the attempt working in it, or null
sessions[].attached       the name of the user who works in it (kugetsu attach), or null
sessions[].agent_alive    whether that attempt is alive; null if there is none, and with --at and --from
sessions[].host           the name of the host that has it, in a log that hosts share; or null
sessions[].worktree       its folder, or null
sessions[].branch         its branch, or null
sessions[].base_branch    the branch that it was made from, or null
sessions[].base_commit    the commit that it was made from, or null
sessions[].pr             the URL of its pull request, or null
sessions[].pr_state       open, closed or merged after the last attempt, or null
sessions[].reason         why it is in that state, or null
sessions[].created_at     UTC
sessions[].changed_at     UTC
sessions[].last_at        the latest change of the session, its tasks or its review (UTC)
sessions[].attempts       number of attempts; this and the next three count over its whole life
sessions[].parks          how often its tasks were parked
sessions[].tokens         tokens used by the agents
sessions[].cost           cost, as reported by the agent
sessions[].commits        commits on its branch after the last attempt
sessions[].dirty          uncommitted files, new ones included, after the last attempt
sessions[].pushed         whether its commits were pushed then, or null
sessions[].event          the event of the latest change of the session or its tasks
as_of.seq                 with --at or --from: the last event included; else as_of is null
as_of.at                  the time of that point (UTC)""",
        examples="kugetsu list\nkugetsu list --state failed\nkugetsu list --repo owner/project --since 12h ago\n"
        "kugetsu list --all  # include base and PM sessions\nkugetsu list --at 2h ago",
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
