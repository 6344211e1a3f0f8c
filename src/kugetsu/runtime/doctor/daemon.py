"""The daemon: whether it is running, is as new as this program, and survives logout."""

from __future__ import annotations

import os
from collections.abc import Iterator

import kugetsu
from kugetsu.domain.state import State
from kugetsu.model import clock
from kugetsu.runtime import agent_preflight, daemon_control, liveness, reconcile
from kugetsu.runtime.doctor.beside import running
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.doctor.finding import Finding, Fix, Found
from kugetsu.runtime.process import programs
from kugetsu.runtime.process.named_lease import OBSERVER
from kugetsu.runtime.reviews import subjects
from kugetsu.runtime.reviews.observer_supervisor import ObserverSupervisor
from kugetsu.runtime.verification.verifier_supervisor import VerifierSupervisor

PATIENCE_SECONDS = 5.0

found = Found("daemon")


def check(context: Context) -> Iterator[Finding]:
    """The findings."""
    state = context.state()
    if state is None:
        yield found.skipped("process", f"the daemon was not checked: {context.why_no_state()}")
        return
    yield from _process(context, state)
    yield from _login(context)


def _process(context: Context, state: State) -> Iterator[Finding]:
    known = daemon_control.of_state(context.ws, state)
    waiting = sum(task.state in ("pending", "parked") for task in state.tasks.values())
    if known.running:
        yield found.ok("process", f"the daemon is {known.state}, pid {known.pid}")
        yield from _age(known.since)
        yield from _agents(context, state)
        yield from _observer(context, state)
        yield from _verifier(context, state)
    elif (original := liveness.original(context.ws.paths, state)) is not None:
        text = f"this directory is a copy of {original}, whose daemon is running"
        yield found.warning("process", text, f"use that one: KUGETSU_DIR={original}")
    elif known.state == "lost":
        repair = Fix("record the lost daemon", lambda: reconcile.reconcile(context.ws))
        recorded = liveness.daemon_here(context.ws.paths, state).state == "lost"
        text = "the daemon is lost: it exited without recording a reason"
        yield found.warning("process", text, "kugetsu queue-daemon start", None if recorded else repair)
    elif waiting:
        text = f"no daemon is running, and {waiting} task{' waits' if waiting == 1 else 's wait'}"
        yield found.warning("process", text, "kugetsu queue-daemon start")
    else:
        yield found.ok("process", "no daemon is running, and nothing waits for one")


def _agents(context: Context, state: State) -> Iterator[Finding]:
    """What keeps the daemon, but not this command's environment, from starting agents."""
    found_there = agent_preflight.problems(context.ws, liveness.daemon_environment(context.ws.paths, state))
    for cause in {one["cause"] for one in found_there.values() if one["remedy"] == agent_preflight.RESTART}:
        yield found.problem("agent", cause, agent_preflight.RESTART)


def _observer(context: Context, state: State) -> Iterator[Finding]:
    """Whether the pull requests and branches to review can be looked at."""
    if not subjects.any_left(context.ws, state):
        return
    notes = OBSERVER.notes(context.paths)
    for subject, text in notes.items():
        shown = text if subject in text else f"{subject}: {text}"
        told = f"the observer cannot look at what is to review: {shown}"
        yield found.warning("observer", told, "kugetsu doctor --online, or: kugetsu queue-daemon logs")
    runs = running(context, found, ObserverSupervisor, "looks at what is to review")
    if not notes or runs.level != "ok":
        yield runs


def _verifier(context: Context, state: State) -> Iterator[Finding]:
    """Whether work is verified whose run did not."""
    if VerifierSupervisor(context.ws).needed(state):
        yield running(context, found, VerifierSupervisor)


def _age(since: str | None) -> Iterator[Finding]:
    """A daemon started before kugetsu was reinstalled still runs the old program."""
    folder = os.path.dirname(kugetsu.__file__)
    newest = 0.0
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".py"):
                newest = max(newest, os.stat(os.path.join(parent, name)).st_mtime)
    if since is not None and clock.seconds_between(since, clock.from_epoch(newest)) > 0:
        text = "the daemon was started before this kugetsu was installed: it still runs the old program"
        yield found.warning("version", text, "kugetsu queue-daemon restart")


def _login(context: Context) -> Iterator[Finding]:
    """Whether processes survive logout, which systemd's `KillUserProcesses` and lingering decide."""
    if not os.path.isdir("/run/systemd/system"):
        yield found.ok("login", "no systemd here that could end processes at logout")
        return
    lingers = _lingers()
    killed = _kills_at_logout()
    unit = os.path.exists(os.path.expanduser("~/.config/systemd/user/kugetsu.service"))
    over_ssh = "SSH_CONNECTION" in context.environment
    if lingers is None:
        text = "loginctl does not report whether processes may linger"
        yield found.skipped("login", text, "loginctl show-user")
    elif lingers and killed and not unit:
        # Lingering keeps the user's systemd and its units; the session's own processes are killed anyway.
        text = "your processes may linger, but KillUserProcesses=yes kills what a login started: only a unit survives"
        yield found.warning("login", text, "run the daemon as a unit of your systemd: kugetsu help ssh")
    elif lingers and killed is None and not unit:
        text = "your processes may linger, but systemd does not report whether it kills what a login started"
        yield found.skipped("login", text, "systemd-analyze cat-config systemd/logind.conf | grep KillUserProcesses")
    elif lingers:
        yield found.ok("login", "your processes may linger: they survive logout")
    elif killed or unit:
        why = "the user's systemd, and its unit kugetsu, end with the last login"
        if killed:
            why = "KillUserProcesses=yes: daemon and agents are killed at logout"
        text = f"lingering is off, and {why}"
        make = found.problem if killed and over_ssh else found.warning
        yield make("login", text, "loginctl enable-linger   (see kugetsu help ssh)")
    elif killed is None:
        text = "lingering is off, and systemd does not report whether it kills what a login started"
        yield found.skipped("login", text, "loginctl enable-linger   (see kugetsu help ssh)")
    else:
        text = "lingering is off, but processes are not killed at logout; nothing starts the daemon after a reboot"
        yield found.ok("login", text)


def _lingers() -> bool | None:
    text = _output_of("loginctl", "show-user", str(os.getuid()), "-p", "Linger", "--value")
    if text is None:
        # Somebody who is not logged in is unknown to logind, but for the mark that enable-linger leaves.
        import pwd

        try:
            name = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            return None
        return os.path.exists(f"/var/lib/systemd/linger/{name}") or None
    return text == "yes"


def _kills_at_logout() -> bool | None:
    """The last `KillUserProcesses` of logind.conf and its overrides; None if systemd does not report it.

    Distributions build systemd with either default, and show it in logind.conf as a comment.
    """
    text = _output_of("systemd-analyze", "cat-config", "systemd/logind.conf")
    lines = [line.replace(" ", "") for line in (text or "").splitlines()]
    for marks in ("KillUserProcesses=", "#KillUserProcesses="):
        values = [line.partition("=")[2].lower() for line in lines if line.startswith(marks)]
        if values:
            return values[-1] in ("yes", "true", "1", "on")
    return None


def _output_of(*argv: str) -> str | None:
    """What a program prints; None if it is missing, fails, or takes too long."""
    try:
        done = programs.run(argv, cwd=None, env=os.environ, timeout=PATIENCE_SECONDS)
        text = done.out.decode().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return text if done.code == 0 and text else None
