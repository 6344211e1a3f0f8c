"""What a check gives: how bad it is, the evidence, the remedy, and whether `doctor --fix` can apply it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    Level = Literal["ok", "skipped", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Fix:
    """A safe repair that deletes nothing of the user's: what it does in words, and the action."""

    text: str
    do: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. ``group`` and ``name`` are stable; ``text`` is one line with evidence; ``fix`` is a command or
    instruction; ``repair`` is what `doctor --fix` does."""

    group: str
    name: str
    level: Level
    text: str
    _: KW_ONLY
    fix: str | None = None
    repair: Fix | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Makes the findings of one group."""

    group: str

    def ok(self, name: str, text: str) -> Finding:
        """All is well."""
        return Finding(self.group, name, "ok", text)

    def skipped(self, name: str, text: str, fix: str | None = None) -> Finding:
        """Not checked: the text says why, ``fix`` how to check it."""
        return Finding(self.group, name, "skipped", text, fix=fix)

    def warning(self, name: str, text: str, fix: str | None = None, repair: Fix | None = None) -> Finding:
        """It works, but may not for long or for all."""
        return Finding(self.group, name, "warning", text, fix=fix, repair=repair)

    def problem(self, name: str, text: str, fix: str | None = None, repair: Fix | None = None) -> Finding:
        """It does not work."""
        return Finding(self.group, name, "problem", text, fix=fix, repair=repair)


def as_data(finding: Finding) -> dict[str, Any]:
    """For `--json` and bundles."""
    return {
        "group": finding.group,
        "name": finding.name,
        "level": finding.level,
        "text": finding.text,
        "fix": finding.fix,
        "mends": finding.repair is not None,
    }
