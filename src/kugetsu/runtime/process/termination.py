"""Find the processes of an attempt, and end them: all of them, and no other.

An agent's tools are sessions of their own and outlive it. Three ways to find them cover for each other:

- the mark: ``KUGETSU_LEASE=<nonce>`` in the environment a process was started with (``/proc/<pid>/environ``),
- descent from a marked process, for those that cleared their environment,
- descent from the runner, which adopts what its tools orphan (:func:`become_subreaper`).

An agent may itself type ``kugetsu start``: the runner that this forks, and a daemon that it starts, descend from the
agent's tools and may carry its mark, but are not its tools. A process with another attempt's mark, or one that holds
another lease, is spared with everything below it.

Signals go through :mod:`.identity` (pidfd, compared), never to a bare pid. Weaker without /proc (macOS): the mark is
read from ``ps``, which shows only the user's own unprotected programs, there is no subreaper, and a spared runner is
known by its mark alone.

Kept free of imports: the lean supervisor loads it.
"""

from __future__ import annotations

import os
import time

from kugetsu.host import proc
from kugetsu.model import lean
from kugetsu.model.record import record
from kugetsu.runtime.process import identity, lease

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from kugetsu.runtime.process.identity import Identity, Stat

MARK = "KUGETSU_LEASE"
"""The variable that every process of an attempt inherits; its value is the nonce of the attempt's lease."""

DIRECTORY = "KUGETSU_DIR"
"""The variable that names the directory that a process works for."""

KILL_SECONDS = 5.0
"""How long SIGKILL is repeated, from the first one on: a machine may stand still for longer before it is sent. Only a
process stuck in the kernel (state D), or another user's, survives it."""

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # <linux/prctl.h>
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.2  # seconds between two scans; a scan of 200 processes takes 6 ms


@record
class EndReport:
    """What :func:`end` did: how many processes got a signal, how many of them SIGKILL, and which are left."""

    signalled: int
    killed: int
    left: list[Identity]


def become_subreaper() -> bool:
    """Let this process, across an exec too, adopt its descendants' orphans. False if the system cannot."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(number: int) -> bool:
    """Let this process, across an exec too, get a signal when its parent ends. False if the system cannot."""
    return _prctl(_PR_SET_PDEATHSIG, number)


def _prctl(option: int, value: int) -> bool:
    import ctypes

    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    return prctl is not None and bool(prctl(option, value, 0, 0, 0) == 0)


def marked(nonce: str, exclude: Collection[int] = ()) -> list[Identity]:
    """The living processes with the attempt's mark, except this one and the pids of ``exclude``.

    The attempt's runner has the mark too, from its second phase on. Processes with unreadable environments (another
    user's) are skipped.
    """
    table = _living()
    marks = _marks(table)
    own = os.getpid()
    return [
        stat.identity()
        for pid, stat in table.items()
        if marks.get(pid) == nonce and pid != own and pid not in exclude and not _holds_other_lease(pid, nonce)
    ]


def directories(nonce: str) -> set[str]:
    """The KUGETSU_DIR of each living process with the attempt's mark; none where the system does not show it."""
    marked = (environ for pid in identity.pids() if _value(environ := proc.environ(pid), MARK) == nonce)
    return {folder for environ in marked if (folder := _value(environ, DIRECTORY))}


def unmarked(root: int, nonce: str) -> list[Identity]:
    """The living descendants of ``root`` without the attempt's mark, except what `end` spares."""
    table = _living()
    marks = {pid: _mark(pid) for pid in _below([root], table, lambda _: False)}

    def elsewhere(pid: int) -> bool:
        return marks.get(pid) not in (None, nonce) or (pid != root and _holds_other_lease(pid, nonce))

    below = [pid for pid in _below([root], table, elsewhere) if pid != root and marks.get(pid) != nonce]
    return [table[pid].identity() for pid in sorted(below)]


def below(root: int) -> list[Identity]:
    """The living descendants of ``root``: what :func:`end` is to spare of a process that had some before."""
    table = _living()
    return [table[pid].identity() for pid in _below([root], table, lambda _: False) if pid != root]


