"""What a log that hosts share promises, held against its table, each host's mirror, and what agents really did."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg

from fault_campaign import hosts_members, hosts_outside, journal
from fault_campaign.campaign import ENDS, git
from fault_campaign.host import Host
from fault_campaign.hosts_set_up import HostsSetUp
from fault_campaign.journal import Run
from kugetsu.domain.machines import FINISHED_TASK
from kugetsu.domain.state import State

#: Seconds after which a supervisor that runs has seen that its host may not work any more, and ended its agent.
NOTICED = 8.0


# --- while it goes on -------------------------------------------------------------------------------------------------


def unrest(hosts: Sequence[Host]) -> list[str]:
    """What is still to be done by itself."""
    states = [host.ws.state() for host in hosts]
    state = max(states, key=lambda one: one.seq)
    found = [
        f"{host.name} is at event {one.seq} of {state.seq}"
        for host, one in zip(hosts, states, strict=True)
        if one.seq != state.seq
    ]
    found += [f"{attempt} works" for attempt in state.attempts]
    found += [f"{task.id} of {task.issue} waits (held: {task.held})" for task in state.waiting()]
    for host in hosts:
        known = state.hosts[host.id]
        if not (known.takes_part and state.daemon_of(host.id).runs):
            found.append(f"{host.name} is {known.state}, its daemon {state.daemon_of(host.id).state}")
        found += [f"{worktree} on {host.name} was left behind" for worktree in known.left_behind]
        told = (attempt for attempt in known.away if Path(host.ws.paths.run(attempt)).is_dir())
        found += [f"what came of {attempt} on {host.name}, which was given away, is not told" for attempt in told]
    return found + hosts_outside.unrest(state)


# --- at the end -------------------------------------------------------------------------------------------------------


def broken(campaign: HostsSetUp) -> list[str]:
    """The promises that were not kept."""
    table = _table(campaign)
    events = [json.loads(line) for line in table]
    found = [*_mirrors(campaign, table), *_acknowledged(campaign, events), *_messages(events), *_attempts(events)]
    state = campaign.ws.state()
    found += [
        f"{task.id} is {task.state}"
        for task in state.tasks.values()
        if task.state not in FINISHED_TASK and task.id not in (one.id for one in state.waiting())
    ]
    found += [*hosts_members.broken(events), *hosts_outside.broken(campaign.folder, events, campaign.forges)]
    runs, people = (journal.read(f"{campaign.folder}/seen/{name}") for name in ("journal", "people"))
    campaign.done["runs of agents"], campaign.done["people at work"] = len(runs), len(people)
    found += _overlaps(campaign, events, runs)
    found += _commits(campaign, events, state, runs + people)
    found += [
        f"{host.name}: {session.key} has no worktree at {session.worktree}"
        for host in campaign.hosts
        for session in state.sessions.values()
        if session.host == host.id and session.worktree is not None and not Path(session.worktree).is_dir()
    ]
    for host in campaign.hosts:
        found += [f"{host.name}: {line}" for line in _errors(host)]
        found += [f"{host.name}: {name} is left" for name in os.listdir(host.temp) if name.startswith("kugetsu-q")]
    for event in events:
        if event["type"].startswith(("host.", "person.", "notice.", "pull.")) or event["type"] == "attempt.late":
            campaign.done[event["type"]] += 1
    return found


def _table(campaign: HostsSetUp) -> list[str]:
    with psycopg.connect(campaign.server.url(campaign.database)) as connection:
        rows = connection.execute("SELECT seq, line FROM kugetsu.events ORDER BY seq").fetchall()
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    return [row[1] for row in rows]


def _mirrors(campaign: HostsSetUp, table: list[str]) -> Iterator[str]:
    """Every mirror has the bytes of the table, and both its lines and its decisions verify."""
    lines = "".join(f"{line}\n" for line in table).encode()
    for host in campaign.hosts:
        parts = sorted(Path(host.directory, "log").glob("*.jsonl"))
        if b"".join(part.read_bytes() for part in parts) != lines:
            yield f"{host.name}: the mirror is not the table"
    for words in (("log", "verify"), ("replay", "--verify")):
        for host, command in [(host, host.type(*words)) for host in campaign.hosts]:
            code, out, err = command.answer()
            if code != 0:
                yield f"{host.name}: kugetsu {' '.join(words)}: exit {code}: {out}{err}"


def _acknowledged(campaign: HostsSetUp, events: list[dict[str, Any]]) -> Iterator[str]:
    """What a command said is in the table, by that very command."""
    campaign.done["acknowledged"] = len(campaign.acknowledged)
    for one in campaign.acknowledged:
        event = events[one.seq - 1] if one.seq <= len(events) else None
        if event is None or event["by"].get("pid") != one.pid:
            yield f"{one.command}: said that it appended event {one.seq}, which is {event}"


def _messages(events: list[dict[str, Any]]) -> Iterator[str]:
    """What was typed once is queued at most once."""
    queued = [event["data"] for event in events if event["type"] == "task.queued"]
    typed = Counter(data["message"] for data in queued if data["via"] != "intake")
    yield from (f"{count} tasks with {message!r}" for message, count in typed.items() if count > 1)


def _attempts(events: list[dict[str, Any]]) -> Iterator[str]:
    """Never two live attempts of one issue, or of one slot of a host, told from claims and outcomes alone."""
    live: dict[str, tuple[str, str, Any]] = {}
    for event in events:
        if event["type"] == "attempt.claimed":
            host, slot = event["facts"]["host"], event["data"]["slot"]
            for other, (issue, where, taken) in live.items():
                if issue == event["issue"]:
                    yield f"event {event['seq']}: {event['attempt']} and {other} work on {issue}"
                if (where, taken) == (host, slot):
                    yield f"event {event['seq']}: {event['attempt']} and {other} have slot {slot} of {host}"
            live[event["attempt"]] = (event["issue"], host, slot)
        elif event["type"] in ENDS and live.pop(event["attempt"], None) is None:
            yield f"event {event['seq']}: {event['attempt']} ends, and was not live"


# --- agents that really ran -------------------------------------------------------------------------------------------


def _overlaps(campaign: HostsSetUp, events: list[dict[str, Any]], runs: list[Run]) -> list[str]:
    """Two agents at work on one issue, except where the guide's limits say that it may be."""
    claims = {event["attempt"]: event for event in events if event["type"] == "attempt.claimed"}
    sure = {event["seq"] for event in events if event["type"] == "host.lost" and event["data"]["by"] is None}
    called = {event["attempt"] for event in events if event["type"] == "attempt.lost" and event["cause"] in sure}
    runs = sorted(runs, key=lambda run: claims[run.attempt]["seq"])
    found = []
    for place, later in enumerate(runs):
        for earlier in runs[:place]:
            if earlier.issue != later.issue:
                continue
            if earlier.moments[-1] < later.moments[0]:
                continue
            both = [moment for moment in earlier.moments if later.moments[0] <= moment <= later.moments[-1]]
            if not both:
                continue
            host = campaign.host_of(claims[earlier.attempt]["facts"]["host"])
            called_lost = "a person called its host lost" if earlier.attempt in called else None
            excuse = called_lost or _excuse(campaign, earlier, host, both)
            campaign.done[f"overlap: {excuse or 'of no excuse'}"] += 1
            about = (
                f"{earlier.attempt} on {host.name} and {later.attempt} both worked on {later.issue} for "
                f"{both[-1] - later.moments[0]:.1f} s at {both[0]:.1f}"
            )
            if excuse is not None:
                print(f"overlap, {excuse}: {about}")
                continue
            faults = [vars(fault) for fault in campaign.faults.of(host.name, earlier.attempt, "machine")]
            found.append(f"{about}; {host.name}: {faults}")
    return found


