"""Work whose run did not verify it is verified later: by the daemon, a few times at most, or by a person."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from forge.scripted import ScriptedForge
from kugetsu.domain import missing_pull
from kugetsu.domain.decide import persons
from kugetsu.domain.decide import verification as decide
from kugetsu.domain.decide import worktree_setup as accepting
from kugetsu.domain.fold.sessions import base_key
from kugetsu.domain.state import Session
from kugetsu.domain.verification import MOST_TRIES
from kugetsu.domain.worktree_setup import PAUSES
from kugetsu.host import host_file
from kugetsu.model import clock, result_words
from kugetsu.runtime import folders, pull_opening, reconcile
from kugetsu.runtime.git import repositories, scratch
from kugetsu.runtime.notifications.notice import notice_of
from kugetsu.runtime.process import identity
from kugetsu.runtime.process.identity import own
from kugetsu.runtime.process.named_lease import VERIFIER
from kugetsu.runtime.query import points
from kugetsu.runtime.reviews import owed
from kugetsu.runtime.verification import by_hand, clean_run, later
from kugetsu.views import status
from runtime.forged import PUSH, forge, forged, no_observer_is_left
from runtime.repos import run
from runtime.stage import COMMIT, Stage, bare_stage, stage
from runtime.supervised import eventually

__all__ = ["bare_stage", "forge", "forged", "no_observer_is_left", "stage"]

HANGS = """trap "" TERM; setsid sh -c 'trap "" TERM; echo $$ > "$STAGE/grandchild"; exec sleep 600' & \
while ! test -s "$STAGE/grandchild"; do sleep 0.02; done; touch "$STAGE/verifying"; wait; sleep 600"""
"""It hangs, and neither it nor its child heeds SIGTERM."""


@pytest.fixture
def opening(forged: Stage, forge: ScriptedForge) -> Stage:
    """A stage whose pushed work gets a pull request."""
    forged.configure(OPEN_PULL_REQUEST="missing", RETRY_BACKOFF_SECONDS="0")
    forge.issue("acme/web", 14, title="Login is slow")
    return forged


def session(stage: Stage) -> Session:
    return stage.state.sessions[str(stage.ref(14))]


def killed_while_verifying(stage: Stage, command: str = HANGS) -> Session:
    """Work that was pushed and never verified: its runner was killed."""
    stage.agent(COMMIT + PUSH)
    stage.configure(VERIFY_COMMAND=command)
    stage.start(14)
    stage.file("verifying")
    stage.kill(stage.state.attempts["q1.1"].runner)
    assert reconcile.reconcile(stage.ws) == ["q1.1"]
    (stage.folder / "verifying").unlink()
    found = session(stage)
    assert found.result is not None and found.result["verification"]["code"] == "not_run"
    assert not stage.events("pull.opening")
    return found


def due(stage: Stage, seconds: float = 0.0) -> list[str]:
    """What is due in ``seconds``."""
    return [one.key for one, _ in later.due(stage.ws, stage.state, clock.add_seconds(clock.now(), seconds))]


def killed_later(stage: Stage, seconds: float = 0.0) -> dict[str, Any]:
    """A later verification that is killed, begun in ``seconds``; its outcome."""
    ((found, order),) = later.due(stage.ws, stage.state, clock.add_seconds(clock.now(), seconds))
    assert order is not None
    stage.ws.log.transact(lambda state: decide.begin(state, found.key, found.head or "", order.sha, "x"))
    (said,) = later.close(stage.ws, session(stage))
    return said


def verify(stage: Stage, command: str, go_on: bool = True) -> list[dict[str, Any]]:
    """Verify what is due with this command, as the daemon's process does."""
    stage.configure(VERIFY_COMMAND=command)
    (found,) = later.due(stage.ws, stage.state, clock.now())
    return list(later.run(stage.ws, *found, lambda: go_on))


