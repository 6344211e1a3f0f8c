"""Which hosts this one has found silent itself, and not only by the times that the database tells.

The database's clock may be set forward, a standby that was behind may take its place, or all hosts may have been cut
off from it alike: then each of them seems to be silent for too long, until it beats. The first one that comes back
would give away the tasks of all the others, which live.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from kugetsu.log.shared.postgres import Beat

WATCHED_SECONDS = 60.0
"""For so long a beat has to stand still under the eyes of whoever fences its host: three of them. Of a short time to
live a half."""


class Silence:
    """What one relay has seen of the beats, from one look to the next."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, int, str], float] = {}
        self._looked: float | None = None

    def lasting(self, beats: Sequence[Beat], now: float, ttl: float) -> list[Beat]:
        """Those that stood still for `WATCHED_SECONDS`, while this host looked; ``now`` of `host_lease.now`, ``ttl`` is
        the time to live in seconds. What was seen before this host was itself away counts for nothing."""
        watched = min(WATCHED_SECONDS, ttl / 2)
        before = self._since if self._looked is not None and now - self._looked <= watched else {}
        self._since = {_key(beat): before.get(_key(beat), now) for beat in beats}
        self._looked = now
        return [beat for beat in beats if now - self._since[_key(beat)] >= watched]


def _key(beat: Beat) -> tuple[str, int, str]:
    return beat.host, beat.term, beat.at
