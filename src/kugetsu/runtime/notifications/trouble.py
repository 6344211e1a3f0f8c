"""What keeps something from its work: said once, and once more when it is over."""

from __future__ import annotations

from collections.abc import Callable

from kugetsu.redaction.funnel import redact

_LENGTH = 500


class Trouble:
    """Says a trouble when it is new, however often it is met."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told = ""

    def tell(self, text: str) -> None:
        """It is met."""
        if text != self._told:
            self._say(redact(text, limit=_LENGTH))
        self._told = text

    def over(self, text: str = "goes on") -> None:
        """It is not met any more."""
        if self._told:
            self._say(text)
        self._told = ""
