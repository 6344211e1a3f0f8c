"""Hosts that share a log: several directories, each with a daemon of its own, over one real database."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kugetsu.domain.decide import daemon as decide_daemon
from kugetsu.domain.decide import hosts as decide_hosts
from kugetsu.domain.decide import sessions
from kugetsu.domain.facts import Ending
from kugetsu.host import host_file
from kugetsu.log.shared.opening import database_of
from kugetsu.model.errors import Conflict, LogUnreachable
from kugetsu.model.refs import parse_ref
from kugetsu.runtime import (
    daemon,
    daemon_control,
    dispatcher,
    host_id,
    host_lease,
    host_leave,
    log_sharing,
    membership,
    silent_hosts,
    stop_attempt,
    submit,
)
from kugetsu.runtime.notifications.notice import notice_of
from kugetsu.runtime.process import identity
from kugetsu.runtime.process.named_lease import RELAY
from kugetsu.runtime.query import contact
from kugetsu.runtime.runner import finalize
from kugetsu.runtime.workspace import Workspace, open_workspace
from runtime import repos
from runtime.stage import COMMIT, PATIENCE, UNTIL_GO, Stage, bare_stage, check_log, stage
from runtime.supervised import eventually

__all__ = ["bare_stage", "stage"]

NAME = "git.test/work/shared"
"""A repository that every host can clone."""


@pytest.fixture
def first(database: str, stage: Stage) -> Stage:
    """The host that shares its log; its daemon is ended before its database goes."""
    origin = stage.root / "srv" / "work" / "shared.git"
    origin.parent.mkdir(parents=True)
    repos.run(stage.root, "clone", "-q", "--bare", str(stage.repository), str(origin))
    stage.configure(MAX_CONCURRENT_AGENTS="1", HOST_NAME="one", GIT_SERVERS=f"git.test=file://{stage.root}/srv")
    stage.ws.log.transact(lambda state: sessions.register(state, NAME, {"url": f"file://{origin}"}))
    log_sharing.share(stage.ws, database)
    return stage


@pytest.fixture
def joined(first: Stage, database: str) -> Iterator[Callable[..., Workspace]]:
    """Sets up one more host of the log; its daemon ends with the test."""
    made: list[Workspace] = []

    def join(name: str, **settings: str) -> Workspace:
        folder = first.root / name
        folder.mkdir(mode=0o700)
        known = {**first.settings, "HOST_NAME": name, **settings}
        (folder / "config").write_text("".join(f"{key}={value}\n" for key, value in known.items()))
        ws = open_workspace({**os.environ, "KUGETSU_DIR": str(folder)}, "kugetsu")
        log_sharing.join(ws, database)
        made.append(ws)
        return ws

    yield join
    first.go()
    for ws in made:
        daemon_control.stop(ws, drain=False)
        ws.close()
    daemon_control.stop(first.ws, drain=False)


def enqueue(ws: Workspace, number: int) -> str:
    return str(submit.enqueue(ws, parse_ref(f"{NAME}#{number}"), "do it", via="enqueue")[0]["task"])


def names(events: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(event["data"]["name"], event["data"]["term"]) for event in events]


def test_two_hosts_share_the_tasks_and_each_keeps_its_cap(first: Stage, joined: Callable[..., Workspace]) -> None:
    first.agent(COMMIT + 'test "$NUMBER" -gt 3 || { ' + UNTIL_GO.replace("\n", "; ") + "}\n")
    second = joined("two", MAX_CONCURRENT_AGENTS="2", HOST_LABELS="gpu")
    first.start_daemon()
    daemon_control.start(second)
    tasks = [enqueue(ws, number) for number, ws in enumerate((first.ws, second) * 3, 1)]
    here, there = host_id.own(first.ws), host_id.own(second)
    first.until(
        lambda: sorted(attempt.host for attempt in first.state.attempts.values()) == sorted([here, there, there])
    )
    for ws in (first.ws, second):
        assert daemon_control.status(ws).running, "neither takes the other's place"
    first.go()
    for task in tasks:
        assert first.finished(task) == "completed", first.state.tasks[task].reason
    claims = first.events("attempt.claimed")
    assert sorted(event["task"] for event in claims) == sorted(tasks), "each runs once"
    assert {event["facts"]["host"] for event in claims} == {here, there}
    assert first.state.hosts[here].cap == 1 and first.state.hosts[there].cap == 2
    assert first.state.hosts[there].labels == ["gpu"]
    assert {daemon.host for daemon in first.state.daemons.values() if daemon.runs} == {here, there}
    assert eventually(lambda: second.log.head() == first.ws.log.head(), PATIENCE)
    check_log(second)


def test_a_daemon_begins_a_new_term(first: Stage, joined: Callable[..., Workspace]) -> None:
    second = joined("two")
    assert names(first.events("host.joined")) == [("one", 1)]
    assert names([event for event in second.log.read() if event["type"] == "host.joined"]) == [("one", 1), ("two", 1)]
    daemon_control.start(second)
    assert eventually(lambda: second.state().hosts[host_id.own(second)].term == 2, PATIENCE)
    assert host_file.term(second.paths.root) == 2, "it is noted before its append"


@pytest.mark.parametrize("lost", ["DELETE FROM kugetsu.hosts", "UPDATE kugetsu.hosts SET term = 1, fenced = true"])
def test_a_host_is_heard_of_again_by_a_database_that_forgot_its_term(first: Stage, postgres: Any, lost: str) -> None:
    membership.join(first.ws)
    with closing(database_of(first.ws.paths.log)) as database:
        postgres.run(lost, database.connection().info.dbname)  # as after the restore of an older backup
        os.unlink(host_lease.path(first.ws.paths.leases))
        membership.beat(first.ws, database)
        assert host_lease.stop_by(host_lease.path(first.ws.paths.leases)) is not None
        [row] = database.beats()
        assert (row.host, row.term, row.fenced) == (host_id.own(first.ws), 2, False)
    assert names(first.events("host.joined")) == [("one", 1), ("one", 2)]


@pytest.mark.parametrize(
    "lost", ["DELETE FROM kugetsu.hosts WHERE name = 'two'", "UPDATE kugetsu.hosts SET term = 0 WHERE name = 'two'"]
)
def test_a_host_that_a_restored_database_forgot_is_lost_after_its_silence(
    first: Stage, joined: Callable[..., Workspace], database: str, postgres: Any, lost: str
) -> None:
    second = joined("two")
    daemon_died(second)
    first.ws.log.pull()  # type: ignore[attr-defined]
    live_for(postgres, database, 0.1)
    run(postgres, database, lost)
    with closing(database_of(first.ws.paths.log)) as asked, closing(database_of(second.paths.log)) as there:
        assert silent_hosts.fence_the_silent(first.ws, asked.beats()) == []
        forgotten = asked.beats()
        assert silent_hosts.expect_the_missing(first.ws, asked, forgotten) == ["two"]
        assert silent_hosts.expect_the_missing(first.ws, asked, forgotten) == ["two"], "two hosts may do so at once"
        assert silent_hosts.expect_the_missing(first.ws, asked, asked.beats()) == []
        assert heard(postgres, database)[1] == ("two", 1, False)
        os.unlink(host_lease.path(second.paths.leases))
        membership.beat(second, there)
        assert host_lease.stop_by(host_lease.path(second.paths.leases)) is not None, "one that lives is heard of"
        run(postgres, database, "UPDATE kugetsu.hosts SET expires_at = beat_at")
        assert silent_hosts.fence_the_silent(first.ws, asked.beats()) == ["two"]
        run(postgres, database, "DROP FUNCTION kugetsu.expect_host; DELETE FROM kugetsu.hosts")
        membership.join(second)
        daemon_died(second)
        first.ws.log.pull()  # type: ignore[attr-defined]
        assert silent_hosts.expect_the_missing(first.ws, asked, []) == [], "an older schema"


def test_a_host_that_died_while_it_began_a_term_is_lost_after_its_silence(
    first: Stage, joined: Callable[..., Workspace], database: str, postgres: Any
) -> None:
    second = joined("two")
    daemon_died(second)
    there = host_id.own(second)
    first.ws.log.pull()  # type: ignore[attr-defined]
    live_for(postgres, database, 0.1)
    with closing(database_of(first.ws.paths.log)) as asked:
        assert asked.join_host(there, "two", "boot", 1) == 2, "and it dies before its append"
        run(postgres, database, "UPDATE kugetsu.hosts SET expires_at = beat_at")
        assert silent_hosts.fence_the_silent(first.ws, asked.beats()) == ["two"]
    assert heard(postgres, database)[1] == ("two", 2, True)
    assert (first.state.hosts[there].state, first.state.hosts[there].term) == ("lost", 1)
    assert membership.join(second) == 3, "it comes back"


def test_nothing_limits_a_host_once_the_last_agent_of_a_stopped_daemon_has_ended(first: Stage) -> None:
    membership.join(first.ws)
    ending = Ending("succeed", "done", "")
    host = host_id.own(first.ws)
    me: Any = {**identity.own(), "host": host}
    first.ws.log.transact(lambda state: decide_daemon.started(state, me, "lease"))
    finalize.conclude(first.ws, "q1.1", ending, "nonce")
    limit = host_lease.stop_by(host_lease.path(first.ws.paths.leases))
    assert limit is not None, "its daemon runs"
    host_lease.forget(first.ws.paths.leases, limit - 1)
    assert host_lease.stop_by(host_lease.path(first.ws.paths.leases)) == limit, "it was renewed meanwhile"
    first.ws.log.transact(lambda state: decide_daemon.stopped(state, "asked for", host))
    finalize.conclude(first.ws, "q1.1", ending, "nonce")
    assert host_lease.stop_by(host_lease.path(first.ws.paths.leases)) is None


def test_an_older_directory_of_a_copied_host_renews_nothing(first: Stage, postgres: Any) -> None:
    with closing(database_of(first.ws.paths.log)) as database:
        postgres.run("UPDATE kugetsu.hosts SET term = 2", database.connection().info.dbname)
        os.unlink(host_lease.path(first.ws.paths.leases))
        membership.beat(first.ws, database)
        assert host_lease.stop_by(host_lease.path(first.ws.paths.leases)) is None


def test_who_may_not_close_the_database_lets_nobody_leave(
    first: Stage, joined: Callable[..., Workspace], database: str, postgres: Any
) -> None:
    joined("two")
    postgres.run("CREATE ROLE appends LOGIN IN ROLE kugetsu_writer")
    log_sharing.join(first.ws, database.replace("user=postgres", "user=appends"))
    with pytest.raises(LogUnreachable, match="not taken back"):
        log_sharing.unshare(first.ws)
    assert {host.state for host in first.state.hosts.values()} == {"joined"}
    log_sharing.join(first.ws, database)
    log_sharing.unshare(first.ws)
    postgres.run("DROP ROLE appends")


def test_who_takes_the_log_back_has_it_alone(first: Stage, joined: Callable[..., Workspace], database: str) -> None:
    second = joined("two")
    daemon_control.start(second)
    with pytest.raises(Conflict, match="host_dispatches"):
        log_sharing.unshare(first.ws)
    daemon_control.stop(second, drain=False)
    log_sharing.unshare(first.ws)
    known = {host.name: host.state for host in first.state.hosts.values()}
    assert known == {"one": "joined", "two": "left"}
    first.start_daemon()
    assert first.finished(enqueue(first.ws, 1)) == "completed", "and works on, in files"
    daemon_control.stop(first.ws, drain=False)
    log_sharing.share(first.ws, database)
    assert names(first.events("host.joined"))[-1] == ("one", 2)


def test_a_database_that_knows_fewer_terms_gives_a_later_one(first: Stage, postgres: Any) -> None:
    host = host_id.own(first.ws)
    log_sharing.unshare(first.ws)
    fresh = postgres.fresh()
    try:
        log_sharing.share(first.ws, postgres.url(fresh))
        assert host_file.term(first.ws.paths.root) == first.state.hosts[host].term == 2
    finally:
        first.ws.close()
        log_sharing.unshare(first.ws)
        postgres.drop(fresh)


def test_of_two_directories_with_one_id_the_newer_term_counts(first: Stage, joined: Callable[..., Workspace]) -> None:
    copy = joined("copy")
    first.start_daemon()
    first.wait("host.joined", count=3)
    host_file.write_term(copy.paths.root, host_id.own(first.ws), 1)  # a copied machine
    membership.join(copy)
    task = enqueue(first.ws, 1)
    held = first.wait("task.held", task=task)
    assert (held["data"]["gate"], held["data"]["reason"]) == ("host", "host_term_over")


def test_a_beat_moves_the_end_of_what_agents_may_do(first: Stage, database: str, postgres: Any) -> None:
    live_for(postgres, database, 2)
    first.start_daemon()
    first.wait("host.joined", count=2)
    file = host_lease.path(first.ws.paths.leases)
    before = host_lease.stop_by(file)
    assert before is not None
    first.until(lambda: (host_lease.stop_by(file) or 0) > before + 2)
    assert heard(postgres, database) == [("one", 2, False)]


def test_an_agent_is_stopped_before_its_host_may_be_lost(first: Stage, database: str, postgres: Any) -> None:
    live_for(postgres, database, 8)
    first.agent(UNTIL_GO)
    first.start_daemon()
    enqueue(first.ws, 1)
    first.at_work("q1.1")
    first.kill(first.state.daemon.identity)
    first.until(lambda: not RELAY.alive(first.ws.paths))
    stop_by = host_lease.stop_by(host_lease.path(first.ws.paths.leases))
    killed = first.wait("attempt.killed")
    assert "cut off from the shared log" in killed["data"]["reason"]
    assert stop_by is not None and host_lease.now() > stop_by - 8, "not before its time"


def test_a_host_that_is_silent_is_lost_and_its_tasks_run_elsewhere(
    first: Stage, joined: Callable[..., Workspace], database: str, postgres: Any
) -> None:
    second = joined("two")
    live_for(postgres, database, 10)
    waits = "git switch -qc aside; echo aside > aside; git add aside; git commit -qm aside; git switch -q -; "
    waits += "echo work > only-here; git add only-here; git commit -qm wip; " + UNTIL_GO.replace("\n", " ")
    first.agent(f'if test "$KUGETSU_ATTEMPT" = q1.1; then {waits} else {COMMIT} fi\n')
    daemon_control.start(second)
    enqueue(first.ws, 1)
    first.file("at-work-q1.1")
    assert eventually(lambda: "q1.1" in second.state().attempts and second.state().attempts["q1.1"].state == "running")
    here, there = host_id.own(first.ws), host_id.own(second)
    runner = second.state().attempts["q1.1"].runner
    assert runner is not None and identity.signal(runner, signal.SIGSTOP), "as a machine that is paused"
    first.kill(second.state().daemon_of(there).identity)
    first.until(lambda: not RELAY.alive(second.paths))
    # As if the time to live had passed, in the database and on the paused machine.
    run(postgres, database, "UPDATE kugetsu.hosts SET expires_at = beat_at WHERE name = 'two'")
    host_lease.renew(second.paths.leases, host_lease.now() - 60.0, 10.0)
    first.start_daemon()
    lost = first.wait("host.lost")
    assert (lost["data"]["host"], lost["data"]["by"], lost["data"]["silent_since"] is None) == (there, here, False)
    assert first.finished("q1") == "completed"
    assert [event["facts"]["host"] for event in first.events("attempt.claimed")] == [there, here]
    (ended,) = first.events("attempt.lost")
    assert ended["data"]["reason"] == "host two was lost"
    both = first.events("host.lost", "daemon.lost")
    assert len(both) == 2 and [event["type"] for event in both if notice_of(event)] == ["host.lost"], "told once"
    assert ended["data"]["evidence"]["work"]["worktree"].startswith(second.paths.root)
    assert heard(postgres, database)[1][2] is True
    daemon_control.start(second)
    late = first.wait("attempt.late")
    assert late["attempt"] == "q1.1" and "cut off from the shared log" in late["data"]["reason"]
    returned = first.wait("host.returned")
    first.until(lambda: first.state.hosts[there].takes_part)
    assert first.events("host.joined")[-1]["seq"] > late["seq"], "not while an agent of before works in its worktree"
    left, aside = returned["data"]["worktrees"]
    told = notice_of(returned)
    assert told is not None and told.text.count(f"{NAME}#1: 1 commit on host {there:.8} that was lost") == 2
    assert left["session"] == f"{NAME}#1" and left["worktree"].startswith(second.paths.root)
    assert (left["commits"], left["pushed"]) == (1, True)
    origin = first.root / "srv" / "work" / "shared.git"
    assert repos.run(origin, "show", f"{left['rescue']}:only-here").strip() == "work"
    assert (aside["branch"], aside["pushed"]) == ("aside", True)
    assert repos.run(origin, "show", f"{aside['rescue']}:aside").strip() == "aside"
    assert first.state.hosts[there].left_behind == {} and first.state.hosts[there].takes_part, "it joins again"


def test_no_host_leaves_with_commits_that_only_its_clone_has(first: Stage, joined: Callable[..., Workspace]) -> None:
    second = joined("two")
    aside = "git switch -qc aside; echo aside > aside; git add aside; git commit -qm aside; git switch -q -\n"
    first.agent(aside + COMMIT + "git push -q origin HEAD\n")
    daemon_control.start(second)
    enqueue(second, 1)
    assert eventually(lambda: second.state().tasks["q1"].state == "completed", PATIENCE)
    daemon_control.stop(second, drain=False)
    with pytest.raises(Conflict, match="#1 has commits on its branch aside"):
        host_leave.leave(second, force=False)
    worktree = Path(second.state().sessions[f"{NAME}#1"].worktree or "")
    repos.run(worktree, "push", "-q", "origin", "aside")
    assert host_leave.leave(second, force=False)[1]


def test_a_host_whose_daemon_was_stopped_is_not_lost_for_its_silence(
    first: Stage, joined: Callable[..., Workspace], database: str, postgres: Any
) -> None:
    second, third = joined("two"), joined("three")
    limit = Path(host_lease.path(second.paths.leases))
    daemon_control.start(second)
    assert eventually(lambda: second.state().hosts[host_id.own(second)].term == 2, PATIENCE)
    assert limit.exists()
    daemon_control.stop(second, drain=False)
    assert eventually(lambda: not limit.exists() and not RELAY.alive(second.paths), PATIENCE), "nothing limits it"
    daemon_died(third)
    live_for(postgres, database, 0.1)
    membership.join(third)
    first.ws.log.pull()  # type: ignore[attr-defined]
    run(postgres, database, "UPDATE kugetsu.hosts SET expires_at = beat_at")
    with closing(database_of(first.ws.paths.log)) as asked:
        assert silent_hosts.fence_the_silent(first.ws, asked.beats()) == ["three"]
    assert {host.name: host.state for host in first.state.hosts.values()} == {
        "one": "joined",
        "two": "joined",
        "three": "lost",
    }
    silent_hosts.lose(first.ws, "two")  # a person's word counts all the same


def test_leaving_that_was_killed_after_its_append_ends_the_daemon_all_the_same(
    first: Stage, joined: Callable[..., Workspace]
) -> None:
    second = joined("two")
    there = host_id.own(second)
    daemon_control.start(second)
    assert eventually(lambda: second.state().hosts[there].term == 2, PATIENCE)
    second.log.transact(lambda state: decide_hosts.leave(state, there, 2, "it left"))
    assert eventually(lambda: not daemon_control.status(second).running, PATIENCE)
    host, left_now = host_leave.leave(second, force=False)
    assert (host.name, host.state, left_now) == ("two", "left", False)
    assert second.state().daemon_of(there).state == "stopped"


def test_a_host_that_is_heard_of_is_not_lost_unless_a_person_says_so(
    first: Stage, joined: Callable[..., Workspace]
) -> None:
    second = joined("two")
    there = host_id.own(second)
    daemon_died(second)
    first.ws.log.pull()  # type: ignore[attr-defined]
    before = first.state.seq
    with pytest.raises(Conflict, match="not lost"):
        silent_hosts.fence(first.ws, there, 1, None, sure=False)
    assert first.state.seq == before, "nothing is appended then"
    events = silent_hosts.fence(first.ws, there, 1, None, sure=True)
    assert [event["type"] for event in events] == ["host.lost", "daemon.lost"] and events[0]["data"]["by"] is None
    assert silent_hosts.fence(first.ws, there, 1, None, sure=True) == []
    with closing(database_of(second.paths.log)) as there_too:
        assert not there_too.beat(there, 1, 0).held, "its term renews nothing"


def test_a_host_that_was_given_up_and_lives_stops_its_agents_and_joins_again(
    first: Stage, joined: Callable[..., Workspace]
) -> None:
    second = joined("two")
    first.agent(UNTIL_GO)
    daemon_control.start(second)
    enqueue(first.ws, 1)
    there = host_id.own(second)
    first.file("at-work-q1.1")
    assert eventually(lambda: any(one.state == "running" for one in second.state().attempts.values()), PATIENCE)
    first.ws.log.pull()  # type: ignore[attr-defined]
    cancelled = stop_attempt.elsewhere(first.ws, "q1.1")
    assert cancelled is not None and cancelled.passes_on is None, "its daemon is heard of"
    first.monkeypatch.setattr(contact, "known", lambda *_: contact.Contact({there: 240.0}))
    cancelled = stop_attempt.elsewhere(first.ws, "q1.1")
    assert cancelled is not None and cancelled.passes_on is not None
    assert "host two was not heard of for 240 s" in cancelled.passes_on, "whatever the log says"
    assert cancelled.passes_on.endswith("ssh two kugetsu queue cancel q1")
    silent_hosts.lose(first.ws, "two")
    assert eventually(lambda: types(second, "attempt.late") == ["attempt.late"], PATIENCE)
    assert eventually(lambda: second.state().hosts[there].takes_part, PATIENCE)
    assert eventually(lambda: host_file.term(second.paths.root) == 3, PATIENCE)
    assert second.state().hosts[there].term == 3 and second.state().hosts[there].away == {}
    assert eventually(lambda: daemon_control.status(second).running, PATIENCE), (
        "its daemon, which was counted as lost, is there again"
    )


def daemon_died(ws: Workspace) -> None:
    """By the log the host's daemon runs; nobody does."""
    who: Any = {"boot": "before", "pid": 7, "start": 1, "host": host_id.own(ws)}
    ws.log.transact(lambda state: decide_daemon.started(state, who, "a lease of nobody"))


