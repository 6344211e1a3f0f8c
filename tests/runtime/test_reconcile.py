"""Reconciliation: what died is recorded as what it was, its slot is free, nothing of it and nobody else is ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import pytest

from kugetsu.domain.decide import claims, queue
from kugetsu.host import host_file
from kugetsu.model import clock
from kugetsu.model.errors import Conflict, KugetsuError
from kugetsu.runtime import daemon_control, destroy, host_id, liveness, reconcile, stop_attempt, submit
from kugetsu.runtime.facts import claim_facts
from kugetsu.runtime.process import identity, lease, termination, tree
from kugetsu.runtime.query import points
from kugetsu.runtime.workspace import Workspace, open_workspace
from kugetsu.views import status
from runtime import repos
from runtime.stage import COMMIT, UNTIL_GO, Stage, bare_stage, stage
from runtime.supervised import ended

__all__ = ["bare_stage", "stage"]


@pytest.fixture
def bystander(stage: Stage) -> Iterator[subprocess.Popen[bytes]]:
    """A stranger whose command line and variables look like an agent's, but for the lease."""
    environment = {**os.environ, "KUGETSU_ATTEMPT": "q1.1", "KUGETSU_LEASE": "0" * 32}
    looks = f"/bin/sh {stage.folder}/agent.sh kugetsu q1.1"
    process = subprocess.Popen([looks, "300"], executable=shutil.which("sleep"), env=environment)
    yield process
    assert process.poll() is None, "the stranger was ended"
    process.kill()
    process.wait()


def test_an_agent_that_outlives_its_runner_keeps_the_slot_until_it_is_ended(
    stage: Stage, bystander: subprocess.Popen[bytes]
) -> None:
    stage.configure(MAX_CONCURRENT_AGENTS="1")
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    attempt = stage.state.attempts["q1.1"]
    agent, nonce = attempt.agent, attempt.lease
    stage.kill(attempt.runner)
    assert agent is not None and identity.alive(agent)
    assert lease.alive(stage.ws.paths.leases, nonce), "the agent lives, and so does its claim"
    assert reconcile.reconcile(stage.ws) == ["q1.1"]
    assert not identity.alive(agent)
    lost = stage.wait("attempt.lost", attempt="q1.1")
    assert stage.wait("orphans.ended", attempt="q1.1")["seq"] < lost["seq"], "first ended, then recorded"
    assert reconcile.reconcile(stage.ws) == []


def test_tools_that_outlive_runner_and_agent_are_ended_before_the_slot_is_free(
    stage: Stage, bystander: subprocess.Popen[bytes]
) -> None:
    stage.agent(
        '(setsid sh -c \'trap "" TERM; echo $$ > "$STAGE/deaf"; while :; do sleep 1; done\' &)\n'
        "setsid sh -c 'echo $$ > \"$STAGE/tool\"; exec sleep 60' &\n" + UNTIL_GO
    )
    stage.start(1)
    stage.at_work("q1.1")
    tools = [stage.pid("deaf"), stage.pid("tool")]
    attempt = stage.state.attempts["q1.1"]
    runner, agent = attempt.runner, attempt.agent
    stage.kill(runner)
    stage.kill(agent)
    assert reconcile.reconcile(stage.ws) == ["q1.1"]
    assert not any(identity.alive(tool) for tool in tools)


