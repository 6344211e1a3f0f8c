"""`kugetsu doctor`: every finding has its remedy, nothing broken breaks the rest, and a bundle holds no secret."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile

import pytest

from cli.test_json_shapes import compare, documented
from kugetsu.domain.decide import notifications
from kugetsu.runtime.doctor.examination import GROUPS
from kugetsu.runtime.process.lease import Lease
from runtime.servers import GitServer, serving

TOKEN = "7f2a9c41d0b3e86f5a7c1d92e4b608f3a1c5d7e9"


@pytest.fixture
def made(kugetsu):
    """Set up, with a name to commit by, the settings in the file."""
    (kugetsu.folder / ".gitconfig").write_text("[user]\n\tname = Shoko\n\temail = shoko@example.org\n")
    assert kugetsu("init").code == 0
    for key in ("KUGETSU_AGENT", "KUGETSU_AGENT_COMMAND"):
        assert kugetsu("config", "set", key, kugetsu.environment.pop(key)).code == 0
    return kugetsu


def found(kugetsu, *words, **more):
    """The findings, by group and name; of several with one name the worst."""
    shown = kugetsu("doctor", *words, "--json", **more)
    worst = {}
    levels = ["ok", "skipped", "warning", "problem"]
    for one in sorted(shown.json["findings"], key=lambda one: levels.index(one["level"])):
        worst[one["group"], one["name"]] = one
    assert shown.code == (0 if shown.json["ok"] else 1)
    assert shown.json["ok"] == all(one["level"] != "problem" for one in worst.values())
    return worst


def told(text, kugetsu):
    """A screen without what differs from machine to machine."""
    text = text.replace(str(kugetsu.root), "ROOT")
    text = re.sub(r"[\d.]+ [GM]B of disk", "99 GB of disk", text)
    text = re.sub(r"\d+ of \d+ MB of memory", "8000 of 9000 MB of memory", text)
    text = re.sub(r"git version \S+", "git version 2.39", text)
    text = re.sub(r"processes \(\w+\)", "processes (ext4)", text)
    return re.sub(r"\d+ cores?", "4 cores", text)


def test_a_fresh_directory_is_well(made, snapshot, fits):
    assert fits(made("doctor", COLUMNS="100").out, 100)
    shown = made("doctor", COLUMNS="300")  # where no line is folded, whatever the test's directory is called
    assert shown.code == 0, shown
    text = told(shown.out, made)
    machine = text.index("machine\n")
    login = re.compile(r"  [✓!✗-] (no systemd|lingering|your processes|loginctl).*\n(    .*\n)*")
    snapshot("doctor", login.sub("  (login)\n", text[:machine]))
    assert [line for line in text.splitlines() if line and line[0].isalpha()] == list(GROUPS)


def test_json_has_the_documented_shape(made):
    compare(made("doctor", "--json").json, documented("doctor"))


def test_before_init_it_says_so_and_examines_the_rest(kugetsu):
    seen = found(kugetsu)
    assert seen["directory", "exists"]["level"] == "problem" and seen["directory", "exists"]["fix"] == "kugetsu init"
    assert seen["git", "program"]["level"] == "ok" and seen["agent", "check"]["level"] == "ok"
    assert not kugetsu.root.exists()


def test_before_init_an_agent_that_makes_folders_makes_none_there(kugetsu):
    program = kugetsu.folder / "opencode"
    program.write_text("#!/bin/sh\necho 1.18.33\n")
    program.chmod(0o755)
    seen = found(kugetsu, KUGETSU_AGENT="opencode", KUGETSU_OPENCODE=str(program))
    assert seen["agent", "check"]["level"] == "ok", seen
    assert not kugetsu.root.exists()


@pytest.mark.parametrize(
    ("sink", "fix"),
    [
        ("command", "kugetsu config set NOTIFY_COMMAND '…'"),
        ("webhook", "kugetsu env set --agent notify NOTIFY_WEBHOOK_URL"),
        ("desktop", "fix that, or disable it: kugetsu config set NOTIFY_SINKS 'comment'"),
    ],
)
def test_a_sink_that_is_not_set_up_is_told_with_what_sets_it_up(made, sink, fix):
    made("config", "set", "NOTIFY_SINKS", f"{sink} comment")
    assert found(made)["notifications", sink]["fix"] == fix


def test_a_daily_report_that_reaches_nobody_is_told(made):
    made("config", "set", "NOTIFY_REPORT_AT", "7:00")
    assert found(made)["notifications", "report"]["fix"] == "kugetsu config set NOTIFY_SINKS desktop"
    made("config", "set", "NOTIFY_SINKS", "comment")
    assert found(made)["notifications", "report"]["level"] == "warning"
    made("config", "set", "NOTIFY_REPORT_ISSUE", "nonsense")
    assert found(made)["notifications", "report issue"]["level"] == "problem"
    made("config", "set", "NOTIFY_REPORT_ISSUE", "owner/project#1")
    assert found(made)["notifications", "report"]["text"] == "the report is sent each day at 07:00"


@pytest.mark.parametrize("again", [True, False])
def test_a_sink_whose_last_delivery_failed_is_told_with_its_answer(kugetsu, story, again):
    kugetsu.environment |= {"NOTIFY_SINKS": "command", "NOTIFY_COMMAND": "false"}
    story.do(lambda state: notifications.enable(state, "command"))
    story.enqueue()
    upto = story.log.head().seq
    batch = notifications.Batch("all", [upto])
    sending = story.do(lambda state: notifications.sending(state, "command", [batch], upto - 1, upto))[0]
    delivery = sending["data"]["delivery"]
    story.do(lambda state: notifications.failed(state, "command", delivery, "exit 1", now=story.time, again=again))
    told = found(kugetsu)["notifications", "command"]
    assert told["level"] == "warning" and told["fix"] == "kugetsu notify test command"
    assert "failed: exit 1" in told["text"]


def test_an_env_file_that_is_broken_is_told_once_for_all_servers(made):
    made("config", "set", "GIT_SERVERS", "a=https://git.a.example b=https://git.b.example")
    made("env", "set", "GITEA_TOKEN", TOKEN)
    (made.root / "env" / "default.env").chmod(0o604)
    shown = made("doctor", "--json").json["findings"]
    assert len([one for one in shown if one["group"] == "forge" and one["level"] == "problem"]) == 1


def test_a_server_that_is_not_asked_is_told_with_what_lets_it_be_asked(made):
    for host in ("git.a.example", "github.com"):
        clone = made.work / host
        subprocess.run(["git", "init", "-q", str(clone)], check=True)
        subprocess.run(["git", "-C", str(clone), "remote", "add", "origin", f"https://{host}/o/r.git"], check=True)
        assert made("init", "--repo", str(clone)).code == 0
    seen = found(made)
    assert seen["forge", "git.a.example"]["fix"] == "kugetsu server add git.a.example https://git.a.example"
    assert seen["forge", "github.com"]["fix"].startswith("kugetsu env set GITHUB_TOKEN, or: kugetsu server add ")


def test_it_changes_nothing_unless_asked(made):
    (made.root / "env" / "default.env").chmod(0o644)
    before = {path: (path.stat().st_mode, path.stat().st_mtime_ns) for path in made.root.rglob("*") if path.is_file()}
    made("doctor")
    after = {path: (path.stat().st_mode, path.stat().st_mtime_ns) for path in made.root.rglob("*") if path.is_file()}
    assert after == before


def a_file_in_its_place(kugetsu):
    subprocess.run(["rm", "-r", str(kugetsu.root)], check=True)
    kugetsu.root.write_text("")


def others_may_look(kugetsu):
    kugetsu.root.chmod(0o755)


def a_nonsense_line(kugetsu):
    with (kugetsu.root / "config").open("a") as file:
        file.write("what is this\n")


def an_unreadable_config(kugetsu):
    (kugetsu.root / "config").write_bytes(b"\xff\xfe")


def an_impossible_value(kugetsu):
    with (kugetsu.root / "config").open("a") as file:
        file.write("MAX_ATTEMPTS=many\n")


def an_unknown_key(kugetsu):
    with (kugetsu.root / "config").open("a") as file:
        file.write("MAX_CONCURENT_AGENTS=4\n")


def no_command(kugetsu):
    kugetsu("config", "set", "KUGETSU_AGENT_COMMAND", "")


def no_program(kugetsu):
    kugetsu("config", "set", "KUGETSU_AGENT_COMMAND", "/no/such/agent")


def a_stall_beyond_the_timeout(kugetsu):
    kugetsu("config", "set", "TASK_STALL_MINUTES", "90")


def a_secret_in_a_setting(kugetsu):
    kugetsu("config", "set", "KUGETSU_AGENT_COMMAND", f"true --token {TOKEN}")


def an_authority_gone(kugetsu):
    with open(kugetsu.root / "config", "a") as file:
        file.write("GIT_SERVER_CA=git.example.com=/nope/own.pem\n")


def an_open_env_file(kugetsu):
    kugetsu("env", "set", "GITEA_TOKEN", TOKEN)
    (kugetsu.root / "env" / "default.env").chmod(0o604)


def a_torn_end(kugetsu):
    (segment,) = (kugetsu.root / "log").glob("0*.jsonl")
    with segment.open("a") as file:
        file.write('{"seq":9,"at":"20')


def a_changed_line(kugetsu):
    (segment,) = (kugetsu.root / "log").glob("0*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b'"agent":"command"', b'"agent":"commandX"'))


def no_log(kugetsu):
    subprocess.run(["rm", "-r", str(kugetsu.root / "log")], check=True)


def a_folder_gone(kugetsu):
    (kugetsu.root / "runs").rmdir()


def a_lease_of_nobody(kugetsu):
    path = kugetsu.root / "leases" / "0123abcd"
    path.touch()
    os.utime(path, (1, 1))


def a_strange_worktree(kugetsu):
    (kugetsu.root / "worktrees" / "strange").mkdir()


def a_run_without_events(kugetsu):
    (kugetsu.root / "runs" / "q9.1").mkdir()


def a_repository_gone(kugetsu):
    for command in (["init", "-q"], ["remote", "add", "origin", "https://example.com/o/r.git"]):
        subprocess.run(["git", "-C", str(kugetsu.work), *command], check=True)
    assert kugetsu("init", "--repo", ".").code == 0
    (kugetsu.work / ".git").rename(kugetsu.work / "was.git")


def a_waiting_task(kugetsu):
    kugetsu("queue", "enqueue", "a/b#1", "x")


def an_unknown_server(kugetsu):
    with (kugetsu.root / "config").open("a") as file:
        file.write("DEFAULT_GIT_SERVER=home\n")


def a_sink_that_is_not_set_up(kugetsu):
    kugetsu("config", "set", "NOTIFY_SINKS", "command")


def an_override_that_is_no_skill(kugetsu):
    (kugetsu.root / "skills" / "kugetsu-pm").mkdir(parents=True)
    (kugetsu.root / "skills" / "kugetsu-pm" / "SKILL.md").write_text("hand everything on\n")


def a_prompt_that_is_no_text(kugetsu):
    (kugetsu.root / "workflow.md").write_bytes(b"caf\xe9\n")


def an_empty_prompt(kugetsu):
    (kugetsu.root / "pm-agent.md").write_text("\n")


BROKEN = {
    a_file_in_its_place: ("directory", "exists", "problem", False),
    others_may_look: ("directory", "mode", "problem", True),
    a_folder_gone: ("directory", "contents", "warning", True),
    no_log: ("log", "exists", "problem", False),
    a_torn_end: ("log", "torn", "warning", True),
    a_changed_line: ("log", "readable", "problem", False),
    a_nonsense_line: ("settings", "file", "problem", False),
    an_unreadable_config: ("settings", "file", "problem", False),
    an_impossible_value: ("settings", "value", "problem", False),
    an_unknown_key: ("settings", "unknown", "warning", False),
    no_command: ("settings", "agent", "problem", False),
    a_stall_beyond_the_timeout: ("settings", "stall", "warning", False),
    a_secret_in_a_setting: ("settings", "secret", "warning", False),
    an_unknown_server: ("settings", "servers", "problem", False),
    an_authority_gone: ("settings", "authority", "problem", False),
    an_open_env_file: ("env files", "default.env", "problem", True),
    a_repository_gone: ("git", "repositories", "problem", False),
    no_program: ("agent", "check", "problem", False),
    an_override_that_is_no_skill: ("skills", "kugetsu-pm", "problem", False),
    a_prompt_that_is_no_text: ("skills", "dev", "problem", False),
    an_empty_prompt: ("skills", "pm", "warning", False),
    a_waiting_task: ("daemon", "process", "warning", False),
    a_sink_that_is_not_set_up: ("notifications", "command", "problem", False),
    a_lease_of_nobody: ("leftovers", "leases", "warning", True),
    a_strange_worktree: ("leftovers", "worktrees", "warning", False),
    a_run_without_events: ("leftovers", "runs", "warning", False),
}


@pytest.mark.parametrize("breaks", BROKEN, ids=lambda breaks: breaks.__name__)
def test_what_is_broken_is_found_with_its_remedy_and_hides_nothing_else(made, breaks):
    group, name, level, mends = BROKEN[breaks]
    breaks(made)
    seen = found(made)
    one = seen[group, name]
    assert (one["level"], one["mends"]) == (level, mends), one
    assert one["fix"] and TOKEN not in str(seen)
    assert {key[0] for key in seen} >= {"directory", "settings", "git", "agent", "machine", "forge", "notifications"}
    assert ("git", "check") not in seen and ("machine", "check") not in seen


@pytest.mark.parametrize(
    "breaks", [breaks for breaks, (*_, mends) in BROKEN.items() if mends], ids=lambda b: b.__name__
)
def test_what_fix_mends_is_well_afterwards_and_said(made, breaks):
    group, name, _, _ = BROKEN[breaks]
    breaks(made)
    shown = made("doctor", "--fix")
    assert "fixed: " in shown.out, shown
    seen = found(made)
    assert (group, name) not in seen or seen[group, name]["level"] == "ok"


def test_fix_deletes_nothing_of_the_users(made):
    a_strange_worktree(made)
    (made.root / "worktrees" / "strange" / "work.txt").write_text("work")
    a_run_without_events(made)
    (made.root / "env" / "default.env").write_text("what is this\n")
    held = Lease.create(str(made.root / "leases"), "held-by-this-test")
    os.utime(made.root / "leases" / "held-by-this-test", (1, 1))
    try:
        assert found(made, "--fix")["leftovers", "leases"]["mends"] is False
        assert (made.root / "leases" / "held-by-this-test").exists()
    finally:
        held.release()
    assert (made.root / "worktrees" / "strange" / "work.txt").exists() and (made.root / "runs" / "q9.1").exists()
    assert (made.root / "env" / "default.env").read_text() == "what is this\n"


def test_an_attempt_that_died_is_found_and_settled(kugetsu, story):
    story.enqueue()
    story.run("q1")
    assert found(kugetsu)["leftovers", "attempts"]["mends"] is True
    assert "settle q1.1" in kugetsu("doctor", "--fix").out
    assert list(story.log.read())[-1]["type"] in ("task.retried", "task.failed", "daemon.lost")
    assert ("leftovers", "attempts") not in found(kugetsu)


def test_a_process_that_outlived_its_attempt_is_named_and_left_alone(made):
    environment = {**made.environment, "KUGETSU_LEASE": "0123abcd"}
    stray = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=environment)
    try:
        one = found(made, "--fix")["leftovers", "processes"]
        assert f"kill {stray.pid}" in one["fix"] and stray.poll() is None
    finally:
        assert stray.stdin is not None
        stray.stdin.close()
        stray.kill()
        stray.wait()


def test_without_git_and_without_a_home_it_still_tells(made):
    seen = found(made, PATH="/nowhere", HOME="")
    assert seen["git", "program"]["level"] == "problem" and seen["log", "verify"]["level"] == "ok"


def test_a_git_without_a_name_is_a_warning(made):
    (made.folder / ".gitconfig").unlink()
    one = found(made)["git", "identity"]
    assert one["level"] == "warning" and "git config --global user.name" in one["fix"]


def test_what_a_newer_kugetsu_wrote_is_told(kugetsu, story):
    from kugetsu.domain.new_event import NewEvent

    story.log.append([NewEvent("task.dreamt", {"of": "electric sheep"})])
    assert "task.dreamt" in found(kugetsu)["log", "version"]["text"]


def test_all_events_that_were_refused_are_counted(kugetsu, story):
    from kugetsu.domain.new_event import NewEvent
    from kugetsu.domain.state import VIOLATIONS_KEPT

    story.log.append([NewEvent("task.completed", {"summary": ""}, task="q9")] * (VIOLATIONS_KEPT + 2))
    assert found(kugetsu)["log", "refused"]["text"].startswith(f"{VIOLATIONS_KEPT + 2} events refused")
    assert "  and 2 more events refused" in kugetsu("log", "verify").out
    assert "  and 2 more events" in kugetsu("replay").out


def test_a_setting_from_the_environment_is_told(made):
    one = found(made, MAX_CONCURRENT_AGENTS="1")["settings", "environment"]
    assert "MAX_CONCURRENT_AGENTS" in one["text"]


def test_a_setting_that_the_daemon_has_from_its_own_environment_is_not_warned_of(made):
    made.environment["MAX_CONCURRENT_AGENTS"] = "1"
    assert made("queue-daemon", "start").code == 0
    try:
        assert ("settings", "environment") not in found(made)
        assert found(made, MAX_CONCURRENT_AGENTS="2")["settings", "environment"]["level"] == "warning"
    finally:
        assert made("queue-daemon", "stop").code == 0


def test_more_agents_than_the_memory_holds_are_told(made):
    made("config", "set", "KUGETSU_AGENT", "opencode")
    made("config", "set", "MAX_CONCURRENT_AGENTS", "10000")
    seen = found(made)
    assert seen["machine", "memory"]["level"] == "warning" and seen["machine", "cores"]["level"] == "warning"


def test_online_a_remote_that_does_not_answer_is_a_problem(made):
    git = ["git", "-C", str(made.work)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "remote", "add", "origin", f"https://me:{TOKEN}@127.0.0.1:9/o/r.git"], check=True)
    assert made("init", "--repo", ".").code == 0
    assert found(made)["git", "repositories"]["level"] == "ok"
    shown = made("doctor", "--online", "--json")
    assert shown.code == 1 and TOKEN not in shown.out
    assert "127.0.0.1" in shown.out


@pytest.fixture
def cloned(made):
    """A registered repository; what is typed in it goes to git."""

    def git(*words):
        subprocess.run(["git", "-C", str(made.work), *words], check=True, capture_output=True)

    git("init", "-q")
    assert made("init", "--repo", ".").code == 0
    made.git = git
    return made


def test_a_folder_that_git_refuses_for_its_owner_is_called_that(cloned):
    one = found(cloned, GIT_TEST_ASSUME_DIFFERENT_OWNER="1")["git", "repositories"]
    assert one["level"] == "problem" and "belongs to another user" in one["text"], one
    assert "any more" not in one["text"]
    assert one["fix"] == f"git config --global --add safe.directory {cloned.work}"
    assert found(cloned)["git", "repositories"]["level"] == "ok"


def test_a_folder_that_is_gone_and_one_that_is_no_repository_are_told_apart(cloned):
    shutil.rmtree(cloned.work / ".git")
    assert "is no longer a git repository" in found(cloned)["git", "repositories"]["text"]
    there = cloned.work.rename(cloned.folder / "moved")
    cloned.work = there
    assert "is gone" in found(cloned)["git", "repositories"]["text"]


def test_a_folder_that_git_cannot_read_is_not_called_gone(cloned):
    (cloned.work / ".git" / "config").write_text("[core\n")
    text = found(cloned)["git", "repositories"]["text"]
    assert "bad config" in text and "any more" not in text


def test_what_was_not_asked_is_never_said_to_answer(cloned):
    cloned("init", "--repo", "https://127.0.0.1:9/o/r.git")  # it is registered, and cannot be cloned
    offline = found(cloned)
    assert offline["git", "repositories"]["level"] == "skipped"
    assert "was not checked" in offline["git", "repositories"]["text"]
    assert found(cloned, "--online")["git", "remotes"]["level"] == "problem"
    shown = cloned("doctor", "--online").out
    assert "has no remote to ask" in shown and "answer" not in shown.partition("agent\n")[0].partition("git\n")[2]


def test_a_remote_that_is_empty_answers_and_is_called_empty(cloned):
    subprocess.run(["git", "init", "-q", "--bare", str(cloned.folder / "empty.git")], check=True)
    cloned.git("remote", "add", "origin", str(cloned.folder / "empty.git"))
    one = found(cloned, "--online")["git", "remotes"]
    assert (one["level"], "it is empty" in one["text"]) == ("warning", True)
    cloned.git("-c", "user.name=x", "-c", "user.email=x@y", "commit", "-q", "--allow-empty", "-m", "first")
    cloned.git("push", "-q", "origin", "HEAD:refs/heads/main")
    cloned.git("-C", str(cloned.folder / "empty.git"), "symbolic-ref", "HEAD", "refs/heads/main")
    assert found(cloned, "--online")["git", "remotes"]["text"] == "1 registered repository answers"


def test_a_forge_is_said_to_answer_only_when_it_was_asked(made):
    with serving(GitServer(made.folder, set())) as server:
        assert made("server", "add", server.host, server.url).code == 0
        offline = found(made)["forge", server.host]
        assert (offline["level"], offline["fix"]) == ("skipped", "kugetsu doctor --online")
        refused = found(made, "--online")["forge", server.host]
        assert refused["level"] == "problem" and "answers, and" not in refused["text"]
    gone = found(made, "--online")["forge", server.host]
    assert gone["level"] == "problem" and "does not answer" in gone["text"]


def test_a_forge_without_a_token_is_asked_all_the_same(made):
    with serving(GitServer(made.folder, {("", "")})) as server:
        server.open = True
        assert made("server", "add", server.host, server.url).code == 0
        one = found(made, "--online")["forge", server.host]
        assert (one["level"], one["text"]) == ("ok", f"{server.host} answers, asked without a token")
        assert server.paths == ["/api/v1/version"]


def test_checks_that_need_the_log_say_that_they_were_not_run(kugetsu):
    shown = kugetsu("doctor")
    for said in ("repositories were not checked", "the daemon was not checked", "nothing was checked"):
        assert f"{said}: there is no log" in shown.out, shown
    assert "nothing was left behind" not in shown.out
    assert re.search(r"checks? (is|are) fine, \d+ were not run", shown.out)


@pytest.mark.parametrize(
    ("command", "level", "text"),
    [
        ("true", "ok", "command: true exists and is executable"),
        ("nothing-of-the-kind | cat", "skipped", "its programs were not checked"),
        ("./agent", "skipped", "is looked up in each worktree"),
    ],
)
def test_of_a_command_line_only_what_was_looked_for_is_said_to_be_there(made, command, level, text):
    made("config", "set", "KUGETSU_AGENT_COMMAND", command)
    one = found(made)["agent", "check"]
    assert one["level"] == level and text in one["text"], one


# --- the bundle -------------------------------------------------------------------------------------------------------


def contents(path):
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        files = {member.name: archive.extractfile(member).read() for member in members}
    assert all(member.mode == 0o600 and not member.uname and member.mtime == 0 for member in members)
    return files


@pytest.fixture
def lived(kugetsu, parked):
    """The story of q1, with a failed attempt's errors and a message that has a token."""
    parked.at("12:30:00").enqueue(f"push with ghp_{TOKEN}", issue="github.com/a/b#2")
    parked.finish(parked.run("q2"), "fail", "give_up", "it failed", outcome={"final_text": "my last words"})
    run = kugetsu.root / "runs" / "q2.1"
    run.mkdir(parents=True)
    (run / "stderr.log").write_text(f"error: token={TOKEN}\nin {kugetsu.folder}/work\n")
    return kugetsu


