"""Gather the facts that decisions are made from: settings, cores, memory, the agent's program, the time."""

from __future__ import annotations

import os

from kugetsu.domain import gates
from kugetsu.domain.state import BRANCH, SETUP
from kugetsu.host import host_file, proc
from kugetsu.model import clock
from kugetsu.runtime import agent_preflight, liveness

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from kugetsu.domain.facts import ClaimFacts, OutcomeFacts, RepositoryFacts
    from kugetsu.domain.state import State
    from kugetsu.host.config import Config
    from kugetsu.runtime.workspace import Workspace

#: Seconds for which an agent's start keeps a core busy: starts are staggered by it. A command: none; opencode: 2.4 s of
#: wall time, 3.2 s of processor time until the model is asked (1.18.33, 2 cores).
WARMUP_SECONDS = {"opencode": 3.0, "command": 0.0}


def agent_label(config: Config) -> str:
    """Agent and model, the name by which a provider's usage limit is known."""
    return f"{config.text('KUGETSU_AGENT')}:{config.text('KUGETSU_MODEL') or 'default'}"


def free_memory_mb() -> int | None:
    """Memory in MB that new processes can have without swapping (MemAvailable); None without /proc."""
    return proc.memory_mb("MemAvailable")


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_disk_mb(folder: str) -> int | None:
    """Disk in MB that this user may still fill where ``folder`` lies; None when the system does not tell."""
    try:
        room = os.statvfs(folder)
    except OSError:
        return None
    return room.f_bavail * room.f_frsize // (1024 * 1024)


def repository_caps(config: Config) -> dict[str, int]:
    """How many agents may work in a repository at a time, by its name; ``*`` for those not named; {} for no limit."""
    caps: dict[str, int] = {}
    for name, cap in config.mapping("REPOSITORY_CAPS").items():
        caps[name] = int(cap)
    most = config.integer("MAX_AGENTS_PER_REPOSITORY")
    return {**caps, "*": most} if most else caps


def claim_facts(
    ws: Workspace, dispatcher: str, environment: Mapping[str, str] | None = None, *, options: Mapping[str, Any] = {}
) -> ClaimFacts:
    """What the gates read now.

    ``dispatcher`` is ``daemon``, ``self`` or ``none``; ``environment`` is that in which it starts agents, when it is
    another process; ``options`` are those of a task that is not in the queue yet.
    """
    config, now = ws.config, clock.now()
    repositories = _repositories(config)
    warmup = max(WARMUP_SECONDS[str(agent)] for agent in config.everywhere("KUGETSU_AGENT"))
    found: ClaimFacts = {
        "now": now,
        "cap": config.integer("MAX_CONCURRENT_AGENTS"),
        "cap_source": config.source("MAX_CONCURRENT_AGENTS"),
        "cores": cores(),
        "warmup_seconds": warmup,
        "warm_before": clock.add_seconds(now, -warmup),
        "free_memory_mb": free_memory_mb(),
        "min_free_memory_mb": config.integer("MIN_FREE_MEMORY_MB"),
        "max_attempts": config.integer("MAX_ATTEMPTS"),
        "agent": agent_label(config),
        "dispatcher": dispatcher,
        "free_disk_mb": free_disk_mb(ws.paths.root),
        "min_free_disk_mb": config.integer("MIN_FREE_DISK_MB"),
        "issue_max_tokens": config.integer("ISSUE_MAX_TOKENS"),
        "issue_max_cost": config.number("ISSUE_MAX_COST"),
        "max_runs_without_progress": config.integer("MAX_RUNS_WITHOUT_PROGRESS"),
        "repository_caps": repository_caps(config),
        "agent_problems": agent_preflight.problems(
            ws, environment, _own_agents(ws, options), [name for name, own in repositories.items() if "agent" in own]
        ),
    }
    if repositories:
        found["repositories"] = repositories
    if ws.state().hosts:
        found["host"], found["term"] = _host_and_term(ws, ws.state())
    if gates.set_back(ws.state(), now):
        found["set_back"] = True
    parked_for = {task.parked_for for task in ws.state().tasks.values() if task.state == "parked"}
    if SETUP in parked_for:
        from kugetsu.domain import worktree_setup  # rarely, and `status` starts without it
        from kugetsu.runtime.worktree_setup import recipe

        waiting = worktree_setup.waiting(ws.state())
        names = {session.repository for session in waiting if session.repository is not None}
        found["set_ups"] = {name: recipe.of(ws.config_of(name)).sha for name in sorted(names)}
        found["names_set_up"] = True
    if BRANCH in parked_for:
        from kugetsu.domain import divergence  # rarely, as well
        from kugetsu.runtime import host_id
        from kugetsu.runtime.git import command

        apart = [task for task in ws.state().waiting() if divergence.is_parked(task)]
        parked = [ws.state().sessions[task.session] for task in apart]
        folders = {session.key: host_id.as_seen_here(ws, session).worktree for session in parked}
        heads = {key: command.commit_of("HEAD", path) for key, path in folders.items() if path and os.path.isdir(path)}
        found["branch_heads"] = heads
    return found


