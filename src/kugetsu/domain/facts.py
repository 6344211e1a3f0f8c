"""The facts that decisions are made from: gathered outside, passed in, and recorded with the decision."""

from __future__ import annotations

from typing import TypedDict


class ClaimFacts(TypedDict):
    """What the gates read beside the state.

    ``dispatcher``: ``daemon`` (the daemon asks), ``self`` (`start` dispatches its own task) or ``none`` (nobody
    does; only `why` asks so). ``agent`` is the agent and model that usage limits are known by. ``warm_before``: an
    agent that runs since before that time has done the costly part of its start. Memory in MB, None when unknown.
    """

    now: str
    cap: int
    cap_source: str
    cores: int
    warmup_seconds: float
    warm_before: str
    free_memory_mb: int | None
    min_free_memory_mb: int
    max_attempts: int
    agent: str
    dispatcher: str


class OutcomeFacts(TypedDict):
    """What decides on the consequence of an attempt's end: times in seconds, ``pause_seconds`` for a usage limit
    that states no reset time."""

    now: str
    max_attempts: int
    backoff_seconds: float
    pause_seconds: float
    agent: str
