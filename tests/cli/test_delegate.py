"""`kugetsu delegate`: to the issue that the message names, else to the PM agent, and back at once."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

ISSUE = "github.com/shoko/kugetsu#14"


def _queued(story):
    return [event for event in story.log.read() if event["type"] == "task.queued"]


@pytest.mark.parametrize(
    "message",
    [
        "fix https://github.com/shoko/kugetsu/issues/14, please",
        "see https://github.com/Shoko/Kugetsu/pull/14",
        'shoko/kugetsu#14: it\'s "broken"\n\n- twice\n',
        "do github.com/shoko/kugetsu#14 (shoko/kugetsu#14) now",
        "rebase https://github.com/shoko/kugetsu/pulls/15 of shoko/kugetsu#14",
    ],
)
def test_a_message_that_names_one_issue_becomes_its_task_with_the_whole_message(kugetsu, story, message):
    shown = kugetsu("delegate", message)
    assert shown.code == 0 and f"queued q1 for {ISSUE}" in shown.out, shown
    [event] = _queued(story)
    assert event["issue"] == ISSUE
    assert event["data"] | {"kind": "dev", "message": message, "via": "delegate"} == event["data"]


@pytest.mark.parametrize("message", ["what is open?", "see a/b/c and #14", "read https://example.com/a", "1 / 2 # 3"])
def test_any_other_text_becomes_a_task_of_the_pm_agent(kugetsu, story, message):
    shown = kugetsu("delegate", message)
    assert shown.code == 0 and "queued q1 for the PM agent" in shown.out
    [event] = _queued(story)
    assert "issue" not in event
    assert event["data"] | {"kind": "pm", "message": message, "via": "delegate"} == event["data"]


def test_several_issues_go_to_the_pm_agent_and_it_says_so(kugetsu, story):
    shown = kugetsu("delegate", "split a/b#1 and a/b#2")
    assert shown.code == 0 and "queued q1 for the PM agent" in shown.out
    assert "names 2 issues (github.com/a/b#1, github.com/a/b#2): the PM agent decides" in shown.err
    assert _queued(story)[0]["data"]["kind"] == "pm"


def test_a_number_alone_goes_to_the_pm_agent_and_it_says_how_to_name_the_issue(kugetsu, story):
    shown = kugetsu("delegate", "please fix #14.")
    assert shown.out == "queued q1 for the PM agent\n" and "write owner/repo#14\n" in shown.err
    assert "names no issue" not in kugetsu("delegate", "# 14 colours, #abc and shoko/kugetsu#14").err
    assert "names no issue" not in kugetsu("delegate", "--json", "please fix #14").err


def test_the_default_server_completes_a_reference(kugetsu, story):
    shown = kugetsu("delegate", "fix shoko/kugetsu#14", "--json", DEFAULT_GIT_SERVER="git.example.com")
    assert shown.json["issue"] == "git.example.com/shoko/kugetsu#14"


def test_json_says_the_same(kugetsu, story):
    assert kugetsu("delegate", "fix shoko/kugetsu#14", "--json").json == {
        "task": "q1",
        "issue": ISSUE,
        "seq": 3,
        "state": "pending",
        "kind": "dev",
        "named": [ISSUE],
    }
    shown = kugetsu("delegate", "a/b#1 a/b#2", "--json")
    assert (shown.json["kind"], shown.json["issue"]) == ("pm", None)
    assert shown.json["named"] == ["github.com/a/b#1", "github.com/a/b#2"]


def test_what_people_see(kugetsu, story, snapshot):
    story.daemon()
    shown = [kugetsu("delegate", text) for text in ("fix shoko/kugetsu#14", "what is open?", "a/b#1 or a/b#2")]
    snapshot("delegate", "".join(each.out + each.err for each in shown))


def test_without_a_daemon_it_warns(kugetsu, story):
    assert "kugetsu queue-daemon start" in kugetsu("delegate", "what is open?").err
    story.daemon()
    assert "queue-daemon start" not in kugetsu("delegate", "what is open?").err


def test_a_message_comes_from_standard_input_a_file_or_words(kugetsu, story):
    text = "--- plan\n\nfor shoko/kugetsu#14:\n" + "é" * 50_000
    (kugetsu.work / "plan.md").write_text(text)
    assert kugetsu("delegate", "-", input=text.encode()).code == 0
    assert kugetsu("delegate", "--file", "plan.md").code == 0
    assert kugetsu("delegate", "fix", "shoko/kugetsu#14", "--", "--now").code == 0
    assert [event["data"]["message"] for event in _queued(story)] == [text, text, "fix shoko/kugetsu#14 --now"]
    assert {event["issue"] for event in _queued(story)} == {ISSUE}


@pytest.mark.parametrize(
    "words", [[], [""], ["--"], ["x", "--file", "y"], ["--file", "/not/there"], ["--what"], [b"caf\xe9"]]
)
def test_bad_input_is_refused_with_the_remedy_and_changes_nothing(kugetsu, story, words):
    shown = kugetsu("delegate", *words)
    assert shown.code == 3 and "hint: " in shown.err and "REF" not in shown.err, shown
    assert not _queued(story)


def test_a_pipe_that_nobody_reads_is_told_of_the_dash(kugetsu, story):
    shown = kugetsu("delegate", input=b"fix shoko/kugetsu#14")
    assert shown.code == 3 and "- for standard input" in shown.err


def test_before_init_it_says_so(kugetsu):
    shown = kugetsu("delegate", "hello")
    assert shown.code == 1 and "hint: kugetsu init" in shown.err


def test_the_message_is_no_part_of_the_command_that_events_show(kugetsu, story):
    kugetsu("delegate", "the key is s3cret")
    assert _queued(story)[0]["by"]["cmd"] == "kugetsu delegate …"


def test_what_an_agent_typed_says_so(kugetsu, story):
    assert kugetsu("delegate", "fix shoko/kugetsu#14", KUGETSU_ATTEMPT="q3.1").code == 0
    assert _queued(story)[0]["by"]["attempt"] == "q3.1"
    assert "by q3.1" in kugetsu("history", "shoko/kugetsu#14").out
    for nonsense in ("q\x1b[31m", "q3.\udce9"):
        assert kugetsu("delegate", "hello", KUGETSU_ATTEMPT=nonsense).code == 0
        assert "attempt" not in _queued(story)[-1]["by"]


def test_it_imports_no_more_than_queue_enqueue_does(kugetsu, story):
    program = (
        "import sys, json, orjson\nbefore = set(sys.modules)\nfrom kugetsu.cli.main import main\nmain()\n"
        "sys.stdout.flush()\nprint(json.dumps(sorted(set(sys.modules) - before)), file=sys.stderr)"
    )

    def loaded(*words):
        done = subprocess.run(
            [sys.executable, "-c", program, *words],
            capture_output=True,
            env=kugetsu.environment,
            cwd=kugetsu.work,
            check=True,
        )
        return set(json.loads(done.stderr.splitlines()[-1]))

    kugetsu("delegate", "warm up the compiled files", real=True)
    more = loaded("delegate", "fix a/b#1") - loaded("queue", "enqueue", "a/b#1", "fix")
    assert more == {"kugetsu.cli.delegate"}
