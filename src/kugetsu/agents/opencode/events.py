"""Reads what an `opencode run` left: the events of its output; on stderr its own lines, its log, the plugin's signs."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from kugetsu.agents import output_file
from kugetsu.agents.last_activity import SIGN, tail_lines
from kugetsu.agents.opencode.program import plain
from kugetsu.agents.opencode.refusals import Refusal, of_call
from kugetsu.agents.outcome import Tokens, reported_cost, reported_tokens

_STREAM_ERROR = re.compile(
    r'^timestamp=(\S+) level=ERROR .*\bmessage="stream error".*? session\.id=(\S+).* error\.error="(.*)"$'
)
_LOG_LINE = re.compile(r"^timestamp=\S+ level=[A-Z]+ ")
_LOGGED_ERROR = re.compile(r' (?:error|error\.error|cause)="((?:[^"\\]|\\.)*)"')
_REJECTED = re.compile(r"permission requested: (.+?); auto-rejecting")


@dataclass(slots=True)
class Output:
    """The events of one `opencode run --format json`, folded."""

    steps: int = 0
    tools: int = 0
    refused: dict[Refusal, int] = field(default_factory=dict)
    """Tool calls that permissions refused."""
    delegated: int = 0
    """Tool calls that handed work to a sub-agent."""
    reason: str | None = None
    """Of the last step's finish: stop, tool-calls, length …; None while no step has finished."""
    open_step: bool = False
    """A step began and did not finish."""
    text: str = ""
    """The last text."""
    error: dict[str, Any] | None = None
    """The last error event's ``error``."""
    tokens: Tokens = field(default_factory=Tokens)
    cost: float = 0.0
    garbled: int = 0
    """Lines that are no JSON object: torn by a kill, or foreign."""


def read_output(path: str) -> Output:
    """Folds a whole output file, line by line; one that is missing or no regular file counts as empty."""
    seen = Output()
    with suppress(OSError):
        for line in output_file.lines(path):
            if isinstance(line, int):
                continue  # what was dropped; the sums of usage are in the signs
            try:
                event = orjson.loads(line)
            except orjson.JSONDecodeError:
                seen.garbled += 1
                continue
            if isinstance(event, dict):
                _fold(seen, event)
    return seen


def _fold(seen: Output, event: dict[str, Any]) -> None:
    part = event.get("part")
    part = part if isinstance(part, dict) else {}
    kind = event.get("type")
    if kind == "step_start":
        seen.open_step = True
    elif kind == "text":
        seen.text = str(part.get("text") or "")
    elif kind == "tool_use":
        _fold_call(seen, part)
    elif kind == "step_finish":
        seen.steps += 1
        seen.open_step = False
        seen.reason = str(part.get("reason"))
        seen.tokens += as_tokens(part.get("tokens"))
        seen.cost += reported_cost(part.get("cost")) or 0.0
    elif kind == "error":
        error = event.get("error")
        seen.error = error if isinstance(error, dict) else {"name": "UnknownError", "data": {"message": str(error)}}


def _fold_call(seen: Output, part: dict[str, Any]) -> None:
    seen.tools += 1
    if (refusal := of_call(part)) is not None:
        seen.refused[refusal] = seen.refused.get(refusal, 0) + 1
    elif part.get("tool") == "task":
        seen.delegated += 1


def add_calls_of_sub_agents(seen: Output, parts: list[dict[str, Any]]) -> None:
    """Add the calls of the turn's sub-agents, which stand in the place of those that handed them the work."""
    if parts:
        seen.tools -= seen.delegated
    for part in parts:
        _fold_call(seen, part)


def as_tokens(step: object) -> Tokens:
    """The tokens of one step as opencode writes them; what cannot be a number of tokens counts as 0."""
    if not isinstance(step, dict):
        return Tokens()
    cache = step.get("cache")
    cache = cache if isinstance(cache, dict) else {}
    return Tokens(
        input=reported_tokens(step.get("input")) or 0,
        output=reported_tokens(step.get("output")) or 0,
        reasoning=reported_tokens(step.get("reasoning")) or 0,
        cache_read=reported_tokens(cache.get("read")) or 0,
        cache_write=reported_tokens(cache.get("write")) or 0,
        total=reported_tokens(step.get("total")) or 0,
    )


