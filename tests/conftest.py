"""What all tests need of their own process."""

from __future__ import annotations

import signal

# A shell that puts a job into the background lets it ignore these, and every process of a test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
