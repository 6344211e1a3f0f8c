"""A night that went wrong, as a log: prepared for the worked case of the guide and for what is audited."""

from __future__ import annotations

from typing import Any

from kugetsu.domain.decide import attempts, claims, queue
from kugetsu.domain.new_event import NewEvent

REPOSITORY = "github.com/shoko/kugetsu"
WATCHER = "kugetsu queue-daemon"


class Night:
    """Lets the daemon, agents and Shoko act in a `Story`'s log, one after the other."""

    def __init__(self, story: Any) -> None:
        self.story = story

    def typed(self, clock: str, command: str, *, inside: str | None = None) -> None:
        """From now on someone who types that command acts; ``inside`` an attempt it is that attempt's agent."""
        self.story.at(clock, command)
        self.story.by.pop("attempt", None)
        if inside is not None:
            self.story.by["attempt"] = inside

    def enqueue(self, clock: str, number: int, message: str, *, inside: str | None = None, **more: Any) -> str:
        after = "".join(f" --after {task}" for task in more.get("after", ()))
        self.typed(clock, f"kugetsu queue enqueue shoko/kugetsu#{number} {message}{after}", inside=inside)
        return str(self.story.enqueue(message, f"{REPOSITORY}#{number}", **more))

    def turn(self, clock: str, *, cap: int = 3) -> list[str]:
        """The daemon's turn: it claims what may start (and its agents run), and says what holds back the others."""
        self.typed(clock, WATCHER)
        story, started = self.story, []
        while True:
            state, facts = story.log.state(), story.facts(cap)
            planned = claims.plan(state, facts)
            if planned.candidate is None:
                story.do(lambda state, planned=planned, facts=facts: claims.hold(state, planned, facts))
                return started
            offer = claims.ClaimRequest(
                f"lease-{planned.candidate}-{state.seq}", {"boot": "b", "pid": 4120, "start": 1}
            )
            made = story.do(lambda state, p=planned, o=offer, f=facts: claims.dispatch(state, p, o, f))
            started.append(self.runs(str(made[-1]["attempt"])))

    def runs(self, attempt: str) -> str:
        story = self.story
        story.by["cmd"] = f"runner {attempt}"
        story.do(lambda state: attempts.starting(state, attempt, {"boot": "b", "pid": 4120, "start": 1}))
        key = story.log.state().attempts[attempt].session
        if story.log.state().sessions[key].state == "requested":
            story.prepare(key, attempt)
        agent = {"boot": "b", "pid": 4121, "start": 2}
        story.do(lambda state: attempts.running(state, attempt, agent, "ses_9f3bc0ffee1234", "/w", "opencode"))
        story.by["cmd"] = WATCHER
        return attempt

    def ends(self, clock: str, attempt: str, how: str, verdict: str, reason: str, **more: Any) -> None:
        self.typed(clock, f"runner {attempt}")
        self.story.finish(attempt, how, verdict, reason, **more)


