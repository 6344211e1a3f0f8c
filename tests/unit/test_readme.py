"""The README and the pages beside it are true: their commands run, their settings, exit codes and names exist."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from kugetsu.cli import catalogue
from kugetsu.model import errors
from kugetsu.model.settings import OF_REPOSITORY, SETTINGS
from log import postgres

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "kugetsu"
README = (ROOT / "README.md").read_text(encoding="utf-8")
#: The pages for those who work on kugetsu: they name files and what is in them.
SOURCE_PAGES = tuple(path.read_text(encoding="utf-8") for path in sorted((ROOT / "src").glob("*.md")))


def page(name: str) -> str:
    """A page of the guide."""
    return (PACKAGE / "guide" / f"{name}.md").read_text(encoding="utf-8")


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


def test_settings_page_has_the_settings_of_the_program() -> None:
    items = " ".join(page("settings").split()).split(" - `")[1:]
    form = r"([A-Z_]+)`( \(per repository\))?, default (?:`(.*?)`|empty): (.*)"
    shown = [re.fullmatch(form, item) for item in items]
    listed = {item[1]: (item[3] or "", item[4]) for item in shown if item}
    assert {item[1] for item in shown if item and item[2]} == OF_REPOSITORY
    assert listed == {key: (setting.default, setting.help) for key, setting in SETTINGS.items()}


def test_every_kugetsu_command_shown_exists() -> None:
    for line in commands():
        words = shlex.split(line)
        if words[0] == "kugetsu" and not words[1].startswith("-"):
            name, _ = catalogue.find(words[1:])
            assert name in catalogue.COMMANDS, line


def test_exit_codes_are_those_of_the_errors() -> None:
    listed = {int(row[0]) for row in rows(page("commands")) if row[0].isdigit()}
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert listed == {0} | {kind.exit_code for kind in classes}


def test_every_path_named_exists() -> None:
    for name in re.findall(r"`((?:(?:src|tests|tools|\.ci)/[\w./-]*)|[A-Z]+\.md)`", "".join((README, *SOURCE_PAGES))):
        assert (ROOT / name).exists(), name


def test_every_source_file_and_name_of_the_pages_beside_the_source_exists() -> None:
    """`runtime/submit.py:enqueue` is a file below the package, and a function, class or constant that it defines."""
    named = re.findall(r"`((?:\w+/)+(?:[\w-]+\.\w+)?)(?::([\w.]+))?`", "".join(SOURCE_PAGES))
    inside = [(path, name) for path, name in named if not path.startswith(("src/", "tests/", "tools/"))]
    assert len(inside) > 60
    for path, name in inside:
        assert (PACKAGE / path).exists(), path
        assert not name or name in defined(PACKAGE / path), f"{path}:{name}"


def defined(path: Path) -> set[str]:
    """The names that a module defines, those of its classes as `Class.name`."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef():
                names.add(node.name)
            case ast.ClassDef():
                names |= {
                    node.name,
                    *(f"{node.name}.{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)),
                }
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return names


def test_the_readme_links_every_page_of_the_guide() -> None:
    linked = set(re.findall(r"`src/kugetsu/guide/([\w-]+)\.md`", README))
    assert linked == {path.stem for path in (PACKAGE / "guide").glob("*.md")} - {"index"}


def test_bench_measures_everything_in_quick_form(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in SETTINGS}
    command = [sys.executable, str(ROOT / "tools" / "bench"), "--quick", "--json", "--dir", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    measured = {row["part"] for row in json.loads(done.stdout)["rows"]}
    assert measured >= {"start-up", "appends", "waits", "flat", "rebuild", "dispatch"}
    assert ("shared log" in measured) is (postgres.binaries() is not None)
    assert not list(tmp_path.iterdir()), "the benchmark left something behind"


def test_quick_start_explains_itself() -> None:
    command = [sys.executable, str(ROOT / "tools" / "quickstart"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0
    assert "--offline" in done.stdout
