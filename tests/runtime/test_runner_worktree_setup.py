"""Set-up before turn: no agent begins before its worktree is ready, whatever is killed; a failure is no attempt."""

from __future__ import annotations

import signal
import subprocess

import pytest

from kugetsu.domain import gates, worktree_setup
from kugetsu.domain.decide import queue
from kugetsu.model.errors import BadInput, Conflict, NotFound
from kugetsu.runtime import destroy, facts, reconcile, stop_attempt
from kugetsu.runtime.dispatcher import dispatch
from kugetsu.runtime.doctor import acceptance
from kugetsu.runtime.process import termination
from kugetsu.views import gates as words
from runtime import repos
from runtime.stage import Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]

SLOW = 'echo $$ > "$STAGE/set-up-pid"; setsid sleep 600 & sleep 600'
"""A set-up that takes longer than any test."""


def until_ended(stage: Stage, attempt: str) -> None:
    """Wait until nothing of an attempt runs."""
    nonce = stage.nonces()[attempt]
    stage.until(lambda: attempt not in stage.state.attempts and not termination.marked(nonce))


def test_the_agent_finds_the_worktree_ready(stage: Stage) -> None:
    (stage.repository / "ignored").write_text("secret\n")
    stage.configure(WORKTREE_COPY="ignored", WORKTREE_SETUP='cat ignored > "$STAGE/copied"; touch "$STAGE/ready"')
    stage.agent('test -e "$STAGE/ready" && touch "$STAGE/agent-ran"\n')
    task = stage.enqueue(1)
    dispatch(stage.ws, "daemon")
    assert stage.finished(task) == "completed"
    assert stage.file("copied") == "secret\n" and (stage.folder / "agent-ran").exists()
    (done,) = stage.events("worktree.set_up")
    assert done["data"]["code"] == "done" and done["data"]["copied"] == 1 and done["attempt"] == f"{task}.1"


def test_it_runs_again_only_when_its_hash_changed_or_the_worktree_is_new(stage: Stage) -> None:
    def runs(number: int) -> int:
        assert stage.finished(stage.start(number).task) == "completed"
        return len((stage.folder / "runs").read_text().splitlines())

    stage.configure(WORKTREE_SETUP='echo x >> "$STAGE/runs"', MAX_RUNS_WITHOUT_PROGRESS="0")
    assert [runs(1), runs(1)] == [1, 1]
    assert runs(2) == 2
    stage.configure(WORKTREE_SETUP='echo y >> "$STAGE/runs"')
    assert [runs(1), runs(1)] == [3, 3]
    stage.worktree(1).rename(stage.root / "moved-away")
    assert [runs(1), runs(1)] == [4, 4]


def test_a_copy_keeps_no_worktree_unless_it_was_changed(stage: Stage) -> None:
    (stage.repository / "ignored").write_text("secret\n")
    stage.configure(WORKTREE_COPY="ignored")
    stage.agent('test "$NUMBER" = 1 || echo changed > ignored\n')
    for number in (1, 2):
        stage.finished(stage.start(number).task)
    destroy.destroy(stage.ws, str(stage.ref(1)), force=False)
    with pytest.raises(Conflict, match="1 ignored file"):
        destroy.destroy(stage.ws, str(stage.ref(2)), force=False)


def test_what_it_leaves_keeps_no_worktree_unless_it_was_changed(stage: Stage) -> None:
    stage.configure(WORKTREE_SETUP="echo 1 > lock; echo more >> README")
    stage.agent('test "$NUMBER" = 1 || echo changed > lock\n')
    for number in (1, 2):
        stage.finished(stage.start(number).task)
    assert [one.result_kind for one in stage.state.sessions.values() if one.kind == "issue"] == [
        "nothing",
        "uncommitted",
    ]
    destroy.destroy(stage.ws, str(stage.ref(1)), force=False)
    with pytest.raises(Conflict, match=r"1 uncommitted change \(lock\)"):
        destroy.destroy(stage.ws, str(stage.ref(2)), force=False)


def test_a_secret_that_was_copied_is_in_no_event_and_known_to_every_process(stage: Stage) -> None:
    secret, word = "hunter2-and-more", "a1b2c3d4e5f6a7b8"
    (stage.repository / "ignored").mkdir()
    (stage.repository / "ignored" / "env").write_text(f"# local\nexport DB_PASSWORD='{secret}'\nPORT=5432\n")
    (stage.repository / "ignored" / "master.key").write_text(f"{word}\n")
    stage.configure(WORKTREE_COPY="ignored/", WORKTREE_SETUP="cat ignored/*; exit 1")
    stage.wait("task.parked", task=stage.start(1).task)
    recorded = str(stage.events())
    assert "PORT=5432" in recorded and secret not in recorded and word not in recorded
    assert (stage.directory / "env" / ".copied").stat().st_mode & 0o777 == 0o600
    show = (
        "import os, sys; from kugetsu.runtime.workspace import open_workspace; from kugetsu.redaction import funnel\n"
    )
    show += "open_workspace(os.environ, 'test'); print(funnel.redact(sys.argv[1]))"
    child = stage.python(show, f"{secret} {word} 5432", stdout=subprocess.PIPE)
    assert child.communicate()[0].split()[2:] == [b"5432"]


