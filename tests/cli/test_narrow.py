"""A telephone at night: every command that shows something fits the screen, and nothing useful is cut."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from typing import Any

import pytest

from cli import nights
from kugetsu.cli.catalogue import COMMANDS
from kugetsu.domain.decide import sessions
from kugetsu.views.text import columns

#: Runs commands one after the other in one process, for they are many, at a time that stands still.
_ALL = """
import contextlib, io, json, sys
from kugetsu.model import clock
moment = sys.argv[1]
clock.now = lambda: moment
from kugetsu.cli import parser
from kugetsu.cli.main import main
said = []
for words in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    said.append([code, out.getvalue(), err.getvalue()])
json.dump(said, sys.stdout)
"""

MORNING = "2026-11-24T07:12:00.000000Z"
LONG = "github.com/an-owner-of-a-long-name/and-a-repository-of-one#1234"

#: Every command that shows something: how it is called in both states. TASK, ISSUE and EVENT stand for one of each.
SHOWN = {
    "doctor": ["doctor"],
    "status": ["status", "status --at @-5"],
    "report": ["report", "report --all"],
    "list": ["list", "list --all"],
    "review": ["review", "review --at @-1"],
    "logs": ["logs", "logs ATTEMPT"],
    "context": ["context ISSUE"],
    "queue list": ["queue list", "queue list --all"],
    "queue stats": ["queue stats"],
    "queue-daemon status": ["queue-daemon status"],
    "notify list": ["notify list", "notify list --all"],
    "notify sinks": ["notify sinks"],
    "history": ["history ISSUE", "history TASK", "history --all", "history TASK --at @-5"],
    "why": ["why TASK", "why q1", "why q2", "why q3", "why EVENT", "why TASK --at @-5"],
    "timeline": ["timeline"],
    "audit": ["audit", "audit races", "audit invariants", "audit retries", "audit reactions", "audit waits"],
    "diff": ["diff 3 @"],
    "replay": ["replay", "replay --verify", "replay --what-if MAX_CONCURRENT_AGENTS=1"],
    "undo": ["undo EVENT"],
    "log verify": ["log verify"],
    "log stats": ["log stats"],
    "log seal": ["log seal"],
    "prune": ["prune"],
    "skill list": ["skill list"],
    "config list": ["config list"],
    "config get": ["config get MAX_ATTEMPTS"],
    "env list": ["env list"],
    "env get": ["env get GITEA_TOKEN"],
    "env path": ["env path"],
    "env check": ["env check"],
    "server list": ["server list"],
    "server get": ["server get"],
    "server default": ["server default"],
}
#: The others: what they do is the point of them, not what they show.
ELSEWHERE = {
    *("init", "import", "start", "continue", "delegate", "set-pr", "destroy", "completion", "log export", "log repair"),
    *("log share", "log unshare", "log migrate", "log push", "host list", "host lost"),  # tests/cli/test_log_share.py
    *("host drain", "host undrain", "host leave", "host join"),  # tests/cli/test_hosts.py
    *("ack", "queue edit", "queue pause", "queue resume", "wait", "intake", "verify"),
    *("attach", "changes", "open"),  # tests/cli/test_changes.py
    *("queue enqueue", "queue dequeue", "queue cancel", "queue retry", "queue move", "queue lift", "queue clear"),
    *("queue-daemon start", "queue-daemon stop", "queue-daemon restart", "queue-daemon run", "queue-daemon logs"),
    *("notify clear", "notify watch", "notify test", "skill show", "skill install", "config set", "config unset"),
    *("env set", "env unset", "server add", "server remove"),
}


def output(kugetsu: Any, attempt: str, *lines: bytes) -> None:
    folder = kugetsu.root / "runs" / attempt
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prompt.md").write_text("# The task\n\n" + "see to it, and tell what you found " * 8)
    (folder / "output.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    (folder / "stderr.log").write_bytes(b"a warning that goes on for longer than a telephone is wide, as they do\n")


@pytest.fixture
def busy(kugetsu, story):
    """Three agents at work, tasks that wait for slots, for a time, for each other; one is done."""
    story.at("2026-11-24T04:00:00.000000Z", "kugetsu queue-daemon").daemon()
    story.at("2026-11-24T06:00:00.000000Z", "kugetsu queue enqueue shoko/jigaido#8 tidy the imports")
    done = story.enqueue("tidy the imports", issue="github.com/shoko/jigaido#8")
    evidence = {"commits": 2, "pushed": True}
    story.finish(story.run(done), "succeed", "done", "2 commits, pushed", tokens=88_000, evidence=evidence)
    story.do(lambda s: sessions.set_pr(s, "github.com/shoko/jigaido#8", "https://github.com/shoko/jigaido/pull/9", "x"))
    limited = story.enqueue("rewrite the docs", issue="github.com/shoko/jigaido#12")
    met = {"resets_at": "2026-11-24T11:30:00.000000Z", "tokens": 412_000, "cost": 1.25}
    story.finish(story.run(limited), "fail", "limited", "usage limit, resets 11:30", **met)
    story.agent = "command:another"  # the limit is not its
    for number, message in ((11, "mend the parser, which takes a tab for two blanks"), (4, "a page for the board")):
        story.enqueue(message, issue=f"github.com/shoko/kugetsu#{number}")
    story.enqueue("設計 of the log, in words that a reader understands at night", issue=LONG)
    for task in ("q3", "q4", "q5"):
        story.run(task, alive=True)
    story.enqueue("what comes then", issue="github.com/shoko/jigaido#9", after=["q3", "q5"])
    story.enqueue("with priority", issue="github.com/shoko/jigaido#10", priority=5)
    tool = b'{"type":"tool_use","timestamp":1795500000000,"part":{"tool":"bash","state":{"input":{"command":"%s"}}}}'
    output(kugetsu, "q3.1", b"I look at what is there first, and at the tests that fail", tool % (b"make check " * 9))
    (kugetsu.root / "env").mkdir(mode=0o700, exist_ok=True)
    (kugetsu.root / "env" / "default.env").write_text("GITEA_TOKEN=abcdefgh12345678\nNPM_TOKEN=x\n")
    (kugetsu.root / "env" / "dev.env").write_text("NPM_TOKEN=abcdefgh12345678\n")
    for file in (kugetsu.root / "env").iterdir():
        file.chmod(0o600)
    (kugetsu.root / "config").write_text("GIT_SERVERS=home=http://git.example.com\nMAX_CONCURRENT_AGENTS=3\n")
    return kugetsu


@pytest.fixture
def sad(kugetsu, story):
    """The stuck night, and after it: a task nobody starts, a broken session, a dead agent, and a daemon that died."""
    nights.stuck(story)
    story.at("2026-11-24T06:00:00.000000Z").enqueue("of a broken session", issue=LONG)
    attempt = story.claim("q8")
    story.do(
        lambda state: sessions.preparing(
            state, LONG, {"repository": "r", "source": "/s", "branch": "b", "agent": "opencode"}, attempt
        )
    )
    said = "cannot make the worktree: fatal: could not read Username for https://github.com: terminal prompts disabled"
    story.do(lambda state: sessions.broken(state, LONG, said))
    story.finish(attempt, "fail", "give_up", f"not started: {said} (hint: kugetsu env set GITHUB_TOKEN)")
    story.run(story.enqueue("an agent that dies", issue="github.com/shoko/kugetsu#20"))
    for lease in story.held:
        lease.release()
    story.held.clear()
    output(kugetsu, "q1.1", b"done")
    (kugetsu.root / "config").write_text("NOTIFY_SINKS=webhook,comment\nMAX_CONCURENT_AGENTS=3\nISSUE_MAX_COST=2\n")
    return kugetsu


#: Two repositories whose names differ in the middle only, on a forge and in a folder.
ALIKE = [
    "git.example.com/the-platform-team/billing-frontend-service#{}",
    "git.example.com/the-platform-team/billing-backend-service#{}",
    "local/repositories/a-checkout-that-has-a-long-name#{}",
]


@pytest.fixture
def alike(kugetsu, story):
    """Issues whose names are long and alike: at work, waiting, failed, parked, completed, lost to another."""
    story.at("2026-11-24T04:00:00.000000Z", "kugetsu queue-daemon").daemon()
    done, failed = (story.enqueue("tidy the imports", issue=name.format(1)) for name in ALIKE[:2])
    story.finish(story.run(done), "succeed", "done", "2 commits, pushed", tokens=88_000, evidence={"commits": 2})
    story.finish(story.run(failed), "fail", "give_up", "no such branch: main")
    story.finish(story.run(story.enqueue("the docs", issue=ALIKE[2].format(1))), "fail", "retry", "no network")
    for name in ALIKE:
        story.run(story.enqueue("mend the parser of the long name", issue=name.format(2)), alive=True)
        story.enqueue(f"what comes after {ALIKE[1].format(2)}", issue=name.format(3))
        story.enqueue("and then", issue=name.format(2))
    story.enqueue("what comes then", issue=ALIKE[2].format(4), after=["q2"])
    output(kugetsu, "q4.1", f"I look at {ALIKE[0].format(2)} first, and at its tests".encode())
    (kugetsu.root / "config").write_text("GIT_SERVERS=home=http://git.example.com\nMAX_CONCURRENT_AGENTS=3\n")
    return kugetsu


#: What the words of `SHOWN` stand for in each state.
PLACES = {
    "alike": {"TASK": "q3", "ISSUE": ALIKE[0].format(1), "EVENT": "12", "ATTEMPT": "q4.1"},
    "busy": {"TASK": "q6", "ISSUE": "shoko/kugetsu#11", "EVENT": "12", "ATTEMPT": "q3.1"},
    "sad": {"TASK": "q7", "ISSUE": "shoko/kugetsu#13", "EVENT": "47", "ATTEMPT": "q1.1"},
}


def shown(command: Any, state: str, width: int, calls: list[str]) -> dict[str, tuple[int, str, str]]:
    """What the commands print on a screen of that width: exit status, standard output, standard error."""
    places = PLACES[state]
    words = [[places.get(word, word) for word in call.split()] for call in calls]
    environment = {**command.environment, "COLUMNS": str(width)}
    done = subprocess.run(
        [sys.executable, "-c", _ALL, MORNING],
        input=json.dumps(words).encode(),
        capture_output=True,
        cwd=command.work,
        env=environment,
        timeout=120,
        check=True,
    )
    return {" ".join(call): tuple(result) for call, result in zip(words, json.loads(done.stdout), strict=True)}


#: What a terminal of 80 columns is left to wrap, so that it can be copied in one piece: paths; errors and the command
#: at the end of what is told beside.
COPIED = re.compile(r"\s*([✓!✗] )?\S*/\S+( is gone)?$|kugetsu: error: |hint: |\S*/config:2: |[a-z, .]*: kugetsu .*[/:]")
#: What a script takes or what is kept elsewhere is never folded.
VALUES = {"log seal", "config get MAX_ATTEMPTS", "env path", "server get", "server default"}


@pytest.mark.parametrize("width", [40, 60, 80])
@pytest.mark.parametrize("state", ["busy", "sad"])
def test_no_line_of_any_command_is_wider_than_the_screen(state, width, request):
    command = request.getfixturevalue(state)
    wide = []
    everything = [call for calls in SHOWN.values() for call in calls]
    for call, (code, out, err) in shown(command, state, width, everything).items():
        assert "this is a fault" not in err and code in (0, 1, 4, 5), f"{call}: {err}"
        rows = (out * (call not in VALUES) + err).splitlines()
        if width == 80:
            rows = [row for row in rows if not COPIED.match(row)]
        wide += [f"{call}: {columns(row)} columns: {row}" for row in rows if columns(row) > width]
    assert not wide, "\n".join(wide)


def test_each_command_is_one_that_shows_something_or_not():
    assert set(SHOWN) | ELSEWHERE == set(COMMANDS) and not set(SHOWN) & ELSEWHERE


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_the_number_of_an_issue_is_cut_at_no_width(alike, width):
    names = [name.format("")[:-1] for name in ALIKE]
    everything = [call for calls in SHOWN.values() for call in calls]
    bad = []
    for call, (_, out, err) in shown(alike, "alike", width, everything).items():
        for row in (out + err).splitlines():
            for word in row.split():
                before, mark, after = word.strip("('\"").partition("…")
                cut = mark and len(before) > 2 and any(before in (name[: len(before)], f"…{name}") for name in names)
                if cut and not re.search(r"#\d", after):
                    bad.append(f"{call}: {row}")
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_issues_whose_names_are_alike_can_be_told_apart(alike, width):
    for call in ("status", "list", "queue list", "timeline", "notify list"):
        text = shown(alike, "alike", width, [call])[call][1]
        assert len({*re.findall(r"\S+#2\b", text)}) >= len(ALIKE), f"{call}:\n{text}"


#: Those that are looked at first, at night.
FIRST = ["status", "queue list", "history ISSUE", "why TASK", "why q3"]


@pytest.mark.parametrize("state", ["busy", "sad"])
def test_on_a_telephone_nothing_useful_is_cut(state, request, snapshot):
    command = request.getfixturevalue(state)
    (command.root / "config").unlink()  # what is odd about it is told with the path of this test's folder
    told = shown(command, state, 40, FIRST)
    snapshot(f"narrow-{state}", "\n".join(f"$ kugetsu {call}\n{out}" for call, (_, out, _) in told.items()))
    wide = shown(command, state, 400, FIRST)
    for call, (_, out, _) in told.items():
        # Only the widest screens tell which command made a task, and titles of what stands below a row are left out.
        expected = re.sub(r"kugetsu [a-z ]+…|\b[A-Z]+\b", "", wide[call][1])
        lost = [word for word in expected.split() if word not in unfolded(out)]
        assert not lost, f"{call} lost {lost} in\n{out}"


def unfolded(text: str) -> str:
    """Without any white space: a word that was broken is whole again."""
    return "".join(text.split())


@pytest.mark.parametrize("state", ["busy", "sad"])
def test_a_command_is_cut_at_no_width(state, request):
    command = request.getfixturevalue(state)
    calls = ["status", "why TASK", "why q3", "history TASK"]
    whole = shown(command, state, 400, calls)
    for width in (40, 47, 60, 70, 80, 100):
        for call, (_, out, _) in shown(command, state, width, calls).items():
            text = re.sub("typed .*", "", whole[call][1])  # what somebody typed once is no command to be typed
            commands = re.findall(r"(?:^|  |: |, )(kugetsu [a-z][^:;,()…\n]*?)(?=  |[:;,()\n]|$)", text, re.M)
            missing = [one for one in commands if unfolded(one) not in unfolded(out)]
            assert commands and not missing, f"{call} at {width}: {missing} in\n{out}"


def test_a_terminal_says_how_wide_it_is(sad):
    """By the terminal itself, not by COLUMNS, and in colour."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    environment = {name: value for name, value in sad.environment.items() if name != "COLUMNS"}
    done = subprocess.Popen(
        [sys.executable, "-m", "kugetsu", "status"], stdout=slave, stderr=slave, env={**environment, "TERM": "xterm"}
    )
    os.close(slave)
    seen = b""
    while part := _read(master):
        seen += part
    assert done.wait(timeout=60) == 0
    os.close(master)
    rows = re.sub("\x1b\\[[0-9;]*m", "", seen.decode()).splitlines()
    assert b"\x1b[" in seen and any(row.strip() == "kugetsu why q7" for row in rows)
    assert all(columns(row) <= 40 for row in rows)


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65536)
    except OSError:  # the other side is closed
        return b""
