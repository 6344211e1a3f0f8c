"""How an attempt ended: from the process's end, the agent's files, git and the forge."""

from __future__ import annotations

import os
from typing import Any

import orjson

from kugetsu.agents.commands import Command
from kugetsu.agents.outcome import Outcome, sentence
from kugetsu.domain import task_options
from kugetsu.domain.facts import Ending
from kugetsu.domain.results import uncommitted
from kugetsu.domain.state import Attempt, Session, State
from kugetsu.host import run_files
from kugetsu.model import result_words
from kugetsu.model.clock import seconds_between
from kugetsu.model.errors import (
    BadInput,
)
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import host_id, pull_opening
from kugetsu.runtime.git import refused_push
from kugetsu.runtime.runner import agent_records, run_evidence, worktree_end
from kugetsu.runtime.runner.spawn import Ended
from kugetsu.runtime.runner.supervisor import HOST_LEASE, TERMINATED
from kugetsu.runtime.verification import of_attempt
from kugetsu.runtime.verification.of_attempt import Checked
from kugetsu.runtime.workspace import Workspace

#: What a checkup prints is far shorter.
CHECKUP_BYTES = 65536

#: Characters of the PM agent's answer that the summary of its task holds; `kugetsu logs` has all of it.
ANSWER_LENGTH = 500

_VERDICTS = {
    "succeeded": ("succeed", "done"),
    "incomplete": ("fail", "retry"),
    "retryable": ("fail", "retry"),
    "unavailable": ("fail", "unavailable"),
    "limited": ("fail", "limited"),
    "failed": ("fail", "give_up"),
}


CUT_OFF = "stopped: this host was cut off from the shared log, and its tasks were about to be given away"
"""Why an attempt ends before its host may be lost."""


def ending_of(ws: Workspace, attempt: Attempt, ended: Ended, *, by_runner: bool = False) -> Ending:
    """How the attempt ended. ``by_runner``: verify its work, ask for its pull request and, if the clone cannot tell,
    whether it was pushed.

    That holds the slot for VERIFY_MINUTES, and for FORGE_TIMEOUT_SECONDS if a forge does not answer: acceptable for a
    runner, not for reconciliation.
    """
    folder = ws.paths.run(attempt.id)
    outcome = agent_records.outcome_of(ws, attempt, ended.exit_code, ended.signal, _ran_for(attempt, ended))
    how, verdict, reason, resets_at = _meaning(ws.state(), attempt, ended, outcome, folder)
    session = host_id.session_here(ws, attempt.session)
    agent_records.put_back(ws, attempt)
    unlocked = "" if ended.leftover else worktree_end.clear_locks(ws, attempt, session)
    commands = agent_records.commands_of(ws, attempt, ended.exit_code)
    evidence = run_evidence.of_worktree(session, ask_remote=by_runner)
    evidence |= run_evidence.of_run(ws, attempt, session, commands, ended.ended_at)
    claims = agent_records.claims_of(outcome)
    checked = _checked(ws, attempt, session, claims, evidence, ended, by_runner) if verdict == "done" else None
    if checked is not None:
        evidence["verification"] = checked.found
        if checked.cancelled:
            how, verdict, reason = "kill", "cancelled", "cancelled while its work was verified"
    elif of_attempt.asked(ws, session, evidence):
        evidence["to_verify"] = True
    if by_runner:
        evidence |= run_evidence.of_forge(ws, session, attempt.running_at or attempt.claimed_at, commands)
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
        ending.rescue, ending.rescue_failed = worktree_end.keep_work(session, attempt.id)
    ending.reason += unlocked + _beside(folder, ended, evidence)
    return ending


def late_ending_of(ws: Workspace, attempt: Attempt, ended: Ended) -> Ending:
    """How an attempt ended whose task was given away meanwhile, and what it used. Its worktree is not looked at:
    another attempt may be at work in it, or another host has the session."""
    outcome = agent_records.outcome_of(ws, attempt, ended.exit_code, ended.signal, _ran_for(attempt, ended))
    how, verdict, reason, _ = _meaning(ws.state(), attempt, ended, outcome, ws.paths.run(attempt.id))
    return Ending(
        how,
        verdict,
        redact(reason),
        exit=ended.exit_code,
        signal=ended.signal,
        tokens=outcome.tokens.total if outcome.tokens is not None else 0,
        cost=outcome.cost or 0.0,
    )


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
    if stopped == HOST_LEASE:
        return "kill", "retry", CUT_OFF, None
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
