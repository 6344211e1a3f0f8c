"""One call of a command: its arguments, the workspace, and the two ways out: data to stdout, talk to stderr."""

from __future__ import annotations

import os
import sys

from kugetsu.cli.declarations import Help
from kugetsu.redaction.funnel import redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any, TextIO

    from kugetsu.cli.declarations import Arguments
    from kugetsu.cli.parser import Parser
    from kugetsu.domain.events import Event
    from kugetsu.domain.state import State
    from kugetsu.model.errors import KugetsuError, LogDamaged
    from kugetsu.runtime.foreign import Foreign
    from kugetsu.runtime.workspace import Workspace
    from kugetsu.views.screen import Screen

    Run = Callable[["Call"], int]


class Command(Help):
    """One entry of a module's COMMANDS: its help, how it declares its arguments, and what it does."""

    __slots__ = ("arguments", "run")

    def __init__(
        self,
        usage: str,
        about: str,
        arguments: Callable[[Parser], None],
        run: Run,
        *,
        json: str = "",
        examples: str = "",
        exits: Sequence[int] = (),
    ) -> None:
        super().__init__(usage, about, json=json, examples=examples, exits=exits)
        self.arguments = arguments
        self.run = run


class Call:
    """What a command's function gets. The workspace is opened, the screen measured when they are first asked for."""

    def __init__(self, args: Arguments, environment: Mapping[str, str], command: str) -> None:
        self.args = args
        self.environment = environment
        self.command = command
        self.json: bool = getattr(args, "json", False)
        #: Whether the log is damaged, and what is shown is what could be read of it.
        self.damaged = False
        self._workspace: Workspace | None = None
        self._screen: Screen | None = None

    @property
    def workspace(self) -> Workspace:
        """The KUGETSU_DIR of the environment, or the exported log that `--from` names, whose oddities are reported when
        it is opened.

        Raises BadInput for settings that cannot be understood, and for a file that holds no log.
        """
        if self._workspace is not None:
            return self._workspace
        path = getattr(self.args, "from", None)
        if path is None:
            from kugetsu.runtime.workspace import open_workspace

            self._workspace = open_workspace(self.environment, self.command)
            return self._workspace
        from kugetsu.runtime.workspace import open_foreign
        from kugetsu.views.text import line

        opened = open_foreign(path, self.environment, self.command)
        if opened.foreign is not None:
            self.note(*(line(f"{os.path.basename(path)}: {note}") for note in opened.foreign.log.notes()))
        self._workspace = opened
        return opened

    @property
    def foreign(self) -> Foreign | None:
        """The exported log that `--from` names."""
        return self.workspace.foreign if getattr(self.args, "from", None) is not None else None

    def falls_back(self) -> bool:
        """Whether what can be read of a damaged log is shown: by a command that only reads, as it does with `--from`.

        Programs that want JSON get the error alone, as does who waits for more; a file is written whole or not at all.
        """
        args = self.args
        if not hasattr(args, "from") or getattr(args, "from") is not None or self.json:
            return False
        return not any(getattr(args, name, None) for name in ("follow", "watch", "to"))

    def fall_back(self, damage: LogDamaged) -> None:
        """Report that the log is damaged, and go on with what can be read of it, as with `--from`."""
        from kugetsu.cli.failure import print_lines

        folder = self.workspace.paths.log
        damage.hint = self.hint(damage)
        self.close()
        sys.stdout.flush()
        print_lines(damage)
        setattr(self.args, "from", folder)
        self.damaged = True
        self.forget_screen()
        self.note("what follows is what can be read of it:")

    def malformed(self) -> LogDamaged | None:
        """The first event of this log that does not fit its kind, as an error; None when there is none: what went wrong
        is then a fault of kugetsu's own. A state is folded from every event, whatever it says."""
        from kugetsu.domain.events import MALFORMED
        from kugetsu.log.files.damage_report import HINT
        from kugetsu.model.errors import KugetsuError, LogDamaged

        if self._workspace is None or self._workspace.foreign is not None:
            return None
        try:
            for event in self._workspace.log.read():
                if event["type"] == MALFORMED:
                    data = event["data"]
                    said = f"event {event['seq']} cannot be read: {data['type']} {data['problem']}"
                    return LogDamaged(said, HINT)
        except LogDamaged as damage:
            return damage
        except KugetsuError:
            return None
        return None

    def lines(self, after: int = 0, until: int | None = None) -> Iterator[tuple[Event, bytes]]:
        """The events with ``after`` < seq <= ``until`` and their lines; behind a damage those that can be read."""
        from kugetsu.model.errors import LogDamaged

        last = after
        try:
            for event, line in self.workspace.log.read_lines(after, until):
                last = event["seq"]
                yield event, line
        except LogDamaged as damage:
            if not self.falls_back():
                raise
            self.fall_back(damage)
            yield from self.workspace.log.read_lines(last, until)

    def state(self) -> State:
        """The fold of the log now."""
        return self.workspace.state()

    def ready(self) -> State:
        """The state, of a directory that is set up; raises KugetsuError with the remedy when it is not."""
        from kugetsu.runtime.query import points

        return points.ready(self.workspace)

    @property
    def screen(self) -> Screen:
        """Where `show` shows, as it is now."""
        if self._screen is None:
            self._screen = self._measured(self.workspace.config.default_host())
        return self._screen

    def plain_screen(self) -> Screen:
        """The screen for commands that work whatever the settings are: it knows no default host."""
        return self._measured("")

    def _measured(self, host: str) -> Screen:
        from kugetsu.model import clock
        from kugetsu.views.screen import Screen, width_of

        now = clock.now() if self.foreign is None else self.foreign.now
        place = getattr(self.args, "from", None)
        return Screen(
            width=width_of(sys.stdout, self.environment),
            colour=self._coloured(sys.stdout),
            now=now,
            default_host=host,
            source=quoted(place) if place is not None else None,
            when=self._point(now),
        )

    def _point(self, now: str) -> str | None:
        """The point of `--at`, such that it still means the same later: not so many events or minutes ago."""
        text: str | None = getattr(self.args, "at", None)
        if text is None:
            return None
        from kugetsu.model.errors import KugetsuError
        from kugetsu.runtime.query import timespec

        try:
            point = timespec.parse(text, now)
            if point.at is None:
                return str(timespec.state_of(self.workspace.log, point)[0])
        except KugetsuError:  # told by the command itself
            return quoted(text)
        return point.at.replace(".000000Z", "Z") if text.endswith(" ago") else " ".join(map(quoted, text.split()))

    def forget_screen(self) -> None:
        """Measure the screen and read the clock again at the next use."""
        self._screen = None

    def show(self, data: Any, lines: Iterable[str], *, value: bool = False) -> None:
        """Print ``data`` when `--json` was given, else the ``lines``; ``value``: they are what a script takes or what
        is kept, and stay as they are however wide the screen is."""
        if self.json:
            print_json(data)
        elif value:
            from kugetsu.views.text import harmless

            for line in lines:
                print(harmless(redact(line)))
        else:
            self.print_lines(lines)

    def print_lines(self, lines: Iterable[str], *, flush: bool = False) -> None:
        """Print lines of a screen; those that are too wide for it are folded."""
        for line in self.fitting(lines, sys.stdout):
            print(line, flush=flush)

    def quote(self, lines: Iterable[str]) -> None:
        """Print what an agent wrote, which has passed the redaction funnel: folded only where the screen is small."""
        from kugetsu.views.text import harmless

        shown = (harmless(line, colours=self.screen.colour) for line in lines)
        for line in self.screen.folded(shown) if self.screen.small else shown:
            print(line)

    def note(self, *lines: str, words: bool | None = None) -> None:
        """Print to stderr; KUGETSU_VERBOSITY=quiet wants none. ``words``: it is prose without a long path, to be folded
        on any screen."""
        if self.environment.get("KUGETSU_VERBOSITY", "").lower() == "quiet":
            return
        if self._workspace is not None and self._workspace.config.text("KUGETSU_VERBOSITY") == "quiet":
            return
        sys.stdout.flush()
        for line in self.fitting(lines, sys.stderr, words=words):
            print(line, file=sys.stderr)

    def note_undo(self, events: Sequence[Event]) -> None:
        """Name the command that undoes what was just done, if that can be; `--json` has the number of the event."""
        from kugetsu.domain.events import CATALOGUE

        own = [event for event in events if CATALOGUE[event["type"]].undoable]
        seqs = [event["seq"] for event in events]
        roots = [event["seq"] for event in own if event.get("cause") not in seqs]
        self.note_undo_of(roots[0] if roots else None, whole=len(roots) > 1)

    def note_undo_of(self, seq: int | None, *, whole: bool = False) -> None:
        """As `note_undo`, of one event, or of the ``whole`` transaction; None: nothing was appended."""
        if seq is not None and not self.json:
            self.note(f"undo: kugetsu undo {seq}{' --transaction' if whole else ''}")

    def fitting(self, lines: Iterable[str], stream: TextIO, *, words: bool | None = None) -> Iterator[str]:
        """The lines as a stream may show them: redacted, harmless, and folded where they are too wide."""
        from kugetsu.views.screen import Screen, width_of
        from kugetsu.views.text import harmless

        colours = self._coloured(stream)
        # Redacted as a whole: no part of a line shows what the line would not.
        shown = (harmless(redact(line), colours=colours) for line in lines)
        return Screen(width=width_of(stream, self.environment)).folded(shown, words=words)

    def _coloured(self, stream: TextIO) -> bool:
        return stream.isatty() and not self.environment.get("NO_COLOR") and self.environment.get("TERM") != "dumb"

    def hint(self, error: KugetsuError) -> str | None:
        """The remedy of an error of this command: a command that it names asks the same place; and of a log that does
        not verify `--from` shows what can be read all the same."""
        hint = error.hint
        if hint is None or not hasattr(self.args, "from"):
            return hint
        if getattr(self.args, "from") is None:
            damaged = error.code == "log_damaged"
            folder = self.workspace.paths.log if damaged else ""
            return f"{hint}; what can be read of it is shown with --from {quoted(folder)}" if damaged else hint
        known = self._workspace is not None and hint.startswith("kugetsu ") and not set(hint) & set("(;:,")
        return self.screen.command(hint) if known else hint

    def close(self) -> None:
        """Give the log's descriptors back."""
        if self._workspace is not None:
            if not self.json and (self._workspace.went_directly or self._workspace.only_read_mirror):
                from kugetsu.cli import shared_notes  # most logs are not shared

                shared_notes.show(self.note, self.command, self._workspace, self.screen.now)
            self._workspace.close()
            self._workspace = None


def quoted(path: str) -> str:
    """A path as one word of a command."""
    from shlex import quote  # few commands name one

    return quote(path)


def print_json(data: Any, *, compact: bool = False) -> None:
    """One JSON document to stdout, redacted; ``compact``: on one line."""
    from kugetsu.views.text import json_text

    print(json_text(data, compact=compact))
