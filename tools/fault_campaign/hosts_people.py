"""What people do in the campaign of several hosts: commands on any of them, and on the forges."""

from __future__ import annotations

import functools
from collections.abc import Callable

from fault_campaign.hosts_set_up import HostsSetUp
from fault_campaign.people import ISSUES, People

MOST_WAITING = 8
MOST_ATTACHED = 2


class HostsPeople(HostsSetUp):
    """Everybody who types."""

    def issue(self) -> str:
        """One of a few issues."""
        forge = self.chance.choice(self.forges)
        return f"{forge.host}/{forge.name}#{self.chance.randint(1, ISSUES)}"

    def message(self) -> str:
        """A text that nobody else sends."""
        return f"message {next(self.messages)}."

    def enqueue(self) -> bool:
        """A task at the end of the queue, which is not let grow without bound."""
        if len(self.ws.state().waiting()) > MOST_WAITING:
            return False
        return self.type("queue", "enqueue", "--json", self.issue(), self.message())

    def start(self) -> bool:
        """A task that starts at once where it is typed, if it may."""
        return self.type("start", "--json", self.issue(), self.message())

    def cancel(self) -> bool:
        """Cancel any task that is not finished, from any host."""
        return self._on_a_task("cancel", ("pending", "notified"))

    def retry(self) -> bool:
        """Do a failed or cancelled one again."""
        return self._on_a_task("retry", ("error", "cancelled"))

    def _on_a_task(self, verb: str, states: tuple[str, ...]) -> bool:
        known = [task.id for task in self.ws.state().tasks.values() if task.state in states]
        return bool(known) and self.type("queue", verb, "--json", self.chance.choice(known))

    def pause_queue(self) -> bool:
        """Pause the queue, and let it go on some seconds later."""
        self.after(self.chance.uniform(1, 4), lambda: self.type("queue", "resume", "--json"))
        return self.type("queue", "pause", "--json")

    def destroy(self) -> bool:
        """End a session whose work is safe."""
        return self.type("destroy", "--yes", "--json", self.issue())

    def look(self) -> bool:
        """What only reads works at any time."""
        words = self.chance.choice((("status",), ("queue", "list"), ("why", self.issue()), ("host", "list")))
        return self.type(*words)

    def say_that_a_host_is_lost(self) -> bool:
        """Somebody is sure that a host is gone, which lives."""
        host, teller = self.chance.sample(self.hosts, 2)
        return self.type("host", "lost", "--json", host.name, host=teller)

    # --- the life of a host ------------------------------------------------------------------------------------

    def drain(self) -> bool:
        """Somebody has a host drained, and lets it go on some seconds later, if that succeeds."""
        host = self.host()
        self.after(self.chance.uniform(2, 15), lambda: self.type("host", "undrain", "--json", host.name))
        return self.type("host", "drain", "--json", host.name)

    def undrain(self) -> bool:
        """A host that drains starts tasks again."""
        draining = [host for host in self.hosts if self.ws.state().hosts[host.id].state == "draining"]
        return bool(draining) and self.type("host", "undrain", "--json", self.chance.choice(draining).name)

    def leave(self) -> bool:
        """A host leaves, at any time, with or without what is only there."""
        words = self.chance.choice(([], ["--force"], ["--force"]))
        state = self.ws.state()
        resting = [host for host in self.hosts if state.hosts[host.id].takes_part and not state.live_on(host.id)]
        return self.type("host", "leave", "--json", *words, host=self.chance.choice(resting or self.hosts))

    def join(self) -> bool:
        """A host that has left or was lost takes part again, and its daemon is started with it, or later."""
        away = [host for host in self.hosts if not self.ws.state().hosts[host.id].takes_part]
        if not away:
            return False
        host = self.chance.choice(away)
        self.after(self.chance.uniform(0, 2), lambda: self.type("queue-daemon", "start", host=host))
        return self.type("host", "join", "--json", host=host)

    # --- people who are attached -------------------------------------------------------------------------------

    def attach(self) -> bool:
        """Somebody works in a session by hand, on its host or where it is refused."""
        sessions = [one for one in self.ws.state().sessions.values() if one.kind == "issue" and one.worktree]
        if not sessions or sum(command.terminal is not None for _, command in self.commands) >= MOST_ATTACHED:
            return False
        session = self.chance.choice(sessions)
        there = [host for host in self.hosts if host.id == session.host]
        host = self.chance.choice(there if there and self.chance.random() < 0.9 else self.hosts)
        return self.type("attach", session.key, host=host, terminal=True)

    def hang_up(self) -> bool:
        """A terminal of somebody who is attached is closed."""
        open_there = [one for _, one in self.commands if one.terminal is not None and one.process.poll() is None]
        if not open_there:
            return False
        command = self.chance.choice(open_there)
        command.killed = True  # before its program runs, that ends the command itself; the claim is given back (`lost`)
        command.hang_up()
        return True

    # --- on the forges -----------------------------------------------------------------------------------------

    def on_a_forge(self, act: Callable[[People], bool]) -> Callable[[], bool]:
        """An action of the people of one forge."""

        @functools.wraps(act)
        def done() -> bool:
            return act(self.chance.choice(self.people))

        return done

    def kill_command(self) -> bool:
        """kill -9 of a command."""
        living = [command for _, command in self.commands if command.process.poll() is None]
        if not living:
            return False
        command = self.chance.choice(living)
        command.killed = True
        command.process.kill()
        return True
