#!/usr/bin/env python3
"""`python tools/bench`: every measurement, one table out.

Absolute times belong to the machine they were taken on; what counts is the ratio to the reference that was measured in
the same run, in turns with it. Needs the package installed beside the interpreter that runs this (`pip install -e .`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from bench import across, appends, dispatch, hosts, logs, rebuild, shared, startup, travel  # noqa: E402 - found through the line above
from bench.report import Report, Sizes  # noqa: E402

PARTS = {
    "startup": startup.measure,
    "shared": shared.measure,
    "appends": appends.measure,
    "flat": logs.measure,
    "rebuild": rebuild.measure,
    "travel": travel.measure,
    "dispatch": dispatch.measure,
    "across": across.measure,
    "hosts": hosts.measure,
}


def main() -> int:
    """Measure, print; 0 when everything could be measured (limits are shown, not enforced)."""
    options = _parser().parse_args()
    sizes = Sizes.quick() if options.quick else Sizes()
    report = Report(quiet=options.json)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kugetsu-bench-", dir=options.dir) as folder:
        for name in options.only or PARTS:
            PARTS[name](report, sizes, folder)
    seconds = time.monotonic() - began
    if options.json:
        print(json.dumps({"seconds": round(seconds, 1), "quick": options.quick, "rows": report.as_data()}, indent=2))
    else:
        print(report.table())
        print(f"\n{report.closing()}, {seconds:.0f} s{', quick sizes: no verdict' if options.quick else ''}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: only shows that everything can be measured")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="NAME", help=f"one of {', '.join(PARTS)}")
    parser.add_argument("--json", action="store_true", help="the rows as JSON")
    parser.add_argument("--dir", help="where the logs are written: a folder on the disk to measure (default: TMPDIR)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
