"""One budget for all requests to a forge: a limit that one process is told is heeded by all, until it ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import pytest

from forge.asking import QUICK, TOKEN
from forge.scripted import ScriptedForge
from kugetsu.forge.choice import forge_of
from kugetsu.forge.failures import ForgeForbidden, ForgeLimited
from kugetsu.forge.pauses import Pause
from kugetsu.forge.protocol import Forge
from kugetsu.model import clock

NOW = 1_800_000_000.0

Process = Callable[..., Forge]


@pytest.fixture
def process(server: ScriptedForge, kind: str, tmp_path: Path) -> Process:
    """Makes a forge object as another process of the same KUGETSU_DIR would."""

    def make(token: str = TOKEN) -> Forge:
        environment = {"GITEA_TOKEN": token, "GITHUB_TOKEN": token} if token else {}
        servers, kinds = {server.host: server.url}, {server.host: kind}
        pause = Pause(str(tmp_path / "forges" / "host"))
        return forge_of(server.host, servers, kinds, environment, limits=QUICK, pause=pause)

    return make


def test_no_process_asks_while_a_limit_holds(server: ScriptedForge, process: Process) -> None:
    server.issue("acme/web", 1)
    server.limit(0, seconds=600)
    with pytest.raises(ForgeLimited) as first:
        process().issue("acme", "web", 1)
    asked = len(server.requests)
    with pytest.raises(ForgeLimited) as second:
        process().labelled("acme", "web", "kugetsu", None)
    with pytest.raises(ForgeLimited):
        process().comment("acme", "web", 1, "done")
    assert len(server.requests) == asked
    assert first.value.retry_at is not None
    assert second.value.retry_at is not None
    assert abs(clock.seconds_between(first.value.retry_at, second.value.retry_at)) <= 1


def test_last_request_that_is_allowed_is_used_and_no_more_are_sent(
    server: ScriptedForge, process: Process, kind: str
) -> None:
    server.issue("acme/web", 1, comments=["me too"])
    server.limit(1, seconds=600)
    forge = process()
    assert forge.right("acme", "web", "bob") == "read"
    with pytest.raises(ForgeLimited):
        process().right("acme", "web", "bob")
    # GitHub says that it was the last one; Gitea has to be asked to know.
    assert len(server.requests) == (1 if kind == "github" else 2)


def test_requests_go_out_again_when_the_limit_has_ended(
    server: ScriptedForge, process: Process, tmp_path: Path
) -> None:
    server.issue("acme/web", 1)
    server.limit(0, seconds=600)
    with pytest.raises(ForgeLimited):
        process().issue("acme", "web", 1)
    file = tmp_path / "forges" / "host"
    until, _, access = file.read_text().partition(" ")
    assert 590 < float(until) - time.time() < 605
    file.write_text(f"{time.time() - 1} {access}")
    server.limit(None)
    assert process().issue("acme", "web", 1).number == 1


def test_a_pause_goes_by_the_clock_that_hosts_agree_on(server: ScriptedForge, process: Process) -> None:
    """A machine's own may be set back by an hour meanwhile."""
    server.issue("acme/web", 1)
    server.limit(0, seconds=600)
    agreed = [time.time()]
    clock.follow(lambda: round(agreed[0] * 1e6))
    try:
        with pytest.raises(ForgeLimited):
            process().issue("acme", "web", 1)
        server.limit(None)
        agreed[0] += 605
        assert process().issue("acme", "web", 1).number == 1
    finally:
        clock.follow(None)


def test_another_token_is_not_held_up(server: ScriptedForge, process: Process) -> None:
    # The remedy for the limit without a token is a token.
    server.issue("acme/web", 1)
    server.limit(0, seconds=600)
    with pytest.raises(ForgeLimited, match="accepts no requests"):
        process(token="").issue("acme", "web", 1)
    server.limit(None)
    assert process().issue("acme", "web", 1).number == 1


def test_what_is_no_limit_holds_nobody_up(server: ScriptedForge, process: Process) -> None:
    server.issue("acme/web", 1)
    server.answer("GET", "/issues/1", status=403, body={"message": "no"}, headers={"X-RateLimit-Remaining": "4999"})
    with pytest.raises(ForgeForbidden):
        process().issue("acme", "web", 1)
    budget = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time() + 600))}
    search = {**budget, "X-RateLimit-Resource": "search"}
    server.answer("GET", "/bob/permission", body={"permission": "read"}, headers=search)
    assert process().right("acme", "web", "bob") == "read"
    assert process().issue("acme", "web", 1).number == 1


@pytest.mark.parametrize("wrong", [-7200, 7200])
def test_limit_is_counted_by_the_servers_clock(server: ScriptedForge, process: Process, wrong: int) -> None:
    there = time.time() + wrong
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(there + 600)), "Date": formatdate(there)}
    server.answer("GET", "/permission", status=403, body={"message": "API rate limit exceeded"}, headers=headers)
    with pytest.raises(ForgeLimited) as limited:
        process().right("acme", "web", "bob")
    assert 590 < limited.value.wait < 610


def test_longer_pause_stays_and_a_wrong_one_holds_nobody_up(tmp_path: Path) -> None:
    pause = Pause(str(tmp_path / "forges" / "host"))
    assert pause.left(NOW, "with a token") == 0
    pause.begin(NOW + 600, "with a token")
    pause.begin(NOW + 60, "with a token")
    assert pause.left(NOW, "with a token") == 600
    assert pause.left(NOW + 600, "with a token") == 0
    assert pause.left(NOW, "without a token") == 0
    assert pause.left(NOW - 90_000, "with a token") == 0
    pause.begin(NOW - 89_990, "with a token")  # after a clock that was wrong was put right
    assert pause.left(NOW - 90_000, "with a token") == 10


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"soon with a token", b"nan with a token", b"inf with a token"])
def test_damaged_file_holds_nobody_up(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "host"
    path.write_bytes(content)
    pause = Pause(str(path))
    assert pause.left(NOW, "with a token") == 0
    pause.begin(NOW + 60, "with a token")
    assert pause.left(NOW, "with a token") == 60


def test_file_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    pause = Pause(str(tmp_path / "file" / "host"))
    pause.begin(NOW + 60, "with a token")
    assert pause.left(NOW, "with a token") == 0
    assert os.listdir(tmp_path) == ["file"]
