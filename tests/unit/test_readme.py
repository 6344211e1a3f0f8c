"""The README says what is so: its commands run, its settings and exit codes are those of the program."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from kugetsu.cli import catalogue, main
from kugetsu.model import errors
from kugetsu.model.settings import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text of one section, without its heading."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.M | re.S)
    assert found is not None, f"README.md has no section {title!r}"
    return found[1]


def commands() -> list[str]:
    """The lines of the README's shell blocks, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.M | re.S)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def rows(text: str) -> list[list[str]]:
    """The cells of a table's rows, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_first_command_is_the_quick_start_and_the_second_the_tests() -> None:
    assert commands()[:2] == ["python3 tools/quickstart", "python3 tools/check.py"]


@pytest.mark.parametrize("command", commands()[:2])
def test_first_commands_say_what_they_do(command: str) -> None:
    program, script = shlex.split(command)
    assert program == "python3"
    assert (ROOT / script).exists()


def test_continuous_integration_runs_the_test_command() -> None:
    assert commands()[1] in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_settings_table_is_that_of_the_program() -> None:
    said = {row[0].strip("`"): (row[1].strip("`"), row[2]) for row in rows(section("Settings"))}
    assert said == {key: (setting.default, setting.help) for key, setting in SETTINGS.items()}


def test_every_kugetsu_command_shown_exists() -> None:
    for line in commands():
        words = shlex.split(line)
        if words[0] == "kugetsu" and not words[1].startswith("-"):
            name, _ = main.find(words[1:])
            assert name in catalogue.COMMANDS, line


def test_exit_codes_are_those_of_the_errors() -> None:
    said = {int(row[0]) for row in rows(section("Exit codes")) if row[0].isdigit()}
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert said == {0} | {kind.exit_code for kind in classes}


def test_every_path_named_exists() -> None:
    texts = README + (ROOT / "src" / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"`((?:(?:src|tests|tools|\.ci)/[\w./-]*)|[A-Z]+\.md)`", texts):
        assert (ROOT / name).exists(), name


def test_bench_measures_everything_in_quick_form(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in SETTINGS}
    command = [sys.executable, str(ROOT / "tools" / "bench"), "--quick", "--json", "--dir", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    measured = {row["part"] for row in json.loads(done.stdout)["rows"]}
    assert measured >= {"start-up", "appends", "waits", "flat", "rebuild", "dispatch"}
    assert not list(tmp_path.iterdir()), "the benchmark left something behind"


def test_quick_start_explains_itself() -> None:
    command = [sys.executable, str(ROOT / "tools" / "quickstart"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0
    assert "--offline" in done.stdout
