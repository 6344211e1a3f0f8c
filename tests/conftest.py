"""What all tests need of their own process and of those that they start."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile

import pytest

import profiles

# A shell that puts a job into the background lets it ignore these, and every process of a test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

profiles.register()

# Interpreters that tests start share what they compile, outside of the checkout: with PYTHONDONTWRITEBYTECODE, often
# set where tests run, each would compile every module again. Workers of pytest-xdist inherit the folder.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
_OWN = "PYTHONPYCACHEPREFIX" not in os.environ
if _OWN:
    os.environ["PYTHONPYCACHEPREFIX"] = tempfile.mkdtemp(prefix="kugetsu-tests-pyc-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what was compiled for this run."""
    if _OWN:
        shutil.rmtree(os.environ["PYTHONPYCACHEPREFIX"], ignore_errors=True)
