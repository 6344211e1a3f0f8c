"""Phase B of a runner: wait lean for the agent, stop it when it must stop, leave none of its processes behind.

Started by an exec of phase A (same pid, the agent is its child, subreaper and session are set) as
``python -I -S supervisor.py ARGUMENTS`` and ended by an exec of phase C. The arguments are its orders (`orders`).

Phase C gets appended: ``--exit CODE`` or ``--signal N`` (``--exit unknown`` when nobody knows: the agent was no child,
or could not be ended), ``--stopped REASON|none`` (``none``: the agent ended by itself), ``--ended-at UTC``,
``--leftover N`` (processes that could not be ended; -1: not known). It starts with SIGTERM, SIGINT and SIGHUP ignored.
When it cannot be executed, the runner ends with status 70: the lease is free, and reconciliation finds the
result in the ended-file.

Signals: phase A blocks SIGTERM, SIGINT, SIGHUP and SIGCHLD before its exec, so that none is lost in between; here they
stay blocked and are taken by ``sigtimedwait``. There is no handler and thus no race with one.

With ``--terminal yes`` the agent is in the foreground of a person's terminal, in the process group of this process:
Ctrl-C and Ctrl-\\ are the agent's alone, Ctrl-Z stops both, and the terminal's end (SIGHUP) is a stop with reason
``hangup``.

The deadline is time that the machine was awake (CLOCK_MONOTONIC): a laptop's sleep does not use up an agent's time, and
setting the wall clock changes nothing.
"""

from __future__ import annotations

import os
import sys
import time

if __name__ == "__main__":  # the rest of the package is found beside this file; -S left site-packages out
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))

from kugetsu.host import run_files
from kugetsu.model import lean
from kugetsu.runtime import host_lease
from kugetsu.runtime.process import termination
from kugetsu.runtime.process.output_cap import OutputCap
from kugetsu.runtime.process.tree import Tree
from kugetsu.runtime.runner.checkup import Checkup
from kugetsu.runtime.runner.orders import HELD_SIGNALS, Orders

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

POLL_SECONDS = 5.0
EXIT_NO_PHASE_C = 70  # EX_SOFTWARE of <sysexits.h>
TERMINATED = "terminated"
"""The reason of a stop that a signal asked for, with no file that gives another."""

HANGUP = "hangup"
"""The reason of a stop because the person's terminal was closed."""

HOST_LEASE = "host-lease"
"""The reason of a stop because nothing was heard of the shared log's database for too long."""

TAKEN_OVER = (
    "the shared log has not heard of this host for too long: another host may take this session over.\r\n"
    "*** What you do here stays here: save it, push it if you can, and leave."
)
"""What a person is told instead, and how often, in seconds."""
TELL_SECONDS = 60.0

_STOP_SIGNALS = (lean.signal.SIGTERM, lean.signal.SIGINT)
_OF_KEYS = (lean.signal.SIGINT, lean.signal.SIGQUIT)


