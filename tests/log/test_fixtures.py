"""Logs of real runs (tests/fixtures/logs): whole, folded without complaint, named decisions taken again the same."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import kugetsu
from kugetsu.domain import invariants
from kugetsu.domain.replay.checker import ReplayChecker
from kugetsu.log import DomainProjection
from kugetsu.log.files.engine import FileLog

FIXTURES = Path(__file__).parents[1] / "fixtures" / "logs"
NAMES = sorted(path.name for path in FIXTURES.iterdir() if path.is_dir())

#: What makes each worth keeping.
HOLDS = {
    "opencode": {"task.parked", "hold.lifted", "attempt.lost", "orphans.ended", "attempt.killed", "daemon.lost"}
    | {"task.retried", "session.destroyed", "daemon.draining", "daemon.stopped"},
    "command": {"task.failed", "task.parked", "hold.lifted", "attempt.lost", "attempt.killed", "setting.changed"}
    | {"task.moved", "task.requeued", "notice.sent", "notices.read", "queue.cleared", "session.destroyed"},
    "campaign": {"attempt.lost", "daemon.lost", "daemon.stopped", "orphans.ended", "task.cancelled", "task.parked"},
    "named": {
        "task.failed",
        "task.parked",
        "hold.lifted",
        "attempt.lost",
        "setting.changed",
        "task.moved",
        "notice.sent",
    },
    "upgrade": {"task.parked", "task.moved", "hold.lifted", "notices.read", "attempt.lost", "session.destroyed"},
}

#: Those whose transactions name their decisions; the others are of versions that did not.
NAMED = {"named"}


def opened(name: str) -> FileLog:
    return FileLog(str(FIXTURES / name), DomainProjection(), {}, lambda: "", upkeep=False)


@pytest.mark.parametrize("name", NAMES)
def test_a_real_run_folds_and_what_names_its_decision_is_decided_again_the_same(name: str) -> None:
    log = opened(name)
    verifier = ReplayChecker(lambda seq: log.state_at(seq=seq), kugetsu.__version__)
    for event in log.read():
        found = verifier.add(event)
        assert found is None, (
            f"event {found.seq} of {name} is decided otherwise now ({found.category}): "
            f"{[(place.path, place.recorded, place.decided) for place in found.places]} {found.refusal}"
        )
        assert event.get("more") or invariants.broken(verifier.state) == []
    named, unnamed = verifier.redecided, verifier.folded
    assert verifier.unfinished == 0 and named + unnamed > 50
    assert (named > 0) == (name in NAMED) and (unnamed == 0) == (name in NAMED)
    assert verifier.state.violations == []
    others = [session for session in verifier.state.sessions.values() if session.kind != "issue"]
    assert {session.review for session in others} <= {"none"}, "what the PM agent answers is not reviewed"


@pytest.mark.parametrize("name", NAMES)
def test_a_fixture_is_whole_and_holds_what_it_was_made_for(name: str) -> None:
    log = opened(name)
    assert log.verify().problems == []
    kinds = Counter(event["type"] for event in log.read())
    assert HOLDS[name] <= kinds.keys()
    assert {event["by"]["host"] for event in log.read()} == {"desk"}
    assert {event["by"]["user"] for event in log.read()} == {"shoko"}


def test_an_upgraded_log_has_events_of_the_first_version_and_of_this_one() -> None:
    parked = {event["v"] for event in opened("upgrade").read() if event["type"] == "task.parked"}
    assert parked == {1, 2}


def test_every_fixture_is_explained() -> None:
    told = (FIXTURES / "README.md").read_text(encoding="utf-8")
    assert NAMES and all(f"- `{name}`" in told and f"tools/log_fixtures {name}" in told for name in NAMES)
