"""Logs that kugetsu did not write: lines of other events, each with the digest that it should have."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from kugetsu.cli import catalogue
from kugetsu.cli.catalogue import COMMANDS
from kugetsu.domain.events import Event
from kugetsu.log import codec
from kugetsu.log.files import segments


def sealed(events: Iterable[Event]) -> bytes:
    """The events as lines of one chain."""
    sha, lines = codec.GENESIS, []
    for event in events:
        body = json.dumps({name: value for name, value in event.items() if name != "sha"}, ensure_ascii=False)
        line, sha = codec.seal(sha, body[:-1].encode())
        lines.append(line)
    return b"\n".join([*lines, b""])


def events_in(folder: Path) -> list[Event]:
    """The events of a log folder as they stand there."""
    lines = [line for path in sorted(folder.glob("0*.jsonl")) for line in path.read_bytes().splitlines()]
    return [json.loads(line) for line in lines]


def replace(folder: Path, events: Iterable[Event]) -> None:
    """Let a log folder hold these events, and nothing that was made from others."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    (folder / segments.name(1)).write_bytes(sealed(events))


#: What a command is given beside its options, where it needs anything.
WORDS: dict[str, list[list[str]]] = {
    "history": [["--all"], ["q1"], ["github.com/shoko/kugetsu#14"]],
    "why": [["q1"], ["q2"], ["7"], ["12"]],
    "changes": [["github.com/shoko/kugetsu#14"]],
    "context": [["github.com/shoko/kugetsu#14"]],
    "diff": [["1"], ["2", "12"]],
    "replay": [[], ["--verify"], ["--what-if", "MAX_CONCURRENT_AGENTS=1"], ["--until", "9"]],
    "audit": [[], ["invariants"], ["races"], ["retries"], ["waits"], ["q1"]],
    "log export": [[], ["q1"], ["--otlp"]],
    "queue list": [[], ["--all"]],
    "list": [[], ["--all"], ["--at", "9"]],
    "status": [[], ["--at", "9"]],
    "notify list": [["--all"]],
    "config get": [["MAX_ATTEMPTS"]],
    "logs": [[], ["q1"]],
    "log verify": [[]],
}


def reading() -> Iterator[list[str]]:
    """Each command that takes `--from`, with the words it needs: one that is new is among them by itself."""
    for name in COMMANDS:
        if "--from" in {option for one in catalogue.load(name)[0].declared for option in one.names}:
            for words in WORDS.get(name, [[]]):
                yield [*name.split(), *words]
