"""The arguments of one command: declared as for argparse, read without it when they are plain.

argparse costs a command 3 ms (its import, its formatter, gettext), more than everything else that `status` imports.
So what is declared here is kept, plain arguments are read at once, and argparse is built from the same declarations
for all the rest: help, errors, `--key=value`, joined short options. A test holds both readings against each other.
"""

from __future__ import annotations

from kugetsu.cli.declarations import Arguments, Declared
from kugetsu.model.errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from kugetsu.cli.declarations import Help, Kind


class Parser:
    """Options may stand between the words of a message; what follows `--` are words, whatever they look like."""

    def __init__(self, name: str, summary: str, command: Help) -> None:
        self.program = f"kugetsu {name}"
        self.usage = f"{self.program} {command.usage}".rstrip()
        self.description = summary[:1].upper() + summary[1:] + "."
        self.command = command
        self.words_dest: str | None = None
        self.recorded_words = 0
        self.declared: list[Declared] = []
        self.add_argument("--debug", action="store_true", help="show the traceback of an error")

    def add_argument(self, *names: str, completes: Kind | Sequence[Kind] = (), **rest: Any) -> None:
        """Declare an argument as argparse takes it; ``completes``: what its value names, for the shell's completion."""
        self.declared.append(Declared(names, rest, (completes,) if isinstance(completes, str) else completes))

    def json(self) -> None:
        """Declare `--json`."""
        self.add_argument("--json", action="store_true", help="print JSON; errors too")

    def at(self) -> None:
        """Declare `--at WHEN`, for a command that shows what was so at a point of the past."""
        self.add_argument("--at", metavar="WHEN", completes="when", help="as it was then: 214, @-3, 10m ago, a time")

    def source(self) -> None:
        """Declare `--from FILE`, for a command that only reads; `Call.workspace` is then that file."""
        self.add_argument(
            "--from", metavar="FILE", completes="file", help="read this bundle, log export or log folder instead"
        )

    def words(
        self,
        dest: str,
        help: str,
        *,
        metavar: str = "REF MESSAGE",
        completes: Kind | Sequence[Kind] = (),
        recorded: int = 1,
    ) -> None:
        """Declare any number of words; after `--` also such that begin with dashes. The first is what is completed.

        The first ``recorded`` of them are no part of a message: events show them with the command.
        """
        self.words_dest = dest
        self.recorded_words = recorded
        self.add_argument(dest, nargs="*", metavar=metavar, help=help, completes=completes)

    def read(self, argv: Sequence[str]) -> Arguments:
        """The arguments. Raises BadInput; SystemExit after printing help."""
        argv = list(argv)
        literal: list[str] = []
        if self.words_dest is not None and "--" in argv:
            at = argv.index("--")
            argv, literal = argv[:at], argv[at + 1 :]
        if any("when" in one.completes for one in self.declared):
            argv = joined(argv)
        values = self.read_plainly(argv)
        if values is None:
            values = self.read_fully(argv)
        if self.words_dest is not None:
            values[self.words_dest] = [*values[self.words_dest], *literal]
            values["literal"] = len(literal)
        return Arguments(values)

    def read_plainly(self, argv: Sequence[str]) -> dict[str, Any] | None:
        """The values of plain arguments; None when they are not plain, or wrong."""
        options = {name: one for one in self.declared if one.option for name in one.names}
        values = {one.dest: one.default() for one in self.declared}
        given: list[str] = []
        words = iter(argv)
        for word in words:
            if word[:1] != "-" or word == "-":
                given.append(word)
                continue
            one = options.get(word)
            if one is None or "nargs" in one.rest:
                return None
            if one.rest.get("action") == "store_true":
                values[one.dest] = True
                continue
            value = next(words, None)
            if value is None or value[:1] == "-" or not _take(values, one, value):
                return None
        return values if self._place(values, given) else None

    def _place(self, values: dict[str, Any], given: list[str]) -> bool:
        """Give the positionals their words, in order; False when there are too few or too many."""
        at = 0
        for one in self.declared:
            if one.option:
                continue
            many = one.rest.get("nargs")
            if many == "*":
                values[one.dest] = given[at:]
                at = len(given)
            elif at < len(given):
                if given[at] not in one.rest.get("choices", (given[at],)):
                    return False
                values[one.dest] = given[at]
                at += 1
            elif many != "?":
                return False
        return at >= len(given)

    def read_fully(self, argv: Sequence[str]) -> dict[str, Any]:
        """The values by argparse. Raises BadInput; SystemExit after printing help."""
        return vars(self.build().parse_intermixed_args(argv))

    def print_help(self) -> None:
        """Print the command's help."""
        self.build().print_help()

    def build(self) -> argparse.ArgumentParser:
        """The same declarations as an argparse parser."""
        from kugetsu.cli.argparse_help import build

        return build(self.program, self.usage, self.description, self.command, self.declared, self.refuse)

    def refuse(self, message: str) -> BadInput:
        """The error for arguments that cannot be understood, naming the command's own help."""
        hint = f"{self.program} --help"
        if message.startswith("unknown option: -") and self.words_dest is not None:
            hint = f"put words that begin with a dash after --: {self.program} … -- …; all options: {hint}"
        return BadInput(f"{self.program}: {message}", hint)


def joined(argv: Sequence[str]) -> list[str]:
    """The arguments with those of one WHEN put together that the shell took apart: `10m ago`, `2026-11-23 10:00`."""
    made: list[str] = []
    for word in argv:
        before = made[-1] if made else "-"
        goes_on = word == "ago" or (word[2:3] == ":" and len(before) == 10 and before[4:5] == before[7:8] == "-")
        if goes_on and before[:1] != "-":
            made[-1] = f"{before} {word}"
        else:
            made.append(word)
    return made


def _take(values: dict[str, Any], one: Declared, text: str) -> bool:
    """Give an option its value; False when it cannot have it."""
    kind = one.rest.get("type")
    value: Any = text
    if text not in one.rest.get("choices", (text,)):
        return False
    if kind is not None:
        try:
            value = kind(text)
        except ValueError:
            return False
    values[one.dest] = [*values[one.dest], value] if one.rest.get("action") == "append" else value
    return True
