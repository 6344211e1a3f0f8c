"""`kugetsu config`."""

from __future__ import annotations

import os

import pytest


def test_every_setting_is_listed_with_its_source(kugetsu, story):
    (kugetsu.root / "config").write_text("MAX_ATTEMPTS=5\nMAX_CONCURENT_AGENTS=9\n")
    data = kugetsu("config", "list", "--json").json
    found = {entry["key"]: entry for entry in data["settings"]}
    assert found["MAX_ATTEMPTS"]["value"] == "5" and found["MAX_ATTEMPTS"]["source"].endswith("config:1")
    assert found["KUGETSU_AGENT"]["source"] == "environment"
    assert found["QUEUE_CLEANUP_AGE_DAYS"]["source"] == "default"
    assert data["unknown"][0]["key"] == "MAX_CONCURENT_AGENTS"
    shown = kugetsu("config")
    assert shown.code == 0 and "did you mean MAX_CONCURRENT_AGENTS?" in shown.err


def test_get_prints_the_value_alone(kugetsu, story):
    assert kugetsu("config", "get", "MAX_CONCURRENT_AGENTS").out == "3\n"
    assert kugetsu("config", "get", "MAX_CONCURRENT_AGENTS", "--json").json["source"] == "default"


def test_an_unknown_key_names_the_nearest(kugetsu, story):
    for verb in (("get", "MAX_CONCURENT_AGENTS"), ("set", "max_concurrent_agents", "3")):
        shown = kugetsu("config", *verb)
        assert shown.code == 3 and "MAX_CONCURRENT_AGENTS" in shown.err


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("GITEA_TOKEN", "hint: kugetsu env set GITEA_TOKEN\n"),
        ("NOTIFY_WEBHOOK_URL", "hint: kugetsu env set --agent notify NOTIFY_WEBHOOK_URL\n"),
    ],
)
def test_what_belongs_elsewhere_is_refused_with_the_command_that_puts_it_there(kugetsu, story, key, hint):
    refused = kugetsu("config", "set", key, "abc")
    assert refused.code == 3 and refused.err.endswith(hint)


def test_of_a_wrong_variable_the_remedy_is_to_unset_it(kugetsu, story):
    refused = kugetsu("status", MAX_ATTEMPTS="many")
    assert refused.code == 3 and refused.err.endswith("; unset MAX_ATTEMPTS\n")


def test_set_writes_the_file_and_records_who_changed_it(kugetsu, story):
    shown = kugetsu("config", "set", "MAX_CONCURRENT_AGENTS", "5")
    assert shown.code == 0 and "MAX_CONCURRENT_AGENTS=5" in (kugetsu.root / "config").read_text()
    event = list(story.log.read())[-1]
    assert event["type"] == "setting.changed"
    assert event["data"] == {"key": "MAX_CONCURRENT_AGENTS", "old": "3", "new": "5"}
    assert kugetsu("config", "set", "MAX_CONCURRENT_AGENTS", "5", "--json").json["seq"] is None
    assert kugetsu("config", "get", "MAX_CONCURRENT_AGENTS").out == "5\n"


def test_a_value_that_cannot_be_is_refused_and_nothing_written(kugetsu, story):
    for value in ("many", "0", "-1"):
        shown = (
            kugetsu("config", "set", "MAX_CONCURRENT_AGENTS", "--debug", value)
            if value[0] != "-"
            else kugetsu("config", "set", "MAX_CONCURRENT_AGENTS", value)
        )
        assert shown.code == 3, shown
    assert not (kugetsu.root / "config").exists()


def test_a_setting_that_the_environment_overrides_says_so(kugetsu, story):
    shown = kugetsu("config", "set", "MAX_ATTEMPTS", "5", MAX_ATTEMPTS="2")
    assert shown.code == 0 and "environment" in shown.err


def test_a_nonsense_line_is_named_and_can_be_mended_around(kugetsu, story):
    (kugetsu.root / "config").write_text("what is this\n")
    for words in (("status",), ("queue", "enqueue", "a/b#1", "x"), ("config", "list")):
        shown = kugetsu(*words)
        assert shown.code == 3 and "config:1" in shown.err and "hint: " in shown.err, shown
    shown = kugetsu("config", "set", "MAX_ATTEMPTS", "5")
    assert "MAX_ATTEMPTS=5" in (kugetsu.root / "config").read_text() and "config:1" in shown.err


def test_before_init_nothing_can_be_set(kugetsu):
    shown = kugetsu("config", "set", "MAX_ATTEMPTS", "5")
    assert shown.code == 1 and "kugetsu init" in shown.err


