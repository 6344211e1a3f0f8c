"""What is delivered: one notification as a line, several as a line each, a burst as a digest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kugetsu.runtime.notifications.daily_report import ReportText
from kugetsu.runtime.notifications.notice import REPORT, WORDS, Notice

#: Lines that a message has at most, whatever NOTIFY_DIGEST_OVER says: receivers cut longer ones.
MOST_LINES = 50
#: Notifications that the JSON of a message holds, the newest ones.
MOST_IN_JSON = 200
#: What a person should look at soon.
LOUD = ("task_error", "agent_lost", "loop_held")
_QUIET = ("task_queued", "task_dequeued", "task_started")


@dataclass(frozen=True, slots=True)
class Message:
    """One delivery. ``delivery`` is its id, ``lane`` the issue of comments; a test has no notices. ``report`` is the
    daily report if one of the notices is that it is due."""

    delivery: str
    lane: str
    notices: Sequence[Notice]
    title: str
    text: str
    report: ReportText | None = None

    @property
    def type(self) -> str:
        """The kind that all its notifications share; ``digest`` when they differ, ``test`` without any."""
        types = {notice.type for notice in self.notices}
        return types.pop() if len(types) == 1 else "digest" if types else "test"

    @property
    def urgency(self) -> str:
        """``critical``, ``normal`` or ``low``: that of its most urgent notification."""
        types = {notice.type for notice in self.notices}
        if types.intersection(LOUD):
            return "critical"
        return "low" if types and types.issubset(_QUIET) else "normal"

    def json(self, most: int = MOST_IN_JSON) -> dict[str, Any]:
        """``delivery``, ``text``, the newest ``notices``, and how many ``more`` there are."""
        shown = list(self.notices)[-most:]
        return {
            "delivery": self.delivery,
            "text": self.text,
            "notices": [notice.json() for notice in shown],
            "more": len(self.notices) - len(shown),
        }

    def json_with_report(self) -> dict[str, Any]:
        """The same, and of a daily report its ``markdown`` and its JSON as ``report``."""
        if self.report is None:
            return self.json()
        return {**self.json(), "markdown": self.report.markdown, "report": self.report.data}

    @property
    def brief(self) -> str:
        """The text for where there is little room: of a daily report only its headline."""
        if self.report is None:
            return self.text
        return "\n".join([self.report.headline, "kugetsu report", *map(line, self.others)])

    @property
    def others(self) -> list[Notice]:
        """The notifications beside the daily report."""
        return [notice for notice in self.notices if notice.type != REPORT]


def compose(
    delivery: str, lane: str, notices: Sequence[Notice], digest_over: int, report: ReportText | None = None
) -> Message:
    """The message for some notifications; of more than ``digest_over`` the newest are shown and all are counted. A
    daily ``report`` comes first."""
    if report is not None:
        others = [notice for notice in notices if notice.type != REPORT]
        rest = compose(delivery, lane, others, digest_over).text if others else ""
        text = f"{report.text}\n\n{rest}" if rest else report.text
        return Message(delivery, lane, notices, "kugetsu: report", text, report)
    if len(notices) == 1:
        one = notices[0]
        return Message(delivery, lane, notices, f"kugetsu: {_title(one)}", _with_url(one))
    if len(notices) <= min(digest_over, MOST_LINES):
        text = "\n".join(_with_url(notice) for notice in notices)
        return Message(delivery, lane, notices, f"kugetsu: {counts(notices)}", text)
    shown = list(notices)[-min(digest_over, MOST_LINES) :]
    lines = [f"{len(notices)} notifications: {counts(notices)}", *map(line, shown)]
    lines.append(f"and {len(notices) - len(shown)} more: kugetsu notify list")
    return Message(delivery, lane, notices, f"kugetsu: {counts(notices)}", "\n".join(lines))


def test_message(delivery: str) -> Message:
    """What `kugetsu notify test` sends."""
    return Message(delivery, "all", (), "kugetsu: test", "kugetsu: this is a test, sent by kugetsu notify test")


def line(notice: Notice) -> str:
    """``github.com/shoko/kugetsu#14 q7 completed: PR #92, checks ok · 2 commits, pushed · Parse empty input``."""
    if notice.task is None:
        return f"kugetsu: {notice.text}"
    text = f"{notice.issue or 'the PM agent'} {notice.task} {WORDS[notice.type]}"
    return f"{text}: {notice.detail}" if notice.detail else text


def counts(notices: Sequence[Notice]) -> str:
    """``8 completed, 3 failed``, in the order of the kinds."""
    numbers = {kind: sum(notice.type == kind for notice in notices) for kind in WORDS}
    return ", ".join(f"{number} {WORDS[kind]}" for kind, number in numbers.items() if number)


def _title(notice: Notice) -> str:
    return f"{notice.task} {WORDS[notice.type]}" if notice.task is not None else WORDS[notice.type]


def _with_url(notice: Notice) -> str:
    return f"{line(notice)}\n{notice.url}" if notice.url else line(notice)
