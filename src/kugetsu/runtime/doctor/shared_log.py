"""A shared log: whether its database can be reached, keeps what it acknowledges, and is as this host's mirror is."""

from __future__ import annotations

from collections.abc import Iterator

from kugetsu.domain import hosts
from kugetsu.log.files.segments import is_shared
from kugetsu.model.errors import KugetsuError, LogUnreachable
from kugetsu.model.plural import counted
from kugetsu.model.settings import SHARED
from kugetsu.runtime import heard, liveness, membership
from kugetsu.runtime.doctor.beside import running
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.doctor.finding import Finding, Found
from kugetsu.runtime.log_relay_supervisor import RelaySupervisor
from kugetsu.runtime.process.named_lease import RELAY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.log.files.segments import Head
    from kugetsu.log.shared.health import Health

_OFFSET_SECONDS = 2.0
"""By how much this host's clock may differ from that of all hosts: times of retries, pauses and events are compared."""

_PUSH = (
    "stop the daemons of all hosts, then on each of them: kugetsu log push; not to an old primary that is back beside "
    "the promoted standby: switch that one off"
)

found = Found("log")


def check(context: Context) -> Iterator[Finding]:
    """The findings; none for a log in files."""
    if not is_shared(context.paths.log):
        return
    from kugetsu.log.shared import marker

    known = marker.read(context.paths.log)
    assert known is not None
    own = _own_head(context)  # before the database is asked: until then others may append, and the relay bring it here
    try:
        from kugetsu.log.shared import health

        asked = health.examine(known.url)
    except LogUnreachable as problem:
        yield found.problem("reachable", problem.message, _without_doctor(problem.hint or ""))
        yield from _relay(context, "goes on trying to reach the database")
        return
    yield found.ok("reachable", f"{asked.place}, {asked.version}, {asked.round_trip * 1000:.1f} ms away")
    yield from _role(asked)
    yield from _schema(asked)
    yield from _server(asked)
    yield from _clock(asked)
    yield from _name(context)
    yield from _time_to_live(context, asked)
    yield from _mirror(context, own, asked)
    yield from _relay(context)
    if not asked.closed and not asked.too_old:
        yield from _refused(context)


def _role(asked: Health) -> Iterator[Finding]:
    if asked.closed:
        text = "the shared log was closed: a host took it back into its files"
        yield found.problem("open", text, "kugetsu log share, on that host")
    if not asked.may_append:
        yield found.problem("role", "this role may not append", "GRANT kugetsu_writer TO the role of this host")
    elif asked.may_change:
        text = "this role owns the log, and could change it"
        yield found.warning("role", text, "log in as a member of kugetsu_writer (kugetsu help many-hosts)")
    else:
        yield found.ok("role", "this role may append, and neither change nor delete")
    if not asked.encrypted and not asked.local:
        text = "the connection is not encrypted: whoever is on the network reads the log"
        yield found.warning("encryption", text, "add sslmode=verify-full to the URL")


def _schema(asked: Health) -> Iterator[Finding]:
    if asked.too_old:
        text = "this kugetsu is too old to write to the shared log, it only reads: the other hosts were upgraded"
        yield found.problem("schema", text, "upgrade kugetsu on this host")
    elif asked.schema < asked.needed:
        text = f"the schema is version {asked.schema}, and this kugetsu has {asked.needed}"
        yield found.warning("schema", text, "kugetsu log migrate URL, once, as the owner of the schema")
    elif asked.schema > asked.needed:
        text = f"the schema is version {asked.schema}, newer than this kugetsu's {asked.needed}"
        yield found.warning("schema", text, "upgrade kugetsu on this host")
    else:
        yield found.ok("schema", f"schema version {asked.schema}")


