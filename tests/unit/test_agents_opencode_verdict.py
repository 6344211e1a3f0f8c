"""What became of an `opencode run` is told from its files, because its exit code lies."""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kugetsu.agents.opencode.events import read_errors, read_output
from kugetsu.agents.opencode.verdict import judge
from kugetsu.agents.outcome import Outcome, bounded, sentence

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MS = int(NOW.timestamp() * 1000)
SESSION = "ses_1"


def event(kind: str, **part: Any) -> dict[str, Any]:
    return {"type": kind, "timestamp": MS, "sessionID": SESSION, "part": part}


def text(words: str) -> dict[str, Any]:
    return event("text", text=words)


def finish(reason: str, total: int = 10) -> dict[str, Any]:
    tokens = {"total": total, "input": total - 1, "output": 1, "reasoning": 0, "cache": {"read": 2, "write": 3}}
    return event("step_finish", reason=reason, tokens=tokens, cost=0.25)


def failure(name: str = "APIError", **data: Any) -> dict[str, Any]:
    return {"type": "error", "timestamp": MS, "sessionID": SESSION, "error": {"name": name, "data": data}}


def sign(kind: str, **fields: Any) -> str:
    return "kugetsu-agent " + json.dumps({"type": kind, "session": SESSION, "at": MS, **fields})


START, TOOL = event("step_start"), event("tool_use", tool="bash", state={"title": "make"})


@pytest.fixture
def verdict(tmp_path: Path) -> Any:
    def give(
        events: list[dict[str, Any]], stderr: str = "", exit_code: int | None = 0, signal: int | None = None
    ) -> Outcome:
        output, errors = tmp_path / "output", tmp_path / "errors"
        output.write_text("".join(json.dumps(one) + "\n" for one in events))
        errors.write_text(stderr)
        return judge(
            read_output(str(output)),
            read_errors(str(errors), SESSION),
            exit_code,
            signal,
            NOW,
        )

    return give


def test_stop_with_words_is_success_with_sums(verdict: Any) -> None:
    outcome = verdict([START, TOOL, finish("tool-calls"), START, text("All done."), finish("stop", 30)])
    assert outcome.kind == "succeeded"
    assert outcome.final_text == "All done."
    assert outcome.tokens is not None
    assert outcome.tokens.as_dict() == {
        "input": 38,
        "output": 2,
        "reasoning": 0,
        "cache_read": 4,
        "cache_write": 6,
        "total": 40,
    }
    assert outcome.cost == 0.5


@pytest.mark.parametrize(
    ("events", "stderr", "reason"),
    [
        ([START, text("half"), finish("length")], "", "cut at its length"),
        ([], "", "without any output"),
        ([START], "", "middle of a step"),
        ([START, finish("stop")], "", "answered nothing"),
        ([START, TOOL, finish("tool-calls")], "", "ended early (tool-calls)"),
        (
            [START, TOOL, finish("tool-calls")],
            "\x1b[93m! \x1b[0mpermission requested: external_directory (/etc/*); auto-rejecting\n",
            "external_directory (/etc/*)",
        ),
        ([failure("MessageOutputLengthError")], "", "cut at its length"),
    ],
)
def test_exit_code_0_alone_is_no_success(verdict: Any, events: list[Any], stderr: str, reason: str) -> None:
    outcome = verdict(events, stderr)
    assert outcome.kind == "incomplete"
    assert reason in outcome.reason


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"message": "boom", "statusCode": 500}, "retryable"),
        ({"message": "boom", "statusCode": 503, "isRetryable": True}, "retryable"),
        ({"message": "bad key", "statusCode": 401}, "unavailable"),
        ({"message": "forbidden", "statusCode": 403}, "unavailable"),
        ({"message": "bad request", "statusCode": 400}, "failed"),
        ({"message": "Unable to connect. Is the computer able to access the url?"}, "retryable"),
        ({"message": "slow down", "statusCode": 429}, "limited"),
        ({"message": "no money", "statusCode": 402}, "limited"),
        ({"message": "bad request", "statusCode": 400, "responseBody": '{"error":"insufficient_quota"}'}, "limited"),
    ],
)
def test_model_errors_are_told_apart(verdict: Any, data: dict[str, Any], kind: str) -> None:
    assert verdict([START, failure(**data)], exit_code=1).kind == kind


