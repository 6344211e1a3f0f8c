"""`kugetsu logs`: the latest agent logs, or one to read or follow."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from kugetsu.agents import output_file
from kugetsu.cli import tail_file
from kugetsu.cli.call import Call, Command, print_json
from kugetsu.cli.parser import Parser
from kugetsu.model import clock
from kugetsu.model.errors import BadInput, KugetsuError, NotFound
from kugetsu.redaction.funnel import Lines
from kugetsu.runtime import other_hosts
from kugetsu.runtime.query import subjects
from kugetsu.runtime.query.subjects import Subject
from kugetsu.views import agentlog, times
from kugetsu.views.agentlog import Reader

#: Bytes of an output shown by default, and lines that are redacted and printed together.
SHOWN_BYTES = 1 << 20
PAGE = 1000
#: Agent logs listed by default, and at most.
LATEST = 5
MOST = 1000


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument(
        "what",
        nargs="*",
        metavar="N|REF|TASK|ATTEMPT",
        completes=("attempt", "task", "issue", "session"),
        help=f"a number (default {LATEST}), or an issue, task or attempt",
    )
    parser.add_argument("-f", "--follow", action="store_true", help="follow the output until the attempt ends")
    parser.source()
    parser.add_argument("--all", action="store_true", help="show the whole output, not only its end")
    parser.add_argument("--raw", action="store_true", help="show the agent's raw output, without secrets")
    parser.add_argument("--setup", action="store_true", help="show the output of WORKTREE_SETUP instead")


def _logs(call: Call) -> int:
    count, text = _split(call.args.what)
    if call.foreign is not None:
        if call.args.follow or call.args.raw or call.args.setup:
            raise BadInput("kugetsu logs: an exported log has no agent output", "drop -f, --raw and --setup")
        stderr = call.foreign.stderr_logs()
        return _list_exported(call, stderr, count) if text is None else _read_exported(call, stderr, text)
    if text is None and (call.args.follow or call.args.raw or call.args.setup):
        live = sorted(call.ready().attempts.values(), key=lambda attempt: attempt.claimed)
        if len(live) != 1:
            names = ", ".join(attempt.id for attempt in live) or "none"
            raise BadInput("kugetsu logs: which log?", f"kugetsu logs ATTEMPT -f; live: {names}")
        text = live[0].id
    if text is None:
        return _list(call, count)
    attempt, host = _attempt(call, text)
    return _read(call, attempt) if host is None else _read_there(call, attempt, host)


def _split(words: list[str]) -> tuple[int, str | None]:
    count, text = LATEST, None
    for word in words:
        if word.isascii() and word.isdigit() and len(word) < 7:
            count = min(int(word), MOST)
            if not count:
                raise BadInput("kugetsu logs: N must be at least 1", f"at most {MOST}: kugetsu logs {LATEST}")
        elif text is None:
            text = word
        else:
            raise BadInput(f"kugetsu logs: one log at a time, not also {word[:40]!r}", "kugetsu logs --help")
    return count, text


# --- the list ---------------------------------------------------------------------------------------------------


def _list(call: Call, count: int) -> int:
    call.ready()
    runs = call.workspace.paths.runs
    found = [
        _entry(
            call,
            name,
            f"{runs}/{name}/output.jsonl",
            tail_file.size(f"{runs}/{name}/output.jsonl"),
            _changed_at(runs, name),
        )
        for name in _latest(runs, count)
    ]
    call.show({"logs": found}, agentlog.list_lines(found, call.screen) or ["no agent has run yet"])
    if not call.json:
        call.note(f"read one: kugetsu logs {found[-1]['attempt']}" if found else "next: kugetsu start REF MESSAGE")
        if len(call.state().hosts) > 1:
            call.note("only this host's; one of another host: kugetsu logs ATTEMPT")
    return 0


def _entry(call: Call, attempt: str, path: str, size: int, changed_at: str) -> dict[str, Any]:
    """One row of the list."""
    state = call.state()
    live, task = state.attempts.get(attempt), state.tasks.get(attempt.partition(".")[0])
    return {
        "attempt": attempt,
        "issue": task.issue if task is not None else None,
        "state": live.state if live is not None else "ended",
        "path": path,
        "bytes": size,
        "changed_at": changed_at,
    }


def _latest(runs: str, count: int) -> list[str]:
    """The attempts with the latest output, the latest last."""
    try:
        names = os.listdir(runs)
    except FileNotFoundError:
        return []
    names.sort(key=lambda name: (_mtime(f"{runs}/{name}"), name))
    return names[-count:]


def _mtime(folder: str) -> float:
    for path in (f"{folder}/output.jsonl", folder):
        try:
            return os.stat(path).st_mtime
        except OSError:
            continue
    return 0.0


def _changed_at(runs: str, attempt: str) -> str:
    return clock.from_own(_mtime(f"{runs}/{attempt}"))


# --- one log ----------------------------------------------------------------------------------------------------


def _attempt(call: Call, text: str) -> tuple[str, str | None]:
    """The named attempt, or the latest one of a task, issue or session, and the other host that has its output. Raises
    NotFound."""
    state = call.ready()
    subject = subjects.subject(call.workspace, text)
    if subject.attempt is not None:
        if os.path.isdir(call.workspace.paths.run(subject.attempt)):
            return subject.attempt, None
        host = other_hosts.of_attempt(call.workspace, subject.attempt)
        if host is not None:
            return subject.attempt, host
    else:
        live = [attempt.id for attempt in state.attempts.values() if subject.key in (attempt.task, attempt.session)]
        made = live or [event["attempt"] for event in _claims(call, subject)]
        if made:
            return str(made[-1]), other_hosts.of_attempt(call.workspace, made[-1])
    raise NotFound(f"no agent log of {subject}", f"kugetsu history {subject}")


def _claims(call: Call, subject: Subject) -> list[dict[str, str]]:
    return [event for event in subject.events(call.workspace) if event["type"] == "attempt.claimed"]


def _read(call: Call, attempt: str) -> int:
    folder = call.workspace.paths.run(attempt)
    try:
        _show(call, attempt, _output(call, folder))
    except KugetsuError:
        _show_end(call, attempt, folder)  # show the rest even without the output
        raise
    _show_end(call, attempt, folder)
    return 0


def _read_there(call: Call, attempt: str, host: str) -> int:
    """Print what that host's kugetsu shows of it. Raises NotFound with the line to type if it is not to be asked."""
    args = call.args
    options = [f"--{name}" for name in ("follow", "all", "raw", "setup", "json") if getattr(args, name)]
    reader = agentlog.Reader(call.screen)

    def take(lines: Iterable[bytes]) -> None:
        for raw in lines:
            if args.raw or call.json:
                _print(call, reader, [raw])
            else:
                call.quote(line.decode("utf-8", "replace") for line in reader.secrets.redact_all([raw]))
            sys.stdout.flush()

    command = ["logs", attempt, *options]
    code, said = other_hosts.fetch(
        call.workspace, host, f"the output of {attempt}", command, take, width=call.screen.width
    )
    call.note(*said.splitlines())
    return code


