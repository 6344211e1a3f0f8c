"""Notifications on a screen: the list, a line each as they come, and what the sinks are at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kugetsu.domain.decide.notifications import sink_of
from kugetsu.domain.state import State
from kugetsu.model.plural import counted
from kugetsu.runtime.notifications.message import LOUD
from kugetsu.runtime.notifications.notice import Notice
from kugetsu.views import times
from kugetsu.views.screen import Screen
from kugetsu.views.tables import Column, table
from kugetsu.views.text import cut, line, pad

#: Columns of the parts of a line that is shown before those after it are known.
_TYPE_WIDTH = 14
_TASK_WIDTH = 5


def data(notice: Notice, read: int) -> dict[str, Any]:
    """As `--json` shows it: with whether it was read."""
    return {**notice.json(), "read": notice.seq <= read}


def lines(notices: Sequence[Notice], screen: Screen) -> list[str]:
    """A table, the oldest first."""
    heads = [Column("SEQ", right=True), Column("AT"), Column("TYPE"), Column("TASK")]
    heads += [Column("ISSUE", gives=True, names=True), Column("", gives=True)]
    rows = [
        [
            str(notice.seq),
            times.moment(notice.at, screen.now),
            notice.type,
            notice.task or "",
            screen.issue(notice.issue),
            line(notice.detail),
        ]
        for notice in notices
    ]

    def paint(at: int, value: str, padded: str) -> str:
        return coloured(value, padded, screen) if at == 2 else padded

    return table(screen, heads, rows, paint=paint)


def coming(notice: Notice, screen: Screen) -> str:
    """One line of those that are shown as they come."""
    kind = coloured(notice.type, pad(notice.type, _TYPE_WIDTH), screen)
    start = f"{notice.seq:>5}  {times.moment(notice.at, screen.now)}  "
    task = pad(notice.task or "", _TASK_WIDTH)
    rest = "  ".join(part for part in (task, screen.issue(notice.issue), line(notice.detail)) if part)
    room = None if screen.cuts_at is None else max(screen.cuts_at - len(start) - _TYPE_WIDTH - 2, 6)
    return f"{start}{kind}  {cut(rest, room)}".rstrip()


def coloured(type: str, text: str, screen: Screen) -> str:
    """``text`` in the colour of a kind."""
    if type in LOUD:
        return screen.red(text)
    if type == "task_completed":
        return screen.green(text)
    return screen.yellow(text) if type == "task_parked" else text


def sink_data(name: str, configured: bool, ready: bool, setup: str, state: State) -> dict[str, Any]:
    """One sink as `--json` shows it; ``name`` is that of its outbox."""
    box = state.outbox.get(name)
    opened = (box or {"open": {}})["open"]
    return {
        "sink": sink_of(name),
        "configured": configured,
        "ready": ready,
        "setup": setup,
        "upto": box["upto"] if box is not None else None,
        "open": [
            {
                "delivery": delivery,
                "lane": entry["lane"],
                "notices": len(entry["seqs"]),
                "tries": entry["tries"],
                "not_before": entry["not_before"],
                "sending": bool(entry["sending"]),
            }
            for delivery, entry in opened.items()
        ],
        "last": box["last"] if box is not None else None,
        "given_up": box["given_up"]["deliveries"] if box is not None and "given_up" in box else 0,
    }


def sink_lines(sink: dict[str, Any], screen: Screen) -> list[str]:
    """A sink: whether it is set up, how far it is, what is open, what became of the last delivery."""
    ready = sink["configured"] and sink["ready"]
    state = "ready" if ready else "not ready" if sink["configured"] else "not in NOTIFY_SINKS"
    indent = " " * 9
    shown = [f"{sink['sink']:<9}{state}: {line(sink['setup'])}"]
    if sink["upto"] is None:
        shown.append(f"{indent}nothing has been sent yet: it gets what happens from the daemon's next check on")
    else:
        shown.append(f"{indent}handled up to event {sink['upto']}{_last(sink['last'], screen)}")
        if sink["given_up"]:
            shown.append(f"{indent}{sink['given_up']} given up since the last delivery that arrived")
    shown += [indent + _open(entry, screen) for entry in sink["open"]]
    first, *rest = shown[0], *(cut(text, screen.cuts_at) for text in shown[1:])  # the set-up names what is typed
    painted = screen.green(state) if ready else screen.red(state)
    return [first.replace(state, painted, 1), *rest]


def _last(last: dict[str, Any] | None, screen: Screen) -> str:
    if last is None:
        return "; nothing has been sent yet"
    verdict = "sent" if last["sent"] else "failed"
    return f"; last at {times.moment(last['at'], screen.now)}: {verdict}, {line(last['text'])}"


def _open(entry: dict[str, Any], screen: Screen) -> str:
    lane = "" if entry["lane"] == "all" else f" for {screen.issue(entry['lane'])}"
    said = f"open: {counted(entry['notices'], 'notification')}{lane}"
    if entry["tries"]:
        said += f", failed {counted(entry['tries'], 'time')}"
    if entry["not_before"] is not None:
        return f"{said}, again at {times.ahead(entry['not_before'], screen.now)}"
    return f"{said}, being sent"
