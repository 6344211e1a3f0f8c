"""A host's part in a log that hosts share: it joins with a term of its own, beats, drains and rests, and takes the log
back alone.

Its daemon begins a new term whenever it starts: of two directories with one id, a copied machine, the newer one counts.
"""

from __future__ import annotations

from contextlib import closing, suppress

from kugetsu.domain import hosts
from kugetsu.domain.decide import hosts as decide
from kugetsu.domain.state import Host, State
from kugetsu.host import host_file
from kugetsu.log.files.segments import is_shared
from kugetsu.model.errors import Conflict, LogUnreachable, NotFound
from kugetsu.model.host_words import short
from kugetsu.runtime import host_clock, host_id, host_lease
from kugetsu.runtime.process import identity
from kugetsu.runtime.workspace import Workspace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.log.shared.postgres import Database


def join(ws: Workspace) -> int:
    """Begin a new term of this host; the term.

    Raises Conflict if another directory with the same id begins a newer one meanwhile, LogUnreachable.
    """
    from kugetsu.log.shared.opening import database_of

    host = host_id.own(ws)
    known = ws.state().hosts.get(host)
    name = host_id.own_name(ws)
    labels, cap = ws.config.text("HOST_LABELS").split(), ws.config.integer("MAX_CONCURRENT_AGENTS")
    ws.paths.make(ws.paths.leases)
    with closing(database_of(ws.paths.log)) as database:
        term = database.join_host(host, name, identity.boot_id(), known.term if known is not None else 0)
        _renew(ws, database, host, term)
        host_clock.follow(ws.paths.leases)
        host_file.write_term(ws.paths.root, host, term)  # before the append, whose answer may be lost
        ws.log.transact(lambda state: decide.join(state, host, term, name, labels, cap))
        fenced = any((row.host, row.term, row.fenced) == (host, term, True) for row in database.beats())
    if fenced:
        ws.log.transact(lambda _: [])  # the mirror has by then what came with the fence
        if takes_part(ws, ws.state()):  # it slept in the middle, past the loss of its last term, and renews nothing
            return join(ws)
    return term


def ask_the_time(ws: Workspace) -> None:
    """Learn by which clock the hosts of a shared log go, if nothing was heard of it since this machine started: what is
    recorded before the first beat has the right time, too. Nothing happens if the database cannot be asked."""
    if not is_shared(ws.paths.log) or host_clock.read(host_clock.path(ws.paths.leases)) is not None:
        return
    from kugetsu.log.shared.opening import database_of

    with suppress(LogUnreachable), closing(database_of(ws.paths.log)) as database:
        before = host_lease.now()
        there = database.now()
        host_clock.renew(ws.paths.make(ws.paths.leases), before, host_lease.now(), there)
        host_clock.follow(ws.paths.leases)


def beat(ws: Workspace, database: Database) -> float:
    """Tell the other hosts that this one lives, and renew the time for which its agents may work; the time to live in
    seconds. Nothing is renewed once its term was fenced. Raises LogUnreachable, OSError."""
    term = host_file.term(ws.paths.root)
    return database.host_ttl() if term is None else _renew(ws, database, host_id.own(ws), term)


def _renew(ws: Workspace, database: Database, host: str, term: int) -> float:
    """Beat, and note what came of it: until when this host's agents may work, and what time it is; the time to live."""
    before = host_lease.now()
    renewal = database.beat(host, term, ws.log.head().seq)
    host_clock.renew(ws.paths.leases, before, host_lease.now(), renewal.now)
    held = renewal.held
    if not held and _remind(ws, database, host, term):
        held = database.beat(host, term, ws.log.head().seq).held
    if held:
        host_lease.renew(ws.paths.leases, before, renewal.ttl)
    return renewal.ttl


def keep_time_to_live(ws: Workspace, database: Database, ttl: float) -> None:
    """Give the database the time to live that the log has (HOST_LOST_MINUTES), if its ``ttl`` is another one: whoever
    set it may have been cut off in between. Raises LogUnreachable."""
    minutes = hosts.minutes_to_live(ws.state())
    if minutes is not None and minutes * 60 != ttl:
        database.set_host_ttl(minutes)


def _remind(ws: Workspace, database: Database, host: str, term: int) -> bool:
    """Tell the database of a term that it knows nothing of, though the log does: an older backup was restored, or the
    log was given to another one. False if it knows that term, or a later one, or this host does not take part in it."""
    state = ws.state()
    if not takes_part(ws, state) or any(row.host == host and row.term >= term for row in database.beats()):
        return False
    if database.can_expect_hosts():  # another host may do so just now: said twice, the term is the same
        database.expect_host(host, term, state.hosts[host].name)
    else:
        database.join_host(host, state.hosts[host].name, identity.boot_id(), term - 1)
    return True


