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

from kugetsu.agents.reset_times import number, reset_time, sane, window_end
from kugetsu.model import clock


def present() -> datetime:
    """The time from which limits are counted: that by which decisions are made."""
    return datetime.fromtimestamp(clock.parse(clock.now()) / 1e6, UTC)


LONG_WAIT_SECONDS = 300.0
"""A wait longer than that is not worth an idle agent: it counts as a usage limit whatever it is called."""

_PERIOD = r"(?:usage|session|plan|hourly|daily|weekly|monthly|opus|sonnet|\d+[- ]?h(?:ou)?r)"
_USAGE = re.compile(
    r"usage[ _-]?limit|(?<!disk )(?<!storage )(?<!inode )(?<!disc )quota|insufficient[_ ](?:funds|credits?|balance)"
    r"|credit balance|out of (?:extra )?(?:credits?|usage)"
    r"|spend(?:ing)?[ _-]limit|billing (?:hard )?limit|(?:hit|reached|exceeded) (?:your|the) (?:[\w-]+ )*limit"
    rf"|{_PERIOD} limit|(?<!rate )limit reached|UsageLimitError|payment required"
    r"|premium request allowance|per[- ]day\b",
    re.I,
)
_OWN_LIMIT = re.compile(
    r"context (?:length|window|limit|size)|maximum context|prompt is too long|max_(?:completion_)?tokens"
    r"|(?:output|input|token|size|length|recursion|iteration|step|turn|time) limit",
    re.I,
)
"""Limits of one request or one run: no waiting helps."""
_RATE = re.compile(r"rate[ _-]?limit|too[ _]many[ _]requests|resource[ _]exhausted|\b429\b", re.I)

_PREFIX = (
    r"^\W*(?:(?:\w+[ .])?(?:\w*error|failed|fatal|warning)(?: \(?\d{3}\)?)?\s*[:\-–]\s*|\W+)*"
    r"(?:\d{3}[ :]+)?(?:too many requests[:.,]? *)?\W*"
)
_SENTENCE = re.compile(
    _PREFIX + r"(?:"
    # Claude Code, Codex, Cursor and others in the same words
    rf"(?:Claude(?: AI| Code| Pro| Max)? |the )?(?:{_PERIOD}) limit (?:has been |was )?(?:reached|exceeded|hit)\b"
    r"|you(?:'ve|’ve| have)? (?:hit|reached|exceeded|exhausted|used up) (?:your|the|this|all (?:of )?your) "
    rf"(?:(?:current|monthly|free|organization's|model's|account's|{_PERIOD}) )*"
    r"(?:rate )?(?:limit|quota|allowance|usage|credits?|premium request allowance)\b"
    r"|you(?:'re|’re| are) out of (?:extra )?(?:usage|credits?)\b"
    r"|(?:your )?credit balance is too low"
    # OpenAI, Groq, Mistral, OpenRouter
    r"|rate limit (?:reached|exceeded)(?: for|: (?:free-models|limit_)|[,.]? (?:please )?(?:try|retry) again)"
    r"|you exceeded your current quota|insufficient (?:credits?|balance|funds|quota)\b|insufficient_quota\b"
    r"|billing hard limit has been reached|(?:usage_limit_reached|exceeded_current_quota_error)\b"
    # Gemini
    r"|quota exceeded for (?:quota )?metric\b|resource has been exhausted|resource_exhausted\b"
    r"|you have exhausted your (?:capacity|daily quota) on this model"
    # Copilot, opencode's own plans
    r"|(?:sorry, )?you(?:'ve|’ve| have)? (?:been rate[- ]limited|exceeded your premium request allowance)"
    r"|sorry, you(?:'ve|’ve| have)? (?:exceeded|exhausted|hit|reached) (?:your|this) (?:[\w'’]+ ){0,3}limit\b"
    r"|free usage (?:limit )?(?:exceeded|reached)|subscription quota exceeded|payment required\b"
    r")",
    re.I,
)
"""Beginnings of lines that report a limit of the agent's own provider."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit found in a text. ``usage`` False: a mere rate limit. ``resets`` is UTC, None when not stated."""

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
    """The limit that a provider's own error reports, or None.

    Only for what the agent's protocol names as the model's error: in such a text a word is enough. ``now`` must know
    its zone; ``zone`` is that of times without one (see `reset_times`).
    """
    usage = status == 402 or (_USAGE.search(text) is not None and _OWN_LIMIT.search(text) is None)
    if not usage and status != 429 and _RATE.search(text) is None:
        return None
    resets = from_headers(headers or {}, now) or reset_time(text, now, zone=zone)
    if not usage and resets is not None and (resets - now).total_seconds() > LONG_WAIT_SECONDS:
        usage = True
    return Limit(usage, resets)


def find_sentence(line: str, now: datetime, *, zone: tzinfo | None = None) -> Limit | None:
    """The limit of which a line tells that a program printed for people; None for every line that does not begin with
    a sentence known for that. Tools, tests and compilers print of quotas and of limits as well."""
    if _SENTENCE.match(line) is None:
        return None
    limit = find(line, now, zone=zone)
    return limit or Limit(True, reset_time(line, now, zone=zone))


def far_reset(line: str, now: datetime) -> str | None:
    """The time that a line names for another try, as kugetsu writes times; None when it is near, or not told."""
    resets = reset_time(line, now)
    return stamp(resets) if resets is not None and (resets - now).total_seconds() > LONG_WAIT_SECONDS else None


def from_headers(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """The end of a limit as an HTTP answer's headers tell it (RFC 9110 `Retry-After`, `retry-after-ms`, resets)."""
    lower = {name.lower(): value for name, value in headers.items()}
    if (millis := number(lower.get("retry-after-ms"))) is not None:
        return sane(now + timedelta(milliseconds=millis), now)
    if (text := lower.get("retry-after")) is not None:
        if (seconds := number(text)) is not None:
            return sane(now + timedelta(seconds=seconds), now)
        try:
            return sane(parsedate_to_datetime(text).astimezone(UTC), now)
        except ValueError:
            return None
    return sane(_exhausted_window(lower, now), now)


def stamp(moment: datetime) -> str:
    """A moment as kugetsu writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _exhausted_window(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """The latest reset among those windows (`…ratelimit-…-reset`) of which nothing remains."""
    latest: datetime | None = None
    for name, value in headers.items():
        if "ratelimit" not in name or "reset" not in name:
            continue
        if headers.get(name.replace("reset", "remaining"), "0").strip() not in ("0", "0.0"):
            continue
        moment = window_end(value.strip(), now)
        if moment is not None and (latest is None or moment > latest):
            latest = moment
    return latest
