"""A daemon whose host was lost takes part again, whatever cuts it off meanwhile."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from kugetsu.domain.decide import daemon
from kugetsu.domain.events import Identity
from kugetsu.model.errors import Conflict, LogUnreachable
from kugetsu.runtime import daemon as daemons
from kugetsu.runtime import daemon_control, host_id, late_outcomes, membership
from kugetsu.runtime.process import identity
from kugetsu.runtime.process.lease import Lease
from kugetsu.runtime.rejoin import Rejoin
from kugetsu.runtime.runner import interactive
from kugetsu.runtime.workspace import Workspace
from kugetsu.views.status import daemon_data
from runtime.stage import Stage, bare_stage, stage
from runtime.test_late_outcomes import join, lose

__all__ = ["bare_stage", "stage"]

LEASE = "the daemon's"


@pytest.fixture
def own(stage: Stage) -> str:
    """This host, which takes part; its daemon runs."""
    own = host_id.own(stage.ws)
    join(stage, own, "one", 1)
    nobody: Any = {"boot": "before", "pid": 7, "start": 1}
    stage.monkeypatch.setattr(identity, "own", lambda: nobody)
    me: Identity = {**nobody, "host": own}
    stage.ws.log.transact(partial(daemon.started, identity=me, lease=LEASE))
    stage.monkeypatch.setattr(membership, "join", lambda _: None)
    stage.monkeypatch.setattr(membership, "join_again", lambda _ws, _state: None)
    return own


def test_what_is_cut_off_after_the_join_is_done_in_the_next_turn(stage: Stage, own: str) -> None:
    reclaimed: list[int] = []
    stage.monkeypatch.setattr(interactive, "reclaim", lambda _: reclaimed.append(stage.state.seq) or [])
    part = Rejoin(stage.ws)
    assert not part.step(LEASE) and len(reclaimed) == 1
    assert not part.step(LEASE) and len(reclaimed) == 1, "once"
    lose(stage, own)

    def join_unanswered(*_: Any) -> int:
        join(stage, own, "one", 2)
        raise LogUnreachable("the append may or may not have happened")

    with stage.monkeypatch.context() as cut_off:
        cut_off.setattr(membership, "join_again", join_unanswered)
        with pytest.raises(LogUnreachable):
            part.step(LEASE)
    assert stage.state.daemon_of(own).state == "lost" and len(reclaimed) == 1
    assert not part.step(LEASE)
    assert (stage.state.daemon_of(own).state, stage.state.daemon_of(own).lease) == ("running", LEASE)
    assert len(reclaimed) == 2, "who is still attached has the session again"


def test_a_daemon_that_drained_when_its_host_was_lost_drains_on(stage: Stage, own: str) -> None:
    part = Rejoin(stage.ws)
    part.step(LEASE)
    stage.ws.log.transact(partial(daemon.drain, reason="stop --drain", host=own))
    part.step(LEASE)
    lose(stage, own)
    join(stage, own, "one", 2)
    for _ in range(2):
        part.step(LEASE)
        assert [event["type"] for event in stage.ws.log.read()][-2:] == ["daemon.started", "daemon.draining"]


def test_a_daemon_lives_though_its_host_was_lost(stage: Stage, own: str) -> None:
    held = Lease.create(stage.ws.paths.leases)
    me: Identity = {**identity.own(), "host": own}
    stage.ws.log.transact(partial(daemon.started, identity=me, lease=held.nonce))
    lose(stage, own)
    status = daemon_control.status(stage.ws)
    assert (status.running, status.state) == (True, "running")
    assert daemon_data(stage.state, alive=True, host=own)["state"] == "running", "nobody is told to start it"
    with pytest.raises(Conflict, match="already running"):
        daemons.take_over(stage.ws)
    held.release()
    status = daemon_control.status(stage.ws)
    assert (status.running, status.state) == (False, "lost")


def test_nothing_starts_beside_what_was_given_away_while_the_host_joined(stage: Stage, own: str) -> None:
    part = Rejoin(stage.ws)
    working = ["q1.1"]
    stage.monkeypatch.setattr(late_outcomes, "at_work", lambda *_: working)
    given_away = {"q1.1": {"task": "q1", "issue": None, "session": "s"}}

    def lost_meanwhile(ws: Workspace) -> int:
        lose(stage, own)
        join(stage, own, "one", 2)
        stage.monkeypatch.setattr(stage.state.hosts[own], "away", given_away)
        return 2

    stage.monkeypatch.setattr(membership, "join", lost_meanwhile)
    assert part.step(LEASE), "the next attempt in its session would find it in its worktree"
    working.clear()
    assert not part.step(LEASE)
