"""`kugetsu log export`: the events as JSON lines, or the attempts as OpenTelemetry traces."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import orjson

from kugetsu.cli.call import Call, Command
from kugetsu.cli.history import SUBJECT
from kugetsu.cli.parser import Parser
from kugetsu.domain.events import Event
from kugetsu.domain.traces import Traces
from kugetsu.model import clock
from kugetsu.model.errors import BadInput, NotFound
from kugetsu.model.plural import counted
from kugetsu.redaction.funnel import redact
from kugetsu.runtime.export import Destination, without_secrets
from kugetsu.runtime.otlp import encoding, sending
from kugetsu.runtime.query import subjects, timespec
from kugetsu.runtime.query.subjects import Subject
from kugetsu.views import gates
from kugetsu.views.text import json_harmless

ABOUT = """\
JSON lines: each event as in the log, byte for byte. Its sha is the first 32 hex digits of SHA-256 over the sha of the
previous line and this line up to ,"sha": (the first line's predecessor is 32 zeros). What looks like a secret is
redacted; that line ends with "redacted":true, and keeps the sha of the original line. --raw redacts nothing. On a
terminal, control characters are written as JSON escapes.

OpenTelemetry (--otlp): each attempt that has ended is a trace: the attempt, the wait before it, starting (with
preparing and set-up in it), running (with verification), stopping. Ids derive from the log's events: a second export
repeats them, and adds nothing. As OTLP/JSON to stdout or a FILE, one request per line; to a URL as protobuf over HTTP,
which needs pip install "kugetsu[otlp]".
Headers for the receiver: OTEL_EXPORTER_OTLP_HEADERS in env/notify.env.

WHEN is a seq (214), @-3, a time (2026-11-23T10:00) or "10m ago". Both ends are included; for attempts their
end counts. A FILE is written completely or not at all, readable by you only."""


def _arguments(parser: Parser) -> None:
    parser.add_argument(
        "subject", nargs="?", metavar="REF|TASK|ATTEMPT|SESSION", completes=SUBJECT, help="only its events"
    )
    parser.add_argument("--jsonl", action="store_true", help="events as JSON lines (the default)")
    parser.add_argument("--otlp", action="store_true", help="attempts as OpenTelemetry traces")
    parser.add_argument("--to", metavar="FILE|URL", completes="file", help="a file, or an OTLP receiver's URL")
    parser.add_argument("--since", metavar="WHEN", completes="when", help="from that event or time on")
    parser.add_argument("--until", metavar="WHEN", completes="when", help="up to that event or time")
    parser.add_argument("--raw", action="store_true", help="do not redact secrets")
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    parser.source()
    parser.add_argument("--json", action="store_true", help="with --to: print JSON about it; errors too")


def _export(call: Call) -> int:
    args = call.args
    if args.jsonl and args.otlp:
        raise BadInput("--jsonl and --otlp at once", "give one of them")
    url = args.to is not None and "://" in args.to
    if url and not args.otlp:
        raise BadInput("a receiver takes OpenTelemetry", f"kugetsu log export --otlp --to {args.to}")
    if args.force and (args.to is None or url):
        raise BadInput("--force overwrites a file", "kugetsu log export --to FILE --force")
    if url:
        return _send(call)

    span = _span(call)
    with Destination.open(args.to, force=args.force) as destination:
        data = _write_traces(call, span, destination) if args.otlp else _write_events(call, span, destination)
        destination.commit()
    _tell(call, {**data, "to": args.to})
    return 0


class _Span:
    """The requested part of the log: from seq ``first`` or time ``since`` to ``last`` or ``until``; None: no bound."""

    def __init__(self, first: int | None, since: str | None, last: int | None, until: str | None) -> None:
        self.first = first
        self.since = since
        self.last = last
        self.until = until

    def begins(self, seq: int, at: str) -> bool:
        """True if this event is at or after the beginning."""
        return (self.first is None or seq >= self.first) and (self.since is None or at >= self.since)

    def is_past(self, seq: int, at: str) -> bool:
        """True if this event is after the end."""
        return (self.last is not None and seq > self.last) or (self.until is not None and at > self.until)


def _span(call: Call) -> _Span:
    def point(text: str | None) -> tuple[int | None, str | None]:
        return (
            timespec.resolve(call.workspace.log, timespec.parse(text, clock.now()))
            if text is not None
            else (None, None)
        )

    return _Span(*point(call.args.since), *point(call.args.until))


def _subject(call: Call) -> Subject | None:
    return subjects.subject(call.workspace, call.args.subject) if call.args.subject is not None else None


# --- events ---------------------------------------------------------------------------------------------------------


def _lines(call: Call, span: _Span) -> Iterator[tuple[Event, bytes]]:
    """The requested events with their lines: one unbroken range, as a chain has no holes."""
    subject = _subject(call)
    begun = False
    for event, line in call.lines(max((span.first or 1) - 1, 0), span.last):
        seq, at = event["seq"], event["at"]
        begun = begun or span.begins(seq, at)
        if not begun:
            continue
        if span.is_past(seq, at):
            return
        if subject is None or subject.concerns(event):
            yield event, line


def _write_events(call: Call, span: _Span, destination: Destination) -> dict[str, Any]:
    events = redacted = 0
    first = last = None
    for event, line in _lines(call, span):
        shown = line if call.args.raw else without_secrets(event, line)
        redacted += shown is not line
        destination.write(_harmless(call, shown))
        events += 1
        last = event["seq"]
        first = last if first is None else first
    if not events:
        _require_known(call)
    return {"what": "events", "events": events, "first": first, "last": last, "redacted": redacted}


def _harmless(call: Call, line: bytes) -> bytes:
    """The line; on a terminal with control characters as JSON escapes."""
    if call.args.to is not None or line.isascii() or not sys.stdout.isatty():
        return line

    return json_harmless(line.decode("utf-8", "replace")).encode()


def _require_known(call: Call) -> None:
    """Raise NotFound for a subject without events in the log."""
    subject = _subject(call)
    if subject is not None and next(iter(call.workspace.log.read_key(subject.key)), None) is None:
        raise NotFound(f"nothing ever happened to {subject}", "kugetsu queue list --all")


# --- traces ---------------------------------------------------------------------------------------------------------


def _traces(call: Call, span: _Span) -> Iterator[tuple[Any, str, list[str]]]:
    """The requested traces with the log's id; at the end None, with the attempts that have not ended.

    The log is read from its beginning: an attempt's wait may have begun long before.
    """
    subject = _subject(call)
    traces = Traces(str if call.args.raw else redact, gates.reason)
    begun = False
    for event in call.workspace.log.read(0, span.last):
        seq, at = event["seq"], event["at"]
        if span.is_past(seq, at):
            break
        begun = begun or span.begins(seq, at)
        trace = traces.add(event)
        if trace is not None and begun and (subject is None or subject.concerns(event)):
            yield trace, traces.log_id, []
    yield None, traces.log_id, traces.live


def _write_traces(call: Call, span: _Span, destination: Destination) -> dict[str, Any]:
    attempts = spans = 0
    live: list[str] = []
    for trace, log_id, live in _traces(call, span):  # noqa: B007 - the last list is reported
        if trace is not None:
            destination.write(_harmless(call, orjson.dumps(encoding.request([trace], log_id))))
            attempts += 1
            spans += len(trace.spans)
    if not attempts:
        _require_known(call)
    return {"what": "traces", "attempts": attempts, "spans": spans, "live": live}


def _send(call: Call) -> int:
    url = sending.checked_url(call.args.to)
    span = _span(call)
    attempts = 0
    with sending.Receiver(url, sending.headers_of(call.workspace), sending.network_of(call.workspace)) as receiver:
        for trace, log_id, live in _traces(call, span):  # noqa: B007 - the last list is reported
            if trace is not None:
                receiver.add(trace, log_id)
                attempts += 1
        receiver.flush(log_id)
    data = {"what": "traces", "attempts": attempts, "spans": receiver.sent, "live": live, "to": url}
    counts = {"requests": receiver.requests, "rejected": receiver.rejected, "understood": receiver.understood}
    _tell(call, {**data, **counts})
    if not receiver.understood and not call.json:
        call.note(
            f"it did not answer as an OTLP receiver, so whether it accepted them is unknown. Is {url} the right URL? "
            f"Most have {sending.PATH}"
        )
    if receiver.rejected and not call.json:
        call.note(f"the receiver rejected {receiver.rejected} spans: {receiver.why or 'it gave no reason'}")
    return 1 if receiver.rejected else 0


def _tell(call: Call, data: dict[str, Any]) -> None:
    """Report what was exported: to stderr if the export itself went to stdout."""
    if call.json:
        if data["to"] is not None:
            call.show(data, [])
        return
    if data["what"] == "events":
        said = [counted(data["events"], "event")]
        if data["redacted"]:
            said.append(f"{counted(data['redacted'], 'line')} without what looked like a secret (--raw has it)")
    else:
        said = [f"{counted(data['attempts'], 'attempt')} in {counted(data['spans'], 'span')}"]
        if data["live"]:
            said.append(f"not ended yet, and left out: {', '.join(data['live'])}")
    if data["to"] is None:
        sys.stdout.flush()
        call.note("; ".join(said))
    else:
        call.show(data, [f"{'; '.join(said)}: {data['to']}"])


COMMANDS = {
    "log export": Command(
        "[REF|TASK|ATTEMPT|SESSION] [--jsonl|--otlp] [--to FILE|URL] [--since WHEN] [--until WHEN] "
        "[--raw] [--force] [--from FILE] [--json]",
        ABOUT,
        _arguments,
        _export,
        json="""\
With --to; otherwise stdout is the export itself.
what        events or traces
to          the file or the receiver
events      number of lines -- of events
first       the first one's number, or null -- of events
last        the last one's number, or null -- of events
redacted    number of redacted lines -- of events
attempts    number of attempts -- of traces
spans       number of spans -- of traces
live[]      attempts that have not ended and are skipped -- of traces
requests    number of requests -- to a receiver
rejected    number of spans it rejected -- to a receiver
understood  whether its answers were those of an OTLP receiver -- to a receiver""",
        examples="kugetsu log export --to night.jsonl\n"
        'kugetsu log export owner/project#14 --since "2d ago" | jq -r .type\n'
        "kugetsu log export --otlp --to http://localhost:4318",
        exits=(4, 5),
    ),
}
