"""Which of a turn's tool calls were refused by a permission, and which setting decides that.

opencode refuses in three ways: a tool that is denied altogether is not offered, and a call of it is "invalid"; a rule
that denies makes the call an error that quotes the rules; what must be asked for is rejected, because nobody answers.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from kugetsu.agents.outcome import Kind, Outcome, sentence

DENIED = "The user has specified a rule which prevents you from using this specific tool call."
_REJECTED = "The user rejected permission to use this specific tool call"
_NOT_OFFERED = "Model tried to call unavailable tool"
_NAMESAKES = ("edit", "bash", "read", "glob", "grep", "list", "task", "webfetch", "websearch", "todowrite", "skill")
_PERMISSIONS = dict.fromkeys(("write", "patch", "apply_patch", "multiedit"), "edit") | {
    name: name for name in _NAMESAKES
}
"""The permission that decides about each of opencode's own tools."""

_RULE = re.compile(r"\{[^{}]*\}")
_LOOP = "doom_loop"
_OWN_DEFAULTS = ("external_directory",)
"""Permissions that kugetsu denies where the user's configuration does not name them."""
_CONFIG_NAMES = ("opencode.jsonc", "opencode.json", "config.json")
_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/|,(?=\s*[}\]])', re.S)


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
        permission = _PERMISSIONS.get(str(given.get("tool")))
        return Refusal(permission) if permission and str(given.get("error")).startswith(_NOT_OFFERED) else None
    return of_message(str(state.get("error")), tool) if state.get("status") == "error" else None


def of_message(message: str, tool: str = "") -> Refusal | None:
    """Why a call was refused, from opencode's error message; None when it is about something else."""
    if message.startswith(DENIED):
        rules = _rules(message)
        denying = [rule for rule in rules if rule.get("action") == "deny"]
        if denying:
            return Refusal(str(denying[-1].get("permission")), str(denying[-1].get("pattern") or "*"))
        return Refusal(_PERMISSIONS.get(tool, tool or "unknown"))
    return Refusal(_PERMISSIONS.get(tool, tool or "unknown"), asked=True) if message.startswith(_REJECTED) else None


def _rules(message: str) -> list[dict[str, Any]]:
    """The rules that the message quotes, the one that decides last; the message may have been cut."""
    rules = []
    for text in _RULE.findall(message.partition("\n")[0]):
        with suppress(orjson.JSONDecodeError):
            rules.append(orjson.loads(text))
    return rules


class Settings:
    """The user's and the project's configuration of opencode, the file that has the last word first."""

    def __init__(self, environment: Mapping[str, str], directory: str) -> None:
        self._environment = environment
        self._directory = directory

    def deciding(self, refusal: Refusal) -> str:
        """The setting that decides about a permission, for people: its key, and the file that sets it."""
        name = refusal.permission
        for place, config in self._layers():
            key = _key(config, name)
            if key is not None:
                return f"{key} in {place}"
        if name in _OWN_DEFAULTS:
            return f"kugetsu's default; permission.{name} in an opencode.json overrides it"
        return f"opencode's default; permission.{name} in an opencode.json overrides it"

    def names(self, permission: str) -> bool:
        """Whether any of the files has a rule for a permission."""
        return any(_key(config, permission, exactly=True) is not None for _, config in self._layers())

    def _layers(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        environment = self._environment
        yield "OPENCODE_PERMISSION", {"permission": _parsed(environment.get("OPENCODE_PERMISSION") or "")}
        yield "OPENCODE_CONFIG_CONTENT", _parsed(environment.get("OPENCODE_CONFIG_CONTENT") or "")
        home = environment.get("HOME") or os.path.expanduser("~")
        folders = [environment.get("OPENCODE_CONFIG_DIR") or ""]
        folders += [f"{self._directory}/.opencode", self._directory] if self._directory else []
        files = [f"{folder}/{name}" for folder in folders if folder for name in _CONFIG_NAMES]
        files.append(environment.get("OPENCODE_CONFIG") or "")
        users = f"{environment.get('XDG_CONFIG_HOME') or f'{home}/.config'}/opencode"
        files += [f"{users}/{name}" for name in _CONFIG_NAMES]
        for file in files:
            if file and os.path.isfile(file):
                place = file.removeprefix(self._directory + "/") if self._directory else file
                yield place, _parsed(_text(file))


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
    causes = "; ".join(dict.fromkeys(f"{_words(one)} ({where.deciding(one)})" for one in named))
    details = {**outcome.details, "refused": count}
    if count == calls and outcome.kind in (Kind.SUCCEEDED, Kind.INCOMPLETE):
        reason = sentence(f"permissions refused every tool call: {causes}")
        return replace(outcome, kind=Kind.FAILED, reason=reason, details=details)
    note = sentence(f"permissions refused {count} of {calls} tool calls: {causes}")
    return replace(outcome, notes=(*outcome.notes, note), details=details)


def _ended_by(outcome: Outcome, refusal: Refusal, rejected: list[str], where: Settings) -> Outcome:
    refusal = _asked_for(refusal, rejected)
    if refusal.permission == _LOOP:
        # Another answer may not repeat itself, so another attempt may help.
        reason = f"the model repeated one tool call three times in an answer, which {where.deciding(refusal)} forbids"
        return replace(outcome, kind=Kind.RETRYABLE, reason=sentence(reason))
    reason = f"a permission ended the turn: {_words(refusal)} ({where.deciding(refusal)})"
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


def _key(config: Mapping[str, Any], permission: str, *, exactly: bool = False) -> str | None:
    """The key of a configuration that does not allow a permission (``exactly``: that names it at all)."""
    rules = config.get("permission")
    if isinstance(rules, str) and not exactly and rules != "allow":
        return "permission"
    for key, rule in reversed(list(rules.items())) if isinstance(rules, dict) else ():
        if exactly and key == permission:
            return f"permission.{key}"
        if not exactly and fnmatch.fnmatchcase(permission, key):
            actions = list(rule.values()) if isinstance(rule, dict) else [rule]
            if any(action != "allow" for action in actions):
                return f"permission.{key}"
    tools = config.get("tools")
    for tool, on in tools.items() if isinstance(tools, dict) and not exactly else ():
        if on is False and (tool == permission or _PERMISSIONS.get(tool) == permission):
            return f"tools.{tool}"
    return None


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _parsed(text: str) -> dict[str, Any]:
    """A configuration, JSON with comments; empty for what cannot be understood."""
    for candidate in (text, _COMMENT.sub(lambda found: found[0] if found[0][0] == '"' else "", text)):
        try:
            value = orjson.loads(candidate)
        except orjson.JSONDecodeError:
            continue
        return value if isinstance(value, dict) else {}
    return {}
