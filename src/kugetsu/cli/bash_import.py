"""`kugetsu import`: take over a state directory of the bash tool."""

from __future__ import annotations

import os
import shlex
from typing import Any

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.model.errors import BadInput
from kugetsu.model.plural import counted
from kugetsu.runtime.bash_import.execute import take_over
from kugetsu.runtime.bash_import.make_plan import plan as make
from kugetsu.runtime.bash_import.model import LEFT, Item, Plan
from kugetsu.runtime.workspace import open_leniently
from kugetsu.views.text import line

#: Unread notifications that the screen shows; `--json` has them all.
_UNREAD_SHOWN = 5
#: From this many records that are kept for one reason on, they are counted and not listed.
_COUNTED_FROM = 3
#: The file of settings, as an item's source.
CONFIG = "config"


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("directory", metavar="DIR", completes="folder", help="the bash tool's KUGETSU_DIR")
    parser.add_argument("-y", "--yes", action="store_true", help="import; without it only the plan is shown")
    parser.add_argument("--dry-run", action="store_true", help="only show the plan (the default)")


def _import(call: Call) -> int:
    if call.args.yes and call.args.dry_run:
        raise BadInput("kugetsu import: --yes and --dry-run exclude each other", "kugetsu import --help")
    directory = call.args.directory
    if "\0" in directory or not directory:
        raise BadInput("kugetsu import: DIR is not a path", "kugetsu import ~/.kugetsu")
    if call.args.yes:
        plan = take_over(call.workspace, directory)
    else:
        # Nothing is done: what cannot be understood of settings that are in force here is a part of the plan.
        ws, problems = open_leniently(call.environment, call.command)
        try:
            plan = make(ws, directory)
        finally:
            ws.close()
        plan.items += [
            Item(CONFIG, "setting", LEFT, reason=f"{problem}: correct it, or put a # before it") for problem in problems
        ]
    command, said = _next(plan, os.path.abspath(os.path.expanduser(directory)))
    call.show(_data(plan, command), [] if call.json else _lines(plan))
    if not call.json:
        call.note(said.format(command))
    return 0 if plan.complete else 1


def _next(plan: Plan, path: str) -> tuple[str | None, str]:
    """The next command, and its explanation."""
    if any(item.source == CONFIG and item.outcome == LEFT for item in plan.items):
        return None, "repair the settings that are named above, then import again"
    if plan.of("taken", "kept", "unclear") and not plan.done:
        return f"kugetsu import --yes {line(shlex.quote(path))}", "to import: {}"
    if plan.done and any(item.kind == "task" for item in plan.of("taken")):
        return "kugetsu queue list", "next: {}, then: kugetsu queue-daemon start"
    return ("kugetsu status", "next: {}") if plan.complete else (None, "repair what is named above, then import again")


# --- JSON -------------------------------------------------------------------------------------------------------


def _data(plan: Plan, command: str | None) -> dict[str, Any]:
    outcomes = ("taken", "kept", "unclear", "left", "known")
    return {
        "directory": plan.directory,
        "into": plan.target,
        "in_place": plan.in_place,
        "done": plan.done,
        "initialises": plan.initialises,
        "complete": plan.complete,
        "counts": {outcome: len(plan.of(outcome)) for outcome in outcomes},
        "items": [_item(item) for item in plan.items],
        "warnings": plan.warnings,
        "untouched": [{"path": path, "what": what} for path, what in plan.untouched],
        "unread": plan.unread,
        "next": command,
    }


def _item(item: Item) -> dict[str, Any]:
    return {
        "source": item.source,
        "kind": item.kind,
        "outcome": item.outcome,
        "becomes": item.becomes,
        "reason": item.reason,
        "notes": item.notes,
        "seq": item.seq,
    }


# --- lines ------------------------------------------------------------------------------------------------------


