"""Run VERIFY_COMMAND on a commit, in a clean checkout made ready as a worktree is: only what is committed counts.

What it says is bound to the commit, its tree, and the hash of the command and what makes the checkout ready, all of
them the user's. A base commit is verified once for each of these, whoever asks first; the others wait for the answer.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from kugetsu.domain import verification
from kugetsu.domain.decide import verification as decide
from kugetsu.domain.fold.sessions import base_key
from kugetsu.domain.results import AT_FAULT, UNVERIFIED
from kugetsu.domain.state import Session
from kugetsu.domain.worktree_setup import CHANGED
from kugetsu.host import run_files
from kugetsu.host.config import Config
from kugetsu.model.errors import KugetsuError, LogWriteFailed
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import error_window
from kugetsu.runtime.git import comparison, repositories, scratch
from kugetsu.runtime.process import command_line
from kugetsu.runtime.runner import surroundings
from kugetsu.runtime.verification import nothing_ran
from kugetsu.runtime.workspace import Workspace
from kugetsu.runtime.worktree_setup import making, recipe, supplied
from kugetsu.runtime.worktree_setup.recipe import Recipe

TAIL_LENGTH = 1500
READ_BYTES = 4_000_000
"""Of an output, its end: what is searched for errors, and for words that nothing ran."""
WHY_LENGTH = 300
REMEMBERED = ("passed", "failed", "timed_out", "nothing_ran")
"""What is remembered of a base commit; what kept it from being verified may pass."""
_UNRUNNABLE = {126: "not_executable", 127: "not_found"}
"""The exit codes of a shell that could not run a command (POSIX, Shell Command Language 2.8.2)."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the settings of a repository say of its verification: the ``command``, for how many ``seconds`` it may run,
    how its checkout is made ready; ``clone`` has its commits."""

    repository: str
    clone: str
    command: str
    seconds: float
    ready: Recipe

    @property
    def sha(self) -> str:
        """The hash of what is done."""
        done = json.dumps([self.command, self.ready.sha]).encode("utf-8", "surrogateescape")
        return hashlib.sha256(done).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Place:
    """For whom and where: the lease (its name, and its descriptor in this process, if any), the ``folder`` for outputs,
    the ``attempt``, ``step`` called with the output's file while it is made ready, waits and runs (what that raises
    ends it), ``begin`` with the commit before each run."""

    nonce: str
    folder: str
    held: int | None = None
    attempt: str | None = None
    step: Callable[[str], object] | None = None
    begin: Callable[[str], object] | None = None

    def stepping(self, output: str) -> Callable[[], object] | None:
        """``step`` for the file ``output``."""
        return None if self.step is None else partial(self.step, output)


def order_of(config: Config, repository: str, clone: str) -> Order | None:
    """The order of a repository's settings (`Workspace.config_of`); None without VERIFY_COMMAND."""
    command = config.text("VERIFY_COMMAND").strip()
    if not command:
        return None
    return Order(repository, clone, command, config.number("VERIFY_MINUTES") * 60, recipe.of(config))


def order_for(ws: Workspace, session: Session) -> Order | None:
    """The order for a session's work; None without VERIFY_COMMAND or a clone."""
    if session.repository is None or session.source is None:
        return None
    return order_of(ws.config_of(session.repository), session.repository, session.source)


def base_commit(order: Order, session: Session, head: str) -> str | None:
    """The commit of the base branch that the commit ``head`` of a session's work is from."""
    bases = comparison.refs_in(session.source, session.base_branch)
    return comparison.base_of(order.clone, head, bases, session.base_commit or "").commit


def of_commit(
    ws: Workspace, order: Order, commit: str, base: str | None, place: Place, name: str = "verify"
) -> tuple[dict[str, Any], str]:
    """What it says of a commit (`events.attempts.Verification`), and the end of its output. ``base`` is the commit of
    the base branch, ``name`` that of the output's file."""
    output = f"{place.folder}/{name}.log"
    found: dict[str, Any] = {"command": redact(order.command), "sha": order.sha, "commit": commit, "output": output}
    text = ""
    if place.begin is not None:
        place.begin(commit)
    try:
        found["tree"] = scratch.tree_of(order.clone, commit)
        with scratch.checkout(ws.paths, order.clone, commit, place.nonce, name) as path:
            for file in (output, f"{place.folder}/{name}-setup.log"):
                run_files.replace(file, b"")
            settings = _setting_up(ws, order, path, base or commit, place, name, output)
            made = making.make_ready(order.ready, settings)
            if made.code == CHANGED:
                raise KugetsuError(made.problem or made.code)
            if not made.done:
                why = redact(made.problem or made.code, limit=WHY_LENGTH)
                ended = {"code": "set_up_failed", "exit": made.exit, "seconds": round(made.seconds, 1), "why": why}
                return {
                    **found,
                    **ended,
                    "tail": made.tail,
                    "output": f"{place.folder}/{name}-setup.log",
                }, made.tail or ""
            ran = _run(ws, order, path, place, output)
            if place.step is not None:
                place.step(output)
            text = error_window.plain(making.tail(output, READ_BYTES))
    except (KugetsuError, OSError) as problem:
        return {**found, "code": "not_run", "why": redact(str(problem), limit=WHY_LENGTH)}, text
    return found | _outcome(ran, text) | {"tail": _last_lines(text)}, text


