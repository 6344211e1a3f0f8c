"""OTLP: an `ExportTraceServiceRequest` as the specification writes it in JSON, and the same as protobuf.

JSON has keys in lowerCamelCase, ids in hex (protobuf's own JSON has base64), whole numbers of 64 bits as text, enums as
numbers. Times are nanoseconds; events have microseconds. Protobuf is made with the message classes of the package
opentelemetry-proto (the extra `kugetsu[otlp]`), imported by those who send.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from kugetsu import __version__
from kugetsu.domain.traces import Link, Span, Trace, Value
from kugetsu.model.errors import KugetsuError

#: The name of the service and of the scope that the spans are of.
SERVICE = "kugetsu"
#: Numbers of the protocol's enums: a span inside of a program; a status that went well or failed.
INTERNAL = 1
OK, ERROR = 1, 2


def request(traces: Sequence[Trace], log_id: str) -> dict[str, Any]:
    """The request that hands these traces to a receiver."""
    by_host: dict[str, list[Trace]] = {}
    for trace in traces:
        by_host.setdefault(trace.host, []).append(trace)
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(_resource(log_id, host))},
                "scopeSpans": [
                    {
                        "scope": {"name": SERVICE, "version": __version__},
                        "spans": [_span(trace, span) for trace in group for span in trace.spans],
                    }
                ],
            }
            for host, group in by_host.items()
        ]
    }


def _resource(log_id: str, host: str) -> dict[str, Value]:
    """The attributes of what traces come from: the program, the log, the machine."""
    named: dict[str, Value] = {
        "service.name": SERVICE,
        "service.version": __version__,
        "service.instance.id": log_id,
        "host.name": host,
    }
    return {name: value for name, value in named.items() if value}


def _nanoseconds(micros: int) -> str:
    """The protocol's unit; it has no time before 1970."""
    return str(max(micros, 0) * 1000)


def _span(trace: Trace, span: Span) -> dict[str, Any]:
    found: dict[str, Any] = {"traceId": trace.id, "spanId": span.id}
    if span.parent is not None:
        found["parentSpanId"] = span.parent
    found |= {
        "name": span.name,
        "kind": INTERNAL,
        "startTimeUnixNano": _nanoseconds(span.start),
        "endTimeUnixNano": _nanoseconds(span.end),
        "attributes": _attributes(span.attributes),
        "events": [
            {"timeUnixNano": _nanoseconds(at), "name": name, "attributes": _attributes(attributes)}
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


# --- protobuf -------------------------------------------------------------------------------------------------------


def require_protobuf() -> None:
    """Raise KugetsuError if the message classes are not installed."""
    try:
        import opentelemetry.proto.collector.trace.v1.trace_service_pb2  # noqa: F401
    except ImportError as error:
        raise KugetsuError(
            f"sending to a receiver needs the package opentelemetry-proto, which is not installed ({error.name})",
            'pip install "kugetsu[otlp]"; or write OTLP as JSON into a file: kugetsu log export --otlp --to FILE',
        ) from error


def protobuf(traces: Sequence[Trace], log_id: str) -> bytes:
    """The same request as protobuf."""
    from google.protobuf.json_format import ParseDict
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    data = request(traces, log_id)
    for part in data["resourceSpans"]:
        for span in part["scopeSpans"][0]["spans"]:
            for ids in (span, *span["links"]):
                ids |= {name: _base64(ids[name]) for name in ("traceId", "spanId", "parentSpanId") if name in ids}
    return ParseDict(data, ExportTraceServiceRequest()).SerializeToString(deterministic=True)


def _base64(hexadecimal: str) -> str:
    return b64encode(bytes.fromhex(hexadecimal)).decode()


def rejected(answer: bytes) -> tuple[int, str] | None:
    """How many spans a receiver rejected, and why, from its answer; None if it is not an answer of the protocol."""
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    response = ExportTraceServiceResponse()
    try:
        response.ParseFromString(answer)
    except DecodeError:
        return None
    return response.partial_success.rejected_spans, response.partial_success.error_message
