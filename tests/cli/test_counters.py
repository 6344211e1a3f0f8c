"""What an issue has used is what its history counts, also where a doubled history was once written down."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from cli.conftest import ISSUE
from kugetsu.domain.decide import queue, sessions
from kugetsu.domain.fold import usage
from kugetsu.log.files import index

GONE = {"worktree": "/w", "branch": "fix/issue-14", "rescue": None, "kept": []}


def worked(story: Any, head: str) -> None:
    """An agent works on the issue for 300 tokens and leaves the commit ``head``, then its session is destroyed."""
    attempt = story.run(story.enqueue())
    evidence = {"head": head, "commits": 1, "pushed": True, "dirty": 0, "comments": None}
    story.finish(attempt, "succeed", "done", "1 commit", tokens=300, cost=1.5, evidence=evidence)
    story.do(lambda state: sessions.destroying(state, ISSUE, False, "destroy"))
    story.do(lambda state: sessions.destroyed(state, ISSUE, GONE))


def doubled(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events as the index of format 2 gave them: twice where they name one key as issue and as session."""
    return [event for event in events for _ in range(1 + (event.get("issue") == event.get("session") == ISSUE))]


@pytest.fixture
def miscounted(story: Any) -> int:
    """A log whose second task carries what a doubled history counted, as does the session that it made; the seq."""
    worked(story, "c1")
    carried = usage.of_history(ISSUE, doubled(list(story.log.read_key(ISSUE))))
    assert carried is not None
    assert (carried["tokens"], carried["attempts"], carried["fruitless"]) == (600, 2, 1)
    (queued,) = story.do(
        lambda state: queue.enqueue(
            state, kind="dev", issue=ISSUE, message="go on", via="enqueue", carried=dict(carried)
        )
    )
    return int(queued["seq"])


def ended_again(story: Any) -> None:
    attempt = story.run("q2")
    evidence = {"head": "c2", "commits": 2, "pushed": True, "dirty": 0, "comments": None}
    story.finish(attempt, "succeed", "done", "2 commits", tokens=50, cost=0.25, evidence=evidence)


def findings(kugetsu: Any, *words: str) -> list[dict[str, Any]]:
    return [one for one in kugetsu("doctor", *words, "--json").json["findings"] if one["name"] == "counters"]


def test_a_task_carries_what_a_scan_counts_although_the_index_is_used(kugetsu: Any, story: Any) -> None:
    kugetsu.environment["KUGETSU_AGENT_COMMAND"] = "true"
    worked(story, "c1")
    directory = str(kugetsu.root / "log")
    guard = index.try_guard(directory)
    assert guard is not None
    index.extend(directory)
    os.close(guard)
    assert kugetsu("queue", "enqueue", ISSUE, "go on").code == 0
    *_, queued = story.log.read()
    assert queued["type"] == "task.queued"
    assert (queued["data"]["carried"]["tokens"], queued["data"]["carried"]["attempts"]) == (300, 1)
    shown = kugetsu("history", ISSUE, "--json")
    seqs = [json.loads(row)["seq"] for row in shown.out.splitlines()]
    assert seqs == sorted(set(seqs)), "no row comes twice"


def test_a_wrong_carried_counter_is_found_with_its_event_and_corrected_by_one(
    kugetsu: Any, story: Any, miscounted: int, fits: Any
) -> None:
    ended_again(story)
    shown = kugetsu("audit", "invariants")
    assert shown.code == 6 and fits(shown.out), shown
    assert "kugetsu doctor --fix" in shown.out
    (found,) = kugetsu("audit", "--json").json["invariants"]["found"]
    assert (found["seq"], found["kind"], found["mended"]) == (miscounted, "miscounted", None)
    assert "tokens 650 instead of 350" in found["text"] and "attempts 3 instead of 2" in found["text"]
    assert "cost 3.25 instead of 1.75" in found["text"]
    (problem,) = findings(kugetsu)
    assert (problem["level"], problem["mends"], problem["fix"]) == ("problem", True, "kugetsu doctor --fix")

    budget = {"ISSUE_MAX_TOKENS": "500"}
    assert kugetsu("queue", "enqueue", ISSUE, "once more", **budget).code == 0
    assert "650 of 500 tokens" in kugetsu("why", "q3", **budget).out
    assert findings(kugetsu, "--fix") == []
    assert "650 of 500" not in kugetsu("why", "q3", **budget).out

    session = story.log.state().sessions[ISSUE]
    assert usage.prior_usage(session) == usage.of_history(ISSUE, story.log.read_key(ISSUE))
    *_, corrected = story.log.read()
    assert (corrected["type"], corrected["cause"]) == ("counters.corrected", miscounted)
    assert "tokens 650 → 350" in kugetsu("history", ISSUE, COLUMNS="200").out
    assert kugetsu("why", str(corrected["seq"])).code == 0
    (mended,) = kugetsu("audit", "--json").json["invariants"]["found"]
    assert mended["mended"] == corrected["seq"]
    assert "doctor --fix" not in kugetsu("audit", "invariants").out
    assert kugetsu("replay", "--verify").code == 0
    assert kugetsu("log", "verify").code == 0
    assert kugetsu("undo", str(corrected["seq"])).code == 5


def test_a_task_that_waits_with_wrong_counters_is_corrected_before_its_session_takes_them_over(
    kugetsu: Any, story: Any, miscounted: int
) -> None:
    (problem,) = findings(kugetsu)
    assert "fruitless 1 instead of 0" in problem["text"]
    assert findings(kugetsu, "--fix") == []
    story.claim("q2")
    assert story.log.state().sessions[ISSUE].usage.tokens == 300
    assert kugetsu("replay", "--verify").code == 0


def test_counters_that_count_no_more_need_no_correction(kugetsu: Any, story: Any, miscounted: int) -> None:
    ended_again(story)
    story.do(lambda state: sessions.destroying(state, ISSUE, False, "destroy"))
    (gone,) = story.do(lambda state: sessions.destroyed(state, ISSUE, GONE))
    (found,) = kugetsu("audit", "--json").json["invariants"]["found"]
    assert found["mended"] == gone["seq"]
    assert findings(kugetsu) == []
    assert kugetsu("queue", "enqueue", ISSUE, "once more").code == 0
    assert story.log.state().tasks["q3"].prior_usage["tokens"] == 350


def test_counters_of_a_range_without_the_miscount_are_not_told(kugetsu: Any, story: Any, miscounted: int) -> None:
    assert kugetsu("audit", "--until", str(miscounted - 1)).code == 0
    assert kugetsu("audit", "--since", str(miscounted), "--json").json["invariants"]["miscounted"] == 1
    assert kugetsu("audit", "invariants", "shoko/kugetsu#99").code in (0, 4)
    assert kugetsu("audit", "invariants", ISSUE, "--json").json["invariants"]["miscounted"] == 1
