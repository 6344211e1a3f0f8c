"""Help and usage errors: argparse, built from a command's declarations."""

from __future__ import annotations

import argparse
import os
import re
import textwrap
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from kugetsu.cli.declarations import Declared, Help

#: Columns: narrower nothing can be laid out, wider is hard to read.
NARROWEST = 40
WIDEST = 100
#: A line of a list: a name, two blanks or more, and what it is.
ITEM = re.compile(r"\S+  +(?=\S)")


class _Help(argparse.RawDescriptionHelpFormatter):
    """As wide as the terminal, within what is easily read."""

    def __init__(self, prog: str) -> None:
        self.columns = _columns()
        super().__init__(prog, width=self.columns, max_help_position=min(28, self.columns // 3))

    def _format_usage(self, usage: str | None, *_rest: Any) -> str:
        # One option and its value stay together.
        joined = re.sub(r"\[[^][]*\]", lambda part: part[0].replace(" ", "\0"), f"usage: {usage}")
        lines = _wrapped(joined, self.columns, later=" " * 7)
        return "\n".join(lines).replace("\0", " ") + "\n\n"

    def _fill_text(self, text: str, _width: int, indent: str) -> str:
        return "\n".join(filled(text, self.columns - len(indent), indent))


def _columns() -> int:
    given = os.environ.get("COLUMNS", "")
    width = int(given) if given.isascii() and given.isdigit() and len(given) < 6 else _terminal_width()
    return min(max(width, NARROWEST), WIDEST)


def _terminal_width() -> int:
    try:
        return os.get_terminal_size(1).columns
    except OSError:  # not a terminal
        return 80


def _wrapped(text: str, width: int, first: str = "", later: str = "") -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )


def filled(text: str, width: int, indent: str = "") -> list[str]:
    """The lines of a text, filled up to the width.

    A paragraph is one run of lines. A line `name  what it is` begins an item; lines with four blanks or more before
    them go on with it, below what it is. Other lines that begin with blanks are left as they are.
    """
    lines: list[str] = []
    run: list[str] = []
    for line in text.split("\n"):
        goes_on = bool(run) and (not line.startswith(" ") or line.startswith("    ")) and line.strip() != ""
        if not goes_on or ITEM.match(line):
            lines += _run(run, width, indent)
            run = []
        if not line.strip() or (line.startswith(" ") and not run):
            lines.append(indent + line if line.strip() else "")
        else:
            run.append(line)
    return lines + _run(run, width, indent)


def _run(run: list[str], width: int, indent: str) -> list[str]:
    if not run:
        return []
    item = ITEM.match(run[0])
    if item is None:
        return _wrapped(" ".join(line.strip() for line in run), width, indent, indent)
    what = " ".join(line.strip() for line in [run[0][item.end() :], *run[1:]])
    return _wrapped(what, width, indent + item[0], indent + " " * min(item.end(), width // 3))


class _Full(argparse.ArgumentParser):
    def __init__(self, refuse: Callable[[str], Exception], **rest: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Help, **rest)
        self._refuse = refuse

    def error(self, message: str) -> NoReturn:
        raise self._refuse(in_words(message))


#: What argparse says → what kugetsu says.
_WORDS = (
    (r"argument (.+?): invalid int value: (.*)", r"\1: not a whole number: \2"),
    (r"argument (.+?): invalid \w+ value: (.*)", r"\1: not a number: \2"),
    (r"argument (.+?): expected .*argument.*", r"\1 needs a value"),
    (r"argument (.+?): ignored explicit argument .*", r"\1 takes no value"),
    (r"argument (.+?): invalid choice: (.+?) \(choose from (.*)\)", r"\1: \2 is not one of \3"),
    (r"the following arguments are required: (.*)", r"missing: \1"),
    (r"unrecognized arguments: (-.*)", r"unknown option: \1"),
    (r"unrecognized arguments: (.*)", r"one word too many: \1"),
)


def in_words(message: str) -> str:
    """What argparse says of wrong arguments, as kugetsu says it."""
    for pattern, words in _WORDS:
        if (found := re.fullmatch(pattern, message, re.DOTALL)) is not None:
            return found.expand(words)
    return message


def build(
    program: str,
    usage: str,
    description: str,
    command: Help,
    declared: Iterable[Declared],
    refuse: Callable[[str], Exception],
) -> argparse.ArgumentParser:
    """An argparse parser that raises what ``refuse`` makes of a message, for what it does not understand."""
    full = _Full(refuse, prog=program, usage=usage, description=description, epilog=epilog(command) or None)
    for one in declared:
        full.add_argument(*one.names, **one.rest)
    return full


def examples(command: Help, width: int) -> list[str]:
    """The lines of its examples; a comment that does not fit behind what is typed goes above it."""
    lines: list[str] = []
    for line in command.examples.split("\n"):
        typed, _, comment = line.partition("  # ")
        lines += [f"# {comment}", typed] if comment and len(line) > width else [line]
    return lines


def epilog(command: Help) -> str:
    """What stands below the arguments: more about it, what --json prints, examples."""
    parts = [command.about] if command.about else []
    keys = list(dict.fromkeys(re.findall(r"^([a-z_]+)\S*  ", command.json, re.M)))
    if keys:
        parts.append(f"--json prints {', '.join(keys)} (kugetsu help commands explains each).")
    if command.examples:
        parts.append("\n".join(["examples:", *(f"  {line}" for line in examples(command, 78))]))
    # argparse fills in %(prog)s and the like.
    return "\n\n".join(parts).replace("%", "%%")
