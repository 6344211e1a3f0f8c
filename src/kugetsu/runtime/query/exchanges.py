"""What a session was told and what it answered, attempt by attempt: from its events and the files of its runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypedDict

import orjson

from kugetsu.domain.events import Event, upcast
from kugetsu.domain.state import ENDS
from kugetsu.host import run_files
from kugetsu.model.errors import KugetsuError, NotFound
from kugetsu.redaction.funnel import Lines, redact
from kugetsu.runtime import other_hosts
from kugetsu.runtime.query import messages
from kugetsu.runtime.query.subjects import Subject
from kugetsu.runtime.runner import findings
from kugetsu.runtime.workspace import Workspace

Brief = Callable[[bytes], tuple[str, str] | None]

#: Bytes of one output that are read, from its end: what an agent says fits, the output of a tool may not.
MOST = 16 << 20
_GONE = "is gone"
#: What is read of an attempt's files beside `answered` and `missing`.
_OF_FILES = (
    ("prompt", str),
    ("prompt_bytes", int),
    ("prompt_file", str),
    ("findings", str),
    ("findings_file", str),
)


class Said(TypedDict):
    """One thing that the agent said or did: ``kind`` is text, tool or error."""

    kind: str
    text: str


class Exchange(TypedDict):
    """One attempt: what it was told and what it answered; ``missing`` says what of it is not there any more. ``host``:
    the id of the other host that has its files."""

    attempt: str
    task: str
    claimed_at: str
    running_at: str | None
    ended_at: str | None
    outcome: str | None
    reason: str | None
    event: int
    message: str | None
    prompt: str | None
    prompt_bytes: int | None
    prompt_file: str
    answered: list[Said]
    final_text: str | None
    findings: str | None
    findings_file: str | None
    result: dict[str, Any] | None
    verification: dict[str, Any] | None
    missing: list[str]
    host: str | None


def collect(
    ws: Workspace,
    subject: Subject,
    events: list[Event],
    brief: Brief,
    *,
    attempt: str | None = None,
    full: bool = False,
) -> list[Exchange]:
    """The attempts among the events of a subject, in their order, or only ``attempt``; ``full``: with their prompts.

    ``brief`` gives kind and words of a line of output, or None to skip it. Raises NotFound for an attempt that is not
    among them.
    """
    found: dict[str, Exchange] = {}
    told: dict[str, str] = {}
    for event in events:
        kind, name = event["type"], event.get("attempt")
        if kind in messages.KINDS:
            told[event["task"]] = event["data"]["message"]
        elif kind == "attempt.claimed":
            found[event["attempt"]] = _begun(event, other_hosts.of_claim(ws, event))
            found[event["attempt"]]["message"] = told.get(event["task"])
        elif name in found and kind == "attempt.running":
            found[name]["running_at"] = event["at"]
        elif name in found and kind in ENDS:
            _end(found[name], event)
        elif kind == "pull.opened":
            _opened([one for one in found.values() if one["task"] == event.get("task")], event["data"])
    if attempt is not None and attempt not in found:
        raise NotFound(f"{subject} has no attempt {attempt}", f"there are: {', '.join(found) or 'none'}")
    chosen = [exchange for name, exchange in found.items() if attempt in (None, name)]
    for exchange in chosen:
        _read(ws, exchange, brief, full)
    return chosen


def _begun(event: Event, host: str | None) -> Exchange:
    return {
        "attempt": event["attempt"],
        "task": event["task"],
        "claimed_at": event["at"],
        "running_at": None,
        "ended_at": None,
        "outcome": None,
        "reason": None,
        "event": event["seq"],
        "message": None,
        "prompt": None,
        "prompt_bytes": None,
        "prompt_file": "",
        "answered": [],
        "final_text": None,
        "findings": None,
        "findings_file": None,
        "result": None,
        "verification": None,
        "missing": [],
        "host": host,
    }


def _end(exchange: Exchange, event: Event) -> None:
    data = event["data"]
    outcome = data.get("outcome")
    exchange["ended_at"] = event["at"]
    exchange["outcome"] = event["type"].partition(".")[2]
    exchange["reason"] = data.get("reason")
    exchange["event"] = event["seq"]
    exchange["result"] = upcast(event)["data"].get("result")
    evidence = data.get("evidence")
    exchange["findings_file"] = (evidence.get("findings") if isinstance(evidence, dict) else None) or None
    exchange["verification"] = (evidence.get("verification") if isinstance(evidence, dict) else None) or None
    exchange["final_text"] = (outcome.get("final_text") if isinstance(outcome, dict) else None) or None


def _opened(exchanges: list[Exchange], data: dict[str, Any]) -> None:
    """The pull request that kugetsu opened for what the latest of a task's attempts had pushed."""
    result = exchanges[-1]["result"] if exchanges else None
    if result is not None and result["kind"] == "pushed":
        pull = {"number": data["number"], "url": data["url"], "state": "open"}
        exchanges[-1]["result"] = {**result, "kind": "pull_request", "pull": pull}


