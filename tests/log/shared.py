"""Shared logs for tests: several directories as several hosts, over one database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kugetsu.domain.events import Event
from kugetsu.log.files.segments import Head
from kugetsu.log.files.verify import Stats, Verification
from kugetsu.log.files.watch import Watch
from kugetsu.log.shared import marker
from kugetsu.log.shared.engine import SharedLog
from kugetsu.log.shared.marker import Marker
from log.counting import BY, Clock, Counting


def open_shared(
    directory: Path, url: str, kind: type[SharedLog] = SharedLog, projection: Any = None, **settings: Any
) -> SharedLog:
    """A shared engine whose mirror is ``directory``; without a projection with the stand-in's."""
    directory.mkdir(parents=True, exist_ok=True)
    if marker.read(str(directory)) is None:
        marker.write(str(directory), Marker(url))

    def database() -> Any:
        from kugetsu.log.shared.postgres import Database

        return Database(url)

    return kind(str(directory), projection or Counting(), BY, Clock(), database, **settings)


class Pulling(SharedLog):
    """A shared log that is brought up to date before each read, as a daemon that listens does it from outside: so that
    what a log promises can be asked of a host that did not append it."""

    def watch(self) -> Watch:
        self.keep()
        return super().watch()

    def state(self) -> Any:
        self.pull()
        return super().state()

    def head(self) -> Head:
        self.pull()
        return super().head()

    def state_at(self, seq: int | None = None, at: str | None = None) -> Any:
        self.pull()
        return super().state_at(seq, at)

    def read(self, after: int = 0, until: int | None = None) -> Iterator[Event]:
        self.pull()
        return super().read(after, until)

    def read_lines(self, after: int = 0, until: int | None = None) -> Iterator[tuple[Event, bytes]]:
        self.pull()
        return super().read_lines(after, until)

    def read_key(self, key: str) -> Iterator[Event]:
        self.pull()
        return super().read_key(key)

    def stats(self) -> Stats:
        self.pull()
        return super().stats()

    def verify(self, expected_head: Head | None = None) -> Verification:
        self.pull()
        return super().verify(expected_head)
