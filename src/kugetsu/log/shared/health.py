"""What an operator wants to know of a shared log's database: asked by `kugetsu doctor`, of one connection."""

from __future__ import annotations

import time

from kugetsu.log.files.segments import Head
from kugetsu.log.shared import schema
from kugetsu.log.shared.arbiter import CLIENT
from kugetsu.log.shared.connection import place_of
from kugetsu.log.shared.driver import psycopg
from kugetsu.log.shared.postgres import Database
from kugetsu.model.record import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OLD_TRANSACTION_SECONDS = 600
"""A transaction that is open for longer keeps the versions of the head's row, and appends get slower."""

_WAKE_SECONDS = 1.0


@value
class Health:
    """What was found. ``offset``: seconds by which this host's clock is ahead of the database's, to half of the
    ``round_trip``. ``host_ttl``: seconds of silence after which a host may be fenced. ``too_old``: nothing is taken
    from this kugetsu any more. ``loose``: settings of the server by which an acknowledged event may be lost in a crash.
    ``wakes``: whether the host hears of appends through the pooler that is in between; without one it does."""

    place: str
    version: str
    schema: int
    needed: int
    head: Head
    may_append: bool
    too_old: bool
    may_change: bool
    closed: bool
    host_ttl: float
    encrypted: bool
    local: bool
    pooled: bool
    wakes: bool
    offset: float
    round_trip: float
    old_transactions: list[str]
    loose: list[str]


def examine(url: str, patience: float = 5.0) -> Health:
    """Ask the database. Raises LogUnreachable, naming the remedy."""
    database = Database(url, patience)
    try:
        connection = database.connection()
        try:
            return _examined(database, connection, url)
        except psycopg.Error as error:
            raise database.refused(error) from error
    finally:
        database.close()


def _examined(database: Database, connection: psycopg.Connection[Any], url: str) -> Health:
    before = time.time()
    there, version = _row(connection, "SELECT extract(epoch FROM clock_timestamp())::float8, version()")
    after = time.time()
    closed, ttl, least = _row(
        connection, "SELECT closed, extract(epoch FROM host_ttl)::float8, min_client FROM kugetsu.meta"
    )
    seq, sha = _row(connection, "SELECT seq, sha FROM kugetsu.head")
    may_append, may_change = _row(
        connection,
        "SELECT has_function_privilege('kugetsu.append(bigint, text, text[], int)', 'EXECUTE'), "
        "has_table_privilege('kugetsu.events', 'UPDATE')",
    )
    old = connection.execute(
        "SELECT format('pid %%s, %%s, %%s min', pid, coalesce(application_name, ''), "
        "(extract(epoch FROM clock_timestamp() - xact_start) / 60)::int) FROM pg_stat_activity "
        "WHERE xact_start < clock_timestamp() - make_interval(secs => %s) AND datname = current_database()",
        (OLD_TRANSACTION_SECONDS,),
    ).fetchall()
    loose = connection.execute(
        "SELECT name || ' = ' || setting FROM pg_settings "
        "WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes') AND setting = 'off'"
    ).fetchall()
    info = connection.info
    head, pooled = Head(seq, sha), database.is_pooled()
    if pooled:
        database.listen()
    return Health(
        place=place_of(url),
        version=" ".join(version.split()[:2]),
        schema=schema.version(connection),
        needed=schema.migrations()[-1].number,
        head=head,
        may_append=may_append,
        too_old=least > CLIENT,
        may_change=may_change,
        closed=closed,
        host_ttl=ttl,
        encrypted=bool(connection.pgconn.ssl_in_use),
        local=info.host.startswith("/") or info.host in ("localhost", "127.0.0.1", "::1") or not info.host,
        pooled=pooled,
        wakes=database.hears_others(_WAKE_SECONDS),
        offset=(before + after) / 2 - there,
        round_trip=after - before,
        old_transactions=[row[0] for row in old],
        loose=[row[0] for row in loose],
    )


def _row(connection: psycopg.Connection[Any], statement: str) -> tuple[Any, ...]:
    return tuple(connection.execute(statement).fetchall()[0])
