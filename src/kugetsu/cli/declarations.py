"""What a command declares of its arguments, and the values that were given."""

from __future__ import annotations

from kugetsu.model.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal

    #: What a value names, for the shell's completion: things of the state, of the settings, or of the file system.
    Kind = Literal[
        "task",  # any task that is in the list
        "task-waiting",  # one that waits: pending or parked
        "task-open",  # one that waits or runs
        "task-failed",  # one that failed, until it is acknowledged
        "task-retry",  # one that `queue retry` takes
        "task-state",
        "standing",  # where an issue may stand
        "attempt",
        "issue",  # the issue of a session or a task
        "session",  # a session that is not an issue's: pm, base:host/owner/repo
        "agent",  # an agent program
        "repository",  # host/owner/repo of a session or a task
        "base",  # host/owner/repo of a base session
        "setting",  # a setting's name
        "setting-value",  # a value of the setting that is named before it
        "server",
        "variable",  # a variable of the env files
        "env-agent",  # whose env file
        "skill",
        "sink",
        "when",
        "shell",
        "file",
        "folder",
    ]


@record
class Help:
    """What `--help` and the reference show for a command.

    ``usage`` is what follows the name, ``about`` text below the arguments. ``json`` documents what `--json` prints: a
    line for each key, `path  meaning`, the path as `tasks[].id`; a first line without a path says what the whole is
    when it is not one object. ``examples`` are whole command lines, each with an optional `  # what it does`.
    ``exits`` are the exit codes that it has a use for beside those of every command (0, 1, 3 and 6).
    """

    usage: str
    about: str
    json: str = ""
    examples: str = ""
    exits: Sequence[int] = ()


class Arguments:
    """The values that were given, each by its name."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class Declared:
    """One declaration: ``names`` of an option, or the one name of a positional; ``completes`` says what its value
    names; the rest is argparse's."""

    __slots__ = ("completes", "dest", "names", "rest")

    def __init__(self, names: tuple[str, ...], rest: dict[str, Any], completes: Sequence[Kind] = ()) -> None:
        self.completes = completes
        self.names = names
        self.rest = rest
        long = next((name for name in names if name.startswith("--")), names[0])
        self.dest = long.lstrip("-").replace("-", "_")

    @property
    def option(self) -> bool:
        """Whether it is an option; else it is a positional."""
        return self.names[0].startswith("-")

    @property
    def takes_value(self) -> bool:
        """Whether an option is followed by a value."""
        return self.option and self.rest.get("action") != "store_true"

    def default(self) -> Any:
        """The value when it is not given."""
        if self.rest.get("action") == "store_true":
            return False
        if "default" not in self.rest and self.rest.get("nargs") == "*":
            return []
        return self.rest.get("default")
