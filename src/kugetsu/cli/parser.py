"""The argument parser of one command: argparse, with kugetsu's errors, and words that may begin with dashes."""

from __future__ import annotations

import argparse

from kugetsu.errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Options may stand between the words; what follows `--` are words, whatever they look like."""

    def __init__(self, name: str, summary: str, usage: str, about: str = "") -> None:
        super().__init__(
            prog=f"kugetsu {name}",
            usage=f"kugetsu {name} {usage}".rstrip(),
            description=summary[:1].upper() + summary[1:] + ".",
            epilog=about or None,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.words_dest: str | None = None
        self.add_argument("--debug", action="store_true", help="show the traceback of an error")

    def json(self) -> None:
        """Add `--json`."""
        self.add_argument("--json", action="store_true", help="print JSON; errors too")

    def words(self, dest: str, help: str) -> None:
        """Take any number of words; after `--` also such that begin with dashes."""
        self.words_dest = dest
        self.add_argument(dest, nargs="*", metavar="REF MESSAGE", help=help)

    def error(self, message: str) -> NoReturn:
        """Raise BadInput, naming the command's own help."""
        hint = f"{self.prog} --help"
        if message.startswith("unrecognized arguments: -") and self.words_dest is not None:
            hint = f"words that begin with a dash go behind a --: {self.prog} … -- …; all options: {hint}"
        raise BadInput(f"{self.prog}: {message}", hint)

    def read(self, argv: Sequence[str]) -> argparse.Namespace:
        """The arguments. Raises BadInput."""
        argv = list(argv)
        literal: list[str] = []
        if self.words_dest is not None and "--" in argv:
            at = argv.index("--")
            argv, literal = argv[:at], argv[at + 1 :]
        args = self.parse_intermixed_args(argv)
        if self.words_dest is not None:
            setattr(args, self.words_dest, [*getattr(args, self.words_dest), *literal])
        return args
