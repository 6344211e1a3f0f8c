#!/usr/bin/env python3
"""`python3 tools/quickstart`: watch opencode agents work on six issues, three at a time, and read what happened.

Everything goes into one folder (.quickstart in the checkout): a virtual environment with kugetsu, opencode from npm
when it is missing, and a folder for each run with a sample repository, its remote, and a KUGETSU_DIR of its own. Your
~/.kugetsu and your opencode's data are not touched. A scripted model on 127.0.0.1 answers, unless a real one is named.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import provision  # noqa: E402 - found through the line above
from quickstart.demonstration import Demonstration  # noqa: E402
from quickstart.screen import Failed, Screen  # noqa: E402


def main() -> int:
    """0 when all six tasks were completed and their commits are in the remote; 1 when not; 130 when interrupted."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    screen = Screen()
    try:
        provision.require_python()
        provision.require("git", "agents work in git worktrees", "Install it, for example: sudo apt install git")
        folder = Path(options.folder).absolute()
        opencode = _provide(screen, folder, hosts=bool(options.hosts))
        model = None if options.offline or options.loop else options.model or os.environ.get("KUGETSU_MODEL")
        demonstration: Demonstration
        if options.loop:
            from quickstart.loop import LoopDemonstration

            demonstration = LoopDemonstration(screen, folder, opencode, model)
        elif options.hosts:
            from quickstart.hosts import HostsDemonstration

            demonstration = HostsDemonstration(screen, folder, opencode, options.hosts)
        else:
            demonstration = Demonstration(screen, folder, opencode, model)
        with demonstration:
            complete = demonstration.run()
        demonstration.tell_where_to_go_on()
    except (provision.Missing, Failed) as problem:
        print(f"\nquickstart: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nquickstart: interrupted; nothing of it runs any more", file=sys.stderr)
        return 130
    return 0 if complete else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 tools/quickstart", description=__doc__)
    parser.add_argument(
        "folder",
        nargs="?",
        default=str(provision.CHECKOUT / ".quickstart"),
        help="where everything goes (default: .quickstart in the checkout)",
    )
    parser.add_argument(
        "--loop", action="store_true", help="one labelled issue instead, to its merged pull request, by itself"
    )
    parser.add_argument(
        "--hosts",
        type=int,
        choices=range(2, 6),
        metavar="N",
        help="that many hosts (2 to 5) with one log in a PostgreSQL instead, of which one dies; Linux only",
    )
    parser.add_argument("--offline", action="store_true", help="the scripted model, even when KUGETSU_MODEL is set")
    parser.add_argument(
        "--model",
        metavar="PROVIDER/MODEL",
        help="let a real model work; your opencode's configuration and credentials are copied for it, not changed",
    )
    return parser


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _provide(screen: Screen, folder: Path, *, hosts: bool) -> str:
    """The environment with kugetsu, and opencode: made when they are not there. Returns the opencode program."""
    screen.title("Install")
    folder.mkdir(parents=True, exist_ok=True)
    venv = folder / "venv"
    if provision.is_current(venv, dev=False):
        screen.note(f"✓ kugetsu is installed in {venv}")
    else:
        if not provision.python_of(venv).exists():
            command = provision.venv_command(venv)
            screen.command(command)
            with screen.step("a virtual environment"):
                screen.run(command, show=False)
        command = provision.install_command(venv, dev=False)
        screen.command(command)
        with screen.step("kugetsu and what it needs"):
            screen.run(command, show=False)
        provision.note_current(venv, dev=False)
    if hosts and not provision.has_hosts(venv):
        command = provision.hosts_command(venv)
        screen.command(command)
        with screen.step("PostgreSQL and its driver, about 50 MB"):
            screen.run(command, show=False)
    found, package = provision.find_opencode(venv, folder / "opencode")
    if found is None:
        command = provision.opencode_command(folder / "opencode", package)
        screen.command(command)
        (folder / "opencode").mkdir(exist_ok=True)
        with screen.step(f"opencode {provision.OPENCODE} from npm, about 60 MB"):
            screen.run(command, show=False)
        found = str(provision.binary_of(folder / "opencode", package))
    else:
        screen.note(f"✓ opencode is {found}")
    return found


if __name__ == "__main__":
    began = time.monotonic()
    status = main()
    if status == 0:
        print(f"\n  all of it took {time.monotonic() - began:.0f} s")
    sys.exit(status)
