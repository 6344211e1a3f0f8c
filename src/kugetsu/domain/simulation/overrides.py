"""The changes of a simulation: settings, as the facts that decisions read, and priorities of tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kugetsu.model.record import field, record


@record
class Changes:
    """New values; everything else stays as recorded.

    ``claim`` and ``outcome`` are facts (`facts.ClaimFacts`, `facts.OutcomeFacts`) by name. ``timeout_seconds`` is not a
    fact: the runner enforces it. ``named_caps`` and ``other_cap`` (0: none) are the two parts of the fact
    ``repository_caps``. ``priorities`` are those of tasks (`q7`) and of all tasks of an issue. ``own`` is what
    repositories have of their own instead (`facts.RepositoryFacts`).
    """

    claim: dict[str, Any] = field(factory=dict)
    outcome: dict[str, Any] = field(factory=dict)
    timeout_seconds: float | None = None
    named_caps: dict[str, int] | None = None
    other_cap: int | None = None
    priorities: dict[str, int] = field(factory=dict)
    own: dict[str, dict[str, Any]] = field(factory=dict)

    def of_claim(self, recorded: Mapping[str, Any]) -> dict[str, Any]:
        """The facts of a claim, changed; a copy."""
        facts = {**recorded, **self.claim}
        if self.named_caps is not None or self.other_cap is not None:
            facts["repository_caps"] = self._caps(recorded.get("repository_caps") or {})
        if self.own:
            known = recorded.get("repositories") or {}
            names = dict.fromkeys((*known, *self.own))
            facts["repositories"] = {name: {**known.get(name, {}), **self.own.get(name, {})} for name in names}
        return facts

    def of_outcome(
        self, recorded: Mapping[str, Any], own: Mapping[str, Any], issue: str | None = None
    ) -> dict[str, Any]:
        """The facts of an outcome at an ``issue``, changed but for those that its repository has of its own (``own``);
        a copy."""
        changed = {name: value for name, value in self.outcome.items() if name not in own}
        return {**recorded, **changed, **{name: one for name, one in self.own_of(issue).items() if name in recorded}}

    def own_of(self, issue: str | None) -> dict[str, Any]:
        """What is changed for the repository of an issue alone."""
        return self.own.get(issue.rpartition("#")[0], {}) if issue is not None else {}

    def priority(self, task: str, issue: str | None) -> int | None:
        """The fixed priority of a task; None to keep the recorded one."""
        own = self.priorities.get(task)
        return own if own is not None or issue is None else self.priorities.get(issue)

    def _caps(self, recorded: Mapping[str, int]) -> dict[str, int]:
        named = {name: cap for name, cap in recorded.items() if name != "*"}
        other = recorded.get("*", 0)
        if self.named_caps is not None:
            named = dict(self.named_caps)
        if self.other_cap is not None:
            other = self.other_cap
        return {**named, "*": other} if other else named
