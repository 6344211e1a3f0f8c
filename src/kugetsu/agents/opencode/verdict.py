"""Decides what became of an `opencode run`: its exit code alone lies (0 after a cut answer or a refused permission)."""

from __future__ import annotations

import os
import re
from datetime import datetime
from typing import Any

from kugetsu.agents import error_lines, limits
from kugetsu.agents.opencode import config
from kugetsu.agents.opencode.events import Errors, Output, Retry
from kugetsu.agents.outcome import Kind, Outcome, bounded, sentence
from kugetsu.model import clock

_UNREACHED = re.compile(r"(cannot|unable to) connect|ECONNREFUSED|ENOTFOUND|EAI_AGAIN", re.I)
_NETWORK = re.compile(
    r"unable to connect|ECONN|ENOTFOUND|EAI_AGAIN|socket|network|connection|fetch failed|timed? ?out|overloaded"
    r"|unavailable|server.error|database is locked|Failed query",
    re.I,
)
_UNKNOWN_MODEL = re.compile(r"Model not found:? ?([\w./:@+-]*\w)?", re.I)
_NO_MODEL = re.compile(r"ProviderModelNotFoundError|ProviderInitError|ProviderAuthError", re.I)
_NO_DIRECTORY = re.compile(r"ENOENT[^\n]*|no such file or directory[^\n]*|Failed to change directory[^\n]*", re.I)

_CONFIGURATION = re.compile(r"(?:Config file at|Configuration is invalid at) (?P<path>.+?)(?: is not valid.*)?$")
_CONFIG_PROBLEM = re.compile(r"^(?:\w+ at line \d+.*|↳ .*)$")

_LOGIN = "opencode auth login"
_CHOOSE_MODEL = "kugetsu config set KUGETSU_MODEL PROVIDER/MODEL"
_EXAMINE = "kugetsu doctor"

Parts = dict[str, Any]


def judge(
    output: Output,
    errors: Errors,
    exit_code: int | None,
    signal: int | None,
    now: datetime,
    directory: str = "",
) -> Outcome:
    """The outcome of a run from its folded output, its sorted stderr and its end. ``directory`` is its worktree: what
    is wrong in there is the task's own, and nobody else meets it."""
    parts = _judge(output, errors, exit_code, signal, now, directory)
    details: dict[str, str | int] = {"steps": output.steps, "tools": output.tools}
    for name, value in (("exit_code", exit_code), ("signal", signal), ("finish", output.reason)):
        if value is not None:
            details[name] = value
    details |= parts.pop("details", {})
    return Outcome(
        kind=parts.pop("kind"),
        reason=sentence(parts.pop("reason")),
        tokens=output.tokens if output.steps else None,
        cost=output.cost if output.steps else None,
        final_text=bounded(output.text),
        error=bounded(parts.pop("error", "")),
        details=details,
        **parts,
    )


def _judge(
    output: Output, errors: Errors, exit_code: int | None, signal: int | None, now: datetime, directory: str
) -> Parts:
    if output.error is not None:
        return _of_error(output.error, errors, now, directory)
    if errors.retry is not None and exit_code != 0:
        return _of_retry(errors.retry, now)
    said = "\n".join(errors.said)
    if signal is not None:
        return {"kind": Kind.RETRYABLE, "reason": f"opencode was ended by signal {signal}", "error": said}
    if exit_code is None:
        return {"kind": Kind.RETRYABLE, "reason": "opencode ended, exit status unknown", "error": said}
    if exit_code != 0:
        return _of_exit(exit_code, errors, said, now, directory)
    return _of_finish(output, errors, said)


def limit_of_retry(retry: Retry, now: datetime) -> limits.Limit | None:
    """The usage limit for which a retry waits; None when it is an error that passes in seconds."""
    limit = limits.find(retry.message, now)
    following = (
        None if retry.next_ms is None else datetime.fromtimestamp(retry.next_ms / 1000 + clock.ahead(), now.tzinfo)
    )
    far = following is not None and (following - now).total_seconds() > limits.LONG_WAIT_SECONDS
    if limit is not None and limit.usage:
        return limits.Limit(True, limit.resets or (following if far else None))
    return limits.Limit(True, following) if far else None


