"""How old is what the screens show of a forge."""

from __future__ import annotations

from kugetsu.views import times
from kugetsu.views.text import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from kugetsu.runtime.query.forge_looks import ForgeLook
    from kugetsu.views.screen import Screen


def lines(looks: Sequence[ForgeLook], screen: Screen, now: str) -> list[str]:
    """``forge   git.example.com answered 3m ago``; and until when it is not asked."""
    shown: list[str] = []
    for look in looks:
        at, until = look["answered_at"], look["paused_until"]
        said = f"answered {times.duration(times.since(at, now))} ago" if at is not None else "has not answered"
        paused = f"; paused until {times.ahead(until, now)} by its rate limit" if until is not None else ""
        first, *more = screen.wrapped(f"{line(look['host'])} {said}{paused}", len("forge   "))
        shown += [f"forge   {first}", *(f"        {part}" for part in more)]
    return shown
