"""The scripted model: its language, what it answers over HTTP, and that it never outlives its starter."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripted_model import script
from scripted_model.isolation import isolate
from scripted_model.player import Player
from scripted_model.server import ScriptedModel

Message = dict[str, Any]
TOOL = Path(__file__).parents[2] / "tools" / "scripted_model"


def user(*steps: str) -> Message:
    return {"role": "user", "content": "Do it.\n```script\n" + "\n".join(steps) + "\n```\nThanks."}


def request(*messages: Message, **more: Any) -> dict[str, Any]:
    return {"model": "m", "stream": True, "tools": [{}], "messages": list(messages), **more}


CALLED = {"role": "assistant", "content": None}


def result(text: str = "ok") -> Message:
    return {"role": "tool", "content": text}


def test_script_is_cut_into_turns() -> None:
    turns = script.parse("say a\nrun ls -l\nwrite x/y.md\n| # one\n|\n|   two\nedit f\n- old\n+ new\nread g\nsay end")
    calls = [turn.call for turn in turns]
    assert [call.tool if call else None for call in calls] == ["bash", "write", "edit", "read", None]
    assert calls[0] is not None and calls[0].arguments["command"] == "ls -l"
    assert calls[1] is not None and calls[1].arguments == {"filePath": "x/y.md", "content": "# one\n\n  two\n"}
    assert calls[2] is not None and calls[2].arguments == {"filePath": "f", "oldString": "old", "newString": "new"}
    assert (turns[0].text, turns[-1].text) == ("a", "end")


def test_commands_that_begin_with_a_mark_of_a_body_stay_commands() -> None:
    (turn, _) = script.parse("run - nothing\n| second line")
    assert turn.call is not None
    assert turn.call.arguments["command"] == "- nothing\nsecond line"


def test_script_without_last_words_ends_all_the_same() -> None:
    assert [turn.text for turn in script.parse("run ls")] == ["", "Done."]
    assert [turn.text for turn in script.parse("")] == ["Done."]


@pytest.mark.parametrize("line", ["dance", "status x", "sleep long", "usage fun=1", "tool x {", "drop 5 times"])
def test_line_that_is_no_step_is_named(line: str) -> None:
    if line.startswith("drop"):
        assert script.parse(line)[0].faults[0].body == "5 times"
        return
    with pytest.raises(script.ScriptError):
        script.parse(line)


@given(st.text(max_size=300))
def test_any_message_gets_an_answer(text: str) -> None:
    turn, _ = Player().turn("s", request({"role": "user", "content": text}))
    assert turn.text or turn.call
    again, _ = Player().turn("s", request(user(*text.splitlines())))
    assert again.text or again.call or again.cut or again.empty or again.faults


def test_turn_is_read_off_the_conversation() -> None:
    asked = user("run one", "run two", "say end")
    player = Player()
    for messages, expected in (
        ([asked], "one"),
        ([asked, CALLED, result()], "two"),
        ([asked, CALLED, result(), CALLED, result(), user("run other")], "other"),
    ):
        turn, _ = player.turn("s", request(*messages))
        assert turn.call is not None
        assert turn.call.arguments["command"] == expected
    turn, _ = player.turn("s", request(asked, CALLED, result(), CALLED, result()))
    assert (turn.call, turn.text) == (None, "end")


def test_fault_is_given_so_many_times_to_each_session() -> None:
    player, asked = Player(), user("status 500 x2", "say well")

    def faulty(session: str) -> bool:
        return player.turn(session, request(asked))[1] is not None

    assert [faulty("a"), faulty("b"), faulty("a"), faulty("a"), faulty("b"), faulty("b")] == [
        True,
        True,
        True,
        False,
        True,
        False,
    ]


def test_side_questions_of_the_agent_do_not_move_the_script() -> None:
    player, asked = Player(), user("status 500", "say well")
    assert player.turn("a", request(asked, tools=[]))[1] is None
    assert player.turn("a", request(asked))[1] is not None


def test_script_of_a_file_is_followed() -> None:
    player = Player()
    asked = {"role": "user", "content": "Resolve issues/3.md, please."}
    first, _ = player.turn("s", request(asked))
    assert first.call is not None
    assert first.call.arguments["command"] == "cat 'issues/3.md'"
    shown = result("# Issue 3\n```script\nrun make\nsay Made.\n```\n")
    second, _ = player.turn("s", request(asked, CALLED, shown))
    assert second.call is not None
    assert second.call.arguments["command"] == "make"
    third, _ = player.turn("s", request(asked, CALLED, shown, CALLED, result()))
    assert third.text == "Made."


def test_recipe_fits_a_message_without_script() -> None:
    player = Player([(r"issue (\d+)", r"run fix \1"), ("", "say hello")])
    turn, _ = player.turn("s", request({"role": "user", "content": "Solve Issue 7"}))
    assert turn.call is not None
    assert turn.call.arguments["command"] == "fix 7"


@pytest.fixture
def server() -> Iterator[ScriptedModel]:
    with ScriptedModel() as running:
        yield running


def post(server: ScriptedModel, body: dict[str, Any], session: str = "ses_1") -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"x-session-id": session})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def get(server: ScriptedModel, path: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def pieces(body: bytes) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in body.decode().splitlines() if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_answer_is_streamed_with_its_usage(server: ScriptedModel) -> None:
    status, _, body = post(server, request(user("usage input=100 output=7 cached=50", "say " + "word " * 20)))
    assert status == 200
    got = pieces(body)
    text = "".join(choice["delta"].get("content", "") for piece in got for choice in piece["choices"])
    assert text == ("word " * 20).strip()
    assert got[-2]["choices"][0]["finish_reason"] == "stop"
    assert got[-1]["usage"]["total_tokens"] == 107
    assert got[-1]["usage"]["prompt_tokens_details"] == {"cached_tokens": 50}
    assert get(server, "/v1/models")["data"][0]["id"]
    seen = get(server, "/requests")
    assert [(one["session"], one["given"]) for one in seen] == [("ses_1", "answer")]


def test_tool_call_cut_and_whole_answers(server: ScriptedModel) -> None:
    got = pieces(post(server, request(user("run ls")))[2])
    call = got[1]["choices"][0]["delta"]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"])["command"] == "ls"
    assert got[-2]["choices"][0]["finish_reason"] == "tool_calls"
    got = pieces(post(server, request(user("say half", "cut")))[2])
    assert got[-2]["choices"][0]["finish_reason"] == "length"
    whole = json.loads(post(server, request(user("say all"), stream=False))[2])
    assert whole["choices"][0]["message"]["content"] == "all"


def test_faults_are_http_errors(server: ScriptedModel) -> None:
    asked = user("status 429 retry-after=3600 slow down", 'status 400 {"error": {"code": "x"}}', "drop", "say well")
    status, headers, body = post(server, request(asked))
    assert (status, headers["retry-after"]) == (429, "3600")
    assert json.loads(body)["error"]["message"] == "slow down"
    assert json.loads(post(server, request(asked))[2]) == {"error": {"code": "x"}}
    with pytest.raises((http.client.IncompleteRead, ConnectionError, AssertionError)):
        pieces(post(server, request(asked))[2])
    assert post(server, request(asked))[0] == 200


def test_isolated_home_names_the_server_only(tmp_path: Path) -> None:
    environment = isolate(tmp_path, "http://127.0.0.1:1")
    config = json.loads(Path(environment["OPENCODE_CONFIG"]).read_text())
    assert config["provider"]["scripted"]["options"]["baseURL"] == "http://127.0.0.1:1/v1"
    assert config["enabled_providers"] == ["scripted"]
    places = ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
    assert all(environment[name].startswith(str(tmp_path)) for name in places)


@pytest.mark.parametrize("way", ["stdin", "signal"])
def test_process_tells_where_it_listens_and_ends_with_its_starter(tmp_path: Path, way: str) -> None:
    port_file = tmp_path / "port"
    command = [sys.executable, str(TOOL), "--port-file", str(port_file)]
    command += ["--home", str(tmp_path / "home"), "--until-stdin-closes"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdin is not None
            line = process.stdout.readline()
            assert line.startswith("listening on http://127.0.0.1:")
            port = line.strip().rpartition(":")[2]
            assert json.loads((tmp_path / "home" / "environment.json").read_text())["HOME"] == str(tmp_path / "home")
            while not port_file.exists():
                assert process.poll() is None
            assert port_file.read_text().strip() == port
            if way == "stdin":
                process.stdin.close()
            else:
                process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()
