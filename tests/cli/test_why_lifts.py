"""Every command that `why` names to lift a gate exists, and lifts it: typed as it stands there."""

from __future__ import annotations

import re
import shlex
import subprocess
import time

import pytest

from kugetsu.domain.decide import attempts, claims, daemon, queue, sessions

A, B = "github.com/shoko/kugetsu#14", "github.com/shoko/kugetsu#15"


def gate_of(kugetsu, task, name, **more):
    answer = kugetsu("why", task, "--json", **more)
    assert answer.code == 0, answer
    return next(gate for gate in answer.json["tasks"][0]["gates"] if gate["gate"] == name)


def first_closed(kugetsu, task, **more):
    gates = kugetsu("why", task, "--json", **more).json["tasks"][0]["gates"]
    return next((gate["gate"] for gate in gates if not gate["open"]), None)


def lifted(kugetsu, task, name, **more):
    """Type what lifts the gate, which must be the reason; what the command did."""
    assert first_closed(kugetsu, task, **more) == name
    gate = gate_of(kugetsu, task, name, **more)
    shown = kugetsu("why", task, **more)
    wanted = re.sub(r"\d+", "N", f"lift: {gate['lift']}")  # how much is free changes between two looks
    assert wanted in re.sub(r"\d+", "N", " ".join(shown.out.split())), shown
    words = shlex.split(gate["lift"])
    assert words[0] == "kugetsu"
    done = kugetsu(*words[1:], **more)
    assert done.code == 0, done
    return done


def opened(kugetsu, task, name, **more):
    lifted(kugetsu, task, name, **more)
    assert gate_of(kugetsu, task, name, **more)["open"]


def fruitless(story, times):
    """Runs that end well and bring nothing."""
    for _ in range(times):
        task = story.enqueue()
        story.finish(story.run(task), "succeed", "done", "no commit", evidence={"commits": 0, "head": "eb42f7d97060"})


def test_a_finished_task_is_queued_again(kugetsu, story):
    story.enqueue()
    story.do(lambda state: queue.cancel(state, "q1", "cancel"))
    answer = kugetsu("why", "q1", "--json").json["tasks"][0]
    assert answer["next"]["kind"] == "person"
    assert kugetsu(*shlex.split(answer["next"]["lift"])[1:]).code == 0
    assert story.log.state().tasks["q1"].state == "pending"


def test_a_running_task_is_stopped(kugetsu, story):
    story.enqueue()
    story.run("q1", alive=True)
    lifted_by = gate_of(kugetsu, "q1", "waiting")["lift"]
    assert kugetsu(*shlex.split(lifted_by)[1:]).code == 0
    assert story.log.state().attempts["q1.1"].stop == "cancel"


def test_parked_by_a_usage_limit(kugetsu, parked):
    parked.daemon()
    opened(kugetsu, "q1", "parked", at="10:43:00")


def test_parked_for_want_of_progress(kugetsu, story):
    story.daemon()
    fruitless(story, 2)
    task = story.enqueue()
    facts = {**story.facts(), "max_runs_without_progress": 2}
    story.do(lambda state: claims.hold(state, claims.plan(state, facts), facts))
    assert story.log.state().tasks[task].state == "parked"
    opened(kugetsu, task, "parked", MAX_RUNS_WITHOUT_PROGRESS="2")
    assert first_closed(kugetsu, task, MAX_RUNS_WITHOUT_PROGRESS="2") is None


def test_the_pause_after_a_failure(kugetsu, story):
    story.at("2099-01-01T00:00:00.000000Z").daemon()
    story.enqueue()
    story.finish(story.run("q1"), "fail", "retry", "tests do not pass")
    opened(kugetsu, "q1", "backoff", at="2099-01-01T00:00:05.000000Z")


def test_one_that_comes_after_a_waiting_task(kugetsu, story):
    story.daemon()
    story.enqueue()
    story.enqueue(issue=B, after=["q1"])
    opened(kugetsu, "q2", "dependencies")


