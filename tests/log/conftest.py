"""The engines that the contract suite runs against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kugetsu.log.protocol import EventLog
from log.counting import open_files
from log.shared import Pulling, open_shared

#: Each engine: a function that opens the log that belongs to a directory of the test. Another engine is one line more.
#: The number counts the opened ones: two hosts of one log take turns.
ENGINES: dict[str, Callable[[Path, int, str], EventLog]] = {
    "files": lambda place, number, url: open_files(str(place / "log")),
    "files, small segments": lambda place, number, url: open_files(
        str(place / "log"), segment_bytes=700, latest_every=7
    ),
    "shared": lambda place, number, url: open_shared(place / "a" / "log", url),
    "shared, two hosts": lambda place, number, url: open_shared(
        place / "ab"[number % 2] / "log", url, Pulling, segment_bytes=700, latest_every=7
    ),
}


@pytest.fixture(params=list(ENGINES))
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], EventLog]]:
    """Opens the same log once more at every call, as another process would; all are closed at the end."""
    opened: list[EventLog] = []
    url = request.getfixturevalue("database") if request.param.startswith("shared") else ""

    def open_again() -> EventLog:
        opened.append(ENGINES[request.param](tmp_path, len(opened), url))
        return opened[-1]

    yield open_again
    for log in opened:
        log.close()


@pytest.fixture
def log(reopen: Callable[[], EventLog]) -> EventLog:
    """One opened log of each engine."""
    return reopen()


@pytest.fixture
def directory(tmp_path: Path) -> str:
    """Where a file engine's log goes."""
    return str(tmp_path / "log")