def test_the_daemon_verifies_it_and_opens_the_pull_request(opening: Stage, forge: ScriptedForge) -> None:
    killed_while_verifying(opening, f'test -e "$STAGE/well" || {{ {HANGS}; }}')
    (opening.folder / "well").touch()
    opening.start_daemon()
    opening.wait("pull.opened")
    (intent,), (said,) = opening.events("work.verifying"), opening.events("work.verified")
    assert (said["data"]["code"], said["data"]["by_hand"], said["cause"]) == ("passed", False, intent["seq"])
    assert said["data"]["commit"] == run(opening.worktree(14), "rev-parse", "HEAD")
    (pull,) = forge.pulls("acme/web")
    assert "- `Work on q1.1`" in pull.body
    assert eventually(lambda: not VERIFIER.alive(opening.ws.paths)), "it ends when nothing is to be verified"
    result = session(opening).result
    assert result is not None and result_words.words(result) == "PR #15, verified"
    assert opening.state.tasks["q1"].result == result


def test_a_verification_that_is_killed_counts_and_then_it_is_a_persons(opening: Stage) -> None:
    killed_while_verifying(opening)
    opening.start_daemon()
    opening.file("verifying")
    who = VERIFIER.holder(opening.ws.paths)
    assert who is not None
    identity.signal(who, signal.SIGKILL)
    opening.until(lambda: bool(opening.events("work.verified")))
    for _ in PAUSES:
        killed_later(opening, sum(PAUSES))
    assert [one["data"]["tries"] for one in opening.events("work.verifying")] == list(range(1, MOST_TRIES + 1))
    assert [one["data"]["why"] for one in opening.events("work.verified")] == ["verifier_killed"] * MOST_TRIES
    assert due(opening, 86_400) == [] and not later.begun(opening.ws, opening.state)
    assert folders.names(opening.ws.paths.scratch) == []
    left = identity.stat(opening.written_pid("grandchild"))
    assert left is None or left.dead
    known = session(opening).verified
    assert known is not None and known["tries"] == MOST_TRIES
    assert not opening.events("pull.opening")


def test_a_try_that_came_to_nothing_is_followed_by_a_growing_pause(opening: Stage) -> None:
    killed_while_verifying(opening)
    for seconds in PAUSES:
        said = killed_later(opening, sum(PAUSES))
        assert clock.seconds_between(said["at"], said["data"]["not_before"]) == pytest.approx(seconds, abs=30)
        assert due(opening) == [] and due(opening, seconds) == [session(opening).key]
        assert 0 < (later.wait(opening.ws, opening.state, clock.now()) or 0) <= seconds
    opening.configure(VERIFY_COMMAND="true")
    assert due(opening) == [session(opening).key], "another command need not wait"


def test_what_is_accepted_of_a_repository_lets_it_be_tried_anew(opening: Stage) -> None:
    known = killed_while_verifying(opening)
    while due(opening, sum(PAUSES)):
        killed_later(opening, sum(PAUSES))
    opening.ws.log.transact(lambda state: accepting.accept(state, known.repository or "", "5" * 64, ["copy .env"]))
    assert due(opening) == [known.key]
    killed_later(opening)
    assert opening.events("work.verifying")[-1]["data"]["tries"] == 1


def test_for_a_set_up_that_failed_on_the_base_too_the_command_that_verifies_is_named(opening: Stage) -> None:
    known = killed_while_verifying(opening)
    opening.configure(WORKTREE_SETUP='test -e "$STAGE/there"')
    assert verify(opening, "true")[0]["data"]["code"] == "base_unready"
    assert [one[2] for one in attention(opening)] == [f"kugetsu verify {known.key}"]
    (opening.folder / "there").touch()
    assert [one["data"]["code"] for one in by_a_person(opening, "true")[:1]] == ["passed"]


def test_a_time_limit_that_is_met_each_time_does_not_go_round(opening: Stage) -> None:
    killed_while_verifying(opening)
    opening.configure(VERIFY_MINUTES="0.01")
    (said,) = verify(opening, HANGS)
    assert said["data"]["code"] == "too_slow"
    assert due(opening) == []
    opening.configure(VERIFY_MINUTES="0.5")
    assert due(opening) == [session(opening).key], "it may take longer now, as the remedy says"
    assert verify(opening, "true")[0]["data"]["code"] == "passed", "another command is another matter"
    assert [one["data"]["tries"] for one in opening.events("work.verifying")] == [1, 1]


