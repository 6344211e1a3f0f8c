"""`kugetsu log share`, `unshare`, `push` and `init --join`: what has to be so before a log changes its place."""

from __future__ import annotations

import sys

from kugetsu.domain.decide.queue import require_initialised
from kugetsu.domain.state import State
from kugetsu.log import DomainProjection
from kugetsu.log.files.segments import Head, is_shared
from kugetsu.log.shared import marker, sharing
from kugetsu.log.shared.schema import Migrated
from kugetsu.model.errors import Conflict
from kugetsu.model.plural import counted
from kugetsu.runtime import host_id, liveness, membership, rejoin
from kugetsu.runtime.initialisation import InitReport, lay_out
from kugetsu.runtime.workspace import Workspace


def share(ws: Workspace, url: str) -> tuple[Migrated, Head]:
    """Share this directory's log, as its first host; see `sharing.share`. One that was killed after the log was in the
    database is completed. Raises Conflict while something here appends to its files."""
    url = sharing.url_from(url, sys.stdin)
    state = ws.state()
    require_initialised(state)
    _require_quiet(ws, state)
    ws.close()
    if _is_half_shared(ws, state, url):
        migrated = _migrated(url)
    else:
        migrated, _ = sharing.share(ws.paths.log, url, DomainProjection())
    membership.join(ws)
    return migrated, ws.log.head()


def _is_half_shared(ws: Workspace, state: State, url: str) -> bool:
    """Whether the log is in this very database, and this host never came to join it."""
    found = marker.read(ws.paths.log)
    return found is not None and found.url == url and host_id.own(ws) not in state.hosts


def migrate(url: str) -> Migrated:
    """Bring the database's schema to this kugetsu's version; see `schema.migrate`."""
    return _migrated(sharing.url_from(url, sys.stdin))


def _migrated(url: str) -> Migrated:
    """As `migrate`, for a URL that was read."""
    from kugetsu.log.shared import schema
    from kugetsu.log.shared.postgres import Database

    database = Database(url)
    try:
        return schema.migrate(database)
    finally:
        database.close()


def unshare(ws: Workspace) -> Head:
    """Take the log back, and let all others leave it; see `sharing.unshare`. Raises Conflict while an agent runs on any
    host, or a daemon on another one."""
    _require_quiet(ws, ws.state())
    if is_shared(ws.paths.log):
        sharing.require_owner(ws.paths.log)  # else all others had left a log that stays shared
        rejoin.require_ended(ws, ws.state())
        membership.remain_alone(ws)
    ws.close()
    return sharing.unshare(ws.paths.log)


def push(ws: Workspace) -> tuple[int, Head]:
    """Give the database what it lost; see `sharing.push`."""
    return sharing.push(ws.paths.log)


def join(ws: Workspace, url: str) -> tuple[InitReport, Head]:
    """Set this directory up as one more host of a shared log; see `sharing.join`. One that takes part in it already
    only gets the new URL. Raises Conflict while something that was given away still works here."""
    url = sharing.url_from(url, sys.stdin)
    report = InitReport()
    lay_out(ws, report)
    host_id.own(ws)  # before the log is there: it names other hosts, and this one is none of them
    ws.close()
    sharing.join(ws.paths.log, url)
    state = ws.state()
    liveness.require_original(ws.paths, state)
    if not membership.takes_part(ws, state):
        rejoin.require_ended(ws, state)
        membership.join(ws)
    taken = membership.name_taken(ws, ws.state())
    if taken is not None:
        report.notes.append("; ".join(taken))
    return report, ws.log.head()


def _require_quiet(ws: Workspace, state: State) -> None:
    liveness.require_original(ws.paths, state)
    if liveness.daemon(ws.paths, state):
        raise Conflict("the daemon is running, and appends to the log", "kugetsu queue-daemon stop")
    if state.attempts:
        raise Conflict(
            f"{counted(len(state.attempts), 'agent')} still running, whose end must be recorded",
            "wait for them (`kugetsu wait`), or stop them (`kugetsu queue cancel`)",
        )
