"""The pull request that kugetsu opens itself: once, whatever crashes or fails, and none that nobody wants."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from forge.scripted import Request, ScriptedForge
from kugetsu.domain.decide import daemon, hosts, reviews, sessions
from kugetsu.domain.state import Session
from kugetsu.host import host_file
from kugetsu.model import clock
from kugetsu.model.errors import Conflict
from kugetsu.runtime import destroy, pull_opening
from kugetsu.runtime.facts import outcome_facts
from kugetsu.runtime.reviews import owed
from runtime import repos
from runtime.forged import PUSH, TOKEN, forge, forged, let_in, worked
from runtime.stage import COMMIT, Stage, bare_stage, stage

__all__ = ["bare_stage", "forge", "forged", "stage"]

PUSHED = COMMIT + PUSH
OUTCOMES = ("pull.opened", "pull.failed")


@pytest.fixture
def opening(forged: Stage, forge: ScriptedForge) -> Stage:
    """A stage whose runs get a pull request; a try that failed is due again at once."""
    forged.configure(OPEN_PULL_REQUEST="missing", RETRY_BACKOFF_SECONDS="0")
    forge.issue("acme/web", 14, title="Login is slow")
    return forged


def owing(stage: Stage, number: int = 14) -> Session:
    return stage.state.sessions[str(stage.ref(number))]


def opened_by_the_run(stage: Stage, script: str = PUSHED, number: int = 14) -> Session:
    """A run, and the first outcome of its pull request."""
    worked(stage, number, script=script)
    stage.wait("pull.opening")
    stage.wait(*OUTCOMES)
    return owing(stage, number)


@pytest.mark.parametrize("kind", ["gitea", "github"])
def test_pushed_work_without_a_pull_request_gets_one(opening: Stage, forge: ScriptedForge, kind: str) -> None:
    opening.configure(FORGE_KINDS=f"{forge.host}={kind}")
    let_in(opening, TOKEN, "GITHUB_TOKEN" if kind == "github" else "GITEA_TOKEN")
    session = opened_by_the_run(opening)
    (pull,) = forge.pulls("acme/web")
    assert (pull.title, pull.branch, pull.base, pull.draft) == ("Login is slow", "fix/issue-14", "main", False)
    assert pull.sha == repos.run(opening.root / "srv.git", "rev-parse", "fix/issue-14")
    assert "- `Work on q1.1`" in pull.body and "- `work +1 −0`" in pull.body and "\nCloses #14\n" in pull.body
    (intent,), (outcome,) = opening.events("pull.opening"), opening.events(*OUTCOMES)
    assert (intent["attempt"], intent["task"], intent["cause"]) == ("q1.1", "q1", intent["cause"])
    assert opening.events("attempt.succeeded")[0]["seq"] == intent["cause"] and outcome["cause"] == intent["seq"]
    assert (outcome["data"]["number"], outcome["data"]["found"]) == (15, False)
    assert session.owed is None and session.pr == outcome["data"]["url"] and session.pr.endswith("/15")
    assert session.result is not None and session.result["kind"] == "pull_request"
    assert opening.state.tasks["q1"].result == session.result
    assert session.review == "to_review"


def test_the_slot_is_free_before_the_forge_is_asked(opening: Stage, forge: ScriptedForge) -> None:
    forge.answer("POST", "/pulls", silent=True)
    worked(opening, script=PUSHED)
    opening.until(lambda: forge.asked("POST", "/pulls"))
    assert opening.state.attempts == {} and opening.state.tasks["q1"].state == "completed"


def test_a_draft_is_one(opening: Stage, forge: ScriptedForge) -> None:
    opening.configure(OPEN_PULL_REQUEST="draft")
    opened_by_the_run(opening)
    assert [(pull.title, pull.draft) for pull in forge.pulls("acme/web")] == [("WIP: Login is slow", True)]


@pytest.mark.parametrize(
    ("script", "settings"),
    [
        (PUSHED, {"OPEN_PULL_REQUEST": "never"}),
        (PUSHED, {"KUGETSU_FORGE": "off"}),
        (COMMIT, {}),
        ("exit 0\n", {}),
        (PUSHED + "exit 1\n", {"MAX_ATTEMPTS": "1"}),
        (COMMIT + "git push -q origin HEAD:main\n", {}),
    ],
    ids=["never", "no forge", "not pushed", "nothing", "failed", "pushed to the base branch"],
)
def test_no_pull_request_where_none_is_wanted(
    opening: Stage, forge: ScriptedForge, script: str, settings: dict[str, str]
) -> None:
    opening.configure(**settings)
    opening.agent(script)
    opening.finished(opening.start(14).task)
    assert opening.events("pull.opening") == [] and forge.asked("POST", "/pulls") == []


def test_no_token_no_pull_request(opening: Stage, forge: ScriptedForge) -> None:
    (opening.directory / "env" / "default.env").unlink()
    forge.token = ""
    worked(opening, script=PUSHED)
    assert opening.events("pull.opening") == [] and forge.asked("POST", "/pulls") == []


def test_a_pull_request_that_the_agent_opened_is_the_one(opening: Stage, forge: ScriptedForge) -> None:
    forge.pull("acme/web", 20, branch="fix/issue-14")
    worked(opening, script=PUSHED)
    assert opening.events("pull.opening") == []
    assert opening.state.tasks["q1"].result_kind == "pull_request"


def test_one_that_was_opened_since_the_run_ended_is_found(opening: Stage, forge: ScriptedForge) -> None:
    forge.answer("GET", "/pulls", status=502, times=2)  # the evidence cannot tell
    opening.configure(FORGE_TIMEOUT_SECONDS="0.9")
    forge.pull("acme/web", 20, branch="fix/issue-14")
    forge.answer("GET", "/pulls", status=502)
    session = opened_by_the_run(opening)
    if session.owed is not None:
        pull_opening.open_owed(opening.ws, session)
    assert opening.events("pull.opened")[0]["data"] == {
        **opening.events("pull.opened")[0]["data"],
        "number": 20,
        "found": True,
    }
    assert [pull.number for pull in forge.pulls("acme/web")] == [20]


@pytest.mark.parametrize(
    "script",
    [
        {"status": 503},
        {"status": 429, "headers": {"Retry-After": "0"}},
        {"cut": True},
        {"cut": True, "carry_out": True},
        {"silent": True, "carry_out": True},
        {"status": 401},
        {"body": "<html>", "status": 201, "carry_out": True},
    ],
    ids=["5xx", "rate limit", "cut", "done and cut", "done and no answer", "bad token", "unreadable answer"],
)
def test_what_passes_is_owed_and_made_once(opening: Stage, forge: ScriptedForge, script: dict[str, object]) -> None:
    opening.configure(FORGE_TIMEOUT_SECONDS="3")
    forge.answer("POST", "/pulls", **script)
    if script.get("status") == 429:
        forge.answer("POST", "/pulls", **script)  # the client waits for the first
    session = opened_by_the_run(opening)
    assert session.owed is not None and session.owed["tries"] == 1
    assert session.result is not None and session.result["kind"] == "pushed", "git proves that much"
    assert pull_opening.open_owed(opening.ws, session)
    assert len(forge.pulls("acme/web")) == 1
    assert owing(opening).owed is None and owing(opening).result_kind == "pull_request"
    assert opening.events("pull.opened")[0]["data"]["found"] is bool(script.get("carry_out"))


def test_the_host_that_asks_the_forges_opens_what_a_lost_one_owes(opening: Stage, forge: ScriptedForge) -> None:
    forge.answer("POST", "/pulls", status=503)
    there, here = opened_by_the_run(opening).host, "2" * 32
    assert there is not None
    for host in (there, here):
        opening.ws.log.transact(partial(hosts.join, host=host, term=1, name=host[:4], labels=[], cap=1))
    who: Any = {"boot": "before", "pid": 7, "start": 1, "host": here}
    opening.ws.log.transact(partial(daemon.started, identity=who, lease="d"))
    opening.ws.log.transact(partial(hosts.observe, host=here))
    Path(host_file.path(str(opening.directory))).write_text(f"{here} 1\n")  # from now on this is the other one
    worktree = Path(owing(opening).worktree or "")
    worktree.rename(opening.root / "away")
    assert not pull_opening.open_owed(opening.ws, owing(opening)), "its own host lives"
    facts = outcome_facts(opening.ws.config)
    opening.ws.log.transact(lambda state: hosts.lost(state, there, 1, None, here, "it was lost", facts))
    (opening.directory / "env" / "default.env").rename(opening.root / "token")
    assert not pull_opening.open_owed(opening.ws, owing(opening)), "this one has no token"
    (opening.root / "token").rename(opening.directory / "env" / "default.env")
    opening.configure(OPEN_PULL_REQUEST="never")
    assert not pull_opening.open_owed(opening.ws, owing(opening)) and owing(opening).owed, "the other one opens them"
    opening.configure(OPEN_PULL_REQUEST="missing")
    forge.answer("POST", "/pulls", status=403, body={"message": "no right"})
    assert not pull_opening.open_owed(opening.ws, owing(opening)) and owing(opening).owed, "the other token may do it"
    assert opening.events("pull.failed")[-1]["data"]["not_before"] is not None
    opening.monkeypatch.setattr(clock, "now", lambda: opening.events("pull.failed")[-1]["data"]["not_before"])
    assert pull_opening.open_owed(opening.ws, owing(opening))
    (pull,) = forge.pulls("acme/web")
    assert (pull.title, pull.branch) == ("Login is slow", "fix/issue-14") and "Closes #14" in pull.body
    assert owing(opening).pr is not None


def test_the_time_that_the_forge_names_is_respected(opening: Stage, forge: ScriptedForge) -> None:
    forge.answer("POST", "/pulls", status=429, headers={"Retry-After": "3600"})
    session = opened_by_the_run(opening)
    assert session.owed is not None
    assert 3500 < clock.seconds_between(clock.now(), session.owed["not_before"]) < 3700
    asked = len(forge.requests)
    assert not pull_opening.open_owed(opening.ws, session)
    assert len(forge.requests) == asked
    assert owed.due(opening.state, clock.now()) == []
    assert owed.due(opening.state, session.owed["not_before"]) == [owing(opening)]


NO_COMMITS = {"message": "Validation Failed", "errors": ["No commits between main and fix/issue-14"]}


@pytest.mark.parametrize(
    ("script", "reason", "remedy"),
    [
        ({"status": 422, "body": NO_COMMITS}, "No commits between main", "kugetsu set-pr"),
        ({"status": 403, "body": {"message": "no right"}}, "no right", "give the token in GITEA_TOKEN the right"),
        ({"status": 423, "body": {"message": "it is archived"}}, "it is archived", "kugetsu set-pr"),
    ],
)
def test_what_can_never_work_ends_with_its_reason_and_one_remedy(
    opening: Stage, forge: ScriptedForge, script: dict[str, object], reason: str, remedy: str
) -> None:
    forge.answer("POST", "/pulls", **script)
    session = opened_by_the_run(opening)
    (failed,) = opening.events("pull.failed")
    assert reason in failed["data"]["reason"] and remedy in failed["data"]["remedy"]
    assert failed["data"]["not_before"] is None and session.owed is None
    assert pull_opening.open_owed(opening.ws, session) and len(forge.asked("POST", "/pulls")) == 1
    assert session.result_kind == "pushed"


def test_a_pull_request_that_a_person_closed_is_not_opened_again(opening: Stage, forge: ScriptedForge) -> None:
    opened_by_the_run(opening)
    forge.change_pull("acme/web", 15, state="closed")
    worked(opening, script="exit 0\n")
    failed = opening.wait("pull.failed")
    assert "#15 of this commit was closed" in failed["data"]["reason"]
    assert len(forge.asked("POST", "/pulls")) == 1


def test_one_that_was_merged_meanwhile_is_merged(opening: Stage, forge: ScriptedForge) -> None:
    forge.answer("POST", "/pulls", status=503)
    session = opened_by_the_run(opening)
    assert session.owed is not None
    forge.pull("acme/web", 20, branch="fix/issue-14", state="merged", sha=session.owed["head"])
    assert pull_opening.open_owed(opening.ws, session)
    session = owing(opening)
    assert (session.review, session.pr_state, session.owed) == ("merged", "merged", None)


def test_work_that_was_merged_without_a_pull_request_gets_none(opening: Stage, forge: ScriptedForge) -> None:
    forge.answer("POST", "/pulls", status=503)
    session = opened_by_the_run(opening)
    opening.ws.log.transact(lambda state: reviews.merged(state, session.key, "fix/issue-14", "main", None))
    assert pull_opening.open_owed(opening.ws, session)
    assert len(forge.asked("POST", "/pulls")) == 1 and owing(opening).owed is None
    data = opening.events("pull.failed")[-1]["data"]
    assert (data["reason"], data.get("remedy")) == ("main has the work already", None)


def test_new_commits_after_a_merge_get_a_pull_request_of_their_own(opening: Stage, forge: ScriptedForge) -> None:
    opened_by_the_run(opening)
    forge.change_pull("acme/web", 15, state="merged")
    more = "git commit -q --allow-empty -m more\n" + PUSH
    opening.agent(more)
    opening.finished(opening.start(14).task)
    opening.wait("pull.opened", count=2)
    assert [pull.number for pull in forge.pulls("acme/web")] == [15, 16]


def test_work_that_was_pushed_under_another_name_is_opened_from_there(opening: Stage, forge: ScriptedForge) -> None:
    opened_by_the_run(opening, COMMIT + "git push -q origin HEAD:refs/heads/better-name\n")
    assert [pull.branch for pull in forge.pulls("acme/web")] == ["better-name"]


def test_work_that_was_pushed_to_a_fork_is_opened_from_the_fork(opening: Stage, forge: ScriptedForge) -> None:
    fork = opening.root / "fork.git"
    repos.run(opening.root, "clone", "-q", "--bare", str(opening.root / "srv.git"), str(fork))
    url = f"{forge.url}/bob/web.git"
    repos.run(opening.root, "config", "--global", f"url.{fork}.insteadOf", url)
    repos.run(opening.repository, "remote", "add", "bob", url)
    opening.agent(COMMIT + "git push -q bob HEAD:fix\n")
    forge.repositories["acme/web"].branches["bob:fix"] = "f" * 40
    opening.finished(opening.start(14).task)
    opening.wait(*OUTCOMES)
    assert [(pull.branch, pull.head_repository) for pull in forge.pulls("acme/web")] == [("fix", "bob/web")]
    assert opening.events("pull.opening")[0]["data"]["fork"] == "bob"


def test_an_issue_that_the_forge_does_not_have_is_not_closed(opening: Stage, forge: ScriptedForge) -> None:
    opening.agent(PUSHED)
    opening.finished(opening.start(99, "make #12 go away\nplease").task)
    opening.wait(*OUTCOMES)
    (pull,) = forge.pulls("acme/web")
    assert pull.title == "make no. 12 go away" and "Closes" not in pull.body


def test_processes_that_try_at_the_same_time_make_one(opening: Stage, forge: ScriptedForge) -> None:
    forge.answer("POST", "/pulls", status=503)
    session = opened_by_the_run(opening)
    code = (
        "import os, sys; from kugetsu.runtime import pull_opening, workspace\n"
        "ws = workspace.open_workspace(os.environ, 'test')\n"
        "session = ws.state().sessions[sys.argv[1]]\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "pull_opening.open_owed(ws, session, patience=60)\n"
    )
    import subprocess

    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    tries = [opening.python(code, session.key, **pipes) for _ in range(4)]
    for process in tries:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    for process in tries:
        process.communicate(b"go\n")
        assert process.returncode == 0
    assert len(forge.asked("POST", "/pulls")) == 2 and len(forge.pulls("acme/web")) == 1
    assert len(opening.events("pull.opened")) == 1


def test_an_intent_outlives_its_session_only_as_history(opening: Stage, forge: ScriptedForge) -> None:
    forge.answer("POST", "/pulls", status=503, times=0)
    session = opened_by_the_run(opening)
    outcome = {"worktree": None, "branch": None, "rescue": None, "kept": []}
    opening.ws.log.transact(lambda state: sessions.destroyed(state, session.key, outcome))
    assert pull_opening.open_owed(opening.ws, session)
    assert len(opening.events("pull.failed")) == 1


def test_a_session_that_owes_one_is_not_destroyed_without_force(opening: Stage, forge: ScriptedForge) -> None:
    forge.answer("POST", "/pulls", status=503, times=0)
    session = opened_by_the_run(opening)
    with pytest.raises(Conflict, match="has yet to be opened, for branch fix/issue-14"):
        destroy.destroy(opening.ws, session.key, force=False)
    found = destroy.refusals(opening.ws, session.key, destroy.look_up(opening.ws, session))
    assert [problem.message for problem in found if "yet to be opened" in problem.message]
    destroy.destroy(opening.ws, session.key, force=True)


# --- kill -9 ----------------------------------------------------------------------------------------------------------


class Paused:
    """Holds back the requests of one kind that come after the intent, until the forge closes."""

    def __init__(self, stage: Stage, forge: ScriptedForge, method: str, *, carry_out: bool = False) -> None:
        self.reached = threading.Event()
        real = forge.respond

        def respond(request: Request):  # type: ignore[no-untyped-def]
            log = b"".join(path.read_bytes() for path in sorted((stage.directory / "log").glob("*.jsonl")))
            if b'"pull.opening"' not in log or request.method != method or self.reached.is_set():
                return real(request)
            if carry_out:
                real(request)
            self.reached.set()
            forge.closing.wait()
            return 500, {}, {}

        forge.respond = respond  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("method", "carry_out"),
    [("GET", False), ("POST", False), ("POST", True)],
    ids=["between intent and request", "before the request was carried out", "between request and outcome"],
)
def test_a_runner_that_is_killed_leaves_one_pull_request_to_be_opened_or_found(
    opening: Stage, forge: ScriptedForge, method: str, carry_out: bool
) -> None:
    opening.agent(PUSHED)
    paused = Paused(opening, forge, method, carry_out=carry_out)
    task = opening.start(14).task
    runner = opening.wait("attempt.starting")["data"]["runner"]
    assert opening.finished(task) == "completed"
    opening.until(paused.reached.is_set)
    opening.kill(runner)
    assert opening.events(*OUTCOMES) == [] and owing(opening).owed is not None
    assert owing(opening).result_kind == "pushed"
    opening.start_daemon()
    opened = opening.wait("pull.opened")
    assert opened["data"]["found"] is carry_out
    assert len(forge.pulls("acme/web")) == 1 and owing(opening).result_kind == "pull_request"


def test_a_runner_that_is_killed_before_it_records_the_end_owes_it_all_the_same(
    opening: Stage, forge: ScriptedForge
) -> None:
    opening.agent(PUSHED)
    forge.answer("GET", "/pulls", silent=True)  # the evidence, before the attempt's end
    opening.start(14)
    runner = opening.wait("attempt.starting")["data"]["runner"]
    opening.until(lambda: forge.asked("GET", "/pulls"))
    opening.kill(runner)
    assert opening.events("attempt.succeeded", "pull.opening") == []
    opening.start_daemon()
    opening.wait("pull.opened")
    assert len(forge.pulls("acme/web")) == 1
