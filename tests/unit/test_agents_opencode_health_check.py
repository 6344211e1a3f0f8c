"""A silent opencode is told apart: working, limited, retrying, stuck, or not known."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kugetsu.agents.last_activity import of_opencode
from kugetsu.agents.opencode.health_check import check
from kugetsu.agents.protocol import Checkup, Running

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MS = int(NOW.timestamp() * 1000)
SESSION = "ses_1"


def sign(kind: str, **fields: Any) -> str:
    return "kugetsu-agent " + json.dumps({"type": kind, "session": SESSION, "at": MS - 1000, **fields}) + "\n"


def checkup(folder: Path, stderr: str, quiet: float = 30.0) -> Checkup:
    (folder / "errors").write_text(stderr)
    running = Running(SESSION, str(folder / "output"), str(folder / "errors"), os.getpid(), quiet)
    return check(running, NOW)


ASKED = sign("hello") + sign("asked")


def test_long_tool_is_healthy_however_silent(tmp_path: Path) -> None:
    seen = checkup(tmp_path, ASKED + sign("tool", id="p1", tool="bash", title="make test"), quiet=7200)
    assert (seen.health, seen.message) == ("healthy", "runs bash make test")


def test_tool_that_ended_does_not_count(tmp_path: Path) -> None:
    seen = checkup(tmp_path, ASKED + sign("tool", id="p1", tool="bash") + sign("tool-end", id="p1"))
    assert seen.health == "unknown"


def test_far_retry_is_a_usage_limit_with_its_end(tmp_path: Path) -> None:
    seen = checkup(tmp_path, ASKED + sign("retry", attempt=1, message="Too Many Requests", next=MS + 3_600_000))
    assert (seen.health, seen.resets_at) == ("limited", "2026-11-23T10:00:00.000000Z")


def test_usage_limit_is_recognised_by_its_words_when_the_retry_is_near(tmp_path: Path) -> None:
    seen = checkup(tmp_path, ASKED + sign("retry", attempt=1, message="insufficient_quota", next=MS + 2000))
    assert (seen.health, seen.resets_at) == ("limited", None)


def test_server_error_is_retrying_since_its_first_retry(tmp_path: Path) -> None:
    first = sign("retry", attempt=1, message="boom", next=MS + 2000)
    later = "kugetsu-agent " + json.dumps(
        {"type": "retry", "session": SESSION, "attempt": 2, "message": "boom", "next": MS + 6000, "at": MS}
    )
    seen = checkup(tmp_path, ASKED + first + later)
    assert (seen.health, seen.since) == ("retrying", "2026-11-23T08:59:59.000000Z")
    assert "attempt 2" in seen.message


def test_arriving_answer_is_healthy_until_it_stops_arriving(tmp_path: Path) -> None:
    assert checkup(tmp_path, ASKED + sign("answering")).health == "healthy"
    old = "kugetsu-agent " + json.dumps({"type": "answering", "session": SESSION, "at": MS - 60_000})
    assert checkup(tmp_path, ASKED + old).health == "unknown"


@pytest.mark.parametrize(
    ("stderr", "output", "quiet", "health"),
    [
        (sign("hello"), "", 600.0, "stuck"),
        ("", "", 600.0, "stuck"),
        ("", "", 400.0, "unknown"),
        (sign("hello"), "", 60.0, "unknown"),
        (ASKED, "", 600.0, "unknown"),
        (sign("hello"), "{}\n", 600.0, "unknown"),
    ],
)
def test_start_that_never_asks_its_model_is_stuck(
    tmp_path: Path, stderr: str, output: str, quiet: float, health: str
) -> None:
    (tmp_path / "output").write_text(output)
    assert checkup(tmp_path, stderr, quiet).health == health


def test_log_tells_of_a_limit_where_the_plugin_is_not_loaded(tmp_path: Path) -> None:
    at = (NOW - timedelta(seconds=20)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    line = (
        f'timestamp={at} level=ERROR run=1 message="stream error" providerID=p modelID=m session.id={SESSION} '
        'small=false agent=build mode=primary error.error="AI_APICallError: usage limit, try again in 3h 12m"\n'
    )
    seen = checkup(tmp_path, line)
    assert (seen.health, seen.resets_at) == ("limited", "2026-11-23T12:12:00.000000Z")
    assert checkup(tmp_path, line, quiet=5).health != "limited", "an answer came after that error"


def test_progress_shows_the_last_tool_and_the_sums(tmp_path: Path) -> None:
    output, errors = tmp_path / "output", tmp_path / "errors"
    tool = {"type": "tool", "tool": "edit", "state": {"status": "completed", "title": "src/x.py", "input": {}}}
    step = {"type": "step-finish", "reason": "tool-calls", "tokens": {"total": 10}, "cost": 0.5}
    lines = [
        {"type": "tool_use", "timestamp": MS, "part": tool},
        {"type": "step_finish", "timestamp": MS, "part": step},
    ]
    output.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"type":"tex')
    seen = of_opencode(str(output))
    assert (seen.last, seen.at, seen.tokens, seen.cost) == ("edit src/x.py", "2026-11-23T09:00:00.000000Z", 10, 0.5)
    newer = {"type": "tool", "id": "p", "tool": "bash", "title": "make  test\nall", "at": MS + 1000}
    errors.write_text(
        sign("usage", total=99, cost=1.5) + "kugetsu-agent " + json.dumps(newer) + "\nwords of opencode\n"
    )
    seen = of_opencode(str(output), str(errors))
    assert (seen.last, seen.running, seen.tokens, seen.cost) == ("bash make test all", True, 99, 1.5)


def test_progress_reads_a_bounded_tail_and_survives_missing_files(tmp_path: Path) -> None:
    output = tmp_path / "output"
    line = {"type": "text", "timestamp": MS, "part": {"text": "the last words"}}
    with output.open("w") as file:
        file.write(("x" * 1000 + "\n") * 1000)
        file.write(json.dumps(line) + "\n")
    assert of_opencode(str(output)).last == "the last words"
    assert of_opencode(str(tmp_path / "no"), str(tmp_path / "nor")).last is None
