"""`kugetsu changes`: what an issue's branch changes against its base."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kugetsu.cli import paging
from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.model.errors import BadInput, NotFound
from kugetsu.model.plural import counted
from kugetsu.runtime.git import comparison, showing
from kugetsu.runtime.git.comparison import ChangedFile
from kugetsu.runtime.git.showing import Manner
from kugetsu.runtime.query import points, subjects, work
from kugetsu.runtime.query.work import Work
from kugetsu.views import changes
from kugetsu.views.point import heading
from kugetsu.views.text import in_colours

FORMS = ("stat", "patch", "files")


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("ref", metavar="REF", completes=("issue", "task"), help="the issue, or a task of it")
    parser.add_argument("--stat", action="store_true", help="commits, and each file with its lines; without an option")
    parser.add_argument("--patch", action="store_true", help="the lines themselves, as git diff prints them")
    parser.add_argument("--files", action="store_true", help="one line a file: status, lines, path")
    parser.add_argument("--uncommitted", action="store_true", help="only what is not committed, new files included")
    parser.at()
    parser.source()


def _changes(call: Call) -> int:
    form = _form(call)
    state, now, as_of = points.then(call.workspace, call.args.at, call.screen.now)
    issue = subjects.issue_of(call.workspace, state, call.args.ref)
    if call.args.at is not None or call.foreign is not None:
        found = work.recorded(call.workspace, state, issue)
    else:
        found = work.present(call.workspace, state, issue)
    session = state.sessions.get(issue)
    verified = ((session.result or {}) if session is not None else {}).get("verification")
    if call.json:
        call.show(changes.data(issue, found, as_of, verified), [])
        return 0
    if found.where == "recorded":
        if form != "stat" or call.args.uncommitted:
            _refuse(call, issue, found)
        shown = changes.header(issue, found, call.screen, verified)
        call.print_lines([*heading(as_of, call.screen.at(now)), *shown])
        return 0
    _show(call, issue, found, form, verified)
    return 0


def _form(call: Call) -> str:
    chosen = [form for form in FORMS if getattr(call.args, form)]
    if len(chosen) > 1:
        named = " and ".join(f"--{form}" for form in chosen)
        raise BadInput(f"kugetsu changes: {named} exclude each other", "give one of them")
    return chosen[0] if chosen else "stat"


def _refuse(call: Call, issue: str, found: Work) -> None:
    """Files and lines are not in the log."""
    if call.foreign is not None:
        hint = "where the clone is: kugetsu changes --patch REF"
    elif call.args.at is not None:
        hint = f"as it is now: kugetsu changes --patch {issue}"
    else:
        hint = f"the numbers: kugetsu changes {issue}"
    raise NotFound(f"files and lines of {issue} are not known: {found.unknown[0]}", hint)


def _show(call: Call, issue: str, found: Work, form: str, verified: dict[str, Any] | None) -> None:
    folder, compared = found.folder, found.found
    assert folder is not None
    assert compared is not None
    manner = showing.PLAIN
    if sys.stdout.isatty():
        manner = showing.on_terminal(folder, call.environment, colour=call.screen.colour)
    only_loose, loose = call.args.uncommitted, found.uncommitted
    shown = _Shown(call, form, manner)
    if form != "patch":
        shown.say(changes.header(issue, found, call.screen, verified))
    if form == "stat" and not only_loose:
        shown.say(changes.commits(found, call.screen))
    if compared.files and not only_loose:
        base = compared.base.commit or comparison.empty_tree(folder)
        shown.add(compared.files, folder, [base, compared.head])
    if loose and (form != "patch" or only_loose):
        shown.say([call.screen.bold(changes.uncommitted(loose))] if form != "patch" else [])
        with comparison.index_with_new_files(folder) as env:
            shown.add(loose, folder, [comparison.head_or_nothing(folder)], env)
    if form == "patch" and not shown.lines:
        call.note(f"nothing to show: {', '.join(changes.numbers(found))}")
    shown.print()
    if form == "patch" and loose and not only_loose:
        left = f"{counted(len(loose), 'uncommitted file')} not included"
        call.note(f"{left}: kugetsu changes --patch --uncommitted {issue}")


class _Shown:
    """What is shown, part by part: through the user's pager on a terminal, plain and exact elsewhere."""

    def __init__(self, call: Call, form: str, manner: Manner) -> None:
        self.lines: list[str] = []
        self._call = call
        self._form = form
        self._manner = manner
        self._terminal = sys.stdout.isatty()

    def say(self, lines: Iterable[str]) -> None:
        """Add lines of kugetsu's own."""
        self.lines += self._call.fitting(lines, sys.stdout)

    def add(
        self, files: list[ChangedFile], folder: str, what: Sequence[str], env: Mapping[str, str] | None = None
    ) -> None:
        """Add the comparison of ``what``, whose files these are."""
        if self._form == "files":
            self.say(changes.files(files, self._call.screen))
            return
        width = self._call.screen.width
        form = "--patch" if self._form == "patch" else "--stat" if width is None else f"--stat={width}"
        lines = showing.diff(folder, what, [form], self._manner, env).split("\n")
        if self._form == "stat":
            lines.pop()  # the sum: the heading has it
        self.lines += map(in_colours, lines) if self._terminal else lines

    def print(self) -> None:
        """Print it all."""
        if not self.lines:
            return
        text = "\n".join([*self.lines, ""])
        pager = self._manner.pager
        if pager is not None and sys.stdin.isatty() and paging.paged(text, pager):
            return
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()


