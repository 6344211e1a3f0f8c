"""What a task was given for itself, or its repository has: it comes before the general settings."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.facts import ClaimFacts, RepositoryFacts
    from kugetsu.domain.state import Attempt, State, Task


def own_facts(issue: str | None, facts: ClaimFacts) -> RepositoryFacts:
    """The facts that the repository of an issue has for itself."""
    known = facts.get("repositories")
    return known.get(issue.rpartition("#")[0], {}) if known and issue is not None else {}


def facts_of(task: Task, facts: ClaimFacts) -> ClaimFacts:
    """The facts for a task: those of its repository in place of the general ones."""
    own = own_facts(task.issue, facts)
    merged: ClaimFacts = {**facts, **own} if own else facts  # type: ignore[typeddict-unknown-key]
    return merged


def label(task: Task, of_settings: str) -> str:
    """Agent and model of a task, the name by which a usage limit is known. ``of_settings`` is that of the settings.

    A model belongs to its agent: a task with another agent than the settings' does not take their model.
    """
    own = task.options
    if not own:
        return of_settings
    usual, _, model = of_settings.partition(":")
    agent = own.get("agent") or usual
    if own.get("model"):
        model = own["model"]
    elif agent != usual:
        model = "default"
    return f"{agent}:{model}"


def problem_key(task: Task, facts: ClaimFacts) -> str:
    """The key under which `ClaimFacts.agent_problems` has what keeps the task's agent from being started."""
    own, agent = own_facts(task.issue, facts), task.options.get("agent")
    usual = own.get("agent", facts["agent"]).partition(":")[0]
    key = task.kind if agent in (None, usual) else f"{task.kind}:{agent}"
    return f"{key} {repository_of(task)}" if "agent" in own else key


def set_for(task: Task, facts: ClaimFacts, fact: str) -> dict[str, Any]:
    """Names the repository whose own setting a fact is (``of``): only there another value helps. {} for a general
    one."""
    return {"of": repository_of(task)} if fact in own_facts(task.issue, facts) else {}


def repository_of(task: Task) -> str:
    """The repository of a task's issue; empty for none."""
    return task.issue.rpartition("#")[0] if task.issue is not None else ""


def max_attempts(task: Task, of_settings: int) -> int:
    """How many attempts a task has."""
    own: int | None = task.options.get("max_attempts")
    return own if own is not None else of_settings


def timeout_hours(state: State, attempt: Attempt, of_settings: float) -> float:
    """Hours after which a live attempt is stopped."""
    task = state.tasks.get(attempt.task)
    own: float | None = task.options.get("timeout_hours") if task is not None else None
    return own if own is not None else of_settings


def timeout_name(state: State, attempt: Attempt | None) -> str:
    """What a live attempt's time limit is called: its task's own option, or the setting."""
    task = state.tasks.get(attempt.task) if attempt is not None else None
    return "--timeout" if task is not None and task.options.get("timeout_hours") else "TASK_TIMEOUT_HOURS"


def choose_own(task: Task) -> bool:
    """Whether the task has an agent or a model of its own."""
    return bool(task.options.get("agent") or task.options.get("model"))


def repository_cap(name: str, facts: ClaimFacts) -> int:
    """How many agents may work in a repository at a time, by the settings of the host; 0 for any number. In a shared
    log that is a cap of the host's own agents, beside those of all hosts (`hosts.repository`)."""
    own = facts.get("repositories", {}).get(name, {})
    if "max_agents" in own:
        return own["max_agents"]
    caps = facts.get("repository_caps", {})
    return caps.get(name, caps.get("*", 0))
