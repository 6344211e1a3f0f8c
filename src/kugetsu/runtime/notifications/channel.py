"""One thread of the notifier for each sink: a sink that hangs or fails does not delay the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import State
from kugetsu.host.config import Config
from kugetsu.model import clock
from kugetsu.model.errors import KugetsuError
from kugetsu.runtime.daemon_child import Trouble
from kugetsu.runtime.notifications.outbox import Outbox
from kugetsu.runtime.workspace import Workspace

TYPE_CHECKING = False
if TYPE_CHECKING:
    Say = Callable[[str], None]

#: Seconds from the first notification to its delivery; later ones join it.
GATHER_SECONDS = 1.0
#: Pause in seconds after an error of the log (damaged, disk full); it doubles up to the longest.
ERROR_PAUSE = 1.0
LONGEST_ERROR_PAUSE = 30.0
#: The longest sleep in seconds: times to try again are wall time, which may be set.
LONGEST_SLEEP = 300.0


class Worker:
    """Serves a sink until `stop`. It has a log of its own: threads share nothing but events."""

    def __init__(self, name: str, ws: Workspace, say: Say) -> None:
        self.name = name
        self._ws = Workspace(ws.paths, ws.config, ws.environment, ws.by)
        self._trouble = Trouble(lambda text: say(f"{name}: {text}"))
        self._stop = threading.Event()
        self._at_once = threading.Event()
        self._wake = threading.Event()
        self._recovered = False
        self._outbox = Outbox(self._ws, name, self._record, self._at_once.is_set)
        # A daemon thread: one that hangs (in a look-up of a name) must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self, config: Config) -> None:
        """Look again, with these settings: something may have happened."""
        self._ws.config = config
        self._wake.set()

    def stop(self, *, at_once: bool) -> None:
        """End once what has happened is delivered; ``at_once``: after the current delivery."""
        if at_once:
            self._at_once.set()
        self._stop.set()
        self._wake.set()

    def join(self, seconds: float) -> bool:
        """Wait for the current delivery; whether it has ended."""
        self._thread.join(max(seconds, 0.0))
        return not self._thread.is_alive()

    def _run(self) -> None:
        pause = ERROR_PAUSE
        while not self._stop.is_set():
            self._wake.clear()
            try:
                seconds = self._turn()
            except Exception as problem:  # noqa: BLE001  keep delivering: log the error and retry
                self._trouble.report(f"waiting: {_message(problem)}")
                self._recovered = False  # an unfinished delivery is treated as that of a dead notifier
                # Not woken by the log: a failed append moves its file too.
                self._stop.wait(pause)
                pause = min(pause * 2, LONGEST_ERROR_PAUSE)
                continue
            self._trouble.over()
            pause = ERROR_PAUSE
            self._wake.wait(seconds)
        try:
            self._deliver_rest()
        except Exception as problem:  # noqa: BLE001  the next notifier sends what is left
            self._trouble.report(f"ending: {_message(problem)}")
        self._ws.close()

    def _turn(self) -> float:
        """Do what can be done now; returns the seconds to sleep."""
        outbox = self._outbox
        outbox.recover()  # each time: another host of a shared log may be lost by now
        self._recovered = True
        while not self._stop.is_set():
            if not outbox.enabled():
                return LONGEST_SLEEP
            if outbox.take() is not None:
                self._stop.wait(GATHER_SECONDS)
                self._deliver_rest()
                continue
            delivery, later = outbox.due()
            if delivery is None:
                if later is None:
                    return LONGEST_SLEEP
                return min(max(clock.seconds_between(clock.now(), later), 0.0) + 0.01, LONGEST_SLEEP)
            outbox.retry(delivery)
        return 0.0

    def _deliver_rest(self) -> None:
        if self._at_once.is_set() or not self._recovered or not self._outbox.enabled():
            return
        taken = self._outbox.take()
        if taken is not None:
            self._outbox.deliver(taken)

    def _record(self, decide: Callable[[State], Sequence[NewEvent]]) -> list[dict[str, Any]]:
        """Append an outcome, and retry until it is there: a delivery cannot be taken back."""
        pause = ERROR_PAUSE
        while True:
            try:
                events = self._ws.log.transact(decide)
            except (KugetsuError, OSError) as problem:
                if self._stop.is_set():
                    raise  # the next notifier finds the intent and handles it
                self._trouble.report(f"delivered, but the outcome cannot be recorded: {_message(problem)}")
                self._stop.wait(pause)
                pause = min(pause * 2, LONGEST_ERROR_PAUSE)
            else:
                self._trouble.over()
                return events


def _message(problem: Exception) -> str:
    return str(problem) if isinstance(problem, KugetsuError | OSError) else repr(problem)


def join_all(workers: Sequence[Worker], seconds: float) -> list[Worker]:
    """Wait so many seconds in all; returns the workers that have not ended."""
    give_up = time.monotonic() + seconds
    return [worker for worker in workers if not worker.join(give_up - time.monotonic())]
