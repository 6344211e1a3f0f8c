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
    from collections.abc import Generator, Mapping
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
"""What a URL or a service file may override. A peer that vanished without a word is noticed within 25 seconds."""

_OF_SERVICE = ("host", "hostaddr", "port", "dbname", "user", *_CONNECTION)

_SAID = 300
"""So many characters of what was said are told."""

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
        given = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # Not chained: the message has the URL in it, and that a password.
        raise LogUnreachable(
            "the URL of the shared log is not one that PostgreSQL takes",
            "postgresql://user@host:5432/database?sslmode=verify-full, without a password: that goes to ~/.pgpass",
        ) from None
    return {**_CONNECTION, **_of_service(given), **given}


def _of_service(given: Mapping[str, Any]) -> dict[str, str]:
    """What a service file has of `_OF_SERVICE`; {} without a service, and for one that libpq does not find.

    The driver gives each server of several its time only where they are named to it: libpq alone, which is asked
    without blocking, knows no time, and a first server that is silent would use up what is there for all.
    """
    if not given.get("service"):
        return {}
    # libpq is the one reader of its files. It has read them when it refuses this sslmode, and has connected to nobody.
    asked = psycopg.pq.PGconn.connect_start(conninfo.make_conninfo("", **{**given, "sslmode": "-"}).encode())
    try:
        known = {option.keyword.decode(): option.val.decode() for option in asked.info if option.val}
    finally:
        asked.finish()
    if known.get("port") == "5432":
        del known["port"]  # no need to name it
    return {key: known[key] for key in _OF_SERVICE if key in known}


def place_of(url: str) -> str:
    """Where the database is, for people: host, port and database, never a user's password."""
    known = parameters(url)
    unnamed = f"service {known['service']}" if "service" in known else "local"
    place = ",".join(f"{host}:{port}" if port else host for host, port in remedies.servers(known, unnamed))
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
                    f"the shared log's database {place_of(url)} cannot be reached: "
                    f"{remedies.shortened(str(error))[:_SAID]}",
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
    return " ".join(text.split())[:_SAID]