def test_more_minutes_let_the_same_command_end(opening: Stage) -> None:
    command = 'test -e "$STAGE/quick" || sleep 600'
    killed_while_verifying(opening, f'touch "$STAGE/verifying"; {command}')
    opening.configure(VERIFY_MINUTES="0.01")
    assert verify(opening, command)[0]["data"]["code"] == "too_slow"
    (opening.folder / "quick").touch()
    opening.configure(VERIFY_MINUTES="0.5")
    said, intent = verify(opening, command)
    assert (said["data"]["code"], intent["type"]) == ("passed", "pull.opening")


def test_one_that_ends_when_a_person_has_come_is_run_again_after_them(opening: Stage) -> None:
    killed_while_verifying(opening)
    key = session(opening).key

    def comes() -> bool:
        if session(opening).person is None:
            opening.ws.log.transact(lambda state: persons.attach(state, key, "lease", own(), "shoko", "desk"))
        return True  # the look at the log came just before

    opening.configure(VERIFY_COMMAND="sleep 1")
    (found,) = later.due(opening.ws, opening.state, clock.now())
    (said,) = later.run(opening.ws, *found, comes)
    assert (said["data"]["code"], said["data"]["why"]) == ("not_run", "stopped")
    opening.ws.log.transact(
        lambda state: persons.leave(state, key=key, lease="lease", how="ended", reason="left", evidence={}, exit=0)
    )
    assert [one["type"] for one in verify(opening, "sleep 1")] == ["work.verified", "pull.opening"]


def test_without_its_command_nothing_is_asked_for_any_more(opening: Stage, forge: ScriptedForge) -> None:
    killed_while_verifying(opening)
    opening.configure(VERIFY_COMMAND="")
    opening.start_daemon()
    opening.wait("pull.opened")
    assert not opening.events("work.verifying"), "nothing runs"
    (said,) = opening.events("work.verified")
    assert (said["data"]["code"], said["data"]["by_hand"]) == ("not_asked", False)
    assert len(forge.pulls("acme/web")) == 1
    result = session(opening).result
    assert result is not None and result_words.words(result) == "PR #15, not verified: VERIFY_COMMAND removed"
    opening.configure(VERIFY_COMMAND="true")
    assert due(opening) == [], "what was let go stays so"
    assert [one["data"]["code"] for one in by_a_person(opening, "true")] == ["passed"]


def test_one_that_is_not_tried_again_reaches_the_person(opening: Stage) -> None:
    killed_while_verifying(opening)
    for number in range(MOST_TRIES):
        assert attention(opening) == []
        notice = notice_of(killed_later(opening, sum(PAUSES)))
        assert (notice is not None) == (number == MOST_TRIES - 1), "once, and with the last try"
    assert notice is not None and notice.type == "loop_held"
    words = "not verified after 4 tries: the process that ran it was killed"
    assert notice.text == f"{words}; no pull request is opened"
    assert attention(opening) == [("needs you", words, f"kugetsu verify {session(opening).key}")]
    by_a_person(opening, "true")
    assert attention(opening) == []


def test_a_command_at_fault_reaches_the_person_too(opening: Stage) -> None:
    killed_while_verifying(opening)
    (said,) = verify(opening, "no-such-program")
    notice = notice_of(said)
    assert notice is not None and notice.text.startswith("not verified: VERIFY_COMMAND not found")
    key = session(opening).key
    remedy = f"kugetsu config set --repo {key.partition('#')[0]} VERIFY_COMMAND 'make test'"
    assert [one[2] for one in attention(opening)] == [remedy]


def attention(stage: Stage) -> list[tuple[str, str, str]]:
    """What `status` shows of it."""
    point = points.point(stage.ws, None, clock.now())
    shown = status.collect(point.state, stage.ws.paths.root, point.facts, point.probes)["attention"]
    return [(one["state"], one["text"], one["command"]) for one in shown if one["subject"] == session(stage).key]


