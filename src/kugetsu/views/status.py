"""One screen: is it set up, does the daemon run, who holds which slot, what waits, what needs attention."""

from __future__ import annotations

from kugetsu.domain import capacity_gates, gates, scheduling
from kugetsu.domain.state import SETUP
from kugetsu.domain.task_options import facts_of, problem_key
from kugetsu.domain.task_options import label as label_of
from kugetsu.model.clock import pause_lasts
from kugetsu.model.plural import counted
from kugetsu.views import attached, queue, times
from kugetsu.views import gates as words
from kugetsu.views.tables import Column, table
from kugetsu.views.text import columns, cut, line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.facts import ClaimFacts
    from kugetsu.domain.state import Attempt, State, Task
    from kugetsu.runtime.query.points import Asked, Probes
    from kugetsu.views.asking import Asking
    from kugetsu.views.screen import Screen
    from kugetsu.views.status_data import AgentData, Attention, DaemonData, NextData, StatusData


#: A task that was held back this long, in seconds, though nothing says until when, needs attention.
HELD_LONG = 600
#: How many waiting tasks are asked for the next dispatch, and how many entries of one sort the attention list has.
LOOKED_AT = 100
LISTED = 5
#: Gates that hold back every task alike: the first closed one answers for all that come behind it.
_FOR_ALL = ("daemon", "slots", "memory", "disk", "stagger", gates.QUEUE_WIDE)
#: Gates that are no news of one task: the slots are full, or a line of the list tells of all that it holds back.
_ONCE_FOR_ALL = ("slots", "daemon", "paused", "agent", "provider")


def collect(state: State, directory: str, facts: ClaimFacts, probes: Probes, as_of: Asked | None = None) -> StatusData:
    """Everything that the screen shows, as JSON values; ``as_of`` the point that it tells of, when it is not now."""
    live = sorted(state.attempts.values(), key=lambda attempt: (attempt.slot or 1 << 30, attempt.claimed))
    agents = [_agent(state, attempt, probes) for attempt in live]
    daemon = daemon_data(state, probes.daemon_alive, facts.get("host"), stopped=probes.daemon_stopped)
    waiting = state.waiting()
    attention = [_entry("config", "unknown", text, "kugetsu config list") for text in probes.warnings[:LISTED]]
    if gates.set_back(state, facts["now"]):
        behind = times.duration(times.since(facts["now"], state.latest))
        attention.append(_entry("clock", "set back", f"it is {behind} behind the log's latest event", "kugetsu doctor"))
    if as_of is None and facts.get("free_disk_mb") == 0:
        import shlex

        said = "less than 1 MB is free: starts fail, and ends cannot be recorded"
        attention.append(_entry("disk", "full", said, f"df -h {shlex.quote(directory)}"))
    attention += _of_this_host(state, facts.get("host"))
    asks, to_review = _asking(state)
    return {
        "initialised": bool(state.initialised),
        "directory": directory,
        "now": facts["now"],
        "seq": state.seq,
        "daemon": daemon,
        "cap": facts["cap"],
        "live": len(capacity_gates.live_here(state, facts)),
        "agents": agents,
        "attached": attached.collect(state),
        "queue": queue.counts(state),
        "unacknowledged": queue.unacknowledged(state),
        "next": _next(state, waiting, facts),
        "asks": asks,
        "to_review": to_review,
        "attention": attention + _attention(state, agents, daemon, waiting, facts),
        "forges": [],
        "hosts": [],
        "as_of": as_of,
    }


def _asking(state: State) -> tuple[Asking, Asking]:
    """The issues that ask something, and those whose work is to be reviewed."""
    if all(one.review == "none" and one.result_kind != "question" for one in state.sessions.values()):
        return {"count": 0, "issues": [], "command": None}, {"count": 0, "issues": [], "command": None}
    from kugetsu.views import asking

    return asking.collect(state)


def _of_this_host(state: State, host: str | None) -> list[Attention]:
    """Why this host starts nothing, where a person has said so."""
    here = state.hosts.get(host or "")
    if here is None or here.state not in ("draining", "left"):
        return []
    if here.state == "left":
        return [_entry("host", "left", "it takes part in the shared log no more", "kugetsu host join")]
    return [_entry("host", "draining", "it starts nothing new", "kugetsu host undrain")]


