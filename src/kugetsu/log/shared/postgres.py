"""The arbiter that is PostgreSQL.

No statement depends on the session (unnamed statements, no settings, no advisory lock): a pooler in transaction mode
does for appends. The hold of the head is one simple-query message, never a pipeline: in one, PostgreSQL's timer of
idle transactions does not run, and a client that is stopped then holds the head for good.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Sequence
from typing import Any, LiteralString

from kugetsu.log.files.segments import Head
from kugetsu.log.shared import remedies
from kugetsu.log.shared.arbiter import CLIENT, PAGE, Fence, Tail, left_open
from kugetsu.log.shared.connection import (
    ANSWER_SECONDS,
    LimitedConnection,
    NoAnswerError,
    connect,
    parameters,
    place_of,
    said,
    was_ended,
)
from kugetsu.log.shared.driver import psycopg
from kugetsu.model.errors import KugetsuError, LogUnreachable
from kugetsu.model.record import value

PATIENCE = 10.0
"""Seconds for which a lost connection is tried again before LogUnreachable: a server's restart takes less."""

HOLD_SECONDS = 2
"""How long the head may be held between two statements; the server ends the session of a client that takes longer."""

_HELD_LINES = 1000

_APPEND: LiteralString = "SELECT ok, line FROM kugetsu.append(%s::bigint, %s::text, %s::text[], %s::int)"
_APPEND_FENCING: LiteralString = (
    "SELECT ok, line FROM kugetsu.append_fencing(%s::bigint, %s::text, %s::text[], %s::int, %s, %s::bigint, %s::bool)"
)
_TAIL: LiteralString = """
    SELECT h.seq, h.sha, t.line FROM kugetsu.head h LEFT JOIN kugetsu.tail(%s::bigint, %s::int) t ON true ORDER BY t.seq
"""
_HOLD: LiteralString = (
    "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '{seconds}s'; SELECT line FROM kugetsu.hold({seq})"
)

_JOIN: LiteralString = "SELECT kugetsu.join_host(%s::text, %s::text, %s::text, %s::int, %s::bigint)"

_BEAT: LiteralString = """
    SELECT held, extract(epoch FROM ttl)::float8, (extract(epoch FROM now_there) * 1000000)::bigint
      FROM kugetsu.beat(%s, %s, %s, '{}')
"""
_BEATS: LiteralString = """
    SELECT host, term, name, to_char(beat_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           extract(epoch FROM clock_timestamp() - beat_at)::float8, expires_at <= clock_timestamp(), fenced
      FROM kugetsu.hosts ORDER BY name, host
"""

_connected: weakref.WeakSet[Database] = weakref.WeakSet()
_parents: list[object] = []


def _after_fork_in_child() -> None:
    for database in list(_connected):
        database.forget_parent()


os.register_at_fork(after_in_child=_after_fork_in_child)


@value
class Renewal:
    """What came of a beat: whether the term is still ``held``, its new time to live ``ttl`` in seconds, and ``now`` on
    the database's clock, in microseconds since 1970."""

    held: bool
    ttl: float
    now: int


@value
class Beat:
    """A host as the database knows it: heard of at ``at``, ``ago`` in seconds; ``expired``: it may be fenced."""

    host: str
    term: int
    name: str
    at: str
    ago: float
    expired: bool
    fenced: bool


