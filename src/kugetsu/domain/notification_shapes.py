"""What the data of events about notifications hold: the read mark, the sinks, and their deliveries.

Annotations are evaluated here, as in `events`.
"""

from typing import TypedDict


class NoticesRead(TypedDict):
    """Someone has read the notifications up to the event ``until``."""

    until: int


class NoticesUnread(TypedDict):
    """A reading was undone: the mark is back at the event ``until``."""

    until: int


class SinkEnabled(TypedDict):
    """A sink gets the notifications of events after ``upto``: what happened before is not sent."""

    sink: str
    upto: int


class SinkDisabled(TypedDict):
    """A sink was taken out of the settings: its open deliveries are dropped, and what happens until it is enabled
    again is not sent."""

    sink: str


class NoticeSending(TypedDict):
    """Intent: the notifications of these events are about to be delivered, as one message. ``lane`` parts a sink's
    messages (an issue for comments); ``delivery`` is the id by which a receiver knows a repetition."""

    sink: str
    lane: str
    seqs: list[int]
    delivery: str
    upto: int


class NoticeSent(TypedDict):
    """Outcome: delivered."""

    sink: str
    lane: str
    delivery: str
    detail: str


class NoticeFailed(TypedDict):
    """Outcome: not delivered; tried again at ``not_before``, given up when that is None."""

    sink: str
    lane: str
    delivery: str
    tries: int
    not_before: str | None
    reason: str
