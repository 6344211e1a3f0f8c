"""The settings of all hosts that share a log (`model.settings.SHARED`): in the log, one also in its database."""

from __future__ import annotations

from contextlib import closing

from kugetsu.domain import hosts
from kugetsu.domain.decide.hosts import share_setting
from kugetsu.domain.state import State
from kugetsu.log.files.segments import is_shared
from kugetsu.model.errors import Conflict
from kugetsu.model.record import value
from kugetsu.model.setting_checks import shared_text
from kugetsu.model.settings import SHARED
from kugetsu.runtime.workspace import Workspace


@value
class Given:
    """What a setting was and is, None for none, and the ``seq`` of the event that records it, None if it was so."""

    old: str | None
    new: str | None
    seq: int | None


def in_force(state: State, key: str) -> tuple[str, str]:
    """A setting's value and where it comes from."""
    known = state.shared.get(key)
    return (SHARED[key].default, "default") if known is None else (known, "shared log")


def give(ws: Workspace, key: str, text: str | None) -> Given:
    """Give a setting a value, None for none.

    Raises BadInput for one that it cannot have, Conflict in a log that no other host shares, LogUnreachable; nothing
    is recorded then.
    """
    require_hosts(ws.state(), key)
    new = (shared_text(key, text) or None) if text is not None else None
    if key == hosts.TIME_TO_LIVE and is_shared(ws.paths.log):
        return _give_time_to_live(ws, key, new)
    return _record(ws, key, new)


def require_hosts(state: State, key: str) -> None:
    """Raise Conflict if the log is one host's own."""
    if not state.hosts:
        own = {hosts.GLOBAL_CAP: "the cap of this host is MAX_CONCURRENT_AGENTS; "}.get(key, "")
        raise Conflict(
            f"{key} is a setting of hosts that share a log, and this log is in files, on this host only",
            f"{own}kugetsu help many-hosts",
        )


def _give_time_to_live(ws: Workspace, key: str, new: str | None) -> Given:
    from kugetsu.log.shared.opening import database_of

    minutes = new or SHARED[key].default  # recorded as a value: without one the database's own would stand
    with closing(database_of(ws.paths.log)) as database:
        database.require_host_ttl_set()  # before anything is recorded
        given = _record(ws, key, minutes)
        # Also if it was so: the database may have another one. What is cut off in between, the relay makes up for.
        database.set_host_ttl(int(minutes))
    return given


def _record(ws: Workspace, key: str, new: str | None) -> Given:
    events = ws.log.transact(lambda state: share_setting(state, key, new))
    if not events:
        return Given(new, new, None)
    return Given(events[0]["data"]["old"], new, events[0]["seq"])
