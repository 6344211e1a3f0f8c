"""The database's schema: numbered files, each applied once, in order, in one transaction with the note that it was.

What a migration adds is only used by the release after it, and what nothing uses is removed one release later: hosts
of two versions work side by side while they are upgraded.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

from kugetsu.log.shared.driver import psycopg
from kugetsu.log.shared.postgres import Database
from kugetsu.model.errors import LogUnreachable
from kugetsu.model.record import value

_LOCK = 0x6B75676574737500
"""The advisory lock of migrations: two hosts that are upgraded at once take turns."""

NOT_OWNER = "log in as the role that owns the schema kugetsu, or may create it: that is done once, for all hosts"

_NAME = re.compile(r"(\d{4})_\w+\.sql")


@value
class Migration:
    """One file of `schema/`: its number, and its statements."""

    number: int
    sql: str


@value
class Migrated:
    """``before`` and ``now``: the schema's version (0: none was there); ``roles``: whether this role could make the
    roles and their grants, else a database administrator has to."""

    before: int
    now: int
    roles: bool


def migrations() -> list[Migration]:
    """What is shipped, in order."""
    folder = resources.files("kugetsu.log.shared").joinpath("schema")
    found = [(match, entry) for entry in folder.iterdir() if (match := _NAME.fullmatch(entry.name))]
    return sorted(
        (Migration(int(match[1]), entry.read_text("utf-8")) for match, entry in found), key=lambda each: each.number
    )


def version(connection: psycopg.Connection[Any]) -> int:
    """The schema's version; 0 if the database holds no log."""
    if connection.execute("SELECT to_regclass('kugetsu.meta') IS NULL").fetchall()[0][0]:
        return 0
    return int(connection.execute("SELECT schema_version FROM kugetsu.meta").fetchall()[0][0])


def migrate(database: Database, steps: list[Migration] | None = None) -> Migrated:
    """Bring the schema to this program's version; one that is newer stays as it is.

    Raises LogUnreachable, also for a database whose encoding is not UTF8: it would not keep the lines.
    """
    connection = database.connection()
    try:
        encoding = connection.execute("SHOW server_encoding").fetchall()[0][0]
        if encoding != "UTF8":
            raise LogUnreachable(
                f"the database's encoding is {encoding}, which does not keep every text",
                "CREATE DATABASE kugetsu TEMPLATE template0 ENCODING 'UTF8'",
            )
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s::bigint)", (_LOCK,))
            before = now = version(connection)
            for step in migrations() if steps is None else steps:
                if step.number > now:
                    connection.execute(step.sql)
                    connection.execute("UPDATE kugetsu.meta SET schema_version = %s::int", (step.number,))
                    now = step.number
        return Migrated(before, now, _grant(connection))
    except psycopg.errors.InsufficientPrivilege as error:
        raise LogUnreachable(database.refused(error).message, NOT_OWNER) from error
    except psycopg.Error as error:
        raise database.refused(error) from error


def roles_sql() -> str:
    """The roles and their grants, for whoever may make them."""
    return resources.files("kugetsu.log.shared").joinpath("schema/roles.sql").read_text("utf-8")


def _grant(connection: psycopg.Connection[Any]) -> bool:
    try:
        with connection.transaction():
            connection.execute(roles_sql())
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True