def _output(call: Call, folder: str) -> str:
    """The file to show: the agent's output, or that of the set-up, also where that kept the agent from starting."""
    output, set_up = f"{folder}/output.jsonl", f"{folder}/setup.log"
    if call.args.setup or (os.path.exists(set_up) and not os.path.exists(output) and not call.args.follow):
        return set_up
    return output


def _show(call: Call, attempt: str, path: str) -> None:
    """Print the output. Raises KugetsuError if it cannot be read."""
    reader = agentlog.Reader(call.screen)
    whole = call.args.all or call.args.raw or call.json
    try:
        if whole and not call.args.follow:
            at, shown = 0, _pages(call, reader, path, 0)
        else:
            at, shown = _tail(call, reader, path, everything=whole)
    except FileNotFoundError:
        at, shown = 0, False
    except OSError as problem:
        raise tail_file.unreadable(path, problem) from problem
    if not call.args.follow:
        if not shown and not call.json:
            who = f"the set-up of {attempt}" if path.endswith("setup.log") else attempt
            gone = attempt not in call.state().attempts and not os.path.isdir(os.path.dirname(path))
            call.print_lines([f"the output of {attempt} is gone" if gone else f"{who} has written nothing yet"])
        return
    for lines in tail_file.follow(path, at):
        if lines is not None:
            _print(call, reader, lines)
            at += sum(len(line) + 1 for line in lines)
        elif attempt not in call.state().attempts:
            with suppress(OSError):
                _pages(call, reader, path, at)
            break


def _pages(call: Call, reader: Reader, path: str, start: int) -> bool:
    """Print everything from ``start`` on, a page at a time; True if there was anything."""
    page: list[bytes] = []
    shown = False
    for line in output_file.lines(path, start):
        shown = True
        if isinstance(line, int):
            page.append(f"… {times.amount(line)} bytes were dropped here (MAX_OUTPUT_MB)".encode())
            continue
        page.append(line)
        if len(page) >= PAGE:
            _print(call, reader, page)
            page.clear()
    _print(call, reader, page)
    return shown