def test_a_setting_that_is_taken_out_has_its_default_again(kugetsu, story):
    kugetsu("config", "set", "MAX_ATTEMPTS", "5")
    shown = kugetsu("config", "unset", "MAX_ATTEMPTS")
    assert (shown.code, shown.out) == (0, "MAX_ATTEMPTS is 3, its default\n")
    assert kugetsu("config", "get", "MAX_ATTEMPTS", "--json").json["source"] == "default"
    assert [e["data"]["new"] for e in story.log.read() if e["type"] == "setting.changed"] == ["5", "3"]
    assert kugetsu("config", "unset", "MAX_ATTEMPTS", "--json").json["seq"] is None
    assert kugetsu("config", "unset", "MAX_ATEMPTS").code == 3


def test_with_a_damaged_log_nothing_is_set_that_nobody_could_record(kugetsu, story):
    kugetsu("config", "set", "MAX_ATTEMPTS", "4")
    segment = next((kugetsu.root / "log").glob("*.jsonl"))
    segment.write_bytes(b"nonsense\n" + segment.read_bytes())
    before = (kugetsu.root / "config").read_text()
    for words in (("set", "MAX_ATTEMPTS", "5"), ("unset", "MAX_ATTEMPTS")):
        assert kugetsu("config", *words).code == 6
    assert (kugetsu.root / "config").read_text() == before


def test_a_login_in_a_servers_url_is_refused_here_too_and_nobody_sees_it(kugetsu, story):
    for url in ("http://joe:hunter22@git.example.com", "HTTPS://joe:hunter22@git.example.com"):
        refused = kugetsu("config", "set", "GIT_SERVERS", f"x={url}")
        assert refused.code == 3 and "contains a login" in refused.err and "hint: " in refused.err, refused
        assert "hunter22" not in refused.err
    assert not (kugetsu.root / "config").exists()
    assert kugetsu("config", "set", "GIT_SERVERS", "x=ssh://git@git.example.com").code == 0


def test_a_default_server_that_nobody_knows_is_refused_whichever_setting_would_make_it_so(kugetsu, story):
    refused = kugetsu("config", "set", "DEFAULT_GIT_SERVER", "home")
    assert refused.code == 3 and "hint: kugetsu server add home URL" in refused.err
    kugetsu("config", "set", "GIT_SERVERS", "home=http://192.168.1.5:3000")
    assert kugetsu("config", "set", "DEFAULT_GIT_SERVER", "Home").code == 0
    for words in (("set", "GIT_SERVERS", "work=https://git.example.com"), ("unset", "GIT_SERVERS")):
        refused = kugetsu("config", *words)
        assert refused.code == 3 and "kugetsu server default NAME" in refused.err, refused
    assert kugetsu("config", "set", "GIT_SERVERS", "work=https://git.example.com home=http://192.168.1.6").code == 0
    assert kugetsu("config", "unset", "DEFAULT_GIT_SERVER").code == 0
    assert kugetsu("config", "unset", "GIT_SERVERS").code == 0
    for host in ("git.example.com", "localhost:3000"):
        assert kugetsu("config", "set", "DEFAULT_GIT_SERVER", host).code == 0
    servers = "home=http://192.168.1.5:3000"
    assert kugetsu("config", "set", "DEFAULT_GIT_SERVER", "home", GIT_SERVERS=servers).code == 0


def test_with_a_default_server_that_nobody_knows_no_short_reference_is_taken(kugetsu, story):
    """A file that was written by hand: https://home/ is no guess to make."""
    (kugetsu.root / "config").write_text("DEFAULT_GIT_SERVER=home\n")
    for words in (("queue", "enqueue", "o/r#1", "x"), ("delegate", "see to o/r#1"), ("start", "o/r#1", "x")):
        refused = kugetsu(*words)
        assert refused.code == 3 and "kugetsu server default HOST" in refused.err, refused
    assert kugetsu("queue", "enqueue", "git.example.com/o/r#1", "x").code == 0
    assert kugetsu("delegate", "look around").code == 0


@pytest.mark.parametrize("name", ["config", "env/dev.env", "workflow.md"])
def test_a_fifo_in_the_place_of_a_file_that_the_user_keeps_is_told_and_not_waited_for(kugetsu, name):
    assert kugetsu("init").code == 0
    path = kugetsu.root / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    told = kugetsu("doctor", COLUMNS="300")
    assert str(path) in told.out and "it is a fifo" in told.out.lower(), told
    assert kugetsu("status").code == (3 if name == "config" else 0)
    path.unlink()
    path.symlink_to(os.devnull)
    assert kugetsu("status").code == 0
