"""The words of set-up and verification."""

from __future__ import annotations

from kugetsu.domain.worktree_setup import SHOWN_DIGITS
from kugetsu.model import result_words
from kugetsu.model.plural import counted, listed
from kugetsu.views import times
from kugetsu.views.text import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TAIL_LINES = 12
"""Lines of an output that a screen shows."""


def told(found: dict[str, Any]) -> list[str]:
    """A verification (`events.attempts.Verification`), as lines: what it says, of what, the end of its output."""
    code, exit_code, why = found["code"], found.get("exit"), found.get("why")
    said = command_words(code)
    if exit_code is not None and code in ("failed", "set_up_failed", "base_failed"):
        said += f" ({f'exit {exit_code}' if exit_code >= 0 else f'signal {-exit_code}'})"
    if why and code not in ("base_failed", "nothing_ran"):
        said += f": {why_not_run(why)}"
    elif code == "nothing_ran" and why:
        said += f", says {line(why)}"
    if found.get("seconds") is not None:
        said += f", {times.duration(found['seconds'])}"
    lines = [f"{line(found['command'])}: {said}" if found.get("command") else said]
    if found.get("commit"):
        lines.append(f"of {bound(found)}")
    if code not in ("passed", "base_failed", "not_run") and found.get("tail"):
        lines += [f"| {line(part)}" for part in found["tail"].splitlines()[-TAIL_LINES:]]
    if found.get("output") and code != "not_run":
        lines.append(f"all of it: {line(found['output'])}")
    return lines


def command_words(code: str) -> str:
    """What VERIFY_COMMAND did."""
    return result_words.VERIFICATION.get(code, (code, code))[1]


def why_not_run(why: str) -> str:
    """Why a verification was not run."""
    return line(result_words.why_not_run(why))


def bound(found: dict[str, Any]) -> str:
    """What a verification is bound to."""
    tree = f", tree {found['tree'][:12]}" if found.get("tree") else ""
    return f"commit {found['commit'][:12]}{tree}, in a clean checkout"


def accepted(data: dict[str, Any]) -> str:
    """What was accepted of what a repository supplies to the set-up."""
    first = ", the first seen" if data["first"] else ""
    return f"{data['repository']} supplies {listed(data['lines'])} to the set-up ({data['sha'][:SHOWN_DIGITS]}{first})"


def set_up(data: dict[str, Any]) -> str:
    """How a worktree was made ready."""
    done = "made ready" if data["code"] == "done" else f"set-up {data['code'].replace('_', ' ')}"
    copied = f", {counted(data['copied'], 'file')} copied" if data["copied"] else ""
    return f"{done} in {times.duration(data['seconds'])}{copied}"


def base(data: dict[str, Any]) -> str:
    """What the verification says of a base commit."""
    again = f", {data['tries']} times in a row" if data.get("tries", 1) > 1 else ""
    return f"verification {command_words(data['code'])}{again}, of {data['commit'][:12]}, {data['repository']}"


def verifying(data: dict[str, Any]) -> str:
    """The intent to verify work later."""
    return f"verifying {data['commit'][:12]} again, try {data['tries']}: {line(data['command'])}"


def verified(data: dict[str, Any]) -> str:
    """What a later verification says of work."""
    why = f": {why_not_run(data['why'])}" if data["why"] and data["code"] not in ("base_failed", "nothing_ran") else ""
    said = result_words.verification(data)
    again = f", tried again from {times.time_of_day(data['not_before'])}" if data.get("not_before") else ""
    return f"{said}{why}, of {data['commit'][:12]}{', by hand' if data['by_hand'] else ''}{again}"
