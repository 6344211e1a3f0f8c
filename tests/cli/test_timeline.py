"""`kugetsu timeline`: who held which slot when, as text, as a picture, as a page."""

from __future__ import annotations

import json
import re
import stat
from xml.etree import ElementTree

import pytest

from cli.conftest import AGENT, RUNNER
from kugetsu.domain.decide import attempts, queue


@pytest.fixture
def night(story):
    """Two slots, a failure that is tried again, a task that waits for a slot, a daemon that is lost."""
    story.at("22:00:00", "kugetsu queue-daemon").daemon(alive=False)
    first = story.run(story.enqueue("first", issue="github.com/shoko/kugetsu#1"))
    story.at("22:01:00")
    second = story.run(story.enqueue("second", issue="github.com/shoko/kugetsu#2"))
    third = story.enqueue("third", issue="github.com/shoko/kugetsu#3")
    held = {"gate": "slots", "reason": "2 of 2 slots used", "rests_on": 3, "until": None}
    from kugetsu.domain.new_event import NewEvent

    story.do(lambda state: [NewEvent("task.held", held, task=third, issue="github.com/shoko/kugetsu#3")])
    story.at("22:20:00").finish(first, "fail", "retry", "tests <b>do</b> not pass & so on")
    story.at("22:30:00").run("q1")
    story.at("22:40:00").finish(second, "succeed", "done", "2 commits, pushed")
    story.run(third)
    story.at("22:50:00").finish("q1.2", "succeed", "done", "1 commit, pushed")
    story.at("23:00:00").finish("q3.1", "lose", "retry", "its runner was killed")
    story.do(lambda state: queue.cancel(state, third, "cancel"))
    return story


#: What came of each run of `results`: evidence, the agent's last sentence, how it ended, and how that is called.
PULL = {"number": 92, "url": "https://example.com/pulls/92", "state": "open", "checks": "success", "draft": False}
VERIFIED = {
    "code": "failed",
    "command": "make test",
    "exit": 2,
    "seconds": 20.0,
    "began": "2026-11-23T22:41:30.000000Z",
    "ended": "2026-11-23T22:43:00.000000Z",
}
RUNS = [
    ({"commits": 2, "pushed": True, "pull": PULL}, "Done.", "succeed", "pull_request"),
    ({"commits": 1, "pushed": True}, "Done.", "succeed", "pushed"),
    ({"commits": 1, "pushed": False}, "Done.", "succeed", "kept"),
    ({"commits": 0, "dirty": 2}, "Done.", "succeed", "kept"),
    ({"commits": 0, "dirty": 0}, "In memory <or> on disk?", "succeed", "question"),
    ({"commits": 0, "dirty": 0}, "Nothing to do.", "succeed", "nothing"),
    ({"commits": 0, "dirty": 0, "findings": "FINDINGS.md"}, "See the file.", "succeed", "answered"),
    ({"commits": 1, "pushed": True, "verification": VERIFIED}, "Done.", "succeed", "checks_failed"),
    ({"commits": 0}, "", "fail", "failed"),
    ({}, "", "lose", "lost"),
]


@pytest.fixture
def results(story):
    """A night in which every run came to something else."""
    story.at("22:00:00", "kugetsu queue-daemon").daemon()
    for number, (evidence, said, how, _) in enumerate(RUNS, 1):
        issue = f"github.com/shoko/kugetsu#{number}"
        story.at(f"22:{5 * number:02}:00")
        attempt = story.run(story.enqueue(f"the title <i>of</i> issue {number}", issue=issue))
        ending = {"evidence": evidence, "outcome": {"final_text": said}}
        verdict = "done" if how == "succeed" else "give_up"
        story.at(f"22:{5 * number + 3 + number % 3:02}:30").finish(attempt, how, verdict, "tests do not pass", **ending)
    return story


SVG = "{http://www.w3.org/2000/svg}"


