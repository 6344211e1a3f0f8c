"""How the shared log of a directory is opened: the database is that of its marker."""

from __future__ import annotations

from kugetsu.log.shared.engine import SharedLog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from kugetsu.domain.new_event import NewEvent
    from kugetsu.log.projection import Projection
    from kugetsu.log.shared.postgres import Database


def open_shared(
    directory: str,
    projection: Projection[Any],
    *,
    by: dict[str, Any],
    now: Callable[[], str],
    guard: Callable[[Sequence[NewEvent]], Sequence[NewEvent]] | None = None,
) -> SharedLog:
    """The shared log whose mirror is ``directory``; arguments as `log.open_log`. Neither connects nor loads the driver
    before the first append."""
    return SharedLog(directory, projection, by, now, lambda: database_of(directory), guard=guard)


def database_of(directory: str, patience: float | None = None) -> Database:
    """The database of a mirror, not connected yet; ``patience`` as `Database`. Raises LogUnreachable without the
    driver, or without a marker."""
    from kugetsu.log.shared import marker
    from kugetsu.log.shared.postgres import Database
    from kugetsu.model.errors import LogUnreachable

    found = marker.read(directory)
    if found is None:
        raise LogUnreachable(f"{directory} is not the mirror of a shared log any more", "try again")
    return Database(found.url) if patience is None else Database(found.url, patience)
