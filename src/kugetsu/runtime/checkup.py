"""`runner.health_check`, by the name under which a supervisor of an earlier version starts it after an upgrade."""

from __future__ import annotations

import sys

from kugetsu.runtime.runner.health_check import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
