"""A connection to PostgreSQL: where to, how it is opened, and for how long each of its answers is waited for.

A server that is stopped, or a network that swallows everything, says nothing at all: neither the keepalives of TCP nor
a timeout of the server end such a wait on a local socket, and TCP's own takes a quarter of an hour.
"""

from __future__ import annotations

import select
import time

from kugetsu.log.shared import remedies
from kugetsu.log.shared.driver import conninfo, psycopg
from kugetsu.model.errors import LogUnreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

ANSWER_SECONDS = 15.0
"""For one answer: longer than the server's own limits (10 s for the lock of the head, 2 s for a hold)."""

_CONNECTION: dict[str, str] = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
    "fallback_application_name": "kugetsu",
}
"""What a URL may override. A peer that vanished without a word is noticed within 25 seconds."""

_PASSING = ("starting up", "shutting down", "recovery", "too many", "reserved for")


class NoAnswerError(psycopg.OperationalError):
    """The server did not answer in time: what came of the request is unknown. The connection is closed."""


class LimitedConnection(psycopg.Connection[tuple["Any", ...]]):
    """Raises NoAnswerError instead of waiting for longer than ``limit`` seconds for one answer."""

    limit = ANSWER_SECONDS

    def wait(self, gen: Any, *args: Any, **more: Any) -> Any:
        """See psycopg: waits for what a generator of the driver waits for."""
        try:
            return super().wait(_limited(gen, self.limit), *args, **more)
        except NoAnswerError:
            self.close()  # in the middle of an exchange: nothing else can be asked
            raise


def _limited(gen: Generator[Any, Any, Any], limit: float) -> Generator[Any, Any, Any]:
    """The driver's generator, ended when it is told for too long that the socket has nothing for it."""
    give_up = time.monotonic() + limit
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() >= give_up:
                gen.close()
                raise NoAnswerError(f"it did not answer within {limit:.0f} s")
            wanted = gen.send(ready)
    except StopIteration as done:
        return done.value


def parameters(url: str) -> dict[str, Any]:
    """The connection's parameters. Raises LogUnreachable for a URL that libpq does not take, without showing it."""
    try:
        return {**_CONNECTION, **conninfo.conninfo_to_dict(url)}
    except psycopg.ProgrammingError:
        # Not chained: the message has the URL in it, and that a password.
        raise LogUnreachable(
            "the URL of the shared log is not one that PostgreSQL takes",
            "postgresql://user@host:5432/database?sslmode=verify-full, without a password: that goes to ~/.pgpass",
        ) from None


def place_of(url: str) -> str:
    """Where the database is, for people: host, port and database, never a user's password."""
    known = parameters(url)
    host = known.get("host") or known.get("hostaddr") or (f"service {known['service']}" if "service" in known else "")
    hosts, ports = (host or "local").split(","), str(known.get("port", "")).split(",")
    place = ",".join(
        f"{each}:{port}" if port else each
        for each, port in zip(hosts, ports if len(ports) == len(hosts) else ports[:1] * len(hosts), strict=True)
    )
    return f"{place}/{known.get('dbname') or known.get('user') or ''}".rstrip("/")


def connect(url: str, deadline: float) -> LimitedConnection:
    """Open a connection (autocommit), again until ``deadline`` on the monotonic clock while that may help. Raises
    LogUnreachable."""
    pause = 0.05
    known = parameters(url)
    while True:
        try:
            # Unnamed statements only: a pooler in transaction mode has no others.
            return LimitedConnection.connect(autocommit=True, prepare_threshold=None, **known)
        except psycopg.Error as error:
            if time.monotonic() + pause > deadline or not _may_pass(error):
                raise LogUnreachable(
                    f"the shared log's database {place_of(url)} cannot be reached: {remedies.shortened(said(error))}",
                    remedies.of_connection(str(error), known),
                ) from error
        time.sleep(pause)
        pause = min(2 * pause, 1.0)


def was_ended(connection: LimitedConnection) -> bool:
    """Whether the server closed the connection while nothing was asked: then what is sent now has not happened."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    try:
        while poll.poll(0) and connection.pgconn.status == psycopg.pq.ConnStatus.OK:
            connection.pgconn.consume_input()
    except psycopg.Error:
        return True
    return connection.pgconn.status == psycopg.pq.ConnStatus.BAD


def _may_pass(error: psycopg.Error) -> bool:
    """Whether a connection that failed may succeed when it is tried again: the server is down or starting."""
    text = str(error)
    return ("FATAL" not in text and not remedies.is_final(text)) or any(word in text for word in _PASSING)


def said(error: psycopg.Error) -> str:
    """What the driver or the server said, in one line."""
    text = error.diag.message_primary or str(error) or type(error).__name__
    return " ".join(text.split())[:300]
