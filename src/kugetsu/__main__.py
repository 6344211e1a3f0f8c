"""`python -m kugetsu`."""

import sys

from kugetsu.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
