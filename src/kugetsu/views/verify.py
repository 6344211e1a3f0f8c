"""The result of `replay --verify`: what differs, why it matters, where to look next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from kugetsu.domain import invariants
from kugetsu.domain.decision import MissingArgumentError
from kugetsu.domain.events import PRESENT
from kugetsu.domain.replay import UnknownError, UnnamedError
from kugetsu.domain.replay.checker import ReplayChecker
from kugetsu.domain.replay.divergence import Divergence
from kugetsu.domain.verdict import Verdict
from kugetsu.model import jsontext
from kugetsu.model.errors import KugetsuError
from kugetsu.model.plural import counted
from kugetsu.redaction.funnel import clean
from kugetsu.views import gates, refusals, times, wording
from kugetsu.views.screen import NARROW, Screen
from kugetsu.views.text import columns, cut, line
from kugetsu.views.wrap import folded

TYPE_CHECKING = False
if TYPE_CHECKING:

    class DifferenceData(TypedDict):
        """One transaction that differs from the decision made now."""

        seq: int
        first: int
        last: int
        at: str
        category: str
        found: str
        says: str
        recorded: dict[str, Any] | None
        decided: dict[str, Any] | None
        places: list[dict[str, Any]]
        refusal: str | None
        setting: dict[str, str] | None
        missing_fact: str | None
        written_by: str | None
        by: dict[str, Any]
        look: list[str]

    class VerifyData(TypedDict):
        """`kugetsu replay --verify --json`."""

        ok: bool
        seq: int
        at: str | None
        version: str
        redecided: int
        observed: int
        folded: int
        last_folded: int | None
        unfinished: int
        violations_seen: int
        invariants: list[str]
        differences_seen: int
        differences: list[DifferenceData]


#: Places of a difference that the text shows.
PLACES_SHOWN = 6

_SAYS = {
    "missing": "{kind} is decided now but was not recorded",
    "unexpected": "{kind} was recorded but is not decided now",
    "different": "{kind} was recorded with other content than is decided now",
}
_MATTERS = {
    "missing": "It follows now from the same state and facts. Either it was lost, or the decision read something that "
    "is not recorded, or the rule has changed since.",
    "unexpected": "It does not follow from the same state and facts. Either something other than kugetsu's decision "
    "wrote it, or the decision read something that is not recorded, or the rule has changed since.",
    "different": "The same state and facts lead to a different event now. Either the decision read something that is "
    "not recorded, or the event was changed, or the rule has changed since.",
    "config": "The decision used another value of that setting than its facts record, so the facts do not explain it. "
    "The setting may have been changed at that moment.",
    "code version": "Another version of kugetsu made this decision, by its own rules or from fewer facts. This is not "
    "damage: the recorded result stands, and this version would decide differently today.",
}
_UNAFFECTED = "Everything was folded as recorded; the state that kugetsu works with is unaffected."


def collect(verifier: ReplayChecker, differences: Sequence[Divergence], version: str) -> VerifyData:
    """Everything that `replay --verify` shows, as JSON values with redacted texts."""
    state = verifier.state
    broken = invariants.broken(state)
    return {
        "ok": not (verifier.differences or state.violations_seen or broken),
        "seq": state.seq,
        "at": state.at or None,
        "version": version,
        "redecided": verifier.redecided,
        "observed": verifier.observed,
        "folded": verifier.folded,
        "last_folded": verifier.last_folded,
        "unfinished": verifier.unfinished,
        "violations_seen": state.violations_seen,
        "invariants": broken,
        "differences_seen": verifier.differences,
        "differences": [_difference(one, version) for one in differences],
    }


def _difference(one: Divergence, version: str) -> DifferenceData:
    setting = one.setting
    return {
        "seq": one.seq,
        "first": one.first,
        "last": one.last,
        "at": one.at,
        "category": one.category,
        "found": one.found,
        "says": _sentence(one, version),
        "recorded": clean(one.recorded) if one.recorded is not None else None,
        "decided": clean(one.decided) if one.decided is not None else None,
        "places": [
            {"path": place.path, "recorded": clean(place.recorded), "decided": clean(place.decided)}
            for place in one.places
        ],
        "refusal": _refusal(one.refusal),
        "setting": None
        if setting is None
        else {"key": setting.key, "fact": setting.fact, "recorded": setting.recorded, "would": setting.would},
        "missing_fact": one.missing_fact,
        "written_by": one.written_by,
        "by": one.by,
        "look": _commands(one),
    }


def _refusal(refusal: Exception | Verdict | None) -> str | None:
    """Why the decision is refused now, or cannot be made."""
    if refusal is None:
        return None
    if isinstance(refusal, KugetsuError):
        return refusals.words(refusal)[0]
    if isinstance(refusal, MissingArgumentError):
        return f"it does not record {refusal.name}, which its decision reads"
    if isinstance(refusal, UnknownError):
        return f"this version has no decision {refusal.name}"
    if isinstance(refusal, UnnamedError):
        return "it does not name its decision, although the version that wrote it does"
    if isinstance(refusal, Exception):
        return f"the decision cannot be made from what is recorded: {type(refusal).__name__}: {refusal}"
    return f"gate {refusal.gate}: {gates.reason_of(refusal)}"


def _sentence(one: Divergence, version: str) -> str:
    event = one.recorded if one.recorded is not None else one.decided
    sentence = _SAYS[one.found].format(kind=event["type"] if event is not None else "an event")
    if one.missing_fact is not None:
        return f"{sentence}: it does not record {one.missing_fact}, which this version's decision reads"
    if one.category == "code version":
        writer = f"kugetsu {one.written_by}" if one.written_by is not None else "a later version"
        sentence = f"{sentence}: {writer} wrote it, and this is {version}"
    if one.setting is not None:
        setting = one.setting
        sentence = f"{sentence}: it fits {setting.key}={setting.would}, but {setting.recorded} was recorded"
    return sentence


def _commands(one: Divergence) -> list[str]:
    """The commands that show more, the most useful first."""
    event = one.recorded if one.recorded is not None else one.decided or {}
    key = event.get("task") or event.get("session") or event.get("issue")
    # A missing event has no number: inspect its transaction.
    shown = [f"kugetsu why {one.seq if one.recorded is not None else one.first}"]
    if key:
        shown.append(f"kugetsu history {key}")
    return [*shown, f"kugetsu replay --until {one.first - 1}"]


def lines(data: VerifyData, screen: Screen, *, everything: bool) -> list[str]:
    """The text of `replay --verify`."""
    counts = (
        f"{counted(data['redecided'], 'transaction')} decided again, "
        f"{counted(data['observed'], 'observation')}, up to event {data['seq']}"
    )
    rest = []
    if data["folded"]:
        unnamed = f"{counted(data['folded'], 'transaction')} up to event {data['last_folded']}"
        rest.append(f"folded, not decided again: {unnamed}, written before decisions were recorded by name")
    if data["unfinished"]:
        rest.append(
            f"not checked: {counted(data['unfinished'], 'event')} of a transaction that continues after this point"
        )
    if data["violations_seen"]:
        refused = f"a state machine refused {counted(data['violations_seen'], 'event')}"
        rest.append(f"{refused}: {screen.command('kugetsu replay')} lists them")
    rest += [f"invariant broken: {line(text)}" for text in data["invariants"]]
    if data["ok"]:
        return [f"{screen.green('verified')}: {counts}", *rest]
    shown = []
    for one in data["differences"]:
        shown += [*_difference_lines(one, screen), ""]
    seen, listed = data["differences_seen"], len(data["differences"])
    differ = "1 differs" if seen == 1 else f"{seen or 'none'} differ"
    shown.append(f"{counts}: {differ}")
    if seen > listed and not everything:
        shown.append("all of them: " + screen.command("kugetsu replay --verify --all"))
    elif seen > listed:
        shown.append(f"only the first {listed} are listed")
    return shown + rest


def _difference_lines(one: DifferenceData, screen: Screen) -> list[str]:
    width = screen.width or 100
    shown = _paragraph(f"event {one['seq']}: {one['says']}", width, screen)
    shown.append(_side("recorded", one["recorded"], one["at"], screen))
    shown.append(_side("now", one["decided"], one["at"], screen))
    shown += [cut(f"  {'differs':8}  {_place(place)}", screen.cuts_at) for place in one["places"][:PLACES_SHOWN]]
    if len(one["places"]) > PLACES_SHOWN:
        shown.append(f"  {'':8}  and {counted(len(one['places']) - PLACES_SHOWN, 'more place')} (--json has them)")
    if one["refusal"] is not None:
        shown += _filled("why not", line(one["refusal"]), width)
    shown += _filled("written", _writer(one), width)
    shown += _wrapped(f"{_MATTERS[one['category']]} {_UNAFFECTED}", width, "  ")
    about = ("its inputs and effects", "the full history", "the state before the decision")
    look = [screen.command(command) for command in one["look"]]
    look = look if len(look) == 3 else [look[0], "", look[-1]]
    wide = max(map(columns, look))
    for command, what in zip(look, about, strict=True):
        if command:
            shown.append(f"  {'look':8}  {command}{' ' * (wide - columns(command))}  {screen.dim(what)}".rstrip())
    return shown


def _side(name: str, event: dict[str, Any] | None, at: str, screen: Screen) -> str:
    if event is None:
        return f"  {name:8}  nothing"
    event = {"v": PRESENT[event["type"]], "at": at, **event}  # what is decided has no version and time yet
    subject = event.get("attempt") or event.get("task") or event.get("session") or ""
    text = "  ".join(part for part in (event["type"], screen.issue(subject), wording.words(event)) if part)
    return cut(f"  {name:8}  {text}", screen.cuts_at)


def _place(place: dict[str, Any]) -> str:
    return line(f"{place['path']}: {_value(place['recorded'])} recorded, {_value(place['decided'])} now")


def _value(value: Any) -> str:
    return value if isinstance(value, str) else jsontext.dumps(value).decode()


def _writer(one: DifferenceData) -> str:
    by = one["by"]
    version = f", kugetsu {one['written_by']}" if one["written_by"] is not None else ""
    where = f"pid {by.get('pid', '?')} on {by.get('host', '?')}{version}"
    return line(f"{times.day(one['at'])} {times.time_of_day(one['at'])} by {by.get('cmd', '?')} ({where})")


def _paragraph(text: str, width: int, screen: Screen) -> list[str]:
    return [screen.bold(part) for part in _wrapped(line(text), width, "")]


def _filled(name: str, text: str, width: int) -> list[str]:
    first, *more = _wrapped(text, width - 12, "")
    return [f"  {name:8}  {first}", *(f"  {'':8}  {part}" for part in more)]


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    if width < NARROW:
        return [indent + part for part in folded(text, width - len(indent), 0)]
    parts: list[str] = []
    now = ""
    for word in text.split():
        if now and columns(now) + 1 + columns(word) > width - len(indent):
            parts.append(now)
            now = word
        else:
            now = f"{now} {word}" if now else word
    return [indent + cut(part, width - len(indent)) for part in (*parts, now)]
