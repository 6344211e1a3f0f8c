#!/usr/bin/env python3
"""`python tools/reference.py`: write the pages that are generated: src/kugetsu/guide/commands.md and settings.md.

`--check` writes nothing: it shows what would change, and exits with 1 when something would. `kugetsu help commands`
and `kugetsu help settings` show the pages.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from kugetsu.cli import catalogue  # noqa: E402
from kugetsu.cli.argparse_help import ITEM, examples, filled  # noqa: E402
from kugetsu.cli.call import Command  # noqa: E402
from kugetsu.cli.catalogue import COMMANDS  # noqa: E402
from kugetsu.cli.declarations import Declared  # noqa: E402
from kugetsu.cli.guide import EXIT_CODES  # noqa: E402
from kugetsu.cli.parser import Parser  # noqa: E402
from kugetsu.model.settings import OF_REPOSITORY, SETTINGS  # noqa: E402

GUIDE = ROOT / "src" / "kugetsu" / "guide"
#: Columns of the page; code is shown indented by four.
WIDTH = 80
CODE = WIDTH - 4
#: Exit codes that every command has a use for: done, error, bad usage, log damaged.
COMMON = (0, 1, 3, 6)

COMMANDS_HEAD = """\
# Every command

Written by `python tools/reference.py` from the declarations of the commands.
`kugetsu help COMMAND` shows the same for one command. Every command takes
`--help`, and `--debug`, which shows the traceback of an error. Times in JSON
are UTC. With `--json` an error is an object on standard output too:
`{"error": {"code", "message", "hint", "exit_code"}}`.
"""

SETTINGS_HEAD = """\
# Settings

Settings are lines `KEY=VALUE` in `~/.kugetsu/config`, written by
`kugetsu config set KEY VALUE`; a variable of the environment with the same name
wins. Every command reads them, and so does the daemon before its next decision.
`kugetsu config list` shows each value and where it comes from. KUGETSU_DIR, in
the environment, names another folder than `~/.kugetsu`. Tokens do not belong
here: `kugetsu env set GITEA_TOKEN`.

Those marked "per repository" may have another value for one repository:
`kugetsu config set --repo owner/repo KEY VALUE` writes it below a line
`[git.example.com/owner/repo]` of the file, behind all general lines. What such
a section does not set is as in general; but an agent of its own does not take
the general KUGETSU_MODEL. MAX_AGENTS_PER_REPOSITORY there comes before
REPOSITORY_CAPS. `kugetsu config list --repo owner/repo` shows what holds.

Written by `python tools/reference.py` from the declarations in
`model/settings.py`.
"""


def main() -> int:
    """Write the pages, or compare them; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a page is not current")
    check: bool = parser.parse_args().check
    status = 0
    for name, text in (("commands.md", commands_page()), ("settings.md", settings_page())):
        path = GUIDE / name
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if check:
            sys.stdout.writelines(difflib.unified_diff(old.splitlines(True), text.splitlines(True), name, "declared"))
            status |= text != old
        else:
            path.write_text(text, encoding="utf-8")
    return status


def commands_page() -> str:
    """The page of every command."""
    meanings = dict(re.findall(r"(\d+(?:\+N)?) ([a-z][a-z ]*[a-zN](?: \([^)]*\))?)", EXIT_CODES.replace("\n", " ")))
    rows = "\n".join(f"| {code} | {meaning} |" for code, meaning in meanings.items())
    parts = [COMMANDS_HEAD, f"| exit code | meaning |\n|---|---|\n{rows}\n"]
    parts += [_section(name, meanings) for name in COMMANDS]
    return "\n".join(parts)


def settings_page() -> str:
    """The page of every setting, in the order of the file that `init` writes."""
    lines = []
    for key, setting in SETTINGS.items():
        default = f"`{setting.default}`" if setting.default else "empty"
        also = " (per repository)" if key in OF_REPOSITORY else ""
        lines += _wrapped(f"`{key}`{also}, default {default}: {setting.help}", first="- ", later="  ")
    return "\n".join([SETTINGS_HEAD, *lines]) + "\n"


def _section(name: str, meanings: dict[str, str]) -> str:
    command = catalogue.entry(name)
    parser, _ = catalogue.load(name)
    takes_json = any("--json" in one.names for one in parser.declared)
    parts = [f"## {name}", *_filled(parser.description), _fence("text", _usage(parser))]
    arguments = [_argument(one) for one in parser.declared if not {"--debug", "--json"} & set(one.names)]
    parts += ["\n".join(arguments)] if arguments else []
    parts += _filled(command.about)
    parts += _json(command) if takes_json else []
    parts += [_fence("sh", "\n".join(examples(command, CODE)))] if command.examples else []
    parts += _filled(_exits(command, meanings))
    return "\n\n".join(parts) + "\n"


def _filled(text: str) -> list[str]:
    """The paragraphs of a text, filled; lines that begin with blanks are code."""
    parts = []
    for part in filter(None, text.split("\n\n")):
        if part.startswith(" "):
            parts.append(_fence("text", textwrap.dedent(part)))
        elif any(ITEM.match(line) for line in part.split("\n")):
            parts.append(_fence("text", "\n".join(filled(part, CODE))))
        else:
            parts.append("\n".join(_wrapped(" ".join(part.split()))))
    return parts


def _wrapped(text: str, width: int = WIDTH, first: str = "", later: str = "") -> list[str]:
    # A lone dash at the start of a line would begin a list.
    lines = textwrap.wrap(
        text.replace(" - ", " -\0"),
        width,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\0", " ") for line in lines]


def _fence(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"


def _usage(parser: Parser) -> str:
    # An option and its value stay on one line.
    joined = re.sub(r"\[[^][]*\]", lambda part: part[0].replace(" ", "\0"), parser.usage)
    return "\n".join(_wrapped(joined, CODE, later="    "))


def _argument(one: Declared) -> str:
    metavar = str(one.rest.get("metavar") or one.dest.upper())
    if one.option:
        shown = ", ".join(f"{name} {metavar}" if one.takes_value else name for name in one.names)
    else:
        shown = metavar
    return "\n".join(_wrapped(f"`{shown}`: {one.rest.get('help', '')}", first="- ", later="  "))


def _json(command: Command) -> list[str]:
    """What `--json` prints: keys with their meanings as code, text between them as text."""
    parts = ["`--json` prints:"]
    for part in command.json.split("\n\n"):
        keys = [re.match(r"([a-z_][\w.*[\]]*)  +(.*)", line) for line in part.split("\n")]
        width = max((len(key[1]) for key in keys if key), default=0)
        lines: list[str] = []
        # Lines without a key are a paragraph, parted where they are typed and filled here.
        parts += _filled("\n".join(line for key, line in zip(keys, part.split("\n"), strict=True) if key is None))
        for key in keys:
            if key is not None:
                lines += _wrapped(key[2], CODE, f"{key[1]:<{width}}  ", " " * (width + 2))
        parts += [_fence("text", "\n".join(lines))] if lines else []
    return parts


def _exits(command: Command, meanings: dict[str, str]) -> str:
    codes = sorted({*COMMON, *command.exits})
    shown = [
        f"{code} ({meanings[str(code)].partition(' (')[0]})" if code in command.exits else str(code) for code in codes
    ]
    return f"Exit codes: {', '.join(shown)}."


if __name__ == "__main__":
    sys.exit(main())
