"""What a check found: how bad it is, the evidence, the command that mends it, and whether `doctor --fix` may do so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    Level = Literal["ok", "skipped", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Fix:
    """A repair that is safe and deletes nothing of the user's: what it does in words, and the doing."""

    text: str
    do: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. ``group`` and ``name`` are stable words; ``text`` is one line with its evidence; ``fix`` is a
    command, or what to do in a few words; ``repair`` is there when `doctor --fix` can do it."""

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
        """It was not checked: the text says why, ``fix`` what checks it."""
        return Finding(self.group, name, "skipped", text, fix=fix)

    def warning(self, name: str, text: str, fix: str | None = None, repair: Fix | None = None) -> Finding:
        """Works, and may not for long or not for all."""
        return Finding(self.group, name, "warning", text, fix=fix, repair=repair)

    def problem(self, name: str, text: str, fix: str | None = None, repair: Fix | None = None) -> Finding:
        """Something does not work."""
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
