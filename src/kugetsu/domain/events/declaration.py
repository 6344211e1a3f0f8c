"""The declaration of a kind of event: the shape of its data under `@event`, with all properties that readers need.

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


#: An event of the log: its envelope (seq, at, type, v; issue, task, attempt, session, cause, facts if they apply; by,
#: sha), and its `data`. Assign `data` to a variable of the kind's shape to have its keys checked.
Event = dict[str, "Any"]
#: UTC with microseconds, as `model.clock` writes it.
Time = str
#: A number that is exact in every reader of JSON: below 2**53.
Safe = int

SHAPES: dict[str, type[Any]] = {}
"""Every shape by its name, including those of nested objects."""

ALL = "*"
"""The value of `exempt` for kinds with only kugetsu's own values."""

MALFORMED = "event.malformed"
"""The kind of an event whose data does not fit the kind that it claims (`validation.malformed`)."""


@record
class Kind:
    """The properties of one kind of event.

    ``exempt`` names the fields that the redaction funnel does not change, because kugetsu needs them again: names,
    paths, ids. ``observed``: it records an observation or effect outside of the log, not a decision from the state.
    ``folded``: it changes the state. ``undoable``: `kugetsu undo` may reverse it; ``irrevocable`` is the code of the
    reason why not (in every case, or in the other cases): `views.irrevocable` has the words.
    ``since``: keys that the data has since a later version than the first.
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
    since: dict[str, int] = field(factory=dict)


DECLARED: dict[str, Kind] = {}
"""The kinds declared so far, by name; `events.CATALOGUE` has all."""


def event(*names: str, **declared: Any) -> Callable[[Any], Any]:
    """Declare the kinds ``names``, with the decorated class as their data's shape; the rest are fields of `Kind`."""

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
