"""What is looked at before work is queued: several issues, their own text, work that is known to fail."""

from __future__ import annotations

import pytest

from forge.scripted import ScriptedForge


@pytest.fixture
def forge():
    with ScriptedForge() as server:
        server.issue("acme/web", 14, title="Login is slow", body="It takes 9 s.\n\nMeasure first.")
        server.issue("acme/web", 15, title="A typo", body="")
        yield server


@pytest.fixture
def asking(kugetsu, story, forge):
    """kugetsu, which may ask the forge."""
    kugetsu.environment["GIT_SERVERS"] = f"{forge.host}={forge.url}"
    kugetsu.environment["FORGE_TIMEOUT_SECONDS"] = "20"
    return kugetsu


def queued(story):
    return [event for event in story.log.read() if event["type"] == "task.queued"]


def test_several_issues_get_the_same_message(kugetsu, story):
    shown = kugetsu("queue", "enqueue", "a/b#1", "a/b#2", "https://example.org/o/r/issues/3", "fix", "#4", "too")
    assert shown.code == 0, shown
    for event in queued(story):
        assert f"undo: kugetsu undo {event['seq']}\n" in shown.err
    assert [(event["issue"], event["data"]["message"]) for event in queued(story)] == [
        ("github.com/a/b#1", "fix #4 too"),
        ("github.com/a/b#2", "fix #4 too"),
        ("example.org/o/r#3", "fix #4 too"),
    ]
    data = kugetsu("queue", "enqueue", "a/b#5", "a/b#6", "a/b#5", "again", "--json").json
    assert [one["issue"] for one in data] == ["github.com/a/b#5", "github.com/a/b#6"]


@pytest.mark.parametrize("word", ["#1x", "#14,", "a/b#", "a/b#2x"])
def test_a_word_that_was_meant_as_an_issue_is_refused(kugetsu, story, word):
    shown = kugetsu("queue", "enqueue", "a/b#1", word, "fix it")
    assert shown.code == 3
    assert f"{word!r} looks like an issue and is none" in shown.err
    assert queued(story) == []
    assert kugetsu("queue", "enqueue", "a/b#1", "--", word, "fix it").code == 0
    assert kugetsu("queue", "enqueue", "a/b#1", "--anyway", word, "fix it").code == 0
    assert [event["data"]["message"] for event in queued(story)] == [f"{word} fix it"] * 2


def test_words_of_a_message_are_no_issues(kugetsu, story):
    for words in (["#14 depends on this"], ["#fix", "it"], ["C#", "code"], ["see", "#14"]):
        assert kugetsu("queue", "enqueue", "a/b#1", *words).code == 0
    assert {event["issue"] for event in queued(story)} == {"github.com/a/b#1"}


def test_a_folder_that_nobody_registered_is_refused_and_queued_anyway(kugetsu, story):
    shown = kugetsu("queue", "enqueue", "a/b#1", "local/x/y#2", "fix it")
    assert shown.code == 4
    assert "nothing tells where local/x/y is: it is a folder, and not registered" in shown.err
    assert "--anyway" in shown.err
    assert queued(story) == [], "all are looked at before the first is queued"
    assert kugetsu("queue", "enqueue", "--anyway", "local/x/y#2", "fix it").code == 0
    assert kugetsu("start", "local/x/y#2", "fix it").code == 4


def test_a_registered_clone_that_is_gone_is_refused(kugetsu, ready, tmp_path):
    gone = tmp_path / "clone"
    gone.mkdir()
    import subprocess

    subprocess.run(["git", "init", "-q", str(gone)], check=True)
    assert ready("init", "--repo", str(gone)).code == 0
    name = next(name for name in ready("list", "--all", "--json").out.split('"') if name.startswith("base:local/"))
    (gone / ".git").rename(tmp_path / "away")
    gone.rmdir()
    shown = ready("queue", "enqueue", f"{name.removeprefix('base:')}#1", "fix it")
    assert shown.code == 4, shown
    assert f"{gone}, registered for " in shown.err and " is gone" in shown.err


def test_an_issue_that_the_forge_does_not_have_is_refused(asking, story, forge):
    shown = asking("queue", "enqueue", f"{forge.host}/acme/web#14", f"{forge.host}/acme/web#99", "fix it")
    assert shown.code == 4, shown
    assert f"{forge.host} has no issue acme/web#99" in shown.err
    assert queued(story) == []
    assert asking("queue", "enqueue", "--anyway", f"{forge.host}/acme/web#99", "fix it").code == 0
    assert asking("queue", "enqueue", f"{forge.host}/acme/web#14", "fix it").code == 0