def _of_retry(retry: Retry, now: datetime) -> Parts:
    limit = limit_of_retry(retry, now)
    if limit is not None:
        return _limited(retry.message, limit)
    reason = f"stopped while the model's error was retried: {retry.message}"
    return {"kind": Kind.RETRYABLE, "reason": reason, "error": retry.message}


def _limited(message: str, limit: limits.Limit) -> Parts:
    kind = "usage limit" if limit.usage else "rate limit"
    return {"kind": Kind.LIMITED, "reason": f"{kind}: {message}", "resets_at": limit.resets_at, "error": message}


def _of_error(error: dict[str, Any], errors: Errors, now: datetime, directory: str) -> Parts:
    """The verdict on an error event."""
    name = str(error.get("name") or "UnknownError")
    data = error.get("data")
    data = data if isinstance(data, dict) else {}
    message = str(data.get("message") or name)
    body = str(data.get("responseBody") or "")
    status = data.get("statusCode")
    status = status if isinstance(status, int) else None
    headers = data.get("responseHeaders")
    headers = {str(k): str(v) for k, v in headers.items()} if isinstance(headers, dict) else {}
    full = "\n".join(text for text in (message, body, *errors.logged[-2:]) if text)
    rest: Parts = {"error": full, "details": {"error": name} | ({} if status is None else {"status": status})}
    if name == "MessageAbortedError":
        return {"kind": Kind.RETRYABLE, "reason": "the turn was aborted", **rest}
    if name == "MessageOutputLengthError":
        return {"kind": Kind.INCOMPLETE, "reason": "the answer was cut at its length limit", **rest}
    limit = _limit_of_error(name, status, message, body, headers, now)
    if limit is not None and (limit.usage or status in (None, 429)):
        return _limited(message, limit) | rest
    if name == "UnknownError" and status is None:
        return _of_unknown(message, errors, directory) | rest
    if status in (401, 403) or name == "ProviderAuthError":
        return _unavailable("provider", f"the provider refused the credentials: {message}", _LOGIN) | rest
    passes = data.get("isRetryable") is True or (status is not None and (status >= 500 or status in (408, 409, 425)))
    if passes or (status is None and _NETWORK.search(message)):
        remedy = " (check the network and the setting KUGETSU_MODEL)" if _UNREACHED.search(message) else ""
        return {"kind": Kind.RETRYABLE, "reason": f"the model failed{_with(status)}: {message}{remedy}", **rest}
    return {"kind": Kind.FAILED, "reason": f"the model refused{_with(status)}: {message}", **rest}


def _limit_of_error(
    name: str, status: int | None, message: str, body: str, headers: dict[str, str], now: datetime
) -> limits.Limit | None:
    """The limit of which an error event tells. Only errors of the model's provider can: an UnknownError is opencode's
    own, of its files and tools, and tells of a limit in a known sentence only."""
    if name == "ContextOverflowError":
        return None
    if name == "UnknownError" and status is None:
        return limits.find_sentence(message, now)
    return limits.find(f"{message}\n{body}", now, headers, status=status)


def _with(status: int | None) -> str:
    return "" if status is None else f" with {status}"


def _unavailable(gate: str, reason: str, remedy: str) -> Parts:
    return {"kind": Kind.UNAVAILABLE, "reason": reason, "gate": gate, "remedy": remedy}


