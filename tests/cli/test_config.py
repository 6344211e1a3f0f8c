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


# --- repositories -----------------------------------------------------------------------------------------------------


def _own(kugetsu, *words):
    return {one["key"]: one for one in kugetsu("config", "list", "--repo", *words, "--json").json["settings"]}


def test_a_repository_has_values_of_its_own_and_shows_where_each_comes_from(kugetsu, story):
    (kugetsu.root / "config").write_text("TASK_TIMEOUT_HOURS=2\n")
    assert kugetsu("config", "set", "--repo", "O/R", "MAX_ATTEMPTS", "1").out == "MAX_ATTEMPTS=1 for github.com/o/r\n"
    assert (kugetsu.root / "config").read_text() == "TASK_TIMEOUT_HOURS=2\n\n[github.com/o/r]\nMAX_ATTEMPTS=1\n"
    found = _own(
        kugetsu,
        "o/r#14",
    )
    assert found["MAX_ATTEMPTS"]["value"] == "1" and found["MAX_ATTEMPTS"]["source"].endswith(":4 [github.com/o/r]")
    assert found["TASK_TIMEOUT_HOURS"]["source"].endswith("config:1")
    assert (found["KUGETSU_AGENT"]["source"], found["MAX_REACTIONS"]["source"]) == ("environment", "default")
    assert "MAX_CONCURRENT_AGENTS" not in found
    assert kugetsu("config", "get", "MAX_ATTEMPTS", "--repo", "https://github.com/o/r").out == "1\n"
    assert kugetsu("config", "get", "MAX_ATTEMPTS").out == "3\n"
    listed = kugetsu("config", "list", "--json").json["repositories"]
    assert [(one["repository"], [own["key"] for own in one["settings"]]) for one in listed] == [
        ("github.com/o/r", ["MAX_ATTEMPTS"])
    ]
    assert "[github.com/o/r]" in kugetsu("config", "list", COLUMNS="200").out


def test_the_default_server_and_aliases_name_the_same_section(kugetsu, story):
    servers = "home=http://localhost:3000"
    (kugetsu.root / "config").write_text(f"GIT_SERVERS={servers}\nDEFAULT_GIT_SERVER=home\n[home/o/r]\n# mine\n")
    kugetsu("config", "set", "--repo", "o/r", "MAX_ATTEMPTS", "1")
    kugetsu("config", "set", "--repo", "localhost:3000/o/r#2", "KUGETSU_MODEL", "m")
    assert (kugetsu.root / "config").read_text().endswith("[home/o/r]\n# mine\nMAX_ATTEMPTS=1\nKUGETSU_MODEL=m\n")
    assert _own(kugetsu, "home/o/r")["KUGETSU_MODEL"]["value"] == "m"


def test_a_general_setting_is_refused_for_a_repository(kugetsu, story):
    refused = kugetsu("config", "set", "--repo", "o/r", "MAX_CONCURRENT_AGENTS", "5")
    assert refused.code == 3 and "hint: for all of them: kugetsu config set MAX_CONCURRENT_AGENTS" in refused.err
    assert kugetsu("config", "set", "--repo", "o", "MAX_ATTEMPTS", "5").code == 3
    assert not (kugetsu.root / "config").exists()


