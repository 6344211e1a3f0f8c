"""Planted secrets, end to end: an agent tells its token in every way it can; nothing that is kept or shown has it."""

from __future__ import annotations

import base64
import json
import os
import tarfile
import threading
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

import forkserver
from kugetsu.domain.decide.queue import title_of
from kugetsu.domain.new_event import NewEvent
from kugetsu.log.files.append import Appender
from kugetsu.redaction import funnel, known_values
from kugetsu.runtime import env_files
from kugetsu.runtime.workspace import open_workspace
from runtime.stage import COMMIT, UNTIL_GO, Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]

#: No shape tells the first from a commit's name, and the second from a word.
TOKEN = "7f2a9c41d0b3e86f5a7c1d92e4b608f3a1c5d7e9"
PASSWORD = "correct-horse/battery"
SHAPED = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"

FORMS = {
    "token": TOKEN,
    "half a token": TOKEN[:14],
    "its end": TOKEN[-14:],
    "password": PASSWORD,
    "password in a URL": urllib.parse.quote(PASSWORD, safe=""),
    "base64": base64.b64encode(TOKEN.encode()).decode()[4:40],
    "basic": base64.b64encode(f"me:{TOKEN}".encode()).decode()[8:48],
    "hex": TOKEN.encode().hex(),
    "shape": SHAPED,
    "key": "MIIEvQIBADANBgkqhkiG9w0BAQ",
}

TELL = r"""
cat > "$STAGE/prompt"
echo "the token is $GITEA_TOKEN, the password is $DB_PASSWORD"
env
echo "https://me:$GITEA_TOKEN@git.example.com/o/r.git"
echo "Authorization: token $GITEA_TOKEN"
echo "{\"token\": \"$GITEA_TOKEN\", \"note\": \"$DB_PASSWORD\"}"
printf '%s' "$GITEA_TOKEN" | base64 -w0; echo
printf '%s' "me:$GITEA_TOKEN" | base64 -w0; echo
printf '%s' "$GITEA_TOKEN" | od -An -tx1 | tr -d ' \n'; echo
echo "$GITEA_TOKEN" | fold -w 17
key=MIIEvQIBADANBgkqhkiG9w0BAQ
printf -- "-----BEGIN PRIVATE KEY-----\n$key\n$key\n-----END PRIVATE KEY-----\n"
echo "password=correct-horse%2Fbattery" >&2
echo "curl -u me:$GITEA_TOKEN; export OTHER_TOKEN=ghp_abcdefghijklmnopqrstuvwxyz0123456789" >&2
i=0; while [ $i -lt 9 ]; do echo "padding $i before $GITEA_TOKEN $DB_PASSWORD" >&2; i=$((i+1)); done
"""
IN_GIT = r"""
echo x > "file-$GITEA_TOKEN"
echo y > "other-$GITEA_TOKEN"; git add "file-$GITEA_TOKEN"
git commit -qm "$(printf '%0180d: a subject that is cut within %s' 7 "$GITEA_TOKEN")"
git checkout -q -b "branch-$GITEA_TOKEN"
"""


def plant(stage: Stage) -> None:
    path = stage.directory / "env" / "default.env"
    path.write_text(f"GITEA_TOKEN={TOKEN}\nDB_PASSWORD='{PASSWORD}'\n")
    path.chmod(0o600)


def kugetsu(stage: Stage, *words: str, check: bool = True) -> bytes:
    """What a command prints, on both ways."""
    environment = {**os.environ, "COLUMNS": "100"}
    done = forkserver.shared(environment).run(words, input=b"", cwd=stage.repository, env=environment, timeout=60)
    assert not check or done.returncode in (0, 1), done
    return done.stdout + done.stderr


def held(text: bytes | str) -> list[str]:
    """Which of the planted forms a text has, also when a JSON string or a table wraps it."""
    plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    squeezed = "".join(plain.replace("\\n", "").split())
    return [name for name, form in FORMS.items() if form in plain or (len(form) > 20 and form in squeezed)]