def test_a_model_that_cannot_be_reached_names_what_to_check(verdict: Any) -> None:
    message = "Cannot connect to API: Was there a typo in the url or port?"
    assert "KUGETSU_MODEL" in verdict([START, failure(message=message, isRetryable=True)], exit_code=1).reason
    assert "KUGETSU_MODEL" not in verdict([START, failure(message="overloaded")], exit_code=1).reason


def test_error_event_is_no_success_even_with_exit_code_0(verdict: Any) -> None:
    assert verdict([START, text("x"), finish("stop"), failure(message="boom", statusCode=500)]).kind == "retryable"


@pytest.mark.parametrize(
    "error",
    [
        failure("UnknownError", message="EDQUOT: disk quota exceeded, write"),
        failure("UnknownError", message="Error: test_quota.py::test_usage_limit failed with 429"),
        failure(message="prompt is too long: you exceeded the token limit", statusCode=400),
    ],
)
def test_an_error_of_opencodes_own_or_of_one_request_is_no_usage_limit(verdict: Any, error: dict[str, Any]) -> None:
    assert verdict([START, error], exit_code=1).kind != "limited"


def test_limit_carries_the_reset_of_the_header(verdict: Any) -> None:
    outcome = verdict([failure(message="usage limit", statusCode=429, responseHeaders={"retry-after": "60"})], "", 1)
    assert (outcome.kind, outcome.resets_at) == ("limited", "2026-11-23T09:01:00.000000Z")


def test_lost_session_is_flagged(verdict: Any) -> None:
    outcome = verdict([], "\x1b[91mError: \x1b[0mSession not found\n", exit_code=1)
    assert (outcome.kind, outcome.session_lost) == ("failed", True)


def test_unknown_model_is_named_from_the_log(verdict: Any) -> None:
    log = (
        "timestamp=2026-11-23T09:00:00.000Z level=ERROR run=1 message=failed ref=err_1 "
        'error="ProviderModelNotFoundError: Model not found: a/b." cause="x"\n'
    )
    outcome = verdict([failure("UnknownError", message="Unexpected server error.")], log, exit_code=1)
    assert (outcome.kind, outcome.gate) == ("unavailable", "provider")
    assert "(Model not found: a/b)" in outcome.reason
    assert outcome.remedy == "kugetsu config set KUGETSU_MODEL PROVIDER/MODEL"


def test_killed_while_waiting_for_a_limit_is_limited(verdict: Any) -> None:
    stderr = sign("retry", attempt=1, message="Too Many Requests", next=MS + 3_600_000)
    outcome = verdict([START], stderr, None, 15)
    assert (outcome.kind, outcome.resets_at) == ("limited", "2026-11-23T10:00:00.000000Z")


def test_killed_after_the_retry_was_overcome_is_only_killed(verdict: Any) -> None:
    stderr = sign("retry", attempt=1, message="usage limit", next=MS + 3_600_000) + "\n" + sign("resumed")
    assert verdict([START], stderr, None, 15).kind == "retryable"


@pytest.mark.parametrize(("exit_code", "signal"), [(None, 9), (None, None), (1, None)])
def test_unexplained_ends_are_tried_again(verdict: Any, exit_code: int | None, signal: int | None) -> None:
    assert verdict([START], "", exit_code, signal).kind == "retryable"


def test_torn_and_foreign_lines_are_left_out(tmp_path: Path) -> None:
    output = tmp_path / "o"
    output.write_bytes(json.dumps(finish("stop")).encode() + b'\n\xff\xfe garbage\n[1]\n{"type":"text","pa')
    seen = read_output(str(output))
    assert (seen.steps, seen.reason, seen.garbled) == (1, "stop", 2)


def test_missing_files_count_as_empty(tmp_path: Path) -> None:
    assert read_output(str(tmp_path / "no")).steps == 0
    assert read_errors(str(tmp_path / "no"), SESSION).signs == 0


def test_long_texts_keep_beginning_and_end() -> None:
    cut = bounded("a" * 5000 + "b" * 5000)
    assert len(cut) <= 4000
    assert cut.startswith("aaa")
    assert cut.endswith("bbb")
    assert sentence("a\n b" + "c" * 500).startswith("a b")
    assert len(sentence("c" * 500)) == 200


