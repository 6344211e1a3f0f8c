"""What is known of a failing check: the words of its output, its failing steps and their logs."""

from __future__ import annotations

import pytest

from forge.asking import TOKEN, Asking
from forge.feedback import log_of
from forge.scripted import ScriptedForge
from kugetsu.forge import jobs
from kugetsu.forge.client import Limits
from kugetsu.forge.failures import ForgeBroken, ForgeFailure, ForgeLimited
from kugetsu.forge.json_fields import Fields
from kugetsu.forge.protocol import Check, CheckOutput, Forge

SHA = "a" * 40
STEPS = (("Set up job", "success"), ("Run tests", "failure"), ("Upload", "skipped"), ("Post checkout", "success"))
TESTS = "##[group]Run pytest\nFAILED test_login.py::test_slow\n##[error]Process completed with exit code 1."
LOG = log_of("Current runner version", TESTS, "", "Cleaning up")


def only(forge: Forge) -> Check:
    """The only check of the commit."""
    (check,) = forge.checks("acme", "web", SHA).items
    return check


def output(forge: Forge) -> CheckOutput:
    """What is known of the only check."""
    return forge.check_output("acme", "web", SHA, only(forge))


def test_failing_step_comes_with_its_part_of_the_log(server: ScriptedForge, forge: Forge) -> None:
    server.check("acme/web", SHA, "build", "failure", job=True, steps=STEPS, log=LOG)
    assert only(forge).state == "failure"
    found = output(forge)
    assert found.ran
    assert found.steps == (("Run tests", TESTS),)


def test_each_failing_step_has_its_own_part(server: ScriptedForge, forge: Forge) -> None:
    steps = (("Lint", "failure"), ("Between", "success"), ("Tests", "failure"))
    server.check("acme/web", SHA, "build", "failure", job=True, steps=steps, log=log_of("E501", "fine", "FAILED"))
    assert output(forge).steps == (("Lint", "E501"), ("Tests", "FAILED"))


def test_job_that_ran_out_of_time_has_the_step_that_was_cancelled(server: ScriptedForge, forge: Forge) -> None:
    steps = (("Set up job", "success"), ("Tests", "cancelled"))
    server.check("acme/web", SHA, "build", "cancelled", job=True, steps=steps, log=log_of("x", "still running"))
    found = output(forge)
    assert (found.ran, found.steps) == (True, (("Tests", "still running"),))


def test_outcome_of_the_job_in_each_step_tells_none_apart(server: ScriptedForge, forge: Forge) -> None:
    # So does Gitea 1.24.
    steps = (("Set up job", "failure"), ("Tests", "failure"))
    server.check("acme/web", SHA, "build", "failure", job=True, steps=steps, log=log_of("one", "two"))
    assert output(forge).steps == (("build", "one\ntwo"),)


@pytest.mark.parametrize(
    ("state", "steps"),
    [
        ("failure", ()),  # no money, no runner
        ("cancelled", ()),
        ("cancelled", (("Set up job", "cancelled"), ("Tests", "skipped"))),
    ],
)
def test_job_that_executed_no_step_did_not_run(
    server: ScriptedForge, asking: Asking, state: str, steps: tuple[tuple[str, str], ...]
) -> None:
    why = "The job was not started because recent account payments have failed."
    said = ((".github", 1, "failure", why),)
    server.check("acme/web", SHA, "build", state, job=True, steps=steps, annotations=said)
    assert output(asking("github")) == CheckOutput(ran=False, steps=(), words=why)


@pytest.mark.parametrize("state", ["action_required", "startup_failure", "stale", "skipped"])
def test_state_that_means_no_step_shows_on_the_check(server: ScriptedForge, asking: Asking, state: str) -> None:
    server.check("acme/web", SHA, "build", state, job=True)
    github = asking("github")
    assert not only(github).ran
    assert not output(github).ran


@pytest.mark.parametrize("state", ["success", "failure", "timed_out", "cancelled", "in_progress", "neutral"])
def test_other_states_may_have_run(server: ScriptedForge, asking: Asking, state: str) -> None:
    server.check("acme/web", SHA, "build", state, job=True)
    assert only(asking("github")).ran


def test_words_of_an_application_come_with_what_it_says_of_lines(server: ScriptedForge, asking: Asking) -> None:
    server.check(
        "acme/web",
        SHA,
        "lint",
        "failure",
        run=True,
        title="2 errors",
        summary="See below.",
        text="long\ntext",
        annotations=(("a.py", 3, "failure", "too long"), ("a.py", 4, "notice", "nice"), ("b.py", 1, "failure", "bad")),
    )
    found = output(asking("github"))
    assert found.words == "2 errors\n\nSee below.\n\nlong\ntext\n\na.py:3: too long\nb.py:1: bad"
    assert (found.ran, found.steps) == (True, ())
    assert not server.asked("GET", "/logs")