def end(
    nonce: str,
    grace_seconds: float,
    exclude: Collection[int] = (),
    *,
    root: int | None = None,
    spare: Iterable[Identity] = (),
    remembered: Iterable[Identity] = (),
    wait: Callable[[float], object] = time.sleep,
) -> EndReport:
    """End every process of the attempt: SIGTERM, after ``grace_seconds`` SIGKILL, until two scans in a row find none.

    ``root`` adds the descendants of that pid (a runner's own), except those of ``spare`` without the mark and all below
    them; ``remembered`` adds recorded processes (`tree`). This process and the pids of ``exclude`` get no signal, but
    their descendants do. ``wait(seconds)`` passes the time between scans; a runner reaps meanwhile.

    A process seen once is pursued to its end, even if it loses its mark. Those forked during a scan are found by the
    next. Gives up ``KILL_SECONDS`` after the first SIGKILL and reports what is left.
    """
    hunt = _Hunt(nonce, exclude, root, spare, remembered)
    kill_from = time.monotonic() + grace_seconds
    give_up_at: float | None = None
    pause = _FIRST_PAUSE
    empty_scans = 0
    while empty_scans < 2:
        found = hunt.scan()
        now = time.monotonic()
        if found and now >= kill_from:
            give_up_at = now + KILL_SECONDS if give_up_at is None else give_up_at
            if now >= give_up_at:
                return EndReport(len(hunt.asked), len(hunt.killed), [stat.identity() for stat in found])
        empty_scans = 0 if found else empty_scans + 1
        for stat in found:
            hunt.send(stat, kill=now >= kill_from)
        if empty_scans < 2:
            wait(pause if now >= kill_from else min(pause, max(kill_from - now, 0.0)))
            pause = min(pause * 1.5, _LONGEST_PAUSE) if found else _FIRST_PAUSE
    return EndReport(len(hunt.asked), len(hunt.killed), [])


def end_lost(
    directory: str,
    nonce: str,
    grace_seconds: float,
    exclude: Collection[int] = (),
    remembered: Collection[Identity] = (),
) -> EndReport:
    """:func:`end`, for an attempt whose runner is dead: repeated until nobody holds its lease in ``directory``.

    A runner killed between fork and exec of its agent leaves a child that holds the lease but has no mark yet. An
    orphaned tool that cleared its environment is known only by the lease that it inherited, or by its runner's record
    (``remembered``). The claimer holds the lease for a moment too: the caller puts it in ``exclude``. If the lease is
    still alive afterwards, one of these holds it.
    """

    give_up_at = time.monotonic() + grace_seconds + KILL_SECONDS
    told: set[tuple[int, int]] = set()
    asked = killed = 0
    while True:
        report = end(nonce, grace_seconds, exclude, remembered=remembered)
        asked, killed = asked + report.signalled, killed + report.killed
        if report.left or not lease.alive(directory, nonce) or time.monotonic() >= give_up_at:
            return EndReport(asked + len(told), killed, report.left)
        for holder in _holders(directory, nonce, {os.getpid(), *exclude}):
            told.add((holder["pid"], holder["start"]))
            last = time.monotonic() >= give_up_at - KILL_SECONDS
            identity.signal(holder, lean.signal.SIGKILL if last else lean.signal.SIGTERM)
        time.sleep(_FIRST_PAUSE)


class _Hunt:
    """The processes of one attempt seen so far, and what was sent to each. Keys are (pid, start)."""

    def __init__(
        self,
        nonce: str,
        exclude: Collection[int],
        root: int | None,
        spare: Iterable[Identity],
        remembered: Iterable[Identity],
    ) -> None:
        self._nonce = nonce
        self._spared = {os.getpid(), *exclude}
        self._root = root
        self._strangers = {(one["pid"], one["start"]) for one in spare}
        boot = identity.boot_id()
        self._seen = {(one["pid"], one["start"]) for one in remembered if one["boot"] == boot}
        self.asked: set[tuple[int, int]] = set()
        self.killed: set[tuple[int, int]] = set()

    def scan(self) -> list[Stat]:
        table = _living()
        marks = _marks(table)
        roots = [
            pid
            for pid, stat in table.items()
            if marks.get(pid) == self._nonce or pid == self._root or (pid, stat.start) in self._seen
        ]

        def elsewhere(pid: int) -> bool:
            if pid in self._spared:
                return False
            if (pid, table[pid].start) in self._strangers:
                return marks.get(pid) != self._nonce
            return marks.get(pid, self._nonce) != self._nonce or _holds_other_lease(pid, self._nonce)

        found = [table[pid] for pid in _below(roots, table, elsewhere) if pid not in self._spared]
        self._seen.update((stat.pid, stat.start) for stat in found)
        return found

    def send(self, stat: Stat, *, kill: bool) -> None:
        key = (stat.pid, stat.start)
        try:
            if kill:
                self.killed.add(key)
                identity.signal(stat.identity(), lean.signal.SIGKILL)
            elif key not in self.asked:
                identity.signal(stat.identity(), lean.signal.SIGTERM)
            self.asked.add(key)
            if stat.state == "T":  # stopped: it cannot act on SIGTERM until it continues
                identity.signal(stat.identity(), lean.signal.SIGCONT)
        except PermissionError:
            return  # another user's (a set-uid tool): it stays, and is reported as left


