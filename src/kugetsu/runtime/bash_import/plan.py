"""What an import does, item by item, before anything of it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kugetsu.runtime.bash_import.records import Funnel, Known, Record

TAKEN = "taken"
"""It becomes something: a setting, a file, a repository, a session, a task."""

KEPT = "kept"
"""It is history, or what it was about is gone: kept as a record."""

UNCLEAR = "unclear"
"""It cannot be understood, so that nothing is made of it; kept as a record."""

LEFT = "left"
"""It cannot be read, or not be taken now: nothing of it is in the log, the next import looks at it again."""

KNOWN = "known"
"""An earlier import took or kept it."""


@dataclass(frozen=True)
class TakeFile:
    """Copy a file of the old directory to a place below KUGETSU_DIR; both are paths."""

    source: str
    target: str


@dataclass(frozen=True)
class TakeSetting:
    """Write a setting into the new `config`."""

    key: str
    value: str


@dataclass(frozen=True)
class TakeRepository:
    """Register where a repository is cloned from."""

    repository: str
    url: str


@dataclass(frozen=True)
class TakeSession:
    """Take an issue's session over; `found` is what git and the file say of it."""

    issue: str
    found: Mapping[str, Any]
    pr: str | None


@dataclass(frozen=True)
class TakeTask:
    """Queue a task that waited."""

    issue: str
    message: str
    priority: int


Action = TakeFile | TakeSetting | TakeRepository | TakeSession | TakeTask


@dataclass
class Item:
    """One record (or one file that could not be read) and what happens to it; `seq` is the event that kept it."""

    source: str
    kind: str
    outcome: str
    becomes: str | None = None
    reason: str | None = None
    notes: list[str] = field(default_factory=list)
    record: Record | None = None
    action: Action | None = None
    seq: int | None = None


@dataclass
class Plan:
    """The whole import. `initialises`: KUGETSU_DIR is set up by it; `in_place`: the old directory is KUGETSU_DIR."""

    directory: str
    target: str
    in_place: bool
    initialises: bool
    items: list[Item] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    #: (path, what it is): files that are not looked into, and stay where they are.
    untouched: list[tuple[str, str]] = field(default_factory=list)
    unread: list[dict[str, Any]] = field(default_factory=list)
    funnel: Funnel = field(default_factory=Funnel)
    done: bool = False

    def of(self, *outcomes: str) -> list[Item]:
        """The items with one of these outcomes."""
        return [item for item in self.items if item.outcome in outcomes]

    @property
    def complete(self) -> bool:
        """Whether everything was understood and could be taken."""
        return not self.of(UNCLEAR, LEFT)


class Draft:
    """Items while they are found: each is compared with what earlier imports did."""

    def __init__(self, known: Known, funnel: Funnel) -> None:
        self.known = known
        self.funnel = funnel
        self.items: list[Item] = []
        self._seen: dict[str, int] = {}

    def left(self, source: str, kind: str, reason: str) -> None:
        """A file or record of which nothing is kept now."""
        self.items.append(Item(source, kind, LEFT, reason=reason))

    def kept(self, record: Record, reason: str | None, outcome: str = KEPT) -> Item:
        """A record that becomes nothing."""
        return self._add(record, Item(record.source, record.kind, outcome, reason=reason))

    def unclear(self, record: Record, reason: str) -> Item:
        """A record that cannot be understood."""
        return self.kept(record, reason, UNCLEAR)

    def held(self, record: Record, reason: str) -> Item:
        """A record that may become something, but not now: nothing of it is kept, so that the next import looks
        again; one that an earlier import took stays known."""
        item = self.kept(record, reason)
        if item.outcome != KNOWN:
            item.outcome, item.record = LEFT, None
        return item

    def taken(self, record: Record, action: Action, becomes: str, notes: list[str] | None = None) -> Item:
        """A record that becomes something, unless an earlier import made that of it."""
        item = Item(record.source, record.kind, TAKEN, becomes=becomes, notes=notes or [], action=action)
        return self._add(record, item)

    def _add(self, record: Record, item: Item) -> Item:
        said = self.funnel.said
        item.becomes = said(item.becomes) if item.becomes is not None else None
        item.reason = said(item.reason) if item.reason is not None else None
        item.notes = [said(note) for note in item.notes]
        seen = self._seen.get(record.digest, 0)
        self._seen[record.digest] = seen + 1
        if seen:
            record = replace(record, occurrence=seen)
        item.record = record
        self.items.append(item)
        # What was only kept may be taken later: its worktree came back, or index.json names it now.
        if record.digest in self.known.became:
            became = self.known.became[record.digest]
            if became is not None or item.action is None:
                item.outcome, item.action, item.becomes = KNOWN, None, became
                item.reason, item.notes = None, []
        return item
