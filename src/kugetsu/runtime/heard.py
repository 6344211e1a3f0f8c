"""What this host's relay last heard from the shared log's database: the file `leases/heard`.

Commands that only read do not ask the database, which may be away: they show this. Small: `kugetsu status` loads it.
"""

from __future__ import annotations

import os

from kugetsu.host import run_files
from kugetsu.model import jsontext
from kugetsu.model.record import field, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME = "heard"

_MOST_BYTES = 1 << 20


@value
class Heard:
    """``at``: when the database last answered, by the clock that the hosts agree on, and ``silent``: for how many
    seconds each host had been silent then. ``mirrored``: until when the mirror was up to date. ``trouble``: why that is
    not now; None if it is, as far as the relay knows. ``refused``: why the database takes nothing from this host,
    though it answers. ``remedy`` is for the trouble, else for that."""

    at: str | None = None
    mirrored: str | None = None
    silent: dict[str, float] = field(factory=dict)
    trouble: str | None = None
    remedy: str | None = None
    refused: str | None = None


def write(leases: str, known: Heard) -> None:
    """Keep it for others. Raises OSError."""
    text = {name: getattr(known, name) for name in ("at", "mirrored", "silent", "trouble", "remedy", "refused")}
    run_files.replace(os.path.join(leases, NAME), jsontext.dumps(text) + b"\n")


def read(leases: str) -> Heard:
    """What was heard; nothing if no relay has run here yet, or its file is not whole."""
    try:
        found: dict[str, Any] = jsontext.loads(run_files.read(os.path.join(leases, NAME), _MOST_BYTES))
        known = (found["at"], found["mirrored"], found["silent"], found["trouble"], found["remedy"])
        return Heard(*known, found.get("refused"))
    except (OSError, ValueError, KeyError, TypeError):
        return Heard()
