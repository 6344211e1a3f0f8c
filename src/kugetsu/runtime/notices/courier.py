"""`notifications.notifier`, by the name under which a daemon of an earlier version starts it after an upgrade."""

from __future__ import annotations

import sys

from kugetsu.runtime.notifications.notifier import main

if __name__ == "__main__":
    sys.exit(main())
