"""Runs commands and takes their time, several kinds in turns."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

PYTHON = sys.executable


def kugetsu() -> list[str]:
    """The command line of the kugetsu that is installed beside this interpreter."""
    script = os.path.join(os.path.dirname(PYTHON), "kugetsu")
    return [script] if os.access(script, os.X_OK) else [PYTHON, "-m", "kugetsu"]


def environment(folder: str, **more: str) -> dict[str, str]:
    """An environment in which KUGETSU_DIR is ``folder``, no setting of the user's counts, and Python may keep its
    compiled modules: without them each start compiles everything anew."""
    from kugetsu.model.settings import SETTINGS

    dropped = {*SETTINGS, "PYTHONDONTWRITEBYTECODE"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, "KUGETSU_DIR": folder, "NO_COLOR": "1", **more}


def seconds(argv: Sequence[str], env: Mapping[str, str], cwd: str = "/") -> float:
    """How long a command takes from spawn to end. Raises RuntimeError, with what it said, when it fails."""
    began = time.perf_counter()
    done = subprocess.run(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    took = time.perf_counter() - began
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise RuntimeError(f"{' '.join(argv[:4])} ended with {done.returncode}: {said[-500:]}")
    return took


def in_turns(kinds: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """The samples of each kind, taken in turns; the first round only warms caches and is not counted."""
    samples: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(rounds + 1):
        for kind, run in kinds.items():
            took = run()
            if number:
                samples[kind].append(took)
    return samples