@dataclass(slots=True)
class Retry:
    """The model's error that is being retried."""

    message: str
    next_ms: int | None
    """When it is tried again (ms since 1970), None when it is not told."""
    since_ms: int | None
    attempt: int


@dataclass(slots=True)
class Errors:
    """The tail of stderr, sorted."""

    said: list[str] = field(default_factory=list)
    """Lines that opencode wrote for people."""
    logged: list[str] = field(default_factory=list)
    """What its log lines (level ERROR) name as the error."""
    rejected: list[str] = field(default_factory=list)
    """Permissions that were refused because nobody answers."""
    retry: Retry | None = None
    """What is being retried now; None when nothing is."""
    retried_since_ms: int | None = None
    """When the first of the last row of retries began."""
    running: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The tools that run now: the plugin's signs by part id."""
    signs: int = 0
    """Lines of kugetsu's plugin: 0 tells that it was not loaded (yet)."""
    asked: bool = False
    """The model was asked at least once."""
    asking: dict[str, int | None] = field(default_factory=dict)
    """The sessions whose model call is under way, and the most tokens that the call can use (None: not known)."""
    tokens: Tokens | None = None
    """What all sessions of the process used so far, those of sub-agents too; None when no sign told."""
    cost: float = 0.0
    last_sign: tuple[str, int] | None = None
    """(type, time in ms) of the newest of them."""
    stream_error: tuple[str, str] | None = None
    """(time, message) of the last error of the model that was logged for the session."""


def read_errors(path: str, session: str) -> Errors:
    """Sorts the tail of a stderr file; one that is missing counts as empty."""
    seen = Errors()
    sign = SIGN.encode()
    # A process that was killed leaves its last line without an end: it counts here.
    for raw in tail_lines(path, whole=False):
        if raw.startswith(sign):
            _fold_sign(seen, raw[len(sign) :])
            continue
        line = plain(raw.decode("utf-8", "replace")).strip()
        if not line:
            continue
        if (failed := _STREAM_ERROR.match(line)) is not None and failed[2] == session:
            seen.stream_error = (failed[1], failed[3])
        if _LOG_LINE.match(line):
            found = _LOGGED_ERROR.search(line)
            seen.logged.append(found[1] if found is not None else line)
            continue
        if (rejected := _REJECTED.search(line)) is not None:
            seen.rejected.append(rejected[1])
        seen.said.append(line)
    return seen


def _fold_sign(seen: Errors, text: bytes) -> None:
    try:
        sign = orjson.loads(text)
    except orjson.JSONDecodeError:
        return  # torn by a kill, or cut at the tail's beginning
    if not isinstance(sign, dict):
        return
    seen.signs += 1
    kind, identifier = sign.get("type"), str(sign.get("id"))
    _fold_usage(seen, str(kind), sign)
    if isinstance(sign.get("at"), int):
        seen.last_sign = (str(kind), sign["at"])
    seen.asked = seen.asked or kind != "hello"
    if kind == "retry":
        attempt = _whole(sign.get("attempt")) or 1
        if attempt == 1 or seen.retried_since_ms is None:
            seen.retried_since_ms = _whole(sign.get("at"))
        since = seen.retried_since_ms
        seen.retry = Retry(str(sign.get("message") or ""), _whole(sign.get("next")), since, attempt)
    elif kind in ("resumed", "usage", "answering"):
        seen.retry = None
    elif kind == "tool":
        seen.retry = None
        seen.running[identifier] = sign
    elif kind == "tool-end":
        seen.running.pop(identifier, None)


def _fold_usage(seen: Errors, kind: str, sign: dict[str, Any]) -> None:
    session = str(sign.get("session"))
    if kind == "asked":
        seen.asking[session] = _whole(sign.get("most"))
    elif kind in ("usage", "retry"):
        seen.asking.pop(session, None)
    if kind == "usage":
        # A sum, so the tail holds it whole. Signs before the breakdown told the total only.
        told = sign.get("tokens")
        seen.tokens = as_tokens(told) if told is not None else Tokens(total=reported_tokens(sign.get("total")) or 0)
        seen.cost = reported_cost(sign.get("cost")) or 0.0


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None
