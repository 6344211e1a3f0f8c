"""OTLP/JSON: one `ExportTraceServiceRequest` as the specification writes it.

Keys in lowerCamelCase, ids in hex (where protobuf's own JSON has base64), whole numbers of 64 bits as text, enums as
numbers. Times are nanoseconds; events have microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from kugetsu import __version__

if TYPE_CHECKING:
    from kugetsu.domain.traces import Link, Span, Trace, Value

SCOPE = "kugetsu"
#: Numbers of the protocol's enums: a span inside of a program; a status that went well or failed.
INTERNAL = 1
OK, ERROR = 1, 2
#: Which attributes of its resource and scope a trace has.
SERVICE = "kugetsu"


def resource(log_id: str, host: str) -> dict[str, Value]:
    """The attributes of what traces come from: the program, the log, the machine."""
    named: dict[str, Value] = {
        "service.name": SERVICE,
        "service.version": __version__,
        "service.instance.id": log_id,
        "host.name": host,
    }
    return {name: value for name, value in named.items() if value}


def by_host(traces: Iterable[Trace]) -> dict[str, list[Trace]]:
    """The traces of each machine, in their order."""
    found: dict[str, list[Trace]] = {}
    for trace in traces:
        found.setdefault(trace.host, []).append(trace)
    return found


def request(traces: Sequence[Trace], log_id: str) -> dict[str, Any]:
    """The request that hands these traces to a receiver."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(resource(log_id, host))},
                "scopeSpans": [
                    {
                        "scope": {"name": SCOPE, "version": __version__},
                        "spans": [_span(trace, span) for trace in group for span in trace.spans],
                    }
                ],
            }
            for host, group in by_host(traces).items()
        ]
    }


def nanoseconds(micros: int) -> int:
    """The protocol's unit; it has no time before 1970."""
    return max(micros, 0) * 1000


def _span(trace: Trace, span: Span) -> dict[str, Any]:
    found: dict[str, Any] = {"traceId": trace.id, "spanId": span.id}
    if span.parent is not None:
        found["parentSpanId"] = span.parent
    found |= {
        "name": span.name,
        "kind": INTERNAL,
        "startTimeUnixNano": str(nanoseconds(span.start)),
        "endTimeUnixNano": str(nanoseconds(span.end)),
        "attributes": _attributes(span.attributes),
        "events": [
            {"timeUnixNano": str(nanoseconds(at)), "name": name, "attributes": _attributes(attributes)}
            for name, at, attributes in span.events
        ],
        "droppedEventsCount": span.dropped,
        "links": [_link(link) for link in span.links],
        "status": _status(span),
    }
    return found


def _link(link: Link) -> dict[str, Any]:
    relation = _attributes({"kugetsu.relation": link.relation})
    return {"traceId": link.trace, "spanId": link.span, "attributes": relation}


def _status(span: Span) -> dict[str, Any]:
    if span.failed is None:
        return {}
    return {"code": ERROR, "message": span.message} if span.failed else {"code": OK}


def _attributes(attributes: dict[str, Value]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": value}