def _lines(plan: Plan) -> list[str]:
    place = "in place" if plan.in_place else f"into {line(plan.target)}"
    what = "imported" if plan.done else "dry run, nothing is changed: import of"
    lines = [f"{what} {line(plan.directory)} {place}"]
    if plan.initialises:
        lines.append(
            "kugetsu was set up" if plan.done else "kugetsu is not set up there yet: import does it, as init would"
        )
    if not plan.of("taken", "kept", "unclear"):
        known = len(plan.of("known"))
        lines.append(f"nothing new: {counted(known, 'record')} already imported" if known else "nothing to import")
    lines += _taken(plan) + _kept(plan) + _unclear(plan)
    if plan.warnings:
        lines += ["warnings", *(f"  {line(text)}" for text in plan.warnings)]
    if plan.untouched:
        lines += ["not inspected, left in place"]
        lines += [f"  {line(path)}  {line(text)}" for path, text in plan.untouched]
    return lines + _unread(plan)


def _taken(plan: Plan) -> list[str]:
    items = plan.of("taken")
    lines = ["became" if plan.done else "becomes"] if items else []
    for item in items:
        lines.append(f"  {line(item.source)}  →  {line(item.becomes or '')}")
        lines += [f"      note: {line(note)}" for note in item.notes]
    return lines


def _kept(plan: Plan) -> list[str]:
    groups: dict[tuple[str, str], list[Item]] = {}
    for item in plan.of("kept"):
        groups.setdefault((item.kind, item.reason or ""), []).append(item)
    lines = ["kept only as records in the log"] if groups else []
    for (kind, reason), items in groups.items():
        if len(items) >= _COUNTED_FROM:
            lines.append(f"  {counted(len(items), kind)}: {line(reason)}")
        else:
            lines += [f"  {line(item.source)}: {line(reason)}" for item in items]
    return lines


def _unclear(plan: Plan) -> list[str]:
    lines: list[str] = []
    unclear, left = plan.of("unclear"), plan.of("left")
    if unclear:
        lines.append("not understood: kept only as records in the log")
        lines += [f"  {line(item.source)}: {line(item.reason or '')}" for item in unclear]
    if left:
        lines.append("skipped: unreadable, or not importable now")
        lines += [f"  {line(item.source)}: {line(item.reason or '')}" for item in left]
    return lines


def _unread(plan: Plan) -> list[str]:
    if not plan.unread:
        return []
    lines = [f"unread notifications: {len(plan.unread)}"]
    for entry in plan.unread[-_UNREAD_SHOWN:]:
        lines.append("  " + "  ".join(line(entry[name]) for name in ("type", "issue_ref", "message") if entry[name]))
    if len(plan.unread) > _UNREAD_SHOWN:
        lines.append(f"  (the latest {_UNREAD_SHOWN}; --json has all)")
    return lines


COMMANDS = {
    "import": Command(
        "DIR [--yes] [--dry-run] [--json]",
        "DIR may be KUGETSU_DIR itself: then it is imported in place. Its files are only read: none is changed,\n"
        "moved, deleted or executed. Without --yes the plan is shown: what each file becomes, what is kept as a\n"
        "record, what is not understood, each with its file and reason. A second import imports what is new, and\n"
        "nothing twice. Exit code 1 means that something was not understood or was skipped.",
        _arguments,
        _import,
        json="""\
directory  the old directory
into  KUGETSU_DIR
in_place  whether both are the same
done  whether it was imported (--yes), or only planned
initialises  whether the import sets up KUGETSU_DIR
complete  whether everything was understood and could be imported
counts  the number of items by outcome
items[].source  the file in the old directory
items[].kind  what it was there: session, task, notification …
items[].outcome  taken, kept (as a record), unclear (a record too), left (skipped for now) or known (imported before)
items[].becomes  what it becomes, or null
items[].reason  why it becomes nothing, or null
items[].notes[]  what to check
items[].seq  the event that holds the record, or null
warnings[]  what else to check
untouched[].path  a file or folder that was not inspected
untouched[].what  what it is
unread[].type  the type of an unread notification
unread[].issue_ref  its issue
unread[].message  its text
next  the next command, or null""",
        examples="""\
kugetsu import ~/.kugetsu  # show the plan
kugetsu import ~/.kugetsu --yes  # import""",
        exits=(4,),
    )
}
