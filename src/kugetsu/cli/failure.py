"""How an error reaches the user: one line and its remedy, or a JSON object; the traceback only when asked for."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Iterable, Sequence

from kugetsu.host.paths import Paths, ownership_remedy
from kugetsu.model.errors import KugetsuError, NotSetUp, OutputFailed
from kugetsu.redaction.funnel import redact
from kugetsu.views.screen import Screen, width_of
from kugetsu.views.text import block, json_text, line


def report(error: Exception, arguments: Sequence[str]) -> int:
    """Tell ``error``; returns the exit status."""
    own = _before_dashes(arguments)
    if "--debug" in own:
        print(_trace(error), end="", file=sys.stderr)
    known = error if isinstance(error, KugetsuError) else _as_known(error)
    in_words(known)
    if isinstance(known, NotSetUp):
        known.hint = Paths.of(os.environ).how_to_set_up()
    taken = _flush() and not isinstance(known, OutputFailed)
    if not ("--json" in own and taken and _print_json(known)):
        with contextlib.suppress(OSError):  # nobody reads that either: the status still tells
            print_lines(known)
    return known.exit_code


def in_words(error: KugetsuError) -> None:
    """Give what a decision refuses its message and hint."""
    if error.refusal is not None:
        from kugetsu.views import refusals

        refusals.put_into_words(error)


def _trace(error: Exception) -> str:
    return "\n".join(block("".join(traceback.format_exception(error))))


def _flush(text: str = "") -> bool:
    """Whether what was printed, and this, is taken by whoever reads it; where it is not, it goes nowhere."""
    try:
        print(text, end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return False
    return True


def _before_dashes(arguments: Sequence[str]) -> Sequence[str]:
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _print_json(error: KugetsuError) -> bool:
    """Whether somebody takes it."""
    told = {
        "code": error.code,
        "message": redact(error.message),
        "hint": redact(error.hint) if error.hint else error.hint,
        "exit_code": error.exit_code,
    }
    return _flush(json_text({"error": told}) + "\n")


def print_lines(error: KugetsuError) -> None:
    """One line on stderr, and its remedy. Raises OSError when nobody takes it."""
    red = sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    start, end = ("\x1b[31m", "\x1b[0m") if red else ("", "")
    told = [f"kugetsu: {start}error:{end} {line(error.message)}"]
    if error.hint:
        told.append(f"hint: {line(error.hint)}")
    for row in _fitting(told):
        print(row, file=sys.stderr)


def _fitting(lines: list[str]) -> Iterable[str]:
    """An error is one line; only where the screen is small, several."""
    screen = Screen(width=width_of(sys.stderr, os.environ))
    return screen.folded(lines) if screen.small else lines


def _as_known(error: Exception) -> KugetsuError:
    """An operating system's refusal, or a fault of kugetsu itself, as an error with its remedy."""
    if isinstance(error, OSError) and error.strerror:
        if error.errno == errno.ENOENT and error.filename is None and _is_folder_gone():
            return KugetsuError("the current folder was deleted", "cd to an existing folder")
        place = f"{error.filename}: " if isinstance(error.filename, str) else ""
        return KugetsuError(f"{place}{error.strerror.lower()}", _remedy(error))
    kept = _keep(error)
    place = f"details are in {kept}" if kept else "--debug shows the details"
    summary = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return KugetsuError(f"internal error in kugetsu: {summary}", place)


def _is_folder_gone() -> bool:
    """True if the folder that the command is typed in was deleted."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _remedy(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        other = ownership_remedy(error.filename) if isinstance(error.filename, str) else None
        return other or "make it accessible (chmod), or set KUGETSU_DIR to another folder"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free some space; nothing reported as done is lost"
    if error.errno == errno.ENOENT and "temporary directory" in str(error.strerror):
        return "free some space there, or set TMPDIR to a writable folder"
    return "--debug shows where it happened"


def _keep(error: Exception) -> str | None:
    """Write the traceback to KUGETSU_DIR/logs/kugetsu.log; its path, None when it could not be written there."""
    try:
        paths = Paths.of(os.environ)
        if not os.path.isdir(paths.root):
            return None
        from loguru import logger

        place = f"{paths.make(paths.logs)}/kugetsu.log"
        logger.remove()
        number = logger.add(place, rotation="1 MB", retention=3, backtrace=False, diagnose=False, catch=False)
        logger.error("{}\n{}", redact(" ".join(sys.argv[1:3])), _trace(error))
        logger.remove(number)
    except (OSError, KugetsuError, ImportError):
        return None
    return place
