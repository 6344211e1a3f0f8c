"""The little language in which a message tells the scripted model what to do, and how it is cut into model turns.

A message holds a fenced block::

    ```script
    say I look at the file first.
    run git status --short
    write notes/today.md
    | first line
    | second line
    edit README.md
    - old text
    + new text
    status 500 x2
    say All done.
    ```

One line is one step, in order. Steps that act (they end a model turn with a tool call):

- ``run COMMAND``                 the agent's shell tool
- ``write PATH`` + ``| line``     writes a whole file
- ``edit PATH`` + ``- old`` ``+ new``  replaces text in a file
- ``read PATH``                   reads a file (outside of the worktree: the agent must ask for a permission)
- ``tool NAME {json}``            any other tool
- ``follow PATH``                 shows a file with the shell tool and plays the script found in it

Steps that shape the turn they stand before:

- ``say TEXT``                    text; the last one of a script is the final answer
- ``sleep SECONDS``               silence before the answer
- ``slow SECONDS``                that long between two pieces of the answer
- ``status CODE [xN|forever] [retry-after=VALUE] [TEXT or {json body}]``  an HTTP error, N times (once when left out)
- ``drop [xN|forever]``           the connection is cut in the middle of the answer
- ``hang [xN|forever]``           no answer until the client gives up
- ``cut``                         the answer ends at its length limit
- ``empty``                       the answer holds no text at all
- ``times N``                     the tool is called N times in this one answer
- ``usage input=N output=N cached=N reasoning=N``  the token counts that are reported
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

FOREVER = 1 << 30

_FENCE = re.compile(r"^[ \t]*(?P<mark>```+|~~~+)script[ \t]*\r?\n(?P<body>.*?)^[ \t]*(?P=mark)[ \t]*\r?$", re.M | re.S)
_TIMES = re.compile(r"x(\d+)\Z")


class ScriptError(ValueError):
    """A line of a script cannot be understood; the message names the line."""


@dataclass(frozen=True)
class Fault:
    """One way in which the server refuses to answer, ``times`` times in a row."""

    kind: str  # status, drop or hang
    times: int = 1
    code: int = 500
    retry_after: str | None = None
    body: str = ""


@dataclass(frozen=True)
class Call:
    """One tool call of the model."""

    tool: str
    arguments: dict[str, Any]
    follows: bool = False  # its result holds the script that is played next


@dataclass
class Turn:
    """One answer of the model: the faults that come first, then text, then a tool call or the end."""

    faults: list[Fault] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    call: Call | None = None
    sleep: float = 0.0
    slow: float = 0.0
    cut: bool = False
    empty: bool = False
    times: int = 1
    usage: dict[str, int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What the model says in this turn."""
        return "\n".join(self.texts)


def blocks(text: str) -> str | None:
    """The script in a message: all its ``script`` blocks one after another, or None when it holds none."""
    found = [match["body"] for match in _FENCE.finditer(text)]
    return "".join(found) if found else None


def parse(script: str) -> list[Turn]:
    """Cuts a script into model turns; the last of them has no tool call and ends the work.

    Raises:
        ScriptError: a line is no step of the language.
    """
    turns = [Turn()]
    lines = list(_joined(script))
    for verb, rest, body in lines:
        turn = turns[-1]
        _step(turn, verb, rest, body)
        if turn.call is not None or turn.cut or turn.empty:
            turns.append(Turn())
    last = turns[-1]
    if len(turns) > 1 and last == Turn() and (turns[-2].cut or turns[-2].empty):
        turns.pop()
    elif not last.texts:
        last.texts.append("Done.")
    return turns


def _joined(script: str) -> Iterator[tuple[str, str, list[str]]]:
    """Each step as (verb, rest of its line, the body lines that follow it)."""
    current: tuple[str, str, list[str]] | None = None
    for raw in script.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line[0] in "|+-" and (len(line) == 1 or line[1] == " ") and current is not None:
            # Only the script's own indentation is taken off: that of the body's text counts.
            current[2].append(raw.lstrip())
            continue
        if current is not None:
            yield current
        verb, _, rest = line.partition(" ")
        current = (verb, rest.strip(), [])
    if current is not None:
        yield current


def _step(turn: Turn, verb: str, rest: str, body: list[str]) -> None:
    """Lays one step into the turn."""
    if verb in _CALLS:
        turn.call = _CALLS[verb](rest, body)
    elif verb == "say":
        turn.texts.append("\n".join([rest, *(_marked(body, "|"))]))
    elif verb in ("sleep", "slow"):
        setattr(turn, verb, _number(verb, rest))
    elif verb == "times":
        turn.times = int(_number(verb, rest))
    elif verb in ("cut", "empty"):
        setattr(turn, verb, True)
    elif verb in ("status", "drop", "hang"):
        turn.faults.append(_fault(verb, rest))
    elif verb == "usage":
        turn.usage.update(_usage(rest))
    else:
        raise ScriptError(f"no step of a script: {verb} {rest}".strip())


def _marked(body: list[str], mark: str) -> list[str]:
    return [line[2:] for line in body if line[0] == mark]


def _run(rest: str, body: list[str]) -> Call:
    command = "\n".join([rest, *_marked(body, "|")])
    return Call("bash", {"command": command, "description": rest[:60] or "Runs a command"})


def _write(rest: str, body: list[str]) -> Call:
    return Call("write", {"filePath": rest, "content": "".join(f"{line}\n" for line in _marked(body, "|"))})


def _edit(rest: str, body: list[str]) -> Call:
    old, new = "\n".join(_marked(body, "-")), "\n".join(_marked(body, "+"))
    return Call("edit", {"filePath": rest, "oldString": old, "newString": new})


def _tool(rest: str, _body: list[str]) -> Call:
    name, _, arguments = rest.partition(" ")
    try:
        return Call(name, json.loads(arguments or "{}"))
    except ValueError as error:
        raise ScriptError(f"the arguments of tool {name} are no JSON: {arguments}") from error


def _follow(rest: str, _body: list[str]) -> Call:
    quoted = "'" + rest.replace("'", "'\\''") + "'"
    return Call("bash", {"command": f"cat {quoted}", "description": f"Reads {rest}"[:60]}, follows=True)


_CALLS = {
    "run": _run,
    "write": _write,
    "edit": _edit,
    "read": lambda rest, _body: Call("read", {"filePath": rest}),
    "tool": _tool,
    "follow": _follow,
}


def _number(verb: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ScriptError(f"{verb} needs seconds: {text}") from error


def _fault(verb: str, rest: str) -> Fault:
    words = rest.split(" ") if rest else []
    code = 0
    if verb == "status":
        if not words or not words[0].isdigit():
            raise ScriptError(f"status needs a code: {rest}")
        code = int(words.pop(0))
    times, retry_after = 1, None
    while words:
        if (count := _TIMES.match(words[0])) is not None:
            times = int(count[1])
        elif words[0] == "forever":
            times = FOREVER
        elif words[0].startswith("retry-after="):
            retry_after = words[0].partition("=")[2].replace("_", " ")
        else:
            break
        words.pop(0)
    return Fault(verb, times, code, retry_after, " ".join(words))


def _usage(rest: str) -> dict[str, int]:
    counts = {}
    for word in rest.split():
        name, _, number = word.partition("=")
        if name not in ("input", "output", "cached", "reasoning") or not number.isdigit():
            raise ScriptError(f"usage takes input, output, cached and reasoning: {word}")
        counts[name] = int(number)
    return counts
