"""`kugetsu`: find the command, import its module and no other, run it, and report an error in one line.

Start-up is most of a short command's time: nothing is imported here that a command may not need.
"""

from __future__ import annotations

import os
import sys

from kugetsu.cli.catalogue import find, load
from kugetsu.model.errors import KugetsuError, LogDamaged, OutputFailed, reason_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TextIO

    from kugetsu.cli.call import Call
    from kugetsu.cli.parser import Parser

    Configure = Callable[[Parser], None]
    Run = Callable[[Call], int]

#: 128 + N: the status of a process that signal N ended.
INTERRUPTED = 130
BROKEN_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if None in (sys.stdin, sys.stdout, sys.stderr):
            _open_what_is_closed()
        _mind_the_encoding()
        return _with_output(list(arguments))
    except SystemExit as end:  # argparse's --help
        return end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone: Python's own flush at the end must not complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - the last line of defence: one line, not a traceback
        from kugetsu.cli.failure import report

        return report(error, arguments)


class _Output:
    """Standard output, whose failures are told apart from those of the files that a command writes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.written = False

    def write(self, text: str) -> int:
        self.written = True
        try:
            return self._stream.write(text)
        except OSError as problem:
            raise _failed(problem) from problem

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as problem:
            raise _failed(problem) from problem

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _failed(problem: OSError) -> Exception:
    if isinstance(problem, BrokenPipeError):
        return problem
    said = reason_of(problem)
    return OutputFailed(
        f"cannot write the output: {said}",
        "what the command did is in effect: check kugetsu history --all before you repeat it",
    )


def _with_output(arguments: list[str]) -> int:
    stream = sys.stdout
    sys.stdout = _Output(stream)
    try:
        status = _dispatch(arguments)
        sys.stdout.flush()
        return status
    finally:
        sys.stdout = stream


def _open_what_is_closed() -> None:
    """Standard streams that the caller closed (`>&-`) lead to nowhere; else the log's own file would take their number
    and get what is written to them."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # the lowest that is free
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115  lives as long as we


def _mind_the_encoding() -> None:
    """What the terminal's encoding lacks is shown as an escape, and never stops a command."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _dispatch(arguments: list[str]) -> int:
    leading = []
    while arguments and arguments[0] in ("--debug", "--json"):
        leading.append(arguments.pop(0))
    if not arguments or arguments[0] in ("-h", "--help"):
        return _help([])
    if arguments[0] in ("--version", "-V", "version"):
        from kugetsu import __version__

        print(f"kugetsu {__version__}")
        return 0
    if arguments[0] == "help":
        return _help(arguments[1:])
    if arguments[0] == "__complete":
        from kugetsu.cli.completing import answer

        return answer(arguments[1:], os.environ)
    if arguments[0] == "__credential":
        from kugetsu.cli.credential import answer as answer_git

        return answer_git(arguments[1:], os.environ)
    if arguments[0] == "__left":
        from kugetsu.cli.attach import left

        return left(arguments[1:], os.environ)
    name, rest = find(arguments)
    if name is None:
        return _help(arguments[:1])
    return run(name, [*leading, *rest])


def _help(words: Sequence[str]) -> int:
    from kugetsu.cli import guide

    return guide.answer(words)


def run(name: str, arguments: Sequence[str]) -> int:
    """Parse the arguments of a command and run it."""
    parser, function = load(name)
    args = parser.read(arguments)
    from kugetsu.cli.call import Call

    words = getattr(args, parser.words_dest or "", None)
    call = Call(args, os.environ, _as_recorded(name, arguments, words, parser.recorded_words))
    try:
        status = function(call)
        return LogDamaged.exit_code if call.damaged else status
    except LogDamaged as damage:
        return _with_the_rest(function, call, damage)
    except KugetsuError as error:
        from kugetsu.cli.failure import in_words

        in_words(error)
        error.hint = call.hint(error)
        raise
    except (OSError, RuntimeError):
        raise
    except Exception as error:
        malformed = call.malformed()
        if malformed is None:
            raise
        malformed.__cause__ = error
        return _with_the_rest(function, call, malformed)
    finally:
        call.close()


def _has_written() -> bool:
    """Whether anything was printed, which nobody wants to read twice."""
    return isinstance(sys.stdout, _Output) and sys.stdout.written


def _with_the_rest(function: Run, call: Call, damage: LogDamaged) -> int:
    """Report the damage, and run the command on what can be read of the log, if it only reads; else raise it."""
    if not call.falls_back() or _has_written():
        damage.hint = call.hint(damage)
        raise damage
    call.fall_back(damage)
    try:
        function(call)
    except KugetsuError as error:
        from kugetsu.cli.failure import in_words, print_lines

        in_words(error)
        error.hint = call.hint(error)
        print_lines(error)
    return damage.exit_code


def _as_recorded(name: str, arguments: Sequence[str], words: list[str] | None, recorded: int) -> str:
    """The command line that events carry: without the message, which has its own event and may quote a secret."""
    if words is None:
        return " ".join(["kugetsu", name, *arguments])
    return " ".join(["kugetsu", name, *words[:recorded]]) + (" …" if len(words) > recorded else "")
