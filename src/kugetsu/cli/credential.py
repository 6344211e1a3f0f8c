"""`kugetsu __credential get`: git's question for a credential (gitcredentials(7)), answered from the env files.

kugetsu names it to its own git only (`runtime.git.transport`). It keeps and forgets nothing: other operations are
ignored, as git asks of helpers.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from kugetsu.runtime.git.transport import credential


def answer(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Print the credential for the request on standard input, or nothing."""
    if list(arguments) != ["get"]:
        return 0

    sys.stdout.write(credential(sys.stdin.read(), environment))
    return 0
