"""`kugetsu config` for the settings of all hosts that share a log."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import psycopg
import pytest

from cli.conftest import Command
from cli.test_completion import words as candidates
from cli.test_json_shapes import compare, documented
from cli.test_other_hosts import share
from kugetsu.cli import settings
from kugetsu.domain.state import empty
from kugetsu.model.errors import LogUnreachable


def minutes_to_live(database: str) -> float:
    with psycopg.connect(database) as connection:
        return float(connection.execute("SELECT extract(epoch FROM host_ttl) / 60 FROM kugetsu.meta").fetchall()[0][0])


@pytest.fixture
def shared(database: str, ready: Command) -> Command:
    """A host that shares its log over a database."""
    assert ready("log", "share", database).code == 0
    return ready


@pytest.fixture
def second(tmp_path: Path, shared: Command, database: str) -> Iterator[Command]:
    """Another host of it."""
    folder = tmp_path / "second"
    folder.mkdir()
    other = Command(folder, shared.server)
    assert other("init", "--join", database).code == 0
    yield other


def listed(kugetsu: Command) -> dict[str, tuple[str, str]]:
    return {one["key"]: (one["value"], one["source"]) for one in kugetsu("config", "list", "--json").json["shared"]}


def test_a_setting_that_is_written_while_the_database_is_away_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "config").touch()
    away = LogUnreachable("the database cannot be reached; nothing was appended", "kugetsu doctor")
    monkeypatch.setattr(settings, "_record", Mock(side_effect=away))
    notes: list[str] = []
    call: Any = SimpleNamespace(
        environment={"KUGETSU_DIR": str(tmp_path)}, workspace=None, state=empty, note=notes.append
    )
    assert settings.write(call, "KUGETSU_MODEL", "a/b") == ("", "a/b", None)
    assert "a/b" in (tmp_path / "config").read_text()
    assert notes[0].startswith("written, but") and notes[1] == "hint: kugetsu doctor"


def test_each_host_undoes_the_settings_of_its_own_file(shared: Command, second: Command) -> None:
    first = shared("config", "set", "KUGETSU_MODEL", "a/b", "--json").json["seq"]
    other = second("config", "set", "KUGETSU_MODEL", "c/d", "--json").json["seq"]
    assert second("undo", str(first), "--yes").code == 5
    refused = second("undo", str(first), "--yes").err
    assert f"kugetsu undo {first}" in refused and "it changed KUGETSU_MODEL of host" in refused
    undone = shared("undo", str(first), "--yes")
    assert undone.code == 0, undone.err
    assert shared("config", "get", "KUGETSU_MODEL").out == "\n"
    assert second("config", "get", "KUGETSU_MODEL").out == "c/d\n"
    assert second("undo", "--yes").code == 0, "the latest of its own"
    rows = second("history", "--all").out
    for value in ("a/b", "c/d"):
        assert f"{socket.gethostname()}: KUGETSU_MODEL (default) → {value}" in rows
    assert other > first
    assert "kugetsu queue-daemon restart" in second("config", "set", "HOST_LABELS", "gpu").err


def test_what_one_host_sets_all_hosts_have(shared: Command, second: Command, database: str) -> None:
    for words in (("MAX_AGENTS", "12"), ("HOST_LOST_MINUTES", "10"), ("--shared", "REPOSITORY_CAPS", "h/o/R=2")):
        done = shared("config", "set", *words, "--json")
        assert done.code == 0, done.err
        compare(done.json, documented("config set"))
    assert minutes_to_live(database) == 10
    assert second("queue", "pause").code == 0, "which brings its mirror up to date"
    assert listed(second) == {
        "MAX_AGENTS": ("12", "shared log"),
        "HOST_LOST_MINUTES": ("10", "shared log"),
        "MAX_AGENTS_PER_REPOSITORY": ("0", "default"),
        "REPOSITORY_CAPS": ("h/o/r=2", "shared log"),
    }
    assert second("config", "get", "MAX_AGENTS").out == "12\n"
    assert second("config", "get", "--shared", "REPOSITORY_CAPS").out == "h/o/r=2\n"
    assert second("config", "get", "REPOSITORY_CAPS").out == "\n", "this host's own"
    shown = second("config", "list")
    rows = [line.split()[:3] for line in shown.out.splitlines() if line.startswith("MAX_AGENTS")]
    assert rows == [["MAX_AGENTS_PER_REPOSITORY", "0", "default"], ["MAX_AGENTS", "12", "shared"]]
    assert second("config", "unset", "HOST_LOST_MINUTES").out == "HOST_LOST_MINUTES of all hosts is 30, its default\n"
    assert minutes_to_live(database) == 30
    assert listed(second)["HOST_LOST_MINUTES"] == ("30", "shared log"), "so that any relay gives it to the database"
    again = second("config", "set", "MAX_AGENTS", "12", "--json").json
    assert (again["old"], again["new"], again["seq"]) == ("12", "12", None)
    assert "MAX_AGENTS 12 → unset on all hosts" in " ".join(
        (second("config", "unset", "MAX_AGENTS") and second("history", "--all")).out.split()
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("set", "MAX_AGENTS", "0"), 3, "at least 1"),
        (("set", "MAX_AGENTS", "many"), 3, "not a whole number"),
        (("set", "HOST_LOST_MINUTES", "0.5"), 3, "not a whole number"),
        (("set", "HOST_LOST_MINUTES", "20000"), 3, "a week"),
        (("set", "--shared", "REPOSITORY_CAPS", "r=1"), 3, "not host/owner/repo"),
        (("set", "--shared", "MAX_ATTEMPTS", "3"), 3, "those are: MAX_AGENTS"),
        (("set", "--shared", "--repo", "o/r", "MAX_AGENTS_PER_REPOSITORY", "3"), 3, "--shared REPOSITORY_CAPS o/r=2"),
        (("set", "MAX_AGENT", "3"), 3, "is not a setting"),
    ],
)
def test_what_no_setting_of_all_hosts_can_be_is_refused(
    ready: Command, words: tuple[str, ...], code: int, said: str
) -> None:
    share(ready)
    before = ready("history", "--all", "--json").out
    refused = ready("config", *words)
    assert refused.code == code and said in refused.err, refused
    assert ready("history", "--all", "--json").out == before


def test_a_log_of_one_host_has_none(ready: Command) -> None:
    for words in (("set", "MAX_AGENTS", "3"), ("get", "MAX_AGENTS"), ("unset", "--shared", "REPOSITORY_CAPS")):
        refused = ready("config", *words)
        assert refused.code == 5 and "on this host only" in refused.err, refused
        assert "kugetsu help many-hosts" in refused.err
    assert "MAX_CONCURRENT_AGENTS" in ready("config", "get", "MAX_AGENTS").err
    assert listed(ready) == {} and "MAX_AGENTS " not in ready("config", "list").out
    (ready.root / "config").write_text("MAX_AGENTS=3\n")
    assert "kugetsu config set MAX_AGENTS VALUE" in ready("config", "list").err


def test_doctor_says_when_the_database_has_another_time_to_live(shared: Command, database: str, postgres: Any) -> None:
    def said() -> str:
        found = shared("doctor", "--json").json["findings"]
        return next(f"{one['level']} {one['text']} {one['fix']}" for one in found if one["name"] == "silence")

    assert said().startswith("ok a host that is silent for 30 min is lost")
    postgres.run("UPDATE kugetsu.meta SET host_ttl = '5 min'", database.rpartition("dbname=")[2])
    assert said().startswith("warning a host that is silent for 5 min is lost by the database, after 30 by the log")
    assert said().endswith("kugetsu config set HOST_LOST_MINUTES 30")
    assert shared("config", "set", "HOST_LOST_MINUTES", "30").code == 0
    assert said().startswith("ok") and minutes_to_live(database) == 30


def test_a_setting_of_both_kinds_says_whose_it_was(shared: Command) -> None:
    assert shared("config", "set", "MAX_AGENTS_PER_REPOSITORY", "2").err.count("--shared") == 1
    assert listed(shared)["MAX_AGENTS_PER_REPOSITORY"] == ("0", "default")


def test_why_names_the_cap_of_all_hosts(ready: Command, story: Any, fits: Any) -> None:
    story.enqueue()
    story.run("q1")
    share(ready)
    assert ready("config", "set", "MAX_AGENTS", "1").code == 0
    assert ready("queue", "enqueue", "example.com/o/r#2", "x").code == 0
    why = ready("why", "q2")
    assert "1 of 1 agent on all hosts (q1.1)" in " ".join(why.out.split()) and fits(why.out), why.out
    assert "kugetsu config set MAX_AGENTS 2" in why.out
    assert ready("why", "q2", COLUMNS="40").code == 0


def test_completion_offers_them_where_the_log_is_shared(shared: Command) -> None:
    def offered(*typed: str) -> list[str]:
        found: list[str] = candidates(shared, "config", *typed)
        return found

    assert "MAX_AGENTS" in offered("set", "MAX_AG")
    assert set(offered("set", "--shared", "")) == set(listed(shared))


def test_a_database_with_an_older_schema_gets_no_other_time_to_live(
    shared: Command, database: str, postgres: Any
) -> None:
    postgres.run("DROP FUNCTION kugetsu.set_host_ttl", database.rpartition("dbname=")[2])
    refused = shared("config", "set", "HOST_LOST_MINUTES", "10")
    assert refused.code != 0 and "kugetsu log migrate" in refused.err, refused
    assert listed(shared)["HOST_LOST_MINUTES"] == ("30", "default"), "nothing was recorded"
    assert shared("config", "set", "MAX_AGENTS", "3").code == 0
