"""What two hosts that share a log decide, from joining to leaving, and what becomes of the work of a lost one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kugetsu.domain.decide import attempts, claims, daemon, hosts, queue, sessions
from kugetsu.domain.facts import Ending
from kugetsu.domain.state import State
from property.simulation import ISSUES, PROCESS, World

ONE, TWO = "1" * 32, "2" * 32


def story() -> Iterator[Callable[[State], list[Any]]]:
    """The decisions in order, none of them empty."""
    issue = ISSUES[0]
    here: Any = {**World().claim_facts(), "host": ONE, "term": 1}
    offer = claims.ClaimRequest("lease", {**PROCESS, "host": ONE})
    yield lambda state: hosts.join(state, ONE, 1, "first", [], 2)
    yield lambda state: hosts.join(state, TWO, 1, "second", ["gpu"], 1)
    yield lambda state: hosts.share_setting(state, "MAX_AGENTS", "3")
    yield lambda state: daemon.started(state, {**PROCESS, "host": ONE}, "d1")
    yield lambda state: daemon.started(state, {**PROCESS, "host": TWO}, "d2")
    yield lambda state: hosts.observe(state, ONE)
    yield lambda state: queue.enqueue(state, kind="dev", issue=issue, message="go", via="enqueue")
    yield lambda state: claims.claim(state, "q1", offer, here)
    yield from prepared(issue, ONE, "/w/1")
    silent, why = "2026-11-23T09:00:00.000000Z", "its host was lost"
    yield lambda state: hosts.lost(state, ONE, 1, silent, TWO, why, World().outcome_facts())
    yield lambda state: hosts.observe(state, TWO)
    yield from prepared(issue, TWO, "/v/1")
    late = Ending("succeed", "done", "3 commits", evidence={"commits": 3}, tokens=7, cost=0.5)
    yield lambda state: attempts.finish(state, "q1.1", late, World().outcome_facts())
    yield lambda state: hosts.join(state, ONE, 2, "first", [], 2)
    left = {"session": issue, "worktree": "/w/1", "branch": "fix", "head": "c1", "commits": 3, "rescue": "r"}
    yield lambda _: [hosts.returned(ONE, 2, [{**left, "pushed": True}])]
    yield lambda state: hosts.observe_instead(state, ONE, TWO)
    yield lambda state: hosts.observe_instead(state, TWO, ONE)
    for place in ({"path": "/r", "host": ONE}, {"path": "/v", "host": TWO}, {"url": "https://example.org/o/a"}):
        yield lambda state, place=place: sessions.register(state, "example.org/o/a", place)
    yield lambda state: hosts.drain(state, ONE, 2, "for the night")
    yield lambda state: hosts.undrain(state, ONE, 2)
    yield lambda state: hosts.drain(state, ONE, 2, "for good")
    yield lambda state: hosts.leave(state, ONE, 2, "drained")
    full: Any = {**here, "host": TWO, "cap": 0}
    yield lambda state: hosts.share_setting(state, "MAX_AGENTS", "0")
    yield lambda state: claims.hold(state, claims.plan(state, full), full)
    yield lambda state: hosts.observe_no_more(state, TWO)
    yield lambda state: daemon.stopped(state, "asked", TWO)
    yield lambda state: hosts.join(state, ONE, 3, "first", [], 2)
    yield lambda state: hosts.take_back(state, ONE, "taken back")


def prepared(key: str, host: str, worktree: str, **more: str) -> Iterator[Callable[[State], list[Any]]]:
    """The session of an issue is prepared on a host; ``more`` of its branch."""
    intent = {"repository": "example.org/o/a", "source": "/r", "branch": more.get("branch", "fix"), "agent": "opencode"}
    made = {name: intent[name] for name in ("source", "branch", "agent")}
    outcome = {**made, "agent_session": "s", "worktree": worktree, "base_branch": "main", "base_commit": "c0"}
    outcome |= {"base_session": None, "created": True, "fetched": "yes", "host": host, **more}
    yield lambda state: sessions.preparing(state, key, intent)
    yield lambda state: sessions.prepared(state, key, outcome)
