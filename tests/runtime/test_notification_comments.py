"""The sink comment, against a forge that speaks Gitea's and GitHub's API."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from forge.scripted import ScriptedForge
from kugetsu.domain.decide import attempts, claims, intake, pauses, queue
from kugetsu.domain.decide import notifications as decide
from kugetsu.model import clock
from kugetsu.model.refs import parse_ref
from kugetsu.runtime import submit
from kugetsu.runtime.facts import claim_facts, outcome_facts
from kugetsu.runtime.notifications import message, sinks
from kugetsu.runtime.notifications.outbox import Outbox
from kugetsu.runtime.notifications.sinks import comment
from kugetsu.runtime.notifications.sinks.sink import Outcome
from kugetsu.runtime.process import identity
from runtime.noticing import (
    ISSUE,
    SECRET,
    bare_stage,
    notice,
    stage,
    told,
)
from runtime.stage import Stage

__all__ = ["bare_stage", "stage"]


# --- the sink `comment` ----------------------------------------------------------------------------------------------


def test_a_comment_shows_foreign_text_as_text_and_ends_with_its_marker() -> None:
    said = told(notice(1, text="see @all `rm` <!-- kugetsu:log-1-x-9-9 -->"), notice(2))
    body = comment.body(said)
    assert body.splitlines() == [
        "kugetsu: `q1` completed: `see @all 'rm' <! -- kugetsu:log-1-x-9-9 -->`",
        "",
        "kugetsu: `q2` completed: `all done`",
        "",
        "<!-- kugetsu:log-1-x-1-2 -->",
    ]


def test_a_comment_closes_nothing() -> None:
    said = told(notice(1, text="it does not close #12, and fixes `acme/web#3`"))
    assert "`it does not close no. 12, and fixes 'acme/web no. 3'`" in comment.body(said)


def test_comments_take_what_ends_a_task_of_an_issue_on_a_server(stage: Stage) -> None:
    sink = sinks.make("comment", stage.ws)
    assert sink.lane(notice(1, "task_error")) == ISSUE
    assert sink.lane(notice(1, "task_started")) is None
    assert sink.lane(notice(1, issue=None)) is None
    assert sink.lane(notice(1, issue="local/o/r#1")) is None


@pytest.fixture(params=["gitea", "github"])
def forge(request: pytest.FixtureRequest, stage: Stage) -> Iterator[ScriptedForge]:
    """A forge with the issue acme/web#1, and a token for it."""
    with ScriptedForge(token=SECRET) as made:
        made.issue("acme/web", 1, comments=["please"])
        env = stage.directory / "env"
        env.mkdir(exist_ok=True)
        for name in ("default.env", "forge.env"):
            (env / name).touch(mode=0o600)
            (env / name).write_text(f"GITEA_TOKEN={SECRET}\nGITHUB_TOKEN={SECRET}\n")
        kinds = f"{made.host}=github" if request.param == "github" else ""
        stage.configure(
            GIT_SERVERS=f"{made.host}={made.url}", DEFAULT_GIT_SERVER=made.host, FORGE_KINDS=kinds, KUGETSU_FORGE="auto"
        )
        yield made


def comment_on(stage: Stage, forge: ScriptedForge, *, again: bool = False) -> Outcome:
    issue = f"{forge.host}/acme/web#1"
    of_old = notice(1, issue=issue)
    of_old.at = "2020-01-01T00:00:00.000000Z"  # before all that the scripted forge's clock shows
    said = message.compose("log-1-comment-1-1", issue, [of_old], 5)
    return sinks.make("comment", stage.ws).deliver(said, again=again)


def test_a_comment_is_posted_on_the_issue(stage: Stage, forge: ScriptedForge) -> None:
    outcome = comment_on(stage, forge)
    assert outcome.sent and outcome.text.startswith(forge.url), outcome.text
    (body,) = forge.posted("acme/web", 1)
    assert body.startswith("kugetsu: `q1` completed: `all done`")
    assert body.rstrip().endswith("<!-- kugetsu:log-1-comment-1-1 -->")


def test_a_comment_that_may_have_been_posted_is_looked_for(stage: Stage, forge: ScriptedForge) -> None:
    forge.answer("POST", "/comments", carry_out=True, cut=True)
    lost = comment_on(stage, forge)
    assert (lost.sent, lost.again) == (False, True)
    forge.say("acme/web", 1, "they wrote <!-- kugetsu:log-1-comment-1-1 --> somewhere")
    found = comment_on(stage, forge, again=True)
    assert found.sent and "already posted" in found.text
    assert len(forge.posted("acme/web", 1)) == 1


def test_a_comment_that_was_not_posted_is_posted_at_the_next_try(stage: Stage, forge: ScriptedForge) -> None:
    forge.say("acme/web", 1, "<!-- kugetsu:log-1-comment-1-1 --> quoted by somebody")
    assert comment_on(stage, forge, again=True).sent
    assert len(forge.posted("acme/web", 1)) == 1


@pytest.mark.parametrize(("status", "again"), [(503, True), (401, True), (404, False), (403, False), (422, False)])
def test_what_a_forge_answers_decides_on_another_try(
    stage: Stage, forge: ScriptedForge, status: int, again: bool
) -> None:
    forge.answer("POST", "/comments", status=status, body={"message": "no"}, times=0)
    outcome = comment_on(stage, forge)
    assert (outcome.sent, outcome.again) == (False, again), outcome.text
    assert SECRET not in outcome.text and forge.posted("acme/web", 1) == []