def test_a_bundle_holds_the_story_in_a_fixed_order(lived):
    shown = lived("doctor", "--bundle", "it.tar.gz", "--json", at="13:00:00")
    path = lived.work / "it.tar.gz"
    compare(shown.json, documented("doctor"))
    assert path.stat().st_mode & 0o777 == 0o600 and shown.json["bundle"]["bytes"] == path.stat().st_size
    files = contents(path)
    expected = ["manifest.json", "log.jsonl", "settings.json", "findings.json", "attempts/q2.1/stderr.log"]
    assert [*files] == shown.json["bundle"]["files"] == expected
    manifest = json.loads(files["manifest.json"])
    events = [json.loads(line) for line in files["log.jsonl"].splitlines()]
    assert manifest["log"]["seq"] == manifest["log"]["events"] == len(events) == events[-1]["seq"]
    assert manifest["log"]["sha"] == events[-1]["sha"] and manifest["log"]["problem"] is None
    assert (manifest["format"], manifest["messages"], manifest["kugetsu"]) == (1, True, "0.1.0")


def test_a_bundle_has_neither_secrets_nor_names_of_people_and_machines(lived):
    assert lived("doctor", "--bundle", "it.tar.gz").code in (0, 1)
    files = contents(lived.work / "it.tar.gz")
    for name, text in files.items():
        assert TOKEN.encode() not in text and b"ghp_" not in text, name
        assert str(lived.folder).encode() not in text, name
    events = [json.loads(line) for line in files["log.jsonl"].splitlines()]
    assert {event["by"]["host"] for event in events} == {"host1"}
    assert {event["by"]["user"] for event in events} == {"user1"}
    assert b"push with [redacted]" in files["log.jsonl"]
    assert files["attempts/q2.1/stderr.log"] == b"error: token=[redacted]\nin ~/work\n"


