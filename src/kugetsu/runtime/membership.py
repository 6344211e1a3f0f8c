"""This host's part in a log that hosts share: it joins with a term of its own, and takes the log back alone.

Its daemon begins a new term whenever it starts: of two directories with one id, a copied machine, the newer one counts.
"""

from __future__ import annotations

import os
from contextlib import closing

from kugetsu.domain.decide import hosts as decide
from kugetsu.domain.state import State
from kugetsu.host import host_file
from kugetsu.log.files.segments import is_shared
from kugetsu.runtime import host_id, host_lease
from kugetsu.runtime.process import identity
from kugetsu.runtime.workspace import Workspace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.log.shared.postgres import Database


def join(ws: Workspace) -> int:
    """Begin a new term of this host; the term.

    Raises Conflict if another directory with the same id begins a newer one meanwhile, LogUnreachable.
    """
    from kugetsu.log.shared.opening import database_of

    host = host_id.own(ws)
    known = ws.state().hosts.get(host)
    name = ws.config.text("HOST_NAME") or os.uname().nodename
    labels, cap = ws.config.text("HOST_LABELS").split(), ws.config.integer("MAX_CONCURRENT_AGENTS")
    before = host_lease.now()
    with closing(database_of(ws.paths.log)) as database:
        term = database.join_host(host, name, identity.boot_id(), known.term if known is not None else 0)
        ttl = database.host_ttl()
    host_lease.renew(ws.paths.make(ws.paths.leases), before, ttl)
    ws.log.transact(lambda state: decide.join(state, host, term, name, labels, cap))
    host_file.write_term(ws.paths.root, host, term)
    return term


def beat(ws: Workspace, database: Database) -> float:
    """Tell the other hosts that this one lives, and renew the time for which its agents may work; the time to live in
    seconds. Nothing is renewed once its term was fenced. Raises LogUnreachable, OSError."""
    before = host_lease.now()
    ttl, term = database.host_ttl(), host_file.term(ws.paths.root)
    if term is not None and database.beat(host_id.own(ws), term, ws.log.head().seq):
        host_lease.renew(ws.paths.leases, before, ttl)
    return ttl


def takes_part(ws: Workspace, state: State) -> bool:
    """Whether this directory is one of the hosts of the log, by the log and by its own term."""
    known = state.hosts.get(host_id.own(ws))
    return known is not None and known.takes_part and known.term == host_file.term(ws.paths.root)


def join_again(ws: Workspace, state: State) -> int | None:
    """Join if the log is shared and this host does not take part in it any more; the new term, or None."""
    known = state.hosts.get(host_id.own(ws))
    if not is_shared(ws.paths.log) or (known is not None and known.takes_part):
        return None
    return join(ws)


def remain_alone(ws: Workspace) -> None:
    """Let every other host leave: this one takes the log back. Raises Conflict while a daemon runs there, or an agent
    anywhere."""
    host = host_id.own(ws)
    join_again(ws, ws.state())  # what does not take part starts nothing, in files either
    ws.log.transact(lambda state: decide.take_back(state, host))
