"""The loop of a pull request: what is delivered, once; when; which brake ends it; and that nothing undoes its count."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kugetsu.domain import loops
from kugetsu.domain.decide import attempts, claims, intake, persons, queue, reactions, reviews, sessions
from kugetsu.domain.facts import Ending, ReactionFacts
from kugetsu.domain.fold import loops as folding
from kugetsu.domain.invariants import broken
from kugetsu.domain.replay.checker import ReplayChecker
from kugetsu.domain.state import empty
from kugetsu.model import clock
from kugetsu.model.errors import Conflict, KugetsuError
from profiles import examples
from property.simulation import ISSUES, Event, World, folded

KEY = ISSUES[0]
URL = "https://example.org/o/a/pulls/9"
ALL = ["checks", "reviews", "comments", "conflicts"]


class Loop:
    """An issue with an open pull request, whose feedback comes and goes."""

    def __init__(self, kinds: list[str] | None = None, most: int = 3) -> None:
        self.world = World()
        self.kinds, self.most = ALL if kinds is None else kinds, most
        self.world.enqueue(0, 1)
        self.work(head="c1")

    def facts(self) -> ReactionFacts:
        return {"now": self.world.now, "kinds": self.kinds, "delay_seconds": 120.0, "max_reactions": self.most}

    def later(self, seconds: float) -> None:
        self.world.now = clock.add_seconds(self.world.now, seconds)

    @property
    def turn(self) -> loops.Turn:
        return loops.next_turn(self.world.state, self.world.state.sessions[KEY], self.facts())

    @property
    def count(self) -> int:
        return int(loops.loop_of(self.world.state, KEY)["turns"])

    def see(self, *items: str, gone: tuple[str, ...] = (), head: str = "c1", **more: Any) -> list[Event]:
        """Items by their ids, `KIND:REST`."""
        made = [{"id": name, "kind": name.partition(":")[0], "counts": True, "text": name, **more} for name in items]
        return self.world.do(lambda state: reactions.observe(state, KEY, URL, head, made, list(gone)))

    def react(self) -> list[Event]:
        turn, facts = self.turn, self.facts()
        return self.world.do(lambda state: reactions.react(state, KEY, f"about {turn.items}", turn.items, facts))

    def observe(self, how: str, ahead: float = 0.0) -> list[Event]:
        """Its pull request is seen as it is now, by a forge whose clock is so many seconds ahead."""
        pull: dict[str, Any] = {"number": 9, "url": URL, "state": how, "head": "c1", "checks": None, "review": None}
        pull |= {"mergeable": None, "draft": False}
        return self.world.do(lambda state: reviews.observe(state, KEY, pull, clock.add_seconds(self.world.now, ahead)))

    def work(
        self, how: str = "succeed", verdict: str = "done", pull: dict[str, Any] | None = None, **evidence: Any
    ) -> None:
        """A run of the issue's waiting task, with this evidence at its end."""
        world = self.world
        task = world.state.of_issue[KEY][0]
        world.do(lambda state: claims.claim(state, task, world.offer(), world.claim_facts()))
        attempt = world.state.tasks[task].attempt
        if attempt is None:
            raise Conflict(f"{task} waits: {world.state.tasks[task].held}")
        world.run(0, 0)
        shown = {"commits": 1, "dirty": 0, "pushed": True, **evidence}
        seen = {"number": 9, "url": URL, "state": "open", "draft": False, "head": evidence.get("head"), **(pull or {})}
        check = {"id": f"verification:{evidence.get('head')}:v", "kind": "verification", "counts": True, "text": ""}
        failed = check if "verification" in evidence else None
        ending = Ending(how, verdict, "said", evidence={**shown, "pull": seen}, failed_check=failed)
        world.do(lambda state: attempts.finish(state, attempt, ending, world.outcome_facts()))


@pytest.fixture
def loop() -> Loop:
    return Loop()


