"""Traces as the OpenTelemetry protocol (OTLP) has them: as JSON for files, as protobuf for a receiver over HTTP."""