def test_one_that_fails_is_the_next_turn_and_no_pull_request(opening: Stage) -> None:
    killed_while_verifying(opening)
    said, seen = verify(opening, "echo 'Error: bad'; test ! -e work")
    assert (said["type"], said["data"]["code"], seen["type"]) == ("work.verified", "failed", "feedback.seen")
    assert seen["data"]["items"][0]["log"] == "Error: bad"
    assert session(opening).result_kind == opening.state.tasks["q1"].result_kind == "checks_failed"
    assert due(opening) == [] and session(opening).owed is None


def test_one_that_another_host_began_is_that_hosts(opening: Stage) -> None:
    killed_while_verifying(opening)
    opening.configure(VERIFY_COMMAND="true")
    ((known, order),) = later.due(opening.ws, opening.state, clock.now())
    assert known.verified is not None
    intent = known.key, known.verified["commit"], order.sha, "true"
    opening.ws.log.transact(lambda state: decide.begin(state, *intent))
    assert [one.key for one in later.begun(opening.ws, opening.state)] == [known.key]
    file = host_file.path(opening.ws.paths.root)
    host = host_file.read(opening.ws.paths.root)
    assert host is not None
    for seen, begun in (("f" * 32, []), (host, [known.key])):
        with open(file, "w") as written:
            written.write(seen)
        assert [one.key for one in later.begun(opening.ws, opening.state)] == begun
        assert bool(due(opening)) == bool(begun)


def test_one_that_was_stopped_is_no_try(opening: Stage) -> None:
    killed_while_verifying(opening)
    for _ in range(MOST_TRIES + 1):
        (said,) = verify(opening, "sleep 600", go_on=False)
        assert (said["data"]["code"], said["data"]["why"]) == ("not_run", "stopped")
    known = session(opening).verified
    assert known is not None and known["tries"] == 0
    assert due(opening) == [session(opening).key]


def by_a_person(stage: Stage, command: str) -> list[dict[str, Any]]:
    stage.configure(VERIFY_COMMAND=command)
    known = session(stage)
    order = clean_run.order_for(stage.ws, known)
    assert order is not None and known.head is not None
    found, text = by_hand.of_work(stage.ws, order, known.head, known.base_commit, lambda _: None, lambda _: None)
    return list(later.record(stage.ws, known.key, order, found, text, by_hand=True))


def test_a_person_who_verifies_lets_the_pull_request_be_opened(opening: Stage, forge: ScriptedForge) -> None:
    killed_while_verifying(opening)
    assert by_a_person(opening, "no-such-program") == [], "nothing is known of the work"
    said, intent = by_a_person(opening, "true")
    assert (said["type"], said["data"]["by_hand"], intent["type"]) == ("work.verified", True, "pull.opening")
    assert pull_opening.open_owed(opening.ws, session(opening))
    assert len(forge.pulls("acme/web")) == 1
    assert by_a_person(opening, "true") == [] and by_a_person(opening, "test ! -e work") == [], "what passed stays so"
    assert due(opening) == []


def test_work_that_failed_by_a_flake_passes_by_hand(opening: Stage) -> None:
    opening.agent(COMMIT + PUSH)
    opening.configure(VERIFY_COMMAND="test ! -e work")
    opening.start(14)
    opening.finished("q1")
    assert session(opening).result_kind == "checks_failed" and due(opening) == []
    events = by_a_person(opening, "true")
    assert [one["type"] for one in events] == ["work.verified", "pull.opening", "feedback.seen"]
    assert events[2]["data"]["gone"] and session(opening).result_kind == "pushed"


