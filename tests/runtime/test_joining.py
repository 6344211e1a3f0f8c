"""A host begins a term: what is cut off, slept through, killed or lost meanwhile."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from kugetsu.host import host_file
from kugetsu.log.shared.opening import database_of
from kugetsu.model.errors import Conflict, KugetsuError, LogUnreachable
from kugetsu.runtime import (
    daemon_control,
    host_id,
    host_lease,
    host_leave,
    late_outcomes,
    log_sharing,
    membership,
    reconcile,
    rejoin,
    silent_hosts,
)
from kugetsu.runtime.workspace import Workspace, open_workspace
from runtime.stage import UNTIL_GO, Stage, bare_stage, stage
from runtime.test_membership import daemon_died, enqueue, first, heard, joined, live_for, run

__all__ = ["bare_stage", "first", "joined", "stage"]


def test_a_host_that_was_lost_while_it_began_a_term_begins_another(
    first: Stage, joined: Callable[..., Workspace], database: str, postgres: Any
) -> None:
    second = joined("two")
    daemon_died(second)
    first.ws.log.pull()  # type: ignore[attr-defined]
    live_for(postgres, database, 0.1)
    renew = membership._renew

    def sleep_after(ws: Workspace, asked: Any, host: str, term: int) -> float:
        ttl = renew(ws, asked, host, term)
        if term == 2:
            run(postgres, database, "UPDATE kugetsu.hosts SET expires_at = beat_at")
            assert silent_hosts.fence_the_silent(first.ws, asked.beats()) == ["two"]
        return ttl

    first.monkeypatch.setattr(membership, "_renew", sleep_after)
    assert membership.join(second) == 3, "term 2 renews nothing"
    assert heard(postgres, database)[1] == ("two", 3, False) and membership.takes_part(second, second.state())


def test_a_join_whose_answer_was_lost_counts(first: Stage, joined: Callable[..., Workspace]) -> None:
    second = joined("two")
    transact = second.log.transact

    def unanswered(decide: Any) -> Any:
        transact(decide)
        raise LogUnreachable("the append may or may not have happened")

    with first.monkeypatch.context() as cut_off, pytest.raises(LogUnreachable):
        cut_off.setattr(second.log, "transact", unanswered)
        membership.join(second)
    assert second.state().hosts[host_id.own(second)].term == host_file.term(second.paths.root) == 2


def test_a_start_after_one_that_was_killed_while_it_began_a_term_is_heard_of(first: Stage) -> None:
    own, limit = host_id.own(first.ws), host_lease.path(first.ws.paths.leases)
    with closing(database_of(first.ws.paths.log)) as database:
        assert database.join_host(own, "one", "boot", 1) == 2
    host_file.write_term(first.ws.paths.root, own, 2)
    os.unlink(limit)
    membership.wake(first.ws)
    assert host_lease.stop_by(limit) is not None, "before the log tells that its daemon runs"


def test_a_host_that_was_lost_without_a_daemon_joins_on_request(
    first: Stage, joined: Callable[..., Workspace], database: str
) -> None:
    second = joined("two")
    silent_hosts.lose(first.ws, "two")
    assert second.state().hosts[host_id.own(second)].takes_part, "its mirror does not tell yet"
    assert rejoin.on_request(second) == 2
    assert rejoin.on_request(second) is None
    host, _ = silent_hosts.lose(first.ws, "two")
    assert host.term == 2, "whose mirror does not tell of that term"
    first.monkeypatch.setattr(late_outcomes, "at_work", lambda *_: ["q1.1"])
    for joins in (rejoin.on_request, partial(log_sharing.join, url=database), log_sharing.unshare):
        with pytest.raises(Conflict, match="was given away, and still works here"):
            joins(second)


def test_a_copy_of_the_directory_leaves_the_daemon_of_the_original_alone(
    first: Stage, joined: Callable[..., Workspace], database: str
) -> None:
    joined("two")
    first.agent(UNTIL_GO)
    pid = first.start_daemon()
    enqueue(first.ws, 1)
    first.at_work("q1.1")
    copy = open_workspace(
        {**os.environ, "KUGETSU_DIR": str(shutil.copytree(first.directory, first.root / "copy", ignore=_no_sockets))},
        "kugetsu",
    )
    for takes_part in (
        lambda: daemon_control.start(copy),
        lambda: log_sharing.join(copy, database),
        lambda: rejoin.on_request(copy),
        lambda: host_leave.leave(copy, force=True),
        lambda: log_sharing.unshare(copy),
    ):
        with pytest.raises(KugetsuError, match=f"is a copy of {first.directory}, whose daemon is running") as refused:
            takes_part()
        assert f"KUGETSU_DIR={first.directory}" in str(refused.value.hint)
    assert not daemon_control.stop(copy, drain=False) and reconcile.reconcile(copy) == []
    assert daemon_control.status(first.ws).pid == pid and first.events("daemon.lost") == []
    assert first.state.attempts["q1.1"].state == "running"
    first.go()
    assert first.finished("q1") == "completed"
    copy.close()


def _no_sockets(folder: str, names: list[str]) -> list[str]:
    """What a backup leaves out: the files of running processes."""
    return [name for name in names if name == "leases" or name.endswith(".sock")]
