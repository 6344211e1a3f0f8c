"""How an attempt ended: from the process's end, the agent's files, git and the forge."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from kugetsu.agents import choose, output_file
from kugetsu.agents import protocol as agents
from kugetsu.agents.commands import Command
from kugetsu.agents.outcome import Outcome, sentence
from kugetsu.agents.protocol import Agent
from kugetsu.domain import task_options
from kugetsu.domain.facts import Ending
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.results import uncommitted
from kugetsu.domain.state import Attempt, Session, State
from kugetsu.host import run_files
from kugetsu.model import clock, result_words
from kugetsu.model.clock import seconds_between
from kugetsu.model.errors import (
    BadInput,
    KugetsuError,
    LogWriteFailed,
)
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import answers, pull_opening, pull_requests
from kugetsu.runtime.env_files import values
from kugetsu.runtime.git import comparison, elsewhere, integrity, locks, refused_push, rescue
from kugetsu.runtime.git import evidence as git_evidence
from kugetsu.runtime.git.changes import changed_files
from kugetsu.runtime.runner import findings, temp_folders
from kugetsu.runtime.runner.spawn import Ended
from kugetsu.runtime.runner.supervisor import TERMINATED
from kugetsu.runtime.verification import of_attempt
from kugetsu.runtime.verification.of_attempt import Checked
from kugetsu.runtime.workspace import Workspace

#: What a checkup prints is far shorter.
CHECKUP_BYTES = 65536

#: Characters of the PM agent's answer that the summary of its task holds; `kugetsu logs` has all of it.
ANSWER_LENGTH = 500

#: Characters of the reason why a rescue failed that the attempt's end keeps.
RESCUE_REASON_LENGTH = 300

_VERDICTS = {
    "succeeded": ("succeed", "done"),
    "incomplete": ("fail", "retry"),
    "retryable": ("fail", "retry"),
    "unavailable": ("fail", "unavailable"),
    "limited": ("fail", "limited"),
    "failed": ("fail", "give_up"),
}


def ending_of(ws: Workspace, attempt: Attempt, ended: Ended, *, by_runner: bool = False) -> Ending:
    """How the attempt ended. ``by_runner``: verify its work, ask for its pull request and, if the clone cannot tell,
    whether it was pushed.

    That holds the slot for VERIFY_MINUTES, and for FORGE_TIMEOUT_SECONDS if a forge does not answer: acceptable for a
    runner, not for reconciliation.
    """
    folder = ws.paths.run(attempt.id)
    outcome = outcome_of(ws, attempt, ended.exit_code, ended.signal, _ran_for(attempt, ended))
    how, verdict, reason, resets_at = _meaning(ws.state(), attempt, ended, outcome, folder)
    session = ws.state().sessions.get(attempt.session)
    put_back(ws, attempt)
    unlocked = "" if ended.leftover else clear_locks(ws, attempt, session)
    commands = commands_of(ws, attempt, ended.exit_code)
    evidence = evidence_of(session, ask_remote=by_runner) | of_run(ws, attempt, session, commands, ended.ended_at)
    claims = claims_of(outcome)
    checked = _checked(ws, attempt, session, claims, evidence, ended, by_runner) if verdict == "done" else None
    if checked is not None:
        evidence["verification"] = checked.found
        if checked.cancelled:
            how, verdict, reason = "kill", "cancelled", "cancelled while its work was verified"
    if by_runner:
        evidence |= of_forge(ws, session, attempt.running_at or attempt.claimed_at, commands)
    if verdict == "done" and (unknown := _unknown(session, evidence)) is not None:
        how, verdict, reason = "fail", "retry", unknown
    if verdict == "retry" and _refused_last(commands, ended, evidence):
        # The same commits would be refused again.
        verdict, reason = "give_up", f"push refused by the server: {reason}"
    ending = Ending(
        how,
        verdict,
        redact(reason),  # it quotes the agent's last words
        outcome=claims,
        evidence=evidence,
        exit=ended.exit_code,
        signal=ended.signal,
        tokens=outcome.tokens.total if outcome.tokens is not None else 0,
        cost=outcome.cost or 0.0,
        resets_at=resets_at,
        session_lost=outcome.session_lost,
        gate=outcome.gate,
        remedy=outcome.remedy,
        failed_check=checked.feedback if checked is not None else None,
    )
    if verdict == "done":
        ending.opening = pull_opening.intent_of(ws, ws.state(), session, evidence, attempt.task, attempt.claimed_at)
    if verdict == "done" and session is not None and session.kind == "pm":
        # It changes no repository, so there is no evidence: its answer is the result.
        ending.reason = sentence(str(ending.outcome["final_text"]), ANSWER_LENGTH) or "done"
    elif verdict == "done":
        ending.reason = "; ".join([summary(evidence), *outcome.notes])
    else:
        ending.rescue, ending.rescue_failed = keep_work(session, attempt.id)
    ending.reason += unlocked + _beside(folder, ended, evidence)
    return ending


def _checked(
    ws: Workspace,
    attempt: Attempt,
    session: Session | None,
    claims: dict[str, Any],
    evidence: dict[str, Any],
    ended: Ended,
    by_runner: bool,
) -> Checked | None:
    """The verification of the committed work; None where there is nothing to verify."""
    order = of_attempt.wanted(ws, session, claims, evidence)
    if order is None or session is None:
        return None
    head = str(evidence["head"])
    if not by_runner or ended.leftover:
        return of_attempt.not_run(order, head, "processes_left" if ended.leftover else "runner_killed")
    return of_attempt.verify(ws, attempt, session, order, head)


def _beside(folder: str, ended: Ended, evidence: dict[str, Any]) -> str:
    """A suffix for the reason: what the end of the run left or repaired beside its work."""
    text = _unreadable(folder)
    if "repaired" in evidence:
        text += f"; of its worktree, {evidence['repaired']}: repaired"
    if ended.leftover:
        left = "an unknown number" if ended.leftover < 0 else str(ended.leftover)
        text += f"; {left} of its processes could not be ended"
    return text


def outcome_of(
    ws: Workspace,
    attempt: Attempt,
    exit_code: int | None = None,
    signal: int | None = None,
    seconds: float | None = None,
) -> Outcome:
    """What the agent's own files and store show of the attempt, however it ended."""
    folder = ws.paths.run(attempt.id)
    output, errors = os.path.join(folder, "output.jsonl"), os.path.join(folder, "stderr.log")
    outcome = _agent(ws, attempt).outcome(_as_ended(ws, attempt, exit_code, signal, seconds))
    dropped = output_file.left_out(output) + output_file.left_out(errors)
    if not dropped:
        return outcome
    note = f"{dropped / 1e6:.1f} MB of its output dropped (MAX_OUTPUT_MB)"
    return replace(outcome, notes=(*outcome.notes, note), details={**outcome.details, "output_dropped": dropped})


