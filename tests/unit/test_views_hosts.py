"""A log that hosts share, on the screens: whose agents work where, and nothing of it where a log is one host's own."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

from kugetsu.domain.decide import claims, daemon, hosts, queue, sessions
from kugetsu.domain.scheduling import forecast
from kugetsu.host.paths import Paths
from kugetsu.model import clock
from kugetsu.runtime import heard
from kugetsu.runtime.query import contact
from kugetsu.runtime.query.points import Probes
from kugetsu.views import hosts as view
from kugetsu.views import sessions as session_list
from kugetsu.views import status, why
from kugetsu.views.screen import Screen
from property.simulation import ISSUES, PROCESS, World

ONE, TWO = "1" * 32, "2" * 32


def shown(world: World, facts: Any) -> list[str]:
    probes = Probes(lambda attempt: True if attempt.host in (None, ONE) else None, True, lambda _: None, [])
    data = status.collect(world.state, "/k", facts, probes)
    return status.lines(data, Screen(now=world.now, width=80))


def claim(world: World, number: int | None, host: str | None, facts: Any) -> None:
    """Queue a task of that issue, or of the PM agent, and claim it."""
    kind, issue = ("pm", None) if number is None else ("dev", ISSUES[number])
    given: Any = {"kind": kind, "issue": issue, "message": "go", "via": "enqueue"}
    task = world.do(partial(queue.enqueue, **given))[0]["task"]
    offer = claims.ClaimRequest("lease", {**PROCESS, "host": host} if host is not None else PROCESS)
    assert world.do(lambda state: claims.claim(state, task, offer, facts))


def test_agents_of_other_hosts_stand_below_this_hosts_slots() -> None:
    world = World()
    world.warmup = 0.0
    for host, name in ((ONE, "one"), (TWO, "two")):
        world.do(partial(hosts.join, host=host, term=1, name=name, labels=[], cap=2))
        world.do(partial(daemon.started, identity={**PROCESS, "host": host}, lease=f"d-{name}"))
    facts = {host: {**world.claim_facts("daemon"), "host": host, "term": 1} for host in (ONE, TWO)}
    claim(world, 0, ONE, facts[ONE])
    claim(world, 1, TWO, facts[TWO])
    rows = [line.split()[:2] for line in shown(world, facts[ONE])]
    assert ["1", "q1"] in rows and ["2", "-"] in rows and ["two:1", "q2"] in rows
    assert any("1/2" in line or "1 of 2" in line for line in shown(world, facts[ONE])), "its own slots"


def test_what_is_only_on_a_lost_host_fits_the_screen() -> None:
    work = {"session": "git.example.com/owner/project#142", "branch": "fix/issue-142", "head": "a" * 40}
    work["worktree"] = "/home/ben/.kugetsu/worktrees/git.example.com+owner+project+142"
    host = {"host": TWO, "name": "two", "state": "lost", "here": False, "used": 0, "cap": 1}
    host |= {"heard_seconds": None, "labels": []}
    shown = view.listed(Screen(width=80), [{**host, "rests": False, "only_there": [work]}])
    assert all(len(line) <= 80 for line in shown)
    assert work["worktree"] in "\n".join(shown), "a path stays in one piece"


def test_hosts_of_one_name_are_told_apart_by_their_ids() -> None:
    world = World()
    for host, name in ((ONE, "vm"), (TWO, "vm"), ("3" * 32, "box")):
        world.do(partial(hosts.join, host=host, term=1, name=name, labels=[], cap=2))
    screen = Screen(now=world.now, width=80)
    listed = view.listed(screen, view.rows(world.state, ONE, contact.Contact({})))[1:]
    lines = view.lines(view.collect(world.state, ONE, None), screen, world.now)
    for host, name in ((listed, 0), (lines, len("hosts   "))):
        assert sorted(row[name:].partition("  ")[0] for row in host) == ["box", "vm (11111111)", "vm (22222222)"]


def test_a_list_names_the_host_of_a_base_session() -> None:
    world = World()
    world.do(partial(hosts.join, host=TWO, term=1, name="two", labels=[], cap=2))
    key = sessions.base_key("example.org/o/a", TWO)
    world.do(partial(sessions.request, key=key, kind="base", repository="example.org/o/a"))
    world.state.sessions[key].host = TWO
    data = session_list.listed(world.state, lambda _: None, True)
    shown = "\n".join(session_list.lines(data, Screen(now=world.now, width=80), world.now))
    assert "example.org/o/a@two" in shown and TWO not in shown


def test_the_pm_agent_uses_no_slot_of_its_host() -> None:
    world = World()
    world.do(partial(hosts.join, host=ONE, term=1, name="one", labels=[], cap=2))
    world.do(partial(daemon.started, identity={**PROCESS, "host": ONE}, lease="d-one"))
    facts = {**world.claim_facts("daemon"), "host": ONE, "term": 1}
    claim(world, 0, ONE, facts)
    claim(world, None, ONE, facts)
    (row,) = view.rows(world.state, ONE, contact.Contact({}))
    assert row["live"] == ["q1.1", "q2.1"]
    assert "1 of 2" in view.listed(Screen(width=80), [row])[1]


def test_why_says_what_holds_a_task_back_on_each_host() -> None:
    world = World()
    for host, name, labels in ((ONE, "one", []), (TWO, "two", ["gpu"])):
        world.do(partial(hosts.join, host=host, term=1, name=name, labels=labels, cap=2))
        world.do(partial(daemon.started, identity={**PROCESS, "host": host}, lease=f"d-{name}"))
    given: Any = {"kind": "dev", "issue": ISSUES[0], "message": "go", "via": "enqueue", "options": {"labels": ["gpu"]}}
    task = world.state.tasks[world.do(partial(queue.enqueue, **given))[0]["task"]]
    facts: Any = {**world.claim_facts("daemon"), "host": ONE, "term": 1}
    data = why.about_task(task, None, forecast(world.state, task, facts, lambda _: 1.0), [])
    lines = why.task_lines(data, Screen(now=world.now, width=80))
    assert "  on one  host: one does not offer gpu" in lines
    assert "  on two  nothing holds it back there" in lines


def test_a_host_whose_daemon_has_just_started_was_heard_of_since(tmp_path: Path, monkeypatch: Any) -> None:
    world = World()
    for host, name in ((ONE, "one"), (TWO, "two")):
        world.do(partial(hosts.join, host=host, term=1, name=name, labels=[], cap=2))
    world.do(partial(daemon.started, identity={**PROCESS, "host": TWO}, lease="d-two"))
    paths = Paths(str(tmp_path))
    os.makedirs(paths.leases)
    heard.write(paths.leases, heard.Heard(world.now, world.now, {ONE: 190.0, TWO: 217.0}))
    monkeypatch.setattr(contact, "is_shared", lambda _: True)
    monkeypatch.setattr(contact.lease, "alive", lambda *_: True)
    since = clock.add_seconds(world.state.daemon_of(TWO).changed_at, 3.0)
    assert contact.known(paths, world.state, since).silent == {ONE: 190.0, TWO: 3.0}
    heard.write(paths.leases, heard.Heard(world.now, world.now, refused="this kugetsu is too old"))
    told = view.lack(contact.known(paths, world.state, since), since)
    assert told == ("log", "read-only", "this kugetsu is too old", "kugetsu doctor")


def test_one_host_sees_no_hosts() -> None:
    world = World()
    claim(world, 0, None, world.claim_facts())
    assert not any("host" in line for line in shown(world, world.claim_facts()))


def test_status_has_a_line_for_each_host_that_says_what_is_out_of_the_ordinary() -> None:
    world = World()
    for number, name in enumerate(("one", "two", "a-host-with-a-longer-name"), 1):
        host = str(number) * 32
        world.do(partial(hosts.join, host=host, term=1, name=name, labels=[], cap=2))
        world.do(partial(daemon.started, identity={**PROCESS, "host": host}, lease=f"d-{name}"))
    world.do(partial(hosts.drain, host=TWO, term=1, reason="a person"))
    known = contact.Contact({ONE: 0.1, TWO: 12.0, "3" * 32: 190.0})
    data = view.collect(world.state, ONE, known)
    for width in (80, 40):
        told = view.lines(data, Screen(now=world.now, width=width), world.now)
        assert max(map(len, told)) <= width
        text = " ".join(" ".join(told).split())
        assert text.startswith("hosts one 0 of 2 this host a-host-with-a-longer-name 0 of 2 not heard of for 3m10s")
        assert text.endswith("two 0 of 2 draining")
    world.do(partial(hosts.leave, host=TWO, term=1, reason="-"))
    told = view.lines(view.collect(world.state, ONE, known), Screen(now=world.now, width=80), world.now)
    assert len(told) == 2 and not any("two" in line for line in told)


def test_a_screen_that_is_not_of_now_says_since_when_and_why() -> None:
    now = "2026-11-23T10:03:00.000000Z"
    then = "2026-11-23T10:00:00.000000Z"
    assert view.lack(contact.Contact({}), now) is None
    away = view.lack(contact.Contact({}, "away", then, "no route"), now)
    assert away is not None
    assert away[1:] == ("away", "what other hosts did is shown as of 10:00, 3m00s ago: no route", "kugetsu doctor")
    alone = view.lack(contact.Contact({}, "daemon"), now)
    assert alone is not None and "of an unknown time" in alone[2] and alone[3] == "kugetsu queue-daemon start"
