"""Make a checkout ready, step by step: copies, submodules, large files, the command of the user. Any step may be
repeated: what is there stays as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kugetsu.agents import error_lines
from kugetsu.domain.worktree_setup import CHANGED
from kugetsu.host import run_files
from kugetsu.host.paths import Paths
from kugetsu.model.errors import KugetsuError
from kugetsu.model.plural import counted
from kugetsu.redaction.funnel import CUT, redact
from kugetsu.runtime.env_files import note_copied
from kugetsu.runtime.git import copies, local_state
from kugetsu.runtime.git.changes import changed_files
from kugetsu.runtime.process import command_line
from kugetsu.runtime.worktree_setup import copying, large_files, submodules
from kugetsu.runtime.worktree_setup.recipe import Recipe
from kugetsu.runtime.worktree_setup.supplied import Supplied

OUTPUT = "setup.log"
"""The file in a run's folder that has the command's whole output."""
TAIL_BYTES = 4000
NOTE_LENGTH = 300
SHOWN_LENGTH = 60
"""Characters of a command line that are shown with its failure."""
SHORTEST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Place:
    """A checkout to make ready, and with what.

    ``source`` is the clone that it is made from, ``base_commit`` its commit of the base branch, ``supplied`` what that
    supplies and ``refused`` why it may not be used (`supplied.refusal`). ``output`` is the file for the command's
    output, ``paths`` are those of KUGETSU_DIR; ``environment`` is complete, ``nonce`` and ``held`` are a lease's
    (`command_line.run`); ``deadline`` is on the monotonic clock: no step goes on after it. ``step`` is called before
    each step and while the command runs; what it raises ends the set-up.
    """

    paths: Paths
    source: str
    worktree: str
    base_commit: str
    supplied: Supplied
    refused: str | None
    output: str
    environment: Mapping[str, str]
    nonce: str
    deadline: float
    grace: float
    most_bytes: int | None
    held: Sequence[int] = ()
    step: Callable[[], object] | None = None


@dataclass(slots=True)
class Outcome:
    """How it went, as `events.verification.WorktreeSetUp`: ``code`` is ``done``, or the step that failed."""

    code: str = "done"
    exit: int | None = None
    seconds: float = 0.0
    copied: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problem: str | None = None
    tail: str | None = None

    @property
    def done(self) -> bool:
        """Whether the checkout is ready."""
        return self.code == "done"

    def data(self, wanted: Recipe, supplied: Supplied, worktree: str) -> dict[str, Any]:
        """The data of `worktree.set_up`."""
        return {
            "worktree": worktree,
            "sha": wanted.sha,
            **({"supplied": supplied.sha} if supplied.sha is not None else {}),
            **({"lines": supplied.lines} if self.code == CHANGED else {}),
            "code": self.code,
            "command": wanted.command or None,
            "exit": self.exit,
            "seconds": round(self.seconds, 1),
            "copied": len(self.copied),
            "notes": [redact(note, limit=NOTE_LENGTH) for note in self.notes],
            **({"problem": redact(self.problem, limit=NOTE_LENGTH)} if self.problem is not None else {}),
        }


def make_ready(wanted: Recipe, place: Place, tell: Callable[[str, Outcome], object] | None = None) -> Outcome:
    """Do what a recipe says to a checkout; never raises for what goes wrong in it.

    ``tell(step, so_far)`` is called after each step: ``changed``, ``copy``, ``submodules``, ``large_files``,
    ``command``. The first that fails is the last.
    """
    began = time.monotonic()
    outcome = Outcome()
    for code, step in _STEPS.items():
        if place.step is not None:
            place.step()
        try:
            step(wanted, place, outcome)
        except (KugetsuError, OSError) as problem:
            hint = getattr(problem, "hint", None)
            outcome.code = "failed" if code == "command" else code
            outcome.problem = redact(f"{problem}" + (f" (hint: {hint})" if hint else ""))
        outcome.seconds = time.monotonic() - began
        if tell is not None:
            tell(code, outcome)
        if not outcome.done:
            break
    return outcome


def is_needed(wanted: Recipe, supplied: Supplied, worktree: str) -> bool:
    """Whether there may be anything to do in a worktree; for most repositories nothing, as a look at files tells."""
    if wanted.command or wanted.patterns or supplied.sha or (wanted.submodules and submodules.exist(worktree)):
        return True
    return large_files.uses_lfs(worktree)


def _require_accepted(wanted: Recipe, place: Place, outcome: Outcome) -> None:  # noqa: ARG001
    if place.refused is not None:
        raise KugetsuError(place.refused)


def _copy(wanted: Recipe, place: Place, outcome: Outcome) -> None:
    patterns = [*place.supplied.patterns, *wanted.patterns]
    copied = copying.copy(place.source, place.worktree, patterns)
    # The secrets in them are known before anything can print them.
    note_copied(place.paths, [f"{place.source}/{name}" for name in copied.names])
    outcome.copied = copied.names
    outcome.notes += copied.notes


def _check_out_submodules(wanted: Recipe, place: Place, outcome: Outcome) -> None:
    if wanted.submodules and submodules.exist(place.worktree):
        outcome.notes += submodules.check_out(place.source, place.worktree, place.base_commit, place.deadline)


def _fetch_large_files(wanted: Recipe, place: Place, outcome: Outcome) -> None:  # noqa: ARG001
    outcome.notes += large_files.fetch(place.worktree, place.base_commit, place.deadline)


def _run(wanted: Recipe, place: Place, outcome: Outcome) -> None:
    if not wanted.command:
        return
    work = set(changed_files(place.worktree))
    others = local_state.why_busy(place.worktree)
    try:
        _run_command(wanted, place, outcome)
    finally:
        others = others or local_state.why_busy(place.worktree)
        outcome.notes += _note_left(place.worktree, work, others)


def _note_left(worktree: str, work: set[str], others: list[str]) -> list[str]:
    """Note what the command left beside the ``work`` that was there before it; with ``others`` at work there it may be
    theirs."""
    names = [name for name in changed_files(worktree) if name not in work]
    if others:
        found = f"{counted(len(names), 'new or changed file')} beside {others[0]}: they count as uncommitted"
        return [f"WORKTREE_SETUP: {found}"] if names else []
    # What an earlier set-up left is still its own.
    if copies.note_left(worktree, sorted({*names, *copies.left(worktree)})):
        return []
    return [f"WORKTREE_SETUP leaves {counted(len(names), 'file')} that git does not ignore: they count as uncommitted"]


def _run_command(wanted: Recipe, place: Place, outcome: Outcome) -> None:
    seconds = max(min(wanted.minutes * 60, place.deadline - time.monotonic()), SHORTEST_SECONDS)
    ran = command_line.run(
        wanted.command,
        directory=place.worktree,
        output=place.output,
        environment=place.environment,
        nonce=place.nonce,
        seconds=seconds,
        grace=place.grace,
        most_bytes=place.most_bytes,
        held=place.held,
        step=place.step,
    )
    outcome.exit = ran.exit
    if ran.exit == 0:
        return
    outcome.code = "timed_out" if ran.why == "timed_out" else "failed"
    outcome.tail = tail(place.output)
    # The cause first: a long command line would push it out of a narrow screen.
    outcome.problem = _cause(outcome.tail) + how(ran, wanted.command, seconds)


def how(ran: command_line.Ran, line: str, limit: float) -> str:
    """How a command line that failed ended, for people."""
    line = redact(line)
    line = line if len(line) <= SHOWN_LENGTH else f"{line[: SHOWN_LENGTH - 1]}…"
    if ran.why == "timed_out":
        return f"{line} timed out after {limit:.0f} s"
    if ran.why == "output" or ran.exit is None:
        return f"{line} wrote more than MAX_OUTPUT_MB, and this file system cannot punch holes in files"
    return f"{line} failed (exit {ran.exit})" if ran.exit >= 0 else f"{line} was ended by signal {-ran.exit}"


def tail(path: str, most: int = TAIL_BYTES) -> str:
    """The end of a command's output, redacted; empty without any."""
    try:
        data, more = run_files.tail(path, most)
    except OSError:
        return ""
    return redact(CUT * more + data.replace(b"\0", b"").decode("utf-8", "replace")).strip()


def _cause(text: str) -> str:
    cause = error_lines.cause(text.splitlines())
    return f"{cause}; " if cause else ""


_STEPS: dict[str, Callable[[Recipe, Place, Outcome], None]] = {
    CHANGED: _require_accepted,
    "copy": _copy,
    "submodules": _check_out_submodules,
    "large_files": _fetch_large_files,
    "command": _run,
}
