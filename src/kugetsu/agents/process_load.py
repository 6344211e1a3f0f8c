"""How much processor a process and all that it started use, read from /proc."""

from __future__ import annotations

import os
import time

from kugetsu.host import proc


def cores_used(pid: int, seconds: float) -> float | None:
    """Cores in use by a process tree over the next ``seconds``; None where /proc does not tell (not Linux)."""
    before = _ticks(pid)
    if before is None:
        return None
    started = time.monotonic()
    time.sleep(seconds)
    after = _ticks(pid)
    if after is None:
        return 0.0
    # Processes that began meanwhile count whole, those that ended count for nothing.
    used = sum(ticks - before.get(process, 0) for process, ticks in after.items())
    return used / os.sysconf("SC_CLK_TCK") / (time.monotonic() - started)


def _ticks(root: int) -> dict[int, int] | None:
    """Processor time (clock ticks) of each process of the tree; None when its root is not there."""
    stats: dict[int, tuple[int, int]] = {}
    try:
        names = os.listdir("/proc")
    except FileNotFoundError:
        return None
    for name in names:
        if name.isdigit() and (stat := _stat(int(name))) is not None:
            stats[int(name)] = stat
    if root not in stats:
        return None
    tree, todo = {root: stats[root][1]}, [root]
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in stats.items():
        children.setdefault(parent, []).append(pid)
    while todo:
        for child in children.get(todo.pop(), ()):
            if child not in tree:
                tree[child] = stats[child][1]
                todo.append(child)
    return tree


def _stat(pid: int) -> tuple[int, int] | None:
    """A process's parent and the ticks that it used, its reaped children's included; None when it is gone."""
    fields = proc.stat_fields(pid)
    return (int(fields[1]), sum(map(int, fields[11:15]))) if fields is not None else None