def _host(state: State, attempt: Attempt) -> str | None:
    host = state.hosts.get(attempt.host or "")
    return host.name if host is not None else None


def _agent(state: State, attempt: Attempt, probes: Probes) -> AgentData:
    seen = probes.progress(attempt)
    return {
        "slot": attempt.slot,
        "attempt": attempt.id,
        "task": attempt.task,
        "issue": attempt.issue,
        "state": attempt.state,
        "alive": probes.alive(attempt),
        "host": _host(state, attempt),
        "stopping": attempt.stop,
        "since": attempt.claimed_at,
        "tokens": (seen.tokens or 0) if seen is not None else 0,
        "cost": (seen.cost or 0.0) if seen is not None else 0.0,
        "last": seen.last if seen is not None else None,
        "last_at": seen.at if seen is not None else None,
    }


def daemon_data(state: State, alive: bool, host: str | None = None, *, stopped: bool = False) -> DaemonData:
    """The daemon of a host as the log and its lease show it; ``stopped``: it is not lost, as its lease tells. One that
    lives runs, also if it counts as lost with its host."""
    daemon = state.daemon_of(host)
    runs = (daemon.runs or alive) and not stopped
    shown = "running" if alive and daemon.state == "lost" else daemon.state
    return {
        "state": shown if alive or not daemon.runs else "stopped" if stopped else "lost",
        "pid": daemon.identity.get("pid") if runs and daemon.identity is not None else None,
        # When one that nobody has recorded yet was lost is not known.
        "since": (daemon.changed_at or None) if alive or not daemon.runs else None,
    }


def _next(state: State, waiting: list[Task], facts: ClaimFacts) -> NextData:
    """Which task starts next, and when."""
    task, closed = scheduling.next_start(state, waiting[:LOOKED_AT], facts, _FOR_ALL)
    if task is None:
        return {"task": None, "gate": None, "reason": "no task is waiting", "until": None}
    if closed is None:
        return {"task": task.id, "gate": None, "reason": "now", "until": None}
    return {"task": task.id, "gate": closed.gate, "reason": words.reason_of(closed), "until": closed.until}


# --- what needs attention ------------------------------------------------------------------------------------------


def _attention(
    state: State, agents: list[AgentData], daemon: DaemonData, waiting: list[Task], facts: ClaimFacts
) -> list[Attention]:
    found: list[Attention] = []
    if state.violations_seen:
        said = f"{counted(state.violations_seen, 'event')} refused by a state machine, first {_first(state)}"
        found.append(_entry("log", "violated", said, "kugetsu log verify"))
    if daemon["state"] == "lost":
        found.append(_entry("daemon", "lost", "it exited without recording a reason", "kugetsu queue-daemon start"))
    elif daemon["state"] == "stopped" and waiting:
        count = counted(len(waiting), "task")
        found.append(_entry("queue", "waits", f"{count}, and no daemon runs", "kugetsu queue-daemon start"))
    for agent in agents:
        if agent["alive"] is False:
            unsettled = state.attempts[agent["attempt"]].unsettled
            text = "its process is gone; the daemon records it and tries again"
            if unsettled is not None:
                text = f"its process is gone, and that cannot be recorded yet: {unsettled}"
            found.append(_entry(agent["attempt"], "lost", text, f"kugetsu history {agent['task']}"))
    found += _agent_problems(state, waiting, facts)
    found += _paused(state, facts)
    found += _undelivered(state)
    found += _usage_limit(state, waiting, facts)
    of_sessions, notes = _sessions(state)
    found += of_sessions
    found += _labels(state)
    found += _unready(state, waiting, facts)
    found += _errors(state)
    return [*found, *_held(state, waiting, facts), *notes]


def _entry(subject: str, state: str, text: str, command: str) -> Attention:
    return {"subject": subject, "state": state, "text": line(text), "command": command}


def _first(state: State) -> str:
    return f"event {state.violations[0]['seq']}: {state.violations[0]['text']}"


