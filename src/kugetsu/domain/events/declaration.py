"""How a kind of event is declared: once, by the shape of its data under `@event`, with all that readers ask.

`kugetsu status` reads events too, and `typing` with its TypedDicts costs 10 ms: at run time a shape only keeps its
annotations, as text.
"""

from __future__ import annotations

from kugetsu.model.record import field, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NotRequired
    from typing import TypedDict as TypedDict
else:

    class TypedDict:
        """A shape: the keys of an object, as the texts of its annotations."""

        total = True

        def __init_subclass__(cls, total=True):
            cls.total = total
            SHAPES[cls.__name__] = cls


#: An event as the log has it: its envelope (seq, at, type, v; issue, task, attempt, session, cause, facts where they
#: apply; by, sha), and its `data`. Assign `data` to a variable of the kind's shape to have its keys checked.
Event = dict[str, "Any"]
#: UTC with microseconds, as `model.clock` writes it.
Time = str
#: A number that is whole in every reader of JSON: below 2**53.
Safe = int

SHAPES: dict[str, type[Any]] = {}
"""Every shape by its name, also those of objects inside the data."""

ALL = "*"
"""The value of `exempt` for kinds that hold kugetsu's own values only."""

MALFORMED = "event.malformed"
"""The kind under which an event is read whose data does not fit the kind that it claims (`validation.malformed`)."""


@record
class Kind:
    """What is known of one kind of event.

    ``exempt`` names the fields that the redaction funnel leaves as they are, because kugetsu needs them again: names,
    paths, ids. ``observed``: it records what was seen or done outside of the log; nothing is decided from the state.
    ``folded``: it changes the state. ``undoable``: `kugetsu undo` may take it back; ``irrevocable`` is the code of
    why not (in every case, or in those left): `views.irrevocable` has the words.
    """

    name: str
    shape: type[Any]
    version: int = 1
    upcasters: dict[int, Callable[[Event], Event]] = field(factory=dict)
    exempt: str = ""
    observed: bool = False
    folded: bool = True
    undoable: bool = False
    irrevocable: str | None = None


DECLARED: dict[str, Kind] = {}
"""The kinds that were declared so far, by their names; `events.CATALOGUE` knows all."""


def event(*names: str, **declared: Any) -> Callable[[Any], Any]:
    """Declare the kinds ``names``, whose data have the shape of the decorated class; the rest are fields of `Kind`."""

    def declare(shape: Any) -> Any:
        for name in names:
            DECLARED[name] = Kind(name, shape, **declared)
        return shape

    return declare


def keys(shape: type[Any]) -> dict[str, str]:
    """The keys of a shape, each with the text of its annotation."""
    texts: dict[str, str] = shape.__annotations__
    return texts if getattr(shape, "total", True) else {name: f"NotRequired[{text}]" for name, text in texts.items()}


# --- shapes within those of several modules -------------------------------------------------------------------------


class Identity(TypedDict):
    """A process: the boot it runs in, its pid, its start (clock ticks since boot; macOS: epoch seconds).

    ``host`` is the id of its host (`runtime.host_id`); older versions did not record it.
    """

    boot: str
    pid: Safe
    start: Safe
    host: NotRequired[str]


class Carried(TypedDict, total=False):
    """The counters that an issue takes over from its earlier sessions."""

    attempts: int
    parks: int
    tokens: int
    cost: float
    fruitless: int
    pr: str | None
    head: str | None
    comments: int | None
