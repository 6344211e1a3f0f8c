"""What the tests of notifications share: a directory whose courier ends with the test, notices, a server to post to."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kugetsu.runtime.notifications import message
from kugetsu.runtime.notifications.notice import Notice
from kugetsu.runtime.notifications.sinks import desktop
from kugetsu.runtime.process import identity
from kugetsu.runtime.process.named_lease import NOTIFIER
from runtime.stage import PATIENCE, Stage, bare_stage
from runtime.supervised import eventually

__all__ = ["bare_stage"]

AT = "2026-11-23T12:00:00.000000Z"
ISSUE = "git.example.org/o/r#1"
SECRET = "tok_" + "s3cr3t" * 5
#: Appends the id of each delivery to $STAGE/got, a line each.
NOTE = "sh -c 'echo $KUGETSU_NOTICE_DELIVERY >> \"$STAGE/got\"'"


@pytest.fixture
def stage(bare_stage: Stage) -> Iterator[Stage]:
    """A kugetsu that is set up; no courier is left when the test is over."""
    bare_stage.set_up()
    yield bare_stage
    bare_stage.check()
    if (daemon := bare_stage.state.daemon.identity) is not None:
        identity.signal(daemon, signal.SIGKILL)
    if (courier := NOTIFIER.holder(bare_stage.ws.paths)) is not None:
        identity.signal(courier, signal.SIGKILL)
    assert eventually(lambda: not NOTIFIER.alive(bare_stage.ws.paths), PATIENCE)


def notice(seq: int, type: str = "task_completed", text: str = "all done", issue: str | None = ISSUE) -> Notice:
    made = Notice(seq, AT, type, text, issue, f"q{seq}")
    made.url = f"https://git.example.org/o/r/issues/{seq}" if issue else None
    return made


def told(*notices: Notice, over: int = 5) -> message.Message:
    return message.compose("log-1-x-1-2", "all", notices, over)


def set_secret(stage: Stage, **values: str) -> None:
    folder = stage.directory / "env"
    folder.mkdir(exist_ok=True)
    path = folder / "notify.env"
    path.touch(mode=0o600)
    path.write_text("".join(f"{key}={value}\n" for key, value in values.items()))


@pytest.fixture
def screen(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with a notify-send that writes its arguments down; the file with them."""
    folder = stage.root / "bin"
    folder.mkdir()
    program = folder / "notify-send"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$STAGE/shown"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
    monkeypatch.setattr(desktop.sys, "platform", "linux")
    return stage.folder / "shown"


class Receiver:
    """A server that answers as it is told to: a status, headers, ``hang`` or ``cut``."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], Any]] = []
        self.status: int | str = 204
        self.headers: dict[str, str] = {}
        self.over = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append(({k.lower(): v for k, v in self.headers.items()}, json.loads(body)))
                if receiver.status == "hang":
                    receiver.over.wait(60)
                if isinstance(receiver.status, str):
                    self.close_connection = True
                    return
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hooks/{SECRET}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver(stage: Stage) -> Iterator[Receiver]:
    made = Receiver()
    set_secret(stage, NOTIFY_WEBHOOK_URL=made.url)
    yield made
    made.close()
