#!/usr/bin/env python3
"""`python3 tools/check.py`: every test, also those with the real opencode, from a plain checkout.

Makes a virtual environment in .quickstart/ of the checkout, installs kugetsu with what its tests need, gets opencode
from npm when it is missing, and runs pytest, whose arguments may follow (`tools/check.py tests/unit -k refs`). Its
status is pytest's own; its closing line comes last.
"""

from __future__ import annotations

import os
import subprocess
import sys

import provision


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
    except provision.Missing as problem:
        print(f"check: {problem}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as problem:
        print(f"check: {problem.cmd[0]} ended with {problem.returncode}", file=sys.stderr)
        return 1
    return _pytest([str(provision.python_of(venv)), "-m", "pytest", *(sys.argv[1:] or ["-q"])], opencode)


def _pytest(command: list[str], opencode: str) -> int:
    print(f"$ {' '.join(command)}", flush=True)
    environment = {**os.environ, "KUGETSU_OPENCODE": opencode}
    status = subprocess.run(command, cwd=provision.CHECKOUT, env=environment, check=False).returncode
    return status if status >= 0 else 128 - status


def _run(command: list[str]) -> None:
    print(f"$ {' '.join(command)}", flush=True)
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    sys.exit(main())