def test_without_messages_there_are_only_their_lengths(lived):
    lived("doctor", "--bundle", "it.tar.gz", "--no-messages")
    files = contents(lived.work / "it.tar.gz")
    assert [*files] == ["manifest.json", "log.jsonl", "settings.json", "findings.json"]
    assert b"push with" not in files["log.jsonl"] and b"my last words" not in files["log.jsonl"]
    assert b"[13 characters]" in files["log.jsonl"]
    assert json.loads(files["manifest.json"])["messages"] is False


def test_a_bundles_events_fold_to_the_same_tasks(lived):
    from kugetsu.domain.events import upcast
    from kugetsu.domain.fold import fold
    from kugetsu.domain.state import empty

    lived("doctor", "--bundle", "it.tar.gz", "--no-messages")
    state = empty()
    for line in contents(lived.work / "it.tar.gz")["log.jsonl"].splitlines():
        fold(state, upcast(json.loads(line)))
    assert state.violations == []
    assert {id: task.state for id, task in state.tasks.items()} == {"q1": "parked", "q2": "error"}


def test_an_existing_file_is_not_overwritten_unasked(lived):
    path = lived.work / "it.tar.gz"
    path.write_text("mine")
    shown = lived("doctor", "--bundle", "it.tar.gz")
    assert shown.code == 5 and "--force" in shown.err and path.read_text() == "mine"
    assert lived("doctor", "--bundle", "it.tar.gz", "--force").code in (0, 1)
    assert "manifest.json" in contents(path)
    assert [path.name for path in lived.work.iterdir()] == ["it.tar.gz"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--bundle", "no/such/x.tar.gz"), "no such folder"),
        (("--bundle", "."), "is a folder"),
        (("--no-messages",), "need --bundle"),
    ],
)
def test_a_bundle_that_cannot_be_written_is_refused_at_once(made, words, said):
    shown = made("doctor", *words)
    assert shown.code == 3 and said in shown.err and "hint: " in shown.err