def test_a_run_is_coloured_and_named_by_its_result(kugetsu, results, snapshot, fits):
    shown = kugetsu("timeline", at="23:00:00")
    assert shown.code == 0 and fits(shown.out)
    path = kugetsu.work / "night.svg"
    assert kugetsu("timeline", "--svg", str(path), at="23:00:00").code == 0
    root = ElementTree.fromstring(path.read_text())
    drawn = [
        f"{rect.get('class')}: {(group.find(SVG + 'title').text or '').replace(chr(10), ' / ')}"
        for group in root.iter(f"{SVG}g")
        if group.get("class") == "run"
        for rect in group.iter(f"{SVG}rect")
    ]
    assert [one.partition(":")[0] for one in drawn] == [kind for *_, kind in RUNS]
    legend = next(group for group in root.iter(f"{SVG}g") if group.get("class") == "legend")
    words = [text.text for text in legend.iter(f"{SVG}text")]
    snapshot("timeline-results", "\n".join([shown.out, *drawn, f"legend: {', '.join(words)}", ""]))


def test_the_page_names_its_colours_and_its_runs_can_be_reached_by_the_keyboard(kugetsu, results):
    path = kugetsu.work / "night.html"
    assert kugetsu("timeline", "--html", str(path), at="23:00:00").code == 0
    page = path.read_text()
    assert page.count('<g class="run" tabindex="0">') == len(RUNS) and "the title &lt;i&gt;of" in page
    colours = {name for *_, name in RUNS}
    styled = set(re.findall(r"\.([a-z_]+)[^{}]*\{ fill: #", page))
    assert colours <= styled and all(f'<rect class="{name}" width="12"' in page for name in colours)


def test_a_pull_request_that_kugetsu_opened_after_the_run_is_its_result(kugetsu, results):
    key = "github.com/shoko/kugetsu#2"
    data = {"url": "https://example.com/pulls/93", "number": 93, "head": "abc", "found": False}
    from kugetsu.domain.new_event import NewEvent

    intent = {"head": "abc", "branch": "fix/issue-14", "base": "main", "title": "t", "draft": False}
    for kind, values in (("pull.opening", intent), ("pull.opened", data)):
        results.do(lambda _, k=kind, v=values: [NewEvent(k, v, task="q2", issue=key, session=key)])
    run = next(one for one in kugetsu("timeline", "--json", at="23:00:00").json["holdings"] if one["task"] == "q2")
    assert run["result"]["kind"] == "pull_request" and run["result"]["pull"]["number"] == 93
    assert run["title"] == "the title <i>of</i> issue 2"


def test_the_picture_and_the_list(kugetsu, night, snapshot, fits):
    shown = kugetsu("timeline", at="23:10:00")
    assert shown.code == 0
    snapshot("timeline", shown.out)


@pytest.mark.parametrize("columns", ["40", "60", "132"])
def test_it_fits_any_screen(kugetsu, night, columns):
    shown = kugetsu("timeline", at="23:10:00", COLUMNS=columns)
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert ("slot 1  " in shown.out) == (columns != "40"), "below 44 columns only the list is shown"
    assert max(map(len, lines)) <= max(int(columns), 62)


def test_a_part_of_it_begins_with_what_was_live_then(kugetsu, night):
    data = kugetsu("timeline", "--since", "2026-11-23T22:20:05Z", "--until", "2026-11-23T22:45:00Z", "--json").json
    assert [one["attempt"] for one in data["holdings"]] == ["q2.1", "q1.2", "q3.1"]
    assert {(one["task"], one["gate"]) for one in data["holds"]} == {("q1", "backoff"), ("q3", "slots")}
    assert data["holdings"][1]["until"] is None, "its end lies behind --until"


def test_only_one_issue(kugetsu, night):
    data = kugetsu("timeline", "shoko/kugetsu#1", "--json", at="23:10:00").json
    assert {one["task"] for one in data["holdings"]} == {"q1"}
    assert {one["task"] for one in kugetsu("timeline", "q3", "--json", at="23:10:00").json["holdings"]} == {"q3"}


def test_the_pm_session_is_asked_for_by_its_name(kugetsu, night):
    night.at("23:02:00")
    task = night.enqueue("look at what failed", issue=None)
    night.run(task)
    data = kugetsu("timeline", "pm", "--json", at="23:10:00").json
    assert [(one["task"], one["slot"]) for one in data["holdings"]] == [(task, None)]
    assert kugetsu("timeline", "pm", at="23:10:00").code == 0


