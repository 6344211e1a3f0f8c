"""What became of one turn of an agent, in terms that are the same for every agent program."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from kugetsu.redaction.funnel import redact

TEXT_LIMIT = 4000
"""Characters of the agent's last words, and of an error, that go into an outcome: the files keep all of it."""
REASON_LIMIT = 200
MOST_REPORTED = 10**15
"""Tokens, or money, in one report: what is beyond is none. The sum of many of them stays within 64 bits."""


class Kind(StrEnum):
    """The kinds of an outcome."""

    SUCCEEDED = "succeeded"
    """The agent says that it is done, and its program ended well. Whether the work is good, git and tests tell."""
    INCOMPLETE = "incomplete"
    """It ended well, but in the middle: cut at its length, stopped by a refused permission, or without a word."""
    RETRYABLE = "retryable"
    """It failed in a way that may pass."""
    LIMITED = "limited"
    """A usage limit: only waiting helps; not a failure of the task."""
    UNAVAILABLE = "unavailable"
    """What stopped it stops every task alike, until somebody mends it: the provider refuses the key, the program or its
    configuration is broken, a disk is full. Not a failure of the task."""
    FAILED = "failed"
    """It failed in a way that trying again does not mend."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens as the agent reports them; ``total`` includes all of the others."""

    input: int = 0
    output: int = 0
    reasoning: int = 0
    cache_read: int = 0
    cache_write: int = 0
    total: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    def beyond(self, before: Tokens) -> Tokens:
        """What came on top of ``before``; never less than 0."""
        return Tokens(*(max(getattr(self, name) - getattr(before, name), 0) for name in self.__slots__))

    def as_dict(self) -> dict[str, int]:
        """For events and JSON."""
        return {
            "input": self.input,
            "output": self.output,
            "reasoning": self.reasoning,
            "cache_read": self.cache_read,
            "cache_write": self.cache_write,
            "total": self.total,
        }


@dataclass(frozen=True, slots=True)
class Usage:
    """What model calls used, as far as it is known: a lower bound while ``unfinished_calls`` is not 0."""

    tokens: Tokens
    cost: float
    """In the currency of the provider's price list (US dollars)."""
    unfinished_calls: int = 0
    """Calls that were under way at the end: no provider reports what they used."""
    unfinished_tokens: int | None = None
    """The most tokens that the unfinished calls can have used; None when that is not known."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a turn."""

    kind: Kind
    reason: str
    """A short sentence for people."""
    resets_at: str | None = None
    """When a usage limit ends (UTC); None when nobody said so: the caller decides how long to wait."""
    gate: str = ""
    """Of what is unavailable: the gate that it closes, ``provider`` or ``agent``."""
    remedy: str = ""
    """Of what is unavailable: the command that mends it, or a short sentence."""
    session_lost: bool = False
    """The session is not there any more: a new one helps."""
    tokens: Tokens | None = None
    """None when the agent does not tell."""
    cost: float | None = None
    """In the currency of the provider's price list (US dollars); None when the agent does not tell."""
    final_text: str = ""
    """The agent's last words: a claim, not evidence."""
    error: str = ""
    """The error as the program or the provider put it."""
    notes: tuple[str, ...] = ()
    """Sentences on what a person should know of a turn whatever its kind: tool calls that were refused, say."""
    details: dict[str, str | int] = field(default_factory=dict)
    """What the kind was decided from: exit code, signal, status code, the last step's reason. ``unfinished_calls`` and
    ``unfinished_tokens``: of `Usage`, where a call was cut off."""

    def using(self, usage: Usage | None) -> Outcome:
        """The same outcome with this usage."""
        if usage is None:
            return replace(self, tokens=None, cost=None)
        details = dict(self.details)
        if usage.unfinished_calls:
            details["unfinished_calls"] = usage.unfinished_calls
        if usage.unfinished_tokens is not None:
            details["unfinished_tokens"] = usage.unfinished_tokens
        return replace(self, tokens=usage.tokens, cost=usage.cost, details=details)


def reported_tokens(value: object) -> int | None:
    """A number of tokens that an agent reports; None for what cannot be one: an issue's sums must never go down."""
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    return whole if isinstance(whole, int) and not isinstance(whole, bool) and 0 <= whole <= MOST_REPORTED else None


def reported_cost(value: object) -> float | None:
    """A cost that an agent reports; None for what cannot be one."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST_REPORTED
    return float(value) if known else None  # type: ignore[arg-type]


def bounded(text: str, limit: int = TEXT_LIMIT) -> str:
    """A text of at most ``limit`` characters: the beginning and the end are kept, the middle is left out. Redacted
    before it is cut: nobody knows half a secret again."""
    text = redact(text).strip()
    if len(text) <= limit:
        return text
    head = limit // 2
    gap = f"\n… {len(text) - limit} characters left out …\n" if limit > 400 else " … "
    return text[:head].rstrip() + gap + text[-(limit - head - len(gap)) :].lstrip()


def sentence(text: str, limit: int = REASON_LIMIT) -> str:
    """A text as one line, redacted, cut at ``limit`` characters."""
    line = " ".join(redact(text).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
