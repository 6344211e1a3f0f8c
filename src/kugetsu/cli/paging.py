"""The pager, and a page of the guide on a terminal: headings bold, paragraphs as wide as fits."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain, islice
from typing import TYPE_CHECKING

from kugetsu.views.text import harmless

if TYPE_CHECKING:
    from kugetsu.cli.call import Call

#: Columns: longer lines are hard to read.
WIDEST = 80
#: Lines that are left to the shell's prompt.
PROMPT = 2
_ITEM = re.compile(r"( *)([-*]|\d+\.) ")
#: What sh answers for a program that is not there, or that it may not run.
_NO_PAGER = (126, 127)


def show(markdown: str, environment: Mapping[str, str]) -> None:
    """Show a page on the terminal that stdout is."""
    columns, rows = _size(environment)
    pager = _pager(environment)
    # Only less is known to take the escapes of bold text as such.
    plain = bool(environment.get("NO_COLOR")) or environment.get("TERM") == "dumb"
    is_less = pager is None or os.path.basename(pager.split()[0]) == "less"
    text = "\n".join(laid_out(markdown, min(columns, WIDEST), bold=not plain and is_less)) + "\n"
    if pager is None or text.count("\n") <= rows - PROMPT or not sys.stdin.isatty() or not paged(text, pager):
        print(text, end="")


def _size(environment: Mapping[str, str]) -> tuple[int, int]:
    def given(name: str) -> int:
        text = environment.get(name, "")
        return int(text[:6]) if text.isascii() and text.isdigit() else 0

    try:
        size = os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        size = os.terminal_size((80, 24))
    return max(given("COLUMNS") or size.columns, 30), given("LINES") or size.lines or 24


def _pager(environment: Mapping[str, str]) -> str | None:
    """The command line of the pager; None when none is wanted or there."""
    if "PAGER" in environment:
        wanted = environment["PAGER"].strip()
        return None if wanted in ("", "cat") else wanted

    return next((name for name in ("less", "more") if shutil.which(name, path=environment.get("PATH"))), None)


def page(call: Call, lines: Iterable[str]) -> None:
    """Print lines of a screen; on a terminal that they do not fit, through the pager, as they come."""
    _, rows = _size(call.environment)
    pager = _pager(call.environment)
    lines = iter(lines)
    head = list(islice(lines, rows - PROMPT + 1))
    every = chain(head, lines)
    seen = sys.stdin.isatty() and sys.stdout.isatty() and len(head) > rows - PROMPT
    if not seen or pager is None or shutil.which(pager.split()[0], path=call.environment.get("PATH")) is None:
        call.print_lines(every)
        return
    shown = call.fitting(every, sys.stdout)
    if os.path.basename(pager.split()[0]) != "less":
        shown = (harmless(line, colours=False) for line in shown)
    paged((f"{line}\n" for line in shown), pager)


def paged(text: Iterable[str], pager: str) -> bool:
    """Hand the text to the pager and wait for its end; False when the pager cannot be run."""
    sys.stdout.flush()
    # F: leave when it fits; R: bold text; X: the page stays on the screen. As git does, for `lv` too.
    environment = {"LESS": "FRX", "LV": "-c", **os.environ}
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the pager's
    try:
        process = subprocess.Popen(["sh", "-c", pager], stdin=subprocess.PIPE, env=environment)
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as stdin:  # one that ends early is not an error
            for part in (text,) if isinstance(text, str) else text:
                stdin.write(part.encode("utf-8", "backslashreplace"))
        process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    return process.returncode not in _NO_PAGER


def laid_out(markdown: str, width: int, *, bold: bool) -> Iterator[str]:
    """The lines of a page: headings without their #, paragraphs and list items filled, code indented, tables as are."""
    paragraph: list[str] = []
    code = False
    for line in markdown.splitlines():
        if line.startswith("```"):
            yield from _filled(paragraph, width)
            code = not code
        elif code:
            yield f"    {line}".rstrip()
        elif line.startswith("#"):
            yield from _filled(paragraph, width)
            title = line.lstrip("# ")
            yield f"\x1b[1m{title}\x1b[0m" if bold else title
        elif not line.strip() or line.startswith("|"):
            yield from _filled(paragraph, width)
            yield line
        else:
            if _ITEM.match(line):
                yield from _filled(paragraph, width)
            paragraph.append(line)
    yield from _filled(paragraph, width)


def _filled(paragraph: list[str], width: int) -> list[str]:
    """The lines of a paragraph or of a list item; empties it."""
    if not paragraph:
        return []
    item = _ITEM.match(paragraph[0])
    indent = " " * (item.end() if item is not None else 0)
    text = " ".join(line.strip() for line in paragraph)
    first = item.group(1) if item is not None else ""
    paragraph.clear()
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