def test_without_anything_to_do_there_is_no_event(stage: Stage) -> None:
    stage.finished(stage.start(1).task)
    assert stage.events("worktree.set_up") == []


def test_a_failure_starts_no_agent_uses_no_attempt_and_is_tried_again_twice(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worktree_setup, "PAUSES", (0.05, 0.05))
    stage.configure(MAX_ATTEMPTS="1", WORKTREE_SETUP="echo 'error: registry is down'; exit 4")
    stage.agent('touch "$STAGE/agent-ran"\n')
    task = stage.enqueue(1)

    def attempted(count: int) -> bool:
        dispatch(stage.ws, "daemon")
        return len(stage.events("task.parked", task=task)) >= count

    stage.until(lambda: attempted(3))
    now = stage.state.tasks[task]
    assert (now.state, now.not_before, now.used) == ("parked", None, 0)
    assert now.result is not None and now.result["kind"] == "set_up_failed"
    first, second, third = stage.events("task.parked", task=task)
    assert first["data"]["until"] and second["data"]["until"] and third["data"]["until"] is None
    assert {event["data"]["gate"] for event in (first, second, third)} == {"setup"}
    failed = stage.events("attempt.failed", task=task)[0]["data"]["evidence"]["set_up"]
    assert (failed["code"], failed["exit"], failed["tail"]) == ("failed", 4, "error: registry is down")
    assert not (stage.folder / "agent-ran").exists()
    assert (stage.directory / "runs" / f"{task}.1" / "setup.log").read_text() == "error: registry is down\n"


def test_a_failure_waits_for_a_person_or_for_another_set_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worktree_setup, "PAUSES", ())
    stage.configure(WORKTREE_SETUP="exit 4")
    task = stage.start(1).task
    stage.wait("task.parked", task=task)
    dispatch(stage.ws, "daemon")
    assert stage.state.tasks[task].state == "parked"
    stage.ws.log.transact(lambda state: queue.retry(state, task))
    dispatch(stage.ws, "daemon")
    stage.wait("task.parked", task=task, count=2)
    stage.configure(WORKTREE_SETUP="exit 0")
    assert facts.claim_facts(stage.ws, "daemon")["set_ups"]
    dispatch(stage.ws, "daemon")
    assert stage.finished(task) == "completed"


# --- what the repository itself supplies ------------------------------------------------------------------------------


def supply(stage: Stage, *patterns: str) -> None:
    """Commit a .worktreeinclude to the base branch."""
    repos.commit(stage.repository, ".worktreeinclude", "".join(f"{one}\n" for one in patterns), "what agents need")


def test_the_first_that_a_repository_supplies_is_accepted_and_a_change_waits_for_a_person(stage: Stage) -> None:
    (stage.repository / "ignored").mkdir()
    for name in ("env", "production"):
        (stage.repository / "ignored" / name).write_text(f"{name}\n")
    stage.configure(MAX_RUNS_WITHOUT_PROGRESS="0")
    stage.agent('ls ignored > "$STAGE/$NUMBER"\n')
    supply(stage, "ignored/env")
    assert stage.finished(stage.start(1).task) == "completed"
    (first,) = stage.events("setup.accepted")
    assert first["data"]["first"] and first["data"]["lines"] == ["copy ignored/env"] and first["attempt"] == "q1.1"

    supply(stage, "ignored/env", "ignored/prod*")
    task = stage.start(2).task
    parked = stage.wait("task.parked", task=task)["data"]
    sha = parked["values"]["sha"]
    assert (parked["until"], parked["gate"], parked["values"]["step"]) == (None, "setup", "changed")
    assert "+ copy ignored/prod*; would copy 1 more file (ignored/production)" in parked["values"]["problem"]
    dispatch(stage.ws, "daemon")
    verdict = gates.first_closed(stage.state, stage.state.tasks[task], facts.claim_facts(stage.ws, "daemon"))
    assert verdict is not None and verdict.until is None
    assert words.commands_of(verdict)[0] == f"kugetsu doctor --repo {stage.name} --accept {sha[:12]}"
    assert not (stage.folder / "2").exists() and stage.state.tasks[task].used == 0
    assert stage.finished(stage.start(1).task) == "completed", "what its own base commit supplies is accepted"

    for _ in range(2):
        assert acceptance.accept(stage.ws, stage.name, sha[:12])[0].level == "ok"
    assert [one["data"]["sha"] for one in stage.events("setup.accepted")] == [first["data"]["sha"], sha]
    dispatch(stage.ws, "daemon")
    assert stage.finished(task) == "completed"
    assert stage.file("1") == "env\n" and stage.file("2") == "env\nproduction\n"


def test_only_what_is_there_can_be_accepted(stage: Stage) -> None:
    supply(stage, "ignored")
    with pytest.raises(NotFound, match="supplies nothing with the hash 0123456789ab"):
        acceptance.accept(stage.ws, stage.name, "0123456789ab")
    with pytest.raises(BadInput, match="at least 8"):
        acceptance.accept(stage.ws, stage.name, "")
    assert stage.events("setup.accepted") == []