def below(folder: Path) -> dict[str, list[str]]:
    """The files below a folder that hold a planted secret."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (forms := held(path.read_bytes())):
            found[str(path.relative_to(folder))] = forms
    return found


COMMANDS = (
    ("history", "--all"),
    ("history", "--all", "--json"),
    ("history", "q1"),
    ("why", "q1"),
    ("why", "q1", "--json"),
    ("list", "--all", "--json"),
    ("list", "--all"),
    ("status",),
    ("status", "--json"),
    ("queue", "list", "--all"),
    ("queue", "list", "--all", "--json"),
    ("replay", "--json"),
    ("logs", "q1.1"),
    ("logs", "q1.1", "--json"),
    ("logs", "q1.1", "--raw"),
    ("notify", "list", "--all"),
    ("notify", "list", "--all", "--json"),
    ("queue-daemon", "logs"),
    ("config", "list", "--json"),
    ("env",),
    ("env", "list", "--json"),
    ("env", "check"),
    ("doctor",),
    ("doctor", "--json"),
)


def test_an_agent_that_tells_its_secrets_in_every_way_tells_nobody_but_its_transcript(stage: Stage) -> None:
    plant(stage)
    stage.configure(MAX_ATTEMPTS="1")
    stage.agent(TELL + IN_GIT + 'echo "I failed: $GITEA_TOKEN"; echo "the last word: $GITEA_TOKEN" >&2; exit 3\n')
    stage.start(1)
    assert stage.finished("q1") == "error"
    assert stage.events("attempt.failed")[0]["data"]["evidence"]["commits"] == 1
    stage.start_daemon()
    for words in COMMANDS:
        assert held(kugetsu(stage, *words)) == [], words
    # The transcript is the agent's own; it is its owner's alone, as is everything below KUGETSU_DIR.
    assert set(below(stage.directory / "runs")) == {"q1.1/output.jsonl", "q1.1/stderr.log"}
    assert stage.directory.stat().st_mode & 0o077 == 0
    for folder in ("log", "logs", "leases"):
        assert below(stage.directory / folder) == {}
    assert "[redacted]" in str(stage.events("attempt.failed")[0]["data"])


def test_a_success_quotes_nothing_secret_either(stage: Stage) -> None:
    plant(stage)
    stage.agent(TELL + IN_GIT + 'echo "done with $GITEA_TOKEN"\n')
    stage.start(1)
    assert stage.finished("q1") == "completed"
    assert below(stage.directory / "log") == {}
    data = stage.events("attempt.succeeded")[0]["data"]
    assert "[redacted]" in data["evidence"]["subject"] + str(data["evidence"]["names"])
    assert held(json.dumps(data)) == []


def test_while_it_works_its_last_words_are_shown_without_them(stage: Stage) -> None:
    plant(stage)
    stage.agent('echo "I push with $GITEA_TOKEN and go on, and on, and on"\n' + UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    for words in (("status",), ("status", "--json"), ("list", "--json"), ("logs", "q1.1")):
        shown = kugetsu(stage, *words)
        assert b"I push with" in shown or words[0] == "list", shown
        assert held(shown) == [], words
    stage.go()
    stage.finished("q1")


def test_a_stall_is_told_without_what_the_agent_said_last(stage: Stage) -> None:
    plant(stage)
    stage.configure(TASK_STALL_MINUTES="0.02", MAX_ATTEMPTS="1")
    stage.agent('echo "I wait for $GITEA_TOKEN"; sleep 60\n')
    stage.start(1)
    assert stage.finished("q1") == "error"
    assert "stalled" in (stage.state.tasks["q1"].reason or "")
    assert below(stage.directory / "log") == {}


def test_a_secret_in_the_message_reaches_the_agent_whole_and_no_screen(stage: Stage) -> None:
    message = f"push with {SHAPED} to the server"
    shown = kugetsu(stage, "queue", "enqueue", f"{stage.name}#1", message)
    assert b"seems to contain a secret" in shown and held(shown) == []
    stage.agent('cat > "$STAGE/prompt"\n')
    stage.start_daemon()
    assert stage.finished("q1") == "completed"
    assert SHAPED in stage.file("prompt")
    for words in (*COMMANDS, ("history", "q1", "--json")):
        assert held(kugetsu(stage, *words)) == [], words


@pytest.mark.parametrize(
    ("file", "better"),
    [("default.env", "write $FOO_TOKEN in the message"), ("notify.env", "kugetsu env set NAME")],
)
def test_a_value_of_an_env_file_in_the_message_is_warned_of_by_its_name(stage: Stage, file: str, better: str) -> None:
    """No shape tells that one: only who knows the env files can warn."""
    path = stage.directory / "env" / file
    path.write_text(f"FOO_TOKEN={TOKEN}\nHOST=example\n")
    path.chmod(0o600)
    for words in (("queue", "enqueue", f"{stage.name}#1"), ("delegate",)):
        shown = kugetsu(stage, *words, f"push with {TOKEN} to example")
        assert f"contains the value of FOO_TOKEN ({file})".encode() in shown and better.encode() in shown
        assert held(shown) == []
    stage.agent('cat > "$STAGE/prompt"\n')
    stage.start_daemon()
    assert stage.finished("q1") == "completed"
    assert TOKEN in stage.file("prompt")


def test_an_ordinary_message_is_not_warned_of(stage: Stage) -> None:
    shown = kugetsu(stage, "queue", "enqueue", f"{stage.name}#1", "fix the tokenizer: it takes 3 tokens too many")
    assert b"secret" not in shown


def test_git_that_quotes_a_url_with_a_password_is_not_quoted(stage: Stage) -> None:
    plant(stage)
    stage.hook("post-checkout", f'echo "fatal: https://me:{TOKEN}@host/x {PASSWORD}" >&2; exit 1\n')
    stage.start(1)
    stage.until(lambda: stage.state.tasks["q1"].state in ("error", "completed", "pending"))
    assert below(stage.directory / "log") == {}
    assert below(stage.directory / "runs") == {}


def test_a_bundle_has_none_of_them(stage: Stage, tmp_path: Path) -> None:
    plant(stage)
    stage.configure(MAX_ATTEMPTS="1")
    stage.agent(TELL + IN_GIT + 'echo "no: $GITEA_TOKEN" >&2; exit 1\n')
    kugetsu(stage, "queue", "enqueue", f"{stage.name}#1", f"the message has {SHAPED} and {TOKEN} in it")
    stage.start_daemon()
    assert stage.finished("q1") == "error"
    with (stage.directory / "logs" / "daemon.log").open("a") as file:
        file.write(f"a line of before: {TOKEN}\n")
    for words in ((), ("--no-messages",)):
        path = tmp_path / f"bundle{len(words)}.tar.gz"
        assert held(kugetsu(stage, "doctor", "--bundle", str(path), *words)) == []
        assert path.stat().st_mode & 0o777 == 0o600
        with tarfile.open(path) as archive:
            files = {member.name: archive.extractfile(member) for member in archive}
            texts = {name: file.read() for name, file in files.items() if file is not None}
        assert {name: held(text) for name, text in texts.items() if held(text)} == {}
        assert ("attempts/q1.1/stderr.log" in texts) == (not words)
        assert (b"the message has" in texts["log.jsonl"]) == (not words)


# --- the guard at the log's entrance ----------------------------------------------------------------------------------


def test_no_event_is_appended_with_a_secret_whoever_wrote_it(stage: Stage) -> None:
    plant(stage)
    data = {
        "signalled": 1,
        "killed": 0,
        "reason": f"it said {TOKEN}",
        "more": [{"deep": f"https://me:x{PASSWORD[:4]}@host/"}],
        "count": 3,
    }
    for event in (
        stage.ws.log.append([NewEvent("orphans.ended", data)])[0],
        stage.ws.log.transact(lambda _: [NewEvent("orphans.ended", data)])[0],
    ):
        assert event["data"]["reason"] == "it said [redacted]"
        assert event["data"]["more"] == [{"deep": "https://[redacted]@host/"}]
        assert event["data"]["count"] == 3
    assert below(stage.directory / "log") == {}


def test_the_command_of_an_event_is_guarded_too(stage: Stage) -> None:
    plant(stage)
    kugetsu(stage, "config", "set", "KUGETSU_AGENT_COMMAND", f"my-agent {TOKEN}")
    event = stage.events("setting.changed")[-1]
    assert "my-agent [redacted]" in event["by"]["cmd"] and event["data"]["new"] == "my-agent [redacted]"


def test_the_command_that_mends_a_torn_tail_is_guarded_too(stage: Stage) -> None:
    plant(stage)
    segment = max((stage.directory / "log").glob("*.jsonl"))
    segment.write_bytes(segment.read_bytes() + b'{"seq":99,"at":"2026')
    kugetsu(stage, "config", "set", "KUGETSU_AGENT_COMMAND", f"my-agent {TOKEN}")
    event = stage.events("log.repaired")[-1]
    assert event["by"]["cmd"].endswith("my-agent [redacted]")
    assert below(stage.directory / "log") == {}


def test_the_env_files_are_read_before_the_logs_lock_is_taken(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(stage)
    held: list[bool] = []
    looked: list[bool] = []
    acquire, release, read = Appender.acquire, Appender.release, env_files.read_file

    def acquired(appender: Appender) -> None:
        acquire(appender)
        held.append(True)

    def released(appender: Appender) -> None:
        held.clear()
        release(appender)

    def noted(path: str) -> str:
        looked.append(bool(held))
        return read(path)

    monkeypatch.setattr(Appender, "acquire", acquired)
    monkeypatch.setattr(Appender, "release", released)
    monkeypatch.setattr(env_files, "read_file", noted)
    ws = open_workspace(os.environ, "test")
    ws.log.transact(lambda _: [NewEvent("orphans.ended", {"signalled": 1, "killed": 0})])
    ws.close()
    assert looked and not any(looked)


TITLES = {
    "known": f"use {TOKEN} for it",
    "shape": f"use {SHAPED} for it",
    "cut": "x" * 90 + f" {SHAPED} for it",
    "url": "y" * 70 + " https://me:hunter22-and-more@example.com/o/r.git",
    "mark cut": "z" * 93 + f" {SHAPED} " + "w" * 50,
    "padded": " " * 3000 + f"use {TOKEN}",
    "harmless": "a message that is longer than a title may be, and says nothing that is secret: " + "why " * 20,
}


@pytest.mark.parametrize("name", TITLES)
def test_the_title_of_a_task_is_kept_without_the_secrets_of_its_message(stage: Stage, name: str) -> None:
    plant(stage)
    message = TITLES[name]
    task = stage.enqueue(1, message)
    (queued,) = stage.events("task.queued")
    data = queued["data"]
    assert data["message"] == message, "its agent gets it whole"
    assert not held(data["title"]) and "ghp_" not in data["title"] and "hunter22" not in data["title"]
    assert len(data["title"]) <= 100
    assert ("[redacted]" in data["title"] or title_of(message) == data["title"]) and stage.state.tasks[task].title
    # Every decision on it is decided again the same: when it is undone, and when it comes back.
    assert b"differ" not in kugetsu(stage, "replay", "--verify")
    kugetsu(stage, "queue", "cancel", task)
    kugetsu(stage, "undo", "--yes", str(stage.events("task.cancelled")[0]["seq"]))
    assert stage.state.tasks[task].state == "pending" and stage.state.tasks[task].title == data["title"]


def test_what_kugetsu_needs_again_is_kept_as_it_is(stage: Stage) -> None:
    """A value that is also a part of a path must not break the path."""
    path = stage.directory / "env" / "default.env"
    path.write_text("A_TOKEN=sample\nB_SECRET=kugetsu\nC_PASSWORD=worktrees\n")
    path.chmod(0o600)
    stage.agent(COMMIT)
    stage.start(1)
    assert stage.finished("q1") == "completed"
    session = stage.state.sessions[str(stage.ref(1))]
    assert session.worktree is not None and os.path.isdir(session.worktree)
    assert session.repository == stage.name


def test_what_a_kind_exempts_are_fields_of_its_shape() -> None:
    from kugetsu.domain.events import CATALOGUE
    from kugetsu.domain.events.declaration import ALL, keys

    for kind in CATALOGUE.values():
        assert kind.exempt == ALL or set(kind.exempt.split()) <= keys(kind.shape).keys(), kind.name


def test_a_rotated_secret_is_still_known(stage: Stage) -> None:
    plant(stage)
    stage.agent('echo "$GITEA_TOKEN"\n' + UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    path = stage.directory / "env" / "default.env"
    path.write_text(f"GITEA_TOKEN={TOKEN[::-1]}\n")

    def known(value: str) -> Any:
        return funnel.redact(f"x {value}") == "x [redacted]"

    stage.until(lambda: known(TOKEN[::-1]))
    assert known(TOKEN)
    stage.go()
    stage.finished("q1")


@pytest.mark.parametrize("writers", [4])
def test_the_funnel_serves_several_threads(stage: Stage, writers: int) -> None:
    plant(stage)
    told: list[str] = []

    def tell(number: int) -> None:
        for _ in range(50):
            told.append(funnel.redact(f"{number} {TOKEN} password={SHAPED}", [PASSWORD, str(number) * 8]))

    assert stage.ws  # tells the funnel of the directory's secrets
    known_values.refresh()
    threads = [threading.Thread(target=tell, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 50 * writers and held("\n".join(told)) == []
