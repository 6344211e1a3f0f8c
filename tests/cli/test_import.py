"""`kugetsu import`: the dry run, the import, the second import, and what people see when files are broken."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.old_directory import HOST, REPOSITORY, TOKEN, OldDirectory, realistic
from runtime.repos import run

REF = f"{REPOSITORY}#14"


@pytest.fixture
def old(kugetsu):
    return realistic(kugetsu.folder / "old")


@pytest.fixture
def bare(kugetsu):
    """A directory of the bash tool with an index and base sessions, and nothing else yet."""
    return OldDirectory(kugetsu.folder / "old")


@pytest.fixture
def importing(kugetsu):
    """Import the test's old directory; the answer as JSON, by source."""

    def call(*options, code=0):
        done = kugetsu("import", "../old", "--json", *options)
        assert done.code == code, done
        return done.json

    return call


def item(plan, source):
    found = [one for one in plan["items"] if one["source"] == source]
    assert len(found) == 1, found or [one["source"] for one in plan["items"]]
    return found[0]


def fingerprint(folder):
    """Everything below a folder: names, kinds, sizes, contents, times of change."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = os.path.join(place, name)
            info = os.lstat(path)
            content = Path(path).read_bytes() if stat.S_ISREG(info.st_mode) else b""
            found[path] = (info.st_mode, info.st_mtime_ns, content)
    return found


def shown(kugetsu, done):
    """What a person sees, without the test's folder."""
    return (done.out + "--- stderr\n" + done.err).replace(str(kugetsu.folder), "/home/shoko")


def everything(kugetsu):
    """Every byte below KUGETSU_DIR, the env files left out."""
    return b"".join(
        path.read_bytes() for path in kugetsu.root.rglob("*") if path.is_file() and path.parent.name != "env"
    )


# --- what people see --------------------------------------------------------------------------------------------


def test_without_yes_it_shows_the_plan_and_changes_nothing(kugetsu, old, snapshot):
    before = fingerprint(old.root)
    done = kugetsu("import", "../old")
    assert done.code == 0
    snapshot("import-dry-run", shown(kugetsu, done))
    assert not kugetsu.root.exists() and fingerprint(old.root) == before
    assert kugetsu("import", "--dry-run", "../old").out == done.out


def test_with_yes_it_does_what_the_plan_said(kugetsu, old, snapshot):
    before = fingerprint(old.root)
    done = kugetsu("import", "../old", "--yes")
    assert done.code == 0
    snapshot("import", shown(kugetsu, done))
    assert fingerprint(old.root) == before
    sessions = {one["session"]: one for one in kugetsu("list", "--json").json["sessions"]}
    taken = sessions[REF]
    assert taken["state"] == "idle" and taken["branch"] == "fix/issue-14" and taken["agent_session"] == "ses_14abcDEF"
    assert taken["worktree"].startswith(str(old.root)) and taken["pr"] == f"https://{REPOSITORY}/pulls/15"
    assert kugetsu("config", "get", "MAX_CONCURRENT_AGENTS").out == "5\n"
    copied = kugetsu.root / "env" / "default.env"
    assert copied.read_text() == f"GITEA_TOKEN={TOKEN}\n" and stat.S_IMODE(copied.stat().st_mode) == 0o600
    assert (kugetsu.root / "pm-agent.md").read_text() == "# My own PM\n"
    assert kugetsu("log", "verify").code == 0


def test_a_second_import_appends_nothing_and_says_so(kugetsu, old, snapshot):
    assert kugetsu("import", "../old", "--yes").code == 0
    before = everything(kugetsu)
    snapshot("import-again", shown(kugetsu, kugetsu("import", "../old", "--yes")))
    assert everything(kugetsu) == before
    snapshot("import-again-dry-run", shown(kugetsu, kugetsu("import", "../old")))


def test_broken_files_are_named_and_the_rest_goes_on(kugetsu, bare, snapshot):
    bare.session(REF)
    bare.write("sessions/half.json", '{"type": "forked", ')
    bare.write("sessions/list.json", [1, 2])
    bare.write("queue/items/q_1.json", b'{"message": "\xff"}')
    bare.write("queue/items/q_2.json", "")
    bare.item("q_03", REF, "this one is whole")
    bare.item("q_04", "not a reference", "for whom")
    bare.item("q_05", REF, "   ")
    bare.item("q_06", REF, "moved", "sleeping")
    bare.write("notifications.json", {"not": "a list"})
    bare.write("repos.json", {"nonsense": "https://x", REF: 5, f"{REPOSITORY}#2": "ext::sh -c evil"})
    bare.write("config", "MAX_CONCURRENT_AGENTS=5\nif true; then MAX_ATTEMPTS=9; fi\n")
    bare.write("context/deep.json", "[" * 5000 + "]" * 5000)
    (bare.root / "context" / "loop.json").symlink_to("loop.json")
    os.mkfifo(bare.root / "context" / "pipe.json")
    dry = kugetsu("import", "../old")
    assert dry.code == 1
    snapshot("import-broken", shown(kugetsu, dry))
    done = kugetsu("import", "../old", "--yes")
    assert done.code == 1, done
    assert [task["issue"] for task in kugetsu("queue", "list", "--json").json["tasks"]] == [REF]
    assert kugetsu("config", "get", "MAX_CONCURRENT_AGENTS").out == "3\n"
    again = kugetsu("import", "../old", "--yes", "--json")
    assert again.code == 1 and again.json["counts"]["left"] == 6
    assert {one["outcome"] for one in again.json["items"]} == {"known", "left"}