def test_one_that_comes_after_a_failed_task(kugetsu, story):
    story.daemon()
    story.enqueue()
    story.enqueue(issue=B, after=["q1"])
    story.finish(story.run("q1"), "fail", "give_up", "tests do not pass")
    lifted(kugetsu, "q2", "dependencies")
    assert story.log.state().tasks["q1"].state == "pending", "what it waits for is tried again"
    opened(kugetsu, "q2", "dependencies")


def test_one_that_comes_after_what_left_the_queue(kugetsu, story):
    story.daemon()
    story.at("10:00:00").enqueue()
    story.enqueue(issue=B, after=["q1"])
    story.finish(story.run("q1"), "fail", "give_up", "tests do not pass")
    story.at("10:05:00").do(lambda state: queue.cancel(state, "q2", "cancel"))
    story.do(lambda state: queue.acknowledge(state, ["q1"]))
    story.do(lambda state: queue.clear(state, "2026-11-23T10:04:00.000000Z"))
    story.do(lambda state: queue.retry(state, "q2"))
    assert "left the queue" in gate_of(kugetsu, "q2", "dependencies")["reason"]
    lifted(kugetsu, "q2", "dependencies")
    assert story.log.state().tasks["q1"].state == "pending"
    story.finish(story.run("q1"), "succeed", "done", "2 commits")
    assert gate_of(kugetsu, "q2", "dependencies")["open"]


def test_another_agent_on_the_same_issue(kugetsu, story):
    story.daemon()
    story.enqueue()
    story.enqueue()
    story.run("q1", alive=True)
    lifted(kugetsu, "q2", "issue")
    assert story.log.state().attempts["q1.1"].stop == "cancel"


def test_another_task_of_the_issue_that_comes_first(kugetsu, story):
    story.daemon()
    story.enqueue()
    story.enqueue()
    opened(kugetsu, "q2", "issue")


def test_a_session_whose_destruction_was_not_finished(kugetsu, story):
    story.daemon()
    story.enqueue()
    story.finish(story.run("q1"), "succeed", "done", "1 commit, pushed")
    story.do(lambda state: sessions.destroying(state, A, False, "destroy"))
    story.enqueue()
    opened(kugetsu, "q2", "issue")
    assert A not in story.log.state().sessions
    assert story.log.state().tasks["q2"].state == "pending"


def test_the_pm_agent_at_work(kugetsu, story):
    story.daemon()
    story.enqueue(issue=None)
    story.enqueue(issue=None)
    story.do(lambda state: claims.claim(state, "q1", claims.ClaimRequest("lease-x", AGENT), story.facts()))
    lifted(kugetsu, "q2", "pm")
    assert story.log.state().attempts["q1.1"].stop == "cancel"


AGENT = {"boot": "b", "pid": 4120, "start": 1}


@pytest.mark.parametrize(("setting", "value"), [("ISSUE_MAX_TOKENS", "100"), ("ISSUE_MAX_COST", "0.5")])
def test_an_issue_that_has_used_up_its_budget(kugetsu, story, setting, value):
    story.daemon()
    story.enqueue()
    story.finish(story.run("q1"), "succeed", "done", "done", tokens=412, cost=1.25)
    story.enqueue()
    (kugetsu.root / "config").write_text(f"{setting}={value}\n")
    opened(kugetsu, "q2", "budget")


def test_a_budget_of_less_than_a_cent(kugetsu, story):
    story.daemon()
    story.enqueue()
    story.finish(story.run("q1"), "succeed", "done", "done", tokens=412, cost=0.0012)
    story.enqueue()
    (kugetsu.root / "config").write_text("ISSUE_MAX_COST=0.001\n")
    opened(kugetsu, "q2", "budget")
    assert "ISSUE_MAX_COST=0.0024" in (kugetsu.root / "config").read_text()


def test_runs_without_progress_that_did_not_park_it_yet(kugetsu, story):
    story.daemon()
    fruitless(story, 2)
    task = story.enqueue()
    opened(kugetsu, task, "progress", MAX_RUNS_WITHOUT_PROGRESS="2")


