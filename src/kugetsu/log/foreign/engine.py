"""An exported log as an engine of the `EventLog` protocol: the ordinary one, on what was unpacked, read-only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kugetsu.domain.events import Event
from kugetsu.domain.new_event import NewEvent
from kugetsu.log import DomainProjection
from kugetsu.log.codec import event_of
from kugetsu.log.files import segments
from kugetsu.log.files.engine import PERIODIC_EVERY, FileLog
from kugetsu.log.files.index import carries
from kugetsu.log.files.segments import Head
from kugetsu.log.files.verify import Problem, Repair, Stats, Verification
from kugetsu.log.files.watch import Watch
from kugetsu.log.foreign.bundle_reader import Contents
from kugetsu.log.foreign.temp_folder import TempFolder
from kugetsu.log.foreign.unpack import Findings, unpack
from kugetsu.log.projection import Projection
from kugetsu.model import jsontext
from kugetsu.model.errors import BadInput, KugetsuError
from kugetsu.model.plural import counted


class ForeignLog(FileLog):
    """The log in ``path``, which is read once, into a temporary folder, when this is made.

    Raises NotFound, BadInput for a file that holds no log (or too much), KugetsuError when it cannot be read.
    """

    def __init__(
        self, path: str, projection: Projection[Any] | None = None, *, periodic_every: int = PERIODIC_EVERY
    ) -> None:
        self.path = os.path.abspath(path)
        self._folder = TempFolder()
        self._before_unfinished: Any = None
        directory = os.path.join(self._folder.path, "log")
        try:
            os.mkdir(directory)
            self.found: Findings = unpack(path, directory)
            if not self.found.count:
                said = self._problem_there()
                hint = (
                    f"where it was made: {said}" if said else "is it a bundle, a log export, a log folder or a segment?"
                )
                raise BadInput(f"no event is in {path}", f"where it was made: {said}" if said else hint)
        except BaseException:
            self._folder.close()
            raise
        super().__init__(
            directory,
            projection or DomainProjection(),
            {},
            lambda: "",
            periodic_every=periodic_every,
            upkeep=False,
            trusted=True,
        )

    @property
    def contents(self) -> Contents:
        """The kind of the file, and its content other than the log."""
        return self.found.contents

    @property
    def part(self) -> bool:
        """Whether the log's beginning is missing, so that its events cannot be folded."""
        return self.found.first > 1

    @property
    def damaged(self) -> bool:
        """Whether it is a log folder with unreadable or changed parts."""
        return self.contents.kind == "folder" and bool(self.verify().problems)

    def _problem_there(self) -> str | None:
        """The parts of the log that were unreadable when the bundle was made."""
        try:
            manifest = jsontext.loads(self.contents.extras.get("manifest.json", b"{}"))
        except jsontext.JSONError:
            return None
        log = manifest.get("log") if isinstance(manifest, dict) else None
        said = log.get("problem") if isinstance(log, dict) else None
        return said if isinstance(said, str) and said else None

    def notes(self) -> list[str]:
        """Warnings about the file, a line each."""
        found = self.found
        notes = list(self.contents.problems)
        there = self._problem_there()
        if there is not None:
            notes.append(f"where it was made: {there}")
        if self.part:
            notes.append(f"it is a part of a log, events {found.first} to {found.last}: earlier events are unknown")
        for first, last in found.holes[:3]:
            notes.append(f"event {first} is missing" if first == last else f"events {first} to {last} are missing")
        if len(found.holes) > 3:
            notes.append(f"more events are missing after event {found.holes[3][0]}")
        if found.garbage_seen == 1:
            notes.append(f"1 line is not an event and was skipped: line {found.garbage[0]}")
        elif found.garbage_seen:
            notes.append(
                f"{found.garbage_seen} lines are not events and were skipped, the first is line {found.garbage[0]}"
            )
        if found.repeated:
            notes.append(f"{counted(found.repeated, 'repeated event')} skipped: the first copy counts")
        if found.unsealed_seen and not found.all_changed:
            are = "event was changed:" if found.unsealed_seen == 1 else "events were changed, the first is"
            notes.append(
                f"{found.unsealed_seen} {are} event {found.unsealed[0]}: kugetsu log verify --from FILE shows more"
            )
        if found.disorder:
            notes.append("its events were out of order: they were sorted")
        if found.whole is not None:
            notes.append(f"it ends in the middle of a transaction: the state is that after event {found.whole}")
        return notes

    # -- reading -----------------------------------------------------------------------------------------------

    def state(self) -> Any:
        """The fold of all its events except those of a transaction that is cut off."""
        if self.found.whole is None:
            return super().state()
        if self._before_unfinished is None:
            self._before_unfinished = self.state_at()
        return self._before_unfinished

    def state_at(self, seq: int | None = None, at: str | None = None) -> Any:
        """The state after event ``seq``, or before the first event later than ``at``; see `EventLog.state_at`."""
        whole = self.found.whole
        return super().state_at(seq if whole is None else min(whole, whole if seq is None else seq), at)

    def read_key(self, key: str) -> Iterator[Event]:
        """The events whose issue, task or session is ``key``, in order: an index of what is read once costs more."""
        wanted = jsontext.dumps(key)
        with open(os.path.join(self.directory, segments.name(1)), "rb") as file:
            for line in file:
                # A key written with escapes is not found as bytes.
                if wanted in line or b"\\" in line:
                    event = event_of(line)
                    if event is not None and carries(event, key):
                        yield event

    # -- checking ----------------------------------------------------------------------------------------------

    def verify(self, expected_head: Head | None = None) -> Verification:
        """The check of its chain during unpacking: complete if no line was changed, none if it was redacted."""
        found, name = self.found, os.path.basename(self.path)
        checked = Verification(count=found.count, segments=self.contents.sources, head=self.head())
        if found.all_changed:
            checked.note = (
                "nothing can be verified: it was redacted, its events do not have the bytes that their digests are of"
            )
        else:
            checked.count -= found.unsealed_seen + found.redacted
            checked.note = self._not_checked()
            text = "the line's digest does not fit: it was changed, or lines before it are missing or swapped"
            checked.problems += [Problem(seq, name, 0, "digest", text) for seq in found.unsealed]
        if self.contents.kind == "folder":
            checked.problems += [Problem(0, name, 0, "json", f"line {line} is not an event") for line in found.garbage]
            for first, last in found.holes:
                checked.problems.append(Problem(first, name, 0, "missing", f"events {first} to {last} are missing"))
        if expected_head is not None and expected_head.seq:
            self._check_head(checked, expected_head)
        return checked

    def _not_checked(self) -> str | None:
        """Why some of its events could not be checked; None if all could (except the first one of an excerpt)."""
        found = self.found
        said = []
        if found.redacted:
            said.append(f"something was taken out of {counted(found.redacted, 'event')}")
        if found.holes:
            said.append(f"events are missing before {counted(found.unchecked, 'event')} of it")
        return f"not all can be verified: {', '.join(said)}" if said else None

    def _check_head(self, checked: Verification, expected: Head) -> None:
        seq = expected.seq
        event = next(iter(self.read(seq - 1, seq)), None)
        if event is None:
            text = f"event {seq} was sealed, the events here are {self.found.first} to {self.found.last}"
            checked.problems.append(Problem(seq, "", 0, "missing", text))
        elif event["sha"] != expected.sha:
            text = f"event {seq} was sealed, it has another digest"
            checked.problems.append(Problem(seq, "", 0, "head", text))

    def stats(self) -> Stats:
        """Counts and sizes, with the parts of the file."""
        counted = super().stats()
        counted.segments = self.contents.sources
        return counted

    # -- unsupported -------------------------------------------------------------------------------------------

    def _read_only(self) -> KugetsuError:
        return KugetsuError(f"{self.path} is an exported log, read-only", "drop --from to act on the log that is here")

    def transact(self, decide: Callable[[Any], Sequence[NewEvent]]) -> list[Event]:  # noqa: ARG002
        """Raises KugetsuError: the log is read-only."""
        raise self._read_only()

    def append(self, new_events: Sequence[NewEvent]) -> list[Event]:  # noqa: ARG002
        """Raises KugetsuError: the log is read-only."""
        raise self._read_only()

    def repair(self) -> Repair:
        """Raises KugetsuError: the log is read-only."""
        raise self._read_only()

    def _does_not_grow(self) -> BadInput:
        return BadInput("an exported log does not grow", "drop -f, --follow or --watch")

    def follow(self, after: int) -> Iterator[Event | None]:  # noqa: ARG002
        """Raises BadInput: an exported log does not grow."""
        raise self._does_not_grow()

    def wait(self, after: int, timeout: float) -> bool:  # noqa: ARG002
        """Raises BadInput: an exported log does not grow."""
        raise self._does_not_grow()

    def watch(self) -> Watch:
        """Raises BadInput: an exported log does not grow."""
        raise self._does_not_grow()

    def close(self) -> None:
        """Remove the temporary folder."""
        super().close()
        self._folder.close()
