"""When agents worked on an issue: what they post at the forge has no mark, and the account may be their user's."""

from __future__ import annotations

from dataclasses import dataclass, field

from kugetsu.domain.state import ENDS
from kugetsu.model import clock
from kugetsu.runtime.workspace import Workspace

#: Seconds by which a forge's clock may be before or behind ours.
CLOCKS_DIFFER = 5.0


@dataclass(slots=True)
class Runs:
    """The runs of an issue, read from the log when they are asked for."""

    ws: Workspace
    issue: str
    _spans: list[tuple[str, str]] | None = field(default=None)

    def may_have_written(self, at: str) -> bool:
        """Whether a text of the time ``at`` (UTC) was written while an agent worked on the issue, or may have been: its
        time is unknown."""
        if not at:
            return True
        if self._spans is None:
            self._spans = list(self._read())
        return any(begins <= at[:19] <= ends for begins, ends in self._spans)

    def _read(self) -> list[tuple[str, str]]:
        """Begin and end of each run, in whole seconds as forges tell them; one that goes on has no end."""
        begun: dict[str, str] = {}
        spans: list[tuple[str, str]] = []
        for event in self.ws.log.read_key(self.issue):
            kind, attempt = event["type"], event.get("attempt") or ""
            if kind == "attempt.claimed":
                begun[attempt] = clock.add_seconds(event["at"], -CLOCKS_DIFFER)[:19]
            elif kind in ENDS and attempt in begun:
                spans.append((begun.pop(attempt), clock.add_seconds(event["at"], CLOCKS_DIFFER)[:19]))
        return spans + [(begins, "9999") for begins in begun.values()]
