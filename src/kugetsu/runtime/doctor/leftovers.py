"""What was left behind: attempts without a process, unused leases and folders, stray processes."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial

from kugetsu.domain.state import State
from kugetsu.host import proc
from kugetsu.host.paths import Paths
from kugetsu.model.errors import BadInput
from kugetsu.model.plural import counted
from kugetsu.runtime import folders, host_id, reconcile, scratch_lease
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.doctor.finding import Finding, Fix, Found
from kugetsu.runtime.folders import names
from kugetsu.runtime.git import scratch
from kugetsu.runtime.process import identity, lease, named_lease
from kugetsu.runtime.process.termination import MARK
from kugetsu.runtime.prune.model import claimed_folders
from kugetsu.runtime.runner import temp_folders

YOUNG_SECONDS = 60.0
"""A younger lease may be one that is just being claimed."""
ENDING_SECONDS = 3.0
"""A process of an ended attempt may be its runner, which ends at once unless the machine is busy."""
LOOK_SECONDS = 0.1
"""Between two looks."""

found = Found("leftovers")


class _Seen:
    """What exists, listed before the log is read: the log names everything before it is made, so what is made or ends
    meanwhile does not pass for a leftover."""

    def __init__(self, paths: Paths) -> None:
        self.leases = lease.names(paths.leases)
        self.worktrees = names(paths.worktrees)
        self.runs = names(paths.runs)
        self.checkouts = names(paths.scratch)
        self.marked = list(_marked(paths.root))


def check(context: Context) -> Iterator[Finding]:
    """The findings."""
    if context.state() is None:
        yield found.skipped("none", f"nothing was checked: {context.why_no_state()}")
        return
    seen = _Seen(context.paths)
    told = list(_attempts(context))
    state = context.ws.state()
    told += [*_leases(context.paths, state, seen), *_folders(context, state, seen), *_processes(context, state, seen)]
    told += [*_temp_folders(context.paths, state, seen), *_of_the_agent(context)]
    told += _checkouts(context, state, seen)
    yield from told
    if not identity.HAS_PROC:
        yield found.skipped("processes", "processes of earlier attempts were not checked: there is no /proc here")
    if not told:
        yield found.ok("none", "nothing was left behind")


def _attempts(context: Context) -> Iterator[Finding]:
    suspects = {attempt.id for attempt in reconcile.dead(context.ws, context.ws.state())}
    # One that ends is recorded before its lease goes: it is dead only when the log, read again, still calls it live.
    dead = [attempt for attempt in reconcile.dead(context.ws, context.ws.state()) if attempt.id in suspects]
    if dead:
        names = ", ".join(attempt.id for attempt in dead)
        repair = Fix(f"settle {names}", lambda: reconcile.reconcile(context.ws))
        held = "a slot is" if len(dead) == 1 else f"{len(dead)} slots are"
        text = f"{names} died without being recorded: {held} held"
        yield found.warning("attempts", text, "kugetsu queue-daemon start", repair)
    for attempt in context.ws.state().attempts.values():
        own = host_id.is_own(context.ws, attempt.host)
        if own and attempt.runner is not None and identity.stopped(attempt.runner):
            pid = attempt.runner["pid"]
            text = f"the supervisor of {attempt.id} (pid {pid}) was stopped (SIGSTOP): no limit is enforced"
            yield found.warning("attempts", text, f"kill -CONT {pid}")


def _leases(paths: Paths, state: State, seen: _Seen) -> Iterator[Finding]:
    named = state.leases() | {*named_lease.FIXED}
    old = time.time() - YOUNG_SECONDS
    loose: list[str] = []
    held: list[str] = []
    for name in seen.leases:
        if name in named or _changed(paths.lease(name)) > old:
            continue
        if os.path.isdir(f"{paths.scratch}/{name}"):  # a person verifies by hand, or did until it was killed
            continue
        (held if lease.alive(paths.leases, name) else loose).append(name)
    if loose:
        what = counted(len(loose), "unused lease file")
        repair = Fix(f"delete {what}", lambda: [lease.forget(paths.leases, name) for name in loose])
        yield found.warning("leases", f"{what} in {paths.leases}", "kugetsu doctor --fix", repair)
    if held:
        text = f"{len(held)} lease{' is' if len(held) == 1 else 's are'} held by a process that the log does not know"
        yield found.warning("leases", text, f"find the holder: fuser -v {paths.leases}/*")


def _changed(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:  # gone meanwhile
        return time.time()


def _folders(context: Context, state: State, seen: _Seen) -> Iterator[Finding]:
    claimed = claimed_folders(context.ws, state)
    strangers = [name for name in seen.worktrees if os.path.realpath(context.paths.worktree(name)) not in claimed]
    if strangers:
        text = f"{counted(len(strangers), 'worktree')} without a session: {_some(strangers)}"
        yield found.warning("worktrees", text, "kugetsu prune")
    own = [session for session in state.sessions.values() if host_id.is_own(context.ws, session.host)]
    idle = [session for session in own if session.state == "idle"]
    gone = [session.key for session in idle if session.worktree is not None and not os.path.isdir(session.worktree)]
    if gone:
        text = f"the worktree of {_some(gone)} is gone; the next attempt recreates it from its branch"
        yield found.warning("worktrees", text, f"kugetsu destroy {gone[0]}")
    runs = [name for name in seen.runs if not _was_made(name, state)]
    if runs:
        text = f"{counted(len(runs), 'run')} unknown to the log: {_some(runs)}"
        yield found.warning("runs", text, "kugetsu prune")


def _temp_folders(paths: Paths, state: State, seen: _Seen) -> Iterator[Finding]:
    """Temporary folders of ended attempts: some of their processes could not be ended, or a removal failed."""
    old = []
    in_use = tuple(f"-{nonce[:8]}" for _, nonce in seen.marked)
    for name in seen.runs:
        path = temp_folders.left(paths, name) if name not in state.attempts else None
        if path is None:
            continue
        mounted = folders.mounted_within(path)
        if mounted:
            text = f"the temporary folder of {name}, which has ended, has something mounted in it"
            yield found.warning("temporary", text, f"umount {shlex.quote(mounted[0])}")
        elif path.endswith(in_use):
            yield found.warning("temporary", f"processes of {name}, which has ended, still use its temporary folder")
        else:
            old.append(name)
    if old:
        what = f"{counted(len(old), 'temporary folder')} of attempts that have ended"
        repair = Fix(f"remove {what}", lambda: [temp_folders.remove(paths, name) for name in old])
        yield found.warning("temporary", f"{what}: {_some(old)}", "kugetsu doctor --fix", repair)


def _checkouts(context: Context, state: State, seen: _Seen) -> Iterator[Finding]:
    """Clean checkouts of verifications and trials that were killed."""
    paths = context.paths
    left = [nonce for nonce in scratch.left_over(paths, state.leases()) if nonce in seen.checkouts]
    if left:
        what = f"{counted(len(left), 'checkout')} of verifications or trials that were killed"
        repair = Fix(f"remove {what}", lambda: scratch_lease.forget_killed(context.ws))
        yield found.warning("checkouts", f"{what} in {paths.scratch}", "kugetsu doctor --fix", repair)


def _of_the_agent(context: Context) -> Iterator[Finding]:
    """What the agent's program left."""
    ws = context.ws
    try:
        agents = [ws.agent("dev", {"agent": name}) for name in ws.config.everywhere("KUGETSU_AGENT")]
        leftovers = [left for agent in agents for left in agent.leftovers(context.paths.worktrees)]
    except BadInput:  # an env file that cannot be read has a finding of its own
        return
    for left in leftovers:
        repair = Fix(f"remove {left.text}", partial(_remove, left.paths))
        yield found.warning(left.name, left.text, "kugetsu doctor --fix", repair)


