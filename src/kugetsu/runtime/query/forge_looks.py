"""When the forges of open work answered last, and until when they accept no requests: from files, no forge is asked."""

from __future__ import annotations

from kugetsu.forge.pauses import Pause
from kugetsu.model.clock import from_micros, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    from kugetsu.domain.state import State
    from kugetsu.host.paths import Paths

    class ForgeLook(TypedDict):
        """A forge, and how old what is known of it is: when it last answered, until when it is not asked. UTC; None:
        not known, or no pause."""

        host: str
        answered_at: str | None
        paused_until: str | None


_MICRO = 1_000_000


def known(paths: Paths, state: State, now: str) -> list[ForgeLook]:
    """The forges that have labelled issues or open pull requests of this log; without those of which no file tells."""
    pulls = (session.key for session in state.sessions.values() if (session.pull or {}).get("state") == "open")
    hosts = sorted({_host(key) for key in (*state.intake, *pulls)})
    looks = [_look(Pause(paths.pause(host)), host, now) for host in hosts]
    return [look for look in looks if look["answered_at"] is not None or look["paused_until"] is not None]


def _host(key: str) -> str:
    return key.partition("/")[0]


def _look(pause: Pause, host: str, now: str) -> ForgeLook:
    answered, until = pause.answered_at(), pause.until(parse(now) / _MICRO)
    return {
        "host": host,
        "answered_at": from_micros(round(answered * _MICRO)) if answered is not None else None,
        "paused_until": from_micros(round(until * _MICRO)) if until is not None else None,
    }