def stuck(story: Any) -> None:
    """q7 comes after q3, which an agent queued, and which failed three times: nobody was there to see it."""
    night = Night(story)
    night.typed("22:00:00", WATCHER)
    story.daemon()
    night.enqueue("22:00:05", 11, "write the release notes")
    night.enqueue("22:00:20", 12, "split the parser")
    night.turn("22:00:21")
    night.enqueue("22:11:40", 13, "the parser needs a newer lexer", inside="q2.1")
    looked = story.log.state().seq
    night.turn("2026-11-23T22:11:40.020000Z")
    _too_late(night, looked)
    for number, message in ((14, "document the parser"), (15, "speed up the tests"), (16, "tidy the imports")):
        night.enqueue("22:15:00", number, message)
    night.enqueue("22:20:00", 17, "release 2.0", after=["q3"])
    night.turn("22:20:00")
    done: dict[str, Any] = {"tokens": 88_000, "evidence": {"commits": 1, "pushed": True}}
    night.ends("22:31:10", "q1.1", "succeed", "done", "1 commit, pushed", **done)
    night.turn("22:31:10")
    night.ends("22:40:02", "q2.1", "succeed", "done", "2 commits, pushed", **done)
    night.turn("22:40:02")
    night.ends(
        "23:12:00", "q3.1", "time_out", "retry", "stopped at its time limit (TASK_TIMEOUT_HOURS)", tokens=200_000
    )
    night.turn("23:12:11")
    night.ends("23:20:00", "q4.1", "fail", "limited", "usage limit, resets 23:59", tokens=40_000, resets_at=AT_MIDNIGHT)
    night.ends("23:25:00", "q5.1", "succeed", "done", "1 commit, pushed", **done)
    night.turn("23:25:01")
    failed = {"exit": 1, "tokens": 61_000, "rescue": "kugetsu/rescue/q3.2"}
    night.ends("23:30:30", "q3.2", "fail", "retry", "make: lexer.h: no such file", **failed)
    night.turn("23:30:51")
    night.turn("2026-11-24T00:00:05.000000Z")
    for attempt in list(story.log.state().attempts):
        if attempt.startswith("q3"):
            failed["rescue"] = "kugetsu/rescue/q3.3"
            night.ends("2026-11-24T00:09:00.000000Z", attempt, "fail", "retry", "make: lexer.h: no such file", **failed)
    night.turn("2026-11-24T00:09:01.000000Z")
    for attempt in list(story.log.state().attempts):
        night.ends("2026-11-24T00:40:00.000000Z", attempt, "succeed", "done", "1 commit, pushed", **done)
    night.turn("2026-11-24T00:40:01.000000Z")
    assert story.log.state().tasks["q7"].held == "dependencies", story.log.state().tasks["q7"].held


def deserted(story: Any) -> None:
    """The daemon dies while two agents work; who queues tasks later does not look whether it is there."""
    night = Night(story)
    night.typed("21:00:00", WATCHER)
    story.daemon(alive=False)
    for clock, number, message in (("21:00:05", 11, "write the release notes"), ("21:00:20", 12, "split the parser")):
        night.enqueue(clock, number, message)
        night.turn(clock)
    done: dict[str, Any] = {"tokens": 88_000, "evidence": {"commits": 1, "pushed": True}}
    night.ends("21:31:10", "q1.1", "succeed", "done", "1 commit, pushed", **done)
    night.ends("21:40:02", "q2.1", "succeed", "done", "2 commits, pushed", **done)
    night.enqueue("22:15:00", 13, "document the parser")
    night.enqueue("22:20:00", 14, "speed up the tests")


AT_MIDNIGHT = "2026-11-23T23:59:00.000000Z"


def _too_late(night: Night, looked: int) -> None:
    """A `start` that saw the last slot free, and was a few milliseconds behind the daemon."""
    story = night.story
    night.typed("2026-11-23T22:11:40.024100Z", "kugetsu start shoko/kugetsu#18 look at the logs")
    facts = {**story.facts(), "dispatcher": "self"}
    story.do(lambda state: claims.lost_start(state, f"{REPOSITORY}#18", looked, facts))


def _title(story: Any, issue: str, title: str) -> None:
    data = {"title": title, "state": "open", "comments": 1, "url": None, "digest": None, "problem": None}
    story.log.append([NewEvent("issue.read", data, issue=issue, session=issue)])


def _pull(number: int, repository: str, **more: Any) -> dict[str, Any]:
    url = f"https://{repository}/pull/{number}"
    return {"number": number, "url": url, "state": "open", "checks": "success", "draft": False, **more}


