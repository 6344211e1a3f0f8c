"""Notifications: whether each configured sink is set up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kugetsu.domain.decide.notifications import outbox_of
from kugetsu.model.errors import KugetsuError
from kugetsu.model.refs import parse_ref
from kugetsu.runtime import host_id
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.doctor.finding import Finding, Found
from kugetsu.runtime.env_files import values
from kugetsu.runtime.notifications.sinks import make

found = Found("notifications")


def check(context: Context) -> Iterator[Finding]:
    """The findings. Nothing is sent."""
    names = context.ws.config.text("NOTIFY_SINKS").split()
    if not names:
        yield found.ok("sinks", "not sent anywhere: kugetsu notify list shows them (NOTIFY_SINKS sends them)")
    for name in names:
        ready, text = make(name, context.ws).describe()
        last = _failure(context, name) if ready else None
        if last is not None:
            when = f"{last['at'][:10]} {last['at'][11:16]} UTC"
            told = f"{name}: {text}, but the last delivery failed: {last['text']}, {when} (event {last['seq']})"
            yield found.warning(name, told, f"kugetsu notify test {name}")
        elif ready:
            yield found.ok(name, f"{name}: {text}")
        else:
            yield found.problem(name, f"{name}: {text}", _remedy(context, name, names))
    yield from _report(context, names)


def _report(context: Context, names: list[str]) -> Iterator[Finding]:
    """The daily report: whether a sink takes it, and the issue on which it is posted."""
    config = context.ws.config
    issue, at = config.text("NOTIFY_REPORT_ISSUE"), config.text("NOTIFY_REPORT_AT")
    if issue:
        try:
            parse_ref(issue, default_host=config.default_host(), servers=config.servers())
        except KugetsuError as problem:
            fix = "kugetsu config set NOTIFY_REPORT_ISSUE owner/project#1"
            yield found.problem("report issue", f"NOTIFY_REPORT_ISSUE: {problem.message}", fix)
    if not at:
        return
    if not names:
        text = f"NOTIFY_REPORT_AT is {at}, but no sink sends the report (NOTIFY_SINKS)"
        yield found.warning("report", text, "kugetsu config set NOTIFY_SINKS desktop")
    elif names == ["comment"] and not issue:
        text = "no sink sends the daily report: comment needs an issue for it"
        yield found.warning("report", text, "kugetsu config set NOTIFY_REPORT_ISSUE owner/project#1")
    else:
        yield found.ok("report", f"the report is sent each day at {at}")


def _failure(context: Context, name: str) -> dict[str, Any] | None:
    """The last delivery's outcome, if it failed."""
    state = context.state()
    if state is None:
        return None
    box = state.outbox.get(outbox_of(name, host_id.sharing(context.ws, state)))
    last: dict[str, Any] | None = box["last"] if box is not None else None
    return last if last is not None and not last["sent"] else None


def _remedy(context: Context, name: str, names: list[str]) -> str:
    """The command that sets a sink up, or the one that removes it."""
    if name == "command":
        return "kugetsu config set NOTIFY_COMMAND '…'"
    if name == "webhook":
        try:
            values(context.paths, "notify")
        except KugetsuError as problem:
            return problem.hint or "kugetsu env check"
        return "kugetsu env set --agent notify NOTIFY_WEBHOOK_URL"
    if name == "comment" and context.ws.config.text("KUGETSU_FORGE") == "off":
        return "kugetsu config set KUGETSU_FORGE auto"
    others = " ".join(one for one in names if one != name)
    without = f"kugetsu config set NOTIFY_SINKS '{others}'" if others else "kugetsu config unset NOTIFY_SINKS"
    return f"fix that, or disable it: {without}"
