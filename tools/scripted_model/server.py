"""The HTTP side of the scripted model: streaming chat completions, the list of models, and what was asked so far."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from scripted_model.player import Player, text_of
from scripted_model.script import Fault, Turn

MODEL = "scripted-1"

_KEPT_REQUESTS = 2000
_PIECE = 24  # characters in one piece of a streamed answer


class ScriptedModel(ThreadingHTTPServer):
    """A server on 127.0.0.1; `port` 0 takes a free one. A context manager: it serves in a thread until the end."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int = 0, recipes: list[tuple[str, str]] | None = None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.player = Player(recipes)
        self.stopping = threading.Event()
        self._seen: deque[dict[str, Any]] = deque(maxlen=_KEPT_REQUESTS)
        self._count = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def note(self, request: dict[str, Any]) -> None:
        """Remembers a request (the newest 2000 of them)."""
        with self._lock:
            self._count += 1
            self._seen.append({"number": self._count, "at": time.time(), **request})

    def requests(self) -> list[dict[str, Any]]:
        """The chat requests so far, oldest first: number, at, session, model, tools, messages, prompt, given."""
        with self._lock:
            return list(self._seen)

    def __enter__(self) -> ScriptedModel:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away in the middle are part of the play: nothing is printed for them."""


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedModel
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """The server is silent: what was asked is told by GET /requests."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/v1/models":
            self._json(200, {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "kugetsu"}]})
        elif path == "/requests":
            self._json(200, self.server.requests())
        elif path == "/":
            self._json(200, {"kugetsu": "scripted model", "model": MODEL})
        else:
            self._json(404, {"error": {"message": f"no such path: {path}"}})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if not self.path.startswith("/v1/chat/completions"):
            self._json(404, {"error": {"message": f"no such path: {self.path}"}})
            return
        try:
            request = json.loads(body)
        except ValueError:
            self._json(400, {"error": {"message": "the body is no JSON"}})
            return
        session = self.headers.get("x-session-id") or ""
        turn, fault = self.server.player.turn(session, request)
        users = [text_of(message) for message in request.get("messages") or [] if message.get("role") == "user"]
        self.server.note(
            {
                "session": session,
                "model": request.get("model"),
                "tools": len(request.get("tools") or []),
                "messages": len(request.get("messages") or []),
                "prompt": users[-1] if users else "",
                "given": "answer" if fault is None else f"{fault.kind} {fault.code}".removesuffix(" 500"),
            }
        )
        self._pause(turn.sleep)
        if fault is not None and fault.kind != "drop":
            self._refuse(fault)
        else:
            self._answer(request, turn, cut_off=fault is not None)

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        body = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, fault: Fault) -> None:
        if fault.kind == "hang":
            self._hang()
            return
        headers = {} if fault.retry_after is None else {"retry-after": fault.retry_after}
        if fault.body.startswith("{"):
            self._json(fault.code, fault.body, headers)
        else:
            message = fault.body or f"scripted fault {fault.code}"
            self._json(fault.code, {"error": {"message": message, "type": "scripted", "code": fault.code}}, headers)

    def _hang(self) -> None:
        """Says nothing until the client goes away."""
        while not self.server.stopping.is_set():
            readable, _, _ = select.select([self.connection], [], [], 0.25)
            if readable and self.connection.recv(1, socket.MSG_PEEK) == b"":
                break
        self.close_connection = True

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self.server.stopping.wait(seconds)

    def _answer(self, request: dict[str, Any], turn: Turn, *, cut_off: bool) -> None:
        chunks = list(_chunks(request, turn))
        if not request.get("stream"):
            self._json(200, _whole(chunks))
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        for number, chunk in enumerate(chunks):
            if cut_off and number == 1:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return
            self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
            self.wfile.flush()
            self._pause(turn.slow)
        self.wfile.write(b"data: [DONE]\n\n")


def _chunks(request: dict[str, Any], turn: Turn) -> Iterator[dict[str, Any]]:
    """The pieces of a streamed answer in the provider's format, the last with the token counts."""
    frame = {
        "id": f"chatcmpl-{time.time_ns():x}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": request.get("model") or MODEL,
    }

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    yield chunk({"role": "assistant"})
    text = "" if turn.empty else turn.text
    for start in range(0, len(text), _PIECE):
        yield chunk({"content": text[start : start + _PIECE]})
    for number in range(turn.times if turn.call is not None else 0):
        assert turn.call is not None
        function = {"name": turn.call.tool, "arguments": json.dumps(turn.call.arguments)}
        call = {"index": number, "id": f"call_{time.time_ns():x}", "type": "function", "function": function}
        yield chunk({"tool_calls": [call]})
    finish = "length" if turn.cut else "stop" if turn.call is None else "tool_calls"
    yield chunk({}, finish)
    yield {**frame, "choices": [], "usage": _usage(request, turn, text)}


def _usage(request: dict[str, Any], turn: Turn, text: str) -> dict[str, Any]:
    """Token counts: those the script sets, else about a token for four characters."""
    size = sum(len(text_of(message)) for message in request.get("messages") or [])
    prompt = turn.usage.get("input", size // 4 + 1)
    completion = turn.usage.get("output", len(text) // 4 + (20 if turn.call else 1))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": turn.usage.get("cached", 0)},
        "completion_tokens_details": {"reasoning_tokens": turn.usage.get("reasoning", 0)},
    }


def _whole(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """The same answer for a client that does not stream."""
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    finish = "stop"
    for chunk in chunks:
        for choice in chunk["choices"]:
            delta = choice["delta"]
            message["content"] += delta.get("content", "")
            if "tool_calls" in delta:
                message["tool_calls"] = delta["tool_calls"]
            finish = choice["finish_reason"] or finish
    choices = [{"index": 0, "message": message, "finish_reason": finish}]
    return {**chunks[-1], "object": "chat.completion", "choices": choices}