def _as_ended(
    ws: Workspace,
    attempt: Attempt,
    exit_code: int | None = None,
    signal: int | None = None,
    seconds: float | None = None,
) -> agents.Ended:
    folder = ws.paths.run(attempt.id)
    session = ws.state().sessions.get(attempt.session)
    return agents.Ended(
        session=attempt.agent_session or (session.agent_session if session is not None else None) or "",
        output=os.path.join(folder, "output.jsonl"),
        errors=os.path.join(folder, "stderr.log"),
        exit_code=exit_code,
        signal=signal,
        directory=(session.worktree if session is not None else None) or "",
        seconds=seconds,
    )


def put_back(ws: Workspace, attempt: Attempt) -> None:
    """Undo what the agent's program itself wrote into the worktree: it is nobody's work."""
    session = ws.state().sessions.get(attempt.session)
    if session is None or session.kind != "issue" or session.worktree is None:
        return
    with contextlib.suppress(KugetsuError, OSError):  # what git cannot tell stays as it is
        changed = changed_files(session.worktree)
        if changed:
            output = os.path.join(ws.paths.run(attempt.id), "output.jsonl")
            _agent(ws, attempt).put_back(session.worktree, output, changed)


def _unreadable(folder: str) -> str:
    """A suffix for the reason: what of the agent's output could not be read, so nothing of it was counted."""
    problems = [run_files.problem(os.path.join(folder, name)) for name in ("output.jsonl", "stderr.log")]
    return "".join(f"; {problem}" for problem in problems if problem)


