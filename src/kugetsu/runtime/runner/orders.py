"""What phase A of a runner passes to the supervisor, phase B, as arguments: pairs, in any order; ``none`` stands for
"not set".

    --agent PID            the agent, a child of this process
    --nonce NONCE          of the attempt's lease: the mark of its processes
    --lease-fd N           the descriptor that holds the lease; kept over both execs, not given to checkups
    --grace SECONDS        between SIGTERM and SIGKILL
    --deadline SECONDS     on the monotonic clock: stop with reason ``timeout``
    --stop-file FILE       its first line is the reason of a stop; read at SIGTERM/SIGINT, and looked for every 5 s
    --host-file FILE       until when this host may work (`host_lease`): at that time, less the grace, stop with reason
                           ``host-lease``; looked for every 5 s, and then. A person (--terminal) is told instead, every
                           minute
    --ended-file FILE      where the result is written as well, one argument a line
    --output FILE          the agent's output: as long as it grows there is no checkup
    --errors FILE          the agent's stderr
    --tree-file FILE       where the processes are written down that have lost the mark (`tree`)
    --output-cap BYTES     how much of each of the two files is kept: of one that is over, the middle is dropped; where
                           its file system cannot do that, the agent is stopped with reason ``output``. none: all of it
    --checkup-every SECONDS  without growth until a checkup, and between two of them; none: no checkups
    --checkup-limit SECONDS  how long one may take; then it is killed and counts as healthy
    --checkup-output FILE  its stdout, truncated at each start
    --checkup N ARG…       its N words (absolute program first): exit 10 stops the agent with reason
                           ``limit``, 11 with ``stall``, anything else lets it go on. The variable
                           KUGETSU_QUIET_SECONDS tells it for how long the output has not grown
    --terminal             a person works with the agent on the terminal (see `supervisor`)
    --then N ARG…          phase C: its N words (absolute program first)
    --then-patience SECONDS  how long to retry when phase C cannot be executed (the package is being upgraded)

Kept free of imports: the lean supervisor loads it.
"""

from __future__ import annotations

import os

from kugetsu.model import lean
from kugetsu.model.record import field, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

HELD_SIGNALS = (lean.signal.SIGTERM, lean.signal.SIGINT, lean.signal.SIGHUP, lean.signal.SIGCHLD)
"""What phase A blocks before it executes the supervisor."""

_WORDS = (
    "nonce",
    "stop_file",
    "ended_file",
    "output",
    "errors",
    "tree_file",
    "checkup_output",
    "terminal",
    "host_file",
)
_WHOLE = ("agent", "lease_fd", "output_cap")
_SECONDS = ("grace", "deadline", "checkup_every", "checkup_limit", "then_patience")
_COMMANDS = ("checkup", "then")


@record
class Orders:
    """What phase A passes to the supervisor; the module explains each. Seconds are floats."""

    agent: int
    nonce: str
    then: list[str]
    stop_file: str
    ended_file: str
    output: str
    errors: str = os.devnull
    tree_file: str = os.devnull
    output_cap: int | None = None
    lease_fd: int | None = None
    grace: float = 10.0
    deadline: float | None = None
    checkup: list[str] = field(factory=list)
    checkup_every: float | None = None
    checkup_limit: float = 30.0
    checkup_output: str = os.devnull
    terminal: str = "no"
    host_file: str = os.devnull
    then_patience: float = 30.0

    def arguments(self) -> list[str]:
        """The orders as the supervisor's arguments."""
        words = []
        for name in (*_WORDS, *_WHOLE, *_SECONDS):
            value = getattr(self, name)
            words += [_option(name), "none" if value is None else str(value)]
        for name in _COMMANDS:
            command = getattr(self, name)
            words += [_option(name), str(len(command)), *command]
        return words

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> Orders:
        """The orders from its arguments. Raises ValueError or TypeError on what :meth:`arguments` does not write."""
        options = {_option(name): name for name in (*_WORDS, *_WHOLE, *_SECONDS, *_COMMANDS)}
        values: dict[str, object] = {}
        at = 0
        while at < len(arguments):
            name = options.get(arguments[at])
            if name is None or at + 1 == len(arguments):
                raise ValueError(f"unknown or without a value: {arguments[at]!r}")
            word = arguments[at + 1]
            at += 2
            if name in _COMMANDS:
                count = int(word)
                values[name] = list(arguments[at : at + count])
                at += count
            elif name in _WORDS:
                values[name] = word
            elif word == "none":
                values[name] = None
            else:
                values[name] = int(word) if name in _WHOLE else float(word)
        return cls(**values)  # type: ignore[arg-type]


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
