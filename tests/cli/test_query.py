"""`runtime.query` serves other programs than the commands: a board in the same process has all that they show."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from kugetsu.model import clock
from kugetsu.runtime.query import points, subjects
from kugetsu.runtime.workspace import Workspace, open_workspace
from kugetsu.views import status
from kugetsu.views.text import json_text

NOW = "2026-11-23T11:00:00.000000Z"


def workspace(kugetsu: Any) -> Workspace:
    return open_workspace({**kugetsu.environment, "KUGETSU_DIR": str(kugetsu.root)}, "board")


def test_a_board_collects_the_status_that_the_command_shows(kugetsu, parked, monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: NOW)
    ws = workspace(kugetsu)
    for when in (None, "9"):
        point = points.point(ws, when, NOW)
        data = status.collect(point.state, ws.paths.root, point.facts, point.probes, point.past)
        shown = kugetsu("status", "--json", *(("--at", when) if when else ()), at=NOW).json
        assert {**json.loads(json_text(data)), "now": ""} == {**shown, "now": ""}
    ws.close()


def test_a_board_finds_subjects_and_points(kugetsu, parked):
    ws = workspace(kugetsu)
    assert str(subjects.known(ws, "shoko/kugetsu#14")) == "github.com/shoko/kugetsu#14"
    assert points.then(ws, "9", NOW)[2] == {"seq": 9, "at": points.event_at(ws.log, 9)["at"]}
    assert points.slots_then(ws.log, ws.state().seq) == 3 and not points.daemon_found_dead(ws, 9)
    ws.close()


def test_no_query_imports_a_command():
    named = (
        "import sys, kugetsu.runtime.query.{0}; sys.exit(any(name.startswith('kugetsu.cli') for name in sys.modules))"
    )
    for module in ("exchanges", "points", "subjects", "timespec"):
        assert subprocess.run([sys.executable, "-c", named.format(module)], check=False).returncode == 0, module
