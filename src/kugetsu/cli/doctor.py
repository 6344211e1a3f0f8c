"""`kugetsu doctor`: what stands in the way, each with its remedy; and a bundle of everything, without secrets."""

from __future__ import annotations

from typing import Any

from kugetsu.cli import progress
from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.host.paths import Paths
from kugetsu.model.errors import BadInput
from kugetsu.runtime.doctor import acceptance, bundle, examination, trial
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.doctor.finding import Finding, as_data
from kugetsu.runtime.foreign import Foreign
from kugetsu.runtime.query import subjects
from kugetsu.views import doctor
from kugetsu.views.text import line

ABOUT = """\
Exits with 1 if there is a problem; warnings do not count. Nothing is changed without --fix, which creates missing
folders and files, removes other users' access, repairs the log's end, and settles dead attempts; it deletes nothing of
yours. --online also checks the servers. --repo tries instead, in a passing checkout of the base branch, all that
happens to a worktree beside the agent's work: files copied, submodules, git-lfs, WORKTREE_SETUP, VERIFY_COMMAND.
What the base branch itself supplies to that (.worktreeinclude, the places of submodules, .lfsconfig) is trusted as the
first agent's set-up meets it; when it changes, tasks wait until you accept it with --accept and the hash that is shown.
A bundle holds the log, the settings, these findings and the latest errors, all without secrets, for somebody who helps;
it includes task messages unless --no-messages. --from shows the findings in a bundle; every command that reads log,
settings or daemon takes it, except log seal, notify sinks and notify watch."""


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("--fix", action="store_true", help="make the safe repairs, then check again")
    parser.add_argument(
        "--repo",
        metavar="REPO|REF",
        completes=("repository", "issue"),
        help="try the set-up and the verification of a repository's worktrees",
    )
    parser.add_argument(
        "--accept", metavar="HASH", help="with --repo: accept what the repository supplies to the set-up"
    )
    parser.add_argument("--online", action="store_true", help="check git servers and forges too")
    parser.add_argument("--bundle", metavar="FILE", completes="file", help="write a redacted .tar.gz to share")
    parser.add_argument(
        "--no-messages", action="store_true", help="with --bundle: leave out the texts of tasks and agents"
    )
    parser.add_argument("--force", action="store_true", help="with --bundle: overwrite the file")
    parser.source()


def _doctor(call: Call) -> int:
    args = call.args
    if args.bundle is None and (args.no_messages or args.force):
        raise BadInput("--no-messages and --force need --bundle", "kugetsu doctor --bundle FILE --no-messages")
    if call.foreign is not None:
        return _kept(call, call.foreign)
    if args.accept is not None and args.repo is None:
        raise BadInput("--accept needs --repo", f"kugetsu doctor --repo REPO --accept {args.accept}")
    if args.repo is not None:
        return _try(call)
    if args.bundle is not None:
        bundle.require_free(args.bundle, force=args.force)
    case = Context(Paths.of(call.environment), call.environment, call.command, online=args.online)
    done: list[tuple[str, str | None]] = []
    try:
        with progress.shown(call.environment, "doctor: checking"):
            found = examination.examine(case)
            if args.fix:
                done = examination.repair(found)
                if done:
                    case.close()
                    case = Context(case.paths, call.environment, call.command, online=args.online)
                    found = examination.examine(case)
            made = _bundle(call, case, found)
    finally:
        case.close()
    _show(call, found, done, made)
    return 1 if any(one.level == "problem" for one in found) else 0


def _try(call: Call) -> int:
    """Make a passing checkout ready, and verify it; or accept what the repository supplies to that.

    Raises KugetsuError without a clone of the repository.
    """
    if call.args.fix or call.args.online or call.args.bundle is not None:
        raise BadInput("kugetsu doctor --repo tries one repository and nothing else", "kugetsu doctor --repo REPO")
    call.ready()
    ws = call.workspace
    name = subjects.repository_of(ws.config, call.args.repo)
    if call.args.accept is not None:
        _show(call, acceptance.accept(ws, name, call.args.accept), [], None)
        return 0
    with progress.shown(call.environment, f"doctor: {name}") as line_of_progress:
        found = trial.try_repository(ws, name, lambda text: line_of_progress.step(f"doctor: {text}"))
    _show(call, found, [], None)
    return 1 if any(one.level == "problem" for one in found) else 0


def _kept(call: Call, place: Foreign) -> int:
    """What it found where a bundle was made. Raises NotFound for a file without findings."""
    if call.args.fix or call.args.online or call.args.bundle is not None or call.args.repo or call.args.accept:
        raise BadInput("kugetsu doctor: cannot check or repair anything in a file", "use --from alone, or drop it")
    found = place.findings()
    _show(call, found, [], None)
    return 1 if any(one.level == "problem" for one in found) else 0


def _bundle(call: Call, case: Context, found: list[Finding]) -> dict[str, Any] | None:
    if call.args.bundle is None:
        return None
    return bundle.write(case, found, call.args.bundle, messages=not call.args.no_messages, force=call.args.force)


def _show(call: Call, found: list[Finding], done: list[tuple[str, str | None]], made: dict[str, Any] | None) -> None:
    data = {
        "ok": not any(one.level == "problem" for one in found),
        "findings": [as_data(one) for one in found],
        "done": [{"text": text, "failed": failed} for text, failed in done],
        "bundle": made,
    }
    lines: list[str] = []
    if not call.json:
        lines = [line(f"fixed: {text}" if failed is None else f"not fixed: {text}: {failed}") for text, failed in done]
        lines += doctor.finding_lines(found, call.plain_screen())
        lines.append(doctor.summary(found))
    call.show(data, lines)
    if call.json:
        return
    if made is not None:
        call.note(f"the bundle is {made['path']}, {made['bytes']} bytes: {', '.join(made['files'])}")
        if made["log"]["lines"]:
            of = f"{made['log']['events']} of {made['log']['lines']} lines"
            call.note(f"the log is damaged, the bundle contains {of}: {line(made['log']['problem'])}")
    if not call.args.fix and any(one.repair is not None for one in found):
        call.note("some of it can be repaired: kugetsu doctor --fix")


COMMANDS = {
    "doctor": Command(
        "[--repo REPO|REF [--accept HASH]] [--fix] [--online] [--bundle FILE [--no-messages] [--force]] [--from FILE]"
        " [--json]",
        ABOUT,
        _arguments,
        _doctor,
        json="ok                  whether no finding is a problem\n"
        "findings[].group    its subject\n"
        "findings[].name     which check\n"
        "findings[].level    ok, skipped (not run), warning or problem\n"
        "findings[].text     what was found\n"
        "findings[].fix      the command that helps, or null\n"
        "findings[].mends    whether --fix repairs it\n"
        "done[].text         with --fix: a repair\n"
        "done[].failed       why the repair failed, or null\n"
        "bundle.path         with --bundle: the file; else bundle is null\n"
        "bundle.bytes        its size\n"
        "bundle.files[]      what is in it\n"
        "bundle.log.events   the number of events in it\n"
        "bundle.log.lines    the number of lines of a damaged log; else 0\n"
        "bundle.log.problem  why not all of the log could be read, or null",
        examples="kugetsu doctor\nkugetsu doctor --fix\nkugetsu doctor --repo owner/project\n"
        "kugetsu doctor --bundle kugetsu.tar.gz --no-messages  # for somebody who helps",
    )
}