def _ran_for(attempt: Attempt, ended: Ended) -> float | None:
    """Wall-clock seconds between the agent's start and its end; None if unknown."""
    if attempt.running_at is None:
        return None
    try:
        return seconds_between(attempt.running_at, ended.ended_at)
    except BadInput:
        return None


def _agent(ws: Workspace, attempt: Attempt) -> Agent:
    """The agent that worked, even if the settings changed or its env file broke since: an ended attempt must be
    recorded."""
    texts = ws.config_of(attempt.issue).texts()
    session = ws.state().sessions.get(attempt.session)
    if session is not None and session.agent is not None:
        texts["KUGETSU_AGENT"] = session.agent
    return choose(texts, {**ws.environment, **_env_file(ws, attempt)})


def _env_file(ws: Workspace, attempt: Attempt) -> dict[str, str]:
    try:
        return values(ws.paths, attempt.kind)
    except BadInput as problem:
        print(problem, file=sys.stderr)
        return {}


def _meaning(
    state: State, attempt: Attempt, ended: Ended, outcome: Outcome, folder: str
) -> tuple[str, str, str, str | None]:
    """The machine's trigger, the verdict for the task, the reason, and a usage limit's reset time."""
    stopped = ended.stopped or attempt.stop
    if ended.stopped == TERMINATED and attempt.stop is not None:
        stopped = attempt.stop  # the supervisor saw the signal, and no file with the reason
    # An agent that was told to stop may exit with code 0: obeying is not success. One that ended
    # by itself, while a stop was only requested, may have finished.
    if stopped is None or (ended.stopped is None and outcome.kind == "succeeded"):
        how, verdict = _VERDICTS[str(outcome.kind)]
        reason = _with_reset(outcome.reason, outcome.resets_at) if verdict == "limited" else outcome.reason
        return how, verdict, reason, outcome.resets_at
    if stopped == "cancel":
        return "kill", "cancelled", "cancelled", None
    seen = _checkup(folder)
    if stopped == "timeout":
        return "time_out", "retry", f"stopped at its time limit ({task_options.timeout_name(state, attempt)})", None
    if stopped == "limit":
        resets_at = seen.get("resets_at")
        return "fail", "limited", _with_reset(str(seen.get("message") or "usage limit"), resets_at), resets_at
    if stopped == "output":
        text = "stopped: it wrote more than MAX_OUTPUT_MB, and this file system cannot punch holes in files"
        return "fail", "give_up", text, None
    if stopped == "stall":
        minutes = float(seen.get("quiet_seconds") or 0) / 60
        text = f"stalled: no output for {minutes:.0f} min ({seen.get('message') or 'no sign of progress'})"
        return "fail", "retry", text, None
    return "kill", "retry", f"stopped from outside ({stopped})", None


def _with_reset(reason: str, resets_at: str | None) -> str:
    """The reason of a park; it says when the pause is kugetsu's own."""
    return reason if resets_at is not None else f"{reason} (no reset time known: USAGE_LIMIT_PAUSE_MINUTES)"


