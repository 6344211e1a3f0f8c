"""`kugetsu open`: the page of an issue's work, in a browser where there is one, or the path of its worktree."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.domain.state import State
from kugetsu.model.errors import BadInput, KugetsuError, NotFound
from kugetsu.runtime import host_id, pages
from kugetsu.runtime.query import subjects
from kugetsu.runtime.workspace import Workspace


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("ref", metavar="REF", completes=("issue", "task"), help="the issue, or a task of it")
    parser.add_argument("--path", action="store_true", help="print the path of its worktree, and nothing else")
    parser.add_argument("--url", action="store_true", help="only print the URL")
    parser.add_argument("--browser", action="store_true", help="open a browser, also from a script or over SSH")


def _open(call: Call) -> int:
    args = call.args
    if args.path + args.url + args.browser > 1:
        raise BadInput("kugetsu open: --path, --url and --browser exclude each other", "give one of them")
    state = call.ready()
    issue = subjects.issue_of(call.workspace, state, args.ref)
    if args.path:
        path = _worktree(call.workspace, state, issue)
        call.show({"issue": issue, "kind": "worktree", "url": None, "path": path, "opened": False}, [path], value=True)
        return 0
    page = pages.page_of(call.workspace, state, issue)
    if page is None:
        text = f"{issue} has no web page: its repository is a folder on this machine"
        raise NotFound(text, f"kugetsu open --path {issue}")
    opened = False
    if args.browser:
        pages.show(page.url)
        opened = True
    elif sys.stdout.isatty() and not args.url and not call.json and pages.has_display(call.environment):
        with suppress(KugetsuError):  # without a browser the URL is printed all the same
            pages.show(page.url)
            opened = True
    data = {"issue": issue, "kind": page.kind, "url": page.url, "path": None, "opened": opened}
    call.show(data, [page.url], value=True)
    return 0


def _worktree(ws: Workspace, state: State, issue: str) -> str:
    session = state.sessions.get(issue)
    if session is not None:
        host_id.require_here(ws, session, f"kugetsu open --path {issue}")
    path = session.worktree if session is not None else None
    if path is None:
        raise NotFound(f"{issue} has no worktree", "kugetsu list shows the sessions")
    if not os.path.isdir(path):
        text = f"the worktree of {issue} is gone: {path}"
        raise NotFound(text, f"its branch is still shown by: kugetsu changes {issue}")
    return path


COMMANDS = {
    "open": Command(
        "REF [--path|--url|--browser] [--json]",
        "Prints the URL of the pull request, else of the pushed branch, else of the issue. On a terminal with a\n"
        "display of its own it is opened in your browser too (BROWSER, else the system's); over SSH, on a pipe and\n"
        "with --url it is only printed. Nothing but http and https is ever opened.",
        _arguments,
        _open,
        json="""\
issue    host/owner/repo#N
kind     pull_request, branch, issue or worktree
url      the page, or null with --path
path     the worktree's folder with --path, else null
opened   whether a browser was started""",
        examples='kugetsu open owner/project#14\ncd "$(kugetsu open --path owner/project#14)"',
        exits=(4,),
    )
}
