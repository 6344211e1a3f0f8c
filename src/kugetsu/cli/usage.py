"""Help and usage errors: argparse, built from a command's declarations."""

from __future__ import annotations

import argparse
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NoReturn

    from kugetsu.cli.declarations import Declared


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
    def __init__(self, refuse: Callable[[str], Exception], **rest: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Help, **rest)
        self._refuse = refuse

    def error(self, message: str) -> NoReturn:
        raise self._refuse(message)


def build(
    program: str,
    usage: str,
    description: str,
    about: str,
    declared: Iterable[Declared],
    refuse: Callable[[str], Exception],
) -> argparse.ArgumentParser:
    """An argparse parser that raises what ``refuse`` makes of a message, for what it does not understand."""
    full = _Full(refuse, prog=program, usage=usage, description=description, epilog=about or None)
    for one in declared:
        full.add_argument(*one.names, **one.rest)
    return full
