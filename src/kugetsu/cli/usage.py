"""Help and usage errors: argparse, built from a command's declarations."""

from __future__ import annotations

import argparse
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from kugetsu.cli.parser import Parser


class _Help(argparse.RawDescriptionHelpFormatter):
    """As wide as the terminal, within what is easily read."""

    def __init__(self, prog: str) -> None:
        given = os.environ.get("COLUMNS", "")
        width = int(given) if given.isascii() and given.isdigit() and len(given) < 6 else _terminal_width()
        super().__init__(prog, width=min(max(width, 60), 120) - 2, max_help_position=28)


def _terminal_width() -> int:
    try:
        return os.get_terminal_size(1).columns
    except OSError:  # not a terminal
        return 80


class _Full(argparse.ArgumentParser):
    def __init__(self, declared: Parser) -> None:
        super().__init__(
            prog=declared.program,
            usage=declared.usage,
            description=declared.description,
            epilog=declared.about or None,
            allow_abbrev=False,
            formatter_class=_Help,
        )
        self._declared_by = declared

    def error(self, message: str) -> NoReturn:
        raise self._declared_by.refuse(message)


def build(declared: Parser) -> argparse.ArgumentParser:
    """An argparse parser that raises BadInput for what it does not understand."""
    full = _Full(declared)
    for one in declared.declared:
        full.add_argument(*one.names, **one.rest)
    return full
