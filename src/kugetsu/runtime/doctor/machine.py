"""The machine: memory and cores for the configured cap, and the kernel's limits."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator

from kugetsu.domain import gates
from kugetsu.host import proc
from kugetsu.model import clock
from kugetsu.model.plural import counted
from kugetsu.runtime import facts
from kugetsu.runtime.doctor.context import WITHOUT_SETTINGS, Context
from kugetsu.runtime.doctor.finding import Finding, Found

AGENT_MB = {"opencode": 600, "command": 0}
"""Memory of a working agent (opencode 1.18: 530 to 670 MB resident, without its tools; a command: unknown)."""
AGENTS_PER_CORE = 4
"""Agents mostly wait for their model; their builds and tests do not."""
_INOTIFY = {"max_user_instances": 128, "max_user_watches": 8192}
_FILES = 1024

found = Found("machine")


def check(context: Context) -> Iterator[Finding]:
    """The findings."""
    if context.config_problem is None:
        yield from _memory(context)
        yield from _cores(context)
    else:
        yield found.skipped("memory", f"memory and cores are {WITHOUT_SETTINGS}")
    yield from _limits()
    yield from _clock(context)
    if sys.platform != "linux":
        text = "not Linux: no pidfds and no subreaper, so tools that outlive a killed agent may be missed"
        yield found.warning("system", text, "look for them after an attempt was killed")


def _cores(context: Context) -> Iterator[Finding]:
    cap, cores = context.ws.config.integer("MAX_CONCURRENT_AGENTS"), facts.cores()
    if cap > cores * AGENTS_PER_CORE:
        text = f"{cap} agents on {counted(cores, 'core')}: builds and tests will wait for each other"
        yield found.warning("cores", text, f"kugetsu config set MAX_CONCURRENT_AGENTS {cores * AGENTS_PER_CORE}")
    else:
        yield found.ok("cores", f"{counted(cores, 'core')} for at most {counted(cap, 'agent')}")


def _clock(context: Context) -> Iterator[Finding]:
    """Whether the clock is not behind the log's latest event."""
    state = context.state()
    if state is None or not gates.set_back(state, clock.now()):
        return
    latest = f"{state.latest[:10]} {state.latest[11:16]} UTC"
    text = f"the clock was set back: the log has an event of {latest}; pauses that began in the future count as ended"
    yield found.warning("clock", text, "set the clock: date, timedatectl set-ntp true")


def _memory(context: Context) -> Iterator[Finding]:
    config = context.ws.config
    total, free = proc.memory_mb("MemTotal"), facts.free_memory_mb()
    if total is None or free is None:
        yield found.skipped("memory", "this machine's memory cannot be read", "set MAX_CONCURRENT_AGENTS low")
        return
    cap = config.integer("MAX_CONCURRENT_AGENTS")
    each = max(AGENT_MB[str(agent)] for agent in config.everywhere("KUGETSU_AGENT"))
    if cap * each > total:
        fit = max(total // each, 1)
        agents, verb = counted(cap, "agent"), "does" if cap == 1 else "do"
        text = f"{agents} of about {each} MB {verb} not fit into {total} MB of memory"
        yield found.warning("memory", text, f"kugetsu config set MAX_CONCURRENT_AGENTS {fit}")
        return
    wanted = config.integer("MIN_FREE_MEMORY_MB")
    if wanted and free < wanted:
        text = f"{free} MB of memory free, MIN_FREE_MEMORY_MB is {wanted}: no agent starts now"
        yield found.warning("memory", text, f"kugetsu config set MIN_FREE_MEMORY_MB {free}")
    else:
        yield found.ok("memory", f"{free} of {total} MB of memory free")


def _limits() -> Iterator[Finding]:
    low = unknown = False
    for name, least in _INOTIFY.items():
        value = _number(f"/proc/sys/fs/inotify/{name}")
        unknown = unknown or value is None
        if value is not None and value < least:
            low = True
            text = f"fs.inotify.{name} is {value}: agents and the daemon watch files"
            yield found.warning("limits", text, f"sudo sysctl fs.inotify.{name}={least * 4}")
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _FILES:
        low = True
        yield found.warning("limits", f"only {soft} files may be open in a process", f"ulimit -n {_FILES}")
    if unknown:
        yield found.skipped("watches", "the limits on file watches cannot be read")
    if not low:
        what = "open files is" if unknown else "open files and watches are"
        yield found.ok("limits", f"the limit{'' if unknown else 's'} on {what} high enough")


def _number(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