def test_the_lines_fit_a_hundred_columns_but_for_paths(kugetsu, old):
    done = kugetsu("import", "../old")
    long = [line for line in (done.out + done.err).splitlines() if len(line) > 100 and "/" not in line]
    assert not long


def test_json_says_how_to_go_on(importing, kugetsu, old):
    plan = importing()
    assert plan["done"] is False and plan["initialises"] is True and plan["complete"] is True
    assert plan["next"] == f"kugetsu import --yes {old.root}"
    assert plan["counts"] == {"taken": 13, "kept": 10, "unclear": 0, "left": 0, "known": 0}
    assert [one["type"] for one in plan["unread"]] == ["task_blocked"]
    done = importing("--yes")
    assert done["done"] is True and all(one["seq"] for one in done["items"])
    assert importing("--yes")["counts"]["known"] == 23


# --- bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("directory", "code", "said"),
    [
        ("not/there", 4, "no such folder"),
        ("file", 3, "is not a folder"),
        ("empty", 3, "index.json, sessions/, queue/"),
        ("loop", 3, "is not a folder"),
        ("", 3, "DIR is not a path"),
    ],
)
def test_what_is_no_directory_of_the_bash_tool_is_refused(kugetsu, directory, code, said):
    (kugetsu.work / "file").write_text("")
    (kugetsu.work / "empty").mkdir()
    (kugetsu.work / "loop").symlink_to("loop")
    for options in ([], ["--yes"]):
        done = kugetsu("import", directory, *options)
        assert done.code == code and said in done.err and "hint: " in done.err, done
    assert not kugetsu.root.exists()


@pytest.mark.parametrize("place", ["in place", "elsewhere"])
def test_a_dry_run_lists_every_line_of_the_config_that_it_does_not_understand(kugetsu, old, place):
    config = old.root / "config"
    config.write_text("MAX_CONCURRENT_AGENTS=2\nif true; then\n  source x\nfi\nTASK_TIMEOUT_HOURS=many\n")
    before = fingerprint(old.root)
    more = {"KUGETSU_DIR": str(old.root)} if place == "in place" else {}
    done = kugetsu("import", "../old", "--dry-run", "--json", **more)
    told = " ".join(one["reason"] for one in done.json["items"] if one["source"] == "config" and one["reason"])
    assert all(number in told for number in "234"), told
    assert any(one["kind"] == "task" for one in done.json["items"]), "the rest of the plan is shown"
    if place == "in place":
        assert "line 5: TASK_TIMEOUT_HOURS" in told and done.json["next"] is None
    assert done.code == 1 and fingerprint(old.root) == before


def test_yes_and_dry_run_together_are_refused(kugetsu, old):
    done = kugetsu("import", "../old", "--yes", "--dry-run")
    assert done.code == 3 and "hint: " in done.err and not kugetsu.root.exists()


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_named(importing, bare):
    bare.session(REF).chmod(0)
    assert "permission denied" in item(importing(code=1), f"sessions/{HOST}-shoko-kugetsu-14.json")["reason"]


def test_names_that_are_no_utf8_do_no_harm(kugetsu, bare):
    path = os.fsencode(bare.root) + b"/queue/items/q_\xff.json"
    os.makedirs(os.path.dirname(path))
    with open(path, "w") as file:
        json.dump({"id": "q_1", "issue_ref": REF, "message": "hello", "state": "pending"}, file)
    done = kugetsu("import", "../old", "--yes", "--json")
    assert done.code == 0 and item(done.json, "queue/items/q_\\xff.json")["becomes"] == f"q1 for {REF}"


def test_a_huge_file_is_left_out(importing, bare):
    path = bare.write("notifications.json", "[]")
    with path.open("a") as file:
        file.truncate(65 << 20)
    assert item(importing(code=1), "notifications.json")["reason"] == "is over 64 MiB long"


