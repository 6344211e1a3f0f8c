"""Many processes that begin at the same moment."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable


def together(count: int, work: Callable[[int], None]) -> None:
    """Run ``work(number)`` in ``count`` forked processes that start at the same moment; each must end well."""
    gate_read, gate_write = os.pipe()
    pids = []
    for number in range(count):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.close(gate_write)
                os.read(gate_read, 1)  # returns for all at once, when the parent closes its end
                work(number)
                status = 0
            except BaseException:  # noqa: BLE001 - told by its text here and by its status to the parent
                traceback.print_exc()
            finally:
                os._exit(status)
        pids.append(pid)
    os.close(gate_read)
    os.close(gate_write)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * count