def test_what_a_person_wants_of_a_closed_pull_request_stays_although_the_forges_clock_is_ahead(loop: Loop) -> None:
    world = loop.world
    world.enqueue(0, 1)
    (before,) = world.state.of_issue[KEY]
    loop.later(60)
    assert [event.get("task") for event in loop.observe("closed", ahead=3600.0)] == [None, before]
    loop.later(60)
    world.enqueue(0, 1)
    (after,) = world.state.of_issue[KEY]
    loop.later(60)
    assert loop.observe("closed", ahead=3600.0) == [] and world.state.tasks[after].state == "pending"


def test_feedback_of_a_few_minutes_starts_one_turn_with_all_of_it(loop: Loop) -> None:
    loop.see("reviews:1")
    loop.later(90)
    loop.see("reviews:1", "reviews:2")
    loop.later(119)
    assert loop.turn.code == "later" and loop.react() == []
    loop.later(1)
    (queued,) = loop.react()
    assert queued["data"]["reaction"] == {"turn": 1, "items": ["reviews:1", "reviews:2"]}
    assert queued["cause"] == next(
        e["seq"] for e in reversed(loop.world.memory.events[:-1]) if e["type"] == "feedback.seen"
    )
    assert loop.react() == [] and loop.turn.items == []


def test_a_reviewer_who_never_stops_is_answered_after_five_delays(loop: Loop) -> None:
    for number in range(10):
        loop.see(f"reviews:{number}")
        assert loop.turn.code == "later"
        loop.later(60)
    assert loop.turn.code == "go" and len(loop.turn.items) == 10


def test_what_is_delivered_is_not_delivered_again_and_what_is_new_always_is(loop: Loop) -> None:
    loop.see("reviews:1", "checks:a")
    loop.later(120)
    loop.react()
    loop.work(head="c2", comments=0)
    assert loop.see("reviews:1") == []
    loop.see("reviews:1", "reviews:2", gone=("checks:a",), head="c2")
    loop.later(120)
    assert loop.turn.items == ["reviews:2"]
    loop.see("checks:a", head="c2")
    assert loop.turn.items == ["reviews:2"], "it was answered, and is there again"


def test_no_kind_holds_back_another_and_only_named_ones_start_a_turn() -> None:
    loop = Loop(["reviews"])
    loop.see("checks:a")
    loop.later(120)
    assert loop.turn.code == "not_named" and loop.react() == []
    loop.see("reviews:1")
    loop.later(120)
    assert loop.turn.items == ["reviews:1"]
    loop.kinds = ["reviews", "checks"]
    assert loop.turn.items == ["checks:a", "reviews:1"]


def test_a_check_that_did_not_run_starts_no_turn(loop: Loop) -> None:
    loop.see("checks:a", counts=False, why_not="not_run")
    loop.later(120)
    assert loop.turn.code == "nothing_new" and loop.react() == []


def test_a_verification_is_answered_at_once_whatever_reactions_names() -> None:
    loop = Loop([])
    loop.see("verification:c1:v")
    assert loop.turn.code == "go"
    loop.see("reviews:1")
    loop.kinds = ["reviews"]
    assert loop.turn.code == "later", "both are one turn's"


def test_a_verification_of_an_earlier_commit_is_answered_by_no_turn(loop: Loop) -> None:
    loop.see("verification:c0:v")
    assert loop.turn.code == "nothing_new"
    loop.see("verification:c1:v")
    assert loop.turn.items == ["verification:c1:v"]


@pytest.mark.parametrize(("head", "held"), [("c1", True), ("c2", False)])
def test_a_turn_that_leaves_the_head_and_the_failing_check_is_the_last(loop: Loop, head: str, held: bool) -> None:
    loop.see("checks:a")
    loop.later(120)
    loop.react()
    loop.work(head=head, comments=5)  # it may have commented
    found = loop.react()
    assert [event["type"] for event in found] == (["reaction.held"] if held else [])
    assert loop.react() == []
    if held:
        assert found[0]["data"]["code"] == "no_change" and found[0]["data"]["values"]["task"] == "q2"
        loop.see("comments:1")
        loop.later(120)
        assert loop.turn.items == ["comments:1"], "what is new starts a turn all the same"


