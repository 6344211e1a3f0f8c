"""A connection to PostgreSQL that waits for each answer for so long only.

A server that is stopped, or a network that swallows everything, says nothing at all: neither the keepalives of TCP nor
a timeout of the server end such a wait on a local socket, and TCP's own takes a quarter of an hour.
"""

from __future__ import annotations

import time

from kugetsu.log.shared.driver import psycopg

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

ANSWER_SECONDS = 15.0
"""For one answer: longer than the server's own limits (10 s for the lock of the head, 2 s for a hold)."""


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
