"""The worked case of the guide: its commands run, and print what it shows (KUGETSU_SNAPSHOTS=write rewrites it)."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

import kugetsu as package
from cli import nights
from cli.conftest import Command, Story

PAGE = Path(package.__file__).parent / "guide" / "stuck-queue.md"
MORNING = "2026-11-24T07:12:00.000000Z"
#: Where the case of a daemon that died ends, and the worked one of q7 begins.
WORKED = "## The daemon runs, and q7 waits"
BLOCK = re.compile(r"^```(console|sh)\n(.*?)^```$", re.M | re.S)


def played(kugetsu, kind, text):
    """A block of the page as its commands print it now."""
    shown = []
    for line in text.splitlines():
        if kind == "sh":
            done = kugetsu(*shlex.split(line)[1:], at=MORNING)
            assert done.code in (0, 1), f"{line}: {done}"  # what doctor finds is the machine's
            shown.append(line)
        elif line.startswith("$ "):
            done = kugetsu(*shlex.split(line[2:])[1:], at=MORNING)
            assert done.code == 0, f"{line}: {done}"
            shown += [line, *done.out.splitlines()]
    return re.sub(r"on \d+ cores", "on 2 cores", "\n".join(shown) + "\n")


def replayed(kugetsu, text):
    """A part of the page with its blocks as their commands print them now."""
    return BLOCK.sub(lambda block: f"```{block[1]}\n{played(kugetsu, block[1], block[2])}```", text)


@pytest.fixture
def deserted(tmp_path, fork_server):
    """Another directory, whose daemon died in the evening. No agent starts there: no memory is large enough."""
    folder = tmp_path / "deserted"
    folder.mkdir()
    there = Command(folder, fork_server)
    there.environment |= {"MAX_CONCURRENT_AGENTS": "3", "MIN_FREE_MEMORY_MB": "1000000"}
    story = Story(there.root)
    nights.deserted(story)
    story.close()
    yield there
    there("queue-daemon", "stop")


def test_the_page_shows_what_its_commands_print(kugetsu, story, deserted, fits):
    kugetsu.environment["MAX_CONCURRENT_AGENTS"] = "3"
    nights.stuck(story)
    page = PAGE.read_text(encoding="utf-8")
    lost, heading, worked = page.partition(WORKED)
    now = replayed(deserted, lost) + heading + replayed(kugetsu, worked)
    if os.environ.get("KUGETSU_SNAPSHOTS") == "write":
        PAGE.write_text(now, encoding="utf-8")
        page = now
    assert fits(now)
    assert now == page, f"compare with KUGETSU_SNAPSHOTS=write and git diff {PAGE.name}"


def test_events_that_the_page_names_are_those_that_its_text_means(story):
    nights.stuck(story)
    page = PAGE.read_text(encoding="utf-8")
    asked = int(re.findall(r"^\$ kugetsu why (\d+)$", page, re.M)[0])
    events = {event["seq"]: event for event in story.log.read()}
    assert (events[asked]["type"], events[asked]["task"]) == ("task.failed", "q3")
    named = int(re.findall(r"\*because (\d+)\*", page)[0])
    assert (events[named]["type"], events[named]["task"]) == ("task.queued", "q3")
    assert events[named]["by"]["attempt"] == "q2.1"


def test_the_guide_has_the_page(kugetsu):
    shown = kugetsu("help", "stuck-queue")
    assert shown.code == 0
    assert shown.out == PAGE.read_text(encoding="utf-8")
    assert "stuck-queue" in kugetsu("help", "pages").out


@pytest.mark.parametrize("line", [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:2] == "$ "])
def test_commands_are_typed_as_one_would(line):
    assert line.startswith("$ kugetsu ")