def test_a_run_that_crashes_lets_no_older_pull_request_through(opening: Stage, forge: ScriptedForge) -> None:
    forge.answer("POST", "/pulls", status=503)
    opening.agent(COMMIT + PUSH)
    opening.configure(VERIFY_COMMAND="test ! -e bad", MAX_ATTEMPTS="1")
    opening.start(14)
    opening.wait("pull.failed")
    assert [one.key for one in owed.due(opening.state, clock.now())] == [session(opening).key]
    opening.agent("touch bad; git add bad; git commit -qm bad\n" + PUSH)
    opening.start(14, "more")
    opening.finished("q2")
    assert session(opening).result_kind == "checks_failed"
    opening.agent("exit 1\n")
    opening.start(14, "again")
    assert opening.finished("q3") == "error"
    assert owed.due(opening.state, clock.now()) == [], "its branch has what failed"
    assert not pull_opening.open_owed(opening.ws, session(opening))
    assert forge.pulls("acme/web") == []
    opening.agent("git rm -q bad; git commit -qm good\n" + PUSH + "exit 1\n")
    opening.start(14, "crash again")
    assert opening.finished("q4") == "error"
    assert owed.due(opening.state, clock.now()) == [], "nobody has verified what it has by now"
    by_a_person(opening, "true")
    assert owed.due(opening.state, clock.now()) == [session(opening)]


def test_no_older_pull_request_is_opened_with_work_that_was_to_be_verified(
    opening: Stage, forge: ScriptedForge
) -> None:
    forge.answer("POST", "/pulls", status=503)
    opening.agent(COMMIT + PUSH)
    opening.configure(MAX_ATTEMPTS="1")
    opening.start(14)
    opening.wait("pull.failed")
    opening.configure(VERIFY_COMMAND="test ! -e bad")
    opening.agent("touch bad; git add bad; git commit -qm bad\n" + PUSH + "exit 1\n")
    opening.start(14, "more")
    assert opening.finished("q2") == "error"
    assert session(opening).verified is None
    assert owed.due(opening.state, clock.now()) == [], "it was asked for with its head before"
    assert not pull_opening.open_owed(opening.ws, session(opening)) and forge.pulls("acme/web") == []
    assert missing_pull.reason(opening.state, session(opening), clock.now()) == (
        "later_work",
        {"head": session(opening).head},
    )
    by_a_person(opening, "true")
    assert owed.due(opening.state, clock.now()) == [session(opening)]


def test_nothing_is_left_of_a_stopped_one(opening: Stage) -> None:
    killed_while_verifying(opening)
    began = opening.folder / "verifying"
    opening.configure(VERIFY_COMMAND=HANGS)
    (found,) = later.due(opening.ws, opening.state, clock.now())
    (said,) = later.run(opening.ws, *found, lambda: not began.exists())
    assert said["data"]["why"] == "stopped"
    assert scratch.left_over(opening.ws.paths, ()) == []
    left = identity.stat(opening.written_pid("grandchild"))
    assert left is None or left.dead


def test_one_that_is_being_made_ready_is_stopped(opening: Stage) -> None:
    killed_while_verifying(opening)
    began = opening.folder / "verifying"
    opening.configure(VERIFY_COMMAND="true", WORKTREE_SETUP=HANGS)
    (found,) = later.due(opening.ws, opening.state, clock.now())
    (said,) = later.run(opening.ws, *found, lambda: not began.exists())
    assert (said["data"]["code"], said["data"]["why"]) == ("not_run", "stopped")
    assert scratch.left_over(opening.ws.paths, ()) == []
    left = identity.stat(opening.written_pid("grandchild"))
    assert left is None or left.dead


def test_one_that_waits_while_another_verifies_its_base_is_stopped(opening: Stage) -> None:
    known = killed_while_verifying(opening)
    opening.configure(VERIFY_COMMAND="false")
    order = clean_run.order_for(opening.ws, known)
    assert order is not None and known.head is not None and known.base_commit is not None
    name = f"verify {base_key(order.repository, known.base_commit, order.sha)}"
    waited: list[str] = []

    def step(output: str) -> None:
        waited.append(output)
        if len(waited) > 1:
            raise later.StoppedError

    with repositories.locked(opening.ws.paths, name), pytest.raises(later.StoppedError):
        place = clean_run.Place("lease", str(opening.folder), step=step)
        clean_run.of_base(opening.ws, order, known.base_commit, place)
