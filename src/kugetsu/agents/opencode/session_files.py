"""opencode's sessions as files: makes empty ones, and gives an exported one new ids, both to be imported.

`opencode run --fork` works in the directory of the session that it forks, whatever it is told. An import works in the
directory in which it is called; and ids that are made here are known before any agent starts.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

import orjson

from kugetsu.model.errors import AgentUnavailable, KugetsuError

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_LENGTH = 14
_TIME_BITS = 48

NOBODY_ANSWERS = ("question", "plan_enter", "plan_exit")
"""What `opencode run` denies in the sessions that it makes; imported ones must be given the same."""


def new_session_id(millis: int | None = None) -> str:
    """A session id as opencode makes them: the time's 48 bits inverted (the newest sorts first), 14 random digits."""
    stamp = (time.time_ns() // 1_000_000 if millis is None else millis) * 0x1000 + 1
    return f"ses_{~stamp & ((1 << _TIME_BITS) - 1):012x}{_random()}"


def minimal(session: str, title: str, version: str, millis: int) -> bytes:
    """The export of an empty session; ``millis`` is its birth. The import sets its directory and project."""
    return orjson.dumps(
        {
            "info": {
                "id": session,
                "slug": "kugetsu",
                "projectID": "global",
                "directory": "/",
                "title": title,
                "version": version,
                "permission": _denials(),
                "time": {"created": millis, "updated": millis},
            },
            "messages": [],
        }
    )


def renewed(exported: bytes, session: str, title: str, directory: str, millis: int) -> bytes:
    """An exported session as a new one: new ids in the old order, no cost yet, the same conversation.

    Raises AgentUnavailable when the export is not of the known form: that of every session will be so.
    """
    try:
        return _renewed(orjson.loads(exported), session, title, directory, millis)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        said = f"opencode's export of a session is not understood: {type(error).__name__}: {error}"
        raise AgentUnavailable(said, "opencode --version: 1.18.33 is the one that was tried") from error


def _renewed(exported: dict[str, Any], session: str, title: str, directory: str, millis: int) -> bytes:
    info = exported["info"]
    was = info.get("directory")
    for key in ("parentID", "share", "revert", "summary", "workspaceID"):
        info.pop(key, None)
    info["id"] = session
    info["title"] = title
    info["time"] = {"created": millis, "updated": millis}
    info["permission"] = _denials() + [rule for rule in info.get("permission") or [] if rule not in _denials()]
    if "cost" in info:
        info["cost"] = 0
    if "tokens" in info:
        info["tokens"] = {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}}
    messages = exported["messages"]
    ids = {message["info"]["id"]: _same_time(message["info"]["id"]) for message in messages}
    for message in messages:
        about = message["info"]
        about["id"] = ids[about["id"]]
        about["sessionID"] = session
        if "parentID" in about:
            about["parentID"] = ids.get(about["parentID"], about["parentID"])
        if isinstance(about.get("path"), dict):
            about["path"] = {key: directory if text == was else text for key, text in about["path"].items()}
        for part in message["parts"]:
            part["id"] = _same_time(part["id"])
            part["sessionID"] = session
            part["messageID"] = about["id"]
    return orjson.dumps(exported)


def as_text(exported: bytes) -> str:
    """The conversation of an exported session for people. Raises KugetsuError when the export is not understood."""
    try:
        messages = orjson.loads(exported)["messages"]
        return "\n\n".join(_message_text(message) for message in messages)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise KugetsuError(f"opencode's export of a session is not understood: {error}") from error


def _message_text(message: dict[str, Any]) -> str:
    lines = [f"## {message['info']['role']}"]
    for part in message["parts"]:
        kind = part.get("type")
        if kind == "text":
            lines.append(str(part.get("text") or "").rstrip())
        elif kind == "tool":
            state = part.get("state") or {}
            given = orjson.dumps(state.get("input") or {}).decode()
            lines.append(f"[{part.get('tool')}] {given} -> {state.get('status')}")
            said = state.get("output") or state.get("error")
            if said:
                lines.append("\n".join(f"    {line}" for line in str(said).splitlines()))
    return "\n".join(lines)


def _denials() -> list[dict[str, str]]:
    return [{"permission": name, "pattern": "*", "action": "deny"} for name in NOBODY_ANSWERS]


def _same_time(identifier: str) -> str:
    """A new id with the same prefix and time, so that it sorts where the old one did."""
    return identifier[:-_RANDOM_LENGTH] + _random()


def _random() -> str:
    return "".join(secrets.choice(_DIGITS) for _ in range(_RANDOM_LENGTH))