def _remove(paths: Iterable[str]) -> None:
    for path in paths:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            with suppress(FileNotFoundError):
                os.unlink(path)


def _was_made(name: str, state: State) -> bool:
    task = name.partition(".")[0]
    return task[:1] == "q" and task[1:].isdigit() and 0 < int(task[1:]) <= state.tasks_made


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _processes(context: Context, state: State, seen: _Seen) -> Iterator[Finding]:
    """Marked processes of ended attempts: reported, never ended here."""
    live = state.leases()
    mine = _ancestors()
    strangers = []
    for pid, nonce in seen.marked:
        if nonce not in live and pid not in mine and not lease.alive(context.paths.leases, nonce):
            strangers.append(pid)
    give_up = time.monotonic() + ENDING_SECONDS
    while strangers and time.monotonic() < give_up:
        time.sleep(LOOK_SECONDS)
        still = {pid for pid, _ in _marked(context.paths.root)}
        strangers = [pid for pid in strangers if pid in still]
    if strangers:
        pids = " ".join(map(str, strangers))
        text = f"{counted(len(strangers), 'process')} of an attempt that has ended: pid {pids}"
        yield found.warning("processes", text, f"inspect them, then: kill {pids}")


def _marked(root: str) -> Iterator[tuple[int, str]]:
    """The processes started by an attempt or the daemon of this directory, and the lease that marks them."""
    for pid in identity.pids():
        values = dict(entry.partition(b"=")[::2] for entry in proc.environ(pid).split(b"\0"))
        nonce = values.get(MARK.encode(), b"").decode("ascii", "replace")
        if nonce.isalnum() and values.get(b"KUGETSU_DIR", b"") == os.fsencode(root):
            yield pid, nonce


def _ancestors() -> set[int]:
    """This process and its ancestors: doctor may be typed by an agent, or below a tool of one."""
    found, pid = set(), os.getpid()
    while pid > 1 and pid not in found:
        found.add(pid)
        process = identity.stat(pid)
        pid = process.parent if process is not None else 0
    return found