def _sessions(state: State) -> tuple[list[Attention], list[Attention]]:
    """The sessions in which something is to be done, and those of which something is odd."""
    sessions = state.sessions.values()
    if not any(one.state == "broken" or one.unsaved or one.notes or one.verified for one in sessions) and not any(
        loop["held"] is not None for loop in state.loops.values()
    ):
        return [], []
    from kugetsu.views import session_attention

    to_do, odd = session_attention.to_do(state, LISTED), session_attention.noted(state, LISTED)
    return [_entry(*row) for row in to_do], [_entry(*row) for row in odd]


def _labels(state: State) -> list[Attention]:
    """Labelled issues that nobody works on before a person acts."""
    if not state.intake:
        return []
    from kugetsu.views import intake

    return [_entry(*row) for row in intake.attention(state)[-LISTED:]]


def _unready(state: State, waiting: list[Task], facts: ClaimFacts) -> list[Attention]:
    """Tasks whose worktree could not be made ready, whatever else holds them back."""
    parked = [task for task in waiting[:LOOKED_AT] if task.parked_for == SETUP]
    if not parked:
        return []
    from kugetsu.views import unready

    return [_entry(*row) for row in unready.attention(state, parked, facts, LISTED)]


def _paused(state: State, facts: ClaimFacts) -> list[Attention]:
    """What a user paused, also while nothing waits: it will hold back what comes."""
    if not state.paused:
        return []
    from kugetsu.views import pauses

    return [_entry(*row) for row in pauses.attention(state, facts["now"])[:LISTED]]


def _undelivered(state: State) -> list[Attention]:
    """Sinks whose notifications were given up, until one arrives again or somebody has read those in the list."""
    found = []
    for sink, box in state.outbox.items():
        lost = box.get("given_up")
        if lost is not None and lost["notice"] > state.notices_read:
            text = f"notifications were given up: {lost['text']}"
            found.append(_entry(sink, "failed", text, f"kugetsu notify test {sink.partition('@')[0]}"))
    return found


def _held_by(state: State, waiting: list[Task], facts: ClaimFacts, codes: tuple[str, ...]) -> list[Task]:
    """The tasks, of the first that are looked at, whose first closed gate says one of ``codes``."""
    closed = ((task, gates.first_closed(state, task, facts)) for task in waiting[:LOOKED_AT])
    return [task for task, verdict in closed if verdict is not None and verdict.code in codes]


def _agent_problems(state: State, waiting: list[Task], facts: ClaimFacts) -> list[Attention]:
    """What keeps agents from being started, once for all the tasks that wait for it."""
    by_cause: dict[tuple[str, str], list[str]] = {}
    keys = [problem_key(task, facts) for task in waiting]
    for kind, problem in facts.get("agent_problems", {}).items():
        if kind in keys:
            by_cause.setdefault((problem["cause"], problem["remedy"]), []).append(kind)
    found = []
    for (cause, remedy), kinds in by_cause.items():
        count = sum(
            problem_key(task, facts) in kinds for task in _held_by(state, waiting, facts, ("agent_unavailable",))
        )
        subject = "pm agent" if kinds == ["pm"] else "agent"
        text = f"{counted(count, 'task')} {'waits' if count == 1 else 'wait'}: {cause}" if count else cause
        found.append(_entry(subject, "held", text, remedy))
    return found


def _usage_limit(state: State, waiting: list[Task], facts: ClaimFacts) -> list[Attention]:
    """A limit that keeps back every task of the agent, though only one of them ran into it; or an outage."""
    own = facts.get("repositories", {}).values()
    labels = dict.fromkeys((facts["agent"], *(of_one["agent"] for of_one in own if "agent" in of_one)))
    return [entry for label in labels for entry in _limit_of(label, state, waiting, facts)]


def _limit_of(label: str, state: State, waiting: list[Task], facts: ClaimFacts) -> list[Attention]:
    limit = state.limits.get(label)
    if limit is None or not waiting:
        return []
    if "outage" in limit:
        return [_outage(state, label, limit, facts)]
    held = _held_by(state, waiting, facts, ("parked_by_limit", "usage_limit"))
    held = [task for task in held if (task.parked_for or label_of(task, facts_of(task, facts)["agent"])) == label]
    if not held or not pause_lasts(limit["until"], limit["at"], facts["now"]):
        return []
    text = f"until {times.ahead(limit['until'], facts['now'])}; {limit['task']} ran into it"
    return [_entry("usage limit", "parked", text, f"kugetsu why {held[0].id}")]