def test_an_answer_in_words_to_a_comment_is_an_answer(loop: Loop) -> None:
    loop.see("comments:1")
    loop.later(120)
    loop.react()
    loop.work(head="c1", comments=5)
    loop.see("comments:2")
    loop.later(120)
    loop.react()
    loop.work(head="c1", comments=6)
    assert loop.turn.code == "nothing_new" and loop.react() == []


def test_no_restart_retry_relabel_or_destruction_undoes_the_count(loop: Loop) -> None:
    world = loop.world
    for turn in range(3):
        loop.see(f"checks:{turn}", gone=(f"checks:{turn - 1}",), head=f"c{turn + 1}")
        loop.later(120)
        loop.react()
        loop.work(head=f"c{turn + 2}")
    task = list(world.state.tasks)[-1]
    loop.see("checks:3", gone=("checks:2",), head="c4")
    loop.later(120)
    assert [event["data"]["code"] for event in loop.react()] == ["most_reactions"] and loop.react() == []
    world.do(lambda state: queue.retry(state, task))
    loop.work(head="c5")
    assert loop.react() == [] and loop.count == 3
    relabelled = {"kind": "dev", "issue": KEY, "message": "do it", "via": "intake"}
    world.do(lambda state: queue.enqueue(state, **relabelled))
    loop.work(head="c6")
    assert loop.react() == []
    world.do(lambda state: sessions.destroying(state, KEY, True, "destroy"))
    gone: dict[str, Any] = {"worktree": None, "branch": None, "rescue": None, "kept": []}
    world.do(lambda state: sessions.destroyed(state, KEY, gone))
    world.enqueue(0, 1)  # by a person: from here the brake speaks again, but the count stays
    loop.work(head="c7")
    loop.see("checks:3")
    loop.later(120)
    assert loop.count == 3 and loop.turn.code == "most_reactions"
    assert [event["type"] for event in loop.react()] == ["reaction.held"]


@pytest.mark.parametrize("by_a_person", [False, True])
def test_a_turn_that_opens_another_pull_request_does_not_escape_the_count(loop: Loop, by_a_person: bool) -> None:
    world = loop.world
    for turn in range(3):
        url = f"https://example.org/o/a/pulls/{20 + turn}"
        said = [{"id": f"reviews:{turn}", "kind": "reviews", "counts": True, "text": "Split it."}]
        before = loops.loop_of(world.state, KEY)["url"] or URL
        world.do(lambda state, url=before, said=said: reactions.observe(state, KEY, url, "c1", said, []))  # type: ignore[misc]
        loop.later(120)
        assert loop.react()[0]["type"] == "task.queued"
        loop.work(head=f"c{turn + 2}", pull={"url": url, "number": 20 + turn})
    assert loop.count == 0, "the latest has had none"
    if by_a_person:
        world.enqueue(0, 1)
        loop.work(head="c9", pull={"url": url, "number": 22})
    said = [{"id": "reviews:9", "kind": "reviews", "counts": True, "text": "Split it."}]
    world.do(lambda state: reactions.observe(state, KEY, url, "c9", said, []))
    loop.later(120)
    assert loop.turn.code == ("go" if by_a_person else "most_reactions")
    assert by_a_person or loop.turn.values == {"turns": 3, "max": 3}
    assert [event["type"] for event in loop.react()] == ["task.queued" if by_a_person else "reaction.held"]


def test_another_pull_request_and_another_branch_begin_a_loop_of_their_own(loop: Loop) -> None:
    loop.see("checks:a")
    loop.later(120)
    loop.react()
    loop.work(head="c2")
    state = loop.world.state
    assert loop.count == 1
    folding.merged(state, KEY)
    assert loop.count == 0 and loop.turn.code == "nothing_new"


def ended(how: str) -> dict[str, Any]:
    """The pull request as it is observed at its end."""
    shown = {"number": 9, "url": URL, "state": how, "head": "c1", "checks": None, "review": None}
    return {**shown, "mergeable": None, "draft": False}


