"""Looks up sessions in opencode's own database, read-only: 1 ms where asking opencode takes a second.

Reading it while agents write is safe (SQLite in WAL mode). Its schema is private to opencode: whoever calls must have
another way when it is not as known.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

_PARTS = """
with recursive tree(id) as (
    select id from session where {column} = ?
    union
    select session.id from session join tree on session.parent_id = tree.id
)
select part.data from part join tree on part.session_id = tree.id
where json_extract(part.data, '$.type') = '{type}' order by part.time_created, part.id
"""
"""Parts of one type, of the session whose column is given and of all sub-agents below it."""

_STEPS = _PARTS.format(column="id", type="step-finish")
_CALLS = _PARTS.format(column="parent_id", type="tool")  # of the sub-agents alone


class UnreadableError(Exception):
    """The database is there, but is not of the known form."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of a session."""

    directory: str
    updated: int
    """Its revision: the time (ms) of its last change."""


def find(database: Path, session: str) -> Row | None:
    """A session's row; None when it, or the whole database, is not there. Raises UnreadableError."""
    if not database.exists():
        return None
    try:
        with closing(_open(database)) as connection:
            query = "select directory, time_updated from session where id = ?"
            found = connection.execute(query, (session,)).fetchone()
    except sqlite3.Error as error:
        raise UnreadableError(str(error)) from error
    return None if found is None else Row(str(found[0]), int(found[1]))


def steps(database: Path, session: str) -> list[tuple[object, object]]:
    """(tokens, cost) of every finished model call of a session and of its sub-agents' sessions, as opencode wrote them.

    Raises UnreadableError. A fork holds copies of its base's calls: whoever counts takes off what was there before.
    """
    return [(part.get("tokens"), part.get("cost")) for part in _parts(database, _STEPS, session)]


def calls_of_sub_agents(database: Path, session: str) -> list[dict[str, Any]]:
    """The tool calls of the sessions below a session, the oldest first; those of earlier turns are among them.

    Raises UnreadableError.
    """
    return _parts(database, _CALLS, session)


def _parts(database: Path, query: str, session: str) -> list[dict[str, Any]]:
    if not database.exists():
        return []
    try:
        with closing(_open(database)) as connection:
            rows = connection.execute(query, (session,)).fetchall()
    except sqlite3.Error as error:
        raise UnreadableError(str(error)) from error
    try:
        parts = [orjson.loads(row[0]) for row in rows]
    except (orjson.JSONDecodeError, TypeError) as error:
        raise UnreadableError("opencode's record of a call is not understood") from error
    return [part for part in parts if isinstance(part, dict)]


def messages(database: Path, session: str) -> int:
    """How many messages a session has. Raises UnreadableError."""
    if not database.exists():
        return 0
    try:
        with closing(_open(database)) as connection:
            query = "select count(*) from message where session_id = ?"
            return int(connection.execute(query, (session,)).fetchone()[0])
    except sqlite3.Error as error:
        raise UnreadableError(str(error)) from error


def works_in(database: Path, directory: str) -> bool:
    """Whether any session works in a directory. Raises UnreadableError."""
    if not database.exists():
        return False
    try:
        with closing(_open(database)) as connection:
            query = "select 1 from session where directory = ? limit 1"
            return connection.execute(query, (directory,)).fetchone() is not None
    except sqlite3.Error as error:
        raise UnreadableError(str(error)) from error


def _open(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=5)


def from_list(listed: bytes, session: str) -> Row | None:
    """A session's row from what `opencode session list --format json` printed (nothing, when there are none)."""
    if not listed.strip():
        return None
    try:
        rows = {row["id"]: Row(row["directory"], row["updated"]) for row in orjson.loads(listed)}
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise UnreadableError("opencode's list of sessions is not understood") from error
    return rows.get(session)
