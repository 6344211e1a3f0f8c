"""The sink `comment`: comments on the issue when a task ends or its agent is lost.

Exactly once: a comment ends with a hidden marker that names its delivery, and a retry looks for it first. The marker
also tells kugetsu's comments from others.
"""

from __future__ import annotations

from kugetsu.domain.intake import on_hold
from kugetsu.forge.failures import ForgeFailure, ForgeUnauthorised
from kugetsu.forge.protocol import Forge
from kugetsu.forge.references import without_references
from kugetsu.model import clock
from kugetsu.model.errors import KugetsuError
from kugetsu.model.refs import IssueRef, parse_ref
from kugetsu.model.servers import LOCAL
from kugetsu.runtime import forges
from kugetsu.runtime.intake import permission
from kugetsu.runtime.notifications.message import Message
from kugetsu.runtime.notifications.notice import REPORT, WORDS, Notice, one_line
from kugetsu.runtime.notifications.sinks.sink import Outcome, Sink
from kugetsu.runtime.pull_requests import MARK
from kugetsu.runtime.workspace import Workspace

#: Kinds that are worth a comment: the rest is of no use on the issue.
KINDS = ("task_completed", "task_error", "task_parked", "agent_lost", "loop_held")
#: Lines of notifications in one comment; the newest.
_MOST = 20
#: Seconds before the first notification from which on the marker is looked for: the forge's clock may be behind.
_EARLIER = 86_400.0


class Comments(Sink):
    """Posts on the issues of forges with a token."""

    repeats = True

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws

    def lane(self, notice: Notice) -> str | None:
        """Its issue, for the daily report the one of NOTIFY_REPORT_ISSUE; None without an issue on a server, and for
        kinds not worth a comment."""
        if notice.type == REPORT:
            return self._report_issue()
        if notice.type not in KINDS or notice.issue is None or notice.issue.startswith(LOCAL + "/"):
            return None
        return notice.issue

    def _report_issue(self) -> str | None:
        config = self._ws.config
        text = config.text("NOTIFY_REPORT_ISSUE")
        try:
            ref = parse_ref(text, default_host=config.default_host(), servers=config.servers()) if text else None
        except KugetsuError:
            return None  # `doctor` reports it
        return str(ref) if ref is not None and ref.host != LOCAL else None

    def waits(self, lane: str) -> bool:
        """Whether a pause keeps kugetsu from writing on the issue."""
        return on_hold(self._ws.state(), lane, clock.now())

    def describe(self) -> tuple[bool, str]:
        """Whether forges may be contacted at all."""
        if self._ws.config.text("KUGETSU_FORGE") == "off":
            return False, "KUGETSU_FORGE is off"
        return True, "a comment on the issue, as the account of its server's token"

    def deliver(self, message: Message, *, again: bool) -> Outcome:
        """Post it, unless an earlier try did."""
        ready, text = self.describe()
        if not ready:
            return Outcome(False, text, again=False)
        try:
            ref = parse_ref(message.lane)
            forge = forges.forge_for(self._ws, ref.host)
            if forge is None:
                return Outcome(False, f"not posted: {forges.why_none(self._ws, ref.host)}", again=False)
            try:
                if message.report is None:
                    permission.require(self._ws, str(ref), forges.Forges(self._ws))
                return _post(forge, ref, message, again)
            finally:
                forge.close()
        except permission.PausedError as problem:
            return Outcome(False, f"not posted: {problem.message}", waits=True)
        except permission.WithdrawnError as problem:
            return Outcome(False, f"not posted: {problem.message}", again=False)
        except ForgeFailure as problem:
            # A missing or expired token may be fixed within the hour.
            passes = problem.passing or problem.uncertain or isinstance(problem, ForgeUnauthorised)
            return Outcome(False, one_line(problem.message), again=passes, asked=_seconds_until(problem.retry_at))
        except KugetsuError as problem:
            return Outcome(False, one_line(problem.message))

    def test(self, message: Message) -> Outcome:  # noqa: ARG002
        """Ask the default server whose token it is; a test must not write on an issue."""
        ready, text = self.describe()
        if not ready:
            return Outcome(False, text)
        host = self._ws.config.default_host()
        try:
            forge = forges.forge_for(self._ws, host)
            if forge is None:
                why, remedy = forges.why_none(self._ws, host), forges.how_to_allow(self._ws, host)
                return Outcome(False, one_line(f"{host} is not contacted: {why} ({remedy})"))
            try:
                account = forge.whoami()
            finally:
                forge.close()
        except KugetsuError as problem:
            return Outcome(False, one_line(problem.message))
        if account is None:
            return Outcome(False, one_line(f"{host}: {forge.access}"))
        return Outcome(True, one_line(f"comments on {host} would come from {account}; none was posted"))


def body(message: Message) -> str:
    """The comment: the daily report, one line per other notification, quoted text literal, and the marker."""
    others = message.others
    lines = [_line(notice) for notice in others[-_MOST:]]
    if len(lines) < len(others):
        lines.insert(0, f"{len(others)} notifications, the latest {len(lines)}:")
    if message.report is not None:
        lines.insert(0, message.report.markdown)
    return "\n\n".join(lines) + f"\n\n{marker(message.delivery)}\n"


def marker(delivery: str) -> str:
    """The hidden text that identifies the delivery's comment."""
    return f"{MARK}{delivery} -->"


def _line(notice: Notice) -> str:
    head = f"kugetsu: `{notice.task}` {WORDS[notice.type]}"
    said = notice.outcome  # the issue has its title already
    if not said:
        return head
    # In a code span nothing is a mention, a link or markup; what would end it is left out, and so is a marker. Some
    # forges read keywords there all the same.
    text = without_references(said.replace("`", "'").replace("<!--", "<! --"))
    return f"{head}: `{text}`"


def _post(forge: Forge, ref: IssueRef, message: Message, again: bool) -> Outcome:
    mark = marker(message.delivery)
    if again:
        since = clock.add_seconds(min(notice.at for notice in message.notices), -_EARLIER)
        for comment in forge.comments_after(ref.owner, ref.repo, ref.number, since):
            if comment.body.rstrip().endswith(mark):
                return Outcome(True, one_line(f"already posted: {comment.url}"))
    posted = forge.comment(ref.owner, ref.repo, ref.number, body(message))
    return Outcome(True, one_line(posted.url))


def _seconds_until(retry_at: str | None) -> float:
    return max(clock.seconds_between(clock.now(), retry_at), 0.0) if retry_at is not None else 0.0
