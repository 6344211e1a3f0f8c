"""Which of a turn's tool calls were refused by a permission, and what that makes of the turn.

opencode refuses in three ways: a tool that is denied altogether is not offered, and a call of it is "invalid"; a rule
that denies makes the call an error that quotes the rules; what must be asked for is rejected, because nobody answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import orjson

from kugetsu.agents.opencode.config import PERMISSIONS, Settings
from kugetsu.agents.outcome import Kind, Outcome, sentence

DENIED = "The user has specified a rule which prevents you from using this specific tool call."
_REJECTED = "The user rejected permission to use this specific tool call"
_NOT_OFFERED = "Model tried to call unavailable tool"

_RULE = re.compile(r"\{[^{}]*\}")
_LOOP = "doom_loop"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A permission that refused calls, and the pattern of its rule where opencode named one."""

    permission: str
    pattern: str = "*"
    asked: bool = False
    """It had to be asked for, and nobody answers. opencode then names the permission on stderr only."""


def of_call(part: Mapping[str, Any]) -> Refusal | None:
    """Why a tool call was refused (``part`` of a ``tool_use`` event); None when no permission refused it."""
    state = part.get("state")
    state = state if isinstance(state, dict) else {}
    tool = str(part.get("tool"))
    if tool == "invalid":
        given = state.get("input")
        given = given if isinstance(given, dict) else {}
        permission = PERMISSIONS.get(str(given.get("tool")))
        return Refusal(permission) if permission and str(given.get("error")).startswith(_NOT_OFFERED) else None
    return of_message(str(state.get("error")), tool) if state.get("status") == "error" else None


def of_message(message: str, tool: str = "") -> Refusal | None:
    """Why a call was refused, from opencode's error message; None when it is about something else."""
    if message.startswith(DENIED):
        rules = _rules(message)
        denying = [rule for rule in rules if rule.get("action") == "deny"]
        if denying:
            return Refusal(str(denying[-1].get("permission")), str(denying[-1].get("pattern") or "*"))
        return Refusal(PERMISSIONS.get(tool, tool or "unknown"))
    return Refusal(PERMISSIONS.get(tool, tool or "unknown"), asked=True) if message.startswith(_REJECTED) else None


def _rules(message: str) -> list[dict[str, Any]]:
    """The rules that the message quotes, the one that decides last; the message may have been cut."""
    rules = []
    for text in _RULE.findall(message.partition("\n")[0]):
        with suppress(orjson.JSONDecodeError):
            rules.append(orjson.loads(text))
    return rules


def applied(
    outcome: Outcome, refused: Mapping[Refusal, int], calls: int, rejected: list[str], where: Settings
) -> Outcome:
    """The outcome with what was refused: a turn all of whose ``calls`` were refused failed, another has a note.

    ``rejected``: what stderr says was asked for, such as ``bash (git push)``.
    """
    ended_by = of_message(str(outcome.error)) if outcome.details.get("error") else None
    if ended_by is not None:
        return _ended_by(outcome, ended_by, rejected, where)
    count = sum(refused.values())
    if not count:
        return outcome
    named = [_asked_for(refusal, rejected) for refusal in refused]
    causes = "; ".join(dict.fromkeys(f"{_words(one)} ({where.deciding(one.permission)})" for one in named))
    details = {**outcome.details, "tools": calls, "refused": count}
    if count == calls and outcome.kind in (Kind.SUCCEEDED, Kind.INCOMPLETE):
        reason = sentence(f"permissions refused every tool call: {causes}")
        return replace(outcome, kind=Kind.FAILED, reason=reason, details=details)
    note = sentence(f"permissions refused {count} of {calls} tool calls: {causes}")
    return replace(outcome, notes=(*outcome.notes, note), details=details)


def _ended_by(outcome: Outcome, refusal: Refusal, rejected: list[str], where: Settings) -> Outcome:
    refusal = _asked_for(refusal, rejected)
    decides = where.deciding(refusal.permission)
    if refusal.permission == _LOOP:
        # Another answer may not repeat itself, so another attempt may help.
        reason = f"the model repeated one tool call three times in an answer, which {decides} forbids"
        return replace(outcome, kind=Kind.RETRYABLE, reason=sentence(reason))
    reason = f"a permission ended the turn: {_words(refusal)} ({decides})"
    return replace(outcome, kind=Kind.FAILED, reason=sentence(reason))


def _asked_for(refusal: Refusal, rejected: list[str]) -> Refusal:
    """The refusal with the permission that was asked for: reading a file may ask for ``external_directory``."""
    if not refusal.asked or not rejected:
        return refusal
    same = [asked for asked in rejected if asked.partition(" (")[0] == refusal.permission]
    name, _, pattern = (same or rejected)[-1].partition(" (")
    return Refusal(name, pattern.removesuffix(")") or "*")


def _words(refusal: Refusal) -> str:
    return refusal.permission if refusal.pattern == "*" else f"{refusal.permission} {refusal.pattern}"
