"""The supervisor, where a daemon of an earlier version that outlives an upgrade starts it for its agents."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))
    from kugetsu.runtime.runner.supervisor import main

    main(sys.argv[1:])
