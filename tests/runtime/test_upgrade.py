"""A daemon and supervisors that outlive an upgrade start programs by the names that they know."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kugetsu
from kugetsu.runtime.process.named_lease import NOTIFIER
from kugetsu.runtime.runner import supervisor
from runtime.stage import Stage, bare_stage, stage
from runtime.supervised import Attempt

__all__ = ["bare_stage", "stage"]

PACKAGE = Path(kugetsu.__file__).parent
ENDED = ("--exit", "0", "--stopped", "none", "--ended-at", "2026-11-30T03:00:00.000000Z", "--leftover", "0")


def test_the_supervisor_is_where_earlier_versions_start_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "__file__", str(PACKAGE / "runtime" / "process" / "waiter.py"))
    attempt = Attempt(tmp_path)
    attempt.start("exit 7")
    assert attempt.wait().exit_code == 7
    attempt.clean_up()


@pytest.mark.parametrize("words", [("conclusion", "q9.1", *ENDED), ("checkup", "q9.1")], ids=lambda words: words[0])
def test_phases_go_by_their_earlier_names(stage: Stage, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-P", "-m", f"kugetsu.runtime.{words[0]}", *words[1:]]
    assert subprocess.run(command, env=stage.ws.environment, check=False).returncode == 0


def test_the_notifier_goes_by_its_earlier_name(stage: Stage) -> None:
    lease = NOTIFIER.take(stage.ws.paths)  # one lives: another one ends at once
    command = [sys.executable, "-P", "-m", "kugetsu.runtime.notices.courier"]
    assert subprocess.run(command, env=stage.ws.environment, check=False).returncode == 0
    assert lease is not None
    os.close(lease)


def test_an_earlier_versions_redaction_finds_its_patterns() -> None:
    code = (
        "import sys, types, kugetsu; sys.modules['kugetsu.redaction'] = types.ModuleType('kugetsu.redaction');"
        "from kugetsu.secret_shapes import take_out; print(take_out('token ghp_0123456789abcdefghijklmnopqrstuvwxyz'))"
    )
    shown = subprocess.run([sys.executable, "-c", code], env=os.environ, check=True, capture_output=True, text=True)
    assert "ghp_" not in shown.stdout
