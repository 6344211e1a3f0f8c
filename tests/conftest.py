"""What all tests need of their own process."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# A shell that puts a job into the background lets it ignore these, and every process of a test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

# On a busy machine a single example takes longer than the 200 ms that hypothesis grants it.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