def test_status_has_its_description_only(server: ScriptedForge, forge: Forge) -> None:
    server.check("acme/web", SHA, "ci/jenkins", "failure", description="3 tests failed")
    check = only(forge)
    server.requests.clear()
    assert forge.check_output("acme", "web", SHA, check) == CheckOutput(True, (), "3 tests failed")
    assert server.requests == []


def test_log_is_fetched_where_it_is_stored_without_the_token(server: ScriptedForge, asking: Asking) -> None:
    ident = server.check("acme/web", SHA, "build", "failure", job=True, steps=STEPS, log=LOG)
    assert output(asking("github")).steps[0][1] == TESTS
    (stored,) = server.store.requests
    assert (stored.path, stored.query) == (f"/logs/{ident}", {"sig": "a+b", "se": "2026"})
    assert "authorization" not in stored.headers
    assert TOKEN not in str(stored)
    assert all(TOKEN in request.headers["authorization"] for request in server.requests)


@pytest.mark.parametrize(
    "place", ["ftp://{store}/logs/1", "http://me:pw@{store}/logs/1", "http://[::1/x", "", "http://{store}:x/", "/"]
)
def test_unsafe_place_of_a_log_is_not_asked(server: ScriptedForge, asking: Asking, place: str) -> None:
    ident = server.check("acme/web", SHA, "build", "failure", job=True, steps=STEPS, log=LOG)
    where = place.format(store=server.store.host)
    server.answer("GET", f"/jobs/{ident}/logs", status=302, headers={"Location": where})
    assert output(asking("github")).steps == (("Run tests", None),)
    assert server.store.requests == []


def test_redirect_of_the_stored_log_is_not_followed(server: ScriptedForge, asking: Asking) -> None:
    ident = server.check("acme/web", SHA, "build", "failure", job=True, steps=STEPS, log=LOG)
    server.store.answers.clear()
    server.store.answer("GET", f"/logs/{ident}", status=302, headers={"Location": f"{server.url}/other"}, times=0)
    assert output(asking("github")).steps == (("Run tests", None),)
    assert not server.asked("GET", "/other")


def test_only_a_log_may_lie_on_another_host(server: ScriptedForge, asking: Asking) -> None:
    server.check("acme/web", SHA, "build", "failure", job=True, steps=STEPS, log=LOG)
    github = asking("github")
    check = only(github)
    server.answer("GET", f"/check-runs/{check.id}", status=302, headers={"Location": f"{server.store.url}/x"})
    with pytest.raises(ForgeBroken, match="does not follow"):
        github.check_output("acme", "web", SHA, check)
    assert server.store.requests == []


def test_log_of_a_repository_with_a_new_name_is_asked_with_the_token(server: ScriptedForge, asking: Asking) -> None:
    server.check("newco/site", SHA, "build", "failure", job=True, steps=STEPS, log=LOG)
    server.moved["acme/web"] = "newco/site"
    for kind in ("github", "gitea"):
        assert output(asking(kind)).steps == (("Run tests", TESTS),)


@pytest.mark.parametrize("status", [403, 404, 410, 500])
def test_log_that_cannot_be_had_is_none(server: ScriptedForge, forge: Forge, status: int) -> None:
    ident = server.check("acme/web", SHA, "build", "failure", job=True, steps=STEPS, log=LOG)
    server.answer("GET", f"/jobs/{ident}/logs", status=status, times=0)
    found = output(forge)
    assert (found.ran, found.steps) == (True, (("Run tests", None),))


@pytest.mark.parametrize(
    "script",
    [
        {"status": 403},
        {"status": 404},
        {"status": 429, "headers": {"Retry-After": "60"}},
        {"status": 503},
        {"cut": True},
    ],
)
def test_store_that_fails_leaves_the_log_out_and_the_forge_open(
    server: ScriptedForge, asking: Asking, script: dict[str, object]
) -> None:
    ident = server.check("acme/web", SHA, "build", "failure", job=True, steps=STEPS, log=LOG)
    server.store.answers.clear()
    server.store.answer("GET", f"/logs/{ident}", times=0, **script)
    github = asking("github")
    assert output(github).steps == (("Run tests", None),)
    assert only(github).state == "failure"


def test_store_that_fails_once_is_asked_again_by_a_new_url(server: ScriptedForge, asking: Asking) -> None:
    ident = server.check("acme/web", SHA, "build", "failure", job=True, steps=STEPS, log=LOG)
    server.store.answers.insert(0, server.store.answers.pop())
    server.store.answer("GET", f"/logs/{ident}", status=503)
    server.store.answers.reverse()
    assert output(asking("github")).steps == (("Run tests", TESTS),)
    assert len(server.asked("GET", f"/jobs/{ident}/logs")) == len(server.store.requests) == 2