def _of_unknown(message: str, errors: Errors, directory: str) -> Parts:
    """ "Unexpected server error": what it was stands in the log only."""
    full = "\n".join([message, *errors.said, *errors.logged])
    if "Session not found" in full:
        return {"kind": Kind.FAILED, "reason": "the session no longer exists", "session_lost": True}
    if (no_model := _UNKNOWN_MODEL.search(full) or _NO_MODEL.search(full)) is not None:
        # A session keeps the model of its last prompt, also when the configuration changes: only -m overrides it.
        reason = f"opencode refuses the model ({no_model[0]}): set KUGETSU_MODEL"
        model = no_model[1] if no_model.re is _UNKNOWN_MODEL else None
        if model and _names_model(directory, model):
            return {"kind": Kind.FAILED, "reason": f"{reason}, or repair the repository's opencode.json"}
        return _unavailable("provider", reason, _CHOOSE_MODEL)
    cause = error_lines.cause([*errors.said, *reversed(errors.logged)])
    if error_lines.is_of_a_full_disk(cause):
        return _unavailable("agent", f"opencode met a full disk: {cause}", _EXAMINE)
    if (missing := _NO_DIRECTORY.search(full)) is not None:
        return {"kind": Kind.RETRYABLE, "reason": f"a file or folder was missing: {missing[0]}"}
    return {"kind": Kind.RETRYABLE, "reason": f"opencode failed: {cause or message}"}


def _names_model(directory: str, model: str) -> bool:
    """Whether the repository's own configuration names the model: then no other repository meets its absence."""
    files = [os.path.join(directory, name) for name in config.PROJECT_NAMES if directory]
    return any(model in config.read(file) for file in files)


def _of_configuration(errors: Errors, directory: str) -> Parts | None:
    """The verdict on a configuration that opencode cannot read; None when that is not what stopped it."""
    for place, line in enumerate(errors.said):
        found = _CONFIGURATION.search(line)
        if found is None:
            continue
        problem = next((text.lstrip("↳ ") for text in errors.said[place:] if _CONFIG_PROBLEM.match(text)), "")
        path = found["path"]
        reason = f"opencode's configuration {path} is not valid" + (f": {problem}" if problem else "")
        if directory and os.path.realpath(path).startswith(os.path.realpath(directory) + os.sep):
            return {"kind": Kind.FAILED, "reason": reason}
        return _unavailable("agent", reason, f"repair {path}")
    return None


def _of_exit(exit_code: int, errors: Errors, said: str, now: datetime, directory: str) -> Parts:
    """An exit code other than 0 without an error event."""
    if "Session not found" in said:
        return {"kind": Kind.FAILED, "reason": "the session no longer exists", "session_lost": True, "error": said}
    if (of_configuration := _of_configuration(errors, directory)) is not None:
        return of_configuration | {"error": said}
    cause = error_lines.cause(errors.said or errors.logged)
    if exit_code in (126, 127):
        reason = f"opencode could not be started (exit code {exit_code}): {cause or 'it printed nothing'}"
        return _unavailable("agent", reason, _EXAMINE) | {"error": said}
    if error_lines.is_of_a_full_disk(cause):
        return _unavailable("agent", f"opencode met a full disk: {cause}", _EXAMINE) | {"error": said}
    if errors.stream_error is not None and (limit := limits.find(errors.stream_error[1], now)) is not None:
        return _limited(errors.stream_error[1], limit)
    reason = f"opencode ended with exit code {exit_code}: {cause or 'it printed nothing'}"
    return {"kind": Kind.RETRYABLE, "reason": reason, "error": said or "\n".join(errors.logged)}


def _of_finish(output: Output, errors: Errors, said: str) -> Parts:
    """Exit code 0 without an error event: only a last step that stopped regularly is an end."""
    if output.reason == "stop" and not output.open_step:
        if not output.text.strip() and not output.tools:
            return {"kind": Kind.INCOMPLETE, "reason": "the model answered nothing", "error": said}
        return {"kind": Kind.SUCCEEDED, "reason": "the agent finished its turn"}
    if output.steps == 0 and not output.open_step:
        return {"kind": Kind.INCOMPLETE, "reason": "opencode ended without any output", "error": said}
    if output.reason == "length":
        return {"kind": Kind.INCOMPLETE, "reason": "the answer was cut at its length limit", "error": said}
    if errors.rejected:
        reason = f"it requested a permission that nobody could grant: {errors.rejected[-1]}"
        return {"kind": Kind.INCOMPLETE, "reason": reason, "error": said}
    if output.open_step:
        return {"kind": Kind.INCOMPLETE, "reason": "the turn ended in the middle of a step", "error": said}
    return {"kind": Kind.INCOMPLETE, "reason": f"the turn ended early ({output.reason})", "error": said}
