"""Hosts that share a log: who may start what, what becomes of a lost one's work, and that nothing is told twice."""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson
import pytest

from kugetsu.domain import gates, hosts, invariants, placement, scheduling, state_codec
from kugetsu.domain.decide import attempts, claims, daemon, pauses, persons, queue, sessions, undo, worktree_setup
from kugetsu.domain.decide import hosts as decide
from kugetsu.domain.facts import Ending
from kugetsu.domain.fold import fold
from kugetsu.domain.gate_round import GateRound
from kugetsu.domain.state import empty
from kugetsu.domain.verdict import Verdict
from kugetsu.model import clock
from kugetsu.model.errors import BadInput, Conflict, NotFound
from kugetsu.model.record import values
from kugetsu.runtime.notifications.notice import located, notice_of
from kugetsu.runtime.reviews import owed
from kugetsu.views import gates as gate_words
from kugetsu.views import host_wording, refusals
from kugetsu.views.wording import words
from property.simulation import ISSUES, PROCESS, Event, World

ONE, TWO = "1" * 32, "2" * 32
OPENING = {"head": "c1", "branch": "fix/1", "base": "main", "title": "Slow", "draft": False}
SILENT = "2026-11-23T09:00:00.000000Z"


@pytest.fixture
def world() -> World:
    """Two hosts: one of two slots, and two of one slot that offers gpu."""
    made = World()
    made.warmup = 0.0
    for host, name, labels, cap in ((ONE, "one", [], 2), (TWO, "two", ["gpu"], 1)):
        made.do(partial(decide.join, host=host, term=1, name=name, labels=labels, cap=cap))
        made.do(partial(daemon.started, identity={**PROCESS, "host": host}, lease=f"d-{name}"))
    return made


def facts(world: World, host: str, cap: int | None = None, **more: Any) -> Any:
    known = world.state.hosts[host]
    own = {"host": host, "term": known.term, "cap": known.cap if cap is None else cap}
    return {**world.claim_facts("daemon"), **own, **more}


def offer(host: str) -> claims.ClaimRequest:
    return claims.ClaimRequest(f"lease-{host[:4]}", {**PROCESS, "host": host})


def enqueue(world: World, number: int, **options: Any) -> str:
    given: Any = {"kind": "dev", "issue": ISSUES[number], "message": "go", "via": "enqueue", "options": options or None}
    task: str = world.do(lambda state: queue.enqueue(state, **given))[0]["task"]
    return task


def claim(world: World, task: str, host: str) -> list[Event]:
    return world.do(lambda state: claims.claim(state, task, offer(host), facts(world, host)))


def prepare(world: World, number: int, host: str, worktree: str) -> None:
    key = ISSUES[number]
    intent = {"repository": "example.org/o/a", "source": "/r", "branch": f"fix/{number}", "agent": "opencode"}
    outcome = {**intent, "agent_session": "s", "worktree": worktree, "base_branch": "main", "base_commit": "c0"}
    outcome |= {"base_session": None, "created": True, "fetched": "yes", "host": host}
    del outcome["repository"]
    world.do(lambda state: sessions.preparing(state, key, intent))
    world.do(lambda state: sessions.prepared(state, key, outcome))


def held(world: World, task: str, host: str, **more: Any) -> str | None:
    closed = gates.first_closed(world.state, world.state.tasks[task], facts(world, host, **more))
    return closed.code if closed is not None else None