def test_an_orphan_without_the_mark_that_holds_the_lease_does_not_keep_the_slot_for_ever(stage: Stage) -> None:
    stage.agent('(env -i "STAGE=$STAGE" setsid sh -c \'echo $$ > "$STAGE/hidden"; exec sleep 60\' &)\n' + UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    hidden = stage.pid("hidden")
    attempt = stage.state.attempts["q1.1"]
    agent, nonce = attempt.agent, attempt.lease
    stage.kill(attempt.runner)
    stage.kill(agent)
    assert lease.alive(stage.ws.paths.leases, nonce)
    assert reconcile.reconcile(stage.ws) == ["q1.1"]
    assert not identity.alive(hidden)


def test_a_tool_that_lost_mark_session_and_lease_does_not_outlive_runner_and_agent(stage: Stage) -> None:
    # Neither the mark nor the lease tells of it, and once its runner is dead descent does not either.
    bare = "import os; os.closerange(3, 64); os.setsid(); os.execve('/bin/sleep', ['sleep', '60'], {})"
    stage.agent(f'(env -i {sys.executable} -c "{bare}" & echo $! > "$STAGE/bare")\n' + UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    bare_one = stage.pid("bare")
    attempt = stage.state.attempts["q1.1"]
    file = tree.path(stage.ws.paths.run("q1.1"))
    stage.until(lambda: bare_one["pid"] in [one["pid"] for one in tree.read(file)])
    stage.kill(attempt.runner)
    stage.kill(attempt.agent)
    stage.until(lambda: not lease.alive(stage.ws.paths.leases, attempt.lease))
    assert identity.alive(bare_one)
    assert reconcile.reconcile(stage.ws) == ["q1.1"]
    assert not identity.alive(bare_one)


def test_tokens_that_a_lost_attempt_reported_count(stage: Stage) -> None:
    stage.agent("""echo '{"tokens": 18689, "cost": 0.5}'\n""" + UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    attempt = stage.state.attempts["q1.1"]
    stage.kill(attempt.runner)
    stage.kill(attempt.agent)
    assert reconcile.reconcile(stage.ws) == ["q1.1"]
    lost = stage.wait("attempt.lost", attempt="q1.1")["data"]
    assert (lost["tokens"], lost["cost"]) == (18689, 0.5)
    [session] = [one for one in stage.state.sessions.values() if one.kind == "issue"]
    assert session.usage.tokens == 18689, "ISSUE_MAX_TOKENS counts them"


def test_whoever_only_asks_for_the_lease_is_no_part_of_the_attempt(stage: Stage) -> None:
    # The orphan keeps the lease, so that its holders are looked for.
    stage.agent("(env -i setsid sleep 60 &)\n" + UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    attempt = stage.state.attempts["q1.1"]
    agent = attempt.agent
    path = stage.ws.paths.lease(attempt.lease)
    code = "import fcntl, sys; f = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    reader = stage.python(code, path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert reader.stdout is not None and reader.stdout.readline() == b"open\n"
    stage.kill(attempt.runner)
    stage.kill(agent)
    assert reconcile.reconcile(stage.ws) == ["q1.1"]
    assert reader.poll() is None


def test_a_runner_killed_after_the_agent_ended_is_concluded_from_what_it_wrote(stage: Stage) -> None:
    # Phase C cannot begin: the settings cannot be read. What the supervisor wrote is there.
    stage.agent(UNTIL_GO + COMMIT)
    stage.start(1)
    stage.at_work("q1.1")
    runner = stage.state.attempts["q1.1"].runner
    assert runner is not None
    (stage.directory / "config").write_text("nonsense\n")
    stage.go()
    stage.until(lambda: not identity.alive(runner))
    stage.configure()
    assert reconcile.reconcile(stage.ws) == ["q1.1"]
    assert stage.finished("q1") == "completed"
    assert stage.wait("attempt.succeeded")["data"]["evidence"]["commits"] == 1


def test_the_work_of_a_lost_attempt_is_on_a_rescue_branch_and_in_its_worktree(stage: Stage) -> None:
    stage.agent(
        'if test "$KUGETSU_ATTEMPT" = q1.1; then printf "new\\n" > untracked; echo changed >> README; fi\n' + UNTIL_GO
    )
    stage.start(1)
    stage.at_work("q1.1")
    stage.kill(stage.state.attempts["q1.1"].runner)
    reconcile.reconcile(stage.ws)
    branch = stage.wait("attempt.lost")["data"]["rescue"]
    assert repos.run(stage.repository, "show", f"{branch}:untracked") == "new"
    assert repos.run(stage.repository, "show", f"{branch}:README") == "sample\nchanged"
    assert (stage.worktree(1) / "untracked").read_text() == "new\n"


def test_a_machine_that_was_restarted_is_told_as_the_reason(stage: Stage) -> None:
    from kugetsu.domain.decide import attempts, queue

    facts = claim_facts(stage.ws, "self")
    elsewhere: identity.Identity = {"boot": "00000000-0000-0000-0000-000000000000", "pid": os.getpid(), "start": 1}

    def claimed(state):  # type: ignore[no-untyped-def]
        task = queue.enqueue(state, kind="dev", issue=str(stage.ref(1)), message="x", via="start")[0]
        return claims.start(state, task, claims.ClaimRequest("f" * 32, elsewhere), facts)

    stage.ws.log.transact(claimed)
    stage.ws.log.transact(lambda state: attempts.starting(state, "q1.1", elsewhere))
    assert reconcile.reconcile(stage.ws) == ["q1.1"]
    assert "restarted" in stage.wait("attempt.lost")["data"]["reason"]
    assert not ended(os.getpid()), "the pid of before the restart is somebody else's now"


def test_a_claimer_that_died_leaves_a_claim_that_is_lost_and_tried_again(stage: Stage) -> None:
    code = (
        "import os\nfrom kugetsu.model.refs import parse_ref\nfrom kugetsu.runtime import submit as requests\n"
        "from kugetsu.runtime.runner import launch as runner\n"
        "from kugetsu.runtime.workspace import open_workspace\nrunner.fork = lambda *_: os.kill(os.getpid(), 9)\n"
        f"requests.start(open_workspace(os.environ, 'x'), parse_ref('{stage.ref(1)}'), 'm')\n"
    )
    assert stage.python(code).wait() == -signal.SIGKILL
    assert stage.state.attempts["q1.1"].state == "claimed"
    stage.start_daemon()
    assert stage.finished("q1") == "completed"
    assert "claimer" in stage.wait("attempt.lost", attempt="q1.1")["data"]["reason"]
    assert stage.wait("attempt.succeeded", attempt="q1.2")


def test_a_lost_daemon_is_recorded_by_the_next_one_who_looks(stage: Stage) -> None:
    stage.start_daemon()
    stage.kill_daemon()
    reconcile.reconcile(stage.ws)
    assert stage.wait("daemon.lost")
    assert stage.state.daemon.state == "lost"
    assert daemon_control.status(stage.ws).state == "lost"
    reconcile.reconcile(stage.ws)
    assert len(stage.events("daemon.lost")) == 1


def test_a_cancelled_attempt_whose_runner_died_is_cancelled_and_not_tried_again(stage: Stage) -> None:
    from kugetsu.runtime import stop_attempt

    stage.agent("trap '' TERM\n" + UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    runner = stage.state.attempts["q1.1"].runner
    stage.kill(runner)
    stop_attempt.cancel(stage.ws, "q1")
    reconcile.reconcile(stage.ws)
    assert stage.finished("q1") == "cancelled"


def test_two_who_reconcile_at_once_record_one_end(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    stage.kill(stage.state.attempts["q1.1"].runner)
    code = (
        "import os\nfrom kugetsu.runtime import reconcile as reconciliation\n"
        "from kugetsu.runtime.workspace import open_workspace\n"
        "reconciliation.reconcile(open_workspace(os.environ, 'x'))\n"
    )
    others = [stage.python(code) for _ in range(4)]
    assert [other.wait() for other in others] == [0] * 4
    assert len(stage.events("attempt.lost")) == 1


def test_marks_of_two_kugetsu_directories_are_never_confused(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    # The same attempt's name elsewhere, as a second kugetsu directory would have it.
    other = subprocess.Popen(["sleep", "60"], env={**os.environ, "KUGETSU_ATTEMPT": "q1.1", "KUGETSU_LEASE": "e" * 32})
    stage.kill(stage.state.attempts["q1.1"].runner)
    reconcile.reconcile(stage.ws)
    assert other.poll() is None
    assert termination.end("e" * 32, 0.0).left == []
    other.wait()


def _copy(stage: Stage) -> Workspace:
    """A copy of the stage's KUGETSU_DIR, opened."""
    copy = shutil.copytree(stage.ws.paths.root, stage.root / "copy", symlinks=True)
    return open_workspace({**os.environ, "KUGETSU_DIR": str(copy)}, "kugetsu queue-daemon")


def test_a_copy_of_the_directory_ends_no_agent_of_the_original(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start_daemon()
    stage.start(1)
    stage.at_work("q1.1")
    copy = _copy(stage)
    attempt = copy.state().attempts["q1.1"]
    assert not lease.alive(copy.paths.leases, attempt.lease), "nobody holds the lease in the copy"
    assert termination.directories(attempt.lease) == {stage.ws.paths.root}
    assert reconcile.dead(copy, copy.state()) == [] == reconcile.reconcile(copy)
    with pytest.raises(
        Conflict, match=f"works for {stage.ws.paths.root}, of which {copy.paths.root} is a copy"
    ) as told:
        stop_attempt.cancel(copy, "q1")
    assert told.value.hint == f"KUGETSU_DIR={stage.ws.paths.root} kugetsu queue cancel q1"
    copy.log.transact(lambda state: queue.cancel(state, "q1", "cancel"))
    assert not stop_attempt.signal_runner(copy, "q1"), "nor does a request that another host recorded"
    now = points.present(copy, clock.now())
    shown = status.collect(now.state, copy.paths.root, now.facts, now.probes)
    assert [agent["alive"] for agent in shown["agents"]] == [None] and shown["attention"] == [], "nor is it lost"
    copy.close()
    assert attempt.agent is not None and identity.alive(attempt.agent)
    stage.go()
    assert stage.finished("q1") == "completed"


@pytest.mark.parametrize("leases", ["copied", "left out"])
def test_a_copy_of_the_directory_takes_nobodys_daemon_for_its_own(stage: Stage, leases: str) -> None:
    pid = stage.start_daemon()
    copy = _copy(stage)
    if leases == "left out":
        shutil.rmtree(copy.paths.leases)
    assert liveness.original(copy.paths, copy.state()) == stage.ws.paths.root
    assert not daemon_control.stop(copy, drain=False), "none of its own runs"
    assert daemon_control.status(copy).state == "stopped", "nor was one lost"
    now = points.present(copy, clock.now())
    shown = status.collect(now.state, copy.paths.root, now.facts, now.probes)
    assert shown["daemon"]["state"] == "stopped" and shown["attention"] == []
    told = f"is a copy of {stage.ws.paths.root}, whose daemon is running .pid {pid}"
    for starts in (lambda: daemon_control.start(copy), lambda: submit.start(copy, stage.ref(1), "do it")):
        with pytest.raises(KugetsuError, match=told):
            starts()
    assert reconcile.reconcile(copy) == [] and copy.state().daemon.runs, "nor is it recorded as lost"
    assert daemon_control.status(stage.ws).pid == pid
    daemon_control.stop(stage.ws, drain=False)
    assert liveness.original(copy.paths, copy.state()) is None
    assert daemon_control.start(copy)[0]
    assert liveness.original(copy.paths, copy.state()) is None and daemon_control.status(copy).running
    daemon_control.stop(copy, drain=False)
    copy.close()


def test_a_copy_of_the_directory_removes_no_worktree_of_the_original(stage: Stage) -> None:
    stage.agent(COMMIT)
    stage.start(1)
    assert stage.finished("q1") == "completed"
    ((key, session),) = ((key, one) for key, one in stage.state.sessions.items() if one.kind == "issue")
    stage.start_daemon()
    copy = _copy(stage)
    with pytest.raises(KugetsuError, match="is a copy of"):
        destroy.destroy(copy, key, force=True)
    copy.close()
    assert session.worktree is not None and os.path.isdir(session.worktree)


def test_a_moved_directory_is_no_copy(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    agent = stage.state.attempts["q1.1"].agent
    stage.kill(stage.state.attempts["q1.1"].runner)
    moved = _copy(stage)
    os.rename(stage.ws.paths.root, stage.root / "away")
    assert reconcile.reconcile(moved) == ["q1.1"]
    moved.close()
    assert agent is not None and not identity.alive(agent)
    os.rename(stage.root / "away", stage.ws.paths.root)
    reconcile.reconcile(stage.ws)


def test_a_directory_that_an_agents_tool_tries_something_in_is_not_where_its_attempt_is_of(stage: Stage) -> None:
    (stage.folder / "other").mkdir()
    stage.agent('KUGETSU_DIR="$STAGE/other" setsid sleep 300 &\n' + UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    attempt = stage.state.attempts["q1.1"]
    assert len(termination.directories(attempt.lease)) == 2
    stage.kill(attempt.runner)
    assert reconcile.reconcile(stage.ws) == ["q1.1"]
    assert termination.directories(attempt.lease) == set(), "its tools are ended with it"


def test_a_directory_that_is_mounted_at_another_place_as_well_is_no_copy(stage: Stage) -> None:
    place = stage.root / "mounted"
    place.mkdir()
    apart = ["unshare", "-m" if os.geteuid() == 0 else "-mr"]
    if subprocess.run([*apart, "mount", "--bind", place, place], capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here")
    stage.start_daemon()
    held = stage.state.daemon.lease
    assert held is not None
    os.unlink(os.path.join(stage.ws.paths.leases, held))
    code = (
        "import os\nfrom kugetsu.runtime import liveness\nfrom kugetsu.runtime.workspace import open_workspace\n"
        "ws = open_workspace(os.environ, 'x')\nliveness.require_original(ws.paths, ws.state())\n"
        "assert liveness.daemon(ws.paths, ws.state())\n"
    )
    mount = 'mount --bind "$1" "$2" && KUGETSU_DIR="$2" exec "$3" -P -c "$4"'
    command = [*apart, "sh", "-c", mount, "sh", stage.ws.paths.root, str(place), sys.executable, code]
    assert subprocess.run(command).returncode == 0


def test_an_attempt_of_another_host_is_not_called_dead(stage: Stage) -> None:
    elsewhere: identity.Identity = {"boot": "b", "pid": os.getpid(), "start": 1, "host": "0" * 32}
    here: identity.Identity = {**elsewhere, "host": host_id.own(stage.ws)}
    for number, who in ((1, elsewhere), (2, here)):
        queued = claims.wanted(stage.state, str(stage.ref(number)))
        offer, facts = claims.ClaimRequest(f"{number}" * 32, who), claim_facts(stage.ws, "self")
        stage.ws.log.transact(partial(claims.start, enqueued=queued, offer=offer, facts=facts))
    assert [attempt.id for attempt in reconcile.dead(stage.ws, stage.state)] == ["q2.1"]
    assert reconcile.reconcile(stage.ws) == ["q2.1"]
    assert stage.state.attempts["q1.1"].state == "claimed"


def test_a_host_id_that_was_deleted_is_taken_from_the_log_again(stage: Stage) -> None:
    first = host_id.own(stage.ws)
    assert host_id.own(stage.ws) == first and len(first) == 32
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    os.unlink(os.path.join(stage.ws.paths.root, host_file.NAME))
    assert host_id.own(stage.ws) == first
    stage.kill(stage.state.attempts["q1.1"].runner)
    assert reconcile.reconcile(stage.ws) == ["q1.1"]


def test_an_emptied_host_id_is_made_once(stage: Stage) -> None:
    path = os.path.join(stage.ws.paths.root, host_file.NAME)
    with open(path, "w"):
        pass
    first = host_id.own(stage.ws)
    assert len(first) == 32 and host_id.own(stage.ws) == first


def test_a_host_id_that_cannot_be_read_is_named(stage: Stage) -> None:
    path = host_file.path(stage.ws.paths.root)
    os.unlink(path)
    os.mkdir(path)
    with pytest.raises(KugetsuError, match=f"cannot read {path}: Is a directory") as failure:
        host_id.own(stage.ws)
    assert "move it away" in str(failure.value.hint)


def test_among_hosts_in_the_log_the_one_of_this_boot_is_ours(stage: Stage) -> None:
    names = {"1" * 32: "another boot", "2" * 32: identity.boot_id()}
    for number, (host, boot) in enumerate(names.items(), 1):
        who: identity.Identity = {"boot": boot, "pid": 1, "start": 1, "host": host}
        queued = claims.wanted(stage.state, str(stage.ref(number)))
        offer, facts = claims.ClaimRequest(f"{number}" * 32, who), claim_facts(stage.ws, "self")
        stage.ws.log.transact(partial(claims.start, enqueued=queued, offer=offer, facts=facts))
    os.unlink(host_file.path(stage.ws.paths.root))
    assert host_id.own(stage.ws) == "2" * 32
