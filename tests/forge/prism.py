"""Prism: a server made from an API description, which refuses requests that the description does not allow.

`KUGETSU_PRISM` names its program (`tools/check.py` installs it and sets that); tests that need it are skipped without.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

DESCRIPTIONS = Path(__file__).with_name("api")
_START = 300.0


def program() -> str:
    """Prism's program. Skips the test when there is none."""
    named = os.environ.get("KUGETSU_PRISM")
    if not named:
        pytest.skip("Prism is not there (KUGETSU_PRISM): python3 tools/check.py installs it")
    return named


@contextlib.contextmanager
def mock(description: str) -> Iterator[str]:
    """A server that answers with examples; its base URL. A request against the description gets 4xx."""
    with _serving("mock", [description], []) as url:
        yield url


@contextlib.contextmanager
def proxy(description: str, upstream: str) -> Iterator[str]:
    """A server that passes on to another one; its base URL. Answers against the description become 500."""
    with _serving("proxy", [description], [upstream]) as url:
        yield url


@contextlib.contextmanager
def _serving(mode: str, descriptions: list[str], rest: list[str]) -> Iterator[str]:
    files = [str(DESCRIPTIONS / name) for name in descriptions]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [program(), mode, "--errors", "--host", "127.0.0.1", "--port", str(port), *files, *rest]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"Prism ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError("Prism does not listen")