def _tail(call: Call, reader: Reader, path: str, *, everything: bool) -> tuple[int, bool]:
    """Print the end of the output (or ``everything``); its end offset, and whether there was any output."""
    limit = sys.maxsize if everything and not output_file.left_out(path) else SHOWN_BYTES
    lines, before, end = output_file.tail(path, limit, ended=call.args.follow)
    if before and not call.json:
        call.print_lines([f"… {times.amount(before)} earlier bytes: add --all to see them"])
    _print(call, reader, lines)
    return end, bool(lines)


def _print(call: Call, reader: Reader, lines: Iterable[bytes]) -> None:
    lines = reader.secrets.redact_all(lines)
    if call.args.raw and not sys.stdout.isatty():
        sys.stdout.flush()
        for raw in lines:
            sys.stdout.buffer.write(raw + b"\n")
        sys.stdout.buffer.flush()
    elif call.args.raw:
        tail_file.print_lines(lines)
    elif call.json:
        for raw in lines:
            _print_json(raw)
    else:
        for raw in lines:
            call.quote(reader.lines(raw))
    sys.stdout.flush()


def _print_json(raw: bytes) -> None:
    import orjson

    try:
        print_json(orjson.loads(raw), compact=True)
    except orjson.JSONDecodeError:
        print_json({"type": "text", "line": raw.decode("utf-8", "replace")}, compact=True)


def _show_end(call: Call, attempt: str, folder: str) -> None:
    """Print, below the output, the agent's stderr and how the attempt ended."""
    if call.json or call.args.raw:
        return
    try:
        lines = tail_file.last_lines(f"{folder}/stderr.log", agentlog.ERROR_LINES) or []
    except KugetsuError as problem:
        call.note(problem.message)
        lines = []
    live = _quote_end(call, attempt, Lines().redact_all(lines))
    if live and not call.args.follow:
        call.note(f"still running; to follow it: kugetsu logs {attempt} -f")


def _quote_end(call: Call, attempt: str, errors: list[bytes]) -> bool:
    """Print its last errors and its last event; True if it is live."""
    live = attempt in call.state().attempts
    last = None
    for event in call.workspace.log.read_key(attempt.partition(".")[0]):
        if event.get("attempt") == attempt and event["type"].startswith("attempt."):
            last = event
    call.quote(agentlog.end_lines(attempt, errors, None if live else last, call.screen))
    return live


# --- an exported log: the stderr of agents that failed --------------------------------------------------------


def _list_exported(call: Call, stderr: dict[str, bytes], count: int) -> int:
    shown = []
    for attempt, data in list(stderr.items())[-count:]:
        ends = [event["at"] for event in call.workspace.log.read_key(attempt.partition(".")[0])]
        changed_at = ends[-1] if ends else call.state().latest
        shown.append(_entry(call, attempt, f"attempts/{attempt}/stderr.log", len(data), changed_at))
    call.show({"logs": shown}, agentlog.list_lines(shown, call.screen) or ["the file has no agent log"])
    return 0


def _read_exported(call: Call, stderr: dict[str, bytes], name: str) -> int:
    subject = subjects.subject(call.workspace, name)
    claims = _claims(call, subject)
    if not claims:
        raise NotFound(f"no agent log of {subject}", f"kugetsu history {subject}")
    attempt = claims[-1]["attempt"]
    lines = [line for line in stderr.get(attempt, b"").split(b"\n") if line]
    if call.json:
        call.show({"attempt": attempt, "stderr": [line.decode("utf-8", "replace") for line in lines]}, [])
        return 0
    _quote_end(call, attempt, lines[-agentlog.ERROR_LINES :])
    call.note("the file has no agent output, only the stderr of agents that failed")
    return 0


COMMANDS = {
    "logs": Command(
        "[N] [REF|TASK|ATTEMPT] [-f] [--all] [--raw] [--setup] [--from FILE] [--json]",
        "Without a name: the N latest agent logs. With one: that agent's output and actions, its errors, its end.\n"
        "A long output is shown from its last megabyte on; --all, --raw and --json show all of it.\n"
        "Where the set-up of the worktree failed, no agent ran, and the output is that of the set-up.\n"
        "What another host of a shared log has is shown over OpenSSH with HOST_SSH=true, else the line to type.\n"
        "A bundle (--from) contains only the stderr of agents that failed, and how they ended.",
        _arguments,
        _logs,
        json="""\
logs[].attempt     the attempt's id
logs[].issue       host/owner/repo#N, or null
logs[].state       claimed, starting, running, or ended
logs[].path        the file with the agent's output
logs[].bytes       its size
logs[].changed_at  when it was last written (UTC)

With a name: the agent's own events, one per line, as it writes them; with --from: attempt and stderr[], lines.""",
        examples="kugetsu logs 10  # the ten latest\nkugetsu logs q7.1 -f  # follow one until it ends",
        exits=(4,),
    )
}
