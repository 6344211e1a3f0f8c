"""`@record` and `@value`: classes with slots made from their annotations, as `dataclasses` makes them.

Importing `dataclasses` costs 12 ms, a third of `kugetsu status`. Here an ``__init__`` is compiled only for a class of
which many are made: compiling takes as long as making some fifty without.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar, dataclass_transform

    T = TypeVar("T")
else:

    def dataclass_transform(**_):
        """Means something to type checkers only."""
        return lambda decorator: decorator


#: Instances of a class for which its ``__init__`` is not worth compiling.
FEW = 40


_set = object.__setattr__


class _Fresh:
    """A default that is made anew for each record."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], object]) -> None:
        self.make = make


def field(*, factory: Callable[[], Any]) -> Any:
    """The default of a field whose value is not shared: ``names: list[str] = field(factory=list)``."""
    return _Fresh(factory)


@dataclass_transform(field_specifiers=(field,), eq_default=False)
def record(cls: type[T]) -> type[T]:
    """A class whose annotations are its fields. It may change, and equals only itself; `__post_init__` is called."""
    return _made(cls, "self.{0} = {1}", _SHOWN)


@dataclass_transform(field_specifiers=(field,), frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """Like `record`, but it never changes, and equals another of its class with equal fields."""
    return _made(cls, "_set(self, {0!r}, {1})", _FIXED)


def fields(kind: Any) -> tuple[str, ...]:
    """The names of the fields of a record or its class, in the order of its constructor."""
    names: tuple[str, ...] = kind.__fields__
    return names


def defaults(kind: Any) -> dict[str, Any]:
    """The default of each field of a record's class that has one."""
    known = kind.__field_defaults__.items()
    return {name: default.make() if isinstance(default, _Fresh) else default for name, default in known}


def values(record: Any) -> dict[str, Any]:
    """The fields of a record with their values."""
    return {name: getattr(record, name) for name in record.__fields__}


def replace(record: T, **changes: Any) -> T:
    """A copy of ``record`` with other values in some fields."""
    return type(record)(**{**values(record), **changes})


def _made(cls: type[T], assign: str, methods: dict[str, Any]) -> type[T]:
    body = {**methods, **vars(cls)}
    own = tuple(name for name, kind in body.get("__annotations__", {}).items() if "ClassVar[" not in str(kind))
    defaults = {**getattr(cls, "__field_defaults__", {}), **{name: body.pop(name) for name in own if name in body}}
    for name in ("__dict__", "__weakref__"):  # of the class without slots
        body.pop(name, None)
    body |= {"__slots__": own, "__fields__": (*getattr(cls, "__fields__", ()), *own), "__field_defaults__": defaults}
    metaclass: Any = type(cls)
    made: Any = metaclass(cls.__name__, cls.__bases__, body)
    made.__init__ = _init(made, assign)
    return made  # type: ignore[no-any-return]


def _init(made: Any, assign: str) -> Callable[..., None]:
    """The ``__init__`` of the first few; it is replaced by a compiled one, which also refuses arguments that do not
    fit."""
    names, known = frozenset(made.__fields__), made.__field_defaults__
    finished = hasattr(made, "__post_init__")
    left = FEW

    def init(self: Any, *args: Any, **named: Any) -> None:
        nonlocal left
        left -= 1
        given = {**dict(zip(made.__fields__, args, strict=False)), **named}
        found = {**known, **given}
        if left < 0 or len(given) != len(args) + len(named) or found.keys() != names:
            made.__init__ = _compiled(made, assign)
            made.__init__(self, *args, **named)
            return
        for name, value in found.items():
            _set(self, name, value.make() if type(value) is _Fresh else value)
        if finished:
            self.__post_init__()

    return init


def _compiled(made: Any, assign: str) -> Callable[..., None]:
    defaults = made.__field_defaults__
    known: dict[str, Any] = {"_set": _set, **{f"_{name}": default for name, default in defaults.items()}}
    head, lines = ["self"], []
    for name in made.__fields__:
        head.append(f"{name}=_{name}" if name in defaults else name)
        new = isinstance(defaults.get(name), _Fresh)
        lines.append(assign.format(name, f"_{name}.make() if {name} is _{name} else {name}" if new else name))
    if hasattr(made, "__post_init__"):
        lines.append("self.__post_init__()")
    exec(f"def __init__({', '.join(head)}):\n " + "\n ".join(lines or ["pass"]), known)
    known["__init__"].__qualname__ = f"{made.__qualname__}.__init__"
    init: Callable[..., None] = known["__init__"]
    return init


def _repr(self: Any) -> str:
    return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in values(self).items())})"


def _eq(self: Any, other: object) -> bool:
    return type(self) is type(other) and values(self) == values(other)


def _hash(self: Any) -> int:
    return hash((type(self), *values(self).values()))


def _frozen(self: Any, name: str, _: Any = None) -> None:
    raise AttributeError(f"{type(self).__name__} does not change: {name}")


_SHOWN: dict[str, Any] = {"__repr__": _repr}
_FIXED = _SHOWN | {"__eq__": _eq, "__hash__": _hash, "__setattr__": _frozen, "__delattr__": _frozen}
