"""The pages of the guide: they are true, they fit, and they are read at a terminal through the pager."""

from __future__ import annotations

import configparser
import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kugetsu.cli import catalogue, guide, paging
from kugetsu.cli.catalogue import COMMANDS, groups

ROOT = Path(__file__).parents[2]
PAGES = sorted(Path(guide.FOLDER).glob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md", *sorted((ROOT / "src").glob("*.md"))]
SSH = Path(guide.FOLDER) / "ssh.md"


def fenced(path: Path, language: str) -> list[str]:
    """The blocks of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)


def kugetsu_lines(path: Path) -> list[str]:
    """What the page's shell blocks run of kugetsu, here or through ssh."""
    found = []
    for line in "".join(fenced(path, "sh")).splitlines():
        line = re.split(r"\s{2,}# ", line)[0].partition(" | ")[0].partition(" < ")[0].partition(" > ")[0].strip()
        if line.startswith("ssh "):
            words = shlex.split(line)[1:]
            while words and words[0].startswith("-"):
                words = words[2:] if words[0] == "-p" else words[1:]
            line = " ".join(words[1:])  # the host; ssh itself joins the rest with blanks
        words = line.split(" ")
        while words and re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        if words and words[0] == "kugetsu":
            found.append(" ".join(words))
    return found


# --- they are true ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_every_kugetsu_line_of_a_shell_block_is_understood(path):
    for line in kugetsu_lines(path):
        # As a shell does, and shlex does not: the # of owner/repo#14 begins no comment.
        words = shlex.split(re.sub(r"\s#\s.*", "", line))[1:]
        if words[:1] in (["--help"], ["--version"]) or not words:
            continue
        if words[0] == "help":
            assert not words[1:] or words[1] in {*COMMANDS, *groups(), *guide.titles(), "pages"}, line
            continue
        name, rest = catalogue.find(words)
        assert name is not None, line
        catalogue.load(name)[0].read(rest)


def test_the_pages_have_lines_to_try():
    assert len(kugetsu_lines(SSH)) > 20 and any("delegate" in line for line in kugetsu_lines(SSH))
    assert kugetsu_lines(ROOT / "README.md")


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_settings_and_commands_named_in_the_text_exist(path):
    from kugetsu.model.settings import ELSEWHERE, SETTINGS, SHARED

    text = path.read_text(encoding="utf-8")
    for key, value in re.findall(r"kugetsu config set (?:--shared )?([A-Z_]+) (\S+)", text):
        if key != "KEY":
            {**SHARED, **SETTINGS}[key].read(value)
    known = {*SETTINGS, *ELSEWHERE}
    for key in re.findall(r"`((?:KUGETSU|MAX|MIN|TASK|QUEUE|NOTIFY|ISSUE)_[A-Z_]+)`", text):
        assert key in known or key.startswith(("KUGETSU_NOTICE", "NOTIFY_WEBHOOK", "KUGETSU_ATTEMPT")), key


def test_the_index_names_every_page_and_no_other():
    named = re.findall(r"^- `([\w-]+)`", (Path(guide.FOLDER) / "index.md").read_text(encoding="utf-8"), re.M)
    assert named == list(guide.titles())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_has_a_title_fits_80_columns_and_closes_its_blocks(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ") and not lines[1]
    assert [line for line in lines if len(line) > 80] == []
    assert sum(line.startswith("```") for line in lines) % 2 == 0


def test_pages_and_scripts_are_in_the_package():
    import tomllib

    with (ROOT / "pyproject.toml").open("rb") as file:
        patterns = tomllib.load(file)["tool"]["setuptools"]["package-data"]["kugetsu"]
    package = ROOT / "src" / "kugetsu"
    shipped = {path for pattern in patterns for path in package.glob(pattern)}
    assert {*PAGES, *(package / "completion").iterdir()} <= shipped


# --- the systemd unit -------------------------------------------------------------------------------------------


def unit() -> str:
    (text,) = fenced(SSH, "ini")
    return text


def test_the_unit_stops_the_daemon_alone_and_starts_it_again_after_a_failure():
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment]
    parser.read_string(unit())
    service = parser["Service"]
    assert service["Type"] == "simple" and service["Restart"] == "on-failure"
    assert service["KillMode"] == "process" and service["OOMPolicy"] == "continue"
    assert parser["Install"]["WantedBy"] == "default.target"
    program, *words = service["ExecStart"].split()
    assert program.endswith("/kugetsu") and catalogue.find(words) == ("queue-daemon run", [])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_unit(tmp_path):
    command = tmp_path / ".local" / "bin" / "kugetsu"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    path = tmp_path / "kugetsu.service"
    path.write_text(unit().replace("%h", str(tmp_path)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)},
    )
    said = [line for line in done.stderr.splitlines() if "kugetsu" in line]
    assert said == [], done.stderr


# --- how they are read ------------------------------------------------------------------------------------------


def test_a_page_is_printed_as_it_is_where_there_is_no_terminal(kugetsu):
    for name in guide.titles():
        shown = kugetsu("help", name, PAGER="false")
        assert shown.code == 0 and shown.out == (Path(guide.FOLDER) / f"{name}.md").read_text(encoding="utf-8")
    assert kugetsu("help", "pages").out == kugetsu("help", "index").out
    assert not kugetsu.root.exists()


