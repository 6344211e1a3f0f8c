"""What an import reads and plans: records, known again by their digest; references; items, before anything is done."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from kugetsu.log.protocol import EventLog
from kugetsu.model.errors import BadInput
from kugetsu.model.refs import IssueRef, parse_ref, parse_repository
from kugetsu.model.servers import canonical_host
from kugetsu.redaction import funnel
from kugetsu.runtime.bash_import.reading import OldDirectory, UnreadableError, shown

T = TypeVar("T")

LARGEST_IN_LOG = 16 << 10
"""Bytes of a record's JSON that the log takes; a larger one is a file in `imported/`, which the event names."""

FOLDER = "imported"
"""Folder of KUGETSU_DIR with the records that are too large for the log, by digest."""

_LOGIN = re.compile(r"(https?://)[^\s/@\"'<>]{1,500}@", re.IGNORECASE)


@dataclass(frozen=True)
class Record:
    """One record: its file, what it was there, its value as it was read, and the issue that it names, if any."""

    source: str
    kind: str
    value: Any
    issue: str | None = None
    #: Tells equal records of one file apart (two equal notifications are two).
    occurrence: int = 0

    @property
    def digest(self) -> str:
        """The first 32 hex digits of SHA-256 over file, kind, occurrence and value, secrets included."""
        whole = json.dumps([self.source, self.kind, self.occurrence, self.value], sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()[:32]


@dataclass
class Known:
    """What the log has of earlier imports: what each record became (None: it was kept, and no more), by its digest;
    and what the records of a file that holds one record became."""

    became: dict[str, str | None] = field(default_factory=dict)
    of_source: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, log: EventLog) -> Known:
        """Goes through the whole log: an import is rare, and the state need not grow for it."""
        known = cls()
        for event in log.read():
            if event["type"] != "record.imported":
                continue
            data = event["data"]
            became = data.get("became")
            digest = data.get("digest", "")
            known.became[digest] = became or known.became.get(digest)
            if became:
                known.of_source[data["source"]] = became
        return known


class Funnel:
    """Takes the secrets out: those with a shape, and those that the old env files hold."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._secrets = tuple(secrets)

    def clean(self, value: Any) -> Any:
        """A JSON value without its secrets, and such that the log can hold it."""
        return funnel.clean(_unicode(value), self._secrets)

    def said(self, text: str) -> str:
        """A text that is only shown and kept."""
        return funnel.redact(text.encode("utf-8", "backslashreplace").decode(), self._secrets)

    def usable(self, text: str) -> str:
        """A text that is worked with (a message, a URL): a URL loses its login and stays one."""
        return funnel.redact(_LOGIN.sub(r"\1", text), self._secrets)


def _unicode(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_unicode(key): _unicode(one) for key, one in value.items()}
    return [_unicode(one) for one in value] if isinstance(value, list) else value


def serialised(value: Any) -> bytes:
    """The JSON bytes of a cleaned value."""
    return json.dumps(value, ensure_ascii=False).encode()


@dataclass(frozen=True)
class Naming:
    """`servers` are those that will be in force after the import, `default_host` completes `owner/repo#N`, and
    `said_by` tells where it comes from."""

    servers: Mapping[str, str]
    default_host: str
    said_by: str

    def issue(self, text: object) -> IssueRef:
        """The issue that a field of the old files names. Raises BadInput."""
        if not isinstance(text, str):
            raise BadInput(
                "it does not name an issue" if text is None else f"its issue is not text: {str(text)[:60]!r}"
            )
        return parse_ref(text, default_host=self.default_host, servers=self.servers)

    def issue_or_none(self, text: object) -> str | None:
        """The canonical text of what `issue` gives, None where that raises."""
        try:
            return str(self.issue(text))
        except BadInput:
            return None

    def repository(self, text: str) -> str:
        """`host/owner/repo` of a key of repos.json: an issue's reference, or a repository's name. Raises BadInput."""
        if "#" not in text and "://" not in text:
            host, owner, repo = parse_repository(text)
            return f"{canonical_host(host, self.servers)}/{owner}/{repo}"
        return self.issue(text).repository

    def note(self, text: object) -> list[str]:
        """The note on a reference that was completed: people see whether the right server was taken."""
        if isinstance(text, str) and "://" not in text and text.count("/") == 1:
            return [f"{text} was completed with {self.default_host} ({self.said_by})"]
        return []


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
    """Take an issue's session over; `found` is what git and the file show of it."""

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


class PlanBuilder:
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
        shown = self.funnel.said
        item.becomes = shown(item.becomes) if item.becomes is not None else None
        item.reason = shown(item.reason) if item.reason is not None else None
        item.notes = [shown(note) for note in item.notes]
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

    # --- reading ------------------------------------------------------------------------------------------------------

    def json(self, old: OldDirectory, path: str, kind: str, type: type[T], unclear: str, unsure: str = "") -> T | None:
        """The value of a JSON file, kept as unclear or left if it is not of that type; None then, or without it."""
        if not old.has(path):
            return None
        try:
            value = old.json(path)
        except UnreadableError as problem:
            self.left(path, kind, f"{problem}{unsure}")
            return None
        if isinstance(value, type):
            return value
        self.unclear(Record(path, kind, value), unclear)
        return None

    def names(self, old: OldDirectory, folder: str, kind: str, suffix: str = "") -> list[str]:
        """The names in a folder, as `OldDirectory.names`; a folder that cannot be listed is left."""
        try:
            return old.names(folder, suffix)
        except UnreadableError as problem:
            self.left(f"{folder}/", kind, str(problem))
            return []

    def files(self, old: OldDirectory, folder: str, kind: str, suffix: str = "") -> Iterator[tuple[str, str, Any]]:
        """Name, path as shown, and value of each JSON file in a folder; one that cannot be read is left."""
        for name in self.names(old, folder, kind, suffix):
            source = f"{folder}/{shown(name)}"
            try:
                yield name, source, old.json(f"{folder}/{name}")
            except UnreadableError as problem:
                self.left(source, kind, str(problem))
