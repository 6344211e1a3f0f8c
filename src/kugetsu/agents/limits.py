"""Recognises usage limits in what providers and agents say, and when they end.

A *usage limit* (quota, credit, plan window) keeps every agent of that provider waiting for minutes to days. A *rate
limit* (too many requests just now) passes in seconds, and agents wait for it by themselves. Only the length of the wait
tells some of them apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo

LONG_WAIT_SECONDS = 300.0
"""A wait longer than that is not worth an idle agent: it counts as a usage limit whatever it is called."""

_FURTHEST = timedelta(days=32)
"""Plans are renewed monthly: a reset further away is a misread number."""

_USAGE = re.compile(
    r"usage[ _-]?limit|quota|insufficient[_ ](?:funds|credits?|balance)|credit balance"
    r"|out of (?:extra )?(?:credits?|usage)"
    r"|spend(?:ing)?[ _-]limit|billing (?:hard )?limit|(?:hit|reached|exceeded) (?:your|the) (?:[\w-]+ )*limit"
    r"|(?:weekly|daily|monthly|hourly|session|plan|\d+-hour) limit|limit reached|UsageLimitError|payment required",
    re.I,
)
_RATE = re.compile(r"rate[ _-]?limit|too[ _]many[ _]requests|resource[ _]exhausted|\b429\b", re.I)

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
    _ABOUT_RESET + r"[^\n]{0,40}?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)\s*(Z|UTC|[+-]\d\d:?\d\d)?", re.I
)
_UNIT = r"(?:d(?:ays?)?|h(?:ours?|rs?)?|m(?:in(?:ute)?s?)?|s(?:ec(?:ond)?s?)?|ms|weeks?)"
_SPAN = re.compile(
    _ABOUT_RESET + r"\w*[^\n\d]{0,30}?\b(?:in|after|for)\s+(?:about |approximately |~)?"
    rf"((?:\d+(?:\.\d+)?\s*{_UNIT}\b[\s,]*(?:and\s+)?)+)",
    re.I,
)
_SPAN_PART = re.compile(rf"(\d+(?:\.\d+)?)\s*({_UNIT})\b", re.I)
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_CLOCK = re.compile(
    _ABOUT_RESET + r"\w*(?:[^\n\w]|\bat\b|\bon\b|\bby\b|\bafter\b){1,6}"
    r"(?:(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?\s+(?P<day>\d{1,2})(?:st|nd|rd|th)?"
    r"(?:,?\s+(?P<year>\d{4}))?(?:,|\s|\bat\b)+)?"
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d)(?::\d\d)?)?\s*(?P<half>[ap]\.?m\b\.?)?"
    r"\s*(?:\(?(?P<zone>UTC|GMT|Z\b|[A-Z][a-z]+/[A-Za-z_]+(?:/[A-Za-z_]+)?)\)?)?",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that a text tells of. ``usage`` False: a mere rate limit. ``resets`` is UTC, None when not told."""

    usage: bool
    resets: datetime | None

    @property
    def resets_at(self) -> str | None:
        """The reset as kugetsu writes times."""
        return None if self.resets is None else stamp(self.resets)


def find(
    text: str,
    now: datetime,
    headers: Mapping[str, str] | None = None,
    *,
    status: int | None = None,
    zone: tzinfo | None = None,
) -> Limit | None:
    """The limit of which an error tells, or None when it tells of none.

    ``now`` must know its zone. ``zone`` is that of clock times without one (None: this machine's).
    """
    usage = _USAGE.search(text) is not None or status == 402
    if not usage and status != 429 and _RATE.search(text) is None:
        return None
    resets = from_headers(headers or {}, now) or reset_time(text, now, zone=zone)
    if not usage and resets is not None and (resets - now).total_seconds() > LONG_WAIT_SECONDS:
        usage = True
    return Limit(usage, resets)


def reset_time(text: str, now: datetime, *, zone: tzinfo | None = None) -> datetime | None:
    """The time (UTC) at which a text says that its limit ends, or None. Times in the past and absurd ones are none."""
    readers = (_epoch, _seconds_field, _iso, _span)
    for read in readers:
        if (found := _sane(read(text, now), now)) is not None:
            return found
    return _sane(_clock(text, now, zone), now)