def _outcome(ran: command_line.Ran, text: str) -> dict[str, Any]:
    outcome: dict[str, Any] = {"exit": ran.exit, "seconds": round(ran.seconds, 1)}
    if ran.why == "timed_out":
        return {**outcome, "code": "timed_out"}
    if ran.why is not None:
        return {**outcome, "code": "failed", "why": "it wrote more than MAX_OUTPUT_MB"}
    if ran.exit in _UNRUNNABLE:
        return {
            **outcome,
            "code": _UNRUNNABLE[ran.exit],
            "why": redact(_last_lines(text).rpartition("\n")[2], limit=WHY_LENGTH),
        }
    program = nothing_ran.found(ran.exit, text)
    if program is not None:
        return {**outcome, "code": "nothing_ran", "why": program}
    return {**outcome, "code": "failed" if ran.exit else "passed"}


def of_work(ws: Workspace, order: Order, commit: str, base: str | None, place: Place) -> tuple[dict[str, Any], str]:
    """`of_commit`, and what the base commit says of it (`judged`)."""
    found, text = of_commit(ws, order, commit, base, place)
    if found["code"] in (*UNVERIFIED, *_UNRUNNABLE.values()):
        alone = found["code"] if found["code"] in _UNRUNNABLE.values() else ""
        said = of_base(ws, order, base, place)["code"] if base is not None and base != commit else alone
        found |= judged(found["code"], said, base)
    return found, text


def judged(code: str, base_code: str, base: str | None) -> dict[str, Any]:
    """What a verification of work that ended with ``code`` comes to, where that of its ``base`` said ``base_code``.

    Work is at fault if its base behaves otherwise. Where neither can be run or neither ends in time, the command is
    (`results.AT_FAULT`): nothing is known of either. Where a base that can be run fails, nothing shows that the work
    does.
    """
    if base_code == code and code in AT_FAULT:
        return {"code": AT_FAULT[code]}
    if base_code == "failed":
        return {"code": "base_failed", "why": base}
    return {"code": "failed"} if code in _UNRUNNABLE.values() else {}


def of_base(ws: Workspace, order: Order, commit: str, place: Place, *, again: bool = False) -> dict[str, Any]:
    """What it says of a base commit (`events.attempts.Verification`): what is remembered, unless ``again``, else it
    runs and is remembered.

    One that fails runs a second time before it is believed, once for each commit and command.
    """
    key = base_key(order.repository, commit, order.sha)
    # One that asks while another verifies it waits for that, and takes its answer; a killed one holds nothing.
    with repositories.locked(ws.paths, f"verify {key}", place.stepping(f"{place.folder}/verify.log")):
        known = ws.state().bases.get(key)
        if known is not None and not again and verification.is_believed(known, order.seconds):
            return {"code": known["code"], "commit": commit}
        while True:
            found, _ = of_commit(ws, order, commit, commit, place, "verify-base")
            recorded = found["code"] in REMEMBERED and _remember(ws, order, commit, found, place.attempt)
            known = ws.state().bases.get(key)
            if not recorded or known is None or verification.is_believed(known, order.seconds):
                return found


def _remember(ws: Workspace, order: Order, commit: str, found: dict[str, Any], attempt: str | None) -> bool:
    """Whether it is recorded: on a full disk it is not, and asked again some day."""
    said: dict[str, Any] = {name: found[name] for name in ("sha", "code", "exit", "seconds")}
    try:
        ws.log.transact(partial(decide.base, repository=order.repository, commit=commit, attempt_id=attempt, **said))
    except LogWriteFailed:
        return False
    return True


def _setting_up(
    ws: Workspace, order: Order, path: str, base: str, place: Place, name: str, output: str
) -> making.Place:
    found = supplied.of(order.clone, base, order.ready)
    if place.attempt is not None:
        supplied.trust_first(ws, order.repository, found, place.attempt)
    refused = supplied.refusal(ws, order.repository, order.clone, found)
    return making.Place(
        paths=ws.paths,
        source=order.clone,
        worktree=path,
        base_commit=base,
        supplied=found,
        refused=f"{refused} (hint: {supplied.remedy(order.repository, found.sha)})" if refused and found.sha else None,
        output=f"{place.folder}/{name}-setup.log",
        environment=_environment(ws, order, path, place),
        nonce=place.nonce,
        deadline=time.monotonic() + order.ready.minutes * 60,
        grace=ws.config.number("KILL_GRACE_SECONDS"),
        most_bytes=surroundings.most_output(ws),
        held=() if place.held is None else (place.held,),
        step=place.stepping(output),
    )


def _run(ws: Workspace, order: Order, path: str, place: Place, output: str) -> command_line.Ran:
    return command_line.run(
        order.command,
        directory=path,
        output=output,
        environment=_environment(ws, order, path, place),
        nonce=place.nonce,
        seconds=order.seconds,
        grace=ws.config.number("KILL_GRACE_SECONDS"),
        most_bytes=surroundings.most_output(ws),
        held=() if place.held is None else (place.held,),
        step=place.stepping(output),
    )


def _environment(ws: Workspace, order: Order, path: str, place: Place) -> dict[str, str]:
    return surroundings.of_command(ws, path, place.attempt, secrets=order.ready.secrets)


def _last_lines(text: str) -> str:
    """The last lines of an output: `TAIL_LENGTH` characters at most, in whole lines if there are some."""
    end = text.rstrip()[-TAIL_LENGTH:]
    whole = end.partition("\n")[2]
    return whole if whole and len(text.rstrip()) > TAIL_LENGTH else end