def test_the_usage_limit_of_another_task(kugetsu, story):
    story.at("2099-01-01T00:00:00.000000Z").daemon()
    story.enqueue()
    story.enqueue(issue=B)
    story.finish(story.run("q1"), "fail", "limited", "usage limit", resets_at="2099-01-01T02:00:00.000000Z")
    opened(kugetsu, "q2", "provider", at="2099-01-01T00:00:05.000000Z")


@pytest.mark.parametrize("gate", ["provider", "agent"])
def test_an_outage_that_another_task_met(kugetsu, story, gate):
    story.at("2099-01-01T00:00:00.000000Z").daemon()
    story.enqueue()
    story.enqueue(issue=B)
    told = {"gate": gate, "remedy": "opencode auth login"}
    story.finish(story.run("q1"), "fail", "unavailable", "the provider refused the credentials", **told)
    shown = kugetsu("why", "q2", at="2099-01-01T00:00:05.000000Z")
    assert "or: opencode auth login" in shown.out, "what mends it stands beside what lifts the gate"
    opened(kugetsu, "q2", gate, at="2099-01-01T00:00:05.000000Z")


def test_no_free_slot(kugetsu, story):
    story.daemon()
    story.enqueue()
    story.enqueue(issue=B)
    story.run("q1", alive=True)
    (kugetsu.root / "config").write_text("MAX_CONCURRENT_AGENTS=1\n")
    opened(kugetsu, "q2", "slots")


@pytest.mark.parametrize(
    "setting", ["MAX_AGENTS_PER_REPOSITORY=1", "REPOSITORY_CAPS=example.org/o/r=3,github.com/shoko/kugetsu=1"]
)
def test_as_many_agents_in_the_repository_as_may_be(kugetsu, story, setting):
    story.daemon()
    story.enqueue()
    story.enqueue(issue=B)
    story.run("q1", alive=True)
    (kugetsu.root / "config").write_text(f"{setting}\n")
    opened(kugetsu, "q2", "repository")
    assert story.log.state().attempts["q1.1"].stop is None, "nobody's work is ended for it"


def test_too_many_that_start_lift_themselves(kugetsu, story):
    from kugetsu.runtime.facts import cores

    story.daemon()
    for number in range(cores() + 1):
        story.enqueue(issue=f"github.com/a/b#{number + 1}")
    for number in range(cores()):
        story.do(
            lambda state, number=number: claims.claim(
                state,
                f"q{number + 1}",
                claims.ClaimRequest(f"lease-{number}", AGENT),
                {**story.facts(), "cap": 99, "cores": 99},
            )
        )
    last = f"q{cores() + 1}"
    more = {"MAX_CONCURRENT_AGENTS": "99"}
    assert first_closed(kugetsu, last, **more) == "stagger"
    answer = kugetsu("why", last, "--json", **more).json["tasks"][0]
    assert answer["next"]["kind"] == "event" and answer["next"]["what"] == "one of the starting agents is running"
    for number in range(cores()):
        attempt = f"q{number + 1}.1"
        story.do(lambda state, attempt=attempt: attempts.starting(state, attempt, AGENT))
        story.prepare(f"github.com/a/b#{number + 1}", attempt)
        story.do(lambda state, attempt=attempt: attempts.running(state, attempt, AGENT, "s", "/w", "p"))
    assert gate_of(kugetsu, last, "stagger", **more)["open"]


def without_agent(kugetsu, line=""):
    """An agent's program that only the settings file names."""
    del kugetsu.environment["KUGETSU_AGENT_COMMAND"]
    (kugetsu.root / "config").write_text(f"KUGETSU_AGENT_COMMAND={line}\n")


def typed(kugetsu, task, name):
    """Type what lifts the gate where that is no command of kugetsu's."""
    assert first_closed(kugetsu, task) == name
    lift = gate_of(kugetsu, task, name)["lift"]
    assert f"lift: {lift}" in kugetsu("why", task, COLUMNS="400").out
    subprocess.run(shlex.split(lift), check=True)
    assert gate_of(kugetsu, task, name)["open"]