class Supervisor:
    """Supervises one agent: :meth:`watch` until it ends or must be stopped, :meth:`end_all`, :meth:`result`."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._checkup = Checkup(orders, _report)
        self._cap = OutputCap((orders.output, orders.errors), orders.output_cap) if orders.output_cap else None
        self._tree = Tree(orders.tree_file, orders.nonce)
        self._status: int | None = None
        self._ended_at: str | None = None
        self._stop_asked = False
        self._hung_up = False
        self._verdict: str | None = None
        self._told_at: float | None = None
        self._host = host_lease.Limit(orders.host_file, orders.grace)

    def watch(self) -> str | None:
        """None once the agent has ended by itself, else the reason to stop it."""
        orders = self._orders
        poll = POLL_SECONDS if orders.checkup_every is None else min(POLL_SECONDS, orders.checkup_every / 4)
        while True:
            self.reap()
            if self._ended_at is not None:
                return None
            now = time.monotonic()
            reason = self._stop_reason() or self._verdict
            if reason is None and orders.deadline is not None and now >= orders.deadline:
                reason = "timeout"
            left = self._host.seconds_left()
            if orders.terminal == "yes":
                self._tell_person(now, left)
                left = float("inf")
            elif reason is None and left <= 0:
                reason = HOST_LEASE
            if reason is not None:
                return reason
            if self._cap is not None and not self._cap.step():
                return "output"
            self._tree.step(now)
            self._checkup.step(now)
            self.wait(min(poll, left) if orders.deadline is None else min(poll, left, orders.deadline - now))

    def wait(self, seconds: float) -> None:
        """Sleep until a child ends, a stop is requested, or ``seconds`` have passed; then reap."""
        taken = _take_signal(seconds)
        on_terminal = self._orders.terminal == "yes"
        if taken == lean.signal.SIGHUP:
            self._hung_up = on_terminal
        elif taken in _STOP_SIGNALS and not (on_terminal and taken == lean.signal.SIGINT):
            self._stop_asked = True
        self.reap()

    def reap(self) -> None:
        """Collect every ended child: the agent, the checkup, and adopted orphans."""
        if self._ended_at is None:
            try:
                # By its pid first: an agent that is not our child must not be waited for forever.
                pid, status = os.waitpid(self._orders.agent, os.WNOHANG)
            except ChildProcessError:
                self._ended_at = utc_now()
            else:
                if pid:
                    self._status, self._ended_at = status, utc_now()
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:  # no children at all
                return
            if not pid:
                return
            if pid == self._orders.agent:
                self._status, self._ended_at = status, utc_now()
            elif pid == self._checkup.pid:
                self._verdict = self._checkup.ended(status)

    def end_all(self) -> int:
        """End the agent and everything it started; returns how many processes could not be ended."""
        self._checkup.kill()
        report = termination.end(self._orders.nonce, self._orders.grace, root=os.getpid(), wait=self.wait)
        self.reap()
        if self._cap is not None:
            self._cap.step()  # what was written since the last step, the last of it
        return len(report.left)

    def result(self, stopped: str | None, leftover: int) -> list[str]:
        """The arguments that phase C gets appended."""
        code = "unknown" if self._status is None else str(os.waitstatus_to_exitcode(self._status))
        end = ["--signal", code[1:]] if code.startswith("-") else ["--exit", code]
        when = self._ended_at if self._ended_at is not None else utc_now()
        return [*end, "--stopped", stopped or "none", "--ended-at", when, "--leftover", str(leftover)]

    def _tell_person(self, now: float, left: float) -> None:
        """Tell whoever works on the terminal that the session may be taken over; what is typed there is the person's,
        and ending the program would lose it."""
        if left > 0:
            if self._told_at is not None:
                _say("the shared log hears of this host again")
            self._told_at = None
        elif self._told_at is None or now - self._told_at >= TELL_SECONDS:
            self._told_at = now
            _say(TAKEN_OVER)

    def _stop_reason(self) -> str | None:
        if self._hung_up:
            return HANGUP
        try:
            line = run_files.read(self._orders.stop_file, 200).decode("utf-8", "replace").partition("\n")[0]
        except OSError:  # nobody gave a reason
            return TERMINATED if self._stop_asked else None
        return line.strip().lstrip("-") or TERMINATED


def main(arguments: Sequence[str]) -> NoReturn:
    """Supervise the agent to its end, then become phase C."""
    orders = Orders.parse(arguments)
    lean.signal.pthread_sigmask(lean.signal.SIG_BLOCK, HELD_SIGNALS)
    # Ignored by an ancestor, SIGCHLD would have the kernel reap the agent and throw its status away.
    lean.signal.signal(lean.signal.SIGCHLD, lean.signal.SIG_DFL)
    if orders.terminal == "yes":
        for number in _OF_KEYS:
            lean.signal.signal(number, lean.signal.SIG_IGN)
    else:
        lean.signal.signal(lean.signal.SIGHUP, lean.signal.SIG_IGN)
    supervisor = Supervisor(orders)
    try:
        stopped = supervisor.watch()
    except Exception as problem:  # noqa: BLE001  whatever it is, the agent must not run on unsupervised
        _report(f"the supervisor failed: {problem!r}")
        stopped = "supervisor-failed"
    try:
        leftover = supervisor.end_all()
    except OSError as problem:
        _report(f"cannot end the agent's processes: {problem}")
        leftover = -1
    _become([*orders.then, *supervisor.result(stopped, leftover)], len(orders.then), orders)


def _become(command: list[str], own_words: int, orders: Orders) -> NoReturn:
    """Record the result, then execute phase C."""
    _write(orders.ended_file, "\n".join(command[own_words:]) + "\n")
    while _take_signal(0) is not None:  # what came too late to matter
        continue
    for number in (*_STOP_SIGNALS, lean.signal.SIGHUP):
        lean.signal.signal(number, lean.signal.SIG_IGN)
    lean.signal.pthread_sigmask(lean.signal.SIG_UNBLOCK, HELD_SIGNALS)
    give_up_at = time.monotonic() + orders.then_patience
    while True:
        try:
            os.execv(command[0], command)
        except OSError as problem:
            if time.monotonic() >= give_up_at:
                _report(f"cannot execute {command[0]}: {problem}")
                os._exit(EXIT_NO_PHASE_C)
        time.sleep(0.5)


def utc_now() -> str:
    """The wall clock as the log writes it: UTC, microseconds, Z."""
    seconds, rest = divmod(time.time_ns(), 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest // 1000:06d}Z"


def _take_signal(seconds: float) -> int | None:
    """The next held signal, or None if none came within ``seconds``."""
    seconds = max(seconds, 0.0)
    awaited = HELD_SIGNALS  # blocked ones come here even if they are ignored
    if hasattr(lean.signal, "sigtimedwait"):
        taken = lean.signal.sigtimedwait(awaited, seconds)
        return taken.si_signo if taken is not None else None
    # macOS: an alarm, blocked as well, ends the wait.
    lean.signal.pthread_sigmask(lean.signal.SIG_BLOCK, (lean.signal.SIGALRM,))
    lean.signal.setitimer(lean.signal.ITIMER_REAL, max(seconds, 0.001))
    number = lean.signal.sigwait((*awaited, lean.signal.SIGALRM))
    return None if number == lean.signal.SIGALRM else number


def _write(path: str, text: str) -> None:
    """Replace the file at once. A full disk loses only this copy of the result: phase C gets it as arguments."""
    try:
        run_files.replace(path, text.encode("utf-8", "surrogateescape"))
    except OSError as problem:
        _report(f"cannot write {path}: {problem}")


def _say(text: str) -> None:
    """A line on a person's terminal, with its bell, whatever a program shows there."""
    try:
        os.write(2, f"\a\r\n*** kugetsu: {text}\r\n".encode())
    except OSError:
        return  # it is closed


def _report(text: str) -> None:
    try:
        os.write(2, f"kugetsu supervisor: {text}\n".encode("utf-8", "replace"))
    except OSError:
        return  # nobody to tell; the result matters more


if __name__ == "__main__":
    main(sys.argv[1:])
