"""`kugetsu replay`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from kugetsu.domain.decide import attempts, claims
from kugetsu.domain.facts import Ending
from kugetsu.domain.new_event import NewEvent


def test_the_state_at_an_event_is_what_it_was(kugetsu, parked, snapshot, fits):
    then = kugetsu("replay", "--until", "9", "--json").json
    assert then["seq"] == 9 and then["agents"][0]["attempt"] == "q1.1" and then["tasks"][0]["state"] == "notified"
    now = kugetsu("replay", "--json").json
    assert now["seq"] == 11 and now["agents"] == [] and now["tasks"][0]["state"] == "parked"
    shown = kugetsu("replay", "--until", "9", at="10:43:00")
    assert fits(shown.out)
    snapshot("replay", shown.out)


@pytest.mark.parametrize(
    ("when", "seq"),
    [
        ("@", 11),
        ("@-2", 9),
        ("0", 0),
        ("2026-11-23T10:00:05Z", 9),
        ("2026-11-23T12:00:05+02:00", 9),
        ("2026-11-23T10:00", 2),
        ("2026-11-24", 11),
        ("2026-11-23", 0),
        ("30m ago", 9),
        ("2h ago", 0),
    ],
)
def test_when_is_a_seq_a_distance_a_time_or_a_span(kugetsu, parked, when, seq):
    assert kugetsu("replay", "--json", "--until", *when.split(), at="10:41:30").json["seq"] == seq


def test_a_time_without_a_zone_is_this_machines(kugetsu, parked):
    assert kugetsu("replay", "--until", "2026-11-23T19:00:05", "--json", TZ="JST-9").json["seq"] == 9


@pytest.mark.parametrize("when", ["", "yesterday", "@+1", "@x", "-3", "10x ago", "2026-13-01", "ago"])
def test_what_is_no_point_in_time_shows_the_forms(kugetsu, parked, when):
    shown = kugetsu("replay", "--until", when)
    assert shown.code == 3 and "hint: " in shown.err, shown


def test_a_point_beyond_the_log_is_not_found(kugetsu, parked):
    assert kugetsu("replay", "--until", "12").code == 4
    assert kugetsu("replay", "--until", "@-12").code == 4


def test_what_a_machine_refused_is_listed(kugetsu, story):
    from kugetsu.domain.new_event import NewEvent

    story.do(lambda state: [NewEvent("task.completed", {"summary": "?"}, task="q77")])
    shown = kugetsu("replay")
    assert "event 3: task.completed names the task q77" in shown.out
    assert kugetsu("replay", "--json").json["violations_seen"] == 1


def test_an_empty_log_is_before_the_first_event(kugetsu):
    shown = kugetsu("replay")
    assert shown.code == 0 and "before the first event" in shown.out


SECOND = "github.com/a/b#2"
FIXTURES = Path(__file__).parents[1] / "fixtures" / "logs"

# --- --verify -------------------------------------------------------------------------------------------------------


@pytest.fixture
def lived(parked):
    """The story of q1, whose time has come; and q2, which waits behind it."""
    parked.by["kugetsu"] = "0.1.0"
    parked.at("12:30:00", "kugetsu queue enqueue a/b#2 …").enqueue("later", issue=SECOND)
    return parked


def forged(task: str, reason: str = "cancel", **named: Any) -> NewEvent:
    """A cancel that claims to have been decided."""
    event = NewEvent("task.cancelled", {"reason": reason}, task=task, **named)
    event.decision = "queue.cancel"
    return event


def tampered(story: Any, change: Any) -> int:
    """Append the claim of q1 that the daemon would make, but for what ``change`` does to it; its seq."""
    story.at("12:30:01", "kugetsu queue-daemon")

    def decide(state: Any) -> list[NewEvent]:
        facts = story.facts()
        plan = claims.plan(state, facts)
        new_events = claims.dispatch(
            state, plan, claims.ClaimRequest("lease-x", {"boot": "b", "pid": 1, "start": 1}), facts
        )
        change(new_events[-1])
        return new_events

    return story.do(decide)[-1]["seq"]


def test_a_log_that_kugetsu_wrote_verifies(kugetsu, lived):
    lived.run("q2")
    shown = kugetsu("replay", "--verify")
    assert shown.code == 0 and shown.err == ""
    assert shown.out == "verified: 14 transactions decided again, 0 observations, up to event 18\n"
    data = kugetsu("replay", "--verify", "--json").json
    assert data["ok"] and data["redecided"] == 14 and data["differences"] == []


def test_what_differs_is_told_with_both_sides_and_where_to_look(kugetsu, lived, snapshot, fits):
    def change(claim: NewEvent) -> None:
        claim.data["slot"] = 3

    seq = tampered(lived, change)
    shown = kugetsu("replay", "--verify")
    assert shown.code == 6 and fits(shown.out)
    snapshot("replay-verify-different", shown.out)
    assert fits(kugetsu("replay", "--verify", COLUMNS="40").out, 40)
    for command in (f"why {seq}", "history q1", f"replay --until {seq - 2}"):
        assert kugetsu(*command.split()).code == 0, f"the command that is named does not work: {command}"
    [found] = kugetsu("replay", "--verify", "--json").json["differences"]
    assert found["category"] == found["found"] == "different" and found["seq"] == seq
    assert found["places"] == [{"path": "data.slot", "recorded": 3, "decided": 1}]
    assert found["recorded"]["data"]["slot"] == 3 and found["decided"]["data"]["slot"] == 1
    assert found["look"][0] == f"kugetsu why {seq}"


def test_a_claim_beyond_the_cap_names_the_setting(kugetsu, lived, snapshot, fits):
    lived.enqueue("third", issue="github.com/a/b#3")

    def change(claim: NewEvent) -> None:
        claim.facts["cap"] = 0

    tampered(lived, change)
    shown = kugetsu("replay", "--verify")
    assert shown.code == 6 and fits(shown.out)
    snapshot("replay-verify-config", shown.out)
    [found] = kugetsu("replay", "--verify", "--json").json["differences"]
    assert found["category"] == "config"
    assert found["setting"] == {"key": "MAX_CONCURRENT_AGENTS", "fact": "cap", "recorded": "0", "would": "1"}


def test_what_is_refused_now_says_why(kugetsu, lived, snapshot, fits):
    lived.at("12:31:00", "vi 00000000000000000001.jsonl")
    for _ in range(2):
        lived.do(lambda _: [forged("q2", cause=12, issue=SECOND)])
    shown = kugetsu("replay", "--verify")
    assert shown.code == 6 and fits(shown.out)
    snapshot("replay-verify-unexpected", shown.out)


def test_what_is_missing_is_told(kugetsu, lived, snapshot, fits):
    attempt = lived.run("q2")
    ending = Ending("fail", "retry", "exit 1")
    facts = {"now": lived.time, "max_attempts": 3, "backoff_seconds": 10.0, "pause_seconds": 60.0, "agent": "x"}
    lived.do(lambda state: attempts.finish(state, attempt, ending, facts)[:1])
    shown = kugetsu("replay", "--verify")
    assert shown.code == 6 and fits(shown.out)
    snapshot("replay-verify-missing", shown.out)


def test_another_version_is_the_reason_that_is_named(kugetsu, lived, snapshot, fits):
    lived.by["kugetsu"] = "0.0.9"
    tampered(lived, lambda claim: claim.data.update(live=["q9.1"]))
    shown = kugetsu("replay", "--verify")
    assert shown.code == 6 and fits(shown.out)
    snapshot("replay-verify-version", shown.out)
    [found] = kugetsu("replay", "--verify", "--json").json["differences"]
    assert (found["category"], found["written_by"]) == ("code version", "0.0.9")


def test_all_lists_every_difference_and_else_says_how_many_there_are(kugetsu, lived):
    lived.at("12:31:00", "somebody")
    for task in ("q5", "q6"):
        lived.do(lambda _, task=task: [forged(task, "?")])
    one = kugetsu("replay", "--verify")
    assert one.out.count("why not") == 1 and "2 differ" in one.out
    assert "kugetsu replay --verify --all" in one.out
    every = kugetsu("replay", "--verify", "--all")
    assert every.code == 6 and every.out.count("why not") == 2 and "--all" not in every.out
    assert len(kugetsu("replay", "--verify", "--all", "--json").json["differences"]) == 2


def test_until_looks_no_further(kugetsu, lived):
    lived.at("12:31:00").do(lambda _: [forged("q5", "?")])
    assert kugetsu("replay", "--verify").code == 6
    assert kugetsu("replay", "--verify", "--until", "@-1").code == 0
    assert kugetsu("replay", "--verify", "--until", "2026-11-23T12:30:30Z").code == 0
    cut = kugetsu("replay", "--verify", "--until", "10")
    assert cut.code == 0 and "not checked: 1 event of a transaction" in cut.out
    assert kugetsu("replay", "--verify", "--until", "99").code == 4


def test_all_without_verify_is_bad_usage(kugetsu, lived):
    shown = kugetsu("replay", "--all")
    assert shown.code == 3 and "hint: kugetsu replay --verify --all" in shown.err


@pytest.mark.parametrize("name", ["campaign", "command", "opencode", "upgrade"])
def test_a_log_whose_transactions_name_no_decision_says_that_it_was_folded(kugetsu, name):
    shutil.copytree(FIXTURES / name, kugetsu.root / "log")
    data = kugetsu("replay", "--verify", "--json").json
    assert data["ok"] and data["redecided"] == 0 and data["folded"] > 50 and data["last_folded"] <= data["seq"]
    shown = kugetsu("replay", "--verify").out
    assert shown.startswith("verified: 0 transactions decided again, ")
    assert f"\nfolded, not decided again: {data['folded']} transactions up to event {data['last_folded']}, " in shown


def test_what_a_machine_refused_in_an_old_transaction_does_not_verify(kugetsu, lived):
    lived.by["pid"] = 5
    lived.do(lambda _: [NewEvent("task.completed", {"summary": "?"}, task="q2")])
    shown = kugetsu("replay", "--verify")
    assert shown.code == 6 and "a state machine refused 1 event: kugetsu replay lists them" in shown.out
    assert kugetsu("replay", "--verify", "--json").json["violations_seen"] == 1


def test_a_transaction_that_lost_its_name_is_found(kugetsu, lived, snapshot, fits):
    lived.do(lambda _: [NewEvent("task.cancelled", {"reason": "cancel"}, task="q2", cause=12, issue=SECOND)])
    shown = kugetsu("replay", "--verify")
    assert shown.code == 6 and fits(shown.out)
    snapshot("replay-verify-unnamed", shown.out)


def test_an_empty_log_verifies(kugetsu):
    shown = kugetsu("replay", "--verify")
    assert shown.code == 0 and "verified: 0 transactions" in shown.out


def test_a_damaged_log_is_told_as_one(kugetsu, lived):
    path = next((kugetsu.root / "log").glob("*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b'"q1"', b'"q7"', 1))
    shown = kugetsu("replay", "--verify")
    assert shown.code == 6 and "damaged" in shown.err


def test_the_json_of_verify_has_the_documented_keys(kugetsu, lived):
    from cli.test_json_shapes import compare, tree
    from kugetsu.cli import catalogue

    tampered(lived, lambda claim: claim.facts.update(cap=0))
    shape = tree(catalogue.entry("replay").json.split("With --verify:")[1])
    compare(kugetsu("replay", "--verify", "--json").json, shape)


@pytest.mark.parametrize("more", [[], ["--no-messages"]], ids=["whole", "without messages"])
@pytest.mark.parametrize("name", ["command", "opencode"])
def test_a_bundle_of_a_real_run_verifies_elsewhere(kugetsu, tmp_path, name, more):
    shutil.copytree(FIXTURES / name, kugetsu.root / "log")
    file = str(tmp_path / "kugetsu.tar.gz")
    assert kugetsu("doctor", "--bundle", file, *more).code in (0, 1)
    shown = kugetsu("replay", "--verify", "--all", "--from", file, KUGETSU_DIR=str(tmp_path / "elsewhere"))
    assert shown.code == 0 and shown.out.startswith("verified: "), shown


def test_a_part_of_a_log_cannot_be_verified_and_says_why(tmp_path):
    from kugetsu.cli.replay import verified
    from kugetsu.log.foreign.engine import ForeignLog
    from kugetsu.model.errors import BadInput

    lines = next((FIXTURES / "opencode").glob("*.jsonl")).read_bytes().splitlines(keepends=True)
    for part, missing in ((lines[40:], 1), ([*lines[:40], *lines[41:]], 41)):
        (tmp_path / "part.jsonl").write_bytes(b"".join(part))
        archive = ForeignLog(str(tmp_path / "part.jsonl"))
        with pytest.raises(BadInput, match=f"event {missing} is missing") as problem:
            verified(archive, None, None, most=1)
        assert problem.value.hint
        archive.close()
