"""`kugetsu log share`, `unshare`, `push` and `init --join`: what has to be so before a log changes its place."""

from __future__ import annotations

import sys

from kugetsu.domain.state import State
from kugetsu.log import DomainProjection
from kugetsu.log.files.segments import Head
from kugetsu.log.shared import sharing
from kugetsu.log.shared.schema import Migrated
from kugetsu.model.errors import Conflict
from kugetsu.model.plural import counted
from kugetsu.runtime import liveness
from kugetsu.runtime.initialisation import InitReport, lay_out
from kugetsu.runtime.workspace import Workspace


def share(ws: Workspace, url: str) -> tuple[Migrated, Head]:
    """Share this directory's log; see `sharing.share`. Raises Conflict while something here appends to its files."""
    url = sharing.url_from(url, sys.stdin)
    _require_quiet(ws, ws.state())
    ws.close()
    return sharing.share(ws.paths.log, url, DomainProjection())


def migrate(url: str) -> Migrated:
    """Bring the database's schema to this kugetsu's version; see `schema.migrate`."""
    from kugetsu.log.shared import schema
    from kugetsu.log.shared.postgres import Database

    database = Database(sharing.url_from(url, sys.stdin))
    try:
        return schema.migrate(database)
    finally:
        database.close()


def unshare(ws: Workspace) -> Head:
    """Take the log back; see `sharing.unshare`. Raises Conflict while an agent runs on any host."""
    _require_quiet(ws, ws.state())
    ws.close()
    return sharing.unshare(ws.paths.log)


def push(ws: Workspace) -> tuple[int, Head]:
    """Give the database what it lost; see `sharing.push`."""
    return sharing.push(ws.paths.log)


def join(ws: Workspace, url: str) -> tuple[InitReport, Head]:
    """Set this directory up as one more host of a shared log; see `sharing.join`."""
    url = sharing.url_from(url, sys.stdin)
    report = InitReport()
    lay_out(ws, report)
    return report, sharing.join(ws.paths.log, url)


def _require_quiet(ws: Workspace, state: State) -> None:
    if liveness.daemon(ws.paths, state):
        raise Conflict("the daemon is running, and appends to the log", "kugetsu queue-daemon stop")
    if state.attempts:
        raise Conflict(
            f"{counted(len(state.attempts), 'agent')} still running, whose end must be recorded",
            "wait for them (`kugetsu wait`), or stop them (`kugetsu queue cancel`)",
        )
