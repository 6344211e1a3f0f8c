"""OTLP as protobuf, made with the message classes of the package `opentelemetry-proto` (the extra `kugetsu[otlp]`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from kugetsu import __version__
from kugetsu.model.errors import KugetsuError
from kugetsu.runtime.otlp.encoding import ERROR, INTERNAL, OK, SCOPE, by_host, nanoseconds, resource

if TYPE_CHECKING:
    from kugetsu.domain.traces import Span, Trace, Value


def require() -> None:
    """Raise KugetsuError, naming what to install, when the message classes are not there."""
    try:
        import opentelemetry.proto.collector.trace.v1.trace_service_pb2  # noqa: F401
    except ImportError as error:
        raise KugetsuError(
            f"a receiver is spoken to with the package opentelemetry-proto, which is not there ({error.name})",
            'pip install "kugetsu[otlp]"; or write OTLP as JSON into a file: kugetsu log export --otlp --to FILE',
        ) from error


def request(traces: Sequence[Trace], log_id: str) -> bytes:
    """The request that hands these traces to a receiver."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource
    from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

    made = ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=Resource(attributes=_attributes(resource(log_id, host))),
                scope_spans=[
                    ScopeSpans(
                        scope=InstrumentationScope(name=SCOPE, version=__version__),
                        spans=[_span(trace, span) for trace in group for span in trace.spans],
                    )
                ],
            )
            for host, group in by_host(traces).items()
        ]
    )
    return bytes(made.SerializeToString(deterministic=True))


def rejected(answer: bytes) -> tuple[int, str] | None:
    """How many spans a receiver has not taken, and why, from its answer; (0, "") for one that says nothing.

    None for one in words of its own: its status says that it is content, but not with what."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    said = ExportTraceServiceResponse()
    try:
        said.ParseFromString(answer)
    except DecodeError:
        return None
    return said.partial_success.rejected_spans, said.partial_success.error_message


def _span(trace: Trace, span: Span) -> Any:
    from opentelemetry.proto.trace.v1 import trace_pb2

    status = trace_pb2.Status()
    if span.failed is not None:
        status = trace_pb2.Status(code=ERROR if span.failed else OK, message=span.message)  # type: ignore[arg-type,unused-ignore]
    return trace_pb2.Span(
        trace_id=bytes.fromhex(trace.id),
        span_id=bytes.fromhex(span.id),
        parent_span_id=bytes.fromhex(span.parent or ""),
        name=span.name,
        kind=INTERNAL,  # type: ignore[arg-type,unused-ignore]
        start_time_unix_nano=nanoseconds(span.start),
        end_time_unix_nano=nanoseconds(span.end),
        attributes=_attributes(span.attributes),
        events=[
            trace_pb2.Span.Event(time_unix_nano=nanoseconds(at), name=name, attributes=_attributes(attributes))
            for name, at, attributes in span.events
        ],
        dropped_events_count=span.dropped,
        links=[
            trace_pb2.Span.Link(
                trace_id=bytes.fromhex(link.trace),
                span_id=bytes.fromhex(link.span),
                attributes=_attributes({"kugetsu.relation": link.relation}),
            )
            for link in span.links
        ],
        status=status,
    )


def _attributes(attributes: dict[str, Value]) -> list[Any]:
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue

    return [KeyValue(key=key, value=_value(value)) for key, value in attributes.items()]


def _value(value: Value) -> Any:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue

    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=value)