def test_a_forge_that_fails_refuses_nothing_and_says_what_was_not_checked(asking, story, forge):
    forge.answer("GET", "/issues/14", status=503, times=0)
    shown = asking("queue", "enqueue", f"{forge.host}/acme/web#14", "fix it")
    assert shown.code == 0, shown
    assert f"not checked whether {forge.host}/acme/web#14 is there: " in shown.err
    assert len(queued(story)) == 1


def test_without_a_message_the_issues_own_text_is_the_message(asking, story, forge):
    shown = asking("queue", "enqueue", f"{forge.host}/acme/web#14", f"{forge.host}/acme/web#15")
    assert shown.code == 0, shown
    told = [(event["data"]["title"], event["data"]["message"], event["data"]["from_issue"]) for event in queued(story)]
    assert told == [
        ("Login is slow", "Login is slow\n\nIt takes 9 s.\n\nMeasure first.", True),
        ("A typo", "A typo", True),
    ]
    assert asking("replay", "--verify").code == 0


def test_without_a_message_and_a_forge_the_reason_and_the_other_ways_are_named(kugetsu, story):
    shown = kugetsu("queue", "enqueue", "a/b#1")
    assert shown.code == 3
    assert "the text of github.com/a/b#1 cannot be read: github.com is not asked" in shown.err
    assert "--file FILE" in shown.err
    assert kugetsu("queue", "enqueue", "local/x/y#1", "--anyway").code == 3


def test_nothing_of_a_forge_is_loaded_where_none_applies(kugetsu, story):
    import subprocess
    import sys

    script = (
        "import sys; from kugetsu.cli.main import main; sys.argv = ['kugetsu', 'queue', 'enqueue', 'a/b#1', 'go'];"
        "main(); print(sorted(name for name in sys.modules if name.startswith('kugetsu.forge') or name == 'httpx'))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], env=kugetsu.environment, cwd=kugetsu.work, capture_output=True, text=True
    )
    assert shown.stdout.endswith("[]\n"), shown


# --- a task's own agent, model, attempts and time ------------------------------------------------------------------


def test_a_tasks_own_options_are_recorded_shown_and_kept(kugetsu, story):
    options = ("--agent", "opencode", "--model", "local/llama", "--max-attempts", "2", "--timeout", "90m")
    assert kugetsu("queue", "enqueue", "a/b#1", "go", *options).code == 0
    given = {"agent": "opencode", "model": "local/llama", "max_attempts": 2, "timeout_hours": 1.5}
    assert queued(story)[0]["data"]["options"] == given
    words = "by opencode:local/llama, at most 2 attempts, 1h30m each"
    assert words in kugetsu("history", "q1", COLUMNS="200").out
    assert words in " ".join(kugetsu("why", "q1").out.split())
    kugetsu("queue", "cancel", "q1")
    kugetsu("queue", "retry", "q1")
    assert kugetsu("queue", "list", "--json").json["tasks"][0]["options"] == given


@pytest.mark.parametrize(
    "options",
    [("--agent", "vim"), ("--model", "a b"), ("--max-attempts", "0"), ("--timeout", "soon"), ("--timeout", "0")],
)
def test_options_that_mean_nothing_are_refused(kugetsu, story, options):
    assert kugetsu("queue", "enqueue", "a/b#1", "go", *options).code == 3
    assert queued(story) == []


def test_a_usage_limit_of_one_model_does_not_hold_a_task_with_another(kugetsu, parked):
    parked.enqueue(issue="github.com/a/b#2")
    parked.enqueue(issue="github.com/a/b#3", options={"model": "local/llama"})
    closed = {}
    for task in ("q2", "q3"):
        gates = kugetsu("why", task, "--json", at="10:45:00").json["tasks"][0]["gates"]
        closed[task] = [gate["gate"] for gate in gates if not gate["open"]]
    assert "provider" in closed["q2"] and "provider" not in closed["q3"]


def test_a_real_run_uses_the_tasks_own_model_attempts_and_time(ready):
    ready.agent('printf "%s" "$KUGETSU_MODEL" > model.txt; git add model.txt; git commit -qm m; sleep 600')
    run = ("--model", "local/llama", "--max-attempts", "1", "--timeout", "0.0005")
    done = ready("start", "--wait", "example.com/o/r#1", "go", *run, KUGETSU_MODEL="other/model")
    assert done.code == 1, done
    assert "ended in error: 1 attempt failed: stopped at its time limit (--timeout)" in done.out
    claimed = ready("history", "q1", "--json").out
    assert '"agent":"command:local/llama"' in claimed
    assert next((ready.root / "worktrees").iterdir()).joinpath("model.txt").read_text() == "local/llama"
    assert ready("replay", "--verify").code == 0
