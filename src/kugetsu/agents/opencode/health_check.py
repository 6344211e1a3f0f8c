"""What an `opencode run` that prints nothing is about.

It is silent while a tool runs, while an answer arrives, and while the model is retried. That it uses the processor is
no sign of health: an opencode that hangs may spin.
"""

from __future__ import annotations

import os
from datetime import datetime

from kugetsu.agents import limits, process_load
from kugetsu.agents.last_activity import short
from kugetsu.agents.opencode.events import Errors, Retry, read_errors
from kugetsu.agents.opencode.verdict import limit_of_retry
from kugetsu.agents.protocol import Checkup, Health, Running
from kugetsu.model import clock

_BUSY = 0.2
"""Cores: an opencode that waits for its model uses 0.01 of one."""
_SAMPLE_SECONDS = 0.5
_START_SECONDS = 300.0
"""A start takes 3 s, of ten at once 30 s. One that hangs would hang until the task's time is up."""
_BLIND_START_SECONDS = 600.0
"""The same where the plugin gave no sign: it may be switched off, and a first answer may take its time."""
_ANSWERING_SECONDS = 45.0
"""The plugin gives a sign every 15 s while an answer arrives (see `plugin.js`)."""


def check(running: Running, now: datetime, prompted: bool | None = None) -> Checkup:
    """The checkup: kugetsu's plugin knows best, then the log on stderr, then the processor.

    ``prompted``: whether opencode has stored the turn's prompt, which it does once it has started; None: not known.
    """
    errors = read_errors(running.errors, running.session)
    if errors.retry is not None:
        return _retrying(errors.retry, now)
    if not errors.signs and errors.stream_error is not None and _is_newest(errors.stream_error[0], running, now):
        return _logged(errors.stream_error, now)
    if errors.running:
        return _tool(errors)
    starting = prompted is False and not errors.signs and _printed_nothing(running.output)
    patience = _START_SECONDS if errors.signs or starting else _BLIND_START_SECONDS
    if running.quiet_seconds >= patience and not errors.asked and _printed_nothing(running.output):
        cause = " (a plugin that does not answer?)" if starting else ""
        return Checkup(Health.STUCK, f"its start hangs: it never called the model{cause}")
    if errors.last_sign is not None:
        return _by_last_sign(*errors.last_sign, now)
    busy = process_load.cores_used(running.pid, _SAMPLE_SECONDS)
    if busy is not None and busy >= _BUSY:
        return Checkup(Health.HEALTHY, f"works: {busy:.1f} cores in use")
    if starting:
        return Checkup(Health.UNKNOWN, "is starting, and has not called the model yet: plugins may take time")
    return Checkup(Health.UNKNOWN, "waits for the model's answer")


def _by_last_sign(kind: str, at_ms: int, now: datetime) -> Checkup:
    since = clock.from_own(at_ms / 1000)
    if kind == "answering" and now.timestamp() - (at_ms / 1000 + clock.ahead()) <= _ANSWERING_SECONDS:
        return Checkup(Health.HEALTHY, "the model's answer arrives", None, since)
    if kind == "hello":
        return Checkup(Health.UNKNOWN, "has started, and has not called the model yet", None, since)
    return Checkup(Health.UNKNOWN, "waits for the model's answer", None, since)


def _printed_nothing(output: str) -> bool:
    return not os.path.exists(output) or os.path.getsize(output) == 0


def _retrying(retry: Retry, now: datetime) -> Checkup:
    since = None if retry.since_ms is None else clock.from_own(retry.since_ms / 1000)
    limit = limit_of_retry(retry, now)
    if limit is not None:
        return Checkup(Health.LIMITED, f"usage limit: {short(retry.message)}", limit.resets_at, since)
    return Checkup(Health.RETRYING, f"retries the model (attempt {retry.attempt}): {short(retry.message)}", None, since)


def _logged(error: tuple[str, str], now: datetime) -> Checkup:
    at, message = error
    since = clock.from_own(clock.parse(at) / 1e6)
    limit = limits.find(message, now)
    if limit is not None and limit.usage:
        return Checkup(Health.LIMITED, f"usage limit: {short(message)}", limit.resets_at, since)
    return Checkup(Health.RETRYING, f"retries the model: {short(message)}", None, since)


def _is_newest(at: str, running: Running, now: datetime) -> bool:
    """Whether an error was logged in the present silence: not one that a later answer has overcome."""
    quiet_since = now.timestamp() - running.quiet_seconds
    return clock.parse(at) / 1e6 + clock.ahead() >= quiet_since - 1


def _tool(errors: Errors) -> Checkup:
    sign = list(errors.running.values())[-1]
    at = sign.get("at")
    since = clock.from_own(at / 1000) if isinstance(at, int) else None
    return Checkup(Health.HEALTHY, "runs " + short(f"{sign.get('tool')} {sign.get('title') or ''}"), None, since)