def test_what_the_users_own_settings_say_never_asks(stage: Stage) -> None:
    (stage.repository / "ignored").write_text("secret\n")
    supply(stage, "none")
    assert stage.finished(stage.start(1).task) == "completed"
    stage.configure(WORKTREE_COPY="ignored", WORKTREE_SETUP="true", VERIFY_COMMAND="true")
    assert stage.finished(stage.start(2).task) == "completed"
    assert [one["data"]["code"] for one in stage.events("worktree.set_up")] == ["done", "done"]


def test_any_change_of_the_recipe_makes_an_existing_worktree_ready_again(stage: Stage) -> None:
    (stage.repository / "ignored").write_text("secret\n")
    supply(stage, "none")

    def runs(**settings: str) -> int:
        stage.configure(**settings)
        assert stage.finished(stage.start(1).task) == "completed"
        return len(stage.events("worktree.set_up"))

    assert [runs(MAX_RUNS_WITHOUT_PROGRESS="0"), runs()] == [1, 1]
    changes = ({"WORKTREE_COPY": "ignored"}, {"WORKTREE_SETUP": "true"}, {"VERIFY_SECRETS": "true"})
    assert [runs(**one) for one in changes] == [2, 3, 4]
    assert [runs(WORKTREE_SUBMODULES="never"), runs()] == [5, 5]


def test_other_issues_go_on(stage: Stage) -> None:
    stage.configure(WORKTREE_SETUP='case "$PWD" in *1) exit 1;; esac')
    one, other = stage.start(1).task, stage.start(2).task
    assert stage.finished(other) == "completed"
    stage.wait("task.parked", task=one)


def test_cancelled_during_the_set_up_nothing_is_left(stage: Stage) -> None:
    stage.configure(WORKTREE_SETUP=SLOW)
    task = stage.enqueue(1)
    dispatch(stage.ws, "daemon")
    stage.pid("set-up-pid")
    stop_attempt.cancel(stage.ws, task)
    assert stage.finished(task) == "cancelled"
    until_ended(stage, f"{task}.1")
    assert stage.events("worktree.set_up") == []


@pytest.mark.parametrize("whole", [False, True])
def test_after_a_kill_of_the_runner_it_is_done_again(stage: Stage, whole: bool) -> None:
    stage.configure(WORKTREE_SETUP=f'if ! test -e "$STAGE/second"; then touch "$STAGE/second"; {SLOW}; fi')
    task = stage.enqueue(1)
    dispatch(stage.ws, "daemon")
    pid = stage.pid("set-up-pid")
    if whole:
        stage.kill(pid, signal.SIGSTOP)  # also when its own processes cannot act
    stage.kill(stage.state.attempts[f"{task}.1"].runner)
    stage.until(lambda: reconcile.reconcile(stage.ws) or f"{task}.1" not in stage.state.attempts)
    until_ended(stage, f"{task}.1")

    def done() -> bool:
        dispatch(stage.ws, "daemon")
        return stage.state.tasks[task].state == "completed"

    stage.until(done)
    (event,) = stage.events("worktree.set_up")
    assert event["attempt"] == f"{task}.2" and event["data"]["code"] == "done"


def test_the_tasks_time_limit_holds_for_the_set_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    from kugetsu.runtime.runner import launch

    monkeypatch.setattr(launch, "SHORTEST_PREPARATION_SECONDS", 0.5)
    stage.configure(WORKTREE_SETUP=SLOW, TASK_TIMEOUT_HOURS="0.0002", MAX_ATTEMPTS="1")
    task = stage.start(1).task
    assert stage.finished(task) == "error"
    assert "time limit" in stage.events("attempt.timed_out", task=task)[0]["data"]["reason"]
    until_ended(stage, f"{task}.1")


def test_no_signal_is_held_back_from_it(stage: Stage) -> None:
    stage.configure(WORKTREE_SETUP='grep -E "Sig(Blk|Ign)" /proc/self/status > "$STAGE/signals"')
    stage.finished(stage.start(1).task)
    assert {line.split()[1].strip("0") for line in stage.file("signals").splitlines()} == {""}


def test_it_gets_no_secret_unless_that_was_said(stage: Stage) -> None:
    env = stage.directory / "env"
    env.mkdir(mode=0o700, exist_ok=True)
    (env / "default.env").write_text("GITEA_TOKEN=abcdef123456\nNPM_AUTH=fedcba654321\n")
    (env / "default.env").chmod(0o600)
    show = 'echo "$GITEA_TOKEN:$NPM_AUTH:$KUGETSU_ATTEMPT" >> "$STAGE/seen"'
    stage.configure(WORKTREE_SETUP=show)
    stage.finished(stage.start(1).task)
    stage.configure(VERIFY_SECRETS="true")
    stage.finished(stage.start(1).task)
    assert stage.file("seen").splitlines() == ["::q1.1", ":fedcba654321:q2.1"]
