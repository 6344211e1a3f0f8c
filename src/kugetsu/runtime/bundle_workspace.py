"""A file of another place in the role of a workspace: its log, its settings, its time; nothing of this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from kugetsu.host import config
from kugetsu.host.paths import Paths
from kugetsu.log.foreign import ArchivedLog, open_archive
from kugetsu.model import clock, jsontext
from kugetsu.model.errors import NotFound
from kugetsu.runtime.doctor.finding import Finding
from kugetsu.runtime.host_probe import kept
from kugetsu.runtime.workspace import Workspace, actor

#: No lease, no worktree and no output of an agent is found there.
_NOWHERE = "/nonexistent/kugetsu"


class BundleWorkspace(Workspace):
    """``now`` is the moment at which the file was made; ``settings`` whether it has the settings that were in force;
    ``look`` what a look at its machine told at the end of its log, None when it has none. ``paths.root`` is the file;
    its other paths lead nowhere."""

    __slots__ = ("archive", "look", "now", "settings")

    def __init__(self, path: str, environment: Mapping[str, str], command: str) -> None:
        self.archive: ArchivedLog = open_archive(path)
        in_force, manifest = _json(self.archive, "settings.json"), _json(self.archive, "manifest.json")
        settings = in_force.get("settings")
        known = settings if isinstance(settings, dict) else {}
        self.settings = bool(known)
        self.now = _made_at(self.archive, manifest)
        look = kept(manifest.get("look"))
        self.look = look if look is not None and look.seq == self.archive.state().seq else None
        paths = Paths(_NOWHERE)
        paths.root = os.path.abspath(path)
        super().__init__(paths, config.recorded(known), environment, actor(command, environment))
        self.config.unknown += _unknown(in_force.get("unknown"))
        self._log = self.archive

    def require(self, name: str) -> bytes:
        """What a bundle has beside the log, by its name there. Raises NotFound where it is not."""
        try:
            return self.archive.contents.extras[name]
        except KeyError:
            said = f"{name} is not in {self.paths.root}"
            raise NotFound(said, "a bundle has it, when it was there: kugetsu doctor --bundle FILE") from None

    def findings(self) -> list[Finding]:
        """What `doctor` found where the bundle was made; what is no finding is left out. Raises NotFound."""
        try:
            listed = jsontext.loads(self.require("findings.json"))
        except jsontext.JSONError:
            listed = []
        entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
        found = []
        for entry in entries:
            texts = [str(entry.get(key) or "") for key in ("group", "name", "text")]
            level, fix = entry.get("level"), entry.get("fix")
            if all(texts) and level in ("ok", "skipped", "warning", "problem"):
                found.append(Finding(texts[0], texts[1], level, texts[2], fix=fix if isinstance(fix, str) else None))
        return found

    def reload(self) -> None:
        """Its settings do not change."""

    def close(self) -> None:
        """Give the file back."""
        self.archive.close()
        self._log = None


def _made_at(archive: ArchivedLog, manifest: dict[str, Any]) -> str:
    """When a bundle was made; of all other files, and of a bundle that is cut off, the latest time that they know."""
    state, log = archive.state(), manifest.get("log")
    latest: str = state.latest
    made = manifest.get("made_at")
    if not isinstance(log, dict) or log.get("seq") != state.seq or not isinstance(made, str):
        return latest
    return made if made > latest and clock.is_time(made) else latest


def _unknown(found: Any) -> list[tuple[str, str]]:
    """The keys of its file `config` that are no settings, each with its place."""
    entries = [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
    listed = [(entry.get("key"), entry.get("place")) for entry in entries]
    return [(key, place) for key, place in listed if isinstance(key, str) and isinstance(place, str)]


def _json(archive: ArchivedLog, name: str) -> dict[str, Any]:
    """One of a bundle's JSON files; {} when it is not there or cannot be read."""
    try:
        found = jsontext.loads(archive.contents.extras.get(name, b"{}"))
    except jsontext.JSONError:
        return {}
    return found if isinstance(found, dict) else {}