def _read(ws: Workspace, exchange: Exchange, brief: Brief, full: bool) -> None:
    """Fill in what the log and the run's files have of an attempt, without secrets."""
    folder = ws.paths.run(exchange["attempt"])
    if exchange["message"] is None:  # asked for one attempt, whose events do not hold its task's
        known = messages.latest(ws.log.read_key(exchange["task"]), before=exchange["event"])
        exchange["message"] = known["data"]["message"] if known is not None else None
    exchange["message"] = redact(exchange["message"] or "") or None
    if ws.foreign is not None:
        return  # an exported log has neither prompts nor outputs
    if exchange["host"] is not None:
        _read_there(ws, exchange, exchange["host"], full)
        return
    exchange["prompt_file"] = f"{folder}/prompt.md"
    prompt = _file(exchange["prompt_file"], exchange["missing"])
    if prompt is not None:
        exchange["prompt_bytes"] = len(prompt)
        exchange["prompt"] = redact(prompt.decode("utf-8", "replace")) if full else None
    exchange["answered"] = _answers(f"{folder}/output.jsonl", exchange["missing"], brief)
    if exchange["findings_file"] is not None:
        exchange["findings_file"] = findings.path(ws.paths, exchange["attempt"])  # KUGETSU_DIR may have moved
        found = findings.read(exchange["findings_file"])
        if found is None:
            exchange["missing"].append(f"{exchange['findings_file']} {_GONE}")
        else:
            exchange["findings"] = redact(found)
    if exchange["running_at"] is None:  # it never ran: there was nothing to lose
        exchange["missing"] = [said for said in exchange["missing"] if not said.endswith(_GONE)]


def _read_there(ws: Workspace, exchange: Exchange, host: str, full: bool) -> None:
    """Fill in what the other host's kugetsu shows of an attempt; else ``missing`` says where it is."""
    command = ["context", exchange["task"], "--attempt", exchange["attempt"], *(["--full"] if full else [])]
    what = f"what {exchange['attempt']} was told and answered"
    output: list[bytes] = []
    try:
        code, said = other_hosts.fetch(ws, host, what, command, output.extend, options=["--json"])
        given = orjson.loads(b"\n".join(output))["attempts"][0] if code == 0 else None
        if given is None:
            raise NotFound(f"{what} could not be had: {said or f'exit code {code}'}")
    except NotFound as problem:
        exchange["missing"].append(problem.message + (f": {problem.hint}" if problem.hint else ""))
        return
    except KugetsuError as problem:
        exchange["missing"].append(f"{problem.message}: {problem.hint}")
        return
    except (ValueError, LookupError, TypeError):
        exchange["missing"].append(f"{what} could not be had: the other host's answer is no context")
        return
    answered = [said for said in given.get("answered", ()) if {"kind", "text"} <= {*said}]
    exchange["answered"] = [{"kind": str(said["kind"]), "text": redact(str(said["text"]))} for said in answered]
    for name, kind in _OF_FILES:
        if isinstance(given.get(name), kind):
            exchange[name] = redact(given[name]) if kind is str else given[name]  # type: ignore[literal-required]
    exchange["missing"] = [str(one) for one in given.get("missing", ())]


def _answers(path: str, missing: list[str], brief: Brief) -> list[Said]:
    output = _file(path, missing)
    secrets = Lines()
    found: list[Said] = []
    goes_on = False
    for raw in (output or b"").split(b"\n"):
        said = brief(secrets.redact_bytes(raw)) if raw else None
        if said is None or not said[1]:
            continue
        plain = said[0] == "text" and not raw.startswith(b"{")
        if plain and goes_on:
            found[-1]["text"] += "\n" + said[1]  # lines of a plain output are one text
        else:
            found.append({"kind": said[0], "text": said[1]})
        goes_on = plain
    return found


def _file(path: str, missing: list[str]) -> bytes | None:
    """A run's file, at most its last MOST bytes; None when it is not there, which ``missing`` then says."""
    try:
        with run_files.open_binary(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MOST:
                file.seek(size - MOST)
                file.readline()
                missing.append(f"only the last {MOST >> 20} MiB of {path} are shown")
            return file.read(MOST)
    except OSError as problem:
        why = _GONE if isinstance(problem, FileNotFoundError) else f"cannot be read: {problem.strerror}"
        missing.append(f"{path} {why}")
        return None
