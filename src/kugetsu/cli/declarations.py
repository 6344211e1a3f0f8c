"""What a command declares of its arguments, and the values that were given."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Arguments:
    """The values that were given, each by its name."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class Declared:
    """One declaration: ``names`` of an option, or the one name of a positional; the rest is argparse's."""

    __slots__ = ("dest", "names", "rest")

    def __init__(self, names: tuple[str, ...], rest: dict[str, Any]) -> None:
        self.names = names
        self.rest = rest
        long = next((name for name in names if name.startswith("--")), names[0])
        self.dest = long.lstrip("-").replace("-", "_")

    @property
    def option(self) -> bool:
        """Whether it is an option; else it is a positional."""
        return self.names[0].startswith("-")

    def default(self) -> Any:
        """The value when it is not given."""
        if self.rest.get("action") == "store_true":
            return False
        if "default" not in self.rest and self.rest.get("nargs") == "*":
            return []
        return self.rest.get("default")
