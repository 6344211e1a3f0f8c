"""Reads from a provider's words when a limit ends: epochs, ISO stamps, spans ("in 3h 20m"), times of day with a day.

What a text leaves open is assumed as follows. A time of day without a zone is of this machine's zone: programs print it
for whoever sits there. An ISO stamp without a zone may be UTC or local: the earlier of the two that lies ahead is
taken, because waking up too early costs one attempt that meets the limit again, and too late costs hours. A zone that
is not known, or whose abbreviation several countries use (CST, IST, BST), gives no time at all.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

_FURTHEST = timedelta(days=32)
"""Plans are renewed monthly: a reset further away is a misread number."""

_ABOUT_RESET = r"(?:reset|renew|retr[yi]|again|until|available|refresh|wait)"
_EPOCH = re.compile(
    r"(?:\||reset\w*(?:[ _-]?(?:at|time|on))?\"?'?\s*[:=]?\s*\"?|retry_at\"?\s*[:=]\s*)(1\d{9}|1\d{12})(?!\d)", re.I
)
_SECONDS_FIELD = re.compile(
    r"(?:retry[_-]?after(?:_seconds|[_-]?ms)?|resets?_in(?:_seconds)?|retryDelay|reset_after(?:_seconds)?)\"?'?\s*[:=]\s*\"?"
    r"(\d+(?:\.\d+)?)(s|ms)?",
    re.I,
)
_ISO = re.compile(
    rf"(?i:{_ABOUT_RESET})" + r"[^\n]{0,40}?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)"
    r"[ (]*(Z\b|(?i:UTC)|[+-]\d\d:?\d\d|[A-Z]{2,5}\b(?!-)|[A-Z][a-z]+/\w+(?:/\w+)?)?"
)
_UNIT = r"(?:d(?:ays?)?|h(?:ours?|rs?)?|m(?:in(?:ute)?s?)?|s(?:ec(?:ond)?s?)?|ms|weeks?)(?![a-z])"
_AMOUNT = r"\d+(?:\.\d+)?"
_SPAN = re.compile(
    _ABOUT_RESET + r"\w*[^\n\d]{0,30}?(?:\b(?:in|after|for)\b:?|(?<=wait))\s+(?:about |approximately |~)?"
    rf"((?:(?:{_AMOUNT}\s*|\ban?\s+){_UNIT}[\s,]*(?:and\s+)?)+)",
    re.I,
)
_SPAN_PART = re.compile(rf"({_AMOUNT}|\ban?(?=\s))\s*({_UNIT})", re.I)

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_NAME = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_WHEN = re.compile(_ABOUT_RESET + r"\w*", re.I)
_TOKEN = re.compile(
    r"(?P<skip>(?:[\s,·∙•:()\[\]]|\.(?!\s|$)|[–-](?!\d))+|(?:at|on|by|after|the|of|around|about|next|this|time)\b)"
    rf"|(?P<clock>(?P<hour>\d{{1,2}})(?::(?P<minute>\d\d)(?::\d\d)?(?:\s*(?P<half>[ap])\.?m\b\.?)?"
    r"|\s*(?P<half_alone>[ap])\.?m\b\.?))"
    r"|(?P<named>noon|midnight)\b"
    r"|(?P<relative>today|tonight|tomorrow)\b"
    r"|(?P<weekday>mon(?:day)?|tue(?:s(?:day)?)?|wed(?:nesday)?|thu(?:rs?(?:day)?)?|fri(?:day)?|sat(?:urday)?"
    r"|sun(?:day)?)\b"
    rf"|(?P<month>{_MONTH_NAME})"
    rf"|(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?=\s+(?:of\s+)?{_MONTH_NAME})"
    r"|(?P<year>20\d\d)\b"
    r"|(?P<number>\d{1,2})(?:st|nd|rd|th)?\b"
    r"|(?P<zone>(?:UTC|GMT)?[+-]\d{1,2}(?::?\d\d)?\b|[A-Za-z]+/[A-Za-z_]+(?:/[A-Za-z_]+)?|(?-i:[A-Z]{2,5}|Z)\b|utc\b|gmt\b"
    r"|(?:pacific|mountain|eastern)\b)",
    re.I,
)

_BY_OFFSET = {
    -8: "PST",
    -7: "MST PDT",
    -6: "MDT",
    -5: "EST CDT",
    -4: "EDT",
    0: "UTC GMT UT Z WET",
    1: "WEST CET",
    2: "CEST EET",
    3: "EEST MSK",
    8: "HKT SGT",
    9: "JST KST",
    10: "AEST",
    11: "AEDT",
    12: "NZST",
    13: "NZDT",
}
"""Hours east of UTC: the zones of RFC 5322, but for CST, which is China's as well, and others of one meaning."""
_OFFSETS = {name: hours for hours, names in _BY_OFFSET.items() for name in names.split()}
_EITHER_HALF = {
    "ET": "America/New_York",
    "EASTERN": "America/New_York",
    "MT": "America/Denver",
    "MOUNTAIN": "America/Denver",
    "PT": "America/Los_Angeles",
    "PACIFIC": "America/Los_Angeles",
}
"""Names that mean winter's and summer's time alike."""