def test_an_agent_whose_program_is_not_there(kugetsu, story):
    story.daemon()
    story.enqueue()
    without_agent(kugetsu, "/nope/agent")
    program = kugetsu.folder / "bin" / "my-agent"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    kugetsu.environment["PATH"] += f":{program.parent}"
    opened(kugetsu, "q1", "agent")


@pytest.mark.parametrize("kind", ["dev", "pm"])
def test_an_env_file_that_others_can_read(kugetsu, story, kind):
    story.daemon()
    story.enqueue(issue=A if kind == "dev" else None)
    path = kugetsu.root / "env" / {"dev": "dev.env", "pm": "pm-agent.env"}[kind]
    path.parent.mkdir(exist_ok=True)
    path.write_text("A=1\n")
    path.chmod(0o644)
    typed(kugetsu, "q1", "agent")


@pytest.mark.parametrize("name", ["workflow.md", "skills/kugetsu-work/SKILL.md"])
def test_instructions_that_cannot_be_read(kugetsu, story, name):
    story.daemon()
    story.enqueue()
    path = kugetsu.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\xff")
    typed(kugetsu, "q1", "agent")


def test_too_little_memory(kugetsu, story):
    del kugetsu.environment["MIN_FREE_MEMORY_MB"]
    (kugetsu.root / "config").write_text("MIN_FREE_MEMORY_MB=1000000\n")
    story.daemon()
    story.enqueue()
    opened(kugetsu, "q1", "memory")


def test_too_little_disk(kugetsu, story):
    story.daemon()
    story.enqueue()
    # Nothing here can make so much room: what frees some must run.
    lifted(kugetsu, "q1", "disk", MIN_FREE_DISK_MB="1000000")


def test_too_little_disk_where_nothing_can_be_removed(kugetsu, story):
    del kugetsu.environment["MIN_FREE_DISK_MB"]
    (kugetsu.root / "config").write_text("MIN_FREE_DISK_MB=1000000\n")
    story.daemon()
    story.enqueue()
    refused = kugetsu("start", B, "more")
    assert refused.code == 2 and "hint: kugetsu prune, or: kugetsu config set MIN_FREE_DISK_MB" in refused.err
    other = gate_of(kugetsu, "q1", "disk")["otherwise"]
    assert "or: kugetsu config set MIN_FREE_DISK_MB" in kugetsu("why", "q1").out
    assert kugetsu(*shlex.split(other)[1:]).code == 0
    assert gate_of(kugetsu, "q1", "disk")["open"]


def test_a_daemon_that_does_not_run(kugetsu, story):
    story.enqueue()
    try:
        lifted(kugetsu, "q1", "daemon")
        assert kugetsu("queue-daemon", "status", "--json").json["running"]
    finally:
        kugetsu("queue-daemon", "stop")


def test_a_daemon_that_drains(ready):
    ready.agent("sleep 60")
    assert ready("start", "example.com/o/r#1", "work").code == 0
    assert ready("queue-daemon", "start").code == 0
    draining = ready.popen("queue-daemon", "stop", "--drain")
    deadline = time.monotonic() + 20
    while ready("status", "--json").json["daemon"]["state"] != "draining" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ready("queue", "enqueue", "example.com/o/r#2", "work").code == 0
    try:
        lifted(ready, "q2", "daemon", MAX_CONCURRENT_AGENTS="1")
    finally:
        draining.kill()
        draining.communicate()
    assert ready("status", "--json").json["daemon"]["state"] == "running"
    assert gate_of(ready, "q2", "daemon", MAX_CONCURRENT_AGENTS="1")["open"]


def test_draining_is_told_of_a_story_too(kugetsu, story):
    story.daemon()
    story.enqueue()
    story.do(lambda state: daemon.drain(state, "asked"))
    shown = kugetsu("why", "q1")
    assert "the daemon is draining" in shown.out and "lift: kugetsu queue-daemon restart" in shown.out
