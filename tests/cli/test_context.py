"""`kugetsu context`."""

from __future__ import annotations

import json

import pytest

from kugetsu.domain.new_event import NewEvent

ISSUE = "github.com/shoko/kugetsu#14"


def _event(kind, **part):
    return json.dumps({"type": kind, "timestamp": 1, "sessionID": "ses_1", "part": part})


@pytest.fixture
def told(kugetsu, story):
    """One attempt that failed and one that did the work, with their files."""
    story.at("10:00:00").enqueue("implement feature X\nwith tests")
    first = story.at("10:00:02").run("q1")
    story.at("10:04:02").finish(first, "fail", "retry", "ended with exit code 1")
    second = story.at("10:05:00").run("q1")
    story.at("10:41:10").finish(
        second, "succeed", "done", "1 commit, pushed", outcome={"final_text": "All done."}, evidence={"commits": 1}
    )
    for attempt in (first, second):
        folder = kugetsu.root / "runs" / attempt
        folder.mkdir(parents=True)
        (folder / "prompt.md").write_text("The standing workflow.\n\nDelegator's message:\n\nimplement feature X\n")
    output = [
        _event("step_start"),
        _event("text", text="I look at it first.\n\nThen I change it."),
        _event("tool_use", tool="bash", state={"status": "completed", "title": "make test", "output": "many\nlines"}),
        _event("tool_use", tool="edit", state={"status": "error", "input": {"filePath": "src/x.py"}, "error": "no"}),
        _event("text", text="All done, with GITEA_TOKEN=hunter2hunter2 and tok-planted-77123."),
        "not json \x1b[2J",
    ]
    (kugetsu.root / "runs" / second / "output.jsonl").write_text("\n".join(output) + "\n")
    env = kugetsu.root / "env"
    env.mkdir()
    (env / "default.env").write_text("GITEA_TOKEN=tok-planted-77123\n")
    (env / "default.env").chmod(0o600)
    return kugetsu


def test_each_attempt_is_shown_with_what_it_was_told_and_answered(told, snapshot):
    shown = told("context", "shoko/kugetsu#14", at="11:00:00")
    assert shown.code == 0
    snapshot("context", shown.out.replace(str(told.root), "DIR"))


def test_of_a_run_that_never_began_nothing_is_called_gone(kugetsu, ready):
    kugetsu("start", "local/no/where#1", "x", "--anyway", "--wait")
    shown = kugetsu("context", "local/no/where#1")
    assert shown.code == 0 and "not started: " in shown.out and "is gone" not in shown.out, shown


def test_full_shows_the_prompt_and_one_attempt_can_be_asked_for(told):
    shown = told("context", "shoko/kugetsu#14", "--attempt", "q1.2", "--full", at="11:00:00")
    assert "The standing workflow." in shown.out and "q1.1" not in shown.out
    for name in ("q1.2", "q1"):
        assert "make test" in told("context", name).out
    assert told("context", "shoko/kugetsu#14", "--attempt", "q9.1").code == 4


def test_no_secret_is_shown_in_any_form(told):
    (told.root / "runs" / "q1.2" / "prompt.md").write_text("use tok-planted-77123\n")
    for words in ((), ("--full",), ("--json",), ("--json", "--full")):
        shown = told("context", "shoko/kugetsu#14", *words)
        assert "tok-planted" not in shown.out and "hunter2hunter2" not in shown.out, words
        assert "\x1b[2J" not in shown.out


def test_findings_are_shown_with_the_answer_and_named_in_the_log(told, story):
    story.at("10:49:00").enqueue("find out why it is slow")
    third = story.at("10:50:00").run("q2")
    file = told.root / "runs" / third / "findings" / "findings.md"
    file.parent.mkdir(parents=True)
    file.write_text("# Found\n\nIt is the cache, see tok-planted-77123.\n")
    story.at("10:51:00").finish(third, "succeed", "done", "no commit", evidence={"commits": 0, "findings": str(file)})
    shown = told("context", third)
    assert "It is the cache, see " in shown.out and "tok-planted" not in shown.out
    [exchange] = told("context", third, "--json").json["attempts"]
    assert exchange["findings_file"] == str(file) and exchange["findings"].startswith("# Found\n")
    assert f"findings: {file}\n" in told("logs", third).out
    file.unlink()
    assert f"{file} is gone" in told("context", third).out