class Database:
    """One connection to the database, opened at its first use and again after it was lost; not for several threads.

    After a fork the child has no connection until it opens its own.
    """

    def __init__(self, url: str, patience: float = PATIENCE, answer: float = ANSWER_SECONDS) -> None:
        """``patience``: seconds for which a lost connection is opened again; ``answer``: for one answer."""
        self._url = url
        self._patience = patience
        self._answer_limit = answer
        self._connection: LimitedConnection | None = None

    # -- the arbiter -------------------------------------------------------------------------------------------

    def append(
        self,
        at: Head,
        lines: list[bytes],
        *,
        held: bool,
        again: bool = False,
        fence: Fence | None = None,
        within: float | None = None,
    ) -> list[bytes] | None:
        """See `Arbiter`.

        A connection that dies between request and answer leaves open what happened. The very same lines are sent
        again then: they follow ``at`` at most once, so that the answer to that is the answer to both.
        """
        patience = self._patience if within is None else min(self._patience, within)
        deadline = time.monotonic() + patience
        statement = _APPEND
        arguments: tuple[Any, ...] = (at.seq, at.sha, [line.decode() for line in lines], CLIENT)
        if fence is not None:
            statement, arguments = _APPEND_FENCING, (*arguments, fence.host, fence.term, fence.sure)
        lost = again
        while True:
            try:
                connection = self._open(deadline)
                if within is not None:
                    connection.limit = min(self._answer_limit, within)
                if not held:
                    self.release()  # else it would be part of that transaction
                # Held: psycopg's client-side cursor makes one message of both statements.
                cursor = psycopg.ClientCursor(connection) if held else connection.cursor()
                rows = cursor.execute(statement + ("; COMMIT" if held else ""), arguments).fetchall()
            except NoAnswerError as error:
                self.close()
                raise left_open(self._no_answer(error).message) from error
            except psycopg.Error as error:
                if not self._is_lost():
                    self.release()
                    raise self._refused_append(error, lost) from error
                self.close()
                held, lost = False, True
                continue
            except LogUnreachable as error:
                if lost:
                    raise left_open(f"{error.message}; the connection broke during an append", error.hint) from error
                raise LogUnreachable(f"{error.message}; nothing was appended", error.hint) from error
            except BaseException:
                self.close()  # interrupted in the middle of an exchange
                raise
            finally:
                if self._connection is not None:
                    self._connection.limit = self._answer_limit
            if rows[0][0]:
                return None
            following = [row[1].encode() for row in rows]
            return None if lost and following[0] == lines[0] else following

    def _refused_append(self, error: psycopg.Error, lost: bool) -> KugetsuError:
        """As `refused`; ``lost``: it was sent again, and what was sent before may be done, or be done yet."""
        refusal = self.refused(error)
        if lost and isinstance(refusal, LogUnreachable):
            return left_open(f"{refusal.message}; the connection broke during an append", refusal.hint)
        return refusal

    def hold(self, at: Head) -> list[bytes] | None:
        """See `Arbiter`."""
        self.release()
        message = _HOLD.format(seconds=HOLD_SECONDS, seq=int(at.seq))
        cursor = self._asked(message, last=True)
        lines = [row[0].encode() for row in cursor.fetchall()]
        if len(lines) > _HELD_LINES:
            self.release()
            return None
        return lines

    def release(self) -> None:
        """See `Arbiter`."""
        connection = self._connection
        if connection is None or connection.closed:
            return
        try:
            if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                connection.execute("ROLLBACK")
        except psycopg.Error:
            self.close()  # which releases the head as well

    def tail(self, at: Head, most: int = PAGE) -> Tail:
        """See `Arbiter`."""
        rows = self._asked(_TAIL, (at.seq, most)).fetchall()
        if not rows:
            raise remedies.of_code("3F000", place_of(self._url), "")
        return Tail([row[2].encode() for row in rows if row[2] is not None], Head(rows[0][0], rows[0][1]))

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    # -- for whoever keeps the mirror --------------------------------------------------------------------------

    def listen(self) -> None:
        """From now on `notified` tells of appends. Read the tail after this, never before."""
        self._asked("LISTEN kugetsu")

    def hears_others(self, timeout: float) -> bool:
        """Whether notifications arrive after `listen`: behind a pooler in transaction mode none does while nothing is
        asked. One's own would arrive even there, with the answer to the NOTIFY: another connection has to send it."""
        if not self.is_pooled():
            return True
        other = Database(self._url, self._patience)
        try:
            other._asked("NOTIFY kugetsu")
            return self.notified(timeout)
        finally:
            other.close()

    def is_pooled(self) -> bool:
        """Whether the server process that answers is another than the one that was connected to."""
        asked = self._asked("SELECT pg_backend_pid()").fetchall()[0][0]
        connection = self._connection
        return connection is not None and bool(asked != connection.info.backend_pid)

    @property
    def is_connected(self) -> bool:
        """Whether it has a connection now."""
        return self._connection is not None and not self._connection.closed

    def fileno(self) -> int:
        """The connection's descriptor, to select on; -1 without one."""
        return -1 if self._connection is None or self._connection.closed else self._connection.fileno()

    def notified(self, timeout: float) -> bool:
        """Whether somebody appended, now or within ``timeout`` seconds. Raises LogUnreachable when the connection
        broke: whoever opens another one has to listen again."""
        connection = self._connection
        if connection is None:
            raise LogUnreachable("the connection to the shared log's database was closed")
        try:
            connection.limit = timeout + self._answer_limit  # it is no answer that is waited for
            return any(True for _ in connection.notifies(timeout=timeout, stop_after=1))
        except psycopg.Error as error:
            self.close()
            cause = remedies.shortened(said(error))
            raise LogUnreachable(f"the connection to the shared log's database broke: {cause}") from error
        finally:
            connection.limit = self._answer_limit

    # -- for the hosts that share the log ----------------------------------------------------------------------

    def join_host(self, host: str, name: str, boot: str, above: int) -> int:
        """Begin a new term of a host, which is later than ``above`` and all that the database knows; the term."""
        rows = self._asked(_JOIN, (host, name, boot, CLIENT, above)).fetchall()
        return int(rows[0][0])

    def can_expect_hosts(self) -> bool:
        """Whether it has `expect_host`: the schema may be older."""
        return bool(
            self._asked("SELECT to_regprocedure('kugetsu.expect_host(text,bigint,text)') IS NOT NULL").fetchall()[0][0]
        )

    def expect_host(self, host: str, term: int, name: str) -> None:
        """Wait for a beat of a host's ``term`` from now on; nothing changes for one that is known, or is over."""
        self._asked("SELECT kugetsu.expect_host(%s::text, %s::bigint, %s::text)", (host, term, name))

    def host_ttl(self) -> float:
        """Seconds without a beat after which a host may be fenced."""
        return float(self._asked("SELECT extract(epoch FROM host_ttl)::float8 FROM kugetsu.meta").fetchall()[0][0])

    def now(self) -> int:
        """What the database's clock shows, in microseconds since 1970."""
        return int(self._asked("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint").fetchall()[0][0])

    def require_host_ttl_set(self) -> None:
        """Raise LogUnreachable if `set_host_ttl` is missing there: the schema is older."""
        if self._asked("SELECT to_regprocedure('kugetsu.set_host_ttl(int)') IS NULL").fetchall()[0][0]:
            raise remedies.of_code("42883", place_of(self._url), "")

    def set_host_ttl(self, minutes: int) -> None:
        """From now on a host may be fenced after so many minutes without a beat; what was renewed before keeps its
        time. Raises LogUnreachable."""
        self._asked("SELECT kugetsu.set_host_ttl(%s::int)", (minutes,))

    def beat(self, host: str, term: int, mirror_seq: int) -> Renewal:
        """Renew a host's term for another `host_ttl`, unless it was fenced, or has a newer one."""
        return Renewal(*self._asked(_BEAT, (host, term, mirror_seq)).fetchall()[0])

    def beats(self) -> list[Beat]:
        """What the database knows of each host, in the order of their names."""
        return [Beat(*row) for row in self._asked(_BEATS).fetchall()]

    def refusal(self) -> KugetsuError | None:
        """Why the database takes nothing from this program, though it answers: too old, or the log was closed."""
        closed, least = self._asked("SELECT closed, min_client FROM kugetsu.meta").fetchall()[0]
        code = "KG005" if closed else "KG004" if least > CLIENT else None
        return remedies.of_code(code, place_of(self._url), "") if code is not None else None

    def connection(self) -> psycopg.Connection[tuple[Any, ...]]:
        """The open connection (autocommit), for what has no method here. Raises LogUnreachable."""
        return self._open(time.monotonic() + self._patience)

    # -- the connection ----------------------------------------------------------------------------------------

    def _asked(
        self, statement: LiteralString, arguments: Sequence[Any] | None = None, *, last: bool = False
    ) -> psycopg.Cursor[tuple[Any, ...]]:
        """Execute what may be executed twice; ``last``: the result of the last of several statements."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                cursor = self._open(deadline).execute(statement, arguments)
                while last and cursor.nextset():
                    pass
                return cursor
            except NoAnswerError as error:
                self.close()
                raise self._no_answer(error) from error
            except psycopg.Error as error:
                if not self._is_lost():
                    self.release()
                    raise self.refused(error) from error
                self.close()
            except BaseException:
                self.close()
                raise

    def _is_lost(self) -> bool:
        return self._connection is None or self._connection.closed

    def _no_answer(self, error: NoAnswerError) -> LogUnreachable:
        return LogUnreachable(
            f"the shared log's database {place_of(self._url)} is reached, and {error}",
            "it is overloaded or stopped, or the network swallows its answers; `kugetsu doctor` looks closer",
        )

    def _open(self, deadline: float) -> LimitedConnection:
        if self._connection is not None and not self._connection.closed and not was_ended(self._connection):
            return self._connection
        self.close()
        self._connection = connect(self._url, deadline)
        self._connection.limit = self._answer_limit
        _connected.add(self)
        return self._connection

    def refused(self, error: psycopg.Error) -> KugetsuError:
        """A database's error as kugetsu's own."""
        if isinstance(error, NoAnswerError):
            return self._no_answer(error)
        role = parameters(self._url).get("user") or "that role"
        return remedies.of_code(error.sqlstate or "", place_of(self._url), role, said(error))

    def forget_parent(self) -> None:
        """See `Arbiter`; called for every open connection after a fork."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.closed:
            os.close(connection.fileno())
            _parents.append(connection)  # never freed: freeing it would speak to the server
