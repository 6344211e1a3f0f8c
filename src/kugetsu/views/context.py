"""The text of `kugetsu context`: the messages to a session and its answers, attempt by attempt."""

from __future__ import annotations

from typing import Any

from kugetsu.domain.state import Session
from kugetsu.model.result_words import refusal
from kugetsu.runtime.query.exchanges import Exchange, Said
from kugetsu.views import results, times, verification
from kugetsu.views.screen import Screen
from kugetsu.views.text import block, cut, line

INDENT = "  "


def header(subject: str, session: Session | None, screen: Screen) -> list[str]:
    """The present session; a destroyed one has only its history."""
    if session is None:
        return [f"{screen.bold(screen.issue(subject))} · no session now; this is its history"]
    parts = [screen.bold(screen.issue(subject)), screen.state(session.state, session.state)]
    if session.branch:
        parts.append(f"branch {line(session.branch)}")
    made, changed = (times.duration(times.since(at, screen.now)) for at in (session.created_at, session.changed_at))
    parts.append(f"created {made} ago, changed {changed} ago")
    shown = list(screen.folded([" · ".join(parts)], words=True))
    if session.title:
        shown.append(line(session.title))
    if session.pr:
        shown.append(f"pull request {line(session.pr)}{', ' + session.pr_state if session.pr_state else ''}")
    return shown


def lines(exchange: Exchange, screen: Screen, *, full: bool) -> list[str]:
    """One attempt, readable."""
    shown = ["", _head(exchange, screen), screen.dim("message")]
    shown += _message(exchange, screen, full)
    shown.append(screen.dim("answer"))
    for answer in exchange["answered"]:
        shown += _answer(answer, screen)
    if not exchange["answered"] and exchange["final_text"]:
        shown += [f"{INDENT}{row}" for row in block(exchange["final_text"])]
    elif not exchange["answered"]:
        shown.append(f"{INDENT}nothing{'' if exchange['outcome'] else ' yet'}")
    if exchange["findings"] is not None:
        shown.append(screen.dim(f"findings ({exchange['findings_file']})"))
        shown += [f"{INDENT}{row}".rstrip() for row in block(exchange["findings"].strip("\n"))]
    shown += [f"{INDENT}{screen.yellow(line(missing))}" for missing in exchange["missing"]]
    if exchange["outcome"] is not None:
        outcome = exchange["outcome"]
        shown.append(f"{screen.state(outcome, outcome)}: {line(exchange['reason'] or '')} (event {exchange['event']})")
    return shown + _result(exchange, screen) + _verification(exchange)


def _result(exchange: Exchange, screen: Screen) -> list[str]:
    """What came of it, what to know of that, and a server's words whole."""
    result = exchange["result"]
    if result is None or result["kind"] in ("failed", "unknown"):
        return []
    shown = [f"result: {'; '.join([results.result_words(result), *results.remarks(result)])}"]
    if result["kind"] == "push_refused":
        shown += [screen.yellow(f"{INDENT}{row}".rstrip()) for row in block(result["refused"]["words"])]
        shown.append(f"remedy: {refusal(result)[1]}")
    return shown


def _verification(exchange: Exchange) -> list[str]:
    """What VERIFY_COMMAND said of its commits."""
    if not exchange["verification"]:
        return []
    first, *rest = verification.told(exchange["verification"])
    return [f"verification: {first}", *(f"{INDENT}{row}" for row in rest)]


def _head(exchange: Exchange, screen: Screen) -> str:
    began, ended = exchange["claimed_at"], exchange["ended_at"]
    span = times.duration(times.since(began, ended or screen.now))
    when = f"{times.day(began)} {times.time_of_day(began)}"
    return f"{screen.bold(exchange['attempt'])} · {when} · {span if ended else f'running for {span}'}"


def _message(exchange: Exchange, screen: Screen, full: bool) -> list[str]:
    if full and exchange["prompt"] is not None:
        return [f"{INDENT}{row}".rstrip() for row in block(exchange["prompt"])]
    shown = [f"{INDENT}{row}".rstrip() for row in block(exchange["message"] or "(the message is not in the log)")]
    if exchange["prompt_bytes"] is not None:
        size = times.amount(exchange["prompt_bytes"])
        shown.append(screen.dim(f"{INDENT}({size} bytes with the standing workflow; to see all: --full)"))
    return shown


def _answer(answer: dict[str, Any] | Said, screen: Screen) -> list[str]:
    if answer["kind"] == "tool":
        return [screen.dim(cut(f"{INDENT}▸ {line(answer['text'])}", screen.cuts_at))]
    rows = [f"{INDENT}{row}".rstrip() for row in block(answer["text"].strip("\n"))]
    return [screen.red(row) for row in rows] if answer["kind"] == "error" else rows