def from_headers(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """The end of a limit as an HTTP answer's headers tell it (RFC 9110 `Retry-After`, `retry-after-ms`, resets)."""
    lower = {name.lower(): value for name, value in headers.items()}
    if (millis := _number(lower.get("retry-after-ms"))) is not None:
        return _sane(now + timedelta(milliseconds=millis), now)
    if (text := lower.get("retry-after")) is not None:
        if (seconds := _number(text)) is not None:
            return _sane(now + timedelta(seconds=seconds), now)
        try:
            return _sane(parsedate_to_datetime(text).astimezone(UTC), now)
        except ValueError:
            return None
    return _sane(_exhausted_window(lower, now), now)


def stamp(moment: datetime) -> str:
    """A moment as kugetsu writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _sane(moment: datetime | None, now: datetime) -> datetime | None:
    if moment is None or not timedelta(0) < moment - now <= _FURTHEST:
        return None
    return moment


def _number(text: str | None) -> float | None:
    if text is None or re.fullmatch(r"\s*\d+(?:\.\d+)?\s*", text) is None:
        return None
    # Longer numbers are no waits, and timedelta overflows on them.
    return min(float(text), 1e10)


def _exhausted_window(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """The latest reset among those windows (`…ratelimit-…-reset`) of which nothing remains."""
    latest: datetime | None = None
    for name, value in headers.items():
        if "ratelimit" not in name or "reset" not in name:
            continue
        if headers.get(name.replace("reset", "remaining"), "0").strip() not in ("0", "0.0"):
            continue
        moment = _window_end(value.strip(), now)
        if moment is not None and (latest is None or moment > latest):
            latest = moment
    return latest


def _window_end(value: str, now: datetime) -> datetime | None:
    number = _number(value)
    if number is not None:
        return datetime.fromtimestamp(number, UTC) if number > 1e9 else now + timedelta(seconds=number)
    parts = re.findall(rf"(\d+(?:\.\d+)?)({_UNIT})", value, re.I)
    if parts:
        return now + sum((_length(*part) for part in parts), timedelta(0))
    try:
        return _aware(datetime.fromisoformat(value))
    except ValueError:
        return None


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _epoch(text: str, _now: datetime) -> datetime | None:
    match = _EPOCH.search(text)
    if match is None:
        return None
    number = int(match[1])
    return datetime.fromtimestamp(number / 1000 if number > 10**12 else number, UTC)


def _seconds_field(text: str, now: datetime) -> datetime | None:
    match = _SECONDS_FIELD.search(text)
    if match is None:
        return None
    amount = min(float(match[1]), 1e10)
    millis = match[2] == "ms" or re.search(r"ms\"?'?\s*[:=]", match[0], re.I) is not None
    return now + (timedelta(milliseconds=amount) if millis else timedelta(seconds=amount))


def _iso(text: str, _now: datetime) -> datetime | None:
    match = _ISO.search(text)
    if match is None:
        return None
    offset = {"Z": "+00:00", "UTC": "+00:00"}.get((match[2] or "").upper(), match[2] or "")
    try:
        return _aware(datetime.fromisoformat(match[1] + offset))
    except ValueError:
        return None


def _span(text: str, now: datetime) -> datetime | None:
    match = _SPAN.search(text)
    if match is None:
        return None
    return now + sum((_length(*part) for part in _SPAN_PART.findall(match[1])), timedelta(0))


def _length(number: str, unit: str) -> timedelta:
    unit = unit.lower()
    amount = min(float(number), 1e6)
    if unit == "ms":
        return timedelta(milliseconds=amount)
    if unit.startswith("week"):
        return timedelta(weeks=min(amount, 1000))
    names = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
    return timedelta(**{names[unit[0]]: amount})


def _clock(text: str, now: datetime, zone: tzinfo | None) -> datetime | None:
    """A time of day (with or without a date): the next one after ``now``."""
    for match in _CLOCK.finditer(text):
        if match["minute"] is None and match["half"] is None:
            continue  # a bare number is no time
        moment = _moment(match, now, _zone(match["zone"], zone))
        if moment is not None:
            return moment
    return None


def _zone(name: str | None, default: tzinfo | None) -> tzinfo | None:
    if name is None:
        return default
    if name.upper() in ("UTC", "GMT", "Z"):
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # no such zone, or no zone data on this machine
        return default


def _moment(match: re.Match[str], now: datetime, zone: tzinfo | None) -> datetime | None:
    hour, minute = int(match["hour"]), int(match["minute"] or 0)
    if match["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match["half"][0] in "pP" else 0)
    local = now.astimezone(zone)
    try:
        moment = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
        if match["month"]:
            month = _MONTHS.index(match["month"].lower()) + 1
            moment = moment.replace(year=int(match["year"] or local.year), month=month, day=int(match["day"]))
            if match["year"] is None and moment <= now:
                moment = moment.replace(year=moment.year + 1)
        elif moment <= now:
            moment += timedelta(days=1)
    except ValueError:
        return None
    return moment.astimezone(UTC)
