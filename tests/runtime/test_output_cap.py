"""An agent's output is kept within MAX_OUTPUT_MB: its beginning and its end stay, and the outcome says what went."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kugetsu.agents import output_file
from kugetsu.runtime.process.output_cap import OutputCap
from runtime.stage import Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]

MEGABYTE = 1 << 20


def test_the_middle_of_a_large_output_is_dropped_while_the_agent_writes(stage: Stage) -> None:
    stage.configure(MAX_OUTPUT_MB="1", TASK_STALL_MINUTES="0.05")
    stage.agent(
        'echo first; seq -f "number %.0f of a long row" 1 200000; seq -f "error %.0f of a long row" 1 200000 >&2\n'
        'touch "$STAGE/written"; while ! test -e "$STAGE/go"; do sleep 0.02; done; echo last; echo \'{"tokens": 7}\'\n'
    )
    stage.start(1)
    stage.file("written")
    output, errors = (stage.directory / "runs" / "q1.1" / name for name in ("output.jsonl", "stderr.log"))
    stage.until(lambda: output_file.left_out(str(output)) and output_file.left_out(str(errors)))
    stage.go()
    assert stage.finished("q1") == "completed"
    lines = list(output_file.lines(str(output)))
    [gap] = [line for line in lines if isinstance(line, int)]
    assert gap == output_file.left_out(str(output)) > 4 * MEGABYTE
    assert lines[0] == b"first" and lines[-2] == b"last"
    assert all(line.endswith(b" of a long row") for line in lines[1:-2] if isinstance(line, bytes)), "no line is torn"
    assert output.stat().st_blocks * 512 < 2 * MEGABYTE
    ended = stage.wait("attempt.succeeded")["data"]
    assert ended["tokens"] == 7
    assert any("MAX_OUTPUT_MB" in note for note in ended["outcome"]["notes"])
    assert "MAX_OUTPUT_MB" in ended["reason"]


def test_what_was_written_just_before_the_end_is_within_the_cap_too(stage: Stage) -> None:
    stage.configure(MAX_OUTPUT_MB="1")
    stage.agent("head -c 30000000 /dev/zero | tr '\\0' x; echo; echo last\n")
    stage.start(1)
    assert stage.finished("q1") == "completed"
    output = stage.directory / "runs" / "q1.1" / "output.jsonl"
    assert output.stat().st_blocks * 512 < 2 * MEGABYTE
    assert [*output_file.lines(str(output))][-1] == b"last"
    assert output_file.left_out(str(output)) > 28_000_000


def test_an_output_within_the_cap_is_whole(stage: Stage) -> None:
    stage.configure(MAX_OUTPUT_MB="1")
    stage.agent('seq 1 100000; echo "{}"\n')
    stage.start(1)
    stage.finished("q1")
    output = str(stage.directory / "runs" / "q1.1" / "output.jsonl")
    assert output_file.left_out(output) == 0 and len(list(output_file.lines(output))) == 100_001
    assert "notes" not in stage.wait("attempt.succeeded")["data"]["outcome"]


@pytest.mark.parametrize("rounds", [1, 7])
def test_what_is_appended_while_the_middle_goes_is_not_lost(tmp_path: Path, rounds: int) -> None:
    path = tmp_path / "output"
    cap = OutputCap([str(path)], MEGABYTE)
    with path.open("ab", buffering=0) as file:
        for number in range(40_000 * rounds):
            file.write(b"line %06d of the output\n" % number)
            if number % 7000 == 0:
                assert cap.step()
    kept = [line for line in output_file.lines(str(path)) if isinstance(line, bytes)]
    assert kept[0] == b"line 000000 of the output" and kept[-1] == b"line %06d of the output" % (40_000 * rounds - 1)
    assert os.stat(path).st_blocks * 512 < 2 * MEGABYTE


def test_the_tail_of_an_output_costs_what_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.write_bytes(b"".join(b"line %06d\n" % number for number in range(100_000)))
    lines, before, end = output_file.tail(str(path), 1000)
    assert lines[0] == b"line 099917" and lines[-1] == b"line 099999" and len(lines) == 83
    assert (before, end) == (1_200_000 - 83 * 12, 1_200_000)
    assert output_file.tail(str(path), 1 << 30) == (path.read_bytes().split(b"\n")[:-1], 0, 1_200_000)
    path.write_bytes(b"x" * 5000)
    assert output_file.tail(str(path), 1000) == ([b"x" * 1000], 4000, 5000), "a line without an end is cut"