def test_limit_of_the_forge_is_not_taken_for_a_missing_log(server: ScriptedForge, forge: Forge) -> None:
    ident = server.check("acme/web", SHA, "build", "failure", job=True, steps=STEPS, log=LOG)
    check = only(forge)
    server.answer("GET", f"/jobs/{ident}/logs", status=429, headers={"Retry-After": "60"})
    with pytest.raises(ForgeLimited):
        forge.check_output("acme", "web", SHA, check)


def test_end_of_a_log_without_measure_is_kept(server: ScriptedForge, asking: Asking, kind: str) -> None:
    noise = "\n".join("x" * 99 for _ in range(20_000))
    log = log_of("start", f"{noise}\nFAILED", "", "end")
    server.check("acme/web", SHA, "build", "failure", job=True, steps=STEPS, log=log)
    ((_, part),) = output(asking(kind, limits=Limits(log=100_000))).steps
    assert part is not None
    assert part.endswith("\nFAILED")
    assert 50_000 < len(part) < 100_000
    assert set(part.splitlines()) == {"x" * 99, "FAILED"}


def test_log_without_times_and_with_bytes_that_are_no_text_comes_whole(server: ScriptedForge, asking: Asking) -> None:
    ident = server.check("acme/web", SHA, "build", "failure", job=True, steps=STEPS, log="x")
    server.store.answers.clear()
    server.store.answer("GET", f"/logs/{ident}", body=b"one\n\x1b[31m\xff\nthree", content="text/plain")
    assert output(asking("github")).steps == (("Run tests", "one\n\x1b[31m\ufffd\nthree"),)


@pytest.mark.parametrize("place", ["/jobs/{}", "/annotations"])
def test_what_the_token_may_not_see_is_left_out(server: ScriptedForge, asking: Asking, place: str) -> None:
    said = ((".github", 1, "failure", "exit code 1"),)
    ident = server.check("acme/web", SHA, "build", "failure", job=True, steps=STEPS, log=LOG, annotations=said)
    server.answer("GET", place.format(ident), status=403, body={"message": "Resource not accessible"})
    found = output(asking("github"))
    assert found.ran
    assert (found.words, len(found.steps)) == (("exit code 1", 0) if "jobs" in place else ("", 1))


def test_run_that_a_step_of_a_job_reports_has_no_job(server: ScriptedForge, asking: Asking) -> None:
    ident = server.check("acme/web", SHA, "report", "failure", job=True, annotations=(("a.py", 1, "failure", "x"),))
    server.answer("GET", f"/actions/jobs/{ident}", status=404)
    assert output(asking("github")) == CheckOutput(True, (), "a.py:1: x")


def test_trouble_of_the_forge_is_a_failure_and_not_an_empty_output(server: ScriptedForge, forge: Forge) -> None:
    server.check("acme/web", SHA, "build", "failure", job=True, steps=STEPS, log=LOG)
    check = only(forge)
    for path in (f"/check-runs/{check.id}", "/actions/runs"):
        server.answer("GET", path, status=502, times=0)
    with pytest.raises(ForgeFailure):
        forge.check_output("acme", "web", SHA, check)


def test_rerun_replaces_the_run_before_it(server: ScriptedForge, forge: Forge) -> None:
    server.check("acme/web", SHA, "build", "failure", job=True, steps=STEPS, log=LOG)
    assert only(forge).state == "failure"
    server.check("acme/web", SHA, "build", "in_progress", job=True)
    assert only(forge).state == "pending"
    server.check("acme/web", SHA, "build", "success", job=True)
    assert only(forge).state == "success"


def states(forge: Forge) -> list[tuple[str, str, bool]]:
    """Name, state and `ran` of each check."""
    return [(check.name, check.state, check.ran) for check in forge.checks("acme", "web", SHA).items]


def test_pull_request_that_was_opened_again_has_the_runs_of_its_newest_suite(
    server: ScriptedForge, asking: Asking
) -> None:
    server.check("acme/web", SHA, "build", "failure", job=True, suite=1)
    server.check("acme/web", SHA, "build", "success", job=True, suite=2)
    assert states(asking("github")) == [("build", "success", True)]
    server.check("acme/web", SHA, "build", "failure", run=True, suite=3)  # another application's
    assert states(asking("github")) == [("build", "success", True), ("build", "failure", True)]