BROKEN_CONFIG = """\x1b[91m\x1b[1mError: \x1b[0mConfig file at {path}/opencode.json is not valid JSON(C):
--- JSONC Input ---
{{ nope
--- Errors ---
InvalidSymbol at line 1, column 3
   Line 1: {{ nope
            ^
--- End ---
"""
INVALID_CONFIG = """\x1b[91m\x1b[1mError: \x1b[0mConfiguration is invalid at {path}/opencode.json
↳ Expected string | undefined, got 7 model
"""
_SNAPSHOT = "/data/opencode/snapshot/5b6a08c24ff63c74ba68788f65/a9daee7e6ce021430109fedf070069164718149c/objects/info"
FULL = (
    "timestamp=2026-11-29T19:38:11.352Z level=ERROR run=e6cd message=failed ref=err_b1bc "
    f'error="PlatformError: Unknown: FileSystem.writeFile ({_SNAPSHOT}/alternates) (cause: Error: ENOSPC: no space '
    'left on device, write)" cause="PlatformError: Unknown"\n'
)


def judged(folder: Path, stderr: str, directory: Path | None = None, *events: dict[str, Any]) -> Outcome:
    """The verdict on an opencode that ended with exit code 1 in a worktree."""
    output, errors = folder / "output", folder / "errors"
    output.write_text("".join(json.dumps(one) + "\n" for one in events))
    errors.write_text(stderr)
    seen = read_output(str(output)), read_errors(str(errors), SESSION)
    return judge(*seen, 1, None, NOW, str(directory or ""))


@pytest.mark.parametrize(
    ("stderr", "problem"),
    [
        (BROKEN_CONFIG, "InvalidSymbol at line 1, column 3"),
        (INVALID_CONFIG, "Expected string | undefined, got 7 model"),
    ],
)
def test_a_broken_configuration_is_named_with_its_file_and_error(tmp_path: Path, stderr: str, problem: str) -> None:
    worktree = tmp_path / "worktree"
    worktree.mkdir()
    everybodys = judged(tmp_path, stderr.format(path="/home/u/.config/opencode"), worktree)
    assert (everybodys.kind, everybodys.gate) == ("unavailable", "agent")
    path = "/home/u/.config/opencode/opencode.json"
    assert everybodys.reason == f"opencode's configuration {path} is not valid: {problem}"
    assert path in everybodys.remedy
    own = judged(tmp_path, stderr.format(path=worktree), worktree)
    assert (own.kind, own.gate) == ("failed", ""), "the repository's own file is that task's fault"
    assert problem in own.reason


def test_a_model_that_the_repository_names_is_the_tasks_own_fault(tmp_path: Path) -> None:
    worktree = tmp_path / "worktree"
    worktree.mkdir()
    log = (
        "timestamp=2026-11-29T19:35:59.011Z level=ERROR run=99c7 message=failed ref=err_1 "
        'error="ProviderModelNotFoundError: Model not found: a/absent." cause="x"\n'
    )
    event = failure("UnknownError", message="Unexpected server error. Check server logs for details.")
    assert judged(tmp_path, log, worktree, event).kind == "unavailable"
    (worktree / "opencode.json").write_text('{"model": "a/absent"}')
    assert judged(tmp_path, log, worktree, event).kind == "failed"


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), os.mkdir])
def test_what_an_agent_puts_in_the_place_of_a_configuration_is_not_waited_for(tmp_path: Path, make: Any) -> None:
    worktree = tmp_path / "worktree"
    worktree.mkdir()
    make(worktree / "opencode.json")
    log = 'level=ERROR message=failed error="ProviderModelNotFoundError: Model not found: a/absent." cause="x"\n'
    event = failure("UnknownError", message="Unexpected server error. Check server logs for details.")
    found: list[Outcome] = []
    judging = threading.Thread(target=lambda: found.append(judged(tmp_path, log, worktree, event)), daemon=True)
    judging.start()
    judging.join(60)
    assert [outcome.kind for outcome in found] == ["unavailable"]


def test_a_full_disk_is_named_whatever_opencode_says_last(tmp_path: Path) -> None:
    event = failure("UnknownError", message="Unexpected server error. Check server logs for details.")
    outcome = judged(tmp_path, FULL, None, event)
    assert (outcome.kind, outcome.gate, outcome.remedy) == ("unavailable", "agent", "kugetsu doctor")
    assert "ENOSPC: no space left on device" in outcome.reason
    assert len(outcome.reason) <= 200


def test_context_overflow_is_the_tasks_own_fault(verdict: Any) -> None:
    event = failure(
        "ContextOverflowError", message="maximum context length is 8192 tokens, usage limit", statusCode=400
    )
    assert verdict([event], exit_code=1).kind == "failed"