def _outage(state: State, label: str, limit: dict[str, Any], facts: ClaimFacts) -> Attention:
    """What every task would meet: named for as long as no attempt got further, however often it is tried."""
    outage = limit["outage"]
    ahead = pause_lasts(limit["until"], limit["at"], facts["now"])
    again = f"again {times.ahead(limit['until'], facts['now'])}" if ahead else "being tried again"
    tried = counted(outage["times"], "try")
    remedy = outage["remedy"] or f"kugetsu queue lift {label}"
    host = state.hosts.get(outage.get("host", ""))
    where = f"on {host.name}: " if host is not None else ""
    return _entry(outage["gate"], "parked", f"{where}{limit['reason']}; {tried}, {again}", remedy)


def _errors(state: State) -> list[Attention]:
    failed, gone = state.failed(), state.unacknowledged_gone
    found = [_entry(task.id, "error", words.of_task(task) or "", f"kugetsu why {task.id}") for task in failed[-LISTED:]]
    more = len(failed) + gone - len(found)
    if more:
        text = f"{counted(more, 'more task')} ended in error" + (f", {gone} of them left the list" if gone else "")
        found.append(_entry("queue", "error", text, f"kugetsu queue list --state error{' --all' if gone else ''}"))
    return found


def _held(state: State, waiting: list[Task], facts: ClaimFacts) -> list[Attention]:
    """Tasks that wait long for something that does not end by itself; that slots are full is no such thing, and what
    holds all of them has a line of its own."""
    found: list[Attention] = []
    for task in waiting[:LOOKED_AT]:
        closed = gates.first_closed(state, task, facts)
        if closed is None or closed.until is not None or closed.gate in _ONCE_FOR_ALL or task.parked_for == SETUP:
            continue
        stranded = gates.stranded(state, task) if closed.gate == "dependencies" else None
        closed = stranded or closed
        waits = times.since(task.changed_at, facts["now"])
        if waits < HELD_LONG and closed.gate not in words.FOR_A_PERSON and stranded is None:
            continue
        how = "parked" if task.state == "parked" else "held"
        text = f"for {times.duration(waits)}: {words.reason_of(closed)}"
        found.append(_entry(task.id, how, text, f"kugetsu why {task.id}"))
        if len(found) == LISTED or closed.gate in _FOR_ALL:
            break
    return found


# --- the screen -------------------------------------------------------------------------------------------------


def lines(data: StatusData, screen: Screen, set_up: str = "kugetsu init") -> list[str]:
    """The screen of `kugetsu status`; ``set_up`` is the command for a directory that is not set up yet."""
    if not data["initialised"] and data["as_of"] is None:
        return [f"kugetsu is not set up in {line(data['directory'])}", f"next  {line(set_up)}"]
    shown = []
    if data["as_of"] is not None:
        from kugetsu.views import point

        shown = point.heading(data["as_of"], screen)
    shown += [*_headline(data, screen), *_slots(data, screen)]
    if data["hosts"]:
        from kugetsu.views import hosts  # start-up: most have one host

        shown += hosts.lines(data["hosts"], screen, data["now"])
    shown += attached.lines(data["attached"], screen, data["now"])
    counts = screen.wrapped(queue.count_line(data["queue"], data["unacknowledged"]), len("queue   "))
    shown += [f"queue   {counts[0]}", *(f"        {part}" for part in counts[1:])]
    if data["asks"]["count"] or data["to_review"]["count"]:
        from kugetsu.views import asking

        shown += asking.lines(data["asks"], data["to_review"], screen)
    if data["forges"]:
        from kugetsu.views import forge_looks  # start-up: most have no forge

        shown += forge_looks.lines(data["forges"], screen, data["now"])
    if data["attention"]:
        from kugetsu.views import attention

        shown += attention.lines(data["attention"], screen)
    elif not any(data["queue"].values()) and data["as_of"] is None:
        shown.append("next    kugetsu queue enqueue REF MESSAGE, or: kugetsu start REF MESSAGE")
    return shown