def types(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


def lose(world: World, host: str = ONE, term: int = 1) -> list[Event]:
    return world.do(
        lambda state: decide.lost(state, host, term, SILENT, TWO, "its host was lost", world.outcome_facts())
    )


# --- one host ---------------------------------------------------------------------------------------------------------


def test_without_hosts_no_gate_asks_for_one() -> None:
    world = World()
    task = enqueue(world, 0)
    asked = gates.verdicts(world.state, world.state.tasks[task], world.claim_facts())
    assert "host" not in [verdict.gate for verdict in asked]
    assert hosts.wait_seconds(world.state, world.claim_facts(), 1.0) == 0.0


def test_the_first_host_has_what_was_there_before() -> None:
    world = World()
    world.do(lambda state: daemon.started(state, PROCESS, "d"))
    enqueue(world, 0)
    world.do(lambda state: claims.claim(state, "q1", world.offer(), world.claim_facts()))
    prepare(world, 0, ONE, "/w/1")
    world.state.sessions[ISSUES[0]].host = None  # as older versions recorded it
    world.do(lambda state: decide.join(state, ONE, 1, "one", [], 2))
    assert world.state.sessions[ISSUES[0]].host == ONE
    assert world.state.daemon_of(ONE).runs and not world.state.daemon_of(TWO).runs


# --- who may start ----------------------------------------------------------------------------------------------------


def test_slots_count_for_each_host_and_for_all(world: World) -> None:
    for number in range(4):
        enqueue(world, number)
    assert [event["data"]["slot"] for event in claim(world, "q1", ONE) if "slot" in event["data"]] == [1]
    assert [event["data"]["slot"] for event in claim(world, "q2", TWO) if "slot" in event["data"]] == [1]
    assert invariants.broken(world.state) == [], "slot 1 of each host"
    assert held(world, "q3", TWO) == "slots_full" and held(world, "q3", ONE) is None
    world.do(lambda state: decide.share_setting(state, "MAX_AGENTS", "2"))
    assert held(world, "q3", ONE) == "all_slots_full"
    world.do(lambda state: decide.share_setting(state, "MAX_AGENTS", None))
    assert claim(world, "q3", ONE)[-1]["data"]["slot"] == 2
    assert claim(world, "q4", ONE) == [] == claim(world, "q4", TWO)


def test_a_cap_of_a_repository_counts_on_all_hosts_and_a_hosts_own_only_its_agents(world: World) -> None:
    a = "example.org/o/a"
    same = [number for number, issue in enumerate(ISSUES) if issue.startswith(f"{a}#")]
    first, second = (enqueue(world, number) for number in same)
    given: Any = {"kind": "dev", "message": "go", "via": "enqueue"}
    third = world.do(lambda state: queue.enqueue(state, issue=f"{a}#99", **given))[0]["task"]
    claim(world, first, ONE)
    own: Any = {"repository_caps": {"*": 1}}
    assert held(world, second, ONE, **own) == "repository_full" and held(world, second, TWO, **own) is None
    world.do(lambda state: decide.share_setting(state, "REPOSITORY_CAPS", f"{a}=1 example.org/o/b=2"))
    assert held(world, second, TWO, **own) == held(world, second, ONE) == "repository_full_everywhere"
    world.do(lambda state: decide.share_setting(state, "REPOSITORY_CAPS", None))
    world.do(lambda state: decide.share_setting(state, "MAX_AGENTS_PER_REPOSITORY", "2"))
    (*_, claimed) = claim(world, second, TWO)
    assert claimed["facts"]["shared"] == {"MAX_AGENTS_PER_REPOSITORY": "2"}
    closed = gates.first_closed(world.state, world.state.tasks[third], facts(world, ONE))
    assert closed is not None and closed.code == "repository_full_everywhere"
    assert gate_words.reason(closed.code, closed.values) == f"2 of 2 agents of all hosts allowed in {a}"
    change = scheduling.forecast(world.state, world.state.tasks[third], facts(world, ONE), lambda _: 1.0).change
    assert change.values == {"attempts": ["q1.1", "q2.1"], "needed": 1}


def test_what_raises_a_cap_of_all_hosts_keeps_the_others() -> None:
    values = {"used": 2, "cap": 2, "repository": "h/o/r", "named": "h/o/a=1 h/o/r=2"}
    command = gate_words.commands("repository", "repository_full_everywhere", values)[0]
    assert command == "kugetsu config set --shared REPOSITORY_CAPS h/o/a=1,h/o/r=3"
    command = gate_words.commands("repository", "repository_full_everywhere", {**values, "named": ""})[0]
    assert command == "kugetsu config set --shared MAX_AGENTS_PER_REPOSITORY 3"


def test_two_attempts_in_one_slot_of_a_host_break_an_invariant(world: World) -> None:
    for number, host in ((0, ONE), (1, ONE)):
        claim(world, enqueue(world, number), host)
    world.state.attempts["q2.1"].slot = 1
    assert invariants.broken(world.state) == ["slot one:1 is held by q1.1 and q2.1"]


def test_a_task_that_needs_a_label_starts_where_it_is_offered(world: World) -> None:
    task = enqueue(world, 0, labels=["gpu"])
    assert held(world, task, ONE) == "labels_lacking" and held(world, task, TWO) is None
    said = [(host.name, closed and closed.code) for host, closed in _by_host(world, task, ONE)]
    assert said == [("one", "labels_lacking"), ("two", None)]


def _by_host(world: World, task: str, host: str) -> Any:
    return placement.by_host(world.state, world.state.tasks[task], facts(world, host))


def test_a_session_is_worked_in_on_its_host_until_that_is_lost(world: World) -> None:
    claim(world, enqueue(world, 0), ONE)
    prepare(world, 0, ONE, "/w/1")
    ended = Ending("fail", "give_up", "no")
    world.do(lambda state: attempts.finish(state, "q1.1", ended, world.outcome_facts()))
    task = enqueue(world, 0)
    assert held(world, task, TWO) == "session_elsewhere" and held(world, task, ONE) is None
    lose(world)
    assert held(world, task, TWO) is None and held(world, task, ONE) == "host_lost"


def fail_to_prepare(world: World, task: str, host: str) -> None:
    claim(world, task, host)
    attempt = world.state.tasks[task].attempt
    assert attempt is not None
    ended = Ending("fail", "retry", "not started: cannot clone")
    world.do(lambda state: attempts.finish(state, attempt, ended, world.outcome_facts()))
    world.now = world.state.tasks[task].not_before or world.now


def test_a_host_that_could_not_prepare_a_task_leaves_it_to_those_that_have_not_tried(world: World) -> None:
    task = enqueue(world, 0)
    fail_to_prepare(world, task, ONE)
    assert held(world, task, ONE) == "others_first" and held(world, task, TWO) is None
    fail_to_prepare(world, task, TWO)
    assert held(world, task, ONE) is None and held(world, task, TWO) is None, "nobody is left: all of them again"
    fail_to_prepare(world, task, ONE)
    assert world.state.tasks[task].state == "error"
    world.do(lambda state: queue.retry(state, task))
    assert world.state.tasks[task].unprepared == [], "a person has seen to it, maybe"


def test_a_retry_ends_the_wait_for_the_other_hosts(world: World) -> None:
    task = enqueue(world, 0)
    fail_to_prepare(world, task, ONE)
    world.do(lambda state: queue.retry(state, task))
    assert held(world, task, ONE) is None, "as `kugetsu why` says there"
    fail_to_prepare(world, task, ONE)
    world.state.tasks[task].not_before = None  # an outage ended, for which it waited as well
    world.do(lambda state: queue.retry(state, task))
    assert held(world, task, ONE) is None


def test_a_host_waits_no_longer_for_one_that_could_have_started_the_task(world: World) -> None:
    """Nor for ever: what keeps an agent from starting there is in no event."""
    missing = {"agent_problems": {"dev": {"cause": "there is no agent", "remedy": "install it"}}}
    task = enqueue(world, 0)
    fail_to_prepare(world, task, ONE)
    closed = gates.first_closed(world.state, world.state.tasks[task], facts(world, ONE))
    assert closed is not None and closed.code == "others_first"
    assert closed.until == clock.add_seconds(world.now, hosts.TURN_SECONDS)
    assert claims.plan(world.state, facts(world, TWO, **missing)).candidate is None
    assert claims.plan(world.state, facts(world, ONE)).next_look == closed.until
    world.now = closed.until
    assert claims.plan(world.state, facts(world, ONE)).candidate == task


def test_a_host_leaves_a_task_to_one_whose_slots_are_full_and_then_to_it_first(world: World) -> None:
    task, other = enqueue(world, 0), enqueue(world, 1)
    claim(world, other, TWO)
    fail_to_prepare(world, task, ONE)
    closed = gates.first_closed(world.state, world.state.tasks[task], facts(world, ONE))
    asked = world.state.tasks[task].not_before or ""
    longest = clock.add_seconds(asked, hosts.LONGEST_TURN_SECONDS)
    assert closed is not None and (closed.code, closed.until) == ("others_first", longest)
    ended = Ending("succeed", "done", "it ended")
    world.do(lambda state: attempts.finish(state, f"{other}.1", ended, world.outcome_facts()))
    assert held(world, task, ONE) == "others_first" and held(world, task, TWO) is None
    world.now = longest
    assert held(world, task, ONE) is None, "however often its slots were full"


def test_a_host_waits_for_no_other_that_cannot_start_the_task(world: World) -> None:
    task = enqueue(world, 0)
    fail_to_prepare(world, task, ONE)
    world.do(lambda state: decide.drain(state, TWO, 1, "asked"))
    assert held(world, task, ONE) is None
    world.do(lambda state: decide.undrain(state, TWO, 1))
    assert held(world, task, ONE) == "others_first"
    world.do(lambda state: daemon.lost(state, TWO))
    assert held(world, task, ONE) is None, "its daemon does not run"
    needs = enqueue(world, 1, labels=["gpu"])  # which only the second one offers
    fail_to_prepare(world, needs, TWO)
    assert held(world, needs, TWO) is None


def meet(world: World, task: str, host: str, gate: str = "agent") -> None:
    """An attempt of the task on that host, whose agent cannot be started."""
    claim(world, task, host)
    attempt = world.state.tasks[task].attempt
    assert attempt is not None
    ended = Ending("fail", "unavailable", "no such program", gate=gate, remedy="kugetsu doctor")
    world.do(lambda state: attempts.finish(state, attempt, ended, world.outcome_facts()))


def test_an_agent_that_cannot_be_started_holds_back_its_own_host_only(world: World) -> None:
    first, second, third = (enqueue(world, number) for number in range(3))
    meet(world, first, ONE)
    assert held(world, second, ONE) == "outage" and held(world, second, TWO) is None
    claim(world, second, TWO)
    assert held(world, third, ONE) == "outage", "what runs on the other one tests nothing"
    world.now = clock.add_seconds(world.now, 3600.0)
    assert held(world, third, ONE) is None, "it is tried again there"
    meet(world, third, ONE)
    assert [limit["outage"]["times"] for limit in world.state.limits.values()] == [2]
    assert held(world, enqueue(world, 3), ONE) == "outage"


def test_what_two_hosts_meet_holds_back_all(world: World) -> None:
    for number, host in ((0, ONE), (1, TWO)):
        meet(world, enqueue(world, number), host)
    task = enqueue(world, 2)
    assert held(world, task, ONE) == "outage" and held(world, task, TWO) == "outage"


def test_an_agent_that_cannot_be_started_is_its_own_hosts_matter_after_an_outage_of_the_provider(world: World) -> None:
    meet(world, enqueue(world, 0), TWO, gate="provider")
    task = enqueue(world, 1)
    assert held(world, task, ONE) == "outage" and held(world, task, TWO) == "outage"
    world.now = clock.add_seconds(world.now, 3600.0)
    meet(world, task, ONE)
    other = enqueue(world, 2)
    assert held(world, other, ONE) == "outage" and held(world, other, TWO) is None


def test_what_a_host_that_is_gone_had_met_holds_nobody_back(world: World) -> None:
    meet(world, enqueue(world, 0), TWO)
    world.do(lambda state: daemon.lost(state, TWO))
    world.do(lambda state: decide.leave(state, TWO, 1, "asked"))
    meet(world, enqueue(world, 1), ONE)
    (limit,) = world.state.limits.values()
    assert limit["outage"]["host"] == ONE


def test_a_repository_that_is_a_folder_is_only_on_its_host(world: World) -> None:
    given: Any = {"kind": "dev", "issue": "local/work/sample#1", "message": "go", "via": "enqueue"}
    world.do(lambda state: queue.enqueue(state, **given, repository={"path": "/r", "host": ONE}))
    assert held(world, "q1", TWO) == "repository_elsewhere" and held(world, "q1", ONE) is None


def test_a_host_that_drains_left_or_has_another_term_starts_nothing(world: World) -> None:
    task = enqueue(world, 0)
    before = facts(world, ONE)
    world.do(lambda state: decide.drain(state, ONE, 1, "asked"))
    assert held(world, task, ONE) == "host_draining"
    world.do(lambda state: decide.leave(state, ONE, 1, "drained"))
    assert held(world, task, ONE) == "host_left"
    world.do(lambda state: decide.join(state, ONE, 2, "one", [], 2))
    closed = gates.first_closed(world.state, world.state.tasks[task], before)
    assert closed is not None and closed.code == "host_term_over", "another directory has its id"
    stranger: Any = {**before, "host": "3" * 32}
    closed = gates.first_closed(world.state, world.state.tasks[task], stranger)
    assert closed is not None and closed.code == "host_not_joined"


def test_a_host_that_drains_does_so_until_it_is_undrained(world: World) -> None:
    task = enqueue(world, 0)
    world.do(lambda state: decide.drain(state, ONE, 1, "asked"))
    world.do(lambda state: decide.join(state, ONE, 2, "one", [], 2))
    assert held(world, task, ONE) == "host_draining", "its daemon was restarted"
    assert world.do(lambda state: decide.drain(state, ONE, 2, "asked")) == []
    lose(world, ONE, 2)
    world.do(lambda state: decide.join(state, ONE, 3, "one", [], 2))
    assert world.state.hosts[ONE].state == "draining"
    assert types(world.do(lambda state: decide.undrain(state, ONE, 3))) == ["host.undrained"]
    assert world.do(lambda state: decide.undrain(state, ONE, 3)) == []
    world.do(lambda state: decide.join(state, ONE, 4, "one", [], 2))
    assert held(world, task, ONE) is None
    world.do(lambda state: decide.drain(state, ONE, 4, "asked"))
    world.do(lambda state: decide.leave(state, ONE, 4, "it left"))
    world.do(lambda state: decide.join(state, ONE, 5, "one", [], 2))
    assert world.state.hosts[ONE].state == "joined", "who leaves and joins begins anew"


def test_a_host_rests_once_its_daemon_was_stopped_and_nothing_runs(world: World) -> None:
    one = world.state.hosts[ONE]
    assert not hosts.rests(world.state, one), "its daemon runs"
    claim(world, enqueue(world, 0), ONE)
    world.do(lambda state: daemon.stopped(state, "SIGTERM", ONE))
    assert not hosts.rests(world.state, one), "its agent runs"
    world.do(lambda state: attempts.finish(state, "q1.1", Ending("kill", "cancelled", "no"), world.outcome_facts()))
    assert hosts.rests(world.state, one)
    world.do(partial(daemon.started, identity={**PROCESS, "host": ONE}, lease="d"))
    assert not hosts.rests(world.state, one)
    world.do(lambda state: daemon.lost(state, ONE))
    assert not hosts.rests(world.state, one), "it died without a word"


def test_a_person_on_a_lost_host_gives_the_session_back_and_keeps_a_host_from_leaving(world: World) -> None:
    key = ISSUES[0]
    claim(world, enqueue(world, 0), ONE)
    prepare(world, 0, ONE, "/w/1")
    world.do(lambda state: attempts.finish(state, "q1.1", Ending("fail", "give_up", "no"), world.outcome_facts()))
    who = {**PROCESS, "host": ONE}
    world.do(partial(persons.attach, key=key, lease="p", holder=who, user="mia", host="one"))
    with pytest.raises(Conflict, match="host_attended") as refused:
        decide.leave(world.state, ONE, 1, "it left")
    assert key in refusals.words(refused.value)[0]
    task = enqueue(world, 0)
    assert held(world, task, TWO) == "issue_attached"
    left = [event for event in lose(world) if event["type"] == "person.left"]
    assert [(event["session"], event["data"]["how"]) for event in left] == [(key, "lost")]
    assert held(world, task, TWO) is None
    assert persons.leave(world.state, key, "p", "ended", "ended by its user", {}) == [], "it is recorded"


def test_a_person_attaches_where_the_session_is_or_may_be_prepared(world: World) -> None:
    key = ISSUES[0]
    claim(world, enqueue(world, 0), ONE)
    prepare(world, 0, ONE, "/w/1")
    world.do(lambda state: attempts.finish(state, "q1.1", Ending("succeed", "done", ""), world.outcome_facts()))

    def attach(host: str) -> str | None:
        who = {**PROCESS, "host": host}
        try:
            world.do(partial(persons.attach, key=key, lease="p", holder=who, user="mia", host=host[:4]))
        except Conflict as refused:
            return refusals.words(refused)[0]
        return None

    assert attach(TWO) == f"the session {key} is on host one by now"
    lose(world)
    assert attach(ONE) == "host 1111 takes no part in the shared log: it is lost"
    assert attach("3" * 32) == "host 3333 takes no part in the shared log: it never joined"
    assert attach(TWO) is None


def test_history_names_the_host_of_what_only_a_host_does() -> None:
    named = partial(host_wording.on_host, names={ONE: "one"})
    lost: Event = {"type": "host.lost", "v": 1, "data": {"host": ONE, "silent_since": None}}
    assert named(lost, words(lost)) == "host one: a person said that it is gone"
    back: Event = {"type": "host.returned", "v": 1, "data": {"host": ONE, "worktrees": []}}
    assert named(back, words(back)) == "one: no unpushed commits were left there"
    start: Event = {"type": "daemon.started", "v": 1, "data": {"identity": {"pid": 7, "host": ONE}}}
    assert named(start, words(start)) == "one: pid 7"
    other: Event = {"type": "daemon.draining", "v": 1, "data": {"host": TWO, "reason": "SIGTERM"}}
    assert named(other, words(other)) == "SIGTERM", "one that nobody knows"


def test_a_notification_names_the_host_and_not_its_id(world: World) -> None:
    claim(world, enqueue(world, 0), ONE)
    made = lose(world)
    assert types(made)[:2] == ["host.lost", "daemon.lost"]
    assert told(world, made[:2]) == ["host one was not heard of since 2026-11-23 09:00 UTC: its tasks go to the others"]
    alone = world.do(lambda state: daemon.lost(state, TWO))
    assert told(world, alone) == ["the daemon of host two exited without recording a reason"]
    named = partial(host_wording.on_host, names={ONE: "one", TWO: "two"})
    assert named(made[1], words(made[1])) == "one: lost with its host"
    assert named(alone[0], words(alone[0])) == "two: pid 7 exited without recording a reason"


def told(world: World, events: list[Event]) -> list[str]:
    return [located(notice, world.state, {}).text for event in events if (notice := notice_of(event)) is not None]


def test_every_answer_of_the_gate_has_words(world: World) -> None:
    values = {"host": "one", "term": 2, "labels": ["gpu"], "session": ISSUES[0], "used": 1, "cap": 1, "attempts": []}
    values |= {"others": "two", "task": "q1"}
    values |= {"repository": "h/o/r", "named": ""}
    codes = ("host_fits", "host_not_joined", "host_term_over", "host_draining", "host_left", "host_lost")
    codes += ("session_elsewhere", "labels_lacking", "repository_elsewhere", "others_first")
    for code in (*codes, "all_slots_full", "repository_full_everywhere"):
        assert " " in gate_words.reason(code, values), code
    for code in codes[1:]:
        refused = claims.refusal(Verdict("host", False, code, values))
        assert refusals.words(refused)[1], f"{code}: what to do about it"


# --- what is recorded of waits ----------------------------------------------------------------------------------------


def test_hosts_that_wait_for_different_things_do_not_contradict_each_other(world: World) -> None:
    claim(world, enqueue(world, 0), ONE)
    claim(world, enqueue(world, 1), ONE)
    task = enqueue(world, 2)
    assert held(world, task, ONE) == "slots_full" and held(world, task, TWO) is None

    def turn(host: str) -> list[Event]:
        known = facts(world, host)
        return world.do(lambda state: claims.hold(state, claims.plan(state, known), known))

    assert turn(ONE) == [], "the other host may start it"
    world.do(lambda state: decide.drain(state, TWO, 1, "asked"))
    first = [*turn(TWO), *turn(ONE)]
    assert [(event["type"], event["data"]["gate"]) for event in first] == [("task.held", "slots")]
    assert [*turn(ONE), *turn(TWO), *turn(ONE)] == []


def test_of_hosts_that_know_different_things_of_a_task_one_has_the_word(world: World) -> None:
    """Two wrote in turn, twelve times a second, that the branch has parted and that the issue is busy."""
    task = enqueue(world, 0)
    claim(world, task, TWO)
    prepare(world, 0, TWO, "/w/1")
    commits = {"kind": "parted", "branch": "fix/0", "remote": "origin", "here": "c1", "there": "c2"}
    parted = Ending("fail", "diverged", "not started: fix/0 has parted", evidence={"diverged": commits})
    world.do(lambda state: attempts.finish(state, "q1.1", parted, world.outcome_facts()))
    more = enqueue(world, 0)
    claim(world, more, TWO)
    seen = {ONE: {"branch_heads": {}}, TWO: {"branch_heads": {ISSUES[0]: "c3"}}}
    assert held(world, task, ONE) == "parked_by_divergence"
    assert held(world, task, TWO, **seen[TWO]) == "issue_busy"

    def turn(host: str) -> list[Event]:
        known = facts(world, host, **seen[host])
        return world.do(lambda state: claims.hold(state, claims.plan(state, known), known))

    def told(*order: str) -> list[str]:
        return [event["data"]["gate"] for host in order for event in turn(host) if event["task"] == task]

    assert told(ONE, TWO, ONE, TWO, ONE) == ["issue"], "the host that has the session"
    world.do(lambda state: attempts.finish(state, f"{more}.1", Ending("succeed", "done", ""), world.outcome_facts()))
    full = enqueue(world, 1)
    claim(world, full, TWO)
    assert held(world, task, ONE) == "parked_by_divergence" and held(world, task, TWO, **seen[TWO]) == "slots_full"
    assert told(ONE, TWO, ONE, TWO) == ["slots"]
    lose(world, TWO)
    assert told(ONE, ONE) == ["parked"]


def test_what_is_asked_once_for_many_tasks_is_what_each_would_be_told(world: World) -> None:
    folder: Any = {"kind": "dev", "issue": "local/work/sample#1", "message": "go", "via": "enqueue"}
    world.do(lambda state: queue.enqueue(state, **folder, repository={"path": "/r", "host": ONE}))
    world.do(lambda state: queue.enqueue(state, kind="pm", issue=None, message="sort it", via="delegate"))
    enqueue(world, 0, labels=["gpu"])
    nowhere: Any = {**folder, "issue": "example.org/o/c#1", "options": {"labels": ["arm"]}}
    world.do(lambda state: queue.enqueue(state, **nowhere))
    for number in range(1, 4):
        enqueue(world, number)
    third = "3" * 32
    world.do(lambda state: decide.join(state, third, 1, "three", ["gpu"], 1))
    seen = set()

    def compare() -> None:
        for host in (ONE, TWO, third):
            known = facts(world, host)
            place, here = placement.Placement(world.state, known), GateRound(world.state, known)
            for task in world.state.waiting():
                closed, once = gates.first_closed(world.state, task, known), here.first_closed(task)
                assert (once and (once.code, once.values)) == (closed and (closed.code, closed.values))
                there = placement.by_host(world.state, task, known)
                others = [verdict for other, verdict in there if other.id != host]
                if closed is None:
                    assert place.is_open_elsewhere(task) == (None in others)
                    continue
                order = [gate.__name__ for gate in gates.SHARED_GATES]
                of_hosts = order[order.index("daemon") :]
                all_closed = [(verdict, other.id) for other, verdict in there if verdict is not None]
                said, expected = place.held_by(task, closed), None
                for_all = closed.gate in of_hosts and task.held in (None, *of_hosts)
                if len(all_closed) == len(there) and (host == ONE or for_all):
                    expected = min(all_closed, key=lambda one: (-order.index(one[0].gate), one[1]))[0]
                assert (said and values(said)) == (expected and values(expected))
                seen.add(said and said.gate)

    compare()
    claim(world, "q5", ONE)
    claim(world, "q6", ONE)
    compare()
    claim(world, "q7", TWO)
    world.do(lambda state: decide.drain(state, third, 1, "asked"))
    compare()
    world.do(lambda state: decide.share_setting(state, "MAX_AGENTS", "3"))
    world.do(lambda state: pauses.pause(state, None, None, world.state.latest))
    compare()
    assert {None, "slots", "host", "paused"} <= seen


def test_of_many_dispatchers_those_that_lose_a_claim_record_nothing(world: World) -> None:
    task = enqueue(world, 0)
    known = facts(world, TWO)
    plan = claims.plan(world.state, known)
    assert plan.candidate == task
    claim(world, task, ONE)
    assert world.do(lambda state: claims.dispatch(state, plan, offer(TWO), known)) == []


def test_the_fuller_a_host_the_longer_it_waits(world: World) -> None:
    claim(world, enqueue(world, 0), ONE)
    half, empty = (hosts.wait_seconds(world.state, facts(world, host), 0.0) for host in (ONE, TWO))
    assert empty == 0.0 and half == pytest.approx(hosts.FIRST_WAIT_SECONDS / 2)
    assert hosts.wait_seconds(world.state, facts(world, ONE), 1.0) == pytest.approx(half * (1 + hosts.JITTER))


# --- a lost host ------------------------------------------------------------------------------------------------------


def test_a_lost_host_gives_all_of_its_tasks_away_in_one_transaction(world: World) -> None:
    for number, host in ((0, ONE), (1, ONE), (2, TWO)):
        claim(world, enqueue(world, number), host)
    prepare(world, 0, ONE, "/w/1")
    world.do(lambda state: queue.cancel(state, "q2", "cancel"))
    made = lose(world)
    assert types(made) == [
        "host.lost",
        "daemon.lost",
        *("attempt.lost", "task.retried", "session.broken"),
        *("attempt.lost", "task.cancelled"),
    ]
    assert [event.get("more", 0) for event in made] == [*range(len(made) - 1, 0, -1), 0]
    losses = [event for event in made if event["type"] == "attempt.lost"]
    assert {event["cause"] for event in losses} == {made[0]["seq"]}
    work = losses[0]["data"]["evidence"]["work"]
    assert work == {"host": ONE, "worktree": "/w/1", "branch": "fix/0", "head": "c0", "pushed": None}
    assert list(world.state.attempts) == ["q3.1"] and world.state.daemon_of(TWO).runs
    assert world.state.tasks["q1"].state == "pending" and world.state.tasks["q2"].state == "cancelled"
    assert invariants.broken(world.state) == [] and world.state.violations == []
    assert lose(world) == [], "whoever comes second appends nothing"


def test_who_came_back_with_a_new_term_is_not_lost_by_the_old_one(world: World) -> None:
    world.do(lambda state: decide.join(state, ONE, 2, "one", [], 2))
    assert lose(world) == []
    with pytest.raises(Conflict):
        world.do(lambda state: decide.join(state, ONE, 2, "one", [], 2))
    with pytest.raises(Conflict) as refused:
        world.do(lambda state: decide.drain(state, ONE, 1, "asked"))
    assert "term 2" in refusals.words(refused.value)[0]


def test_a_runner_whose_attempt_was_given_away_prepares_nothing_any_more(world: World) -> None:
    key, task = ISSUES[0], enqueue(world, 0)
    claim(world, task, ONE)
    intent = {"repository": "example.org/o/a", "source": "/r", "branch": "fix", "agent": "opencode"}
    world.do(lambda state: sessions.preparing(state, key, intent, f"{task}.1"))
    lose(world)
    world.now = clock.add_seconds(world.now, 60.0)
    claim(world, task, TWO)
    world.do(lambda state: sessions.preparing(state, key, intent, f"{task}.2"))
    for late in (
        lambda state: sessions.broken(state, key, "it was interrupted", f"{task}.1"),
        lambda state: sessions.prepared(state, key, {"host": ONE}, f"{task}.1"),
        lambda state: [worktree_setup.made(state, f"{task}.1", {"worktree": "/w"})],
    ):
        with pytest.raises(NotFound, match="attempt_not_live"):
            world.do(late)


def test_a_person_whose_claim_was_given_away_prepares_nothing_any_more(world: World) -> None:
    key, task = ISSUES[0], enqueue(world, 0)
    claim(world, task, ONE)
    world.do(lambda state: attempts.finish(state, f"{task}.1", Ending("fail", "give_up", "no"), world.outcome_facts()))
    who = {**PROCESS, "host": ONE}
    world.do(partial(persons.attach, key=key, lease="p", holder=who, user="mia", host="one"))
    intent = {"repository": "example.org/o/a", "source": "/r", "branch": "fix", "agent": "opencode"}
    world.do(lambda state: sessions.preparing(state, key, intent, lease="p"))
    lose(world)
    task = enqueue(world, 0)
    claim(world, task, TWO)
    late = (
        lambda state: sessions.broken(state, key, "its worktree is gone", lease="p"),
        lambda state: sessions.preparing(state, key, intent, lease="p"),
        lambda state: sessions.prepared(state, key, {"host": ONE}, lease="p"),
        lambda state: sessions.forwarded(state, key, "fix", "c0", "c1", 1, lease="p"),
    )
    for append in late:
        with pytest.raises(Conflict, match="claim_given_away") as refused:
            world.do(append)
        assert key in refusals.words(refused.value)[0]
    world.do(lambda state: sessions.preparing(state, key, intent, lease=f"lease-{TWO[:4]}"))


def test_a_session_of_another_host_is_not_destroyed(world: World) -> None:
    claim(world, enqueue(world, 0), ONE)
    prepare(world, 0, ONE, "/w/1")
    lose(world)
    world.now = clock.add_seconds(world.now, 60.0)
    claim(world, "q1", TWO)
    prepare(world, 0, TWO, "/w/2")
    world.do(lambda state: attempts.finish(state, "q1.2", Ending("succeed", "done", ""), world.outcome_facts()))
    with pytest.raises(Conflict, match="host_takes_no_part"):
        world.do(lambda state: sessions.destroying(state, ISSUES[0], True, "destroy", host=ONE))
    world.do(lambda state: decide.join(state, ONE, 2, "one", [], 2))
    with pytest.raises(Conflict, match="session_moved") as refused:
        world.do(lambda state: sessions.destroying(state, ISSUES[0], True, "destroy", host=ONE))
    assert "two" in refusals.words(refused.value)[0]
    world.do(lambda state: sessions.destroying(state, ISSUES[0], True, "destroy", host=TWO))


@pytest.mark.parametrize("how", ["lost", "left"])
def test_a_removal_that_a_host_did_not_finish_keeps_nobody_waiting(how: str, world: World) -> None:
    key = ISSUES[0]
    claim(world, enqueue(world, 0), ONE)
    prepare(world, 0, ONE, "/w/1")
    world.do(lambda state: attempts.finish(state, "q1.1", Ending("succeed", "done", ""), world.outcome_facts()))
    begun = world.do(lambda state: sessions.destroying(state, key, True, "destroy", host=ONE))[-1]["seq"]
    task = enqueue(world, 0)
    assert held(world, task, TWO) == "session_destroying"
    made = lose(world) if how == "lost" else world.do(lambda state: decide.leave(state, ONE, 1, "it left"))
    assert types(made)[-1] == "session.broken" and held(world, task, TWO) is None
    claim(world, task, TWO)
    prepare(world, 0, TWO, "/w/2")
    world.do(lambda state: attempts.finish(state, f"{task}.1", Ending("succeed", "done", ""), world.outcome_facts()))
    left = world.state.hosts[ONE].left_behind
    assert left["/w/1"]["removal"], "what it had saved is told when its host returns"
    with pytest.raises(Conflict, match="removal_given_up") as refused:
        world.do(lambda state: sessions.destroyed(state, key, {"rescue": "kugetsu/rescue/1-9"}, begun=begun))
    assert "kugetsu/rescue/1-9" in refusals.words(refused.value)[0]
    assert world.do(lambda state: sessions.not_destroyed(state, key, "it is busy", begun)) == []
    assert world.state.sessions[key].state == "idle"


def test_what_a_lost_host_owes_the_forge_is_the_observers(world: World) -> None:
    claim(world, enqueue(world, 0), ONE)
    prepare(world, 0, ONE, "/w/1")
    world.do(lambda state: attempts.starting(state, "q1.1", {**PROCESS, "host": ONE}))
    world.do(lambda state: attempts.running(state, "q1.1", {**PROCESS, "host": ONE}, "s", "/w/1", "opencode"))
    evidence = {"commits": 1, "pushed": True, "head": "c1", "dirty": 0, "branch": "fix/1"}
    done = Ending("succeed", "done", "", evidence=evidence, opening=OPENING)
    world.do(lambda state: attempts.finish(state, "q1.1", done, world.outcome_facts()))

    def openers() -> list[str]:
        return [host for host in (ONE, TWO) if owed.due(world.state, world.now, host)]

    world.do(lambda state: decide.observe(state, TWO))
    assert openers() == [ONE]
    lose(world)
    assert openers() == [TWO]
    world.do(lambda state: daemon.lost(state, TWO))
    assert openers() == [], "nobody asks the forges for all"
    world.do(lambda state: decide.join(state, ONE, 2, "one", [], 2))
    assert openers() == [ONE], "it is back"


def test_what_comes_late_counts_once_and_changes_no_task(world: World) -> None:
    claim(world, enqueue(world, 0), ONE)
    prepare(world, 0, ONE, "/w/1")
    lose(world)
    ending = Ending("succeed", "done", "2 commits", evidence={"commits": 2}, tokens=70, cost=0.5, rescue="rescue/q1.1")
    before = world.state.tasks["q1"].state, world.state.tasks["q1"].used
    finish = lambda state: attempts.finish(state, "q1.1", ending, world.outcome_facts())  # noqa: E731
    made = world.do(finish)
    assert types(made) == ["attempt.late"] and "rescue/q1.1" in words(made[0])
    assert (world.state.tasks["q1"].state, world.state.tasks["q1"].used) == before
    usage = world.state.sessions[ISSUES[0]].usage
    assert (usage.tokens, usage.cost, world.state.tasks["q1"].usage.tokens) == (70, 0.5, 70)
    assert world.do(finish) == [] and world.state.violations == []


def test_an_attempt_that_ended_in_order_has_nothing_late(world: World) -> None:
    claim(world, enqueue(world, 0), ONE)
    ended = Ending("fail", "give_up", "no")
    world.do(lambda state: attempts.finish(state, "q1.1", ended, world.outcome_facts()))
    lose(world)
    assert world.do(lambda state: attempts.finish(state, "q1.1", ended, world.outcome_facts())) == []


def test_the_worktree_of_a_session_that_moved_is_remembered_until_it_is_safe(world: World) -> None:
    claim(world, enqueue(world, 0), ONE)
    prepare(world, 0, ONE, "/w/1")
    lose(world)
    assert world.state.hosts[ONE].left_behind == {}
    world.now = world.state.tasks["q1"].not_before or world.now
    claim(world, "q1", TWO)
    prepare(world, 0, TWO, "/v/1")
    left = {"session": ISSUES[0], "branch": "fix/0", "head": "c0"}
    assert world.state.hosts[ONE].left_behind == {"/w/1": left}
    world.do(lambda state: decide.join(state, ONE, 2, "one", [], 2))
    assert _return(world, rescue=None) == {"/w/1": left}, "its commits are only there"
    assert _return(world, rescue="kugetsu/rescue/1") == {}


def _return(world: World, rescue: str | None) -> dict[str, Any]:
    found = {"session": ISSUES[0], "worktree": "/w/1", "branch": "fix/0", "head": "c1", "commits": 2}
    worktrees: Any = [{**found, "rescue": rescue, "pushed": False}]
    (event,) = world.do(lambda _: [decide.returned(ONE, 2, worktrees)])
    assert "2 commits" in words(event)
    return world.state.hosts[ONE].left_behind


def test_a_host_leaves_when_nothing_of_it_is_live(world: World) -> None:
    claim(world, enqueue(world, 0), ONE)
    with pytest.raises(Conflict) as refused:
        world.do(lambda state: decide.leave(state, ONE, 1, "asked"))
    assert refusals.words(refused.value)[0] == "q1.1 still works on one"


def test_only_settings_of_all_hosts_are_shared(world: World) -> None:
    assert world.do(lambda state: decide.share_setting(state, "MAX_AGENTS", None)) == []
    with pytest.raises(BadInput) as refused:
        world.do(lambda state: decide.share_setting(state, "MAX_ATTEMPTS", "3"))
    assert "MAX_AGENTS" in str(refusals.words(refused.value)[1])


def test_a_log_is_taken_back_when_nothing_runs_elsewhere(world: World) -> None:
    with pytest.raises(Conflict) as refused:
        world.do(lambda state: decide.take_back(state, ONE, "taken back"))
    assert "daemon of two is running" in refusals.words(refused.value)[0]
    world.do(lambda state: daemon.stopped(state, "asked", TWO))
    enqueue(world, 0)
    claim(world, "q1", ONE)
    with pytest.raises(Conflict) as refused:
        world.do(lambda state: decide.take_back(state, ONE, "taken back"))
    assert refusals.words(refused.value)[0] == "q1.1 still works on one"
    world.do(
        partial(attempts.finish, attempt_id="q1.1", ending=Ending("fail", "give_up", "x"), facts=world.outcome_facts())
    )
    who = {**PROCESS, "host": TWO}
    world.do(partial(persons.attach, key=ISSUES[0], lease="p", holder=who, user="mia", host="two"))
    with pytest.raises(Conflict) as refused:
        world.do(lambda state: decide.take_back(state, ONE, "taken back"))
    assert refusals.words(refused.value)[0] == f"a person works on two, in {ISSUES[0]}"
    world.do(lambda state: persons.leave(state, ISSUES[0], "p", "ended", "ended by its user", {}))
    (left,) = world.do(lambda state: decide.take_back(state, ONE, "taken back"))
    assert left["data"]["host"] == TWO and [host.id for host in world.state.hosts.values() if host.takes_part] == [ONE]


SHARED = "example.org/o/shared"


def register(world: World, **origin: str) -> list[Event]:
    return world.do(lambda state: sessions.register(state, SHARED, origin))


def test_each_host_has_its_own_folder_of_a_repository_and_a_url_is_for_all() -> None:
    world = World()
    register(world, path="/one/clone")
    for host, called in ((ONE, "one"), (TWO, "two")):
        world.do(partial(decide.join, host=host, term=1, name=called, labels=[], cap=2))
    one, two = {"path": "/one/clone", "host": ONE}, {"path": "/two/clone", "host": TWO}
    assert sources(world) == [one, None], "what was there before is the first host's"
    assert register(world, **one) == [] and register(world, **two) and register(world, **two) == []
    assert sources(world) == [one, two]
    url = {"url": "https://example.org/o/shared.git"}
    assert register(world, **url) and register(world, **url) == []
    assert sources(world) == [url, url]
    assert register(world, **two) and sources(world) == [url, two]
    assert state_codec.load(orjson.loads(orjson.dumps(state_codec.dump(world.state)))).hosts[TWO].folders


def sources(world: World) -> list[dict[str, str] | None]:
    return [hosts.source_of(world.state, SHARED, host) for host in (ONE, TWO)]


def test_a_registration_is_undone_on_the_hosts_that_it_was_of(world: World) -> None:
    one, two, url = {"path": "/one", "host": ONE}, {"path": "/two", "host": TWO}, {"url": "https://example.org/o/s"}
    for origin in (one, two, {"path": "/two/b", "host": TWO}, url, two):
        (event,) = register(world, **origin)
    assert sources(world) == [url, two]
    for expected in ([url, url], [one, {"path": "/two/b", "host": TWO}], [one, two], [one, None], [None, None]):
        event = undo_one(world, event)
        assert sources(world) == expected
    assert world.state.repositories == {} and world.state.violations == []


def undo_one(world: World, event: Event) -> Event:
    """Undo a registration; the one before it."""
    before = empty()
    for one in world.memory.events[: event["seq"] - 1]:
        fold(before, one)
    undone = undo.described(event, before, world.now)
    world.do(lambda state: undo.compensate(state, [undone]))
    return next(
        (one for one in reversed(world.memory.events[: event["seq"] - 1]) if one["type"] == event["type"]), event
    )


def test_a_folder_of_several_hosts_is_worked_on_by_each_of_them(world: World) -> None:
    name = "local/work/sample"
    for host in (ONE, TWO):
        world.do(lambda state, host=host: sessions.register(state, name, {"path": "/r", "host": host}))
    world.do(partial(decide.join, host="3" * 32, term=1, name="three", labels=[], cap=2))
    given: Any = {"kind": "dev", "issue": f"{name}#1", "message": "go", "via": "enqueue"}
    world.do(lambda state: queue.enqueue(state, **given, repository={"path": "/typed", "host": ONE}))
    assert held(world, "q1", TWO) is None and held(world, "q1", ONE) is None
    closed = gates.first_closed(world.state, world.state.tasks["q1"], facts(world, "3" * 32))
    assert closed is not None and closed.code == "repository_elsewhere"
    assert gate_words.reason(closed.code, closed.values) == "its repository is a folder of one, two"