def _server(asked: Health) -> Iterator[Finding]:
    for setting in asked.loose:
        text = f"{setting}: what the database acknowledged may be lost when its machine fails"
        yield found.problem("durable", text, f"set {setting.partition(' ')[0]} on")
    for old in asked.old_transactions:
        text = f"a transaction is open for long, and makes every append slower: {old}"
        yield found.warning("transactions", text, "end it: SELECT pg_terminate_backend(pid)")
    if asked.pooled:
        text = (
            "a pooler is in between, and wake-ups come through it"
            if asked.wakes
            else "a pooler in transaction mode is in between: no wake-up comes through, and this host asks every second"
        )
        yield found.ok("pooler", text)


def _clock(asked: Health) -> Iterator[Finding]:
    from kugetsu.model import clock

    own = max(abs(asked.offset) - asked.round_trip / 2, 0.0)
    way = "ahead of" if asked.offset > 0 else "behind"
    differs = f"this host's clock is {own:.0f} s {way} the database's"
    if own <= _OFFSET_SECONDS:
        yield found.ok("clock", "this host's clock agrees with the database's")
    elif abs(asked.offset + clock.ahead()) - asked.round_trip / 2 <= _OFFSET_SECONDS:
        # What a person reads beside kugetsu's times, an agent's log say, is off all the same.
        yield found.warning("clock", f"{differs}; kugetsu goes by the database's", "set it by NTP")
    else:
        text = f"{differs}, which this host goes by only once it has heard of it"
        yield found.warning("clock", text, "kugetsu queue-daemon start; set it by NTP")


def _name(context: Context) -> Iterator[Finding]:
    state = context.state()
    taken = membership.name_taken(context.ws, state) if state is not None else None
    if taken is not None:
        yield found.warning("name", *taken)


def _time_to_live(context: Context, asked: Health) -> Iterator[Finding]:
    state = context.state()
    if state is None:
        return
    there = f"{asked.host_ttl / 60:g}"
    set_by_log = hosts.minutes_to_live(state)
    known = SHARED[hosts.TIME_TO_LIVE].default if set_by_log is None else str(set_by_log)
    if known == there:
        yield found.ok("silence", f"a host that is silent for {there} min is lost")
    else:
        text = f"a host that is silent for {there} min is lost by the database, after {known} by the log"
        yield found.warning("silence", text, f"kugetsu config set {hosts.TIME_TO_LIVE} {known}")


def _own_head(context: Context) -> Head | KugetsuError:
    """That of this host's mirror, or why it cannot be read."""
    try:
        return context.ws.log.head()
    except KugetsuError as problem:
        return problem


def _without_doctor(hint: str) -> str:
    """A hint without the part that names this very command."""
    return "; ".join(part for part in hint.split("; ") if "`kugetsu doctor`" not in part)


def _mirror(context: Context, own: Head | KugetsuError, asked: Health) -> Iterator[Finding]:
    if isinstance(own, KugetsuError):
        yield found.problem("mirror", own.message, "kugetsu log repair")
        return
    behind = asked.head.seq - own.seq
    if behind < 0:
        text = f"the database lacks {counted(-behind, 'event')} that this host's mirror has: its end was lost"
        yield found.problem("mirror", text, _PUSH)
    elif behind == 0 and own != asked.head:
        yield found.problem("mirror", "the database has another log than this host's mirror", "kugetsu log verify")
    elif behind and not RELAY.alive(context.paths):
        text = f"this host's mirror is {counted(behind, 'event')} behind, and nothing keeps it up to date"
        yield found.warning("mirror", text, "kugetsu queue-daemon start")
    else:
        text = (
            f"this host's mirror is {counted(behind, 'event')} behind" if behind else "this host's mirror is up to date"
        )
        yield found.ok("mirror", text)


def _relay(context: Context, does: str = "") -> Iterator[Finding]:
    state = context.state()
    if state is not None and liveness.daemon(context.paths, state):
        yield running(context, found, RelaySupervisor, does)


def _refused(context: Context) -> Iterator[Finding]:
    """What no question tells, but an append that was refused: the disk of the database is full, say."""
    known = heard.read(context.paths.leases)
    if known.refused is not None and known.trouble is None and RELAY.alive(context.paths):
        yield found.problem("appends", known.refused, _without_doctor(known.remedy or ""))
