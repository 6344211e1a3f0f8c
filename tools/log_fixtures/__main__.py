#!/usr/bin/env python3
"""`python tools/log_fixtures [NAME…]`: make the logs of tests/fixtures/logs again, from real runs.

Each run takes place below /tmp/kugetsu-fixtures, as the user shoko on the machine desk, so that the log names nothing
of this one; that is checked before the log's segments are copied as they are. The real opencode is KUGETSU_OPENCODE, or
is found in PATH; a scripted model answers it. Takes about two minutes. Needs the package installed beside the
interpreter that runs this.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from kugetsu.agents.opencode import program as opencode_program  # noqa: E402 - found through the line above
from log_fixtures.place import CHECKOUT, WaitedTooLongError  # noqa: E402
from log_fixtures.stories import STORIES, log_of  # noqa: E402

FIXTURES = CHECKOUT / "tests" / "fixtures" / "logs"


def main() -> int:
    """0 when every log was made; 1 when one was not, or names something of this machine."""
    parser = argparse.ArgumentParser(prog="tools/log_fixtures", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(STORIES)} (default: all)")
    names: list[str] = parser.parse_args().names or list(STORIES)
    for name in names:
        print(f"making {name}", flush=True)
        try:
            program = opencode_program.find({}, dict(os.environ)) if name == "opencode" else ""
            place = STORIES[name](program)
        except WaitedTooLongError as problem:
            print(f"{name}: {problem}", file=sys.stderr)
            return 1
        place.ok("log", "verify")
        print(place.ok("replay", "--verify"), end="")
        told = _names_of_here(log_of(place))
        if told:
            print(f"{name}: the log names {', '.join(told)}", file=sys.stderr)
            return 1
        _keep(log_of(place), FIXTURES / name)
    return 0


def _names_of_here(log: Path) -> list[str]:
    """What of this machine stands in a log."""
    known = {os.uname().nodename, str(CHECKOUT), str(Path.home()), sys.prefix, sys.base_prefix}
    text = "".join(path.read_text(encoding="utf-8") for path in log.glob("*.jsonl"))
    return sorted(word for word in known if len(word) > 3 and word not in ("/usr", "/root") and word in text)


def _keep(log: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in sorted(log.glob("*.jsonl")):
        shutil.copyfile(path, target / path.name)
        print(f"  {target.relative_to(CHECKOUT)}/{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    sys.exit(main())
