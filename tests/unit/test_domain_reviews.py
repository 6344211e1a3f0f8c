"""Reviews: what is observed, what users and runs do, in any order; the review follows it, and the log explains it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kugetsu.domain.decide import attempts, claims, reviews, undo
from kugetsu.domain.facts import Ending
from kugetsu.domain.invariants import broken
from kugetsu.domain.machines import OPEN_REVIEW
from kugetsu.domain.replay.checker import ReplayChecker
from kugetsu.domain.state import Session, empty
from kugetsu.model.errors import Conflict
from profiles import examples
from property.simulation import ISSUES, Event, World, folded

KEY = ISSUES[0]
URL = "https://example.org/o/a/pulls/{}"


class Work:
    """An issue on which runs work, and whose pull request is looked at."""

    def __init__(self) -> None:
        self.world = World()

    @property
    def session(self) -> Session:
        return self.world.state.sessions[KEY]

    def turn(self, said: str = "", **evidence: Any) -> list[Event]:
        """A run that ends well, with these last words and this evidence."""
        world = self.world
        world.enqueue(0, 1)
        task = list(world.state.tasks)[-1]
        world.do(lambda state: claims.claim(state, task, world.offer(), world.claim_facts()))
        attempt = world.state.tasks[task].attempt
        assert attempt is not None
        world.run(0, 0)
        ending = Ending("succeed", "done", "done", outcome={"final_text": said}, evidence=evidence)
        return world.do(lambda state: attempts.finish(state, attempt, ending, world.outcome_facts()))

    def observe(self, **seen: Any) -> list[Event]:
        pull = {**pull_of(), **seen}
        return self.world.do(lambda state: reviews.observe(state, KEY, pull))

    def merged(self) -> list[Event]:
        return self.world.do(lambda state: reviews.merged(state, KEY, "fix/issue-1", "main", "c1"))

    def done(self) -> list[Event]:
        return self.world.do(lambda state: reviews.done(state, KEY))

    def undo(self, event: Event) -> list[Event]:
        undone = undo.described(event, self.world.state_after(event["seq"] - 1), self.world.now)
        return self.world.do(lambda state: undo.compensate(state, [undone]))


def pull_of(number: int = 9, **seen: Any) -> dict[str, Any]:
    made = {"number": number, "url": URL.format(number), "state": "open", "head": "c1", "checks": "success"}
    return {**made, "review": None, "mergeable": True, "draft": False, **seen}


PUSHED = {"commits": 1, "dirty": 0, "pushed": True, "head": "c1"}


@pytest.fixture
def work() -> Work:
    made = Work()
    made.turn(**PUSHED)
    assert made.session.review == "to_review"
    return made


@pytest.mark.parametrize(
    ("seen", "review"),
    [
        ({}, "to_review"),
        ({"review": "approved"}, "approved"),
        ({"review": "outdated"}, "to_review"),
        ({"review": "changes_requested"}, "changes_requested"),
        ({"checks": "failure", "review": "approved"}, "checks_failed"),
        ({"checks": "pending"}, "to_review"),
        ({"mergeable": False, "checks": "failure"}, "conflicting"),
        ({"mergeable": None}, "to_review"),
        ({"state": "merged"}, "merged"),
        ({"state": "closed", "checks": "failure"}, "closed"),
    ],
)
def test_the_review_is_what_the_pull_request_shows(work: Work, seen: dict[str, Any], review: str) -> None:
    made = work.observe(**seen)
    assert [event["type"] for event in made] == ["session.pr", "pull.observed"]
    assert work.session.review == review and work.session.pr == URL.format(9)
    assert work.observe(**seen) == [], "nothing changed"


def test_the_next_turn_is_to_be_reviewed_whatever_was_said_of_the_one_before(work: Work) -> None:
    work.observe(review="changes_requested", checks="failure", mergeable=False)
    shown = {**pull_of(head="c2", checks="pending")}
    del shown["review"]
    work.turn(commits=2, dirty=0, pushed=True, head="c2", pull=shown)
    assert work.session.review == "to_review" and work.session.pull is not None
    assert work.session.pull["review"] == "outdated"


def test_a_turn_that_changed_nothing_leaves_the_changes_requested(work: Work) -> None:
    work.observe(review="changes_requested")
    shown = pull_of()
    del shown["review"]
    work.turn(**PUSHED, pull=shown)
    assert work.session.review == "changes_requested"


def test_new_commits_of_others_open_an_approved_review_again(work: Work) -> None:
    work.observe()
    work.done()
    assert work.session.review == "approved"
    work.observe(head="c2")
    assert work.session.review == "to_review"
    work.observe(head="c2", review="approved")
    work.observe(head="c3", review="outdated")
    assert work.session.review == "to_review"


def test_a_pull_request_that_was_reopened_is_to_be_reviewed(work: Work) -> None:
    work.observe(state="closed")
    work.observe()
    assert work.session.review == "to_review"


def test_what_the_base_branch_has_is_merged_however_its_pull_request_ended(work: Work) -> None:
    work.observe(state="closed")
    assert [event["type"] for event in work.merged()] == ["branch.merged"]
    assert work.session.review == "merged" and work.merged() == []
    work.observe(state="closed", draft=True)
    assert work.session.review == "merged"


def test_more_work_after_a_merge_is_to_be_reviewed(work: Work) -> None:
    work.merged()
    work.turn(commits=1, dirty=0, pushed=False, head="c2")
    assert work.session.review == "to_review"


@pytest.mark.parametrize("end", ["merged", "closed"])
def test_work_that_came_after_its_pull_request_is_to_be_reviewed(work: Work, end: str) -> None:
    work.turn(commits=2, dirty=0, pushed=True, head="c2", pull=pull_of(state=end, later=1))
    assert work.session.review == "to_review" and work.session.pr_state == end
    work.observe(state=end, mergeable=None)
    assert work.session.review == "to_review", "that it is over is no news"
    work.observe(state="open")
    work.observe(state=end)
    assert work.session.review == end


@pytest.mark.parametrize("end", ["merged", "closed"])
def test_a_review_that_is_over_cannot_be_done(work: Work, end: str) -> None:
    work.observe(state=end)
    with pytest.raises(Conflict):
        work.done()


def test_done_is_recorded_once_and_undone_once(work: Work) -> None:
    (event,) = work.done()
    assert work.done() == [] and work.session.reviewed == "c1"
    work.undo(event)
    assert work.session.review == "to_review" and work.session.reviewed is None


one_of = st.sampled_from
pulls = st.fixed_dictionaries(
    {
        "number": one_of([9, 9, 9, 10]),
        "state": one_of(["open", "open", "open", "closed", "merged"]),
        "head": one_of(["c1", "c2", None]),
        "checks": one_of(["success", "failure", "pending", "none", None]),
        "review": one_of(["approved", "changes_requested", "outdated", None]),
        "mergeable": one_of([True, False, None]),
        "draft": st.booleans(),
    }
)
turns = st.fixed_dictionaries(
    {"commits": one_of([0, 1]), "dirty": one_of([0, 1]), "pushed": st.booleans(), "head": one_of(["c1", "c2"])},
    optional={"pull": pulls},
)
acts = st.lists(
    st.one_of(
        st.tuples(st.just("observe"), pulls),
        st.tuples(st.just("observe"), pulls),
        st.tuples(st.just("turn"), turns),
        st.tuples(one_of(["merged", "done", "undo"]), st.none()),
    ),
    min_size=1,
    max_size=25,
)


@settings(deadline=None, max_examples=examples(150))
@given(acts)
def test_whatever_is_observed_the_review_follows_it_and_the_log_explains_it(acts: list[tuple[str, Any]]) -> None:
    work = Work()
    work.turn(**PUSHED)
    done: list[Event] = []
    for name, value in acts:
        before, known = work.session.review, work.session.pull or {}
        try:
            if name == "observe":
                seen = {**value, "url": URL.format(value["number"])}
                work.observe(**seen)
                assert work.observe(**seen) == []
                _follows(work.session, seen, before, known)
            elif name == "turn":
                shown = value.get("pull")
                given = {**shown, "url": URL.format(shown["number"])} if shown else None
                work.turn(**{**value, **({"pull": given} if given else {})})
            elif name == "undo":
                if done:
                    work.undo(done.pop())
            else:
                made = getattr(work, name)()
                done += made if name == "done" else []
                assert work.session.review == {"merged": "merged", "done": "approved"}[name]
        except Conflict:
            assert work.session.review == before
    events = work.world.memory.events
    state = folded(events)
    assert state.violations == [] and broken(state) == []
    checker = ReplayChecker(lambda seq: folded(events[:seq]) if seq else empty(), "0")
    assert [differs for differs in map(checker.add, events) if differs is not None] == []


def _follows(session: Session, seen: dict[str, Any], before: str, known: dict[str, Any]) -> None:
    """What must be so after an observation, said without the rule that made it."""
    assert session.pull is not None and session.pull["state"] == seen["state"]
    if all(known.get(name) == value for name, value in seen.items()):
        assert session.review == before, "nothing changed since the last look: a turn may have brought more to look at"
    elif seen["state"] != "open" and all(known.get(name) == seen[name] for name in ("url", "state")):
        assert session.review == before
    elif seen["state"] == "merged":
        assert session.review == "merged"
    elif seen["state"] == "closed":
        assert session.review in ("closed", "merged") and (session.review == "closed" or before == "merged")
    else:
        assert session.review in OPEN_REVIEW or before == "merged"
        if session.review == "approved":
            assert seen["checks"] != "failure" and seen["mergeable"] is not False
            assert seen["review"] == "approved" or session.reviewed == seen["head"]
        if session.review == "to_review":
            assert seen["review"] != "changes_requested" and seen["checks"] != "failure"


def test_a_question_that_nobody_wants_to_answer_is_put_away_and_that_can_be_undone() -> None:
    asked = Work()
    asked.turn("Shall the cache live in memory?", commits=0, dirty=0, head="c0")
    assert asked.session.result_kind == "question" and asked.session.review == "none"
    [done] = asked.done()
    assert asked.session.review == "approved" and asked.done() == []
    asked.undo(done)
    assert asked.session.review == "none"
    [again] = asked.done()
    assert again["data"]["was"] == "none"
    checker = ReplayChecker(asked.world.state_after, "1")
    assert [found for event in asked.world.memory.events if (found := checker.add(event)) is not None] == []


def test_a_run_that_brought_nothing_leaves_nothing_to_review() -> None:
    idle = Work()
    idle.turn("There is nothing to do.", commits=0, dirty=0, head="c0")
    with pytest.raises(Conflict):
        idle.done()
