"""`kugetsu queue enqueue`: above all, a message arrives as it was typed."""

from __future__ import annotations

import subprocess
import sys

import pytest

REF = "shoko/kugetsu#14"


def _message(story) -> str:
    queued = [event for event in story.log.read() if event["type"] == "task.queued"]
    return str(queued[-1]["data"]["message"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["implement", "feature", "X"], "implement feature X"),
        (["implement feature X"], "implement feature X"),
        (["it's", '"quoted"', "and $HOME `ls` \\n"], 'it\'s "quoted" and $HOME `ls` \\n'),
        (["first\n\nsecond\tline\r\n"], "first\n\nsecond\tline\r\n"),
        (["--", "--weird", "-x"], "--weird -x"),
        (["say", "--", "--json", "--", "twice"], "say --json -- twice"),
        (["設計を直す 🛠 ñ"], "設計を直す 🛠 ñ"),
        (["x" * 100_000], "x" * 100_000),
        (["fix", "--priority", "3", "this"], "fix this"),
        (["-5", "degrees"], "-5 degrees"),
    ],
)
def test_a_message_arrives_as_it_was_typed(kugetsu, story, words, message):
    shown = kugetsu("queue", "enqueue", REF, *words)
    assert shown.code == 0, shown
    assert _message(story) == message


def test_a_message_comes_from_standard_input_or_a_file_intact(kugetsu, story):
    text = "--- title\n\n- a list\n" + "é" * 60_000
    assert kugetsu("queue", "enqueue", REF, "-", input=text.encode()).code == 0
    assert _message(story) == text
    (kugetsu.work / "task.md").write_text(text)
    assert kugetsu("queue", "enqueue", REF, "--file", "task.md").code == 0
    assert _message(story) == text


@pytest.mark.parametrize("words", [[], [""], ["  ", "\n"], ["--"]])
def test_an_empty_message_is_refused_with_the_remedy(kugetsu, story, words):
    shown = kugetsu("queue", "enqueue", REF, *words)
    assert shown.code == 3 and "message is empty" in shown.err and "--file" in shown.err


def test_bytes_that_are_no_text_are_refused(kugetsu, story):
    before = story.log.head().seq
    assert "UTF-8" in kugetsu("queue", "enqueue", REF, b"caf\xe9").err
    assert kugetsu("queue", "enqueue", REF, b"caf\xe9").code == 3
    assert kugetsu("queue", "enqueue", REF, "-", input=b"\xff\xfe").code == 3
    assert kugetsu("queue", "enqueue", REF, "-", input=b"a\0b").code == 3
    assert kugetsu("queue", "enqueue", REF, "--file", "/not/there").code == 3
    assert story.log.head().seq == before


NO_REFS = ["", "kugetsu", "a/b", "a/b#x", "a/b#0", "../../etc#1", "https://x/y", "ftp://a/b/issues/1", "#3", "a b#1"]


@pytest.mark.parametrize("ref", NO_REFS)
def test_a_ref_that_is_none_is_refused_with_the_accepted_forms(kugetsu, story, ref):
    shown = kugetsu("queue", "enqueue", ref, "do", "it")
    assert shown.code == 3 and "host/owner/repo#14" in shown.err, shown


def test_it_says_the_task_and_that_no_daemon_runs(kugetsu, story):
    shown = kugetsu("queue", "enqueue", REF, "x")
    assert "queued q1 for github.com/shoko/kugetsu#14" in shown.out
    assert "kugetsu history q1" in shown.err and "kugetsu queue-daemon start" in shown.err
    story.daemon()
    assert "queue-daemon start" not in kugetsu("queue", "enqueue", REF, "x").err


def test_json_says_the_same(kugetsu, story):
    assert kugetsu("queue", "enqueue", REF, "x", "--json").json == {
        "task": "q1",
        "issue": "github.com/shoko/kugetsu#14",
        "seq": 3,
        "state": "pending",
    }


def test_priority_and_dependencies_are_kept_and_checked(kugetsu, story):
    assert kugetsu("queue", "enqueue", REF, "first").code == 0
    assert kugetsu("queue", "enqueue", REF, "--priority", "5", "--after", "q1", "then").code == 0
    task = story.log.state().tasks["q2"]
    assert (task.priority, task.after) == (5, ["q1"])
    assert kugetsu("queue", "enqueue", REF, "--after", "q9", "x").code == 4
    assert kugetsu("queue", "enqueue", REF, "--after", "soon", "x").code == 3
    assert kugetsu("queue", "enqueue", REF, "--priority", "much", "x").code == 3
    assert kugetsu("queue", "enqueue", REF, "--priority", "5000", "x").code == 3


def test_an_unknown_option_is_refused_and_the_dashes_explained(kugetsu, story):
    shown = kugetsu("queue", "enqueue", REF, "fix", "--weird", "thing")
    assert shown.code == 3 and " -- " in shown.err


def test_before_init_it_says_so(kugetsu):
    shown = kugetsu("queue", "enqueue", REF, "x")
    assert shown.code == 1 and "hint: kugetsu init" in shown.err


def test_a_task_after_one_that_is_over_and_not_completed_says_so(kugetsu, story):
    kugetsu("queue", "enqueue", "a/b#1", "first")
    assert "q1" not in kugetsu("queue", "enqueue", REF, "--after", "q1", "then").err, "it waits, as one that may"
    kugetsu("queue", "cancel", "q1")
    shown = kugetsu("queue", "enqueue", REF, "--after", "q2,q1", "then")
    assert shown.code == 0
    assert "q3 comes after q1, which was cancelled; to unblock it: kugetsu queue retry q1\n" in shown.err


def test_quiet_means_no_talk(kugetsu, story):
    assert kugetsu("queue", "enqueue", REF, "x", KUGETSU_VERBOSITY="quiet").err == ""


def test_a_number_alone_is_the_issue_of_the_clone_one_stands_in(kugetsu, story):
    subprocess.run(["git", "init", "-q", str(kugetsu.work)], check=True)
    subprocess.run(
        ["git", "-C", str(kugetsu.work), "remote", "add", "origin", "git@github.com:Shoko/Kugetsu.git"], check=True
    )
    assert kugetsu("queue", "enqueue", "#14", "x", "--json").json["issue"] == "github.com/shoko/kugetsu#14"


def test_a_full_disk_is_an_error_and_nothing_is_lost(kugetsu, story):
    story.enqueue("kept")
    before = story.log.head()
    # -B: Python would cut its compiled modules at the limit too, and keep them so for every later command.
    limited = [sys.executable, "-B", "-c", LIMITED, "queue", "enqueue", REF, "-"]
    done = subprocess.run(limited, input=b"x" * 9000, capture_output=True, env=kugetsu.environment, check=False)
    assert done.returncode == 1 and b"hint: " in done.stderr and b"Traceback" not in done.stderr
    assert kugetsu("log", "verify", "--json").json["head"]["seq"] == before.seq
    assert kugetsu("queue", "enqueue", REF, "again").code == 0


#: The command under a limit of 4 KiB a file.
LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
sys.argv[0] = "kugetsu"
from kugetsu.cli.main import main
sys.exit(main())
"""