@pytest.mark.parametrize("name", ["q99", "q1.9", "shoko/kugetsu#99", "pm"])
def test_of_what_never_was_is_not_said_that_it_did_nothing(kugetsu, night, name):
    shown = kugetsu("timeline", name, at="23:10:00")
    assert shown.code == 4 and "nothing ever happened to" in shown.err and "hint: kugetsu" in shown.err, shown


def test_the_svg_is_whole_private_and_says_what_the_pointer_meets(kugetsu, night):
    path = kugetsu.work / "night.svg"
    assert kugetsu("timeline", "--svg", str(path), at="23:10:00").out == f"wrote {path}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    root = ElementTree.fromstring(path.read_text())
    titles = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert any("q1.1" in text and "tests <b>do</b> not pass & so on" in text for text in titles)
    assert any("q1.2 (tried again)" in text for text in titles)
    assert any("q3 waits (slots)" in text for text in titles)


def test_the_page_loads_nothing_and_runs_nothing_that_was_written_by_others(kugetsu, night):
    path = kugetsu.work / "night.html"
    assert kugetsu("timeline", "--html", str(path), at="23:10:00").code == 0
    page = path.read_text()
    assert "<b>do</b>" not in page and "&lt;b&gt;do&lt;/b&gt;" in page
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)\s*=|@import|url\(|fetch\(|https?://(?!www\.w3\.org/2000/svg)", page)


def test_a_file_that_is_there_is_not_written_over(kugetsu, night):
    path = kugetsu.work / "night.svg"
    path.write_text("mine")
    shown = kugetsu("timeline", "--svg", str(path))
    assert shown.code == 5 and "--force" in shown.err
    assert path.read_text() == "mine"
    assert kugetsu("timeline", "--svg", str(path), "--force").code == 0
    shown = kugetsu("timeline", "--svg", str(kugetsu.work / "nowhere" / "x.svg"))
    assert shown.code == 1 and "cannot write" in shown.err and "hint:" in shown.err


def test_nothing_to_show_says_so(kugetsu, story):
    shown = kugetsu("timeline")
    assert (shown.code, shown.out) == (0, "no agent ran and nothing waited in that time\n")
    assert "--since" in shown.err


def test_a_task_that_is_parked_and_said_to_be_so_is_one_and_its_wait_ends_at_its_time(kugetsu, parked):
    """The daemon says of what is parked that it is; nobody looks when its time comes."""
    from kugetsu.domain.new_event import NewEvent

    held = {"gate": "parked", "reason": "parked by a limit", "rests_on": 11, "until": "2026-11-23T12:01:00.000000Z"}
    parked.do(lambda _: [NewEvent("task.held", held, task="q1", issue="github.com/shoko/kugetsu#14")])
    data = kugetsu("timeline", "--json", at="13:00:00").json
    [hold] = [one for one in data["holds"] if one["gate"] == "parked"]
    assert (hold["since"][11:16], hold["until"][11:16], hold["seq"]) == ("10:41", "12:01", 11)
    [row] = [line for line in kugetsu("timeline", at="13:00:00").out.splitlines() if line.startswith("parked")]
    assert set(row.removeprefix("parked").strip()) == {"1"} and len(row) < 80 - 20, "empty from 12:01 on"
    begun = kugetsu("timeline", "--since", "2026-11-23T11:00", "--until", "2026-11-23T12:30", "--json").json["holds"]
    assert [(one["since"][11:16], one["until"][11:16]) for one in begun if one["gate"] == "parked"] == [
        ("11:00", "12:01")
    ]
    after = kugetsu("timeline", "--since", "2026-11-23T12:10", "--json", at="13:00:00").json["holds"]
    assert {one["gate"] for one in after} <= {"daemon"}


def test_a_digit_counts_tasks_and_not_how_often_each_was_held(kugetsu, night):
    from kugetsu.domain.new_event import NewEvent

    night.at("23:01:00", "kugetsu queue-daemon")
    night.daemon()
    task = night.enqueue("fourth", issue="github.com/shoko/kugetsu#4")
    for number in range(3):
        held = {"gate": "slots", "reason": f"2 of 2 slots used, {number}", "rests_on": 3, "until": None}
        night.do(lambda _, held=held: [NewEvent("task.held", held, task=task, issue="github.com/shoko/kugetsu#4")])
    shown = kugetsu("timeline", "--since", "2026-11-23T22:55", at="23:10:00")
    [row] = [line for line in shown.out.splitlines() if line.startswith("slots")]
    assert set(row.removeprefix("slots").strip()) == {"1"}


def test_from_zero_on_is_from_the_first_event_on(kugetsu, night):
    data = kugetsu("timeline", "--since", "0", "--json", at="23:10:00").json
    assert data == kugetsu("timeline", "--since", "1", "--json", at="23:10:00").json
    assert data["since"] == "2026-11-23T09:00:00.000000Z" and len(data["holdings"]) == 4


@pytest.mark.parametrize("command", ["timeline", "audit"])
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--until", "0"), 4, "nothing was recorded yet: the log begins with event 1"),
        (("--until", "2026-11-22"), 4, "nothing was recorded yet"),
        (("--until", "2030-01-01"), 3, "'2030-01-01' is in the future"),
        (("--since", "2030-01-01"), 3, "'2030-01-01' is in the future"),
    ],
)
def test_a_point_without_a_state_is_told_as_everywhere(kugetsu, night, command, words, code, said):
    shown = kugetsu(command, *words, at="23:10:00")
    assert shown.code == code and said in shown.err and shown.out == "", shown
    if code == 3:
        assert f"hint: drop {words[0]}" in shown.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--since", "soon"), 3),
        (("--since", "900"), 4),
        (("--since", "@", "--until", "1"), 3),
        (("what is this",), 3),
    ],
)
def test_bad_input_is_refused(kugetsu, night, words, code):
    shown = kugetsu("timeline", *words)
    assert shown.code == code and "hint:" in shown.err


