"""Two repositories of one kugetsu that work by settings of their own."""

from __future__ import annotations

import pytest

from forge.scripted import ScriptedForge
from kugetsu.domain import gates
from kugetsu.host import config_file
from kugetsu.model.refs import IssueRef, parse_ref
from kugetsu.runtime import initialisation, submit
from kugetsu.runtime.facts import facts_now
from runtime import repos
from runtime.forged import PUSH, forge, forged
from runtime.stage import COMMIT, UNTIL_GO, Stage, bare_stage, stage

__all__ = ["bare_stage", "forge", "forged", "stage"]


def own(stage: Stage, repository: str, **settings: str) -> None:
    """What `kugetsu config set --repo` writes."""
    for key, value in settings.items():
        config_file.set_value(stage.ws.paths.config, key, value, [repository])
    stage.ws.reload()


def second(stage: Stage) -> str:
    """Another repository, a folder; its name."""
    folder = stage.root / "work" / "second"
    repos.make_plain(folder)
    return initialisation.initialise(stage.ws, repo=str(folder), force=False).registered or ""


def second_of_forge(stage: Stage, forge: ScriptedForge) -> str:
    """Another repository of the forge, `acme/api`; its name."""
    remote, folder, url = stage.root / "api.git", stage.root / "work" / "api", f"{forge.url}/acme/api.git"
    remote.mkdir()
    repos.run(remote, "init", "-q", "--bare", "-b", "main")
    repos.run(stage.root, "config", "--global", f"url.{remote}.insteadOf", url)
    repos.make_plain(folder)
    repos.run(folder, "remote", "add", "origin", url)
    repos.run(folder, "push", "-q", "origin", "main")
    repos.run(folder, "remote", "set-head", "origin", "main")
    forge.has_branches_of("acme/api", str(remote))
    return initialisation.initialise(stage.ws, repo=str(folder), force=False).registered or ""


def start(stage: Stage, ref: IssueRef) -> str:
    """`kugetsu start`, until its task is finished; the state of that."""
    return stage.finished(submit.start(stage.ws, ref, "do it").task)


def test_base_branch_agent_and_pull_requests_are_those_of_the_repository(forged: Stage, forge: ScriptedForge) -> None:
    other = second_of_forge(forged, forge)
    forged.agent(COMMIT + PUSH)
    script = forged.folder / "own.sh"
    script.write_text('echo own > own && git add own && git commit -qm "Work by the own agent"\n' + PUSH)
    repos.run(forged.repository, "checkout", "-q", "-b", "develop")
    tip = repos.commit(forged.repository, "developed")
    repos.run(forged.repository, "push", "-q", "origin", "develop")
    own(
        forged,
        forged.name,
        KUGETSU_BASE_BRANCH="develop",
        KUGETSU_BRANCH_PATTERN="own/{number}",
        KUGETSU_AGENT_COMMAND=f"/bin/sh {script}",
        OPEN_PULL_REQUEST="draft",
        MAX_ATTEMPTS="1",
    )
    forge.issue("acme/web", 14, title="Login is slow")
    forge.issue("acme/api", 3, title="Add a route")
    assert start(forged, forged.ref(14)) == "completed"
    assert start(forged, parse_ref(f"{other}#3")) == "completed"
    forged.wait("pull.opened")
    (pull,) = forge.pulls("acme/web")
    assert (pull.branch, pull.base, pull.draft) == ("own/14", "develop", True)
    assert forge.pulls("acme/api") == [] and len(forged.events("pull.opening")) == 1
    first, plain = (forged.state.sessions[key] for key in (f"{forged.name}#14", f"{other}#3"))
    assert (first.base_commit, first.base_branch) == (tip, "develop")
    assert (plain.branch, plain.base_branch) == ("fix/issue-3", "main")
    assert repos.run(forged.root / "srv.git", "log", "-1", "--format=%s", "own/14") == "Work by the own agent"
    for claimed in forged.events("attempt.claimed"):
        recorded = {"agent": "command:default", "max_attempts": 1}
        assert claimed["facts"]["repositories"] == {forged.name: recorded} and claimed["facts"]["max_attempts"] == 3
    assert [end["facts"]["max_attempts"] for end in forged.events("attempt.succeeded")] == [1, 3]


def test_time_limit_and_attempts_are_those_of_the_repository(stage: Stage) -> None:
    other = second(stage)
    own(stage, other, TASK_TIMEOUT_HOURS="0.0001", MAX_ATTEMPTS="1")
    stage.agent(UNTIL_GO)
    stage.start(1)
    assert start(stage, parse_ref(f"{other}#1")) == "error"
    assert [event["attempt"] for event in stage.events("attempt.timed_out")] == ["q2.1"]
    assert stage.state.tasks["q1"].state == "notified", "the general limit is an hour"
    stage.go()
    assert stage.finished("q1") == "completed"


@pytest.mark.parametrize("missing", ["own", "general"])
def test_an_agent_that_is_not_there_holds_back_what_it_would_work_on(stage: Stage, missing: str) -> None:
    other = second(stage)
    working, gone = stage.settings["KUGETSU_AGENT_COMMAND"], "/nonexistent/agent --flag"
    stage.configure(KUGETSU_AGENT_COMMAND=working if missing == "own" else gone)
    own(stage, other, KUGETSU_AGENT_COMMAND=gone if missing == "own" else working)
    refs = {"own": parse_ref(f"{other}#1"), "general": stage.ref(1)}
    held = submit.enqueue(stage.ws, refs[missing], "do it", via="enqueue")[0]["task"]
    works = refs["general" if missing == "own" else "own"]
    assert start(stage, works) == "completed"
    facts, state = facts_now(stage.ws, stage.state), stage.state
    verdict = next(one for one in gates.verdicts(state, state.tasks[held], facts) if one.gate == "agent")
    assert (verdict.open, verdict.code) == (False, "agent_unavailable")
    command = f"kugetsu config set --repo {other} " if missing == "own" else "kugetsu config set KUGETSU"
    assert verdict.values["remedy"].startswith(command)