# --- secrets ----------------------------------------------------------------------------------------------------


def test_no_secret_reaches_anything_but_the_env_files(kugetsu, bare):
    plain = "hunter2-hunter2"
    bare.write("env/default.env", f"GITEA_TOKEN={plain}\n")
    bare.write("config", f"GITHUB_TOKEN={TOKEN}\n")
    bare.write("repos.json", {REF: f"https://shoko:{TOKEN}@{REPOSITORY}.git"})
    bare.session(REF, pr_url=f"https://{TOKEN}@{REPOSITORY}/pulls/1", note=f"used {plain}")
    message = f"see https://shoko:{TOKEN}@{HOST}/wiki/page and answer; the old token was {plain}"
    bare.item("q_01", REF, message, api_token="zzz-not-a-shape")
    bare.write("notifications.json", [{"type": "task_error", "message": f"push failed: {TOKEN}", "read": False}])
    conversation = [{"role": "user", "content": f"GITEA_TOKEN={TOKEN} {plain}"}] * 2000
    bare.write("context/x.json", {"issue_ref": REF, "conversation_history": conversation})
    dry = kugetsu("import", "../old")
    done = kugetsu("import", "../old", "--yes", "--json")
    for secret in (TOKEN, plain, "zzz-not-a-shape"):
        assert secret not in dry.out + dry.err + done.out + done.err
        assert secret.encode() not in everything(kugetsu)
    assert plain in (kugetsu.root / "env" / "default.env").read_text()
    message = next(
        event["data"]["message"]
        for event in map(json.loads, kugetsu("history", "q1", "--json").out.splitlines())
        if event["type"] == "task.queued"
    )
    assert message.startswith(f"see https://{HOST}/wiki/page and answer; the old token was ")
    assert "a secret was removed from its message" in dry.out and "put it in env/default.env" in dry.out
    assert item(done.json, "repos.json")["becomes"] == f"repository {REPOSITORY}"


# --- in place, and going on -------------------------------------------------------------------------------------


def test_in_place_the_files_are_used_where_they_are(kugetsu, old):
    kugetsu.environment["KUGETSU_DIR"] = str(old.root)
    before = {path: one for path, one in fingerprint(old.root).items() if stat.S_ISREG(one[0])}
    done = kugetsu("import", "../old", "--yes", "--json")
    assert done.code == 0 and done.json["in_place"] and done.json["initialises"]
    assert any(f"chmod 600 {old.root}/env/default.env" in text for text in done.json["warnings"])
    assert any("MY_OWN" in text for text in done.json["warnings"])
    after = fingerprint(old.root)
    assert {path: after[path] for path in before} == before
    assert kugetsu("config", "get", "MAX_CONCURRENT_AGENTS").out == "5\n"
    assert {one["session"] for one in kugetsu("list", "--json").json["sessions"]} == {REF, f"{REPOSITORY}#16"}
    for task in ("q1", "q2", "q3", "q4"):
        kugetsu("queue", "cancel", task)
    (old.root / "env" / "default.env").chmod(0o600)
    kugetsu.agent("git commit -q --allow-empty -m work; echo done")
    done = kugetsu("continue", "--wait", REF, "go on")
    assert done.code == 0, done
    assert run(old.clone(), "log", "-1", "--format=%s", "fix/issue-14") == "work"
    again = kugetsu("import", "../old", "--yes", "--json").json
    assert set(again["counts"]) and {one["outcome"] for one in again["items"]} == {"known"}


def test_an_imported_session_goes_on_in_its_worktree(kugetsu, bare):
    bare.session(REF)
    clone = bare.clone()
    kugetsu.agent("pwd > where; git add where; git commit -qm work; echo done")
    assert kugetsu("import", "../old", "--yes").code == 0
    done = kugetsu("continue", "--wait", REF, "go on")
    assert done.code == 0, done
    worktree = bare.root / "worktrees" / f"{HOST}-shoko-kugetsu-14"
    assert (worktree / "where").read_text().strip() == str(worktree)
    assert run(clone, "log", "-1", "--format=%s", "fix/issue-14") == "work"
    assert kugetsu("list", "--json").json["sessions"][0]["worktree"] == str(worktree)


def test_tasks_come_in_the_order_in_which_they_waited(kugetsu, bare):
    bare.item("q_05", f"{REPOSITORY}#1", "third", pending_since="2026-10-03T09:00:00Z")
    bare.item("q_04", f"{REPOSITORY}#2", "first", pending_since=1_700_000_000)
    bare.item("q_06", f"{REPOSITORY}#3", "second", pending_since="2026-10-03T10:00:00+02:00")
    bare.item("q_02", f"{REPOSITORY}#5", "fifth", pending_since="lately")
    bare.item("q_01", f"{REPOSITORY}#4", "fourth", pending_since=None)
    assert kugetsu("import", "../old", "--yes").code == 0
    tasks = kugetsu("queue", "list", "--json").json["tasks"]
    assert [task["title"] for task in tasks] == ["first", "second", "third", "fourth", "fifth"]