#: What the runs of the night `morning` end with: issue → how, verdict, reason, more of the ending.
ENDINGS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "kugetsu#14": (
        *("succeed", "done", "2 commits, pushed"),
        {
            "cost": 0.41,
            "tokens": 212_000,
            "outcome": {"final_text": "The parser takes empty input now. All 214 tests pass."},
            "evidence": {
                "commits": 2,
                "files": 3,
                "added": 48,
                "removed": 12,
                "pushed": True,
                "head": "c14",
                "pull": _pull(92, "github.com/shoko/kugetsu"),
            },
        },
    ),
    "jigaido#4": (
        *("succeed", "done", "1 commit, pushed"),
        {
            "cost": 0.12,
            "tokens": 61_000,
            "outcome": {"final_text": "Sorted by date, newest first."},
            "evidence": {"commits": 1, "files": 1, "added": 9, "removed": 2, "pushed": True, "branch": "fix/issue-4"},
        },
    ),
    "jigaido#6": (
        *("succeed", "done", "no commit, 2 uncommitted files"),
        {
            "cost": 0.2,
            "tokens": 90_000,
            "outcome": {"final_text": "I removed what nothing calls."},
            "evidence": {"commits": 0, "dirty": 2, "files": 2, "added": 0, "removed": 230},
        },
    ),
    "kugetsu#21": (
        *("succeed", "done", "no commit"),
        {
            "cost": 0.08,
            "tokens": 44_000,
            "outcome": {
                "final_text": "I read the index and its callers. Shall the cache live in memory, where each restart "
                "loses it, or on disk, where repairing the log must invalidate it?"
            },
            "evidence": {"commits": 0, "dirty": 0},
        },
    ),
    "jigaido#9": (
        *("succeed", "done", "no commit, 1 comment"),
        {
            "cost": 0.31,
            "tokens": 150_000,
            "outcome": {"final_text": "The slow query is the join on tags: see my comment."},
            "evidence": {
                "commits": 0,
                "dirty": 0,
                "comments_before": 1,
                "comments": 2,
                "answer_url": "https://github.com/shoko/jigaido/issues/9#issuecomment-7",
            },
        },
    ),
    "jigaido#10": (
        *("succeed", "done", "no commit"),
        {
            "cost": 0.02,
            "tokens": 9_000,
            "outcome": {"final_text": "The test is there already."},
            "evidence": {"commits": 0, "dirty": 0},
        },
    ),
}


def morning(story: Any) -> None:
    """Twelve tasks on two repositories, as they stand in the morning: what can be reviewed, what asks, what failed,
    what waits, and what came to nothing."""
    night = Night(story)
    night.typed("18:04:00", WATCHER)
    story.daemon()
    tasks: dict[str, str] = {}
    titles = {
        "kugetsu#14": "Parse empty input",
        "jigaido#4": "Sort by date",
        "jigaido#6": "Remove dead code",
        "kugetsu#21": "Cache the index?",
        "jigaido#9": "Why is the search slow?",
        "jigaido#10": "Test the sorting",
        "kugetsu#17": "Release 2.0",
        "kugetsu#18": "Announce the release",
        "jigaido#5": "Wait for the network",
        "kugetsu#22": "Speed up the tests",
        "jigaido#11": "Rename the option",
    }
    for number, (name, title) in enumerate(titles.items()):
        issue = f"github.com/shoko/{name}"
        after = [tasks["kugetsu#17"]] if name == "kugetsu#18" else []
        night.typed(f"18:10:{number:02d}", f"kugetsu queue enqueue {issue} …")
        tasks[name] = str(story.enqueue(f"see to {title}", issue, after=after))
    night.typed("18:11:00", "kugetsu queue cancel")
    story.do(lambda state: queue.cancel(state, tasks["jigaido#11"], "cancelled by the user"))
    for number, (name, (how, verdict, reason, more)) in enumerate(ENDINGS.items()):
        night.typed(f"19:{number:02d}:00", WATCHER)
        attempt = story.run(tasks[name])
        _title(story, f"github.com/shoko/{name}", titles[name])
        night.ends(f"19:{number + 20:02d}:00", attempt, how, verdict, reason, **more)
    for number in (1, 2, 3):
        night.typed(f"2{number}:00:00", WATCHER)
        night.ends(f"2{number}:10:00", story.run(tasks["kugetsu#17"]), "fail", "retry", "make: lexer.h: no such file")
    night.typed("21:30:00", WATCHER)
    stopped = "stopped at its time limit (TASK_TIMEOUT_HOURS)"
    night.ends("22:30:00", story.run(tasks["jigaido#5"]), "time_out", "give_up", stopped, tokens=300_000)
    night.typed("23:20:00", WATCHER)
    limited = {"tokens": 40_000, "resets_at": "2026-11-24T09:00:00.000000Z"}
    night.ends("23:40:00", story.run(tasks["kugetsu#22"]), "fail", "limited", "usage limit, resets 09:00", **limited)
    night.typed("23:50:00", "kugetsu continue shoko/kugetsu#14 …")
    story.enqueue("the review asks for shorter names", "github.com/shoko/kugetsu#14")
    story.do(lambda state: queue.cancel(state, "q12", "cancelled by the user"))
