"""Reading a forge's JSON: each value by its name and type; what is missing or of another type is named.

A field that is null counts as missing: forges write both for "there is none".
"""

from __future__ import annotations

from typing import NoReturn

from kugetsu.forge.failures import ForgeBroken
from kugetsu.model import clock
from kugetsu.model.errors import BadInput


class Fields:
    """A JSON value within an answer.

    `answer` names the answer in errors, `place` the value within it. `posted`: the answer is to a request that
    changed something, so a failure to read it is `uncertain`.
    """

    __slots__ = ("_answer", "_place", "_posted", "_value")

    def __init__(self, value: object, answer: str, *, posted: bool = False, place: str = "") -> None:
        self._value = value
        self._answer = answer
        self._posted = posted
        self._place = place

    @property
    def is_list(self) -> bool:
        """Whether this value is a list."""
        return isinstance(self._value, list)

    def text(self, name: str, default: str | None = None) -> str:
        """A text; `default` when it is missing. Raises ForgeBroken."""
        value = self._get(name)
        if value is None:
            return default if default is not None else self._lacks(name)
        return value if isinstance(value, str) else self._lacks(name, "a text")

    def number(self, name: str, default: int | None = None) -> int:
        """A whole number; `default` when it is missing. Raises ForgeBroken."""
        value = self._get(name)
        if value is None and default is not None:
            return default
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        return self._lacks(name, None if value is None else "a whole number")

    def flag(self, name: str) -> bool | None:
        """A truth value; None when it is missing. Raises ForgeBroken."""
        value = self._get(name)
        return value if value is None or isinstance(value, bool) else self._lacks(name, "true or false")

    def time(self, name: str, default: str | None = None) -> str:
        """A time as UTC text in seconds, whatever its zone; `default` when it is missing. Raises ForgeBroken."""
        text = self.text(name, default)
        if text == default:
            return text
        try:
            return clock.from_micros(clock.parse(text))[:19] + "Z"
        except BadInput:
            return self._lacks(name, "a time")

    def child(self, name: str) -> Fields:
        """The object of that name. Raises ForgeBroken when it is missing."""
        return self.maybe(name) or self._lacks(name)

    def maybe(self, name: str) -> Fields | None:
        """The object of that name; None when it is missing. Raises ForgeBroken."""
        value = self._get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            self._lacks(name, "an object")
        return Fields(value, self._answer, posted=self._posted, place=self._full(name))

    def list(self, name: str = "") -> list[Fields]:
        """The objects of the list of that name (without one: of this value itself); nulls are left out, and null is an
        empty one, as Gitea writes some. Raises ForgeBroken."""
        value = self._get(name) if name else self._value
        if value is None:
            return []
        if not isinstance(value, list):
            self._lacks(name, "a list")
        place = self._full(name) if name else ""
        return [
            Fields(item, self._answer, posted=self._posted, place=f"{place}[{index}]")
            for index, item in enumerate(value)
            if item is not None
        ]

    def _get(self, name: str) -> object:
        if not isinstance(self._value, dict):
            self._lacks("", "an object")
        value: object = self._value.get(name)
        return value

    def _full(self, name: str) -> str:
        return f"{self._place}.{name}".strip(".")

    def _lacks(self, name: str, wanted: str | None = None) -> NoReturn:
        place = self._full(name)
        if not place:
            fault = f"the answer to {self._answer} is not {wanted}"
        else:
            fault = f"the answer to {self._answer} " + (f"lacks {place}" if wanted is None else "")
            fault += "" if wanted is None else f"has a {place} that is not {wanted}"
        raise ForgeBroken(
            fault,
            "are the server's URL (GIT_SERVERS) and kind (FORGE_KINDS) right?",
            uncertain=self._posted,
        )
