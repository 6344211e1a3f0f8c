"""Whatever the strings of a log hold, no command lets a terminal obey them."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.foreign import events_in, reading, replace, sealed
from kugetsu.cli import catalogue
from kugetsu.cli.catalogue import COMMANDS

#: Sets a title, recolours, goes back to the line's start, turns the direction of what follows, erases the screen.
EVIL = "\x1b]0;t\x07\x1b[31m\x1b[8m\r\u202e\u2066\u200f\x9b2J\x7f\u200bx"
#: What no terminal may get from us; a new line ends each of ours.
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
#: Keys whose values steer what is shown at all.
STEERING = {"at", "type", "sha", "kind", "gate", "now", "warm_before", "until", "not_before", "resets_at", "why", "was"}
#: Commands that act, wait, or hand out what a program takes byte for byte, with the reason.
ELSEWHERE = {
    "init": "acts",
    "import": "acts",
    "queue-daemon run": "acts",
    "queue-daemon start": "acts",
    "queue-daemon restart": "acts",
    "notify watch": "waits",
    "wait": "waits",
    "notify test": "acts",
    "skill install": "acts",
    "prune": "asks, and acts",
    "queue clear": "acts",
    "log export": "byte for byte to a program, tried below",
}


def spoilt(value: Any, key: str = "") -> Any:
    """The value with EVIL in every string that it holds."""
    if isinstance(value, str):
        return value if key in STEERING else value[: len(value) // 2] + EVIL + value[len(value) // 2 :]
    if isinstance(value, dict):
        return {name: spoilt(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [spoilt(inner, key) for inner in value]
    return value


@pytest.fixture
def evil(kugetsu: Any, parked: Any) -> Path:
    """A log every string of which would steer a terminal, here and as a file."""
    parked.at("11:00:00", "kugetsu queue-daemon").daemon()
    parked.at("12:02:00").enqueue("later", issue="github.com/a/b#2", after=["q1"])
    parked.finish(parked.run(parked.enqueue("break", issue="github.com/a/b#4")), "fail", "give_up", "tests fail")
    parked.run(parked.enqueue("more", issue="github.com/a/b#3"))
    parked.log.close()
    events = [spoilt(event) for event in events_in(kugetsu.root / "log")]
    replace(kugetsu.root / "log", events)
    path = kugetsu.folder / "evil.jsonl"
    path.write_bytes(sealed(events))
    return path


def assert_harmless(words: list[str], shown: Any) -> None:
    for stream in (shown.out, shown.err):
        found = OBEYED.search(stream)
        assert found is None, (words, found, stream[max(0, found.start() - 200) : found.end() + 40])
    assert "internal error" not in shown.err and "Traceback" not in shown.err, (words, shown)


def test_no_command_shows_what_a_terminal_obeys(kugetsu, evil):
    shown_any = 0
    own = events_in(kugetsu.root / "log")
    names = {key: next(event[key] for event in own if key in event) for key in ("issue", "task", "attempt", "session")}
    subjects = [[name] for name in names.values()]
    for words in reading():
        if words[:2] == ["log", "export"]:
            continue
        for more in ([], ["--from", str(evil)], ["--from", str(evil), "--json"]):
            shown = kugetsu(*words, *more)
            assert_harmless([*words, *more], shown)
            shown_any += EVIL[-1] in shown.out
        assert_harmless(words, kugetsu(*words, "--from", str(evil), COLUMNS="40"))
    for name in ("history", "why", "context", "log verify", "queue cancel", "queue retry", "undo", "destroy"):
        for subject in subjects:
            assert_harmless([name, *subject], kugetsu(*name.split(), *subject))
    assert shown_any > 20


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - ELSEWHERE.keys()))
def test_a_command_without_words_shows_nothing_that_a_terminal_obeys(kugetsu, evil, name):
    options = {option for one in catalogue.load(name)[0].declared for option in one.names}
    assert_harmless([name], kugetsu(*name.split()))
    if "--json" in options:
        assert_harmless([name, "--json"], kugetsu(*name.split(), "--json"))


def test_pictures_and_pages_hold_nothing_that_is_obeyed(kugetsu, evil):
    for option, ending in (("--svg", "svg"), ("--html", "html")):
        path = kugetsu.folder / f"timeline.{ending}"
        done = kugetsu("timeline", option, str(path), "--from", str(evil))
        assert done.code == 0, done
        page = path.read_text()
        assert OBEYED.search(page) is None and "q1" in page
        assert "<script>alert" not in page


def test_an_export_is_byte_for_byte_to_a_program_and_harmless_on_a_terminal(kugetsu, evil):
    (segment,) = (kugetsu.root / "log").glob("0*.jsonl")
    assert kugetsu("log", "export", "--raw").raw == segment.read_bytes()
    shown = on_a_terminal(kugetsu, "log", "export")
    assert OBEYED.search(shown.replace("\r\n", "\n")) is None
    assert [json.loads(row)["seq"] for row in shown.splitlines() if row.startswith("{")]


def on_a_terminal(kugetsu: Any, *words: str) -> str:
    """What a command writes to a terminal of its own."""
    master, slave = pty.openpty()
    environment = {**kugetsu.environment, "TERM": "xterm", "COLUMNS": "200"}
    process = subprocess.Popen(
        [sys.executable, "-m", "kugetsu", *words],
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
        cwd=kugetsu.work,
        env=environment,
    )
    os.close(slave)
    seen = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not piece:
            break
        seen += piece
    process.wait(60)
    os.close(master)
    return seen.decode()


@pytest.mark.parametrize("line", ["status", "queue list", "history --all", "list", "why 12", "audit"])
def test_on_a_terminal_only_kugetsus_own_colours_are_seen(kugetsu, evil, line):
    shown = on_a_terminal(kugetsu, *line.split()).replace("\r\n", "\n")
    colours = re.findall("\x1b\\[[0-9;]*[a-zA-Z]", shown)
    assert colours and set(colours) <= {f"\x1b[{code}m" for code in ("0", "1", "2", "31", "32", "33")}
    assert OBEYED.search(re.sub("\x1b\\[(?:0|1|2|31|32|33)m", "", shown)) is None