def _checkup(folder: str) -> dict[str, Any]:
    try:
        seen = orjson.loads(run_files.read(os.path.join(folder, "checkup.json"), CHECKUP_BYTES))
    except (OSError, orjson.JSONDecodeError):
        return {}
    return seen if isinstance(seen, dict) else {}


def claims_of(outcome: Outcome) -> dict[str, Any]:
    """The agent's claims, kept apart from the evidence; redacted, because it quotes output."""
    return {
        "kind": str(outcome.kind),
        "reason": redact(outcome.reason),
        "final_text": redact(outcome.final_text),
        "error": redact(outcome.error),
        "tokens": outcome.tokens.as_dict() if outcome.tokens is not None else None,
        "cost": outcome.cost,
        "details": outcome.details,
    } | ({"notes": [redact(note) for note in outcome.notes]} if outcome.notes else {})


def evidence_of(session: Session | None, *, ask_remote: bool = False) -> dict[str, Any]:
    """What git shows of the session's worktree, after repairing it; empty without one. ``ask_remote``: see
    `collect`."""
    if session is None or session.kind != "issue" or session.worktree is None:
        return {}
    repaired = integrity.repair(session.source, session.worktree)
    seen = git_evidence.collect(
        session.worktree,
        session.base_commit or "",
        session.branch or "",
        repository_path=session.source,
        bases=comparison.refs_in(session.source, session.base_branch),
        ask_remote=ask_remote,
    )
    return seen.as_data() | ({"repaired": repaired} if repaired is not None else {})


def commands_of(ws: Workspace, attempt: Attempt, exit_code: int | None = None) -> list[Command]:
    """The commands that the agent ran (`Agent.commands`); none if its program's records cannot be read."""
    try:
        return _agent(ws, attempt).commands(_as_ended(ws, attempt, exit_code))
    except (KugetsuError, OSError):
        return []


def of_run(
    ws: Workspace, attempt: Attempt, session: Session | None, commands: list[Command], ended_at: str | None = None
) -> dict[str, Any]:
    """What the run's own files show, and what was known before it: ``findings`` (a path), ``refused_push``,
    ``elsewhere`` (another checkout in which it committed), ``head_before``, ``comments_before``."""
    if session is None or session.kind != "issue":
        return {}
    found: dict[str, Any] = {
        "head_before": session.head,
        "comments_before": session.comments,
        "findings": findings.written(ws.paths, attempt.id),
        "refused_push": refused_push.find(commands),
        "elsewhere": _elsewhere(ws, attempt, session, commands, ended_at),
    }
    return {name: value for name, value in found.items() if value is not None}


def _elsewhere(
    ws: Workspace, attempt: Attempt, session: Session, commands: list[Command], ended_at: str | None
) -> str | None:
    if session.worktree is None or attempt.running_at is None:
        return None
    state = ws.state()
    issues = [one for one in state.sessions.values() if one.kind == "issue" and one.key != session.key]
    others = [one.worktree for one in issues if one.worktree is not None]
    try:
        began, ended = (clock.parse(at) / 1e6 for at in (attempt.running_at, ended_at or clock.now()))
    except BadInput:
        return None
    recorded = any(command.line for command in commands)
    if not recorded and any(one.id != attempt.id and one.kind == attempt.kind for one in state.attempts.values()):
        return None  # nothing shows which of the runs it was
    passing = temp_folders.left(ws.paths, attempt.id)
    return elsewhere.checkout_of(session.worktree, began, ended, commands, others=others, passing=passing)


def _unknown(session: Session | None, evidence: dict[str, Any]) -> str | None:
    """Why the result of a successful run is unknown; None where git could be asked.

    A worktree that the agent removed is known by its branch's commits; what else was in it is not.
    """
    if session is not None and session.kind == "pm":
        return None
    commits, files = evidence.get("commits"), evidence.get("dirty")
    if commits is not None and (files is not None or (commits and not evidence.get("exists"))):
        return None
    return f"its work is unknown: {evidence.get('problem') or 'its session has no worktree'}"