def test_of_a_damaged_log_the_bundle_has_what_can_be_read(made):
    a_changed_line(made)
    shown = made("doctor", "--bundle", "it.tar.gz")
    assert shown.code == 1
    manifest = json.loads(contents(made.work / "it.tar.gz")["manifest.json"])
    assert "damaged" in manifest["log"]["problem"]


@pytest.mark.parametrize("removed", [False, True], ids=["flipped", "removed"])
def test_behind_a_damaged_line_the_bundle_goes_on(lived, removed):
    (segment,) = (lived.root / "log").glob("0*.jsonl")
    (lived.root / "log" / "checkpoint").unlink(missing_ok=True)
    lines = segment.read_bytes().splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if b"push with" in line)
    lines[at] = b"" if removed else b"%" + lines[at][1:]
    segment.write_bytes(b"".join(lines))
    shown = lived("doctor", "--bundle", "it.tar.gz")
    lines_left = len(lines) - removed
    assert f"the log is damaged, the bundle contains {len(lines) - 1} of {lines_left} lines: " in shown.err, shown
    files = contents(lived.work / "it.tar.gz")
    events = [json.loads(line)["seq"] for line in files["log.jsonl"].splitlines()]
    assert events == [seq for seq in range(1, len(lines) + 1) if seq != at + 1]
    manifest = json.loads(files["manifest.json"])
    assert manifest["log"]["events"] == len(events) and manifest["look"] is None
    assert f"damaged at event {at + 1}" in manifest["log"]["problem"]
    there = lived("history", "--all", "--from", "it.tar.gz")
    assert there.code == 0 and f"where it was made: the event log is damaged at event {at + 1}" in there.err, there


