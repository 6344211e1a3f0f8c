"""Notifications: which events are some, what they say, how they are marked as read, and what an outbox promises."""

from __future__ import annotations

from typing import Any

import pytest

from kugetsu.domain.decide import claims, notifications, queue
from kugetsu.domain.events import CATALOGUE
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import Session, State, empty
from kugetsu.model import setting_kinds
from kugetsu.runtime.notifications import notice as projection
from kugetsu.runtime.notifications.notice import TEXT_LENGTH, WORDS, issue_url, located, notice_of, one_line
from property.simulation import ISSUES, Event, World, random_commands

AT = "2026-11-23T12:00:00.000000Z"
TOKEN = "ghp_" + "a1B2" * 9


def event(type: str, data: Any, **more: Any) -> Event:
    return {"seq": 7, "at": AT, "type": type, "v": 1, "data": data, **more}


@pytest.mark.parametrize(
    ("made", "type", "text"),
    [
        (event("task.queued", {"title": "fix it", "via": "enqueue"}), "task_queued", "fix it"),
        (event("task.queued", {"title": "fix it", "via": "start"}), "task_queued", "fix it"),
        (event("task.queued", {"title": "x", "via": "import"}, more=1), "task_queued", "x"),
        (event("attempt.claimed", {"slot": 2}, facts={"dispatcher": "daemon"}), "task_dequeued", "slot 2"),
        (event("attempt.claimed", {"slot": None}, facts={}), "task_dequeued", "the PM agent takes it"),
        (event("attempt.running", {"agent": {}}), "task_started", "its agent runs"),
        (event("task.completed", {"summary": "2 commits, pushed"}), "task_completed", "2 commits, pushed"),
        (event("task.failed", {"reason": "3 attempts failed"}), "task_error", "3 attempts failed"),
        (
            event("task.parked", {"reason": "usage limit", "until": "2026-11-23T12:01:00.000000Z"}),
            "task_parked",
            "usage limit, until 2026-11-23 12:01 UTC",
        ),
        (
            event("task.parked", {"reason": "no news", "until": None}),
            "task_parked",
            "no news, until someone unblocks it",
        ),
        (
            event("task.parked", {"reason": "no_progress", "values": {"runs": 3}, "until": None}),
            "task_parked",
            "3 runs in a row ended well and brought no new commit or comment, until someone unblocks it",
        ),
        (event("task.failed", {"reason": "lost", "values": {"failures": 2}}), "task_error", "2 attempts failed: lost"),
        (event("attempt.lost", {"reason": "its runner was killed"}), "agent_lost", "its runner was killed"),
        (
            event(
                "feedback.seen",
                {"items": [{"counts": True}, {"counts": False, "name": "deploy", "text": "The job was\nnot started."}]},
            ),
            "loop_held",
            "deploy did not run: The job was not started.",
        ),
        (event("daemon.lost", {"identity": None}), "agent_lost", "the daemon exited without recording a reason"),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else None,
)
def test_an_event_that_people_want_to_hear_of_is_a_notification(made: Event, type: str, text: str) -> None:
    found = notice_of(made)
    assert found is not None
    assert (found.seq, found.at, found.type, found.text) == (7, AT, type, text)


@pytest.mark.parametrize(
    ("code", "told"), [("most_reactions", True), ("no_change", True), ("kept", True), ("issue_closed", False)]
)
def test_what_a_person_did_at_the_issue_is_not_told_back(code: str, told: bool) -> None:
    held = event("reaction.held", {"code": code, "values": {"turns": 1, "max": 1, "task": "q1"}, "items": []})
    assert (notice_of(held) is not None) == told


def test_every_kind_of_notification_has_a_setting_and_words() -> None:
    assert (
        {*setting_kinds.NOTICES, projection.REPORT} == set(WORDS) == {type for type, _, _ in projection._KINDS.values()}
    )


@pytest.mark.parametrize("kind", sorted(CATALOGUE.keys() - projection._KINDS.keys()))
def test_other_events_are_none(kind: str) -> None:
    assert notice_of(event(kind, {})) is None


@pytest.mark.parametrize("via", ["start", "continue"])
def test_a_task_that_starts_at_once_was_never_in_the_queue(via: str) -> None:
    world = World()
    offer, facts = world.offer(), world.claim_facts("self")

    def start(state: State) -> list[NewEvent]:
        queued = queue.enqueue(state, kind="dev", issue=ISSUES[0], message="go", via=via)[0]
        return claims.start(state, queued, offer, facts)

    made = world.do(start)
    assert {"task.queued", "attempt.claimed"} <= {one["type"] for one in made}
    assert [notice_of(one) for one in made] == [None] * len(made)
    told = [found.type for one in world.run(0, 0) if (found := notice_of(one))]
    assert told == ["task_started"]


def test_a_task_of_the_queue_is_told_at_each_of_its_steps() -> None:
    world = World()
    world.daemon_start(0, 0)
    made = world.enqueue(0, 1) + world.dispatch(1, 2) + world.run(0, 0) + world.finish(0, 0)
    told = [(found.type, found.task) for one in made if (found := notice_of(one))]
    assert told == [
        ("task_queued", "q1"),
        ("task_dequeued", "q1"),
        ("task_started", "q1"),
        ("task_completed", "q1"),
    ]


def test_each_end_of_a_task_in_a_long_life_is_one_notification() -> None:
    world = World()
    for _ in world.play(random_commands(3, 1500)):
        pass
    ends = {"task.completed": "task_completed", "task.failed": "task_error", "task.parked": "task_parked"}
    for one in world.memory.events:
        found = notice_of(one)
        if one["type"] in ends:
            assert found is not None and found.type == ends[one["type"]]
            assert (found.issue, found.task) == (one.get("issue"), one["task"])


@pytest.mark.parametrize("kind", sorted(projection._KINDS))
@pytest.mark.parametrize("data", [None, [], "text", 7, {}, {"reason": None, "until": 7, "title": ["x"]}], ids=repr)
def test_nonsense_as_data_never_stops_the_projection(kind: str, data: Any) -> None:
    found = notice_of(event(kind, data, facts=data))
    if kind in ("work.verified", "host.returned"):
        assert found is None, "only one that was given up, or left commits, is told"
    else:
        assert found is not None and isinstance(found.text, str)


def test_a_text_is_one_harmless_line_of_bounded_length_without_secrets() -> None:
    assert one_line(f"a\n\tb \x1b[2J\u202e c, GITEA_TOKEN={TOKEN}") == "a b [2J c, GITEA_TOKEN=[redacted]"
    long = one_line("x" * 100_000)
    assert len(long) == TEXT_LENGTH and long.endswith("…")
    at_the_cut = one_line("y" * (TEXT_LENGTH - 10) + " " + TOKEN)
    assert TOKEN[:10] not in at_the_cut
    queued = notice_of(event("task.queued", {"title": f"use {TOKEN}", "via": "enqueue"}))
    assert queued is not None and queued.text == "use [redacted]"


def test_a_notification_leads_to_the_pull_request_or_the_issue() -> None:
    state = empty()
    found = notice_of(event("task.completed", {"summary": "done"}, issue=ISSUES[0], task="q1"))
    assert found is not None
    assert located(found, state, {}).url == "https://example.org/o/a/issues/1"
    state.sessions[ISSUES[0]] = Session(ISSUES[0], "issue")
    assert located(found, state, {}).url == "https://example.org/o/a/issues/1"
    state.sessions[ISSUES[0]].pr = "https://example.org/o/a/pulls/9"
    assert located(found, state, {}).url == "https://example.org/o/a/pulls/9"


@pytest.mark.parametrize(
    ("issue", "servers", "url"),
    [
        ("github.com/o/r#1", {}, "https://github.com/o/r/issues/1"),
        (
            "git.local:3000/o/r#1",
            {"git.local:3000": "http://git.local:3000/sub"},
            "http://git.local:3000/sub/o/r/issues/1",
        ),
        ("git.local/o/r#1", {"git.local": "ssh://git@git.local"}, "https://git.local/o/r/issues/1"),
        ("git.local/o/r#1", {"git.local": "https://me:pw@git.local"}, "https://git.local/o/r/issues/1"),
        ("local/o/r#1", {}, None),
    ],
)
def test_the_page_of_an_issue(issue: str, servers: dict[str, str], url: str | None) -> None:
    assert issue_url(issue, servers) == url


# --- the read mark ---------------------------------------------------------------------------------------------------


def test_what_was_read_is_marked_once_and_never_unmarked() -> None:
    world = World()
    assert [one["type"] for one in world.do(lambda state: notifications.mark_read(state, 2))] == ["notices.read"]
    assert world.state.notices_read == 2
    assert world.do(lambda state: notifications.mark_read(state, 2)) == []
    assert world.do(lambda state: notifications.mark_read(state, 1)) == []
    assert world.state.notices_read == 2


# --- the outbox ------------------------------------------------------------------------------------------------------


class Box:
    """A sink that is enabled in a world of its own."""

    def __init__(self) -> None:
        self.world = World()
        self.world.do(lambda state: notifications.enable(state, "command"))
        self.upto = self.world.state.seq - 1
        for number in range(40):
            self.world.enqueue(number, 1)

    @property
    def entry(self) -> dict[str, Any]:
        return self.world.state.outbox["command"]

    def send(self, *seqs: int, lane: str = "all", upto: int | None = None) -> str:
        after = self.entry["upto"]
        batch = notifications.Batch(lane, list(seqs))
        made = self.world.do(lambda state: notifications.sending(state, "command", [batch], after, upto or seqs[-1]))
        return str(made[0]["data"]["delivery"])

    def fail(self, delivery: str, **more: Any) -> Event:
        return self.world.do(lambda state: notifications.failed(state, "command", delivery, "no", now=AT, **more))[0]


def test_a_sink_gets_nothing_that_was_before_it() -> None:
    box = Box()
    assert box.entry == {"upto": box.upto, "open": {}, "last": None}
    assert box.world.do(lambda state: notifications.enable(state, "command")) == []


def test_a_sink_that_is_taken_out_and_put_back_begins_anew() -> None:
    box = Box()
    box.send(20)
    assert [one["type"] for one in box.world.do(lambda state: notifications.disable(state, "command"))] == [
        "sink.disabled"
    ]
    assert box.world.state.outbox == {}
    assert box.world.do(lambda state: notifications.disable(state, "command")) == []
    box.world.do(lambda state: notifications.enable(state, "command"))
    assert box.entry["upto"] == box.world.state.seq - 1 and box.entry["open"] == {}


def test_a_delivery_is_open_from_its_intent_to_its_outcome() -> None:
    box = Box()
    delivery = box.send(20, 22, upto=25)
    assert delivery == "log-1-command-20-22"
    assert box.entry["upto"] == 25
    assert box.entry["open"][delivery] == {
        "lane": "all",
        "seqs": [20, 22],
        "tries": 0,
        "not_before": None,
        "sending": box.world.state.seq,
    }
    made = box.world.do(lambda state: notifications.sent(state, "command", delivery, "exit 0"))
    assert made[0]["cause"] == made[0]["seq"] - 1
    assert box.entry["open"] == {}
    assert box.entry["last"] == {"seq": made[0]["seq"], "at": made[0]["at"], "sent": True, "text": "exit 0"}
    assert box.world.do(lambda state: notifications.sent(state, "command", delivery, "exit 0")) == []


def test_what_somebody_has_taken_up_is_not_taken_up_again() -> None:
    box = Box()
    after = box.entry["upto"]
    box.send(20)
    again = notifications.Batch("all", [20])
    assert box.world.do(lambda state: notifications.sending(state, "command", [again], after, 20)) == []
    assert box.world.do(lambda state: notifications.sending(state, "webhook", [again], after, 20)) == []


def test_pauses_double_and_the_eighth_failure_is_the_last() -> None:
    box = Box()
    delivery = box.send(20)
    pauses = []
    for tries in range(1, notifications.MOST_TRIES + 1):
        made = box.fail(delivery)
        assert made["data"]["tries"] == tries
        if made["data"]["not_before"] is None:
            break
        entry = box.entry["open"][delivery]
        assert (entry["tries"], entry["sending"], entry["not_before"]) == (tries, 0, made["data"]["not_before"])
        pauses.append(notifications.pause_after(tries))
        assert box.world.do(lambda state: notifications.sending_again(state, "command", delivery, 0))
    assert pauses == [30, 60, 120, 240, 480, 960, 1800]
    assert box.entry["open"] == {} and box.entry["last"]["sent"] is False


def test_a_receiver_may_ask_for_a_longer_pause_but_not_for_ever() -> None:
    box = Box()
    assert box.fail(box.send(20), asked=100.0)["data"]["not_before"] == "2026-11-23T12:01:40.000000Z"
    assert box.fail(box.send(21), asked=1.0)["data"]["not_before"] == "2026-11-23T12:00:30.000000Z"
    assert box.fail(box.send(22), asked=1e9)["data"]["not_before"] == "2026-11-24T12:00:00.000000Z"


def test_what_a_receiver_refuses_for_good_is_given_up_at_once() -> None:
    box = Box()
    made = box.fail(box.send(20), again=False)
    assert made["data"]["not_before"] is None and made["facts"]["again"] is False
    assert box.entry["open"] == {}


def test_what_was_given_up_is_known_until_one_arrives() -> None:
    box = Box()
    box.fail(box.send(20))
    assert "given_up" not in box.entry  # it is tried again
    box.fail(box.send(21, 23), again=False)
    box.fail(box.send(24), again=False)
    assert box.entry["given_up"] == {"deliveries": 2, "notice": 24, "text": "no"}
    delivery = box.send(25)
    box.world.do(lambda state: notifications.sent(state, "command", delivery, "exit 0"))
    assert "given_up" not in box.entry


def test_a_delivery_is_taken_up_again_by_one_only() -> None:
    box = Box()
    delivery = box.send(20)
    intent = box.world.state.seq
    assert box.world.do(lambda state: notifications.sending_again(state, "command", delivery, intent))
    assert box.world.do(lambda state: notifications.sending_again(state, "command", delivery, intent)) == []
    assert box.world.do(lambda state: notifications.sending_again(state, "command", "unknown", 0)) == []


def test_one_without_an_outcome_counts_as_a_try() -> None:
    box = Box()
    delivery = box.send(20)
    for tries in (1, 2, 3):
        intent = box.world.state.seq
        box.world.do(lambda state, intent=intent: notifications.sending_again(state, "command", delivery, intent))
        assert box.entry["open"][delivery]["tries"] == tries


def test_comments_are_told_in_the_history_of_their_issue() -> None:
    world = World()
    world.do(lambda state: notifications.enable(state, "comment"))
    for number in range(40):
        world.enqueue(number, 1)
    batches = [notifications.Batch(ISSUES[0], [20]), notifications.Batch(ISSUES[1], [21, 23])]
    after = world.state.outbox["comment"]["upto"]
    made = world.do(lambda state: notifications.sending(state, "comment", batches, after, 24))
    assert [one["issue"] for one in made] == [ISSUES[0], ISSUES[1]]
    assert len({one["data"]["delivery"] for one in made}) == 2
    failed = world.do(
        lambda state: notifications.failed(state, "comment", made[0]["data"]["delivery"], "401", now=AT, again=False)
    )
    assert failed[0]["issue"] == ISSUES[0]
    assert list(world.state.outbox["comment"]["open"]) == [made[1]["data"]["delivery"]]


@pytest.mark.parametrize("type", ["notice.sent", "notice.failed", "sink.disabled", "notice.sending"])
def test_an_outcome_of_nothing_is_a_violation(type: str) -> None:
    from kugetsu.domain.fold import fold

    world = World()
    data = {
        "sink": "command",
        "lane": "all",
        "delivery": "d",
        "detail": "",
        "tries": 1,
        "not_before": None,
        "reason": "",
        "seqs": [1],
        "upto": 1,
    }
    fold(world.state, event(type, data))
    assert [violation["seq"] for violation in world.state.violations] == [7]
    assert world.state.outbox == {}
