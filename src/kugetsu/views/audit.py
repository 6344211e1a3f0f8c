"""The findings of `kugetsu audit` as JSON and as screens: in short for all parts, at length for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

from kugetsu.domain.audit.checks import Checks, Finding
from kugetsu.domain.audit.counters import Miscount
from kugetsu.domain.audit.races import Race, Races
from kugetsu.domain.audit.reactions import Reactions
from kugetsu.domain.audit.retries import OTHER, Retries, Trouble
from kugetsu.domain.audit.waits import Waits
from kugetsu.domain.intervals import MICRO
from kugetsu.model.plural import counted
from kugetsu.views import times
from kugetsu.views.gates import reason
from kugetsu.views.loops import about, brake
from kugetsu.views.report.rows import amounts
from kugetsu.views.screen import Screen
from kugetsu.views.tables import Column, table
from kugetsu.views.text import cut, line


class AuditData(TypedDict):
    """`kugetsu audit --json`; parts that were not requested are null."""

    subject: str | None
    events: int
    first: int | None
    last: int
    begins: str
    ends: str
    whole: bool
    invariants: dict[str, Any] | None
    races: dict[str, Any] | None
    retries: dict[str, Any] | None
    reactions: dict[str, Any] | None
    waits: dict[str, Any] | None


#: Rows of a part among all parts, and on its own.
SHORT = 3
LONG = 20
#: The width of the column with the names of parts.
_LABEL = 12


# --- data -------------------------------------------------------------------------------------------------------


def invariants_data(checks: Checks, miscounts: list[Miscount], key: str | None) -> dict[str, Any]:
    """Broken invariants, refused events and miscounts, in the order of the log; with ``key``, those of one subject."""
    found = [("broken", one) for one in checks.broken] + [("refused", one) for one in checks.refused]
    found += [("miscounted", _as_finding(one)) for one in miscounts]
    found = [(kind, one) for kind, one in found if key is None or key in one.about]
    found.sort(key=lambda entry: entry[1].seq)
    broken, refused, miscounted = (
        sum(kind == wanted for kind, _ in found) for wanted in ("broken", "refused", "miscounted")
    )
    return {
        "transactions": checks.transactions,
        "broken": checks.broken_seen if key is None else broken,
        "refused": checks.refused_seen if key is None else refused,
        "miscounted": miscounted,
        "found": [_finding(kind, one) for kind, one in found],
    }


def _as_finding(one: Miscount) -> Finding:
    found = Finding(one.seq, one.at, one.text(), frozenset((one.issue,)))
    found.mended = one.mended
    return found


def _finding(kind: str, one: Finding) -> dict[str, Any]:
    return {"kind": kind, "seq": one.seq, "at": one.at, "text": one.text, "mended": one.mended or None}


def races_data(races: Races) -> dict[str, Any]:
    """The lost races, the latest last, their reasons in words."""
    return {"lost": races.seen, "found": [_race(race) for race in races.latest()]}


def _race(race: Race) -> dict[str, Any]:
    """A lost race in words."""
    told: dict[str, Any] = {**race, "reason": reason(race["reason"], race["values"])}
    values = told.pop("values")
    if race["kind"] == "daemon":
        told |= {"subject": f"daemon pid {values['was']}", "to": f"daemon pid {values['pid']}"}
    return told


def retries_data(retries: Retries) -> dict[str, Any]:
    """The sum of all issues, and the most troubled ones."""
    whole = retries.total()
    summed = whole.as_data()
    return {
        "issues": whole.issues,
        "wrong": retries.wrong(),
        "attempts": whole.usage.attempts,
        "failed": whole.failed,
        "retries": whole.usage.retries,
        "parks": sum(whole.parks.values()),
        **{name: summed[name] for name in ("tokens", "cost", "seconds", "lost_seconds")},
        "worst": [_trouble(trouble) for trouble in retries.worst()[: 10 * LONG]],
    }


def _trouble(trouble: Trouble) -> dict[str, Any]:
    told = trouble.as_data()
    told["reasons"] = {"other reasons" if name == OTHER else name: count for name, count in told["reasons"].items()}
    return told


def reactions_data(reactions: Reactions) -> dict[str, Any]:
    """The sum of all issues, and those with the most turns."""
    whole = reactions.total()
    summed = whole.as_data()
    del summed["issue"], summed["held"]
    most = [one.as_data() for one in reactions.most()[: 10 * LONG]]
    return {"issues": whole.issues, "listed": whole.entries, **summed, "brakes": whole.brakes, "most": most}


def waits_data(waits: Waits) -> dict[str, Any]:
    """Time waited by gate, the longest first, and the use of the slots."""
    gates = []
    for gate, spans in sorted(waits.by_gate.items(), key=lambda entry: (-entry[1].total, entry[0])):
        task, event = spans.worst or ("", 0)
        gates.append(
            {
                "gate": gate,
                "waits": spans.number,
                "seconds": spans.total / MICRO,
                "median": spans.median() / MICRO,
                "longest": spans.longest / MICRO,
                "task": task,
                "event": event,
                "idle_seconds": waits.slots.idle.get(gate, 0) / MICRO,
            }
        )
    slots = {
        "used_seconds": waits.slots.used / MICRO,
        "empty_seconds": waits.slots.empty / MICRO,
        "empty_while_waiting_seconds": waits.slots.empty_while_waiting / MICRO,
    }
    names = waits.host_names
    hosts = [
        {"host": names[host], "used_seconds": use.used / MICRO, "empty_seconds": use.empty / MICRO}
        for host, use in sorted(waits.slots.by_host.items(), key=lambda entry: (names[entry[0]], entry[0]))
    ]
    return {"gates": gates, "slots": slots, "hosts": hosts}


# --- screens ----------------------------------------------------------------------------------------------------


def lines(data: AuditData, screen: Screen, *, at_length: bool) -> list[str]:
    """The screen: all parts in short, or one ``at_length``."""
    now = screen.now
    about = f" of {screen.issue(data['subject'])}" if data["subject"] else ""
    span = f"{times.moment(data['begins'], now)} to {times.moment(data['ends'], now)}"
    of_others = ", including those of others" if data["subject"] and at_length else ""
    events = counted(data["events"], "event")
    which = f"{events} ({data['first']} to {data['last']})" if data["first"] else f"{events} up to {data['last']}"
    shown = [cut(f"audit{about}: {which}, {span}{of_others}", screen.cuts_at)]
    rows = LONG if at_length else SHORT
    if data["invariants"] is not None:
        shown += _invariant_lines(data["invariants"], screen, rows)
    elif not data["whole"] and data["races"] is not None:
        shown += _headed("invariants", "not checked: this is a part of a log, without its beginning", screen)
    elif not data["whole"]:
        shown.append("not checked: this is a part of a log, without its beginning")
    if data["races"] is not None:
        shown += _race_lines(data["races"], screen, rows)
    if data["retries"] is not None:
        shown += _retry_lines(data["retries"], screen, rows)
    answered = data["reactions"]
    if answered is not None and (at_length or answered["turns"] or answered["brakes"]):
        shown += _reaction_lines(answered, screen, rows)
    if data["waits"] is not None:
        shown += _wait_lines(data["waits"], screen, rows)
    return shown


def _headed(label: str, text: str, screen: Screen, colour: Callable[[str], str] = str) -> list[str]:
    """``label  text``, the text continued below itself."""
    first, *more = screen.wrapped(text, _LABEL)
    shown = [screen.bold(f"{label:<{_LABEL}}") + colour(first)]
    return [*shown, *(" " * _LABEL + colour(part) for part in more)]


def _more(total: int, shown: int, command: str) -> list[str]:
    return [f"  and {total - shown} more: {command}"] if total > shown else []


def _invariant_lines(found: dict[str, Any], screen: Screen, rows: int) -> list[str]:
    checked = counted(found["transactions"], "transaction")
    if not found["found"]:
        return _headed("invariants", f"all kept after each of {checked}; no event was refused", screen, screen.green)
    miscounted = f"{counted(found['miscounted'], 'miscount')}, " if found["miscounted"] else ""
    said = f"{found['broken']} broken, {counted(found['refused'], 'event')} refused, {miscounted}in {checked}"
    shown = _headed("invariants", said, screen, screen.red)
    for one in found["found"][:rows]:
        mended = f", until event {one['mended']}" if one["mended"] else ""
        text = f"event {one['seq']}  {one['kind']}: {line(one['text'])}{mended}"
        first, *more = screen.wrapped(text, 4)
        shown += [f"  {first}", *(f"    {part}" for part in more)]
    every = found["broken"] + found["refused"] + found["miscounted"]
    shown += _more(every, min(rows, len(found["found"])), screen.command("kugetsu audit invariants --json"))
    if screen.source is None and any(one["kind"] == "miscounted" and not one["mended"] for one in found["found"]):
        shown.append("  to correct the counters: kugetsu doctor --fix")
    return [*shown, "  what came before: " + screen.command(f"kugetsu why {found['found'][0]['seq']}")]


def _race_lines(found: dict[str, Any], screen: Screen, rows: int) -> list[str]:
    if not found["lost"]:
        said = _headed("races", "no claim was lost, no daemon was replaced", screen)
    else:
        said = _headed("races", f"{found['lost']} lost", screen)
        latest: list[Race] = found["found"][-rows:]
        heads = [Column("EVENT", right=True), Column("LOST", gives=True, names=True), Column("TO")]
        heads += [Column("BY", right=True), Column("BECAUSE", gives=True)]
        said += table(screen, heads, [_race_row(one, screen) for one in latest], indent="  ")
        said += _more(found["lost"], len(latest), screen.command("kugetsu audit races --json"))
    if rows == LONG:
        said += screen.wrapped(
            "a race is lost by a process that saw all gates open and then found one closed; not recorded, because it "
            "changes nothing: a claim that found a gate closed from the start, an attempt's end that another process "
            "recorded first, a daemon refused because one is already running"
        )
    return said


def _race_row(race: Race, screen: Screen) -> list[str]:
    by = "" if race["seconds"] is None else _short(race["seconds"])
    if race["events"] is not None:
        by = f"{by}, {counted(race['events'], 'event')}".removeprefix(", ")
    return [str(race["seq"]), line(screen.issue(race["subject"])), line(race["to"] or "-"), by, line(race["reason"])]


def _short(seconds: float) -> str:
    return f"{seconds * 1000:.1f}ms" if seconds < 1 else times.duration(seconds)


def _retry_lines(found: dict[str, Any], screen: Screen, rows: int) -> list[str]:
    if not found["attempts"]:
        return _headed("retries", "no agent worked", screen)
    parts = [f"{found['failed']} of {counted(found['attempts'], 'attempt')} failed"]
    parts.append(f"{_span(found['lost_seconds'])} of {_span(found['seconds'])} lost")
    parts += [counted(found[name], one) for name, one in (("retries", "retry"), ("parks", "park")) if found[name]]
    said = ", ".join(parts).replace("retrys", "retries")
    shown = _headed("retries", said, screen)
    hurt = found["worst"][: found["wrong"]]
    heads = [Column("ISSUE", gives=True, names=True), Column("FAILED", right=True), Column("LOST", right=True)]
    heads += [Column("TOKENS", right=True), Column("COST" if found["cost"] else "", right=True)]
    heads += [Column("PARKED" if found["parks"] else ""), Column("WHY", gives=True)]
    if hurt:
        shown += table(screen, heads, [_retry_row(one, screen) for one in hurt[:rows]], indent="  ")
    every = screen.command("kugetsu audit retries" + (" --json" if rows == LONG else ""))
    return shown + _more(found["wrong"], rows, every)


def _failed(trouble: dict[str, Any]) -> int:
    return sum(number for end, number in trouble["ends"].items() if end != "succeeded")


def _retry_row(one: dict[str, Any], screen: Screen) -> list[str]:
    reasons = sorted(one["reasons"].items(), key=lambda entry: (-entry[1], entry[0]))
    why = ", ".join(f"{line(said)} ({number})" if number > 1 else line(said) for said, number in reasons)
    parks = ", ".join(f"{gate} {number}" for gate, number in one["parks"].items())
    return [
        screen.issue(one["issue"]),
        f"{_failed(one)} of {one['attempts']}",
        _span(one["lost_seconds"]),
        times.amount(one["tokens"]) if one["tokens"] else "-",
        f"{one['cost']:.2f}" if one["cost"] else "",
        parks,
        why,
    ]


def _reaction_lines(found: dict[str, Any], screen: Screen, rows: int) -> list[str]:
    if not found["turns"] and not found["brakes"]:
        return _headed("reactions", "no turn answered feedback", screen)
    parts = [f"{counted(found['turns'], 'turn')} on {counted(found['issues'], 'issue')} ({about(found['kinds'])})"]
    parts.append(amounts(found["seconds"], found["tokens"], found["cost"]))
    parts += [f"{found[name]} {words}" for name, words in _TURNS.items() if found[name]]
    shown = _headed("reactions", "; ".join(parts), screen)
    heads = [Column("ISSUE", gives=True, names=True), Column("TURNS", right=True), Column("ABOUT", gives=True)]
    heads += [Column("TOKENS", right=True), Column("COST" if found["cost"] else "", right=True)]
    heads += [Column("TIME", right=True), Column("ENDED", gives=True)]
    shown += table(screen, heads, [_reaction_row(one, screen) for one in found["most"][:rows]], indent="  ")
    every = screen.command("kugetsu audit reactions" + (" --json" if rows == LONG else ""))
    return shown + _more(found["listed"], rows, every)


#: What may be wrong with turns → its words behind the number of them.
_TURNS = {"fruitless": "changed nothing", "failed": "failed", "brakes": "held for a person"}


def _reaction_row(one: dict[str, Any], screen: Screen) -> list[str]:
    ended = [f"{one[name]} {words}" for name, words in _TURNS.items() if one.get(name)]
    return [
        screen.issue(one["issue"]),
        str(one["turns"]),
        about(one["kinds"]),
        times.amount(one["tokens"]) if one["tokens"] else "-",
        f"{one['cost']:.2f}" if one["cost"] else "",
        _span(one["seconds"]),
        ", ".join([*ended, *(["held: " + brake(one["held"])] if one["held"] else [])]),
    ]


def _wait_lines(found: dict[str, Any], screen: Screen, rows: int) -> list[str]:
    gates, slots = found["gates"], found["slots"]
    if not gates:
        return [*_headed("waits", "nothing waited", screen), *_host_lines(found["hosts"], screen, rows)]
    whole = sum(gate["seconds"] for gate in gates)
    said = f"{_span(whole)} in all; slots: {_span(slots['used_seconds'])} used, "
    said += f"{_span(slots['empty_while_waiting_seconds'])} empty while tasks waited"
    shown = _headed("waits", said, screen)
    heads = [Column("HELD BY"), Column("WAITS", right=True), Column("TOTAL", right=True), Column("MEDIAN", right=True)]
    heads += [
        Column("LONGEST", right=True),
        Column("OF"),
        Column("EVENT", right=True),
        Column("EMPTY SLOTS", right=True),
    ]
    shown += table(screen, heads, [_wait_row(gate) for gate in gates[:rows]], indent="  ")
    shown += _more(len(gates), rows, screen.command("kugetsu audit waits"))
    shown += _host_lines(found["hosts"], screen, rows)
    if rows == LONG:
        shown += _legend(gates, screen)
    return shown


def _host_lines(hosts: list[dict[str, Any]], screen: Screen, rows: int) -> list[str]:
    """The use of the slots of each host that shares the log, by the cap that it had at the time."""
    if not hosts:
        return []
    heads = [Column("HOST", names=True)]
    heads += [Column(name, right=True) for name in ("SLOTS USED", "SLOTS EMPTY", "BUSY")]
    told = [[one["host"], _span(one["used_seconds"]), _span(one["empty_seconds"]), _busy(one)] for one in hosts[:rows]]
    return [*table(screen, heads, told, indent="  "), *_more(len(hosts), rows, screen.command("kugetsu audit waits"))]


def _busy(host: dict[str, Any]) -> str:
    whole = host["used_seconds"] + host["empty_seconds"]
    return f"{100 * host['used_seconds'] / whole:.0f} %" if whole else "-"


def _wait_row(gate: dict[str, Any]) -> list[str]:
    return [
        gate["gate"],
        str(gate["waits"]),
        _span(gate["seconds"]),
        _span(gate["median"]),
        _span(gate["longest"]),
        gate["task"],
        str(gate["event"]),
        _span(gate["idle_seconds"]) if gate["idle_seconds"] >= 1 else "-",
    ]


def _legend(gates: list[dict[str, Any]], screen: Screen) -> list[str]:
    """The reasons that are not gates, and the command that explains the longest wait."""
    names = {gate["gate"] for gate in gates}
    said = []
    if "turn" in names:
        said.append("turn: nothing held the task, it waited for a dispatcher to take it")
    if "daemon" in names:
        said.append("daemon: no daemon was running")
    said.append("EMPTY SLOTS: unused slots while tasks waited for this, times how long")
    longest = max(gates, key=lambda gate: gate["longest"])
    return [*said, "the longest: " + screen.command(f"kugetsu why {longest['event']}")]


def _span(seconds: float) -> str:
    return times.duration(seconds) if seconds >= 0.05 else "0s"
