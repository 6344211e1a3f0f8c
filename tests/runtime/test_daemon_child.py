"""The processes that work beside the daemon."""

from __future__ import annotations

from kugetsu.runtime.daemon_child import DaemonChild
from kugetsu.runtime.process.named_lease import NOTIFIER
from runtime.stage import Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]


class Idle(DaemonChild):
    """One that has nothing to do, and must not be asked."""

    lease = NOTIFIER
    said: list[str]

    def write(self, text: str) -> None:
        self.said = [*getattr(self, "said", []), text]


def test_one_whose_directory_is_gone_ends(stage: Stage) -> None:
    """It tried for ever to read the log, if it had not yet seen the daemon."""
    held = NOTIFIER.take(stage.ws.paths)
    assert held is not None
    child = Idle(stage.ws, held)
    stage.directory.rename(stage.folder / "away")
    child.serve()
    (stage.folder / "away").rename(stage.directory)
    assert child.said[-1] == "ending: its lease was deleted"