def _excuse(campaign: HostsSetUp, earlier: Run, host: Host, both: list[float]) -> str | None:
    """The limit that lets the earlier attempt's agent go on until the last of these moments; None for none."""
    began, last = earlier.moments[0], both[-1]
    for fault in campaign.faults.of(host.name):
        if fault.until < began or fault.since > last:
            continue
        if fault.what == "frozen" and last <= fault.until + campaign.ttl / 4 + NOTICED:
            return "its clocks stood still"
        if fault.what == "paused" and last <= fault.until + NOTICED:
            return "it had just been paused"
    for fault in campaign.faults.of(earlier.attempt):
        if fault.what in ("runner killed", "runner stopped"):
            return fault.what
    if any(fault.since <= last and fault.until >= both[0] - campaign.ttl for fault in campaign.faults.of("machine")):
        return "this machine was late"
    return None


def _commits(campaign: HostsSetUp, events: list[dict[str, Any]], state: State, runs: list[Run]) -> list[str]:
    """No commit is lost: it is on the server, or on the host that has the session, or on a branch that was told of."""
    pushed = {sha for forge in campaign.forges for sha in git(campaign.bare(forge), "rev-list", "--all").split()}
    here = {host.name: _commits_of(host) for host in campaign.hosts}
    told = {
        (event["data"]["host"], left["rescue"])
        for event in events
        if event["type"] == "host.returned"
        for left in event["data"]["worktrees"]
    }
    found = []
    for run in runs:
        for sha in run.commits:
            if sha in pushed:
                continue
            places = [host for host in campaign.hosts if sha in here[host.name]]
            if not places:
                found.append(f"commit {sha} of {run.attempt} is lost")
                continue
            campaign.done["commits on one host alone"] += 1
            session = state.sessions.get(run.issue)
            if session is None or any(session.host == host.id for host in places):
                continue
            if not any((host.id, branch) in told for host in places for branch in here[host.name][sha]):
                where = ", ".join(f"{host.name} ({here[host.name][sha]})" for host in places)
                found.append(f"commit {sha} of {run.attempt} is only on {where}, and nobody was told")
    return found


def _commits_of(host: Host) -> dict[str, list[str]]:
    """The commits of a host's clones, with the branches that hold each."""
    found: dict[str, list[str]] = {}
    for clone in Path(host.directory, "repositories").rglob("*.git"):
        for branch in git(str(clone), "for-each-ref", "--format=%(refname:short)").split():
            for sha in git(str(clone), "rev-list", branch).split():
                found.setdefault(sha, []).append(branch)
        for line in git(str(clone), "worktree", "list", "--porcelain").splitlines():
            if line.startswith("HEAD "):
                found.setdefault(line.split()[1], []).append("HEAD")
    return found


def _errors(host: Host) -> list[str]:
    """What must not be in a daemon's own log."""
    path = Path(host.directory, "logs", "daemon.log")
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    lines = text.splitlines()
    return ["\n".join(lines[place : place + 40]) for place, line in enumerate(lines) if "the dispatcher failed" in line]
