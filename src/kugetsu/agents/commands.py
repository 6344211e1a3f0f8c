"""The commands that an agent ran in a turn, each with its exit code: recorded by its program, not told by its model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from kugetsu.agents import output_file

OUTPUT_LIMIT = 16 << 10
"""Characters kept of one command's output: its end, where a program reports how it went."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command line that ended. Nothing here is redacted.

    ``exit`` is None where the program did not record it (a time limit, an interruption). A line of several commands has
    the exit code of its last one. ``output`` is what it printed, stdout and stderr.
    """

    line: str
    exit: int | None
    output: str = ""
    folder: str = ""
    """Where it ran, if that was not the worktree; as the agent wrote it."""


def commands_of(output: str) -> list[Command]:
    """The commands in the output file of an `opencode run --format json`, in order.

    Those of sub-agents are not in it (`Agent.commands` has them). What cannot be read counts as none.
    """
    return [command for call in calls_of(output) if (command := of_call(call)) is not None]


def calls_of(output: str) -> Iterator[dict[str, Any]]:
    """The tool calls in an output file of opencode's: the ``part`` of each `tool_use` event."""
    with suppress(OSError):
        for line in output_file.lines(output):
            if isinstance(line, int) or b'"tool_use"' not in line:
                continue
            with suppress(orjson.JSONDecodeError):
                event = _object(orjson.loads(line))
                if event.get("type") == "tool_use":
                    yield _object(event.get("part"))


def of_call(part: dict[str, Any]) -> Command | None:
    """The command of one tool call; None for another tool's, and for a call that a permission refused."""
    state = _object(part.get("state"))
    given, metadata = _object(state.get("input")), _object(state.get("metadata"))
    line, code = given.get("command"), metadata.get("exit")
    if part.get("tool") != "bash" or not isinstance(line, str) or "output" not in metadata:
        return None
    printed = state.get("output") or metadata["output"]
    return Command(
        line,
        code if isinstance(code, int) and not isinstance(code, bool) else None,
        printed[-OUTPUT_LIMIT:] if isinstance(printed, str) else "",
        str(given.get("workdir") or ""),
    )


def ended_at(part: dict[str, Any]) -> float:
    """When a call ended, in ms since 1970; 0 where that is not recorded."""
    end = _object(_object(part.get("state")).get("time")).get("end")
    return end if isinstance(end, int | float) else 0


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
