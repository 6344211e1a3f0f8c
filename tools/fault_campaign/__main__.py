#!/usr/bin/env python3
"""A fault campaign: what happens at random, and kill -9 at random moments, for as long as you like; then everything is
checked.

    python tools/fault_campaign --seconds 300 --seed 7
    python tools/fault_campaign --loop --minutes 10
    python tools/fault_campaign --hosts 3 --minutes 10
    python tools/fault_campaign --claims 200

Works in a directory of its own (``--keep`` leaves it for a look), with scripted agents in real processes. Whatever was
killed, at the end every task is finished, every attempt has exactly one outcome, no claim ever exceeded the cap, the
log and every decision in it verify, no process of an ended attempt is left, and no stranger was touched. ``--loop``:
two scripted forges that fail in every way, on which people label, review, push and merge; then also what `promises`
says. ``--hosts``: hosts that share a log, each with a network and a clock of its own, over a PostgreSQL that is killed
and stopped as they are, and the same two forges; hosts drain, leave and join again, people attach and leave; then what
`hosts_promises`, `hosts_members` and `hosts_outside` say. ``--claims``: so many races for three slots, no campaign.
Prints a summary; exit status 1 when something of that does not hold.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time

_TOOLS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:1] = [_TOOLS, os.path.join(os.path.dirname(_TOOLS), "tests")]

from fault_campaign.campaign import Campaign  # noqa: E402 - found through the line above
from fault_campaign.loop import Loop  # noqa: E402
from fault_campaign.typed import Typed  # noqa: E402

_PHASES = ("set up", "of faults", "until all was at rest", "checked")


def main(arguments: list[str] | None = None) -> int:
    """Run a campaign. Returns the exit status."""
    options = _parser().parse_args(arguments)
    seconds = options.minutes * 60 if options.minutes is not None else options.seconds
    if options.claims:
        from fault_campaign import claims  # PostgreSQL's driver is no part of the campaigns of one host

        return claims.race(options.claims)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    folder = tempfile.mkdtemp(prefix="kugetsu-campaign-")
    print(f"seed {seed}, pid {os.getpid()}, in {folder}", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was begun is ended
    try:
        return _run(options, folder, seed, seconds)
    except BaseException:
        print(f"kept: {folder}", flush=True)
        raise


def _run(options: argparse.Namespace, folder: str, seed: int, seconds: float) -> int:
    times = [time.monotonic()]
    campaign = _campaign(options, folder, seed)
    try:
        times.append(time.monotonic())
        campaign.run(seconds)
        times.append(time.monotonic())
        print("no more faults", flush=True)
        broken = campaign.calm_down(options.patience)
        times.append(time.monotonic())
        print("at rest: checking", flush=True)
        broken += campaign.check()
        times.append(time.monotonic())
        state = campaign.ws.state()
    finally:
        campaign.clean_up()
    phases = (f"{end - begin:.0f} s {name}" for name, begin, end in zip(_PHASES, times, times[1:], strict=False))
    print(f"{', '.join(phases)}; {state.seq} events, {state.tasks_made} tasks")
    for name, count in sorted(campaign.done.items()):
        print(f"  {name:24} {count:6}")
    for text in broken[:50]:
        print(f"BROKEN: {text}")
    print(f"{len(broken)} broken" if broken else "everything holds")
    if options.keep or broken:
        print(f"kept: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if broken else 0


def _campaign(options: argparse.Namespace, folder: str, seed: int) -> Campaign:
    if options.hosts:
        from fault_campaign.hosts import Hosts  # as above

        return Hosts(folder, seed, options.cap, count=options.hosts, ttl=options.ttl, skew=options.skew)
    return (Loop if options.loop else Typed)(folder, seed, options.cap)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loop", action="store_true", help="labelled issues, pull requests and forges that fail")
    parser.add_argument("--hosts", type=int, metavar="N", help="N hosts that share a log in PostgreSQL")
    parser.add_argument("--claims", type=int, metavar="N", help="N rounds of 64 processes that race for 3 slots")
    parser.add_argument("--ttl", type=float, default=20.0, help="seconds after which a silent host is lost")
    parser.add_argument("--skew", type=float, default=3600.0, help="seconds by which a host's clock is wrong, at most")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long faults are injected (default 120)")
    parser.add_argument("--minutes", type=float, default=None, help="the same in minutes")
    parser.add_argument("--seed", type=int, default=None, help="of the chance (default: another one each time)")
    parser.add_argument("--cap", type=int, default=3, help="MAX_CONCURRENT_AGENTS (default 3)")
    parser.add_argument(
        "--patience", type=float, default=1200.0, help="seconds for finishing what is open (default 1200)"
    )
    parser.add_argument("--keep", action="store_true", help="leave the directory, and say where it is")
    return parser


if __name__ == "__main__":
    sys.exit(main())