def _living() -> dict[int, Stat]:
    """Every process that has not ended (a zombie has)."""
    if not identity.HAS_PROC:
        return {pid: stat for pid, stat in identity.table_of_ps().items() if not stat.dead}
    table = {}
    for pid in identity.pids():
        stat = identity.stat(pid)
        if stat is not None and not stat.dead:
            table[pid] = stat
    return table


def _below(roots: Iterable[int], table: dict[int, Stat], spare: Callable[[int], bool]) -> list[int]:
    """The roots and their descendants, except what ``spare`` names and everything below that."""
    children: dict[int, list[int]] = {}
    for pid, stat in table.items():
        children.setdefault(stat.parent, []).append(pid)
    found: dict[int, None] = {}
    rest = list(roots)
    while rest:
        pid = rest.pop()
        if pid in found or pid not in table or spare(pid):
            continue
        found[pid] = None
        rest.extend(children.get(pid, ()))
    return list(found)


def _marks(pids: Iterable[int]) -> dict[int, str]:
    """The mark of each process that has a readable one."""
    if not identity.HAS_PROC:
        return _marks_of_ps()
    marks = {}
    for pid in pids:
        mark = _mark(pid)
        if mark is not None:
            marks[pid] = mark
    return marks


def _mark(pid: int) -> str | None:
    return _value(proc.environ(pid), MARK)


def _value(environ: bytes, variable: str, between: bytes = b"\0") -> str | None:
    """The value of a variable in an environment whose variables stand ``between`` such bytes."""
    name = between + variable.encode("ascii") + b"="
    at = environ.find(name)
    if at < 0:
        return None
    start = at + len(name)
    stop = environ.find(between, start)
    return os.fsdecode(environ[start : stop if stop >= 0 else len(environ)])


def _marks_of_ps() -> dict[int, str]:
    marks = {}
    for line in identity.output("ps", "-axEww", "-o", "pid=,command=").splitlines():
        number, _, rest = line.strip().partition(" ")
        mark = _value(rest.encode(), MARK, b" ")
        if mark is not None:
            marks[int(number)] = mark
    return marks


def _holds_other_lease(pid: int, nonce: str) -> bool:
    """Whether the process holds a locked file ``…/leases/<another nonce>``: a runner or daemon of its own."""
    for entry, target in proc.open_files(pid):
        parent, _, name = target.removesuffix(" (deleted)").rpartition("/")
        if parent.endswith("/leases") and name != nonce and _is_locked(pid, entry):
            return True
    return False


def _holders(directory: str, nonce: str, exclude: Collection[int]) -> list[Identity]:
    """The living processes that hold the lease's lock. [] without /proc."""
    path = os.path.realpath(os.path.join(directory, nonce))
    return [
        stat.identity()
        for pid, stat in (_living().items() if identity.HAS_PROC else ())
        if pid not in exclude
        and any(target == path and _is_locked(pid, entry) for entry, target in proc.open_files(pid))
    ]


def _is_locked(pid: int, entry: str) -> bool:
    try:
        fd = os.open(f"/proc/{pid}/fdinfo/{entry}", os.O_RDONLY)
        try:
            return b"FLOCK" in os.read(fd, 4096)
        finally:
            os.close(fd)
    except OSError:  # it closed this one, or ended
        return False
