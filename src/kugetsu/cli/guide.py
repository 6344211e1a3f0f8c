"""`kugetsu help`: the overview, a command, a group, or a page of the guide."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from kugetsu.cli.catalogue import COMMANDS, SECTIONS, find, groups, load, members
from kugetsu.model.errors import BadInput, NotFound

#: The pages are package data: Markdown that reads well as it is.
FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "guide")
#: The page that lists the pages; also `kugetsu help pages`.
INDEX = "index"

EXIT_CODES = """exit codes: 0 done, 1 error, 2 no slot is free (nothing changed, try later),
3 bad usage or input, 4 not found, 5 conflict (already running, worktree dirty,
pull request open), 6 log damaged, 128+N ended by signal N"""


def answer(words: Sequence[str]) -> int:
    """`kugetsu help [WORD…]`; returns the exit status. Raises BadInput for a word that is neither command nor page."""
    words = [word for word in words if not word.startswith("-")]
    if not words:
        print(overview())
    elif len(words) == 1 and words[0] in groups():
        print(group_help(words[0]))
    elif len(words) == 1 and words[0] not in COMMANDS:
        _show(_page_named(words[0]))
    else:
        name, _ = find(words)
        if name is not None:
            load(name)[0].print_help()
    return 0


def overview() -> str:
    """`kugetsu --help`."""
    width = max(len(name) for name in COMMANDS)
    rows = []
    for heading, commands in SECTIONS.items():
        rows.append(f"\n{heading}")
        for name, (_, summary) in commands.items():
            first, *more = _wrapped(summary, 80 - width - 4)
            rows += [f"  {name:<{width}}  {first}", *(" " * (width + 4) + part for part in more)]
    return (
        "kugetsu queues issues for coding agents: one session and worktree per issue.\n\n"
        "usage: kugetsu COMMAND [ARGUMENTS]\n" + "\n".join(rows) + "\n\n"
        "kugetsu help COMMAND explains a command, kugetsu help pages lists the guide.\n"
        "Commands that show something take --json; --debug adds an error's traceback;\n--version prints the version.\n"
        "REF is host/owner/repo#14, the URL of an issue or pull request, owner/repo#14,\n"
        "or #14 inside a clone.\n"
        f"{EXIT_CODES}"
    )


def _wrapped(text: str, width: int) -> list[str]:
    from textwrap import wrap  # the completion, which needs titles only, does without `re`

    return wrap(text, width)


def group_help(group: str) -> str:
    """`kugetsu queue --help`."""
    names = members(group)
    width = max(len(name) for name in names)
    rows = []
    for name in names:
        first, *more = _wrapped(COMMANDS[name][1], 80 - width - 12)
        rows += [f"  kugetsu {name:<{width}}  {first}", *(" " * (width + 12) + part for part in more)]
    return "\n".join(rows) + f"\n\nkugetsu help {names[0]} explains the first"


# --- pages ------------------------------------------------------------------------------------------------------


def titles() -> dict[str, str]:
    """The pages of the guide by name, each with its title; without the index."""
    try:
        names = sorted(name[:-3] for name in os.listdir(FOLDER) if name.endswith(".md"))
    except FileNotFoundError:
        return {}
    return {name: _title(name) for name in names if name != INDEX}


def _title(name: str) -> str:
    with open(os.path.join(FOLDER, name + ".md"), encoding="utf-8") as file:
        return file.readline().strip("# \n")


def _text(name: str) -> str:
    with open(os.path.join(FOLDER, name + ".md"), encoding="utf-8") as file:
        return file.read()


def _page_named(name: str) -> str:
    """The Markdown of a page. Raises BadInput with the nearest name; NotFound when the installation lacks the index."""
    known = titles()
    if name in ("pages", INDEX):
        try:
            return _text(INDEX)
        except FileNotFoundError as problem:
            raise NotFound("this installation has no guide", "install kugetsu again") from problem
    if name in known:
        return _text(name)
    import difflib

    near = difflib.get_close_matches(name[:64], [*COMMANDS, *groups(), *known], 1, 0.6)
    meant = f"; did you mean {near[0]}?" if near else ""
    raise BadInput(f"no command or page is called {name[:64]!r}{meant}", "kugetsu --help, or: kugetsu help pages")


def _show(markdown: str) -> None:
    """Print a page: as it is where there is no terminal, else laid out, and through the pager when it is long."""
    if not sys.stdout.isatty():
        print(markdown, end="")
        return
    from kugetsu.cli import paging  # the completion needs titles only

    paging.show(markdown, os.environ)
