"""Where lines are shown: how wide, in colour or not, at which moment, and which host goes without saying."""

from __future__ import annotations


class Screen:
    """``width`` in columns (None: not a terminal, nothing is cut); ``now`` as UTC text, for spans of time;
    ``default_host`` is left out of references."""

    __slots__ = ("colour", "default_host", "now", "width")

    def __init__(
        self, *, width: int | None = None, colour: bool = False, now: str = "", default_host: str = "github.com"
    ) -> None:
        self.width = width
        self.colour = colour
        self.now = now
        self.default_host = default_host

    def at(self, now: str) -> Screen:
        """The same screen at another moment: for what was so in the past."""
        return Screen(width=self.width, colour=self.colour, now=now, default_host=self.default_host)

    def _painted(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text

    def bold(self, text: str) -> str:
        """What the eye should find first."""
        return self._painted("1", text)

    def dim(self, text: str) -> str:
        """What frames the rest."""
        return self._painted("2", text)

    def red(self, text: str) -> str:
        """Failed, closed, lost."""
        return self._painted("31", text)

    def green(self, text: str) -> str:
        """Done, open, alive."""
        return self._painted("32", text)

    def yellow(self, text: str) -> str:
        """Waits, or wants a look."""
        return self._painted("33", text)

    def state(self, state: str, text: str) -> str:
        """``text`` in the colour of a task's, attempt's, session's or daemon's state."""
        if state in _BAD:
            return self.red(text)
        if state in _GOOD:
            return self.green(text)
        return self.yellow(text) if state in _WAITS else text

    def issue(self, key: str | None) -> str:
        """An issue or session key, without the host that goes without saying."""
        if key is None:
            return ""
        return key.removeprefix(self.default_host + "/")


_BAD = frozenset(("error", "failed", "timed_out", "killed", "lost", "broken"))
_GOOD = frozenset(("completed", "succeeded", "running", "working", "notified"))
_WAITS = frozenset(("parked", "draining", "cancelled"))