def test_a_bundle_without_an_event_says_what_was_the_matter(made):
    (segment,) = (made.root / "log").glob("0*.jsonl")
    segment.write_bytes(b"\x1b[2Jnothing\n")
    assert made("doctor", "--bundle", "it.tar.gz").code == 1
    shown = made("status", "--from", "it.tar.gz")
    assert shown.code == 3 and "no event is in it.tar.gz" in shown.err, shown
    assert "hint: where it was made: the event log is damaged at" in shown.err


def test_there_is_a_bundle_also_where_kugetsu_was_never_set_up(kugetsu):
    assert kugetsu("doctor", "--bundle", "it.tar.gz").code == 1
    assert json.loads(contents(kugetsu.work / "it.tar.gz")["manifest.json"])["log"]["problem"] == "there is no log"


def test_settings_of_a_repository_that_contradict_each_other_are_told_with_the_section(lived):
    (lived.root / "config").write_text(
        "REPOSITORY_CAPS=github.com/o/r=2\nKUGETSU_AGENT=command\nKUGETSU_AGENT_COMMAND=true\n"
        "[github.com/o/r]\nMAX_AGENTS_PER_REPOSITORY=1\nTASK_TIMEOUT_HOURS=0.1\nMIN_FREE_DISK_MB=7\n"
        "[github.com/o/s]\nKUGETSU_AGENT_COMMAND=/nonexistent/agent\n"
    )
    found = lived("doctor", "--json", KUGETSU_AGENT="", KUGETSU_AGENT_COMMAND="").json["findings"]
    told = {one["name"]: one for one in found if one["group"] == "settings"}
    assert "[github.com/o/r]" in told["stall"]["text"]
    assert told["stall"]["fix"] == "kugetsu config set --repo github.com/o/r TASK_STALL_MINUTES 3"
    assert told["caps"]["fix"] == "kugetsu config unset --repo github.com/o/r MAX_AGENTS_PER_REPOSITORY"
    assert "MIN_FREE_DISK_MB is not a setting of one repository" in told["unknown"]["text"]
    general, own = (one for one in found if one["group"] == "agent")
    assert general["level"] == "ok"
    assert own["level"] == "problem" and own["text"].startswith("[github.com/o/s]: the program of KUGETSU_AGENT_C")
    assert "kugetsu config set --repo github.com/o/s KUGETSU_AGENT_COMMAND " in own["fix"], own


@pytest.mark.parametrize("breaks", [an_unreadable_config, a_nonsense_line, an_impossible_value])
def test_settings_that_cannot_be_read_are_not_taken_for_the_defaults(made, breaks):
    breaks(made)
    shown = made("doctor", "--json", KUGETSU_AGENT="command")
    seen = {(one["group"], one["name"]): one for one in shown.json["findings"]}
    unchecked = {key[0] for key, one in seen.items() if one["text"].endswith("(see settings above)")}
    assert unchecked == {"agent", "machine", "forge", "notifications"}
    assert all(seen[key]["level"] == "skipped" for key in seen if key[0] in ("agent", "forge", "notifications"))
    settings = [one for key, one in seen.items() if key[0] == "settings"]
    assert [one["level"] for one in settings] == ["problem"], settings
    assert "KUGETSU_AGENT_COMMAND is empty" not in shown.out and ("machine", "limits") in seen