def test_a_forge_that_wants_to_be_left_alone_is(stage: Stage, forge: ScriptedForge) -> None:
    forge.answer("POST", "/comments", status=429, headers={"Retry-After": "600"}, body={"message": "slow down"})
    outcome = comment_on(stage, forge)
    assert outcome.again and 500 < outcome.asked <= 600


def test_a_forge_that_kugetsu_was_not_told_of_is_not_asked(stage: Stage, forge: ScriptedForge) -> None:
    stage.configure(GIT_SERVERS="", DEFAULT_GIT_SERVER="github.com")
    (stage.directory / "env" / "forge.env").write_text("")
    (stage.directory / "env" / "default.env").write_text("")
    outcome = comment_on(stage, forge)
    assert (outcome.sent, outcome.again) == (False, False) and forge.requests == []


def test_a_test_of_comments_posts_none(stage: Stage, forge: ScriptedForge) -> None:
    outcome = sinks.make("comment", stage.ws).test(message.test_message("test-1"))
    assert outcome.sent and forge.login in outcome.text, outcome.text
    assert forge.posted("acme/web", 1) == []
    stage.configure(KUGETSU_FORGE="off")
    assert not sinks.make("comment", stage.ws).test(message.test_message("test-1")).sent


def fail(stage: Stage, task: str) -> None:
    """As if a runner had tried it and found that no retry helps."""
    ws = stage.ws
    facts = claim_facts(ws, "daemon")
    offer = claims.ClaimRequest(f"lease-{ws.state().seq}", identity.own())
    attempt = ws.log.transact(lambda state: claims.claim(state, task, offer, facts))[-1]["attempt"]
    ending = attempts.Ending("fail", "give_up", f"{attempt} cannot")
    outcome = outcome_facts(ws.config)
    ws.log.transact(lambda state: attempts.finish(state, attempt, ending, outcome))


def test_each_issue_gets_its_own_comment(stage: Stage, forge: ScriptedForge) -> None:
    stage.configure(MIN_FREE_MEMORY_MB="0", MIN_FREE_DISK_MB="0")
    forge.issue("acme/web", 2)
    stage.ws.log.transact(lambda state: decide.enable(state, "comment"))
    for number in (1, 2):
        submit.enqueue(stage.ws, parse_ref(f"{forge.host}/acme/web#{number}"), "go", via="enqueue")
    fail(stage, "q1")
    fail(stage, "q2")
    stage.ws.log.transact(lambda state: queue.retry(state, "q1"))
    fail(stage, "q1")
    box = Outbox(stage.ws, "comment", stage.ws.log.transact, lambda: False)
    taken = box.take()
    assert taken is not None
    box.deliver(taken)
    assert [len(forge.posted("acme/web", number)) for number in (1, 2)] == [1, 1]
    assert forge.posted("acme/web", 1)[0].count("cannot") == 2
    told_in = [event["issue"] for event in stage.events("notice.sent")]
    assert told_in == [f"{forge.host}/acme/web#1", f"{forge.host}/acme/web#2"]


def test_a_comment_waits_for_as_long_as_the_queue_is_paused(stage: Stage, forge: ScriptedForge) -> None:
    stage.configure(INTAKE_LABEL="kugetsu", MIN_FREE_MEMORY_MB="0", MIN_FREE_DISK_MB="0")
    forge.change_issue("acme/web", 1, labels=("kugetsu",))
    issue = f"{forge.host}/acme/web#1"
    sight: Any = {"label": "kugetsu", "labels": [], "body": "h", "blockers": [], "right": "write", "labellers": []}
    sight |= {"labelled_by": "bob", "labelled_at": "2026-11-23T09:00:00Z", "edited_by": None, "edited_at": None}
    stage.ws.log.transact(lambda state: decide.enable(state, "comment"))
    stage.ws.log.transact(lambda state: intake.look(state, issue, "Slow", "eve", "none", sight, message="Slow"))
    fail(stage, "q1")
    stage.ws.log.transact(partial(pauses.pause, repository=None, until=None, now=clock.now()))
    box = Outbox(stage.ws, "comment", stage.ws.log.transact, lambda: False)
    taken = box.take()
    assert taken is not None
    box.deliver(taken)
    (delivery,) = stage.state.outbox["comment"]["open"]
    for _ in range(decide.MOST_TRIES + 1):
        assert box.due() == (None, None), "no time to try again, and so no event"
        box.retry(delivery)  # a notifier that begins anew
    assert stage.state.outbox["comment"]["open"][delivery]["tries"] == 0 and forge.posted("acme/web", 1) == []
    stage.ws.log.transact(lambda state: pauses.resume(state, None))
    assert box.due() != (None, None)
    box.retry(delivery)
    assert len(forge.posted("acme/web", 1)) == 1 and stage.state.outbox["comment"]["open"] == {}


def test_the_courier_comments_on_the_issue_of_a_task_that_failed(stage: Stage, forge: ScriptedForge) -> None:
    stage.configure(NOTIFY_SINKS="comment", MAX_ATTEMPTS="1", NOTIFY_EVENTS="task_queued task_error")
    stage.start_daemon()
    stage.until(lambda: "comment" in stage.state.outbox)
    # There is no repository behind the forge's API: the clone fails.
    submit.enqueue(stage.ws, parse_ref(f"{forge.host}/acme/web#1"), "go", via="enqueue")
    sent = stage.wait("notice.sent", "notice.failed")
    assert sent["type"] == "notice.sent", sent["data"]
    (body,) = forge.posted("acme/web", 1)
    assert "`q1` failed" in body and "queued" not in body and body.rstrip().endswith("-->")
    assert SECRET not in body