def test_help_leads_to_the_pages(kugetsu):
    assert "kugetsu help pages" in kugetsu("help").out
    assert all(name in kugetsu("help", "pages").out for name in guide.titles())


def test_what_is_no_page_names_the_nearest(kugetsu):
    shown = kugetsu("help", "comands")
    assert shown.code == 3 and "did you mean commands?" in shown.err and "kugetsu help pages" in shown.err
    assert kugetsu("help", "../../pyproject").code == 3
    assert kugetsu("help", "nonsense\x1b[31m").code == 3 and "\x1b" not in kugetsu("help", "nonsense\x1b[31m").err


def test_no_page_hides_a_command():
    assert not set(guide.titles()) & {*COMMANDS, *groups(), "help", "pages"}


PAGE = """\
# Title

A paragraph that goes on for a while and is
broken in its source somewhere else.

- an item that is long enough to be broken at
  forty columns of a phone
- another

```sh
kugetsu status    # kept   as it is, whatever the width may be
```

| a | table |
|---|---|
| stays | as it is |
"""


def test_a_page_is_filled_to_the_width_and_code_and_tables_are_left_alone():
    assert list(paging.laid_out(PAGE, 40, bold=False)) == [
        "Title",
        "",
        "A paragraph that goes on for a while and",
        "is broken in its source somewhere else.",
        "",
        "- an item that is long enough to be",
        "  broken at forty columns of a phone",
        "- another",
        "",
        "    kugetsu status    # kept   as it is, whatever the width may be",
        "",
        "| a | table |",
        "|---|---|",
        "| stays | as it is |",
    ]
    assert next(iter(paging.laid_out(PAGE, 40, bold=True))) == "\x1b[1mTitle\x1b[0m"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_laying_out_loses_no_word(path):
    text = path.read_text(encoding="utf-8")
    kept = " ".join(line for line in text.splitlines() if not line.startswith("```"))
    shown = " ".join(paging.laid_out(text, 40, bold=False))
    assert [word for word in shown.split() if word.strip("#")] == [word for word in kept.split() if word.strip("#")]


class Terminal:
    """`kugetsu` at a pseudo terminal of 24 rows."""

    def __init__(self, kugetsu, *words, **environment):
        self.shown = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            import fcntl
            import struct
            import termios

            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
            merged = {**kugetsu.environment, "TERM": "xterm", "COLUMNS": "", **environment}
            merged = {name: value for name, value in merged.items() if value is not None}
            os.execve(sys.executable, [sys.executable, "-m", "kugetsu", *words], merged)

    def until(self, text: bytes) -> None:
        deadline = time.monotonic() + 30
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            self._read()

    def _read(self) -> bool:
        if not select.select([self.fd], [], [], 0.05)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # the other side is closed
            return False
        self.shown += data
        return bool(data)

    def end(self) -> int:
        """Read to the end; the exit status. A pager that waits for a key is hung up on, as by closing the window."""
        deadline = time.monotonic() + 30
        while self._read() and time.monotonic() < deadline:
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_long_page_goes_through_the_pager_that_is_wanted(kugetsu, tmp_path):
    terminal = Terminal(kugetsu, "help", "ssh", PAGER=f"cat > {tmp_path}/seen")
    assert terminal.end() == 0 and terminal.shown == b""
    seen = (tmp_path / "seen").read_text()
    assert seen.startswith("Running kugetsu over SSH\n") and "\x1b" not in seen
    assert "no open terminal and no tmux: a\nmachine that" in seen  # filled to the 60 columns of this terminal


def test_a_short_page_cat_and_an_empty_pager_are_printed_at_once(kugetsu):
    for page, pager, text in (("pages", "false", "The guide"), ("ssh", "cat", "Backups"), ("ssh", "", "Backups")):
        terminal = Terminal(kugetsu, "help", page, PAGER=pager)
        assert terminal.end() == 0 and text.encode() in terminal.shown, pager
        assert (b"\x1b[1m" in terminal.shown) == (pager != "false")  # only less is known to take bold text


def test_no_colour_leaves_out_bold_text(kugetsu):
    terminal = Terminal(kugetsu, "help", "pages", NO_COLOR="1")
    assert terminal.end() == 0 and b"\x1b" not in terminal.shown and b"The guide" in terminal.shown


def test_a_pager_that_is_not_there_does_not_hide_the_page(kugetsu):
    terminal = Terminal(kugetsu, "help", "ssh", PAGER="no-such-pager --really")
    assert terminal.end() == 0 and b"Backups" in terminal.shown


def test_a_pager_that_leaves_early_is_no_error(kugetsu):
    terminal = Terminal(kugetsu, "help", "commands", PAGER="head -n 1")
    assert terminal.end() == 0 and b"Every command" in terminal.shown and b"Traceback" not in terminal.shown


@pytest.mark.skipif(shutil.which("less") is None, reason="less is not installed")
def test_less_shows_a_page_and_leaves_with_q(kugetsu):
    terminal = Terminal(kugetsu, "help", "ssh", PAGER="less", LESS=None)
    terminal.until(b"Running kugetsu over SSH")
    os.write(terminal.fd, b"q")
    assert terminal.end() == 0 and b"Backups" not in terminal.shown
