#!/usr/bin/env python3
"""`python3 tools/check.py`: the tests, also those with the real opencode, from a plain checkout.

Makes a virtual environment in .quickstart/ of the checkout, installs kugetsu with what its tests need, gets opencode
and Prism from npm when they are missing, and runs pytest, whose arguments may follow (`tools/check.py tests/unit -k
refs`). Its status is pytest's own; its closing line comes last.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import provision

#: All of them, side by side; arguments of the caller are given to pytest as they are, since few tests need no workers.
EVERYTHING = ["-q", "-n", "auto"]


def main() -> int:
    """pytest's exit status; 1 when what the tests need cannot be had."""
    folder = provision.CHECKOUT / ".quickstart"
    venv = folder / "venv-dev"
    try:
        provision.require_python()
        provision.require("git", "the tests make repositories", "Install it, for example: sudo apt install git")
        if not provision.is_current(venv, dev=True):
            if not provision.python_of(venv).exists():
                _run(provision.venv_command(venv))
            _run(provision.install_command(venv, dev=True))
            provision.note_current(venv, dev=True)
        opencode, package = provision.find_opencode(venv, folder / "opencode")
        if opencode is None:
            (folder / "opencode").mkdir(exist_ok=True)
            _run(provision.opencode_command(folder / "opencode", package))
            opencode = str(provision.binary_of(folder / "opencode", package))
        programs = {"KUGETSU_OPENCODE": opencode, **_prism(folder / "prism")}
    except provision.Missing as problem:
        print(f"check: {problem}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as problem:
        print(f"check: {problem.cmd[0]} ended with {problem.returncode}", file=sys.stderr)
        return 1
    command = [str(provision.python_of(venv)), "-m", "pytest", *(sys.argv[1:] or EVERYTHING)]
    return _pytest(command, programs)


def _prism(folder: Path) -> dict[str, str]:
    """The variable that tells tests where Prism is; without it the few that need it are skipped, and say so."""
    prism = provision.find_prism(folder)
    if prism is None:
        try:
            command = provision.prism_command(folder)
            folder.mkdir(exist_ok=True)
            _run(command)
        except (provision.Missing, subprocess.CalledProcessError) as problem:
            print(f"check: no Prism, so its tests are skipped: {problem}", file=sys.stderr)
            return {}
        prism = str(provision.prism_of(folder))
    return {"KUGETSU_PRISM": prism}


def _pytest(command: list[str], programs: dict[str, str]) -> int:
    print(f"$ {' '.join(command)}", flush=True)
    environment = {**os.environ, **programs}
    status = subprocess.run(command, cwd=provision.CHECKOUT, env=environment, check=False).returncode
    return status if status >= 0 else 128 - status


def _run(command: list[str]) -> None:
    print(f"$ {' '.join(command)}", flush=True)
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    sys.exit(main())
