"""What the files and the store of an agent's program show of an attempt: its outcome, its commands, what the program
itself wrote into the worktree. The agent is the one that worked, whatever the settings say now."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from typing import Any

from kugetsu.agents import choose, output_file
from kugetsu.agents import protocol as agents
from kugetsu.agents.commands import Command
from kugetsu.agents.outcome import Outcome
from kugetsu.agents.protocol import Agent
from kugetsu.domain.state import Attempt, Session
from kugetsu.model.errors import BadInput, KugetsuError
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import host_id, log_lines
from kugetsu.runtime.env_files import values
from kugetsu.runtime.git.changes import changed_files
from kugetsu.runtime.workspace import Workspace


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


def commands_of(ws: Workspace, attempt: Attempt, exit_code: int | None = None) -> list[Command]:
    """The commands that the agent ran (`Agent.commands`); none if its program's records cannot be read."""
    try:
        return _agent(ws, attempt).commands(_as_ended(ws, attempt, exit_code))
    except (KugetsuError, OSError):
        return []


def commands_of_run(ws: Workspace, session: Session, run: str) -> list[Command]:
    """As `commands_of`, of an ended attempt of the session by its id: the state may have forgotten it."""
    try:
        ended = _ended(ws, session, run, session.agent_session)
        return _agent_of(ws, session.key, session, "dev").commands(ended)
    except (KugetsuError, OSError):  # the files may be gone by now
        return []


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


def put_back(ws: Workspace, attempt: Attempt) -> None:
    """Undo what the agent's program itself wrote into the worktree: it is nobody's work."""
    session = host_id.session_here(ws, attempt.session)
    if session is None or session.kind != "issue" or session.worktree is None:
        return
    with contextlib.suppress(KugetsuError, OSError):  # what git cannot tell stays as it is
        changed = changed_files(session.worktree)
        if changed:
            output = os.path.join(ws.paths.run(attempt.id), "output.jsonl")
            _agent(ws, attempt).put_back(session.worktree, output, changed)


def _as_ended(
    ws: Workspace,
    attempt: Attempt,
    exit_code: int | None = None,
    signal: int | None = None,
    seconds: float | None = None,
) -> agents.Ended:
    session = host_id.session_here(ws, attempt.session)
    name = attempt.agent_session or (session.agent_session if session is not None else None)
    return replace(_ended(ws, session, attempt.id, name), exit_code=exit_code, signal=signal, seconds=seconds)


def _ended(ws: Workspace, session: Session | None, run: str, name: str | None) -> agents.Ended:
    folder = ws.paths.run(run)
    return agents.Ended(
        session=name or "",
        output=os.path.join(folder, "output.jsonl"),
        errors=os.path.join(folder, "stderr.log"),
        directory=(session.worktree if session is not None else None) or "",
    )


def _agent(ws: Workspace, attempt: Attempt) -> Agent:
    return _agent_of(ws, attempt.issue, ws.state().sessions.get(attempt.session), attempt.kind)


def _agent_of(ws: Workspace, issue: str | None, session: Session | None, kind: str) -> Agent:
    """The agent that worked, even if the settings changed or its env file broke since: an ended attempt must be
    recorded."""
    texts = ws.config_of(issue).texts()
    if session is not None and session.agent is not None:
        texts["KUGETSU_AGENT"] = session.agent
    return choose(texts, {**ws.environment, **_env_file(ws, kind)})


def _env_file(ws: Workspace, kind: str) -> dict[str, str]:
    try:
        return values(ws.paths, kind)
    except BadInput as problem:
        log_lines.note(str(problem))
        return {}
