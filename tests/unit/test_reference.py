"""The command reference is what the commands say, and every command says enough of itself."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from kugetsu.cli import catalogue
from kugetsu.cli.catalogue import COMMANDS, groups

ROOT = Path(__file__).resolve().parents[2]


def options(name):
    return {long for one in catalogue.load(name)[0].declared for long in one.names}


def typed_examples(name):
    """The command lines of a command's examples, without their comments."""
    lines = [line.partition("  # ")[0].strip() for line in catalogue.entry(name).examples.split("\n")]
    return [line for line in lines if line and not line.startswith("#")]


def test_the_page_is_current():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "reference.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"run python tools/reference.py\n{done.stdout}{done.stderr}"


def test_the_page_fits_a_terminal_and_begins_no_list_by_accident():
    lines = (ROOT / "src/kugetsu/guide/commands.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert [line for line in lines if line.startswith("- ") and not line.startswith("- `")] == []
    assert sum(line.startswith("```") for line in lines) % 2 == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_summary_an_example_and_a_documented_json(name):
    command = catalogue.entry(name)
    summary = COMMANDS[name][1]
    assert 10 <= len(summary) <= 60 and not summary.endswith("."), summary
    assert typed_examples(name), f"{name} needs examples="
    if "--json" in options(name):
        assert command.json, f"{name} takes --json: what does it print? say it in json="
        paths = re.findall(r"^([a-z_*][\w.*[\]]*)  +\S", command.json, re.M)
        assert paths, f"{name}: lines of json= are `path  meaning`, two blanks between them"
    else:
        assert not command.json
    assert set(command.exits) <= {2, 4, 5}, f"{name}: exits= names what not every command has"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_a_command_are_of_it_and_are_understood(name):
    for line in typed_examples(name):
        inner = re.search(r"\$\((kugetsu [^)]*)\)", line)
        words = shlex.split(inner[1] if inner else line.partition(" | ")[0].partition(" < ")[0])
        assert words.pop(0) == "kugetsu", line
        found, rest = catalogue.find(words)
        assert found == name, line
        catalogue.load(name)[0].read(rest)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_80_columns_and_a_phone(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = catalogue.load(name)[0].build().format_help()
    assert [line for line in text.splitlines() if len(line) > 80] == []
    monkeypatch.setenv("COLUMNS", "40")
    filled = catalogue.load(name)[0].build().format_help().partition("examples:")[0]
    long = [line for line in filled.splitlines() if len(line) > 40 and not line.startswith("  ")]
    assert [line for line in long if max(map(len, line.split())) < 34] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_usage_line_has_no_gaps(name):
    assert "  " not in catalogue.load(name)[0].usage and "\n" not in catalogue.load(name)[0].usage


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_told_of_json_stays_one_paragraph(name):
    page = (ROOT / "src/kugetsu/guide/commands.md").read_text(encoding="utf-8")
    paragraphs = {" ".join(part.split()) for part in page.partition(f"\n## {name}\n")[2].split("\n\n")}
    for part in catalogue.entry(name).json.split("\n\n"):
        prose = part if "  " not in part else ""
        assert " ".join(prose.split()) in paragraphs | {""}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_tells_what_json_prints_and_shows_the_examples(name):
    text = catalogue.load(name)[0].build().format_help()
    assert all(line in text for line in typed_examples(name))
    assert ("--json prints" in text) == ("--json" in options(name))


def test_the_page_has_a_section_for_every_command_in_the_order_of_the_help():
    page = (ROOT / "src/kugetsu/guide/commands.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", page, re.M) == list(COMMANDS)
    assert all(f"## {group} " in page for group in groups())


def test_a_key_and_what_it_means_stand_on_one_line_of_what_json_prints():
    """The page takes a line that begins with no key for a text between two blocks."""
    for name in COMMANDS:
        assert [line for line in catalogue.entry(name).json.split("\n") if line.startswith(" ")] == [], name
