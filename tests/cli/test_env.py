"""`kugetsu env`: the env files are listed, set and checked, and no value is ever shown unasked."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from cli.test_json_shapes import compare, documented

TOKEN = "7f2a9c41d0b3e86f5a7c1d92e4b608f3a1c5d7e9"


@pytest.fixture
def made(kugetsu):
    """Set up, with a token in default.env and one in dev.env."""
    assert kugetsu("init").code == 0
    assert kugetsu("env", "set", "GITEA_TOKEN", input=TOKEN.encode() + b"\n").code == 0
    assert kugetsu("env", "set", "NPM_TOKEN", "--agent", "dev", input=b"npm-7c1d92e4b6").code == 0
    return kugetsu


def path(kugetsu, name):
    return kugetsu.root / "env" / name


def test_the_list_names_variables_files_and_who_gets_them_and_no_value(made, snapshot, fits):
    shown = made("env")
    assert shown.code == 0 and fits(shown.out)
    assert TOKEN not in repr(shown) and "npm-7c1d" not in repr(shown)
    snapshot("env-list", shown.out + shown.err)
    assert made("env", "list").out == shown.out
    snapshot("env-list-dev", made("env", "list", "--agent", "dev").out)


def test_what_a_file_of_its_own_hides_is_told(made):
    shown = made("env", "list", "--json")
    assert {one["name"]: one["hidden_from"] for one in shown.json["variables"]} == {
        "GITEA_TOKEN": ["dev", "forge"],
        "NPM_TOKEN": [],
    }
    compare(shown.json, documented("env list"))
    assert "will not see it" not in made("env", "set", "A", "--agent", "dev", input=b"x").err
    shown = made("env", "set", "GITEA_TOKEN", input=b"other-value")
    assert "dev, forge will not see it" in shown.err and "--agent dev" in shown.err


def test_the_first_variable_of_a_file_tells_what_it_takes_away_and_the_next_does_not(kugetsu, snapshot):
    assert kugetsu("init").code == 0
    for name in ("GITEA_TOKEN", "NPM_TOKEN"):
        kugetsu("env", "set", name, input=TOKEN.encode())
    shown = kugetsu("env", "set", "CARGO_TOKEN", "--agent", "dev", input=b"cargo-7c1d")
    snapshot("env-set-hides", shown.out + shown.err)
    assert "any more" not in kugetsu("env", "set", "PIP_TOKEN", "--agent", "dev", input=b"pip-7c1d").err
    shown = kugetsu("env", "set", "GITEA_TOKEN", "--agent", "pm-agent", "--json", input=TOKEN.encode())
    compare(shown.json, documented("env set"))
    assert shown.json["hides"] == [{"name": "NPM_TOKEN", "file": "default.env", "from": ["pm-agent"]}]


def test_what_one_alone_needs_is_not_advised_to_others(kugetsu):
    assert kugetsu("init").code == 0
    for name in ("NOTIFY_WEBHOOK_URL", "NPM_TOKEN"):
        kugetsu("env", "set", name, input=b"https://hooks.example/x")
    assert "any more" not in kugetsu("env", "set", "--agent", "forge", "GITEA_TOKEN", input=TOKEN.encode()).err
    shown = kugetsu("env", "set", "--agent", "pm-agent", "OTHER", input=b"x")
    assert "for pm-agent: NPM_TOKEN is no longer seen there" in shown.err


def test_nobody_is_told_to_give_a_servers_token_to_the_sinks(kugetsu):
    assert kugetsu("init").code == 0
    kugetsu("env", "set", "NOTIFY_WEBHOOK_URL", input=b"https://hooks.example/x")
    shown = kugetsu("env", "set", "--agent", "notify", "OF_THE_COMMAND", input=b"x")
    assert "for notify: NOTIFY_WEBHOOK_URL is no longer seen there" in shown.err
    assert kugetsu("env", "unset", "OF_THE_COMMAND").code == 0
    for name in ("GITEA_TOKEN", "GITEA_TOKEN_GIT_EXAMPLE_COM"):
        kugetsu("env", "set", name, input=TOKEN.encode())
    shown = kugetsu("env", "set", "--agent", "notify", "NOTIFY_WEBHOOK_URL", input=b"https://hooks.example/x")
    assert "any more" not in shown.err
    assert "will not see it" not in kugetsu("env", "set", "GITEA_TOKEN", input=TOKEN.encode()).err
    checked = kugetsu("env", "check")
    assert checked.code == 0 and "!" not in checked.out
    hidden = {one["name"]: one["hidden_from"] for one in kugetsu("env", "list", "--json").json["variables"]}
    assert hidden["GITEA_TOKEN"] == ["notify"]


def test_a_value_is_read_from_standard_input_and_stands_in_a_private_file(made):
    text = path(made, "default.env").read_text()
    assert text.endswith(f"GITEA_TOKEN={TOKEN}\n") and text.startswith("# KEY=VALUE lines")
    assert path(made, "default.env").stat().st_mode & 0o777 == 0o600
    assert path(made, "default.env").parent.stat().st_mode & 0o777 == 0o700


def test_setting_again_replaces_the_line_keeps_the_comments_and_closes_an_open_file(made):
    path(made, "default.env").chmod(0o644)
    with path(made, "default.env").open("a") as file:
        file.write("# mine\nexport OTHER=1\n")
    shown = made("env", "set", "GITEA_TOKEN", "--json", input=b'it\'s a "quoted" $value\n')
    compare(shown.json, documented("env set"))
    assert path(made, "default.env").stat().st_mode & 0o777 == 0o600
    lines = path(made, "default.env").read_text().splitlines()
    assert sum(line.startswith("GITEA_TOKEN=") for line in lines) == 1
    assert lines[-2:] == ["# mine", "export OTHER=1"]
    assert made("env", "get", "GITEA_TOKEN", "--show").out == 'it\'s a "quoted" $value\n'


def test_a_value_in_the_arguments_works_and_is_warned_of(made):
    shown = made("env", "set", "A_TOKEN", TOKEN)
    assert shown.code == 0 and "history" in shown.err and TOKEN not in shown.out + shown.err
    assert made("env", "get", "A_TOKEN", "--show").out == TOKEN + "\n"


def test_on_a_terminal_the_value_is_asked_for_without_echo(made):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "kugetsu", "env", "set", "TYPED"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=made.environment,
        cwd=made.work,
        start_new_session=True,
    )
    try:
        assert process.stderr is not None
        prompt = b""
        while not prompt.endswith(b": "):  # getpass writes it when the echo is off
            prompt += os.read(process.stderr.fileno(), 1)
        os.write(ours, b"typed-secret\n")
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        os.close(ours)
        os.close(theirs)
    assert process.returncode == 0 and b"typed-secret" not in out + err, (out, err)
    assert made("env", "get", "TYPED", "--show").out == "typed-secret\n"


def test_get_shows_the_value_only_when_asked_in_so_many_words(made):
    shown = made("env", "get", "GITEA_TOKEN")
    assert shown.out == "set, 40 characters\n" and "--show" in shown.err
    compare(made("env", "get", "GITEA_TOKEN", "--json").json, documented("env get"))
    assert "value" not in made("env", "get", "GITEA_TOKEN", "--json").json
    assert made("env", "get", "GITEA_TOKEN", "--show").out == TOKEN + "\n"
    assert made("env", "get", "GITEA_TOKEN", "--show", "--json").json["value"] == TOKEN


def test_get_of_an_agent_tells_what_that_agent_gets(made):
    assert made("env", "get", "GITEA_TOKEN", "--agent", "dev").code == 4
    assert made("env", "get", "GITEA_TOKEN", "--agent", "pm-agent", "--json").json["file"] == "default.env"
    made("env", "set", "GITEA_TOKEN", "--agent", "dev", input=b"another")
    shown = made("env", "get", "GITEA_TOKEN")
    assert shown.code == 3 and "dev.env and default.env" in shown.err and "--agent" in shown.err


def test_unset_takes_the_line_out(made):
    compare(made("env", "unset", "GITEA_TOKEN", "--json").json, documented("env unset"))
    assert TOKEN not in path(made, "default.env").read_text()
    assert made("env", "unset", "GITEA_TOKEN").code == 4
    assert made("env", "get", "GITEA_TOKEN").code == 4


def test_the_path_is_printed_for_an_editor(made):
    assert made("env", "path").out == f"{made.root}/env\n"
    shown = made("env", "path", "--agent", "notify", "--json").json
    compare(shown, documented("env path"))
    assert shown == {"path": f"{made.root}/env/notify.env", "exists": False}


@pytest.mark.parametrize(
    ("words", "input"),
    [
        (("GITEA_TOKEN=" + TOKEN,), b""),
        (("2FAST", TOKEN), b""),
        (("A B", TOKEN), b""),
        (("KUGETSU_LEASE", TOKEN), b""),
        (("A", ""), b""),
        (("A",), b"\n"),
        (("A",), f"one\n{TOKEN}\n".encode()),
        (("A",), b"nul\0" + TOKEN.encode()),
        (("A",), b"\xff" + TOKEN.encode()),
        (("A",), TOKEN.encode() * 3000),
        (("A", TOKEN, "--agent", "nobody"), b""),
    ],
)
def test_what_no_variable_can_be_is_refused_without_a_word_of_it(made, words, input):
    before = path(made, "default.env").read_bytes()
    shown = made("env", "set", *words, input=input)
    assert shown.code == 3 and "hint: " in shown.err, shown
    assert TOKEN not in shown.out + shown.err
    assert path(made, "default.env").read_bytes() == before


def test_a_path_without_git_and_a_home_that_is_no_folder_stop_every_agent_and_are_refused(made):
    for name, value in (
        ("PATH", "x"),
        ("PATH", "$PATH:/opt/tool/bin"),
        ("HOME", "~"),
        ("HOME", str(made.folder / "no")),
    ):
        shown = made("env", "set", name, value)
        assert shown.code == 3 and f"no agent can work with this {name}" in shown.err and "hint: " in shown.err
    for name, value in (("PATH", f"/opt/tool/bin:{os.environ['PATH']}"), ("HOME", str(made.folder))):
        assert made("env", "set", name, value).code == 0
    assert made("env", "check").code == 0
    with path(made, "dev.env").open("a") as file:
        file.write("PATH=/opt/tool/bin\n")
    shown = made("env", "check")
    assert shown.code == 1 and "no agent can work with PATH" in shown.out and "/opt/tool" not in shown.out


def test_a_broken_config_does_not_keep_a_secret_from_being_set(made):
    (made.root / "config").write_text("what is this\n")
    assert made("env", "set", "A", "value-1").code == 0
    assert made("env").code == 0 and made("env", "check").code == 0


def test_before_init_nothing_can_be_set(kugetsu):
    assert kugetsu("env").code == 0
    for words in (("set", "A", "x"), ("check",)):
        shown = kugetsu("env", *words)
        assert shown.code == 1 and "kugetsu init" in shown.err


def test_check_names_the_lines_and_never_quotes_them(made, snapshot):
    with path(made, "dev.env").open("a") as file:
        file.write(f"GITEA_TOKEN = {TOKEN}\nexport export {TOKEN}\nQ='{TOKEN}\nEMPTY=\nKUGETSU_DIR=/x\n")
        file.write(f"gitea_token={TOKEN}\nGITHUB_TOKEN='{TOKEN[:9]} {TOKEN[9:]}'\nEMPTY=\n")
    path(made, "default.env").chmod(0o640)
    path(made, "developer.env").write_text(f"A={TOKEN}\n")
    shown = made("env", "check")
    assert shown.code == 1 and TOKEN[:9] not in shown.out + shown.err
    snapshot("env-check", shown.out.replace(str(made.root), "ROOT"))
    data = made("env", "check", "--json").json
    compare(data, documented("env check"))
    assert not data["ok"] and TOKEN[:9] not in str(data)


def test_check_of_good_files_is_content(made):
    made("env", "set", "GITEA_TOKEN", "--agent", "dev", input=b"abcdef1234")
    shown = made("env", "check")
    assert shown.code == 0 and "✗" not in shown.out and "!" not in shown.out


def test_no_event_is_written_about_variables(made):
    made("env", "set", "B_TOKEN", TOKEN)
    made("env", "unset", "B_TOKEN")
    assert "env" not in made("history", "--all").out
    assert TOKEN.encode() not in b"".join(
        file.read_bytes() for file in (made.root / "log").rglob("*") if file.is_file()
    )


@pytest.mark.parametrize("name", ["default.env", "dev.env", "config"])
def test_a_nul_in_a_line_is_refused_with_its_place_before_anything_is_started(ready, name):
    path = ready.root / name if name == "config" else ready.root / "env" / name
    path.write_bytes(b"# a comment\nTOOL_KEY=ab\0cd\n" if name != "config" else b"KUGETSU_MODEL=a\0b\n")
    os.chmod(path, 0o600)
    line = 1 if name == "config" else 2
    started = ready("start", "https://example.com/o/r/issues/1", "go")
    assert started.code == 3 or "NUL" in started.err, started
    assert f"{name}:{line}" in started.err and "NUL" in started.err, started
    checked = ready("doctor")
    assert checked.code == 1 and f"line {line} of" in checked.out and "NUL" in checked.out, checked
    assert ready("queue", "list", "--all", "--json").out.count('"task"') == 0 or name == "config"
    if name != "config":
        assert ready("env", "check").code != 0
    path.write_text("# a comment\n")
    assert ready("env", "set", "TOOL_KEY", input=b"a\0b\n").code == 3