def _host_and_term(ws: Workspace, state: State) -> tuple[str, int]:
    """Who claims: this host, and the term that it has itself, which a copy of its directory may have ended."""
    host = host_file.read(ws.paths.root)
    if not host:
        from kugetsu.runtime import host_id  # rarely, and `status` starts without it

        host = host_id.own(ws)
    known = state.hosts.get(host)
    return host, host_file.term(ws.paths.root) or (known.term if known is not None else 0)


def _own_agents(ws: Workspace, options: Mapping[str, Any]) -> dict[str, None]:
    """The agents that tasks have of their own."""
    given = (options, *(task.options for task in ws.state().tasks.values() if task.options))
    return dict.fromkeys(own["agent"] for own in given if own.get("agent"))


def _repositories(config: Config) -> dict[str, RepositoryFacts]:
    """What decisions read of the settings that repositories have of their own."""
    found: dict[str, RepositoryFacts] = {}
    for name in config.repositories:
        own = config.of(name)
        facts: RepositoryFacts = {}
        if any(map(own.is_own, ("KUGETSU_AGENT", "KUGETSU_AGENT_COMMAND", "KUGETSU_MODEL"))):
            facts["agent"] = agent_label(own)
        if own.is_own("MAX_ATTEMPTS"):
            facts["max_attempts"] = own.integer("MAX_ATTEMPTS")
        if own.is_own("ISSUE_MAX_TOKENS"):
            facts["issue_max_tokens"] = own.integer("ISSUE_MAX_TOKENS")
        if own.is_own("ISSUE_MAX_COST"):
            facts["issue_max_cost"] = own.number("ISSUE_MAX_COST")
        if own.is_own("MAX_RUNS_WITHOUT_PROGRESS"):
            facts["max_runs_without_progress"] = own.integer("MAX_RUNS_WITHOUT_PROGRESS")
        if own.is_own("MAX_AGENTS_PER_REPOSITORY"):
            facts["max_agents"] = own.integer("MAX_AGENTS_PER_REPOSITORY")
        if own.is_own("TASK_TIMEOUT_HOURS"):
            facts["timeout_hours"] = own.number("TASK_TIMEOUT_HOURS")
        if facts:
            found[name] = facts
    return found


def facts_now(ws: Workspace, state: State) -> ClaimFacts:
    """What the gates would read now, with the dispatcher that there is."""
    if liveness.daemon(ws.paths, state):
        return claim_facts(ws, "daemon", liveness.daemon_environment(ws.paths, state))
    return claim_facts(ws, "none")


def outcome_facts(config: Config) -> OutcomeFacts:
    """What decides on the consequence of an attempt's end now."""
    return {
        "now": clock.now(),
        "max_attempts": config.integer("MAX_ATTEMPTS"),
        "backoff_seconds": config.number("RETRY_BACKOFF_SECONDS"),
        "pause_seconds": config.number("USAGE_LIMIT_PAUSE_MINUTES") * 60,
        "agent": agent_label(config),
    }
