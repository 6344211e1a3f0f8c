"""Records of the bash tool: known again by their digest, kept whole but for secrets, large ones beside the log."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kugetsu.log.protocol import EventLog
from kugetsu.redaction import funnel

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