COMMANDS = {
    "changes": Command(
        "REF [--stat|--patch|--files] [--uncommitted] [--at WHEN] [--from FILE] [--json]",
        "Compares the branch with its base: the commit where it left the base branch, or the one that it was made\n"
        "from if that is later; of a merged branch, where it had left the base before the merge. Without its worktree\n"
        "the branch in the clone is shown.\n"
        "On a terminal it looks as your git diff does: pager (core.pager), colours, external diff and textconv come\n"
        "from your own configuration, never from the repository's. Elsewhere a patch is plain and exact, for git\n"
        "apply. A patch is shown as it is, secrets included. With --at and --from only the recorded numbers are\n"
        "known.",
        _arguments,
        _changes,
        json="""\
issue                  host/owner/repo#N
source                 worktree, branch (the worktree is gone) or recorded (only the log knows)
worktree               its folder, or null
clone                  the repository that it was made from, or null
branch                 the branch of the work, or null (detached HEAD)
base_branch            the branch that it was made from, or null
base                   the commit that it is compared with, or null for the empty tree
base_found             merge_base, recorded, before_merge or nothing: how the base was found
head                   its last commit, or null
verification.code      of the latest run's work; verification is null if there was none
verification.exit      the exit code of VERIFY_COMMAND, or null
verification.seconds   how long it took, or null
verification.commit    the commit that it speaks of
totals.commits         null where it is unknown, as all totals
totals.files           changed files
totals.added           lines
totals.removed         lines
totals.binary          how many of the files are binary
totals.uncommitted     files that are not committed, new ones included
commits[].commit       its id, the last one first; at most 1000
commits[].at           UTC
commits[].author       its author's name
commits[].subject      its first line
files[].path           its path
files[].status         added, copied, deleted, modified, renamed, type_changed or unmerged
files[].was            its earlier path, if renamed or copied, else null
files[].added          lines, or null if binary
files[].removed        lines, or null if binary
files[].binary         whether git counts no lines in it
uncommitted[].path     a file that is not committed; this and the others as in files[]
uncommitted[].status   as above
uncommitted[].was      as above
uncommitted[].added    as above
uncommitted[].removed  as above
uncommitted[].binary   as above
unknown[]              what is not known, as text
recorded.event         the event that the numbers come from; recorded is null if git was asked
recorded.at            its time (UTC)
recorded.attempt       the attempt that ended there, or null: a person left (kugetsu attach)
as_of.seq              with --at or --from: the last event included; else as_of is null
as_of.at               the time of that point (UTC)""",
        examples="kugetsu changes owner/project#14\n"
        "kugetsu changes --patch owner/project#14 | git apply  # take over the committed work\n"
        "kugetsu changes --patch --uncommitted owner/project#14",
        exits=(4,),
    )
}
