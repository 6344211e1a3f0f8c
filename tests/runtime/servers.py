"""Servers over real sockets: git's smart HTTP behind a login, and a proxy that tunnels and forwards."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest


class Handler(BaseHTTPRequestHandler):
    """Says nothing on the terminal."""

    def log_message(self, *_: Any) -> None:
        pass

    def reply(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Served:
    """A server in a thread, closed by `close`."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class GitServer(Served):
    """`git http-backend` over the repositories of a folder; lets in who has `logins`, and knows who came with which."""

    def __init__(self, root: Path, logins: set[tuple[str, str]], context: ssl.SSLContext | None = None) -> None:
        self.came: list[tuple[str, str]] = []
        self.paths: list[str] = []
        self.redirect = ""
        self.open = False
        outer = self

        class Git(Handler):
            def do_GET(self) -> None:
                outer.answer(self, root, logins)

            do_POST = do_GET  # noqa: N815

        super().__init__(Git, context)
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"{'https' if context else 'http'}://{self.host}"

    def answer(self, request: Handler, root: Path, logins: set[tuple[str, str]]) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if self.redirect:
            request.reply(302, {"Location": self.redirect + request.path})
            return
        self.paths.append(request.path)
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        name = password = None
        if scheme:
            name, _, password = base64.b64decode(value).decode().partition(":")
            self.came.append((name, password))
        if not self.open and not any(word == password and who in ("", name) for who, word in logins):
            request.reply(401, {"WWW-Authenticate": 'Basic realm="git"'})
            return
        parts = urlsplit(request.path)
        if not parts.path.endswith(("/info/refs", "/git-upload-pack")):
            request.reply(200, {"Content-Type": "application/json"}, b'{"version": "1.22"}')
            return
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            capture_output=True,
            check=True,
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_CONFIG_NOSYSTEM": "1",
                "HOME": str(root),
                "PATH_INFO": parts.path,
                "QUERY_STRING": parts.query,
                "REQUEST_METHOD": request.command,
                "CONTENT_TYPE": request.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
                "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
                "REMOTE_USER": "shoko",
            },
        )
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        request.reply(int(headers.pop("Status", "200").split()[0]), headers, rest)


class Proxy(Served):
    """Tunnels (CONNECT) and forwards (absolute URLs) everything to one port of this machine, whatever is asked for."""

    def __init__(self, port: int, login: str = "") -> None:
        self.asked: list[str] = []
        outer = self

        class Between(Handler):
            def do_CONNECT(self) -> None:
                if not outer.lets_in(self, login):
                    return
                self.send_response(200)
                self.end_headers()
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as there:
                    back = threading.Thread(target=_pump, args=(there, self.connection), daemon=True)
                    back.start()
                    _pump(self.connection, there)
                    back.join()
                self.close_connection = True

            def do_GET(self) -> None:
                if not outer.lets_in(self, login):
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                import http.client

                parts = urlsplit(self.path)
                there = http.client.HTTPConnection("127.0.0.1", port)
                path = parts.path + (f"?{parts.query}" if parts.query else "")
                there.request(self.command, path, body, dict(self.headers.items()))
                answer = there.getresponse()
                self.reply(answer.status, {"Content-Type": answer.headers["Content-Type"] or ""}, answer.read())
                there.close()

            do_POST = do_GET  # noqa: N815

        super().__init__(Between)
        self.url = f"http://127.0.0.1:{self.port}"

    def lets_in(self, request: Handler, login: str) -> bool:
        self.asked.append(f"{request.command} {request.path}")
        wanted = "Basic " + base64.b64encode(login.encode()).decode()
        if login and request.headers.get("Proxy-Authorization") != wanted:
            request.reply(407, {"Proxy-Authenticate": "Basic"})
            return False
        return True


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class Authority:
    """A certificate for 127.0.0.1 and git.test that signed itself: `pem` is its own authority."""

    def __init__(self, folder: Path) -> None:
        self.pem = folder / "authority.pem"
        key = folder / "key.pem"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        names = "subjectAltName=IP:127.0.0.1,DNS:git.test"
        subprocess.run(
            [*command, "-keyout", key, "-out", self.pem, "-days", "30", "-subj", "/CN=kugetsu test", "-addext", names],
            check=True,
            capture_output=True,
        )
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.pem, key)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A certificate authority of the test's own."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl")
    return Authority(tmp_path)


@contextlib.contextmanager
def serving(server: Served) -> Iterator[Any]:
    """The server, until the block ends."""
    try:
        yield server
    finally:
        server.close()