def types(ws: Workspace, kind: str) -> list[str]:
    return [event["type"] for event in ws.log.read() if event["type"] == kind]


def test_without_a_daemon_nothing_starts_in_a_shared_log(first: Stage) -> None:
    with pytest.raises(Conflict, match="no daemon") as refused:
        submit.start(first.ws, parse_ref(f"{NAME}#1"), "do it")
    assert refused.value.hint is not None and "queue-daemon start" in refused.value.hint


def test_a_start_is_refused_once_the_daemon_has_stopped_in_order(first: Stage) -> None:
    first.start_daemon()
    first.wait("host.joined", count=2)
    make = dispatcher.make_claim_request

    def stopped_meanwhile(ws: Workspace) -> Any:
        daemon_control.stop(ws, drain=False)
        return make(ws)

    first.monkeypatch.setattr(dispatcher, "make_claim_request", stopped_meanwhile)
    with pytest.raises(Conflict, match="no daemon"):
        submit.start(first.ws, parse_ref(f"{NAME}#1"), "do it")
    # Nothing limits a host that rests: an agent of it would go on when its task was given away.
    assert host_lease.stop_by(host_lease.path(first.ws.paths.leases)) is None
    assert first.events("attempt.claimed") == []


def live_for(postgres: Any, database: str, seconds: float) -> None:
    """Give hosts another time to live."""
    run(postgres, database, f"UPDATE kugetsu.meta SET host_ttl = '{seconds} s'")


def run(postgres: Any, database: str, statement: str) -> None:
    postgres.run(statement, database.rpartition("dbname=")[2])


def heard(postgres: Any, database: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database) as connection:
        return connection.execute("SELECT name, term, fenced FROM kugetsu.hosts ORDER BY name").fetchall()


def test_no_daemon_starts_where_the_host_has_left_and_its_mirror_is_behind(
    first: Stage, joined: Callable[..., Workspace]
) -> None:
    second = joined("second")
    known, term = host_id.own(second), second.state().hosts[host_id.own(second)].term
    first.ws.log.transact(lambda state: decide_hosts.leave(state, known, term, "the log was taken back"))
    with pytest.raises(Conflict, match="has left") as refused:
        daemon.take_over(second)
    assert refused.value.hint == "to take part in it again: kugetsu host join"
    assert not second.state().daemon_of(known).runs