def test_what_waits_for_a_daemon_that_died_is_drawn_before_and_after_somebody_recorded_it(kugetsu, story, fits):
    story.at("22:00:00", "kugetsu queue-daemon").daemon(alive=False)
    story.at("22:10:00", "kugetsu queue enqueue").enqueue()
    shown = kugetsu("timeline", "--since", "2026-11-23T22:00", at="22:20:00")
    assert shown.code == 0 and fits(shown.out)
    rows = {line[:9].strip(): line[11:].rstrip() for line in shown.out.splitlines()}
    assert set(rows["no daemon"].strip()) == {"1"}
    assert rows["daemon"].endswith("!")
    assert rows["no daemon"].index("1") - len(rows["daemon"]) in (-1, 0), "where the one ends the other begins"
    story.at("22:30:00", "kugetsu queue-daemon").daemon(alive=True)
    story.run("q1")
    data = kugetsu("timeline", "q1", "--json", at="22:40:00").json
    assert [(one["gate"], one["since"][11:16], one["until"][11:16]) for one in data["holds"]] == [
        ("daemon", "22:10", "22:30")
    ]
    assert [(one["end"], (one["until"] or "")[11:16]) for one in data["daemon"]] == [("lost", "22:10"), (None, "")]


def test_a_task_that_waits_for_nothing_known_is_not_nothing(kugetsu, story):
    story.at("22:00:00", "kugetsu queue-daemon").daemon(alive=True)
    story.at("22:10:00", "kugetsu queue enqueue").enqueue()
    shown = kugetsu("timeline", at="22:20:00")
    assert "1 task waited, the reason is not recorded: kugetsu why q1" in shown.out
    assert "nothing waited" not in shown.out
    assert "nothing waited" in kugetsu("timeline", "--until", "2026-11-23T22:05", at="22:20:00").out


def test_picture_and_page_are_not_written_over_each_other(kugetsu, night):
    path = kugetsu.work / "night"
    shown = kugetsu("timeline", "--svg", str(path), "--html", "./night", "--force")
    assert shown.code == 3 and "the same file" in shown.err
    assert not path.exists()