class UnknownZoneError(Exception):
    """A text names a zone that may be any: its time is none."""


def reset_time(text: str, now: datetime, *, zone: tzinfo | None = None) -> datetime | None:
    """The time (UTC) at which a text says that its limit ends, or None. Times in the past and absurd ones are none.

    ``now`` must know its zone. ``zone`` is that of times without one (None: this machine's).
    """
    try:
        for read in (_epoch, _seconds_field, _iso, _span, _clock):
            if (found := sane(read(text, now, zone), now)) is not None:
                return found
    except UnknownZoneError:
        return None
    return None


def sane(moment: datetime | None, now: datetime) -> datetime | None:
    """A moment that can be a reset; None for what lies in the past or too far ahead."""
    if moment is None or not timedelta(0) < moment - now <= _FURTHEST:
        return None
    return moment


def window_end(value: str, now: datetime) -> datetime | None:
    """The end of a window as a header gives it: seconds, an epoch, a span (`6m0s`) or an ISO stamp."""
    seconds = number(value)
    if seconds is not None:
        return datetime.fromtimestamp(seconds, UTC) if seconds > 1e9 else now + timedelta(seconds=seconds)
    parts = _SPAN_PART.findall(value)
    if parts:
        return now + sum((_length(*part) for part in parts), timedelta(0))
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def number(text: str | None) -> float | None:
    """A plain number, bounded: longer ones are no waits, and timedelta overflows on them."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*", text or "", re.ASCII)
    return min(float(match[1]), 1e10) if match is not None else None


def _epoch(text: str, _now: datetime, _zone: tzinfo | None) -> datetime | None:
    match = _EPOCH.search(text)
    if match is None:
        return None
    seconds = int(match[1])
    return datetime.fromtimestamp(seconds / 1000 if seconds > 10**12 else seconds, UTC)


def _seconds_field(text: str, now: datetime, _zone: tzinfo | None) -> datetime | None:
    match = _SECONDS_FIELD.search(text)
    if match is None:
        return None
    amount = min(float(match[1]), 1e10)
    millis = match[2] == "ms" or re.search(r"ms\"?'?\s*[:=]", match[0], re.I) is not None
    return now + (timedelta(milliseconds=amount) if millis else timedelta(seconds=amount))


def _iso(text: str, now: datetime, zone: tzinfo | None) -> datetime | None:
    match = _ISO.search(text)
    if match is None:
        return None
    try:
        naive = datetime.fromisoformat(match[1])
    except ValueError:
        return None
    if match[2] is not None:
        return _in_zone(naive, _zone(match[2]))
    either = (naive.replace(tzinfo=UTC), _in_zone(naive, zone))
    return min((moment for moment in either if moment > now), default=None)


def _span(text: str, now: datetime, _zone: tzinfo | None) -> datetime | None:
    match = _SPAN.search(text)
    if match is None:
        return None
    return now + sum((_length(*part) for part in _SPAN_PART.findall(match[1])), timedelta(0))


def _length(amount: str, unit: str) -> timedelta:
    unit = unit.lower()
    count = 1.0 if amount[0] in "aA" else min(float(amount), 1e6)
    if unit == "ms":
        return timedelta(milliseconds=count)
    if unit.startswith("week"):
        return timedelta(weeks=min(count, 1000))
    names = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
    return timedelta(**{names[unit[0]]: count})


def _clock(text: str, now: datetime, zone: tzinfo | None) -> datetime | None:
    """A time of day, with or without a day: the next one after ``now``."""
    for about in _WHEN.finditer(text):
        words = _words(text[about.end() :].partition("\n")[0])
        moment = _moment(words, now, zone)
        if moment is not None:
            return moment
    return None


def _words(text: str) -> dict[str, str]:
    """The words of a time at the beginning of a text, by what they are; the first that is none of them ends it."""
    found: dict[str, str] = {}
    place, said = 0, ""
    while (token := _TOKEN.match(text, place)) is not None and token.end() > place:
        place = token.end()
        groups = {name: value for name, value in token.groupdict().items() if value is not None}
        said_before, said = said, groups.get("skip", "").strip().lower() or said
        if "skip" in groups:
            continue
        said = ""
        if "number" in groups:
            if "month" in found and "day" not in found:
                groups = {"day": groups["number"]}
            elif said_before == "at" and found.keys() & {"relative", "weekday", "month"}:
                groups = {"hour": groups["number"]}
            else:
                break
        if found.keys() & groups.keys():
            break
        found |= groups
    return found


def _moment(words: dict[str, str], now: datetime, default: tzinfo | None) -> datetime | None:
    time_of_day = _time_of_day(words)
    if time_of_day is None:
        return None
    zone = _zone(words["zone"]) if "zone" in words else default
    local = now.astimezone(zone).replace(tzinfo=None)
    try:
        moment = local.replace(hour=time_of_day[0], minute=time_of_day[1], second=0, microsecond=0)
        if "month" in words:
            return _on_date(words, moment, now, zone)
    except ValueError:
        return None
    if "weekday" in words:
        moment += timedelta(days=(_WEEKDAYS.index(words["weekday"][:3].lower()) - moment.weekday()) % 7)
        step = 7
    elif words.get("relative", "").lower() == "tomorrow":
        moment += timedelta(days=1)
        step = 0
    else:
        step = 0 if words.get("relative") else 1
    ends = _in_zone(moment, zone)
    return ends if ends > now or not step else _in_zone(moment + timedelta(days=step), zone)


def _on_date(words: dict[str, str], moment: datetime, now: datetime, zone: tzinfo | None) -> datetime | None:
    if "day" not in words:
        return None
    month = _MONTHS.index(words["month"][:3].lower()) + 1
    moment = moment.replace(year=int(words.get("year", moment.year)), month=month, day=int(words["day"]))
    ends = _in_zone(moment, zone)
    if "year" not in words and ends <= now:
        return _in_zone(moment.replace(year=moment.year + 1), zone)
    return ends


def _time_of_day(words: dict[str, str]) -> tuple[int, int] | None:
    if "named" in words:
        return (12, 0) if words["named"].lower() == "noon" else (0, 0)
    if "hour" not in words:
        return None
    hour, half = int(words["hour"]), words.get("half") or words.get("half_alone")
    if half is not None:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half in "pP" else 0)
    return (hour, int(words.get("minute", 0))) if hour < 24 else None


def _zone(name: str) -> tzinfo:
    """The zone of a name, an abbreviation or an offset. Raises UnknownZoneError."""
    offset = re.fullmatch(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d\d))?", name, re.I)
    if offset is not None:
        away = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        if away >= timedelta(days=1):
            raise UnknownZoneError(name)
        return timezone(away if offset[1] == "+" else -away)
    if name.upper() in _OFFSETS:
        return timezone(timedelta(hours=_OFFSETS[name.upper()]))
    known = _EITHER_HALF.get(name.upper(), name)
    try:
        if "/" not in known:
            raise UnknownZoneError(name)
        return ZoneInfo(known)
    except (KeyError, ValueError, OSError) as error:  # no such zone, or no zone data on this machine
        raise UnknownZoneError(name) from error


def _in_zone(naive: datetime, zone: tzinfo | None) -> datetime:
    """A wall clock's time as UTC; ``zone`` None is this machine's, summer time included."""
    return (naive if zone is None else naive.replace(tzinfo=zone)).astimezone(UTC)