def _refused_last(commands: list[Command], ended: Ended, evidence: dict[str, Any]) -> bool:
    """Whether a program that failed by itself did so with a push that the server refused: its last command."""
    if not ended.exit_code or ended.stopped is not None or not evidence.get("commits") or evidence.get("pushed"):
        return False
    return "refused_push" in evidence and refused_push.find(commands[-1:]) is not None


def of_forge(ws: Workspace, session: Session | None, began: str, commands: Sequence[Command] = ()) -> dict[str, Any]:
    """The pull request and the comments on the issue's forge; {} where it may not be contacted. The work began at
    ``began`` and ran these ``commands``."""
    if ws.config.text("KUGETSU_FORGE") == "off" or session is None or session.key.startswith("local/"):
        return {}

    return pull_requests.evidence(ws, session, began, posted=answers.posts(commands))


def clear_locks(ws: Workspace, attempt: Attempt, session: Session | None) -> str:
    """Remove the locks that killed gits left in the worktree of an ended attempt: the next one could not commit.
    Returns a suffix for the reason; the removal is an event too."""
    if session is None or session.kind != "issue" or session.worktree is None:
        return ""
    names = []
    about: dict[str, Any] = {"issue": attempt.issue, "task": attempt.task, "attempt": attempt.id}
    try:
        for lock in locks.of_worktree(session.worktree, session.branch):
            # First the event: what cannot be recorded is not done.
            data = {"path": lock.path, "age_seconds": round(lock.age, 1)}
            ws.log.append([NewEvent("lock.removed", data, cause=attempt.claimed, **about)])
            if lock.remove():
                names.append(os.path.basename(lock.path))
    except (LogWriteFailed, OSError) as problem:
        print(f"a lock of a dead git stays: {problem}", file=sys.stderr)
    return f"; removed locks of a killed git: {', '.join(names)}" if names else ""


def keep_work(session: Session | None, name: str) -> tuple[str | None, str | None]:
    """Put every uncommitted or unpushed byte of a failed attempt on a rescue branch.

    Returns the branch, None if there is nothing to keep; and why that failed.
    """
    if session is None or session.kind != "issue" or session.worktree is None:
        return None, None
    path = session.worktree
    if not integrity.holds_files(path):
        return None, None
    try:
        integrity.repair(session.source, path)
        fault = integrity.fault(session.source, path)
        if fault is not None:
            return None, f"{path} is no longer its worktree: {fault}"
        kept = rescue.rescue(path, name, branch=session.branch or "")
        return (kept.branch if kept is not None else None), None
    except (KugetsuError, OSError) as problem:
        print(f"no rescue branch: {problem}", file=sys.stderr)
        return None, redact(str(problem), limit=RESCUE_REASON_LENGTH)


def summary(evidence: dict[str, Any]) -> str:
    """The result of a run, from evidence that has commits (see `_unknown`)."""
    commits = evidence["commits"]
    parts = [f"{commits} commit{'' if commits == 1 else 's'}" if commits else "no commit"]
    loose = uncommitted(evidence)
    if loose is None:
        parts.append("its worktree was removed")
    elif loose:
        parts.append(f"{loose} uncommitted file{'' if loose == 1 else 's'}")
    if commits:
        words = {True: "pushed", False: "not pushed", None: "unknown whether pushed"}
        refused = evidence.get("refused_push") if not evidence.get("pushed") else None
        parts.append("push refused by the server" if refused else words[evidence.get("pushed")])
    if evidence.get("verification"):
        parts.append(result_words.verification(evidence["verification"]))
    pull = evidence.get("pull")
    if pull:
        parts.append(f"pull request #{pull['number']} {pull['state']}")
        if pull.get("later"):
            parts.append(
                f"{pull['later']} commit{'' if pull['later'] == 1 else 's'} after the merge in no pull request"
            )
    return ", ".join(parts)
