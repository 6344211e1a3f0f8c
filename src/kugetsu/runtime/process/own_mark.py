"""This process and what it starts carry an attempt's mark for a while (`termination.MARK`)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from kugetsu.runtime.process.termination import MARK


@contextlib.contextmanager
def borne(nonce: str) -> Iterator[None]:
    """Carry the mark of the lease ``nonce``, and at the end the one from before: what is started then is another's."""
    before = os.environ.get(MARK)
    os.environ[MARK] = nonce
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(MARK, None)
        else:
            os.environ[MARK] = before
