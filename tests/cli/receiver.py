"""An OTLP/HTTP receiver made of the protocol's own message classes, and a real collector in front of it."""

from __future__ import annotations

import gzip
import importlib.util
import os
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class Receiver:
    """Keeps what it is sent. ``answers`` are given first: a status, headers and a body each; then 200."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer._take(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        self.headers.append({name.lower(): value for name, value in handler.headers.items()})
        status, headers, answer = self.answers.pop(0) if self.answers else (200, {}, b"")
        if handler.path != "/v1/traces":
            status, answer = 404, b"no such path"
        if 200 <= status < 300:
            if handler.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            self.requests.append(ExportTraceServiceRequest.FromString(body))
            answer = answer or ExportTraceServiceResponse().SerializeToString()
        handler.send_response(status)
        for name, value in {"Content-Type": "application/x-protobuf", **headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)

    def spans(self) -> list[Any]:
        """All spans that came, in their order."""
        return [
            span
            for one in self.requests
            for part in one.resource_spans
            for scope in part.scope_spans
            for span in scope.spans
        ]

    def resources(self) -> list[dict[str, str]]:
        """The attributes of the resources that came."""
        return [
            {attribute.key: attribute.value.string_value for attribute in part.resource.attributes}
            for one in self.requests
            for part in one.resource_spans
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def partial(rejected: int, why: str) -> bytes:
    """The answer of a receiver that takes only a part."""
    return ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(rejected_spans=rejected, error_message=why)
    ).SerializeToString()


def of_json(text: dict[str, Any]) -> ExportTraceServiceRequest:
    """What OTLP/JSON says: protobuf's own reader, told that ids are in hex there."""
    import base64

    def hexed(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: base64.b64encode(bytes.fromhex(one)).decode()
                if key in ("traceId", "spanId", "parentSpanId")
                else hexed(one)
                for key, one in value.items()
            }
        return [hexed(one) for one in value] if isinstance(value, list) else value

    return json_format.ParseDict(hexed(text), ExportTraceServiceRequest())


def collector_program() -> Path | None:
    """The program of the collector Rotel, when its package is installed."""
    found = importlib.util.find_spec("rotel")
    places = list(found.submodule_search_locations or []) if found is not None else []
    return Path(places[0]) / "rotel-agent" if places else None


class Collector:
    """Rotel, which takes OTLP over HTTP and hands it on to a `Receiver`."""

    def __init__(self, program: Path, folder: Path, receiver: Receiver) -> None:
        ports = [_free_port(), _free_port()]
        self.url = f"http://127.0.0.1:{ports[0]}"
        words = [
            *(
                "start",
                "--otlp-http-endpoint",
                f"127.0.0.1:{ports[0]}",
                "--otlp-grpc-endpoint",
                f"127.0.0.1:{ports[1]}",
            ),
            *("--exporter", "otlp", "--otlp-exporter-protocol", "http", "--otlp-exporter-endpoint", receiver.url),
            *("--pid-file", str(folder / "collector.pid"), "--log-file", str(folder / "collector.log")),
        ]
        with open(folder / "collector.out", "wb") as out:
            self._process = subprocess.Popen(
                [program, *words], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={"PATH": os.environ["PATH"]}
            )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", ports[0])) == 0:
                    return
            time.sleep(0.05)
        self.close()
        raise RuntimeError((folder / "collector.out").read_text())

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
