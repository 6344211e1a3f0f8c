"""`kugetsu open`."""

from __future__ import annotations

import pytest

from cli.terminal import Terminal
from cli.test_json_shapes import compare, documented
from kugetsu.domain.decide import sessions

ISSUE = "github.com/shoko/kugetsu#14"
PULL = "https://github.com/shoko/kugetsu/pull/15"


@pytest.fixture
def browser(kugetsu):
    """A browser that writes down what it is to open."""
    script = kugetsu.folder / "browser"
    script.write_text(f'#!/bin/sh\necho "$@" >> {kugetsu.folder}/opened\n')
    script.chmod(0o755)
    kugetsu.environment["BROWSER"] = str(script)

    def opened() -> list[str]:
        file = kugetsu.folder / "opened"
        return file.read_text().splitlines() if file.exists() else []

    return opened


def pushed(story, **evidence):
    done = story.run(story.enqueue())
    story.finish(done, "succeed", "done", "1 commit, pushed", evidence={"commits": 1, "pushed": True, **evidence})


def test_the_page_is_the_pull_request_else_the_branch_else_the_issue(kugetsu, story):
    story.enqueue(issue="github.com/a/b#1")
    assert kugetsu("open", "a/b#1").out == "https://github.com/a/b/issues/1\n"
    pushed(story)
    assert kugetsu("open", ISSUE).out == "https://github.com/shoko/kugetsu/tree/fix/issue-14\n"
    story.do(lambda state: sessions.set_pr(state, ISSUE, PULL, "set-pr"))
    assert kugetsu("open", ISSUE).out == PULL + "\n"
    data = kugetsu("open", ISSUE, "--json").json
    compare(data, documented("open"))
    assert data == {"issue": ISSUE, "kind": "pull_request", "url": PULL, "path": None, "opened": False}
    assert kugetsu("open", "q2").out == PULL + "\n"


def test_a_branch_on_gitea_has_another_address(kugetsu, story):
    issue = "git.example.com/o/r#3"
    done = story.run(story.enqueue(issue=issue))
    story.finish(done, "succeed", "done", "1 commit, pushed", evidence={"commits": 1, "pushed": True})
    assert kugetsu("open", issue).out == "https://git.example.com/o/r/src/branch/fix/issue-14\n"


def test_the_path_alone_is_printed(kugetsu, ready):
    assert ready("start", "--wait", "example.com/o/r#1", "do it").code == 0
    shown = ready("open", "--path", "example.com/o/r#1")
    assert shown.code == 0 and shown.err == ""
    path = ready("list", "--json").json["sessions"][0]["worktree"]
    assert shown.out == path + "\n"
    assert ready("open", "--path", "q1", "--json").json["path"] == path
    assert ready("destroy", "--force", "example.com/o/r#1").code == 0
    gone = ready("open", "--path", "example.com/o/r#1")
    assert (gone.code, gone.out) == (4, "") and "has no worktree" in gone.err


def test_a_worktree_whose_folder_is_gone_is_not_found(kugetsu, story):
    pushed(story)
    shown = kugetsu("open", "--path", ISSUE)
    assert (shown.code, shown.out) == (4, "") and "is gone" in shown.err


def test_a_repository_that_is_a_folder_has_no_page(kugetsu, story):
    story.enqueue(issue="local/shoko/notes#1")
    shown = kugetsu("open", "local/shoko/notes#1")
    assert shown.code == 4 and "open --path" in shown.err


def test_what_is_no_issue_is_refused(kugetsu, story):
    assert kugetsu("open", "pm").code == 4
    assert kugetsu("open", "???").code == 3
    assert kugetsu("open", "--path", "--url", ISSUE).code == 3


# --- the browser ----------------------------------------------------------------------------------------------------


def on_terminal(kugetsu, *words, **more):
    terminal = Terminal(words, {**kugetsu.environment, **more}, kugetsu.work)
    assert terminal.end() == 0, terminal.seen
    terminal.close()
    return terminal.seen


def test_on_a_terminal_with_a_display_the_browser_opens_it(kugetsu, story, browser):
    story.enqueue()
    page = f"https://{ISSUE.replace('#', '/issues/')}"
    assert page in on_terminal(kugetsu, "open", ISSUE, DISPLAY=":0")
    assert browser() == [page]


@pytest.mark.parametrize(
    "more", [{}, {"DISPLAY": ":10", "SSH_CONNECTION": "a 1 b 22"}, {"WAYLAND_DISPLAY": "w", "SSH_TTY": "/dev/pts/1"}]
)
def test_over_ssh_and_without_a_display_it_is_only_printed(kugetsu, story, browser, more):
    story.enqueue()
    assert "/issues/14" in on_terminal(kugetsu, "open", ISSUE, **more)
    assert browser() == []


def test_on_a_pipe_it_is_only_printed_unless_asked_for(kugetsu, story, browser):
    story.enqueue()
    assert kugetsu("open", ISSUE, DISPLAY=":0").code == 0 and browser() == []
    on_terminal(kugetsu, "open", "--url", ISSUE, DISPLAY=":0")
    assert browser() == []
    assert kugetsu("open", "--browser", ISSUE, "--json").json["opened"] is True
    assert len(browser()) == 1


def test_nothing_but_a_web_address_is_opened(kugetsu, story, browser):
    pushed(story)
    for url in ("file:///etc/passwd", "javascript:alert(1)", "https://a b", "-x"):
        story.do(lambda state, url=url: sessions.set_pr(state, ISSUE, url, "set-pr"))
        assert kugetsu("open", "--browser", ISSUE).out == "https://github.com/shoko/kugetsu/tree/fix/issue-14\n"
    assert all(one.startswith("https://github.com/") for one in browser())