@pytest.mark.parametrize("how", ["merged", "closed"])
def test_a_destroyed_session_takes_the_loop_of_a_merged_pull_request_with_it(loop: Loop, how: str) -> None:
    world = loop.world
    loop.see("reviews:1")
    world.do(lambda state: reviews.observe(state, KEY, ended(how)))
    world.do(lambda state: sessions.destroying(state, KEY, True, how))
    gone: dict[str, Any] = {"worktree": None, "branch": None, "rescue": None, "kept": []}
    world.do(lambda state: sessions.destroyed(state, KEY, gone))
    assert (KEY in world.state.loops) is (how == "closed"), "a closed one may be opened again"


OTHER = "https://example.org/o/a/pulls/10"


@pytest.mark.parametrize("before", ["open", "closed", "merged"])
def test_what_was_said_of_an_earlier_pull_request_starts_no_turn_for_the_next(loop: Loop, before: str) -> None:
    loop.see("comments:1", "verification:c1:v")
    loop.observe(before)
    loop.world.enqueue(0, 1)
    loop.work(head="c2", pull={"state": before, "head": "c1"})  # pushed, in no pull request yet
    loop.later(120)
    assert loop.turn.code == ("go" if before == "open" else "over")
    loop.world.do(lambda state: sessions.set_pr(state, KEY, OTHER, "branch"))
    assert loop.turn.code == "nothing_new" and loop.count == 0


def test_a_verification_belongs_to_the_pull_request_that_its_run_made(loop: Loop) -> None:
    loop.see("comments:1")
    loop.world.enqueue(0, 1)
    loop.work(head="c2", pull={"url": OTHER, "number": 10}, verification={"code": "failed"})
    assert loop.turn.items == ["verification:c2:v"] and loops.loop_of(loop.world.state, KEY)["url"] == OTHER


@pytest.mark.parametrize("merged", [False, True])
def test_the_next_session_answers_what_it_sees_and_not_what_is_over(loop: Loop, merged: bool) -> None:
    loop.see("comments:1", "comments:2")
    loop.later(120)
    assert loop.react()
    loop.work(head="c2", comments=1)
    loop.see("comments:3")
    if merged:
        loop.observe("merged")
    loop.world.destroy(0, 2)
    loop.world.enqueue(0, 1)
    loop.work(head="c3", pull={"state": "merged", "head": "c2"} if merged else None)
    loop.later(120)
    assert loop.turn.items == [] and loop.count == (0 if merged else 1)
    if not merged:
        loop.see("comments:1", "comments:2", "comments:3")
        loop.later(120)
        assert loop.turn.items == ["comments:3"]


@pytest.mark.parametrize("by", ["kugetsu", "person", "after a run"])
def test_a_turn_that_is_withdrawn_before_it_begins_has_answered_nothing(loop: Loop, by: str) -> None:
    world = loop.world
    loop.see("reviews:1")
    loop.later(120)
    loop.react()
    if by == "after a run":
        loop.work("fail", "retry")
    if by == "person":
        world.do(lambda state: queue.cancel(state, "q2", "cancel"))
    else:
        world.do(lambda state: reactions.withdrawn(state, KEY, "issue_closed"))
    assert world.state.tasks["q2"].state == "cancelled"
    assert loop.turn.items == (["reviews:1"] if by == "kugetsu" else [])
    world.do(lambda state: queue.retry(state, "q2"))
    loop.work(head="c2")
    assert loop.turn.items == [] and loop.count == 1


@pytest.mark.parametrize("how", ["merged", "closed"])
def test_the_end_of_a_pull_request_cancels_what_waits_for_it(loop: Loop, how: str) -> None:
    world = loop.world
    loop.see("reviews:1")
    loop.later(120)
    loop.react()
    loop.later(10)
    world.enqueue(0, 1)
    over_at = world.now
    loop.later(10)
    world.enqueue(0, 1)
    made = world.do(lambda state: reviews.observe(state, KEY, ended(how), clock.add_seconds(over_at, 1)))
    cancelled = [event["task"] for event in made if event["type"] == "task.cancelled"]
    assert cancelled == (["q2"] if how == "merged" else ["q2", "q3"])
    assert all(event["data"]["reason"] == f"pull_{how}" for event in made[1:])
    assert all(event["cause"] == made[0]["seq"] for event in made[1:])
    assert loop.turn.code == "over" or loop.turn.code == "nothing_new"
    checker = ReplayChecker(world.state_after, "0")
    assert [differs for differs in map(checker.add, world.memory.events) if differs is not None] == []


