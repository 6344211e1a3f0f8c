"""`kugetsu init`."""

from __future__ import annotations

import os

from kugetsu.cli import progress
from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.host.paths import Paths
from kugetsu.model.errors import BadInput
from kugetsu.model.plural import counted
from kugetsu.runtime import liveness
from kugetsu.runtime.initialisation import InitReport, initialise
from kugetsu.views.text import line


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument(
        "--repo", metavar="PATH|URL", completes="folder", help="register a clone, or the URL of a repository"
    )
    parser.add_argument("--force", action="store_true", help="make new base and PM sessions, and retire the old ones")
    parser.add_argument(
        "--join", metavar="URL", help="join the shared log in this database; - reads the URL from stdin"
    )


def _init(call: Call) -> int:
    _require_a_folder(Paths.of(call.environment))
    ws = call.workspace
    if call.args.join is not None:
        return _join(call)
    with progress.shown(call.environment, "init: making the base and PM sessions"):
        report = initialise(ws, repo=call.args.repo, force=call.args.force)
    data = {
        "directory": ws.paths.root,
        "created": report.created,
        "registered": report.repository,
        "source": report.source,
        "sessions": [{"session": key, "agent_session": made} for key, made in report.sessions],
        "retired": report.retired,
        "notes": report.notes,
    }
    call.show(data, _lines(ws.paths.root, report))
    if not call.json:
        call.note(*(f"note: {line(note)}" for note in report.notes), *(line(text) for text in ws.config.warnings()))
        warn_of_old_state(call)
        runs = liveness.daemon(ws.paths, call.state())
        call.note(f"next: {'' if runs else 'kugetsu queue-daemon start, then: '}kugetsu queue enqueue REF MESSAGE")
    return 0


def _join(call: Call) -> int:
    if call.args.repo is not None or call.args.force:
        raise BadInput("--join sets up this host alone: --repo and --force are for the log that it joins")
    from kugetsu.runtime.log_sharing import join

    report, head = join(call.workspace, call.args.join)
    root = call.workspace.paths.root
    data = {
        "directory": root,
        "created": report.created,
        "registered": None,
        "source": None,
        "sessions": [],
        "retired": [],
        "notes": report.notes,
    }
    call.show(data, [f"{line(root)} has joined the shared log: {counted(head.seq, 'event')}"])
    if not call.json:
        call.note(*(f"note: {line(note)}" for note in report.notes))
        call.note("next: kugetsu doctor, then: kugetsu queue-daemon start")
    return 0


def warn_of_old_state(call: Call) -> None:
    """Say what takes over the sessions and tasks that the bash tool left in this folder, while there are none here."""
    paths, state = call.workspace.paths, call.state()
    if paths.hold_old_state() and not state.tasks_made and all(one.kind != "issue" for one in state.sessions.values()):
        call.note(f"to import what the bash tool left here: {paths.how_to_set_up()}")


def _require_a_folder(paths: Paths) -> None:
    """Name a file that is in the folder's place for what it is, before its settings are looked for."""
    if os.path.lexists(paths.root) and not os.path.isdir(paths.root):
        paths.make(paths.root)


def _lines(root: str, report: InitReport) -> list[str]:
    lines = [f"made      {line(path)}" for path in report.created]
    if report.registered is not None and report.source is not None:
        place = report.source.get("path") or report.source.get("url") or ""
        lines.append(f"register  {report.registered} from {line(place)}")
    lines += [f"session   {key}  {line(made)}" for key, made in report.sessions]
    lines += [f"retired   {line(text)}" for text in report.retired]
    return (
        [f"kugetsu is set up in {line(root)}", *lines]
        if lines
        else [f"kugetsu is already set up in {line(root)}: nothing was changed"]
    )


COMMANDS = {
    "init": Command(
        "[--repo PATH|URL] [--force] [--join URL] [--json]",
        "A second run changes nothing. Settings are in the file `config` of that folder (KUGETSU_DIR, ~/.kugetsu).\n"
        "The instructions for agents come with kugetsu; your own workflow.md or pm-agent.md in that folder replaces\n"
        "them (kugetsu help skill list).",
        _arguments,
        _init,
        json="""\
directory                 KUGETSU_DIR
created[]                 files and folders that were created
registered                host/owner/repo of --repo, or null
source                    where its clone is, or null
sessions[].session        a session that was created: base:host/owner/repo or pm
sessions[].agent_session  the agent's own id for it
retired[]                 sessions that --force retired
notes[]                   remarks""",
        examples="kugetsu init --repo ~/src/project\n"
        "kugetsu init --join postgresql://kugetsu_box2@db/kugetsu  # one more host of a shared log",
    )
}
