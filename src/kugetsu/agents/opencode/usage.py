"""What a turn of opencode used, sub-agents included: counted once, from whichever record knows most of it.

Three records tell of it, and each may miss something: the output knows the turn's own session only; the plugin's signs
know all sessions of the process, but not the call that ended just before a kill; opencode's database knows all calls,
also those of earlier turns and of the base that the session was forked from. Each is a lower bound, so the largest
counts. What the database held before the turn is written down beside the turn's files and taken off.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from kugetsu.agents.opencode import store
from kugetsu.agents.opencode.events import Errors, Output, as_tokens
from kugetsu.agents.outcome import Tokens, Usage, reported_cost


def of_turn(output: Output, errors: Errors, stored: Usage | None, *, killed: bool) -> Usage | None:
    """The usage of a turn from its folded files and what the database gained; None when no record tells of any.

    Only a turn that was killed left calls unfinished: one that ended by itself had an answer, or an error, to each.
    """
    known = [Usage(output.tokens, output.cost)] if output.steps else []
    known += [Usage(errors.tokens, errors.cost)] if errors.tokens is not None else []
    known += [stored] if stored is not None and (stored.tokens.total or stored.cost) else []
    unfinished = list(errors.asking.values()) if killed else []
    if not known and not unfinished:
        return None
    most = max(known, key=lambda usage: usage.tokens.total, default=Usage(Tokens(), 0.0))
    bounds = [bound for bound in unfinished if bound is not None]
    bound = sum(bounds) if unfinished and len(bounds) == len(unfinished) else None
    return Usage(most.tokens, most.cost, len(unfinished), bound)


def stored(database: Path, session: str) -> Usage | None:
    """What a session and its sub-agents used in their whole life; None when the database cannot be read."""
    try:
        steps = store.steps(database, session)
    except store.UnreadableError:
        return None
    tokens, cost = Tokens(), 0.0
    for step, price in steps:
        tokens += as_tokens(step)
        cost += reported_cost(price) or 0.0
    return Usage(tokens, cost)


def gained(now: Usage | None, before: dict[str, Any] | None) -> Usage | None:
    """What was used since ``before`` (`as_data`); None when either is not known."""
    if now is None or before is None:
        return None
    with suppress(TypeError, KeyError):
        tokens = Tokens(**before["tokens"])
        return Usage(now.tokens.beyond(tokens), max(now.cost - before["cost"], 0.0))
    return None


def as_data(usage: Usage | None) -> dict[str, Any] | None:
    """For `baseline`, from which `gained` gets it."""
    return None if usage is None else {"tokens": usage.tokens.as_dict(), "cost": usage.cost}
