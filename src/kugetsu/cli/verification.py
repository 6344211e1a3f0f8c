"""`kugetsu verify`: run VERIFY_COMMAND on the committed work of an issue."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.domain import missing_pull
from kugetsu.domain.decide.sessions import find_session
from kugetsu.domain.events import Event
from kugetsu.model import clock, result_words
from kugetsu.model.errors import NotFound
from kugetsu.model.plural import counted
from kugetsu.runtime import host_id, pull_opening
from kugetsu.runtime.query import subjects, work
from kugetsu.runtime.query.work import Work
from kugetsu.runtime.verification import by_hand, clean_run, later
from kugetsu.runtime.verification.clean_run import Order
from kugetsu.runtime.workspace import Workspace
from kugetsu.views import missing_pull as told
from kugetsu.views import verification as view
from kugetsu.views.text import line


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument(
        "--base", action="store_true", help="verify the commit of the base branch that the work is from"
    )
    parser.add_argument("ref", metavar="REF", completes=("issue", "task"), help="the issue, or a task of it")


def _verify(call: Call) -> int:
    ws, state = call.workspace, call.ready()
    issue = subjects.issue_of(ws, state, call.args.ref)
    found = work.present(ws, state, issue)
    order = _order(call, issue, found)
    compared = found.found
    assert compared is not None
    loose = len(found.uncommitted)
    if call.args.base:
        return _base(call, issue, order, compared.base.commit, loose)
    if not call.json and loose:
        them = "it does" if loose == 1 else "they do"
        call.note(f"{counted(loose, 'uncommitted file')} in {line(found.folder or '')}: {them} not count")
    base, heading, live = compared.base.commit, _Heading(call, order, compared.base.commit), partial(_live, call)
    said, output = by_hand.of_work(ws, order, compared.head, base, heading, live)
    events = later.record(ws, issue, order, said, output, by_hand=True)
    return _show(call, issue, said, loose, _opened(ws, issue, events))


def _base(call: Call, issue: str, order: Order, commit: str | None, loose: int) -> int:
    """Verify the base commit again, which is remembered for the work of all."""
    if commit is None:
        raise NotFound(f"the base commit of {issue} is not known here", f"kugetsu changes {issue}")
    said = by_hand.of_base(call.workspace, order, commit, _Heading(call, order, commit), partial(_live, call))
    return _show(call, issue, said, loose, [])


def _show(call: Call, issue: str, said: dict[str, Any], loose: int, more: list[str]) -> int:
    remedy = result_words.verification_remedy(said["code"], issue)
    lines = view.told(said | {"tail": None, "output": None})
    lines += [f"remedy: {call.screen.command(remedy)}"] if remedy is not None else []
    call.show({"issue": issue, **_data(said), "uncommitted": loose}, [*lines, *more])
    return 0 if said["code"] == "passed" else 1


def _opened(ws: Workspace, issue: str, events: list[Event]) -> list[str]:
    """Open the pull request that the verification was missing for; what came of it."""
    if not events:
        return []
    session = ws.state().sessions.get(issue)
    recorded = f"recorded (event {events[0]['seq']})"
    if session is None or session.owed is None:
        return [recorded]
    opened = pull_opening.open_owed(ws, session)
    state = ws.state()
    session = state.sessions.get(issue)
    if opened and session is not None and session.pr is not None:
        return [recorded, f"pull request: {line(session.pr)}"]
    waits = missing_pull.reason(state, session, clock.now()) if session is not None else None
    return [recorded, told.words(*waits)] if waits is not None else [recorded]


class _Heading:
    """What is run on which commit, above the output of each run."""

    def __init__(self, call: Call, order: Order, base: str | None) -> None:
        self._call = call
        self._order = order
        self._base = base
        self._seen = ""

    def __call__(self, commit: str) -> None:
        if not self._call.json:
            which = "the base commit" if commit == self._base else "commit"
            again = "again " if commit == self._seen else ""
            self._call.note(f"{line(self._order.command)} {again}on {which} {commit[:12]}, in a clean checkout")
        self._seen = commit


def _live(call: Call, lines: list[bytes]) -> None:
    if not call.json:
        call.quote(one.decode("utf-8", "replace") for one in lines)
        sys.stdout.flush()


def _order(call: Call, issue: str, found: Work) -> Order:
    """What is run. Raises NotFound if nothing is, or there is no commit to run it on."""
    place = found.place
    host_id.require_here(call.workspace, find_session(call.state(), issue), f"kugetsu verify {issue}")
    if place.source is None or found.where == "recorded":
        raise NotFound(f"the work of {issue} is not on this machine: {found.unknown[0]}", f"kugetsu changes {issue}")
    order = clean_run.order_of(call.workspace.config_of(place.repository), place.repository, place.source)
    if order is None:
        remedy = f"kugetsu config set --repo {place.repository} VERIFY_COMMAND 'make test'"
        raise NotFound(f"{place.repository} has no VERIFY_COMMAND", remedy)
    return order


def _data(said: dict[str, Any]) -> dict[str, Any]:
    names = ("code", "command", "commit", "tree", "exit", "seconds", "why", "tail")
    return {name: said.get(name) for name in names}


COMMANDS = {
    "verify": Command(
        "[--base] REF [--json]",
        "Runs VERIFY_COMMAND on the last commit of the branch, in a clean checkout made ready as a worktree is\n"
        "(WORKTREE_SETUP, WORKTREE_COPY, submodules): what is not committed does not count. It gets no secret, unless\n"
        "VERIFY_SECRETS says so, and never a token of a forge. If it fails, the base commit is verified too,\n"
        "once, and a second time before a failure is believed; --base verifies it again. What it says is recorded if\n"
        "nothing was known of the commit, or it failed and passes now: then the pull request that waited is opened.\n"
        "Exits with 0 if it passed, else with 1: it failed, executed nothing, or could not be run.",
        _arguments,
        _verify,
        json="""\
issue        host/owner/repo#N
code         passed, failed, timed_out, nothing_ran, base_failed, set_up_failed, not_run; or as below
command      VERIFY_COMMAND
commit       the commit that it ran on
tree         the tree of that commit
exit         its exit code, negative for a signal, or null
seconds      how long it took, or null
why          more on the code: the base commit that fails, what could not be run, or null
tail         the end of its output, or null
uncommitted  files in the worktree that are not committed, which did not count

If the base commit does the same, code is not_found, not_executable, too_slow (VERIFY_MINUTES) or base_unready (its
set-up).""",
        examples="kugetsu verify owner/project#14",
        exits=(4,),
    )
}
