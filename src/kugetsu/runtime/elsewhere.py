"""A file of another place in the role of a workspace: its log, its settings, its time; nothing of this machine."""

from __future__ import annotations

import os

from kugetsu import config, jsontext
from kugetsu.log.archive import ArchivedLog, open_archive
from kugetsu.paths import Paths
from kugetsu.runtime.workspace import Workspace, actor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


#: No lease, no worktree and no output of an agent is found there.
_NOWHERE = "/nonexistent/kugetsu"


class Elsewhere(Workspace):
    """``now`` is the moment at which the file was made; ``settings`` whether it has the settings that were in force.
    ``paths.root`` is the file; its other paths lead nowhere."""

    __slots__ = ("archive", "now", "settings")

    def __init__(self, path: str, environment: Mapping[str, str], command: str) -> None:
        self.archive: ArchivedLog = open_archive(path)
        settings = _json(self.archive, "settings.json").get("settings")
        known = settings if isinstance(settings, dict) else {}
        self.settings = bool(known)
        self.now = _made_at(self.archive)
        paths = Paths(_NOWHERE)
        paths.root = os.path.abspath(path)
        super().__init__(paths, config.recorded(known), environment, actor(command, environment))
        self._log = self.archive

    def reload(self) -> None:
        """Its settings do not change."""

    def close(self) -> None:
        """Give the file back."""
        self.archive.close()
        self._log = None


def _made_at(archive: ArchivedLog) -> str:
    """When a bundle was made; of all other files the latest time that they know."""
    latest: str = archive.state().latest
    made = _json(archive, "manifest.json").get("made_at")
    return made if isinstance(made, str) and len(made) == len(latest) and made > latest and _is_time(made) else latest


def _is_time(text: str) -> bool:
    from kugetsu import clock
    from kugetsu.errors import BadInput

    try:
        return clock.from_micros(clock.parse(text)) == text
    except BadInput:
        return False


def _json(archive: ArchivedLog, name: str) -> dict[str, Any]:
    """One of a bundle's JSON files; {} when it is not there or cannot be read."""
    try:
        found = jsontext.loads(archive.contents.extras.get(name, b"{}"))
    except jsontext.JSONError:
        return {}
    return found if isinstance(found, dict) else {}
