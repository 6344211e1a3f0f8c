"""A log of which a part cannot be read: said with its place and exit 6, and the rest is shown."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from kugetsu.log.files import segments

ROTATED = 8
"""The first event of the second segment."""


@pytest.fixture
def torn(kugetsu: Any, parked: Any) -> Path:
    """A log in two segments; the last bytes of the first one are gone, as after a bad copy."""
    parked.enqueue("later", issue="github.com/a/b#2")
    parked.close()
    folder = Path(kugetsu.root / "log")
    whole = folder / segments.name(1)
    lines = whole.read_bytes().splitlines(keepends=True)
    (folder / segments.name(ROTATED)).write_bytes(b"".join(lines[ROTATED - 1 :]))
    whole.write_bytes(b"".join(lines[: ROTATED - 1])[:-30])
    for disposable in ("checkpoint", "index", "milestones"):
        path = folder / disposable
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return folder


SHOWING = ["history --all", "log export", "log export --raw", "audit", "queue list", "status", "list --all", "diff 2"]


@pytest.mark.parametrize("line", SHOWING)
def test_a_torn_end_of_a_segment_that_is_not_the_last_is_told_and_later_segments_are_shown(kugetsu, torn, line):
    shown = kugetsu(*line.split())
    assert shown.code == 6, shown
    assert "the event log is damaged at event 7" in shown.err and segments.name(1) in shown.err
    assert "what follows is what can be read of it" in shown.err and "event 7 is missing" in shown.err
    if line.startswith(("history", "log export", "queue list")):
        assert "github.com/a/b#2" in shown.out or "a/b#2" in shown.out, shown
    if line.startswith(("history", "log export")):
        seqs = [json.loads(row)["seq"] if line[0] == "l" else int(row.split()[0]) for row in rows(shown.out)]
        assert seqs == [*range(1, 7), *range(8, 13)], "each once, in order"


def rows(out: str) -> list[str]:
    return [row for row in out.splitlines() if row.startswith("{") or row[:5].strip().isdigit()]


def test_events_before_a_damage_that_were_shown_are_not_shown_twice(kugetsu, torn):
    """With a checkpoint behind the damage, the state is known before the damage is met."""
    shown = kugetsu("log", "export", "--since", "3")
    assert [json.loads(row)["seq"] for row in rows(shown.out)] == [3, 4, 5, 6, 8, 9, 10, 11, 12]
    assert shown.code == 6


def test_what_decides_again_says_that_it_cannot(kugetsu, torn):
    for more in ([], ["--from", str(torn)]):
        shown = kugetsu("replay", "--verify", *more)
        assert shown.code == 6 and "event 7 is missing, and later events depend on it" in shown.err, shown


def test_log_verify_tells_every_segments_damage_and_audit_of_a_copied_folder_exits_with_6(kugetsu, torn):
    for more in ([], ["--from", str(torn)]):
        verified = kugetsu("log", "verify", "--json", *more)
        assert verified.code == 6 and verified.json["ok"] is False, verified
        assert kugetsu("audit", *more).code == 6
    assert kugetsu("history", "--all", "--from", str(torn)).out.count("task.queued") == 2


def test_a_program_gets_the_error_alone(kugetsu, torn):
    for line in ("status --json", "queue list --json", "audit --json"):
        shown = kugetsu(*line.split())
        assert (shown.code, shown.json["error"]["code"]) == (6, "log_damaged"), shown
        assert "--from" in shown.json["error"]["hint"]
    following = kugetsu("history", "--all", "-f")
    assert following.code == 6 and "what follows is" not in following.err


def test_an_export_to_a_file_is_whole_or_not_there(kugetsu, torn, tmp_path):
    refused = kugetsu("log", "export", "--to", str(tmp_path / "night.jsonl"))
    assert refused.code == 6 and not list(tmp_path.glob("night*"))
