"""Planted secrets in all that the loop reads and runs: nothing that is kept or shown has them; the rest is there."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from forge.scripted import ScriptedForge
from runtime.forged import PUSH, REPOSITORY, forge, forged, no_observer_is_left
from runtime.stage import COMMIT, Stage, bare_stage, stage
from runtime.test_loop_story import LABEL, after, loop, opened
from runtime.test_secrets import PASSWORD, SHAPED, TOKEN, below, held, kugetsu

__all__ = ["bare_stage", "forge", "forged", "loop", "no_observer_is_left", "stage"]

TOLD = f"{TOKEN} {SHAPED} password={PASSWORD}"
#: What each of the texts says beside its secrets.
WORDS = {
    "body": "the login takes nine seconds",
    "set-up": "leftpad is not in the registry",
    "verification": "two is not three",
    "check": "the build is red",
    "review": "rename the function",
    "remark": "and test this line",
    "comment": "mind the gap",
}


def text(name: str) -> str:
    return f"{WORDS[name]}, said with {TOLD}"


SHOWN = (
    ("history", "--all"),
    ("history", "--all", "--json"),
    ("log", "export"),
    ("log", "export", "--otlp"),
    ("queue", "list", "--all", "--json"),
    ("report", "--all", "--json"),
    ("status", "--json"),
    ("notify", "list", "--all", "--json"),
    ("timeline", "--json"),
    ("diff", "1", "--json"),
    ("audit", "--json"),
    ("replay", "--json"),
)


@pytest.fixture
def told(loop: Stage, forge: ScriptedForge) -> Stage:
    """A loop in which everybody tells secrets: q1 is of one issue, whose turns are those about a verification, then a
    check, a review, a remark and a comment; the worktree of another issue cannot be made ready."""
    with (loop.directory / "env" / "default.env").open("a") as file:
        file.write(f"EXTRA_TOKEN={TOKEN}\nDB_PASSWORD='{PASSWORD}'\n")
    scripts = {
        "set-up": f'case "$PWD" in *[!0-9]15) echo "{text("set-up")}" >&2; exit 7;; esac\n',
        "verify": f'grep -q q1 work || exit 0\necho "Error: {text("verification")}"; exit 1\n',
    }
    for name, script in scripts.items():
        (loop.folder / f"{name}.sh").write_text(script)
    loop.configure(WORKTREE_SETUP=f"sh {loop.folder}/set-up.sh", VERIFY_COMMAND=f"sh {loop.folder}/verify.sh")
    loop.agent(COMMIT + PUSH)
    loop.start_daemon()
    for number in (14, 15):
        forge.issue(REPOSITORY, number, title="Login is slow", body=text("body"), author="bob")
        forge.label(REPOSITORY, number, LABEL, by="bob")
    loop.wait("task.parked")
    loop.wait("attempt.succeeded", count=2)
    number = opened(loop, forge)
    turn = next(event["task"] for event in loop.events("task.queued") if "reaction" in event["data"])
    head = after(loop, turn)
    loop.until(lambda: forge.head_of(REPOSITORY, number) == head)
    log = f"Error: {text('check')}\n"
    forge.check(REPOSITORY, head, "build", "failure", job=True, steps=[("make", "failure")], log=log)
    review = forge.review(REPOSITORY, number, "changes_requested", body=text("review"))
    forge.remark(REPOSITORY, number, text("remark"), path="work", line=1, review=review)
    forge.say(REPOSITORY, number, f"@kugetsu-bot: {text('comment')}", author="bob")
    kinds = {"verification", "checks", "reviews", "comments"}
    seen = lambda: {item["kind"] for event in loop.events("feedback.seen") for item in event["data"]["items"]}  # noqa: E731
    loop.until(lambda: seen() >= kinds)
    loop.until(lambda: not loop.state.attempts and not any(task.attempt for task in loop.state.tasks.values()))
    loop.kill_daemon()
    return loop


def test_what_the_loop_reads_and_runs_tells_no_secret_and_keeps_the_rest(told: Stage, tmp_path: Path) -> None:
    assert [(event["seq"], event["type"]) for event in told.events() if held(str(event))] == []
    assert below(told.directory / "log") == {}
    kept = "".join(path.read_text() for path in (told.directory / "log").glob("*.jsonl"))
    assert [name for name, words in WORDS.items() if words not in kept] == []
    for words in SHOWN:
        assert held(kugetsu(told, *words)) == [], words
    shown = kugetsu(told, "history", "--all", "--json").decode()
    assert [name for name, words in WORDS.items() if words not in shown] == []
    assert WORDS["set-up"] in kugetsu(told, "why", f"{told.name}#15").decode()
    path = tmp_path / "bundle.tar.gz"
    assert held(kugetsu(told, "doctor", "--bundle", str(path))) == []
    with tarfile.open(path) as archive:
        files = {member.name: archive.extractfile(member) for member in archive}
        texts = {name: file.read() for name, file in files.items() if file is not None}
    assert {name: held(one) for name, one in texts.items() if held(one)} == {}
    bundled = b"".join(texts.values()).decode("utf-8", "replace")
    assert [name for name, words in WORDS.items() if words not in bundled] == []
