"""The six machines: the memo says what `transitions` says, and both say what the design's picture says."""

from __future__ import annotations

import orjson
import pytest

from kugetsu.domain import machines

KINDS = tuple(machines.DEFINITIONS)
VERDICTS = ("request_changes", "fail_checks", "conflict", "approve")
PAIRS = [(kind, state, trigger) for kind in KINDS for state, trigger in machines.pairs(kind)]

#: design.md section 3, arrow by arrow.
PICTURE = [
    ("task", "pending", "claim", "notified"),
    ("task", "notified", "succeed", "completed"),
    ("task", "notified", "fail", "error"),
    ("task", "notified", "retry", "pending"),
    ("task", "notified", "park", "parked"),
    ("task", "parked", "resume", "pending"),
    ("task", "pending", "cancel", "cancelled"),
    ("task", "completed", "requeue", "pending"),
    ("task", "error", "requeue", "pending"),
    ("task", "cancelled", "requeue", "pending"),
    ("attempt", "claimed", "spawn", "starting"),
    ("attempt", "starting", "run", "running"),
    ("attempt", "running", "succeed", "succeeded"),
    ("attempt", "running", "fail", "failed"),
    ("attempt", "running", "time_out", "timed_out"),
    ("attempt", "running", "kill", "killed"),
    ("attempt", "running", "lose", "lost"),
    ("session", "requested", "prepare", "preparing"),
    ("session", "preparing", "ready", "idle"),
    ("session", "idle", "work", "working"),
    ("session", "working", "rest", "idle"),
    ("session", "idle", "destroy", "destroyed"),
    ("session", "broken", "prepare", "preparing"),
    *(("session", state, "break", "broken") for state in ("requested", "preparing", "idle", "working")),
    ("review", "none", "deliver", "to_review"),
    ("review", "to_review", "request_changes", "changes_requested"),
    ("review", "to_review", "fail_checks", "checks_failed"),
    ("review", "to_review", "conflict", "conflicting"),
    *(("review", state, "deliver", "to_review") for state in ("changes_requested", "checks_failed", "conflicting")),
    ("review", "to_review", "approve", "approved"),
    ("review", "approved", "merge", "merged"),
    ("review", "approved", "close", "closed"),
    ("daemon", "stopped", "start", "running"),
    ("daemon", "running", "drain", "draining"),
    ("daemon", "draining", "stop", "stopped"),
    ("daemon", "running", "lose", "lost"),
    ("host", "left", "join", "joined"),
    ("host", "joined", "drain", "draining"),
    ("host", "draining", "undrain", "joined"),
    ("host", "draining", "leave", "left"),
    *(("host", state, "lose", "lost") for state in ("joined", "draining")),
    ("host", "lost", "join", "joined"),
]


@pytest.fixture
def fresh_memo(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[tuple[str, str], str | None]]:
    memo: dict[str, dict[tuple[str, str], str | None]] = {kind: {} for kind in KINDS}
    monkeypatch.setattr(machines, "_memo", memo)
    return memo


@pytest.mark.parametrize(("kind", "state", "trigger"), PAIRS)
def test_the_memo_says_what_the_machine_says(kind: str, state: str, trigger: str) -> None:
    assert machines.step(kind, state, trigger) == machines.run(kind, state, trigger)
    assert machines.step(kind, state, trigger) == machines.run(kind, state, trigger)


@pytest.mark.parametrize("kind", KINDS)
def test_the_pairs_are_all_states_with_all_triggers_of_the_machine(kind: str) -> None:
    machine = machines.machine(kind)
    # `transitions` adds a `to_x` trigger for each state unless told not to; there must be none.
    assert set(machines.pairs(kind)) == {(state, trigger) for state in machine.states for trigger in machine.events}
    assert len(machines.pairs(kind)) == len(set(machines.pairs(kind)))


