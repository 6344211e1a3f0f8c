"""Times as kugetsu writes them: UTC, microseconds, `Z`, always 27 characters, so that they compare as strings.

The arithmetic is done here on integers: `datetime` would cost every command about 2 ms of import, and a float
cannot hold all microseconds of a date.

There is one clock for all that is recorded and decided: this machine's, or in a log that hosts share the one that they
have agreed on (`follow`), whatever this machine's shows. Times that a file or a program of this machine tells are on
its own clock, which `ahead` and `from_own` make comparable.
"""

from __future__ import annotations

import time

from kugetsu.model.errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH = 27
"""Length of every time text: ``2026-11-23T10:00:02.123456Z``."""

MARGIN_SECONDS = 60.0
"""By which a recorded time may lie ahead of the clock before that counts as set back."""

_DAY = 86_400
_MICRO = 1_000_000
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z: the last time that keeps the width
_FIRST_SECOND = -62_135_596_800  # 0001-01-01T00:00:00Z
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

_minute = ("", 0)  # the latest minute parsed, in the form that `now` writes: those of a log follow each other
_second = -1
_second_text = "1969-12-31T23:59:59."  # the latest second asked for: events come many to a second


_agreed: Callable[[], int | None] | None = None


def follow(agreed: Callable[[], int | None] | None) -> None:
    """Take the time from ``agreed``, which tells microseconds since 1970 UTC, or None while it knows none; None: from
    this machine."""
    global _agreed
    _agreed = agreed


def now() -> str:
    """The time, of the clock that is followed. Data only: order comes from `seq`, never from this."""
    there = _agreed() if _agreed is not None else None
    return from_micros(_own() if there is None else there)


def seconds() -> float:
    """The same in seconds since 1970 UTC: for what others tell in them, and what is kept of that."""
    there = _agreed() if _agreed is not None else None
    return (_own() if there is None else there) / _MICRO


def ahead() -> float:
    """Seconds by which the clock that is followed is ahead of this machine's own."""
    return _ahead() / _MICRO


def from_own(seconds: float) -> str:
    """The text of a time since 1970 UTC that this machine's own clock told: a file's, or that of a program's record.
    Raises BadInput as `from_epoch`."""
    return from_epoch(seconds + ahead())


def _own() -> int:
    return time.time_ns() // 1000


def _ahead() -> int:
    there = _agreed() if _agreed is not None else None
    return 0 if there is None else there - _own()


def from_micros(micros: int) -> str:
    """The text of a time given in microseconds since 1970 UTC. Raises BadInput outside of the years 1 to 9999."""
    seconds, fraction = divmod(micros, _MICRO)
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        raise BadInput("a time is outside the years 1 to 9999")
    global _second, _second_text
    if seconds != _second:
        t = time.gmtime(seconds)
        _second_text = f"{t[0]:04d}-{t[1]:02d}-{t[2]:02d}T{t[3]:02d}:{t[4]:02d}:{t[5]:02d}."
        _second = seconds
    return f"{_second_text}{fraction:06d}Z"


def from_epoch(seconds: float) -> str:
    """The text of a time given in seconds since 1970 UTC, as `time.time()` and providers give it."""
    if seconds != seconds or seconds in (float("inf"), float("-inf")):
        raise BadInput(f"not a time: {seconds}")
    return from_micros(round(seconds * _MICRO))


def parse(text: str) -> int:
    """Microseconds since 1970 UTC of an ISO 8601 time.

    Takes what `now` writes, and what providers send: `T` or a space in the middle, seconds with any fraction or none,
    `Z`, `z` or `±HH:MM`. A time without a zone is UTC. Raises BadInput for anything else, also for a 31st of June.
    """
    global _minute
    minute, micros = _minute
    own_form = len(text) == WIDTH and text[19] == "." and text[26] == "Z"
    if own_form and text[:17] == minute and text[17] < "6":
        rest = text[17:19] + text[20:26]
        if rest.isascii() and rest.isdigit():
            return micros + int(rest)
    try:
        parsed = _parse(text)
        if own_form:
            _minute = text[:17], parsed - int(text[17:19] + text[20:26])
        return parsed
    except (ValueError, IndexError):
        raise BadInput(f"not a time: {text[:40]!r}", "write it as 2026-11-23T10:00:02Z") from None


def is_time(text: str) -> bool:
    """Whether a text is a time as `now` writes it."""
    try:
        return from_micros(parse(text)) == text
    except BadInput:
        return False


def add_seconds(iso: str, seconds: float) -> str:
    """The time that many seconds later (earlier when negative), at most the end of the year 9999."""
    micros = parse(iso) + round(seconds * _MICRO)
    return from_micros(min(max(micros, _FIRST_SECOND * _MICRO), _LAST_SECOND * _MICRO))


def seconds_between(earlier: str, later: str) -> float:
    """Seconds from the first time to the second; negative when the second comes first."""
    return (parse(later) - parse(earlier)) / _MICRO


def pause_lasts(until: str, since: str, now: str) -> bool:
    """True if a pause that began at ``since`` and lasts ``until`` a time goes on.

    It is over as well when ``now`` lies before its beginning: the clock was set back, and the end may be a year away.
    Not for a little before: facts are gathered before the log is locked, and the pause may have begun since.
    """
    return until > now and now >= add_seconds(since, -MARGIN_SECONDS)


def _parse(text: str) -> int:
    if len(text) < 19 or not text.isascii() or text[4] != "-" or text[7] != "-" or text[10] not in "Tt ":
        raise ValueError(text)
    if text[13] != ":" or text[16] != ":":
        raise ValueError(text)
    year, month, day = _digits(text[0:4]), _digits(text[5:7]), _digits(text[8:10])
    hour, minute, second = _digits(text[11:13]), _digits(text[14:16]), _digits(text[17:19])
    if year < 1 or not 1 <= month <= 12 or not 1 <= day <= _days_of(year, month):
        raise ValueError(text)
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(text)
    fraction, zone = _fraction_and_zone(text[19:])
    seconds = _days_since_1970(year, month, day) * _DAY + hour * 3600 + minute * 60 + second - zone
    return seconds * _MICRO + fraction


def _fraction_and_zone(rest: str) -> tuple[int, int]:
    """Microseconds, and the zone's distance from UTC in seconds, of what follows the seconds."""
    fraction = 0
    if rest[:1] == ".":
        end = 1
        while end < len(rest) and rest[end].isdigit():
            end += 1
        if end == 1:
            raise ValueError(rest)
        fraction = _digits((rest[1:end] + "00000")[:6])
        rest = rest[end:]
    if rest in ("", "Z", "z"):
        return fraction, 0
    if len(rest) != 6 or rest[0] not in "+-" or rest[3] != ":":
        raise ValueError(rest)
    hours, minutes = _digits(rest[1:3]), _digits(rest[4:6])
    if hours > 23 or minutes > 59:
        raise ValueError(rest)
    zone = hours * 3600 + minutes * 60
    return fraction, -zone if rest[0] == "-" else zone


def _digits(text: str) -> int:
    # int() alone would also take signs, spaces and underscores.
    if not text.isdigit():
        raise ValueError(text)
    return int(text)


def _days_of(year: int, month: int) -> int:
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 29 if leap else _MONTH_DAYS[month - 1]


def _days_since_1970(year: int, month: int, day: int) -> int:
    # Counts in years that begin in March, so that the leap day is the last of its year
    # (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil).
    if month <= 2:
        year -= 1
    era_year = year % 400
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    day_of_era = era_year * 365 + era_year // 4 - era_year // 100 + day_of_year
    return (year // 400) * 146_097 + day_of_era - 719_468
