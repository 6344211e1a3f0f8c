"""`kugetsu review`: look at the work of an issue, and say that it was reviewed."""

from __future__ import annotations

from typing import Any

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.domain.decide import reviews as decide
from kugetsu.domain.decide.sessions import find_session
from kugetsu.domain.events import Event
from kugetsu.domain.state import Session, State
from kugetsu.model.errors import BadInput
from kugetsu.runtime.forges import one_line
from kugetsu.runtime.query import points
from kugetsu.runtime.query.subjects import issue
from kugetsu.runtime.reviews import survey
from kugetsu.runtime.reviews.survey import Sight
from kugetsu.views import point
from kugetsu.views import review as view


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("ref", nargs="?", metavar="REF", completes="issue", help="the issue; without it: list them")
    parser.add_argument("--done", action="store_true", help="record that you have reviewed the work as it is")
    parser.at()
    parser.source()


def _review(call: Call) -> int:
    past = call.args.at is not None or call.foreign is not None
    if call.args.done and (past or call.args.ref is None):
        raise BadInput("kugetsu review --done needs one issue, as it is now", "kugetsu review REF --done")
    if call.args.ref is None:
        return _list(call)
    key = str(issue(call.workspace, call.args.ref))
    if call.args.done:
        return _done(call, key)
    state, now, as_of = points.then(call.workspace, call.args.at, call.screen.now)
    session = find_session(state, key)
    if past:
        return _show(call, state, session, None, [], now=now, as_of=as_of)
    sight = survey.Survey.of(call.workspace).look(session)
    events = survey.record(call.workspace, session, sight)
    state = call.state()
    return _show(call, state, find_session(state, key), sight, events, now=now)


def _list(call: Call) -> int:
    state, now, as_of = points.then(call.workspace, call.args.at, call.screen.now)
    reviews = view.open_reviews(state)
    lines = view.table_of(reviews, call.screen, now) if reviews else ["nothing to review"]
    call.show({"sessions": reviews, "as_of": as_of}, [*point.heading(as_of, call.screen), *lines])
    if reviews and not call.json:
        call.note(f"{view.summary(reviews)}        each: kugetsu review REF")
    return 0


def _done(call: Call, key: str) -> int:
    call.ready()
    events = call.workspace.log.transact(lambda state: decide.done(state, key))
    session = find_session(call.state(), key)
    seq = events[0]["seq"] if events else None
    told = f"{key} is reviewed" if events else f"{key} was already reviewed as it is"
    call.show({**view.recorded(session, call.state()), "seq": seq}, [told])
    call.note_undo(events)
    return 0


def _show(
    call: Call,
    state: State,
    session: Session,
    sight: Sight | None,
    events: list[Event],
    *,
    now: str,
    as_of: Any = None,
) -> int:
    data = {
        **view.recorded(session, state),
        **_seen(sight),
        "events": [event["seq"] for event in events],
        "as_of": as_of,
    }
    call.show(data, [*point.heading(as_of, call.screen), *view.lines(data, call.screen, now)])
    if not call.json:
        call.note(*view.next_steps(data))
    return 0


def _seen(sight: Sight | None) -> dict[str, Any]:
    """What was seen just now; nulls for a past point."""
    if sight is None or sight.pull is None:
        checks = reviews = None
    else:
        checks = [{"name": one.name, "state": one.state, "url": one.url} for one in sight.checks]
        reviews = [
            {"author": one.author, "state": one.state, "body": one.body, "submitted_at": one.submitted_at or None}
            for one in sight.reviews
        ]
    merged = sight.merged if sight is not None else None
    problem = sight.problem if sight is not None else None
    return {
        "looked": sight is not None,
        "checks": checks,
        "reviews": reviews,
        "merged": {"branch": merged.branch, "base_branch": merged.base_branch} if merged is not None else None,
        "problem": one_line(problem) if problem is not None else None,
    }


ABOUT = """\
Looks at the issue's pull request now (state, checks, reviews, whether it can be merged), or without one in git whether
the base branch has the branch, records what changed, and shows it with the command that comes next. The daemon looks
every OBSERVE_INTERVAL_MINUTES. --done ends the review of work as it is now, with or without a forge; new commits or
another run open it again. Without REF: every open review, as recorded. --at and --from show what was recorded."""

COMMANDS = {
    "review": Command(
        "[REF [--done]] [--at WHEN] [--from FILE] [--json]",
        ABOUT,
        _arguments,
        _review,
        json="""\
sessions[].session       an open review: the issue, host/owner/repo#N
sessions[].title         the issue's title, else that of its task, or null
sessions[].review        to_review, changes_requested, checks_failed, conflicting or approved
sessions[].since         since when (UTC)
sessions[].reviewed      the commit that a user has reviewed (--done), or null
sessions[].host          the name of the host that has its work, in a log that hosts share; or null
sessions[].branch        its branch, or null
sessions[].base_branch   the branch that it was made from, or null
sessions[].pull          as last observed (number, url, state, head, checks, review, mergeable, draft, at), or null
sessions[].result        what came of the latest run, or null
sessions[].next          the command that comes next
as_of.seq               with --at or --from: the last event included; else as_of is null
as_of.at                the time of that point (UTC)

With REF: the keys of sessions[] (review may be none, merged or closed too); looked, whether the forge or git was asked
now; checks[], each with name, state (success, failure, pending or other) and url; reviews[], each with author, state,
body and submitted_at; merged, branch and base_branch if that has the work; problem, why something could not be seen;
events[], those that record what changed; and as_of. What is unknown is null. With --done: the keys of sessions[], and
seq, the event that records it, or null.""",
        examples="kugetsu review  # what is to review\nkugetsu review owner/project#14\n"
        "kugetsu review owner/project#14 --done",
        exits=(4, 5),
    )
}