def test_run_of_the_push_does_not_hide_that_of_the_pull_request(server: ScriptedForge, asking: Asking) -> None:
    server.check("acme/web", SHA, "build", "failure", job=True, suite=1, event="pull_request")
    server.check("acme/web", SHA, "build", "success", job=True, suite=2, event="push")
    github = asking("github")
    assert sorted(states(github)) == [("build", "failure", True), ("build", "success", True)]
    assert github.checks("acme", "web", SHA).state == "failure"
    # Where the token may not see workflows, the newest of the name counts.
    server.answer("GET", "/actions/runs", status=403, times=0)
    assert states(github) == [("build", "success", True)]


@pytest.mark.parametrize("state", ["action_required", "startup_failure", "failure"])
def test_workflow_that_made_no_job_is_a_check_that_did_not_run(
    server: ScriptedForge, asking: Asking, state: str
) -> None:
    server.check("acme/web", SHA, "build", state, job=True, held=True, suite=1)
    server.check("acme/web", SHA, "lint", "success", run=True, suite=2)
    github = asking("github")
    assert states(github) == [("lint", "success", True), ("CI", "failure", False)]
    (check,) = [check for check in github.checks("acme", "web", SHA).items if not check.ran]
    assert check.url.endswith("/acme/web/actions/runs/1001")
    assert github.check_output("acme", "web", SHA, check) == CheckOutput(False, (), check.description)
    # Approved, or started again.
    server.check("acme/web", SHA, "build", "in_progress", job=True, suite=3)
    assert states(github) == [("lint", "success", True), ("build", "pending", True)]


@pytest.mark.parametrize(("state", "expected"), [("queued", [("CI", "pending", True)]), ("success", [])])
def test_workflow_without_a_job_yet_is_pending(
    server: ScriptedForge, asking: Asking, state: str, expected: list[tuple[str, str, bool]]
) -> None:
    server.check("acme/web", SHA, "build", state, job=True, held=True)
    assert states(asking("github")) == expected


def test_checks_of_another_commit_are_not_ours(server: ScriptedForge, forge: Forge) -> None:
    server.check("acme/web", "b" * 40, "build", "failure", job=True)
    assert forge.checks("acme", "web", SHA).state == "none"


def test_forgejo_gives_no_steps_and_the_whole_log(server: ScriptedForge, asking: Asking) -> None:
    server.repository("acme/web").feedback.flavour = "forgejo"
    server.check("acme/web", SHA, "build", "failure", job=True, steps=STEPS, log=LOG)
    found = output(asking("gitea"))
    assert found.ran
    assert found.steps == (("build", f"Current runner version\n{TESTS}\nCleaning up"),)


@pytest.mark.parametrize(("state", "ran"), [("failure", True), ("cancelled", False)])
def test_gitea_before_it_told_of_jobs_has_the_description_only(
    server: ScriptedForge, asking: Asking, state: str, ran: bool
) -> None:
    server.repository("acme/web").feedback.flavour = "none"
    server.check("acme/web", SHA, "build", state, job=True, steps=STEPS, log=LOG)
    words = {"failure": "Failing after 3s", "cancelled": "Has been cancelled"}[state]
    assert output(asking("gitea")) == CheckOutput(ran, (), words)


@pytest.mark.parametrize("flavour", ["gitea", "forgejo"])
def test_job_of_gitea_that_was_cancelled_before_its_start_did_not_run(
    server: ScriptedForge, asking: Asking, flavour: str
) -> None:
    server.repository("acme/web").feedback.flavour = flavour
    server.check("acme/web", SHA, "build", "cancelled", job=True)
    assert output(asking("gitea")) == CheckOutput(False, (), "Has been cancelled")


def test_progress_bar_of_a_log_stays_one_line(server: ScriptedForge, forge: Forge) -> None:
    bar = "10 %\r50 %\r100 %"
    server.check("acme/web", SHA, "build", "failure", job=True, steps=STEPS, log=log_of("start", bar, "", "end"))
    assert output(forge).steps == (("Run tests", bar),)


@pytest.mark.parametrize("year_1", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+02:00", None])
def test_step_that_did_not_begin_is_not_the_one_that_was_cancelled(year_1: str | None) -> None:
    # Gitea writes the year 1 for a time that there is not, GitHub null.
    began = {"started_at": "2026-01-01T12:00:00+02:00", "completed_at": "2026-01-01T10:00:05Z"}
    never = {"started_at": year_1, "completed_at": year_1}
    steps = [
        {"name": "Set up job", "conclusion": "success", **began},
        {"name": "Tests", "conclusion": "cancelled", **began},
        {"name": "Upload", "conclusion": "cancelled", **never},
    ]
    log = "2026-01-01T10:00:03Z running\n2026-01-01T10:00:09Z after"
    assert jobs.failing(Fields({"name": "build", "steps": steps}, "x"), log) == (("Tests", "running"),)
