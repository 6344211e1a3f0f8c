"""One of a thing is called so: no screen says `1 agents` or `1 tasks`."""

from __future__ import annotations

import re

import pytest

from cli.test_narrow import MORNING, SHOWN, shown
from kugetsu.domain.decide import queue

#: A number that is one, and a noun of several behind it: `1 agents`, `1 more tasks`, `1 of 1 slots`.
WRONG = re.compile(r"(?<![\w.,:#/%-])1 (?:more |free |other )?[a-z]+s\b(?! (?:is|was|has)\b)")
#: What ends in s and is one: verbs behind a count, and words that are no plurals.
ONE = {"asks", "runs", "waits", "stays", "works", "fails", "is", "was", "has", "does", "needs", "differs", "changes"}
ONE |= {"this", "its", "unless", "less", "status", "us", "process"}
#: Verbs that go with several.
SEVERAL = re.compile(r"(?<![\w.,:#/%-])1 (?:more )?(?:are|were|have|wait|run|ask)\b")

PLACES = {"TASK": "q2", "ISSUE": "github.com/shoko/kugetsu#1", "EVENT": "12", "ATTEMPT": "q1.1"}


@pytest.fixture
def single(kugetsu, story):
    """One of everything: an agent, a slot, tasks that wait, failed, were cancelled, ask, are to be reviewed."""
    story.at("2026-11-24T04:00:00.000000Z", "kugetsu queue-daemon").daemon()
    ends = [
        ("succeed", "done", {"commits": 1, "dirty": 0, "pushed": True, "files": 1, "added": 1, "removed": 1}, "Done."),
        ("succeed", "done", {"commits": 0, "dirty": 1}, "Done."),
        ("succeed", "done", {"commits": 0, "dirty": 0}, "One or two?"),
        ("fail", "give_up", {"commits": 0}, ""),
    ]
    for number, (how, verdict, evidence, said) in enumerate(ends, 1):
        task = story.enqueue("see to it", issue=f"github.com/shoko/kugetsu#{number}")
        ending = {"evidence": evidence, "outcome": {"final_text": said}, "tokens": 1, "cost": 1.0}
        story.finish(story.run(task), how, verdict, "it ended", **ending)
    unwanted = story.enqueue("no", issue="github.com/shoko/kugetsu#9")
    story.do(lambda state: queue.cancel(state, unwanted, "cancel"))
    story.run(story.enqueue("at work", issue="github.com/shoko/kugetsu#10"), alive=True)
    story.enqueue("waits", issue="github.com/shoko/kugetsu#11")
    (kugetsu.root / "config").write_text("MAX_CONCURRENT_AGENTS=1\n")
    return kugetsu


def test_one_of_a_thing_is_called_one(single, monkeypatch):
    from cli import test_narrow

    monkeypatch.setitem(test_narrow.PLACES, "single", PLACES)
    calls = [*(call for calls in SHOWN.values() for call in calls), "list", "status", "queue list", "queue list --all"]
    bad = []
    for call, (code, out, err) in shown(single, "single", 400, calls).items():
        assert code in (0, 1, 4, 5), f"{call}: {err}"
        for row in (out + err).splitlines():
            found = [match for match in WRONG.findall(row) if match.split()[-1] not in ONE]
            bad += [f"{call}: {row}" for _ in [*found, *SEVERAL.findall(row)]]
    assert not bad, "\n".join(bad) + f"\nat {MORNING}"


@pytest.mark.parametrize("text", ["1 agents", "and 1 more tasks", "1 of 1 slots used", "1 more are completed"])
def test_what_is_looked_for_is_found(text):
    assert WRONG.search(text) or SEVERAL.search(text)
