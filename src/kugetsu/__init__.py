"""kugetsu runs coding agents on issues, on one append-only event log."""

import os
import sys

__version__ = "0.1.0"


def _spare_bytecode() -> None:
    """Write no bytecode under a limit on the size of files (`ulimit -f`): Python does not notice that a write was cut
    short, and the half-written module would break every later start. Read from /proc: `resource` costs ten times that.
    """
    try:
        fd = os.open("/proc/self/limits", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # not Linux
        return
    try:
        limits = os.read(fd, 4096)
    finally:
        os.close(fd)
    if not limits.partition(b"Max file size")[2].lstrip().startswith(b"unlimited"):
        sys.dont_write_bytecode = True


_spare_bytecode()
