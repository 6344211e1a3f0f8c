"""The whole loop with the real opencode: a labelled issue becomes a merged pull request, its daemon killed thrice."""

from __future__ import annotations

from pathlib import Path

import pytest

from forge.scripted import ScriptedForge
from runtime.forged import forge, forged
from runtime.stage import Stage, bare_stage, stage
from runtime.test_loop_story import live_through, loop, no_observer_is_left
from scripted_model.isolation import isolate
from scripted_model.server import ScriptedModel

pytestmark = pytest.mark.e2e

__all__ = ["bare_stage", "forge", "forged", "loop", "no_observer_is_left", "stage"]


def work(name: str) -> str:
    """What the model does in a run: it takes a moment, then commits and pushes."""
    there = 'run touch "$STAGE/at-work-$KUGETSU_ATTEMPT"; sleep 1'
    push = f"run git add -A && git commit -qm {name} && git push -q -u origin HEAD"
    return "\n".join((there, "write work", f"| {name}", push, f"say I did {name}."))


@pytest.mark.thorough
def test_the_loop_goes_round_with_opencode(
    loop: Stage, forge: ScriptedForge, opencode_program_path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = [("Turn 1 of at most", work("two")), ("Turn 2 of at most", work("three")), ("slow", work("one"))]
    with ScriptedModel(recipes=recipes) as model:
        for name, value in isolate(tmp_path / "opencode", model.url).items():
            if name not in ("HOME", "GIT_CONFIG_GLOBAL"):  # git knows where the forge's repository is
                monkeypatch.setenv(name, value)
        loop.configure(KUGETSU_AGENT="opencode", KUGETSU_OPENCODE=opencode_program_path)
        live_through(loop, forge)