def _headline(data: StatusData, screen: Screen) -> list[str]:
    daemon = data["daemon"]
    said = daemon["state"]
    if daemon["pid"] is not None and daemon["state"] != "lost":
        said += f", pid {daemon['pid']}"
    if daemon["since"] is not None and daemon["state"] != "stopped":
        said += f", {times.duration(times.since(daemon['since'], data['now']))}"
    state = screen.state(daemon["state"], said)
    agents = f"{data['live']} of {data['cap']}"
    when = _when(data)
    if screen.narrow:
        return [f"daemon  {state}", f"agents  {agents}", f"next    {when}"]
    fixed = len("daemon  ") + len(said) + len("agents  ") + len(agents) + len("next  ")
    spare = 80 if screen.width is None else screen.width - fixed - columns(when)
    gap = " " * max(2, min(30 - len(said), spare - 3))
    if spare < 5:
        return [f"daemon  {state}{gap}agents  {agents}", cut(f"next    {when}", screen.cuts_at)]
    return [f"daemon  {state}{gap}agents  {agents}   next  {when}"]


def _when(data: StatusData) -> str:
    """When the next task starts, in words."""
    coming = data["next"]
    if coming["task"] is None:
        return coming["reason"]
    if coming["gate"] is None:
        return f"{coming['task']} now"
    if coming["gate"] == "slots":
        return f"{coming['task']} when a slot frees"
    if coming["gate"] == "daemon":
        return f"{coming['task']} when the daemon runs"
    if coming["gate"] == "paused" and coming["until"] is None:
        return f"{coming['task']} when the queue is resumed"
    if coming["until"] is not None:
        condition = ", if the daemon runs" if data["daemon"]["state"] in ("stopped", "lost") else ""
        return f"{coming['task']} at {times.ahead(coming['until'], data['now'])}{condition}"
    return f"{coming['task']}: {coming['reason']}"


def _slots(data: StatusData, screen: Screen) -> list[str]:
    heads = [
        Column("SLOT"),
        Column("TASK"),
        Column("ISSUE", gives=True, names=True),
        Column("STATE"),
        Column("FOR", right=True),
        Column("TOKENS", right=True),
        Column("LAST", gives=True),
    ]
    elsewhere = [agent for agent in data["agents"] if agent["host"] is not None and agent["alive"] is None]
    elsewhere.sort(key=lambda agent: (agent["host"] or "", agent["slot"] or 1 << 30))
    here = [agent for agent in data["agents"] if agent not in elsewhere]
    held = {agent["slot"]: agent for agent in here if agent["slot"] is not None}
    last = max([data["cap"], *held])
    free = [slot for slot in range(1, last + 1) if slot not in held]
    rows = []
    for slot in range(1, last + 1):
        if slot in held:
            rows.append(_agent_row(str(slot), held[slot], screen, data["now"]))
        elif len(free) <= LISTED:
            rows.append([str(slot), "-", "", "", "", "", ""])
    rows += [_agent_row("pm", agent, screen, data["now"]) for agent in here if agent["slot"] is None]
    rows += [_agent_row(f"{agent['host']}:{agent['slot'] or 'pm'}", agent, screen, data["now"]) for agent in elsewhere]
    shown = table(screen, heads, rows, paint=lambda at, value, text: screen.state(value, text) if at == 3 else text)
    return shown if len(free) <= LISTED else [*shown, f"and {len(free)} free slots"]


def _agent_row(slot: str, agent: AgentData, screen: Screen, now: str) -> list[str]:
    gone = agent["alive"] is False
    state = "lost" if gone else agent["state"]
    last = line(agent["last"] or "")
    if agent["last_at"] is not None:
        last += f", {times.duration(times.since(agent['last_at'], now))} ago"
    return [
        slot,
        agent["task"],
        screen.issue(agent["issue"]),
        "stopping" if agent["stopping"] and not gone else state,
        times.duration(times.since(agent["since"], now)),
        times.amount(agent["tokens"]) if agent["tokens"] else "-",
        last or "-",
    ]