# --- what still runs --------------------------------------------------------------------------------------------


@pytest.fixture
def opencode():
    """A process that looks like opencode; started in the folder that is given."""
    started = []

    def start(folder, name="opencode"):
        program = [name, "-c", "import time; time.sleep(120)"]
        process = subprocess.Popen(program, executable=sys.executable, cwd=folder)
        started.append(process)
        return process.pid

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_task_whose_agent_still_runs_is_left_and_taken_when_it_ended(importing, bare, opencode, tmp_path):
    pid = opencode(tmp_path)
    bare.item("q_01", REF, "do it", "notified", pid=pid)
    bare.item("q_02", f"{REPOSITORY}#15", "ended long ago", "notified", fork_pid=999_999_999)
    plan = importing("--yes", code=1)
    assert f"pid {pid}" in item(plan, "queue/items/q_01.json")["reason"]
    assert item(plan, "queue/items/q_01.json")["outcome"] == "left"
    gone = item(plan, "queue/items/q_02.json")
    assert gone["becomes"] == f"q1 for {REPOSITORY}#15" and "is no longer running" in gone["notes"][0]
    bare.item("q_01", REF, "do it", "notified", pid=999_999_999)
    assert item(importing("--yes"), "queue/items/q_01.json")["becomes"] == f"q2 for {REF}"


def test_a_session_in_whose_worktree_an_agent_works_is_left_with_its_tasks(importing, bare, opencode):
    bare.session(REF)
    pid = opencode(bare.root / "worktrees" / f"{HOST}-shoko-kugetsu-14")
    bare.item("q_01", REF, "the next one")
    plan = importing("--yes", code=1)
    assert [one["outcome"] for one in plan["items"] if "14" in one["source"] or "q_01" in one["source"]] == ["left"] * 2
    assert f"pid {pid}" in item(plan, "queue/items/q_01.json")["reason"]


def test_a_lock_that_is_held_keeps_its_session(importing, bare, opencode, tmp_path):
    bare.session(REF)
    pid = opencode(tmp_path)
    bare.write("locks/x.lock", f"{pid}:ses_14abcDEF:1700000000\n")
    plan = importing(code=1)
    assert item(plan, f"sessions/{HOST}-shoko-kugetsu-14.json")["outcome"] == "left"
    assert any("locks/x.lock" in text and str(pid) in text for text in plan["warnings"])


def test_a_pid_that_is_another_programs_by_now_is_not_taken_for_an_agent(importing, bare, opencode, tmp_path):
    pid = opencode(tmp_path, name="editor")
    bare.session(REF)
    bare.write("locks/x.lock", f"{pid}:ses_14abcDEF:1700000000\n")
    bare.item("q_01", REF, "do it", "notified", pid=pid)
    plan = importing()
    assert item(plan, "queue/items/q_01.json")["outcome"] == "taken"
    assert any("another program" in text for text in plan["warnings"])


def test_no_task_is_taken_while_the_old_daemon_runs(importing, bare, opencode, tmp_path):
    pid = opencode(tmp_path, name="kugetsu-queue-daemon")
    bare.write("queue/daemon.pid", f"{pid}\n")
    bare.item("q_01", REF, "do it")
    plan = importing("--yes", code=1)
    assert "daemon is still running" in item(plan, "queue/items/q_01.json")["reason"]
    assert any("daemon is running" in text for text in plan["warnings"])


def test_in_a_folder_of_the_bash_tool_the_import_is_the_hint_until_it_is_done(kugetsu):
    realistic(kugetsu.root)
    (kugetsu.root / "env" / "default.env").chmod(0o600)
    command = f"kugetsu import {kugetsu.root}"
    assert f"next  {command}\n" in kugetsu("status").out
    for words in (("env", "set", "A", "x"), ("list",), ("queue", "enqueue", "a/b#1", "x"), ("queue-daemon", "start")):
        assert f"hint: {command}\n" in kugetsu(*words).err, words
    assert kugetsu("list", "--json").json["error"]["hint"] == command
    assert f"left here: {command}\n" in kugetsu("init").err
    assert f"left here: {command}\n" in kugetsu("queue", "list").err
    assert kugetsu("import", "--yes", str(kugetsu.root)).code == 0
    assert "left here" not in kugetsu("queue", "list").err + kugetsu("init").err
