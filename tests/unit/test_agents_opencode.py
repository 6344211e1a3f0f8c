"""The opencode adapter without opencode: sessions as files, the launch, its environment, finding the program."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import orjson
import pytest

from kugetsu.agents import choose
from kugetsu.agents.opencode import (
    baseline,
    session_files,
    store,
)
from kugetsu.agents.opencode import (
    environment as opencode_environment,
)
from kugetsu.agents.opencode import (
    program as opencode_program,
)
from kugetsu.agents.protocol import Turn
from kugetsu.model.errors import AgentUnavailable, BadInput, KugetsuError


def program(path: Path, text: str = "#!/bin/sh\necho 1.18.33\n") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def turn(folder: Path, **given: Any) -> Turn:
    return Turn("ses_1", str(folder), str(folder / "p"), str(folder / "o"), str(folder / "e"), **given)


def exported() -> dict[str, Any]:
    def part(number: int, message: str, **rest: Any) -> dict[str, Any]:
        return {"id": f"prt_{number:012x}AAAAAAAAAAAAAA", "messageID": message, "sessionID": "ses_old", **rest}

    one, two = "msg_000000000001AAAAAAAAAAAAAA", "msg_000000000002BBBBBBBBBBBBBB"
    info = {"id": "ses_old", "directory": "/base", "title": "base", "cost": 3, "parentID": "ses_p", "time": {}}
    asked = {"id": one, "role": "user", "sessionID": "ses_old"}
    answer = {
        "id": two,
        "role": "assistant",
        "parentID": one,
        "sessionID": "ses_old",
        "path": {"cwd": "/base", "root": "/base"},
    }
    state = {"status": "completed", "input": {"command": "ls"}, "output": "a\nb"}
    return {
        "info": info,
        "messages": [
            {"info": asked, "parts": [part(1, one, type="text", text="hello")]},
            {"info": answer, "parts": [part(2, two, type="tool", tool="bash", state=state)]},
        ],
    }


def test_renewed_session_shares_no_id_and_keeps_its_order_and_words() -> None:
    before = exported()
    after = orjson.loads(session_files.renewed(orjson.dumps(before), "ses_new", "issue 1", "/wt", 5))
    assert after["info"]["id"] == "ses_new"
    assert (after["info"]["title"], after["info"]["cost"]) == ("issue 1", 0)
    assert "parentID" not in after["info"]
    one, two = after["messages"]
    assert two["info"]["parentID"] == one["info"]["id"]
    assert two["info"]["path"] == {"cwd": "/wt", "root": "/wt"}
    for old, new in zip(before["messages"], after["messages"], strict=True):
        assert old["info"]["id"] != new["info"]["id"]
        assert old["info"]["id"][:16] == new["info"]["id"][:16]
        for was, part in zip(old["parts"], new["parts"], strict=True):
            assert was["id"] != part["id"]
            assert (part["sessionID"], part["messageID"]) == ("ses_new", new["info"]["id"])
    assert one["parts"][0]["text"] == "hello"
    assert "ses_old" not in json.dumps(after)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"info": {}}', b'{"info": 3, "messages": []}'])
def test_unknown_export_is_a_clear_error(content: bytes) -> None:
    with pytest.raises(KugetsuError, match="not understood"):
        session_files.renewed(content, "ses_new", "t", "/wt", 5)


def test_ids_are_of_the_known_form_and_the_newest_sorts_first() -> None:
    early, late = session_files.new_session_id(1795468253638), session_files.new_session_id(1795468253639)
    assert early.startswith("ses_df5c0a639ffe")
    assert len(early) == 30
    assert late < early
    assert session_files.new_session_id(1) != session_files.new_session_id(1)


def test_transcript_shows_words_and_tools() -> None:
    text = session_files.as_text(orjson.dumps(exported()))
    assert "## user\nhello" in text
    assert '[bash] {"command":"ls"} -> completed\n    a\n    b' in text


def test_launch_is_in_the_worktree_in_every_way(tmp_path: Path) -> None:
    settings = {"KUGETSU_OPENCODE": program(tmp_path / "oc"), "KUGETSU_MODEL": "a/b", "KUGETSU_TEMP_DIR": "/t"}
    agent = choose(settings, {"PATH": os.defpath, "HOME": str(tmp_path), "OPENCODE_PID": "7", "X": "1"})
    launch = agent.launch(turn(tmp_path, environment={"KUGETSU_ATTEMPT": "q1.1"}))
    assert launch.argv[launch.argv.index("--dir") + 1] == str(tmp_path)
    assert launch.argv[launch.argv.index("--session") + 1] == "ses_1"
    assert launch.argv[launch.argv.index("--model") + 1] == "a/b"
    assert launch.cwd == str(tmp_path)
    whole = launch.environment({"PWD": "/elsewhere", "OPENCODE_PID": "7", "X": "1"})
    assert whole["PWD"] == str(tmp_path)
    assert whole["KUGETSU_ATTEMPT"] == "q1.1"
    assert whole["X"] == "1"
    assert "OPENCODE_PID" not in whole
    assert whole["GIT_TERMINAL_PROMPT"] == "0"
    permission = json.loads(whole["OPENCODE_PERMISSION"])
    assert permission["external_directory"]["*"] == "deny"
    assert permission["external_directory"]["/t/*"] == "allow"
    assert (permission["doom_loop"], permission["question"]) == ("allow", "deny")
    content = json.loads(whole["OPENCODE_CONFIG_CONTENT"])
    assert content["share"] == "disabled"
    assert content["plugin"][0].endswith("plugin.js")
    assert Path(content["plugin"][0].removeprefix("file://")).is_file()


def test_what_the_user_configured_stays_in_force(tmp_path: Path) -> None:
    environment = {
        "HOME": str(tmp_path),
        "OPENCODE_PERMISSION": '{"question": "allow"}',
        "OPENCODE_CONFIG_CONTENT": '{"plugin": ["mine"], "model": "a/b"}',
    }
    chosen = opencode_environment.for_turn(environment, "/wt", ())
    content = json.loads(chosen["OPENCODE_CONFIG_CONTENT"])
    assert content["model"] == "a/b"
    assert content["plugin"][0] == "mine"
    assert json.loads(chosen["OPENCODE_PERMISSION"])["question"] == "allow"


def test_own_rules_for_other_folders_are_left_alone(tmp_path: Path) -> None:
    config = tmp_path / ".config" / "opencode" / "opencode.jsonc"
    config.parent.mkdir(parents=True)
    config.write_text('{"permission": {"external_directory": {"/data/*": "allow"}}} // mine')
    chosen = opencode_environment.for_turn({"HOME": str(tmp_path)}, "/wt", ())
    assert "external_directory" not in json.loads(chosen["OPENCODE_PERMISSION"])


def test_missing_program_is_named_with_its_remedy(tmp_path: Path) -> None:
    for settings in ({}, {"KUGETSU_OPENCODE": "/no/such"}):
        agent = choose(settings, {"PATH": str(tmp_path)})
        with pytest.raises(AgentUnavailable) as caught:
            agent.require()
        assert "npm install" in (caught.value.hint or "")
        problems = agent.check()
        assert problems[0].fatal


def test_binary_behind_the_start_script_of_npm_is_taken(tmp_path: Path) -> None:
    package = opencode_program.packages()[0]
    modules = tmp_path / "lib" / "node_modules"
    script = program(modules / "opencode-ai" / "bin" / "opencode", "#!/usr/bin/env node\n")
    link = tmp_path / "bin" / "opencode"
    link.parent.mkdir()
    link.symlink_to(script)
    assert opencode_program.find({}, {"PATH": str(link.parent)}) == str(link)
    binary = program(modules / package / "bin" / "opencode", "\x7fELF")
    assert opencode_program.find({}, {"PATH": str(link.parent)}) == binary


@pytest.mark.parametrize(("said", "fatal"), [("0.9.1", True), ("1.17.0", False), ("1.19.2", False)])
def test_untested_version_is_reported(tmp_path: Path, said: str, fatal: bool) -> None:
    script = program(tmp_path / "oc", f'#!/bin/sh\n[ "$1" = models ] && echo a/b || echo {said}\n')
    agent = choose({"KUGETSU_OPENCODE": script, "KUGETSU_DIR": str(tmp_path / "k")}, {"PATH": os.environ["PATH"]})
    problems = agent.check()
    assert [problem.fatal for problem in problems] == [fatal]
    assert said in problems[0].text


def test_missing_model_is_reported(tmp_path: Path) -> None:
    script = program(tmp_path / "oc", '#!/bin/sh\n[ "$1" = models ] && exit 0\necho 1.18.33\n')
    settings = {"KUGETSU_OPENCODE": script, "KUGETSU_DIR": str(tmp_path / "k")}
    environment = {"PATH": os.environ["PATH"]}
    assert "no model" in choose(settings, environment).check()[0].text
    assert "a/b" in choose(settings | {"KUGETSU_MODEL": "a/b"}, environment).check()[0].text


def test_program_that_does_not_work_is_reported_in_its_own_words(tmp_path: Path) -> None:
    script = program(tmp_path / "oc", "#!/bin/sh\necho 'postinstall script was not run' >&2\nexit 1\n")
    agent = choose({"KUGETSU_OPENCODE": script, "KUGETSU_DIR": str(tmp_path / "k")}, {"PATH": os.environ["PATH"]})
    with pytest.raises(AgentUnavailable, match="postinstall script was not run"):
        agent.version()


def test_store_finds_sessions_and_tells_a_foreign_database(tmp_path: Path) -> None:
    database = tmp_path / "opencode.db"
    assert store.find(database, "ses_1") is None
    with sqlite3.connect(database) as connection:
        connection.execute("create table session (id text, directory text, time_updated integer)")
        connection.execute("insert into session values ('ses_1', '/wt', 5)")
    connection.close()
    row = store.find(database, "ses_1")
    assert row is not None
    assert (row.directory, row.updated) == ("/wt", 5)
    assert store.find(database, "ses_2") is None
    database.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(store.UnreadableError):
        store.find(database, "ses_1")


def test_unknown_agent_is_bad_input() -> None:
    with pytest.raises(BadInput):
        choose({"KUGETSU_AGENT": "emacs"})


@pytest.mark.parametrize(
    ("before", "after", "put_back"),
    [
        ('{"a": 1}', '{\n  "$schema": "https://opencode.ai/config.json","a": 1}', True),
        ('\n  { "a": 1 }\n', '{\n  "$schema": "https://opencode.ai/config.json", "a": 1 }\n', True),
        ('{"a": 1}', '{\n  "$schema": "https://opencode.ai/config.json","a": 2}', False),
        ('{"a": 1}', '{"a": 1}', False),
        ('{"a": 1}', None, False),
    ],
)
def test_only_what_opencode_inserted_is_put_back(
    tmp_path: Path, before: str, after: str | None, put_back: bool
) -> None:
    file = tmp_path / "opencode.json"
    file.write_text(before)
    file.chmod(0o640)
    noted = baseline.contents(str(tmp_path))
    file.unlink() if after is None else file.write_text(after)
    assert baseline.put_back(str(tmp_path), noted, noted) == (["opencode.json"] if put_back else [])
    if after is not None:
        assert file.read_text() == (before if put_back else after)
        assert file.stat().st_mode & 0o777 == 0o640


def test_configuration_behind_a_link_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("{}")
    (tmp_path / "opencode.json").symlink_to("users")
    assert baseline.contents(str(tmp_path)) == {}
    (tmp_path / "users").write_text(baseline.as_opencode_writes("{}"))
    assert baseline.put_back(str(tmp_path), {"opencode.json": "{}", "../x": "{}"}, ["opencode.json", "../x"]) == []