@pytest.mark.parametrize("by", ["reaction", "intake"])
def test_what_is_asked_for_after_a_known_close_stays_whatever_the_clock_of_the_forge(loop: Loop, by: str) -> None:
    world = loop.world
    closed_at = clock.add_seconds(world.now, 600)  # ten minutes ahead
    if by == "intake":
        world.label(0, 4)
        world.do(lambda state: intake.gone(state, KEY, "closed", closed_at))
    else:
        world.do(lambda state: reactions.withdrawn(state, KEY, "issue_closed", closed_at))
    loop.later(60)
    world.enqueue(0, 1)
    asked = list(world.state.tasks)[-1]
    for _ in range(2):
        world.do(lambda state: reactions.withdrawn(state, KEY, "issue_closed", closed_at))
        assert world.state.tasks[asked].state == "pending"
    again = clock.add_seconds(closed_at, 60)  # reopened, and closed again
    world.do(lambda state: reactions.withdrawn(state, KEY, "issue_closed", again))
    assert world.state.tasks[asked].state == "cancelled"


NAMES = st.sampled_from([f"{kind}:{number}" for kind in (*ALL, "verification") for number in (1, 2)])
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("see"), st.tuples(st.lists(NAMES, max_size=3), st.lists(NAMES, max_size=2))),
        st.tuples(st.just("react"), st.none()),
        st.tuples(st.just("react"), st.none()),
        st.tuples(st.just("work"), st.sampled_from([("succeed", "done"), ("fail", "give_up"), ("fail", "retry")])),
        st.tuples(st.just("later"), st.sampled_from([1, 60, 120, 700])),
        st.tuples(st.sampled_from(["person", "retry", "cancel", "relabel", "destroy", "attach"]), st.none()),
    ),
    min_size=1,
    max_size=40,
)


@settings(deadline=None, max_examples=examples(150))
@given(ACTS, st.integers(0, 4))
def test_no_item_gets_two_turns_and_no_pull_request_more_than_its_number(acts: list[Any], most: int) -> None:
    loop = Loop(most=most)
    heads = iter(range(2, 1000))
    for name, value in acts:
        before = loop.count
        with contextlib.suppress(KugetsuError):
            _act(loop, name, value, heads)
        assert loop.count >= before
    events = loop.world.memory.events
    state = folded(events)
    assert state.violations == [] and broken(state) == []
    turns = [
        event["data"]["reaction"] for event in events if event["type"] == "task.queued" if "reaction" in event["data"]
    ]
    answered = [name for turn in turns for name in turn["items"]]
    assert len(answered) == len(set(answered)) and len(turns) <= most
    assert [turn["turn"] for turn in turns] == list(range(1, len(turns) + 1))
    checker = ReplayChecker(lambda seq: folded(events[:seq]) if seq else empty(), "0")
    assert [differs for differs in map(checker.add, events) if differs is not None] == []


def _act(loop: Loop, name: str, value: Any, heads: Any) -> None:
    world = loop.world
    if name == "see":
        loop.see(*value[0], gone=tuple(value[1]))
    elif name == "react" and KEY in world.state.sessions:
        loop.react()
    elif name == "work" and world.state.of_issue.get(KEY):
        loop.work(*value, head=f"c{next(heads) // 2}")
    elif name == "later":
        loop.later(value)
    elif name == "person":
        world.enqueue(0, 1)
    elif name == "relabel":
        world.do(lambda state: queue.enqueue(state, kind="dev", issue=KEY, message="do it", via="intake"))
    elif name in ("retry", "cancel"):
        task = list(world.state.tasks)[-1]
        world.do(lambda state: getattr(queue, name)(state, task, *(["cancel"] if name == "cancel" else [])))
    elif name == "destroy":
        world.destroy(0, 2)
    elif name == "attach":
        lease = f"person-{world.state.seq}"
        world.do(lambda state: persons.attach(state, KEY, lease, {"boot": "b", "pid": 7, "start": 1}, "shoko", "desk"))
