"""`kugetsu logs`: the latest agent logs, or one to read or follow."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress

from kugetsu.agents import output_file
from kugetsu.cli import bundle_logs, subjects, tail_file
from kugetsu.cli.call import Call, print_json
from kugetsu.cli.declarations import Command
from kugetsu.cli.parser import Parser
from kugetsu.cli.subjects import Subject
from kugetsu.model import clock
from kugetsu.model.errors import BadInput, KugetsuError, NotFound
from kugetsu.redaction.funnel import Lines
from kugetsu.views import agentlog, times
from kugetsu.views.agentlog import Reader

#: Bytes of an output that are shown unless all of it is asked for, and lines that are redacted and printed together.
SHOWN_BYTES = 1 << 20
PAGE = 1000
#: Agent logs that are listed unless asked for more.
LATEST = 5
MOST = 1000


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument(
        "what",
        nargs="*",
        metavar="N|REF|TASK|ATTEMPT",
        completes=("attempt", "task", "issue", "session"),
        help=f"how many (default {LATEST}), or whose",
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes, until the attempt ends")
    parser.source()
    parser.add_argument("--all", action="store_true", help="the whole output, not only its end")
    parser.add_argument("--raw", action="store_true", help="the agent's output as it is, but for secrets")


def _logs(call: Call) -> int:
    count, text = _split(call.args.what)
    if call.elsewhere is not None:
        return bundle_logs.show(call, call.elsewhere, count, text)
    if text is None and (call.args.follow or call.args.raw):
        live = sorted(call.ready().attempts.values(), key=lambda attempt: attempt.claimed)
        if len(live) != 1:
            names = ", ".join(attempt.id for attempt in live) or "none runs"
            raise BadInput("kugetsu logs: whose log?", f"kugetsu logs ATTEMPT -f; live: {names}")
        text = live[0].id
    if text is None:
        return _list(call, count)
    return _read(call, _attempt(call, text))


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
    state = call.ready()
    runs = call.workspace.paths.runs
    found = []
    for attempt in _latest(runs, count):
        live = state.attempts.get(attempt)
        task = state.tasks.get(attempt.partition(".")[0])
        found.append(
            {
                "attempt": attempt,
                "issue": task.issue if task is not None else None,
                "state": live.state if live is not None else "ended",
                "path": f"{runs}/{attempt}/output.jsonl",
                "bytes": _size(f"{runs}/{attempt}/output.jsonl"),
                "changed_at": _changed_at(f"{runs}/{attempt}"),
            }
        )
    lines = agentlog.list_lines(found, call.screen)
    call.show({"logs": found}, lines or ["no agent has run yet"])
    if not call.json:
        call.say(f"read one: kugetsu logs {found[-1]['attempt']}" if found else "next: kugetsu start REF MESSAGE")
    return 0


def _latest(runs: str, count: int) -> list[str]:
    """The attempts that wrote last, the latest last."""
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


def _changed_at(folder: str) -> str:
    return clock.from_epoch(_mtime(folder))


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


# --- one log ----------------------------------------------------------------------------------------------------


def _attempt(call: Call, text: str) -> str:
    """The attempt whose log is meant: itself, or the latest one of a task, issue or session. Raises NotFound."""
    state = call.ready()
    subject = subjects.subject(call.workspace, text)
    if subject.attempt is not None:
        if os.path.isdir(call.workspace.paths.run(subject.attempt)):
            return subject.attempt
    else:
        live = [attempt.id for attempt in state.attempts.values() if subject.key in (attempt.task, attempt.session)]
        made = live or [event["attempt"] for event in _claims(call, subject)]
        if made:
            return str(made[-1])
    raise NotFound(f"there is no agent log of {subject}", f"kugetsu history {subject}")


def _claims(call: Call, subject: Subject) -> list[dict[str, str]]:
    return [event for event in subject.events(call.workspace) if event["type"] == "attempt.claimed"]


def _read(call: Call, attempt: str) -> int:
    folder = call.workspace.paths.run(attempt)
    try:
        _show(call, attempt, f"{folder}/output.jsonl")
    except KugetsuError:
        _tell_end(call, attempt, folder)  # there is more to show than the output
        raise
    _tell_end(call, attempt, folder)
    return 0


def _show(call: Call, attempt: str, path: str) -> None:
    """The output. Raises KugetsuError when it cannot be read."""
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
            call.tell([f"{attempt} has written nothing yet"])
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
    """Print everything from ``start`` on, a page at a time; whether there was anything."""
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
    """Print the end of the output (``everything``: all that is there); where it ends, and if there was anything."""
    limit = sys.maxsize if everything and not output_file.left_out(path) else SHOWN_BYTES
    lines, before, end = output_file.tail(path, limit, ended=call.args.follow)
    if before and not call.json:
        call.tell([f"… {times.amount(before)} bytes come before this: add --all to see them"])
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


def _tell_end(call: Call, attempt: str, folder: str) -> None:
    """Below the output: what the agent wrote to stderr, and how the attempt ended."""
    if call.json or call.args.raw:
        return
    try:
        lines = tail_file.last_lines(f"{folder}/stderr.log", agentlog.ERROR_LINES) or []
    except KugetsuError as problem:
        call.say(problem.message)
        lines = []
    errors = Lines().redact_all(lines)
    live = attempt in call.state().attempts
    last = None
    for event in call.workspace.log.read_key(attempt.partition(".")[0]):
        if event.get("attempt") == attempt and event["type"].startswith("attempt."):
            last = event
    call.quote(agentlog.end_lines(attempt, errors, None if live else last, call.screen))
    if live and not call.args.follow:
        call.say(f"it still runs: kugetsu logs {attempt} -f")


COMMANDS = {
    "logs": Command(
        "[N] [REF|TASK|ATTEMPT] [-f] [--all] [--raw] [--from FILE] [--json]",
        "Without a name: the N latest agent logs. With one: what that agent said and did, its errors, its end.\n"
        "Of a long output the last megabyte; --all, --raw and --json give all of it.\n"
        "A bundle (--from) has only what agents that failed wrote to stderr, and how they ended.",
        _arguments,
        _logs,
        json="""\
logs[].attempt     the attempt's id
logs[].issue       host/owner/repo#N, or null
logs[].state       claimed, starting, running, or ended
logs[].path        the file with the agent's output
logs[].bytes       its size
logs[].changed_at  when it was written last (UTC)

With a name: the agent's own events, one a line, as the agent writes them; with --from: attempt and stderr[], lines.""",
        examples="kugetsu logs 10  # the ten latest\nkugetsu logs q7.1 -f  # follow one until it ends",
        exits=(4,),
    )
}