def test_json_has_the_whole_exchange(told):
    data = told("context", "shoko/kugetsu#14", "--json").json
    assert (data["session"], data["branch"]) == (ISSUE, "fix/issue-14")
    first, second = data["attempts"]
    assert first["outcome"] == "failed" and "output.jsonl is gone" in first["missing"][0]
    assert second["message"] == "implement feature X\nwith tests" and second["prompt"] is None
    assert [said["kind"] for said in second["answered"]] == ["text", "tool", "tool", "text", "text"]
    assert second["answered"][1]["text"] == "bash make test"
    assert second["answered"][2]["text"] == "edit src/x.py: failed"
    assert second["final_text"] == "All done."


def test_of_a_run_whose_files_are_gone_the_log_still_tells(told):
    import shutil

    shutil.rmtree(told.root / "runs")
    shown = told("context", "shoko/kugetsu#14")
    assert shown.code == 0 and "All done." in shown.out and "implement feature X" in shown.out
    assert shown.out.count("prompt.md is gone") == 2


def test_damaged_files_are_shown_as_far_as_they_can_be_read(told):
    output = told.root / "runs" / "q1.2" / "output.jsonl"
    output.write_bytes(
        b'{"type":"text","part":{"text":"begun"}}\n{"type":"text","part":{"te\n\xff\xfe\0\n[1]\n{"type":3}\n'
    )
    (told.root / "runs" / "q1.1" / "prompt.md").unlink()
    (told.root / "runs" / "q1.1" / "prompt.md").mkdir()
    for words in ((), ("--json",), ("--full",)):
        shown = told("context", "shoko/kugetsu#14", *words)
        assert shown.code == 0 and "begun" in shown.out, words
        assert "cannot be read" in shown.out


def test_plain_output_of_any_command_is_one_text(ready):
    ready.agent("echo one; echo two; cat > /dev/null")
    assert ready("start", "--wait", "example.com/o/r#1", "do this").code == 0
    (attempt,) = ready("context", "example.com/o/r#1", "--json").json["attempts"]
    assert attempt["answered"] == [{"kind": "text", "text": "one\ntwo"}]
    assert ready("destroy", "--force", "example.com/o/r#1").code == 0
    assert "no session now" in ready("context", "example.com/o/r#1").out


def test_what_nothing_is_known_of_is_not_found(told):
    assert told("context", "shoko/kugetsu#99").code == 4
    assert told("context").code == 3 and told("context", "???").code == 3


def test_a_session_in_which_nobody_worked_says_so(kugetsu, story):
    story.enqueue()
    shown = kugetsu("context", "shoko/kugetsu#14")
    assert shown.code == 0 and "no agent has worked in it yet" in shown.err


def test_where_kugetsu_is_not_set_up_it_says_so(kugetsu):
    shown = kugetsu("context", "a/b#1")
    assert shown.code == 1 and "kugetsu init" in shown.err


def test_a_pull_request_that_kugetsu_opened_after_the_run_is_its_result(kugetsu, story):
    story.at("10:00:00").enqueue()
    attempt = story.run("q1")
    evidence = {"commits": 1, "pushed": True, "dirty": 0, "ahead": 0, "head": "abc", "branch": "fix/issue-14"}
    story.finish(attempt, "succeed", "done", "1 commit, pushed", evidence=evidence)
    assert "result: pushed, no PR" in kugetsu("context", ISSUE, at="11:00:00").out
    data = {"url": "https://example.com/pulls/93", "number": 93, "head": "abc", "found": False}
    intent = {"head": "abc", "branch": "fix/issue-14", "base": "main", "title": "t", "draft": False}
    for kind, values in (("pull.opening", intent), ("pull.opened", data)):
        story.do(
            lambda _, k=kind, v=values: [
                NewEvent(k, v, task="q1", attempt=attempt, issue=ISSUE, session=ISSUE, cause=-1)
            ]
        )
    shown = kugetsu("context", ISSUE, at="11:00:00").out
    assert "result: PR #93" in shown and "no PR" not in shown