@pytest.mark.parametrize(("kind", "state", "trigger", "dest"), PICTURE)
def test_every_arrow_of_the_picture_is_there(kind: str, state: str, trigger: str, dest: str) -> None:
    assert machines.run(kind, state, trigger) == dest


def test_beyond_the_picture_only_what_is_listed_here_is_allowed() -> None:
    allowed = {pair for pair in PAIRS if machines.run(*pair) is not None}
    beyond = {
        # someone stops waiting, or is stopped, early
        ("task", "pending", "resume"),
        ("task", "parked", "cancel"),
        ("task", "notified", "cancel"),
        # a loop of runs that change nothing is parked before it takes a slot again
        ("task", "pending", "park"),
        # an attempt may end before its agent runs, but not in success
        *(
            ("attempt", state, trigger)
            for state in ("claimed", "starting")
            for trigger in ("fail", "time_out", "kill", "lose")
        ),
        # a preparation that died is made again; a session that nobody works in can go
        ("session", "preparing", "prepare"),
        *(("session", state, "destroy") for state in ("requested", "preparing", "broken")),
        # a destruction that did not come off leaves a broken session
        ("session", "broken", "break"),
        # a new run brings something to look at, whatever was thought of the work before
        *(("review", state, "deliver") for state in ("to_review", "approved", "merged", "closed")),
        # the forge shows any state after any other while the pull request is open
        *(("review", state, trigger) for state in machines.OPEN_REVIEW for trigger in ("await", *VERDICTS)),
        # and may end it at any time; a closed one can be merged by hand, one without a run is merged or closed too
        *(("review", state, "merge") for state in ("none", *machines.OPEN_REVIEW, "closed")),
        *(("review", state, "close") for state in ("none", *machines.OPEN_REVIEW)),
        # a question that nobody wants to answer, and the undo of that
        ("review", "none", "approve"),
        ("review", "approved", "forget"),
        # its lease was deleted, and it holds another one
        ("daemon", "running", "renew"),
        ("daemon", "draining", "renew"),
        ("daemon", "running", "stop"),
        ("daemon", "draining", "lose"),
        ("daemon", "lost", "start"),
        # a restarted host takes part again, with a new term
        ("host", "joined", "join"),
        ("host", "draining", "join"),
        ("host", "joined", "leave"),
    }
    pictured = {row[:3] for row in PICTURE}
    assert allowed - pictured == beyond - pictured


def test_a_session_in_which_an_agent_works_cannot_be_destroyed() -> None:
    assert machines.run("session", "working", "destroy") is None


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_trigger_is_refused(kind: str) -> None:
    assert machines.step(kind, machines.DEFINITIONS[kind][0][0], "explode") is None


@pytest.mark.parametrize("state", ["succeeded", "failed", "timed_out", "killed", "lost"])
def test_nothing_follows_the_end_of_an_attempt(state: str) -> None:
    assert {machines.run("attempt", state, trigger) for _, trigger in machines.pairs("attempt")} == {None}


def test_an_adopted_table_answers_without_running_a_machine(
    fresh_memo: dict[str, dict[tuple[str, str], str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = orjson.loads(orjson.dumps(machines.table()))
    for known in fresh_memo.values():
        known.clear()
    machines.adopt(kept)

    def unwanted(kind: str, state: str, trigger: str) -> str | None:
        raise AssertionError("a machine was run")

    wanted = {pair: machines.run(*pair) for pair in PAIRS}
    monkeypatch.setattr(machines, "run", unwanted)
    assert {pair: machines.step(*pair) for pair in PAIRS} == wanted


@pytest.mark.parametrize("kept", [None, [], {}, {"made_from": "other machines", "steps": {"task": [["a", "b", "c"]]}}])
def test_a_table_of_other_machines_is_ignored(
    kept: object, fresh_memo: dict[str, dict[tuple[str, str], str | None]]
) -> None:
    machines.adopt(kept)
    assert all(known == {} for known in fresh_memo.values())
