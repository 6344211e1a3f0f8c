"""What an agent leaves behind: no secret of it reaches the log, and none of it keeps a slot or stops the others."""

from __future__ import annotations

import os

import pytest

from kugetsu.domain.decide import queue
from kugetsu.model.errors import BadInput, KugetsuError
from kugetsu.runtime import dispatcher, initialisation, reconcile
from kugetsu.runtime.process import identity, lease
from kugetsu.runtime.runner import ending, launch, run_evidence, spawn
from kugetsu.runtime.workspace import actor
from runtime.stage import UNTIL_GO, Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]

TOKEN = "0123456789abcdef0123456789abcdef01234567"
#: What an agent reports although nobody can have used so much: more than 64 bits hold.
OVERFLOWING = """echo '{"tokens": {"input": 9223372036854775807, "output": 9223372036854775807, "reasoning": 2}}'\n"""


def test_secrets_in_an_agents_last_words_reach_no_event(stage: Stage) -> None:
    stage.configure(MAX_ATTEMPTS="1")
    (stage.directory / "env" / "dev.env").write_text(f"GITEA_TOKEN={TOKEN}\n")
    stage.agent('echo "no push to https://bot:hunter2hunter2@git.example.org/x.git with $GITEA_TOKEN" >&2; exit 3\n')
    stage.start(1)
    assert stage.finished("q1") == "error"
    log = "".join(path.read_text() for path in (stage.directory / "log").glob("*.jsonl"))
    assert "no push to https://" in log
    assert "hunter2hunter2" not in log
    assert TOKEN not in log


def test_a_report_that_the_log_could_not_hold_is_left_out_of_the_end(stage: Stage) -> None:
    stage.agent(OVERFLOWING)
    stage.start(1)
    assert stage.finished("q1") == "completed"
    assert stage.wait("attempt.succeeded")["data"]["tokens"] == 2


def test_an_end_that_the_log_cannot_hold_is_recorded_as_a_loss_and_frees_the_slot(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.configure(MAX_ATTEMPTS="1")
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    stage.kill(stage.state.attempts["q1.1"].runner)
    seen = run_evidence.of_worktree
    monkeypatch.setattr(run_evidence, "of_worktree", lambda session: {**seen(session), "commits": 2**70})
    assert reconcile.reconcile(stage.ws) == ["q1.1"]
    assert "cannot be recorded" in stage.wait("attempt.lost")["data"]["reason"]
    assert stage.finished("q1") == "error"


def test_an_attempt_that_cannot_be_settled_does_not_keep_a_start_from_another_issue(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    stage.kill(stage.state.attempts["q1.1"].runner)

    def refuse(*_: object) -> None:
        raise ValueError("nothing can be told")

    with monkeypatch.context() as patched:
        patched.setattr(reconcile, "record_orphans", refuse)
        assert stage.start(2).state == "running"
        assert "q1.1 has ended, and cannot be recorded: nothing can be told" in capfd.readouterr().err
        with pytest.raises(KugetsuError, match=r"q1\.1 has ended"):
            reconcile.reconcile(stage.ws)
    assert reconcile.reconcile(stage.ws) == ["q1.1"]


def test_an_agent_that_could_not_be_recorded_is_ended(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(24, "Too many open files")

    stage.agent(UNTIL_GO)
    monkeypatch.setattr(launch.identity, "of", _of_others(refuse))
    started = stage.start(1)
    monkeypatch.undo()
    assert started.state == "failed"
    assert "Too many open files" in (started.reason or "")
    nonce = stage.nonces()["q1.1"]
    stage.until(lambda: not lease.alive(stage.ws.paths.leases, nonce))


def _of_others(refuse: object) -> object:
    real = identity.of

    def of(pid: int) -> object:
        return real(pid) if pid == os.getpid() else refuse()  # type: ignore[operator]

    return of


def test_agents_whose_lease_files_somebody_deleted_work_on(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    os.unlink(stage.ws.paths.lease(stage.nonces()["q1.1"]))
    assert reconcile.reconcile(stage.ws) == []
    stage.go()
    assert stage.finished("q1") == "completed"


@pytest.mark.parametrize("login", ["bot:hunter2hunter2", "ghp_abcdefghijklmnopqrstuvwxyz012345"])
def test_a_url_with_a_password_is_refused_and_reaches_no_event(stage: Stage, login: str) -> None:
    url = f"https://{login}@git.example.org/owner/repo.git"
    with pytest.raises(BadInput, match="contains a password") as refused:
        initialisation.initialise(stage.ws, repo=url, force=False)
    assert login not in str(refused.value)
    assert login not in actor(f"kugetsu init --repo {url}", {})["cmd"]


def test_init_a_second_time_leaves_a_pm_agent_at_work_alone(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.ws.log.transact(lambda state: queue.enqueue(state, kind="pm", issue=None, message="plan", via="delegate"))
    dispatcher.dispatch(stage.ws, "self")
    stage.at_work("q1.1")
    assert initialisation.initialise(stage.ws, repo=None, force=False).sessions == []
    stage.go()
    assert stage.finished("q1") == "completed"


DESTROY = (
    "import os, sys\n"
    "from kugetsu.runtime import destroy as destruction\n"
    "from kugetsu.runtime.workspace import open_workspace\n"
    "destruction.destroy(open_workspace(os.environ, 'x'), sys.argv[1], force=True)\n"
)


def test_two_who_destroy_one_session_come_one_after_the_other(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    from kugetsu.runtime import destroy
    from kugetsu.runtime.git import removal

    stage.start(1)
    assert stage.finished("q1") == "completed"
    key = str(stage.ref(1))
    real = removal.remove
    second: list[subprocess.Popen[bytes]] = []

    def remove(*arguments: object, **options: object) -> object:
        second.append(stage.python(DESTROY, key, stderr=subprocess.PIPE))
        with pytest.raises(subprocess.TimeoutExpired):
            second[0].wait(1.0)
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(removal, "remove", remove)
    destroy.destroy(stage.ws, key, force=True)
    assert b"session_unknown" in second[0].communicate()[1]
    assert len(stage.events("session.destroying")) == 1


def test_processes_that_could_not_be_ended_are_told_with_the_end(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    ended = spawn.Ended(None, 9, "timeout", "2026-11-23T10:00:00.000000Z", 2)
    recorded = ending.ending_of(stage.ws, stage.state.attempts["q1.1"], ended)
    assert recorded.how == "time_out" and "2 of its processes could not be ended" in recorded.reason
    stage.go()
    assert stage.finished("q1") == "completed"