def wake(ws: Workspace) -> None:
    """Renew this host's term before the log tells that its daemon runs: until then nobody minded its silence, and from
    then on it would be lost at once. Raises LogUnreachable."""
    from kugetsu.log.shared.opening import database_of

    known = ws.state().hosts.get(host_id.own(ws))
    # Whichever term: a start that was killed may have begun one that the log does not know.
    if is_shared(ws.paths.log) and known is not None and known.takes_part:
        with closing(database_of(ws.paths.log)) as database:
            beat(ws, database)


def find(ws: Workspace, text: str | None) -> Host:
    """The host of that name, or whose id begins so; without a text this one. Raises NotFound, Conflict, and
    LogUnreachable."""
    if not is_shared(ws.paths.log):
        raise Conflict("the log is not shared: it is in files, on this host only", "kugetsu help many-hosts")
    if text is not None or not _named(ws, None):
        # The mirror may lack who joined, maybe under that name: without a daemon nobody keeps it.
        ws.log.transact(lambda _: [])
    named = _named(ws, text)
    if not named:
        what = f"no host {text}" if text is not None else "no host of this directory"
        raise NotFound(f"{what} shares this log", "kugetsu host list")
    if len(named) > 1:
        raise Conflict(f"{len(named)} hosts are named {text}", "name one by its id: kugetsu host list")
    return named[0]


def _named(ws: Workspace, text: str | None) -> list[Host]:
    known = ws.state().hosts.values()
    if text is None:
        return [host for host in known if host.id == host_id.own(ws)]
    named = [host for host in known if host.name == text]
    # A machine that was set up anew has the name of the host that it was before.
    return [host for host in named if host.takes_part] or named or [host for host in known if host.id.startswith(text)]


def name_taken(ws: Workspace, state: State) -> tuple[str, str] | None:
    """That another host takes part under this one's name, and the remedy; None if none does."""
    known = state.hosts.get(host_id.own(ws))
    others = hosts.namesakes(state, known) if known is not None else []
    if known is None or not others:
        return None
    first, *more = (short(other.id) for other in others)
    ids = ", ".join((first, *more))
    return (
        f"another host takes part under the name {known.name}, too ({ids}): commands know them by their ids only",
        "rename one: kugetsu config set HOST_NAME NAME, then kugetsu queue-daemon restart; "
        f"if {first} was this machine before it was set up anew: kugetsu host lost {first}",
    )


def drain(ws: Workspace, text: str | None) -> tuple[Host, list[dict[str, Any]]]:
    """Let a host (this one without a text) start nothing new until `undrain`; what runs there goes on. The host, and
    the events: [] if it does so already. Raises NotFound, Conflict for one that takes no part."""
    host = find(ws, text)
    return host, ws.log.transact(lambda state: decide.drain(state, host.id, _term(state, host), "asked for"))


def undrain(ws: Workspace, text: str | None) -> tuple[Host, list[dict[str, Any]]]:
    """Let a host start attempts again; as `drain`."""
    host = find(ws, text)
    return host, ws.log.transact(lambda state: decide.undrain(state, host.id, _term(state, host)))


def _term(state: State, host: Host) -> int:
    """Its latest term, of the state that is decided on: its daemon may begin one meanwhile."""
    return state.hosts[host.id].term


def rest(ws: Workspace) -> None:
    """Forget until when this host may work without a word, once it has nothing to do: nobody gives anything of it away
    then. Asked for where that may begin: by a daemon that stops, and at each attempt's end."""
    try:
        limit = host_lease.stop_by(host_lease.path(ws.paths.leases))
    except OSError:  # a limit that stays only ends work too early
        return
    if limit is None:
        return
    state = ws.state()
    host = state.hosts.get(host_id.own(ws))
    if host is not None and hosts.rests(state, host):
        host_lease.forget(ws.paths.leases, limit)


def takes_part(ws: Workspace, state: State) -> bool:
    """Whether this directory is one of the hosts of the log, by the log and by its own term."""
    known = state.hosts.get(host_id.own(ws))
    return known is not None and known.takes_part and known.term == host_file.term(ws.paths.root)


def has_left(ws: Workspace, state: State) -> bool:
    """Whether this host has left the log that it shared: it joins again when a person says so (`kugetsu host join`)."""
    known = state.hosts.get(host_id.own(ws)) if state.hosts and is_shared(ws.paths.log) else None
    return known is not None and known.state == "left"


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
    ws.log.transact(lambda state: decide.take_back(state, host, "the log was taken back into files"))
