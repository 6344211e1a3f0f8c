"""A log that two hosts share: what one of them did, the other neither ends nor removes, whatever it sees here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import partial

import pytest

from kugetsu.agents.protocol import Launch
from kugetsu.domain.decide import hosts, queue, sessions
from kugetsu.host import host_file
from kugetsu.model.errors import Conflict
from kugetsu.runtime import daemon_control, destroy, disk, host_id, liveness, reconcile, stop_attempt, submit
from kugetsu.runtime.doctor import git as doctor_git
from kugetsu.runtime.doctor import leftovers
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.facts import outcome_facts
from kugetsu.runtime.process import identity
from kugetsu.runtime.process.lease import Lease
from kugetsu.runtime.prune import plan
from kugetsu.runtime.query import work
from kugetsu.runtime.runner import interactive
from kugetsu.runtime.runner.orders import Orders
from kugetsu.runtime.workspace import Workspace, open_workspace
from runtime import repos
from runtime.stage import COMMIT, UNTIL_GO, Stage, bare_stage, stage
from runtime.supervised import eventually

__all__ = ["bare_stage", "stage"]

OTHER = "f" * 32


@pytest.fixture
def folder(stage: Stage) -> Iterator[str]:
    """The KUGETSU_DIR of another host, before its log is there; its daemon ends with the test."""
    path = stage.root / "other"
    path.mkdir(mode=0o700)
    (path / host_file.NAME).write_text(OTHER + "\n")
    yield str(path)
    if (path / "log").is_dir():
        ws = open_workspace({**os.environ, "KUGETSU_DIR": str(path)}, "clean up")
        daemon_control.stop(ws, drain=False)
        ws.close()


def mirror(stage: Stage, folder: str) -> Workspace:
    """The other host with the log as it is now, byte for byte."""
    shutil.copytree(stage.ws.paths.log, f"{folder}/log")
    shutil.copy(stage.ws.paths.config, folder)
    return open_workspace({**os.environ, "KUGETSU_DIR": folder}, "kugetsu")


def at_work(stage: Stage) -> None:
    """An agent works on issue 1."""
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")


def killed(stage: Stage) -> None:
    """As `at_work`, and then runner and agent are killed."""
    at_work(stage)
    attempt = stage.state.attempts["q1.1"]
    for who in (attempt.runner, attempt.agent):
        stage.kill(who)


def idle(stage: Stage) -> str:
    """The session of issue 1 after a run with a commit; its key."""
    stage.agent(COMMIT)
    stage.start(1)
    assert stage.finished("q1") == "completed"
    key = str(stage.ref(1))
    assert stage.state.sessions[key].host == host_id.own(stage.ws) != OTHER
    return key


def test_whether_another_hosts_attempt_lives_is_unknown(stage: Stage, folder: str) -> None:
    killed(stage)
    other = mirror(stage, folder)
    attempt = other.state().attempts["q1.1"]
    assert eventually(lambda: liveness.of(stage.ws.paths, attempt) is False), "its tools end by themselves"
    assert liveness.of(other.paths, attempt) is None
    os.unlink(host_file.path(stage.ws.paths.root))
    assert liveness.of(stage.ws.paths, attempt) is None, "it cannot tell whose it is"
    other.close()


def test_another_hosts_dead_attempt_is_not_settled(stage: Stage, folder: str) -> None:
    killed(stage)
    other = mirror(stage, folder)
    before = other.state().seq
    assert reconcile.dead(other, other.state()) == [] == reconcile.stopped(other, other.state())
    assert reconcile.reconcile(other) == []
    assert other.state().seq == before
    assert [attempt.id for attempt in reconcile.dead(stage.ws, stage.state)] == ["q1.1"]
    other.close()


def test_another_hosts_agent_is_asked_to_stop_and_not_signalled(stage: Stage, folder: str) -> None:
    at_work(stage)
    other = mirror(stage, folder)
    assert [event["type"] for event in stop_attempt.cancel(other, "q1")] == ["attempt.stop_requested"]
    assert not stop_attempt.signal_runner(other, "q1")
    assert not os.path.exists(other.paths.run("q1.1"))
    runner = stage.state.attempts["q1.1"].runner
    assert runner is not None and identity.alive(runner)
    other.close()


def test_a_stop_that_was_requested_on_another_host_is_passed_on(stage: Stage) -> None:
    at_work(stage)
    host = host_id.own(stage.ws)
    stage.ws.log.transact(lambda state: hosts.join(state, host, 1, "one", [], 2))
    stage.ws.log.transact(lambda state: queue.cancel(state, "q1", "cancel"))  # as the other host appends it
    stage.start_daemon()
    assert stage.finished("q1") == "cancelled"
    assert stage.events("attempt.killed", attempt="q1.1")


def test_a_daemon_neither_settles_another_hosts_attempt_nor_waits_for_its_end(stage: Stage, folder: str) -> None:
    killed(stage)
    other = mirror(stage, folder)
    daemon_control.start(other)
    other.log.wait(other.state().seq, 1.0)  # its first turns
    assert daemon_control.stop(other, drain=True)
    assert "q1.1" in other.state().attempts
    assert not [event for event in other.log.read() if event["type"] in ("attempt.lost", "attempt.unsettled")]
    other.close()


def test_a_full_disk_here_says_nothing_about_another_hosts_agent(
    stage: Stage, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    killed(stage)
    other = mirror(stage, folder)
    stage.monkeypatch.setattr(disk, "refusal", lambda paths: Conflict("the disk is full", "make room"))
    submit.Deaths(other).look(["q1"])
    assert capsys.readouterr().err == ""
    submit._notice_full_disk(stage.ws, "q1", set())
    assert "the disk is full" in capsys.readouterr().err
    other.close()


def test_another_hosts_worktree_is_elsewhere_and_not_gone(stage: Stage, folder: str) -> None:
    key = idle(stage)
    other = mirror(stage, folder)
    worktree = stage.worktree(1)
    os.rename(worktree, stage.root / "away")
    context = Context(other.paths, {**os.environ, "KUGETSU_DIR": folder}, "kugetsu doctor")
    assert [found.text for found in leftovers.check(context)] == ["nothing was left behind"]
    found = plan(other)
    assert found.items == []
    assert [(one.subject, one.group) for one in found.kept if one.kind == "session"] == [
        (key, "its worktree lies elsewhere")
    ]
    os.rename(stage.root / "away", worktree)
    context.ws.close()
    other.close()


@pytest.mark.parametrize("force", [False, True])
def test_another_hosts_session_is_destroyed_there(stage: Stage, folder: str, *, force: bool) -> None:
    key = idle(stage)
    other = mirror(stage, folder)
    before = other.state().seq
    with pytest.raises(Conflict, match="is on host") as refused:
        destroy.destroy(other, key, force=force)
    assert f"run there: kugetsu destroy {'--force ' if force else ''}{key}" == refused.value.hint
    assert other.state().seq == before and stage.worktree(1).is_dir()
    (stage.worktree(1) / "unsaved").write_text("of that host")
    assert ["is on host" in str(one) for one in destroy.refusals(other, key, destroy.Known())] == [True]
    other.close()


def test_a_person_works_in_a_session_where_its_worktree_is(stage: Stage, folder: str) -> None:
    key = idle(stage)
    stage.configure(KUGETSU_ATTACH_COMMAND="/bin/sh")
    other = mirror(stage, folder)
    before = other.state().seq
    with pytest.raises(Conflict, match="is on host"):
        interactive.attach(other, key)
    assert other.state().seq == before
    other.close()


def test_a_person_prepares_the_session_of_a_lost_host_anew(stage: Stage, folder: str) -> None:
    key = idle(stage)
    first, own = stage.worktree(1), host_id.own(stage.ws)
    repos.run(first, "checkout", "-q", "--detach")  # both hosts' worktrees are of one clone here
    stage.configure(KUGETSU_ATTACH_COMMAND="/bin/sh")
    for host in (own, OTHER):
        stage.ws.log.transact(partial(hosts.join, host=host, term=1, name=host[:4], labels=[], cap=1))
    source = {"path": str(stage.repository), "host": OTHER}
    stage.ws.log.transact(partial(sessions.register, repository=stage.name, origin=source))
    facts = outcome_facts(stage.ws.config)
    stage.ws.log.transact(lambda state: hosts.lost(state, own, 1, None, OTHER, "it was lost", facts))
    other = mirror(stage, folder)
    opened: list[Launch] = []

    def start(ws: Workspace, key: str, launch: Launch, lease: Lease) -> Orders:
        opened.append(launch)
        raise Conflict("the program is not started here")

    stage.monkeypatch.setattr(interactive, "_start", start)
    with pytest.raises(Conflict, match="not started here"):
        interactive.attach(other, key)
    session = other.state().sessions[key]
    assert (session.host, session.worktree) == (OTHER, opened[0].cwd)
    assert first.is_dir() and session.worktree.startswith(folder)
    other.close()


def test_files_at_the_path_of_another_hosts_worktree_are_not_its_work(stage: Stage, folder: str) -> None:
    key = idle(stage)
    other = mirror(stage, folder)
    assert work.present(stage.ws, stage.state, key).where == "worktree"
    assert work.present(other, other.state(), key).where == "recorded"
    stale = stage.worktree(1)
    locks = [found.text for found in doctor_git._locks(Context(other.paths, os.environ, "kugetsu doctor"))]
    assert locks == [] and stale.is_dir()
    other.close()


def test_a_session_of_another_host_is_prepared_anew_and_its_worktree_stays(stage: Stage, folder: str) -> None:
    key = idle(stage)
    first = stage.worktree(1)
    repos.run(first, "checkout", "-q", "--detach")  # both hosts' worktrees are of one clone here
    other = mirror(stage, folder)
    stage.agent("exit 0\n")
    submit.enqueue(other, stage.ref(1), "more", via="enqueue")
    daemon_control.start(other)
    assert eventually(lambda: other.state().tasks["q2"].state == "completed", 60.0)
    session = other.state().sessions[key]
    assert session.host == OTHER
    assert session.worktree is not None and session.worktree.startswith(folder)
    assert session.branch == stage.state.sessions[key].branch
    assert first.is_dir()
    reasons = [event["data"]["reason"] for event in other.log.read() if event["type"] == "session.broken"]
    first_host = host_id.name_of(stage.state, host_id.own(stage.ws))
    assert reasons == [f"its worktree is on {first_host}"], "the base session stays the first host's"
    other.close()


@pytest.mark.parametrize("name", ["-oProxyCommand=x", "one;x", "o'ne", "$(x)", "a b", "one\n", "ö", "", "a@b", "a:1"])
def test_a_name_that_ssh_or_a_shell_would_read_otherwise_is_none(stage: Stage, name: str) -> None:
    stage.ws.log.transact(lambda state: hosts.join(state, "f" * 32, 1, name, [], 1))
    assert host_id.ssh_name(stage.ws.state(), "f" * 32) is None
    assert host_id.line_there(stage.ws.state(), "f" * 32, "kugetsu logs q1") == "run there: kugetsu logs q1"
