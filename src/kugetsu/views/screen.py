"""Where lines are shown: how wide, in colour or not, at which moment, and which host goes without saying."""

from __future__ import annotations

import os

from kugetsu.model.record import record
from kugetsu.views.text import DESK, columns, wrapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import TextIO

#: Below so many columns (a telephone) nothing is cut: rows of tables go on below themselves, long lines are folded.
NARROW = 60


def width_of(stream: TextIO, environment: Mapping[str, str]) -> int | None:
    """How many columns a stream has, by COLUMNS or its terminal, at least 40; None: it has no width."""
    given = environment.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and int(given[:6]) > 0:
        return max(int(given[:6]), 40)
    if not stream.isatty():
        return None
    try:
        return max(os.get_terminal_size(stream.fileno()).columns, 40)
    except OSError:
        return 80


@record
class Screen:
    """``width`` in columns (None: not a terminal, nothing is cut); ``now`` as UTC text, for spans of time;
    ``default_host`` is left out of references. ``source`` and ``when`` are the words of `--from` and `--at` that it was
    asked with, as one types them."""

    width: int | None = None
    colour: bool = False
    now: str = ""
    default_host: str = "github.com"
    source: str | None = None
    when: str | None = None

    def at(self, now: str) -> Screen:
        """The same screen at another moment: for what was so in the past."""
        return Screen(
            width=self.width,
            colour=self.colour,
            now=now,
            default_host=self.default_host,
            source=self.source,
            when=self.when,
        )

    def command(self, text: str) -> str:
        """A command that goes on from here, such that it asks the same place and the same point. One that changes
        something, or waits for what comes, is for whoever is there: it stays as it is."""
        words = text.split()[1:]
        name = " ".join(words[:2]) if words[0] in _GROUPS else words[0]
        if name not in READING or words[-1] == "-f":
            return text
        # What is said of an event, and the whole of a history, belongs to no point.
        if self.when is not None and name in POINTED and "--at" not in words and not words[-1].isdigit():
            text += f" --at {self.when}"
        return f"{text} --from {self.source}" if self.source is not None else text

    @property
    def narrow(self) -> bool:
        """Whether it is too narrow for lines that are cut and for tables that stand side by side."""
        return self.width is not None and self.width < NARROW

    @property
    def small(self) -> bool:
        """Whether it is less than a terminal on a desk: nothing may be wider."""
        return self.width is not None and self.width < DESK

    @property
    def cuts_at(self) -> int | None:
        """How wide a line may be before its end is cut; None where it is folded instead."""
        return None if self.narrow else self.width

    def folded(self, lines: Iterable[str], *, words: bool | None = None) -> Iterator[str]:
        """The lines, those that are too wide in several: at a desk parted between their statements only, so that paths
        and commands can be copied; between ``words`` on a small screen, and where that is said."""
        for line in lines:
            if self.width is None or (len(line) <= self.width and line.isascii()):
                yield line
            else:
                from kugetsu.views.wrap import folded  # most lines fit

                yield from folded(line, self.width, words=self.small if words is None else words)

    def wrapped(self, text: str, margin: int = 0) -> list[str]:
        """``text`` in lines that leave ``margin`` columns of the screen free."""
        if self.width is None:
            return [text]
        if self.narrow:
            from kugetsu.views.wrap import folded

            return folded(text, self.width - margin, 0)
        return wrapped(text, self.width - margin)

    def side_by_side(self, parts: Sequence[str]) -> list[str]:
        """Ways to go on in one line; a line each where there is no room, so that no command is cut."""
        together = (" " * 8).join(parts)
        if self.source is None or self.width is None or columns(together) <= self.width:
            return [together]
        return list(parts)

    def _painted(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text

    def bold(self, text: str) -> str:
        """What the eye should find first."""
        return self._painted("1", text)

    def dim(self, text: str) -> str:
        """What frames the rest."""
        return self._painted("2", text)

    def red(self, text: str) -> str:
        """Failed, closed, lost."""
        return self._painted("31", text)

    def green(self, text: str) -> str:
        """Done, open, alive."""
        return self._painted("32", text)

    def yellow(self, text: str) -> str:
        """Waits, or wants a look."""
        return self._painted("33", text)

    def state(self, state: str, text: str) -> str:
        """``text`` in the colour of a task's, attempt's, session's or daemon's state."""
        if state in _BAD:
            return self.red(text)
        if state in _GOOD:
            return self.green(text)
        return self.yellow(text) if state in _WAITS else text

    def issue(self, key: str | None) -> str:
        """An issue or session key, without the host that goes without saying."""
        if key is None:
            return ""
        return key.removeprefix(self.default_host + "/")


#: The commands that ask a log and change nothing: each takes `--from`.
READING = frozenset(("audit", "changes", "context", "diff", "history", "list"))
READING |= {"replay", "report", "review", "status", "timeline", "why"}
READING |= {"log export", "log stats", "log verify", "notify list", "queue list", "queue stats"}
#: Commands that take the same point again.
POINTED = frozenset(("changes", "list", "queue list", "queue stats", "report", "review", "status", "why"))
_GROUPS = frozenset(name.partition(" ")[0] for name in READING if " " in name)

_BAD = frozenset(("error", "failed", "checks failed", "conflicts", "timed_out", "killed", "lost", "broken"))
_GOOD = frozenset(("completed", "succeeded", "running", "working", "notified", "approved", "merged"))
_WAITS = frozenset(("parked", "draining", "cancelled", "asks you", "to review", "changes requested"))