def test_a_change_of_a_repository_is_recorded_and_undone_in_its_section(kugetsu, story):
    config = kugetsu.root / "config"
    config.write_text("MAX_ATTEMPTS=5\n")
    first = kugetsu("config", "set", "--repo", "o/r", "MAX_ATTEMPTS", "1", "--json").json["seq"]
    second = kugetsu("config", "set", "--repo", "o/r", "MAX_ATTEMPTS", "2", "--json").json["seq"]
    general = kugetsu("config", "set", "MAX_ATTEMPTS", "6", "--json").json["seq"]
    event = next(event for event in story.log.read() if event["seq"] == second)
    assert event["data"] == {
        "key": "MAX_ATTEMPTS",
        "old": "1",
        "new": "2",
        "repository": "github.com/o/r",
        "inherited": False,
    }
    assert "MAX_ATTEMPTS [github.com/o/r] 1 → 2" in kugetsu("history", "--all", COLUMNS="200").out
    assert "MAX_ATTEMPTS [github.com/o/r]" in kugetsu("diff", str(first - 1), "@", COLUMNS="200").out
    refused = kugetsu("undo", str(first), "--yes")
    assert refused.code == 5 and f"event {second} has changed MAX_ATTEMPTS" in refused.err
    assert "kugetsu config set --repo github.com/o/r MAX_ATTEMPTS" in refused.err
    assert kugetsu("undo", str(second), "--yes").code == 0
    assert config.read_text() == "MAX_ATTEMPTS=6\n\n[github.com/o/r]\nMAX_ATTEMPTS=1\n"
    undone = kugetsu("undo", str(first), "--yes", "--json").json["events"][0]["seq"]
    assert config.read_text() == "MAX_ATTEMPTS=6\n"
    assert kugetsu("undo", str(undone), "--yes").code == 0
    assert config.read_text() == "MAX_ATTEMPTS=6\n\n[github.com/o/r]\nMAX_ATTEMPTS=1\n"
    assert kugetsu("undo", str(general), "--yes").code == 0
    assert config.read_text() == "MAX_ATTEMPTS=5\n\n[github.com/o/r]\nMAX_ATTEMPTS=1\n"


def test_a_value_taken_out_of_a_section_is_the_general_one_again(kugetsu, story):
    kugetsu("config", "set", "--repo", "o/r", "MAX_ATTEMPTS", "1")
    shown = kugetsu("config", "unset", "MAX_ATTEMPTS", "--repo", "o/r")
    assert (shown.code, shown.out) == (0, "MAX_ATTEMPTS is 3, in github.com/o/r as in general\n")
    seq = [event["seq"] for event in story.log.read()][-1]
    assert kugetsu("undo", str(seq), "--yes").code == 0
    assert kugetsu("config", "get", "MAX_ATTEMPTS", "--repo", "o/r").out == "1\n"


def test_a_broken_section_line_can_be_mended_around(kugetsu, story):
    (kugetsu.root / "config").write_text("[o/r]\nMAX_ATTEMPTS=1\n")
    told = kugetsu("status")
    assert told.code == 3 and "config:1" in told.err and "[git.example.com/owner/repo]" in told.err
    shown = kugetsu("config", "set", "--repo", "o/r", "MAX_ATTEMPTS", "2")
    assert shown.code == 0 and "config:1" in shown.err and shown.out == "MAX_ATTEMPTS=2 for github.com/o/r\n"
    assert (kugetsu.root / "config").read_text().endswith("\n[github.com/o/r]\nMAX_ATTEMPTS=2\n")


def test_repositories_and_their_keys_are_completed(kugetsu, story):
    (kugetsu.root / "config").write_text("[github.com/o/r]\nMAX_ATTEMPTS=1\n")
    repositories = kugetsu("__complete", "zsh", "config", "set", "--repo", "o").out.split()
    assert "o/r" in repositories
    keys = kugetsu("__complete", "zsh", "config", "set", "--repo", "o/r", "MAX_").out
    assert "MAX_ATTEMPTS\t" in keys and "MAX_CONCURRENT_AGENTS" not in keys
    values = kugetsu("__complete", "zsh", "config", "set", "--repo", "o/r", "MAX_ATTEMPTS", "").out.splitlines()
    assert values[1:] == ["1\tas it is", "3\tthe general value"]


def test_a_bundle_has_the_values_of_repositories(kugetsu, story, tmp_path):
    bundle = str(tmp_path / "bundle.tar.gz")
    (kugetsu.root / "config").write_text("[github.com/o/r]\nMAX_ATTEMPTS=1\nVERIFY_COMMAND=make test\n")
    made = kugetsu("doctor", "--bundle", bundle)
    assert made.code in (0, 1), made
    assert kugetsu("config", "get", "MAX_ATTEMPTS", "--repo", "o/r", "--from", bundle).out == "1\n"
    assert kugetsu("config", "get", "MAX_ATTEMPTS", "--from", bundle).out == "3\n"
    listed = kugetsu("config", "list", "--repo", "o/r", "--from", bundle, "--json").json["settings"]
    (command,) = [one for one in listed if one["key"] == "VERIFY_COMMAND"]
    assert command["value"] == "make test" and command["source"].endswith("config:3 [github.com/o/r]")