@pytest.fixture
def loop(kugetsu, story):
    """A worktree that could not be made ready, and one turn that answers a check, on a worktree that could."""
    from kugetsu.domain import loops
    from kugetsu.domain.decide import reactions
    from kugetsu.domain.new_event import NewEvent

    issue = "github.com/shoko/kugetsu#14"
    made = {"worktree": "/w", "sha": "5e7", "command": "make deps", "seconds": 120.0, "copied": 0, "notes": []}
    facts = {"now": "2026-11-23T23:00:00.000000Z", "kinds": ["checks"], "delay_seconds": 0, "max_reactions": 5}
    item = {"id": "c:1", "kind": "checks", "counts": True, "name": "lint", "text": "red", "url": "u", "log": None}

    def begin(task, code, exit_code, ready):
        attempt = story.claim(task)
        story.do(lambda state: attempts.starting(state, attempt, RUNNER))
        if story.log.state().sessions[issue].state == "requested":
            story.prepare(issue, attempt)
        about = {"issue": issue, "task": task, "attempt": attempt, "session": issue}
        data = {**made, "code": code, "exit": exit_code}
        story.at(ready).do(lambda _: [NewEvent("worktree.set_up", data, **about)])
        return attempt

    def react(state):
        turn = loops.next_turn(state, state.sessions[issue], facts)
        return reactions.react(state, issue, "New feedback, turn 1 of at most 5", turn.items, facts)

    story.at("22:00:00", "kugetsu queue-daemon").daemon()
    first = begin(story.enqueue("one", issue=issue), "failed", 7, "22:03:00")
    ending = {"evidence": {"set_up": {"code": "failed", "exit": 7}}}
    story.finish(first, "fail", "give_up", "not started: make deps failed (exit 7)", **ending)
    second = begin(story.at("22:10:00").enqueue("two", issue=issue), "done", 0, "22:12:30")
    story.do(lambda state: attempts.running(state, second, AGENT, "ses_9f3bc0ffee1234", "/w", "opencode"))
    story.at("22:20:00").finish(second, "succeed", "done", "done", evidence={"commits": 1, "pushed": True})
    story.at("22:30:00").do(lambda state: reactions.observe(state, issue, "u", "abc", [item], []))
    story.do(react)
    third = story.run("q3")
    ending = {"evidence": {"commits": 1, "pushed": True, "verification": VERIFIED}, "outcome": {"final_text": "Done."}}
    story.at("22:43:30").finish(third, "succeed", "done", "done", **ending)
    return story


def test_set_up_verification_and_turns_are_shown(kugetsu, loop, snapshot, fits):
    shown = kugetsu("timeline", at="23:00:00", COLUMNS="80")
    assert fits(shown.out)
    snapshot("timeline-loop", shown.out)
    held = kugetsu("timeline", "--json", at="23:00:00").json["holdings"]
    assert [(run["turn"], (run["set_up"] or {}).get("code")) for run in held] == [
        (None, "failed"),
        (None, "done"),
        (1, None),
    ]
    assert held[1]["set_up"]["since"] == "2026-11-23T22:10:30.000000Z"
    verified = {"since": VERIFIED["began"], "until": VERIFIED["ended"], "code": "failed"}
    assert [run["verified"] for run in held] == [None, None, verified]
    path = kugetsu.work / "night.svg"
    assert kugetsu("timeline", "--svg", str(path), at="23:00:00").code == 0
    drawn = [rect.get("class") for rect in ElementTree.fromstring(path.read_text()).iter(f"{SVG}rect")]
    assert drawn.count("sets_up") == 3 and drawn.count("verifies") == 2  # each once in the legend


def test_a_trace_has_spans_of_set_up_and_verification(kugetsu, loop):
    exported = [json.loads(line) for line in kugetsu("log", "export", "--otlp").out.splitlines()]
    scopes = [scope for one in exported for resource in one["resourceSpans"] for scope in resource["scopeSpans"]]
    spans = [span for scope in scopes for span in scope["spans"]]
    names = {span["spanId"]: span["name"] for span in spans}
    found = [
        (span["name"], names[span["parentSpanId"]], span["status"].get("message", ""))
        for span in spans
        if span["name"] in ("set-up", "verification")
    ]
    failed = ("set-up", "starting", "failed")
    assert found == [failed, ("set-up", "starting", ""), ("verification", "running", "failed")]
    took = [int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]) for span in spans if span["name"] == "set-up"]
    assert took == [120 * 10**9] * 2
