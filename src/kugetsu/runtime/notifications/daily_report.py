"""The report that notifications deliver each day: when it is due, and its text.

The text is that of `kugetsu report`, which a process of its own makes: the notifier shows nothing to anybody.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from typing import Any

from kugetsu.model import clock
from kugetsu.model.errors import KugetsuError
from kugetsu.runtime.notifications.notice import one_line
from kugetsu.runtime.process import programs
from kugetsu.runtime.workspace import Workspace

#: Seconds that one form of the report may take.
LIMIT_SECONDS = 60.0
#: Columns of the text: it is read in a chat or a mail.
COLUMNS = "80"
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class ReportText:
    """A report: its ``headline``, the screen as ``text``, ``markdown``, and the JSON as ``data`` (None if it could not
    be made: then the texts say why)."""

    headline: str
    text: str
    markdown: str
    data: dict[str, Any] | None


def day_due(now: str, at: str) -> str | None:
    """The day whose report is due at the UTC time ``now`` (`2026-11-23`), if the machine's clock is past ``at``
    (`07:00`); None before it, and without a time."""
    here = time.localtime(clock.parse(now) // 1_000_000)
    if not at or f"{here.tm_hour:02d}:{here.tm_min:02d}" < at:
        return None
    return f"{here.tm_year:04d}-{here.tm_mon:02d}-{here.tm_mday:02d}"


def seconds_until(now: str, at: str) -> float:
    """Seconds until the clock shows ``at`` again, but for a change of the clock; a day without a time."""
    if not at:
        return _DAY
    here = time.localtime(clock.parse(now) // 1_000_000)
    hours, _, minutes = at.partition(":")
    left = (int(hours) * 60 + int(minutes)) * 60 - (here.tm_hour * 60 + here.tm_min) * 60 - here.tm_sec
    return float(left if left > 0 else left + _DAY)


def read(ws: Workspace, seq: int) -> ReportText:
    """The report that the event ``seq`` says is due; if it cannot be made, a text that says so."""
    since = "0"
    try:
        event = next(iter(ws.log.read(after=seq - 1, until=seq)))
        after, at = event["data"]["after"], event["data"]["since"]
        since = str(after) if after is not None else at or since
        data: dict[str, Any] = json.loads(_report(ws, since, "--json"))
        text, markdown = _report(ws, since), _report(ws, since, "--markdown")
        return ReportText(str(data["headline"]), text, markdown, data)
    except (KugetsuError, OSError, ValueError, LookupError, TypeError, StopIteration) as problem:
        reason = "it took too long" if isinstance(problem, TimeoutError) else one_line(problem)
        said = f"the daily report cannot be made: {reason}"
        return ReportText(said, f"{said}\nkugetsu report --since {since}", said, None)


def _report(ws: Workspace, since: str, *options: str) -> str:
    environment = {**ws.environment, "KUGETSU_DIR": ws.paths.root, "COLUMNS": COLUMNS, "NO_COLOR": "1"}
    argv = [sys.executable, "-P", "-m", "kugetsu", "report", "--since", since, *options]
    made = programs.run(argv, cwd="/", env=environment, timeout=LIMIT_SECONDS)
    if made.code != 0:
        raise KugetsuError(f"kugetsu report ended with {made.code}: {one_line(made.err.decode('utf-8', 'replace'))}")
    return made.out.decode("utf-8", "replace").rstrip("\n")
