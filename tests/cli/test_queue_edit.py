"""`kugetsu queue edit`: a waiting task gets another message; whatever happens meanwhile, no text is lost."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

KUGETSU = f"{sys.executable} -m kugetsu"


@pytest.fixture
def queued(story):
    return story.enqueue("fix the parser\nand the lexer")


def editor(kugetsu, script: str, name: str = "VISUAL") -> None:
    path = kugetsu.folder / "editor.sh"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    kugetsu.environment[name] = str(path)
    kugetsu.environment["TERM"] = "xterm"


def message(kugetsu, task: str) -> str:
    events = map(json.loads, kugetsu("history", task, "--json").out.splitlines())
    return [event["data"]["message"] for event in events if event["type"] in ("task.queued", "task.edited")][-1]


def test_words_replace_the_message_and_the_title(kugetsu, queued):
    shown = kugetsu("queue", "edit", queued, "fix", "the", "lexer")
    assert (shown.code, shown.out) == (0, "q1 has a new message\n")
    assert message(kugetsu, queued) == "fix the lexer"
    assert kugetsu("queue", "list", "--json").json["tasks"][0]["title"] == "fix the lexer"
    assert "undo: kugetsu undo 4\n" in shown.err
    assert kugetsu("undo", "4", "--yes").code == 0
    assert message(kugetsu, queued) == "fix the parser\nand the lexer"
    assert kugetsu("replay", "--verify").code == 0


def test_the_editor_shows_the_message_and_what_it_writes_is_taken(kugetsu, queued):
    editor(kugetsu, 'cp "$1" seen.md; printf "first line\\n\\nsecond  line\\n" > "$1"')
    shown = kugetsu("queue", "edit", queued)
    assert shown.code == 0, shown
    assert (kugetsu.work / "seen.md").read_text() == "fix the parser\nand the lexer"
    assert message(kugetsu, queued) == "first line\n\nsecond  line\n"
    assert list((kugetsu.root / "edits").iterdir()) == [], "what is in the log needs no copy"


def test_the_editor_is_found_by_gits_rules(kugetsu, queued):
    editor(kugetsu, 'printf "by visual" > "$1"')
    editor_of_git = kugetsu.folder / "git-editor.sh"
    editor_of_git.write_text('#!/bin/sh\nprintf "%s" "$1" > "$2"\n')
    editor_of_git.chmod(0o700)
    kugetsu.environment["EDITOR"] = "false"
    (kugetsu.folder / ".gitconfig").write_text(f"[core]\n\teditor = {editor_of_git} by-config\n")
    kugetsu("queue", "edit", queued)
    assert message(kugetsu, queued) == "by-config"
    kugetsu("queue", "edit", queued, GIT_EDITOR=f"{editor_of_git} by-variable")
    assert message(kugetsu, queued) == "by-variable"
    (kugetsu.folder / ".gitconfig").unlink()
    kugetsu("queue", "edit", queued)
    assert message(kugetsu, queued) == "by visual"


def test_a_file_and_standard_input_are_taken_as_they_are(kugetsu, queued):
    (kugetsu.work / "task.md").write_text("from a file\n")
    assert kugetsu("queue", "edit", queued, "--file", "task.md").code == 0
    assert message(kugetsu, queued) == "from a file\n"
    assert kugetsu("queue", "edit", queued, "-", input="über\n".encode()).code == 0
    assert message(kugetsu, queued) == "über\n"


def test_the_same_message_changes_nothing(kugetsu, queued):
    editor(kugetsu, ":")
    shown = kugetsu("queue", "edit", queued, "--json")
    assert (shown.code, shown.json) == (0, {"task": "q1", "title": "fix the parser", "seq": None})


def test_an_empty_file_or_a_failing_editor_changes_nothing(kugetsu, queued):
    editor(kugetsu, ': > "$1"')
    shown = kugetsu("queue", "edit", queued)
    assert shown.code == 3 and "the message is empty: nothing was changed" in shown.err
    editor(kugetsu, 'printf "half a text" > "$1"; exit 7')
    shown = kugetsu("queue", "edit", queued)
    assert shown.code == 1 and "the editor ended with 7: nothing was changed" in shown.err
    kept = Path(re.search(r"what it left is in (\S+)", shown.err)[1])
    assert kept.read_text() == "half a text"
    assert message(kugetsu, queued) == "fix the parser\nand the lexer"


def test_without_a_terminal_or_an_editor_the_other_ways_are_named(kugetsu, queued):
    shown = kugetsu("queue", "edit", queued)
    assert shown.code == 3
    assert "no editor is set (VISUAL, EDITOR), and this is no terminal" in shown.err


def test_a_claim_while_the_editor_is_open_loses_no_text(ready):
    """The editor itself lets an agent have the task: it got the message as it was."""
    ready.agent("sleep 600")
    ready("queue", "enqueue", "example.com/o/r#1", "as it was")
    editor(
        ready,
        f"""\
printf 'a better text' > "$1"
{KUGETSU} queue-daemon start >/dev/null
until {KUGETSU} history q1 | grep -q attempt.claimed; do sleep 0.1; done
""",
    )
    shown = ready("queue", "edit", "q1")
    assert shown.code == 5, shown
    assert "q1.1 is working on q1, with the message as it was; your text is kept in " in shown.err
    kept = Path(re.search(r"kept in (\S+)", shown.err)[1])
    assert kept.read_text() == "a better text"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert f"kugetsu continue example.com/o/r#1 --file {kept}" in shown.err


def test_two_edits_at_once_overwrite_nothing(kugetsu, queued):
    editor(kugetsu, f'printf mine > "$1"; {KUGETSU} queue edit q1 theirs >/dev/null')
    shown = kugetsu("queue", "edit", queued)
    assert shown.code == 5
    assert "the message of q1 was changed meanwhile, by event 4; your text is kept in " in shown.err
    assert message(kugetsu, queued) == "theirs"
    kept = re.search(r"kept in (\S+)", shown.err)[1]
    assert kugetsu("queue", "edit", "q1", "--file", kept).code == 0
    assert message(kugetsu, queued) == "mine"


def test_only_what_waits_can_be_edited(kugetsu, story):
    assert kugetsu("queue", "edit", "q9", "text").code == 4
    assert kugetsu("queue", "edit", "a/b#1", "text").code == 3
    assert kugetsu("queue", "edit").code == 3
    task = story.enqueue()
    kugetsu("queue", "cancel", task)
    shown = kugetsu("queue", "edit", task, "text")
    assert shown.code == 5 and "q1 is already cancelled" in shown.err


def test_the_title_of_an_edit_has_no_secret(kugetsu, queued):
    token = "ghp_" + "a1B2" * 9
    shown = kugetsu("queue", "edit", queued, f"use {token} for it")
    assert shown.code == 0
    assert token not in kugetsu("queue", "list").out + kugetsu("history", queued).out
    assert kugetsu("replay", "--verify").code == 0
