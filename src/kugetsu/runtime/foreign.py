"""An exported log (`--from FILE`) as a workspace: its log read-only, its recorded settings, time and host probe."""

from __future__ import annotations

import os
from typing import Any

from kugetsu.host import config
from kugetsu.log.foreign.engine import ForeignLog
from kugetsu.model import clock, jsontext
from kugetsu.model.errors import NotFound
from kugetsu.runtime.doctor.finding import Finding


class Foreign:
    """What an exported log brings along. ``now`` is when it was made; ``has_settings`` tells whether it holds the
    settings that were in force; ``probe`` is the record of the host probe at the end of its log, None without one."""

    __slots__ = ("has_settings", "log", "now", "path", "probe", "recorded")

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self.log = ForeignLog(path)
        self.recorded = self._json("settings.json")
        self.has_settings = bool(self.recorded.get("settings"))
        manifest = self._json("manifest.json")
        self.now = self._made_at(manifest)
        self.probe = manifest.get("look")

    def require(self, name: str) -> bytes:
        """What a bundle has beside the log, by its name there. Raises NotFound where it is not."""
        try:
            return self.log.contents.extras[name]
        except KeyError:
            text = f"{name} is not in {self.path}"
            raise NotFound(text, "a bundle has it, when it was there: kugetsu doctor --bundle FILE") from None

    def stderr_logs(self) -> dict[str, bytes]:
        """What the agents that failed wrote to stderr, by attempt, in the order in which they ended."""
        extras = self.log.contents.extras
        return {name.split("/")[1]: data for name, data in extras.items() if name.endswith("/stderr.log")}

    def findings(self) -> list[Finding]:
        """What `doctor` found where the bundle was made; what is not a finding is skipped. Raises NotFound."""
        found = []
        for entry in _dicts(_loaded(self.require("findings.json"))):
            texts = [str(entry.get(key) or "") for key in ("group", "name", "text")]
            level, fix = entry.get("level"), entry.get("fix")
            if all(texts) and level in ("ok", "skipped", "warning", "problem"):
                found.append(Finding(texts[0], texts[1], level, texts[2], fix=fix if isinstance(fix, str) else None))
        return found

    def config(self) -> config.Config:
        """The settings that were in force; the defaults for those that it does not hold."""
        settings, own = self.recorded.get("settings"), self.recorded.get("repositories")
        found = config.recorded(settings if isinstance(settings, dict) else {}, own if isinstance(own, dict) else {})
        for entry in _dicts(self.recorded.get("unknown")):
            key, place = entry.get("key"), entry.get("place")
            if isinstance(key, str) and isinstance(place, str):
                found.unknown.append((key, place))
        return found

    def _made_at(self, manifest: dict[str, Any]) -> str:
        """When a bundle was made; of any other file, and of a truncated bundle, the latest time that it knows."""
        found, log, made = self.log.found, manifest.get("log"), manifest.get("made_at")
        latest = found.latest
        if not isinstance(log, dict) or log.get("seq") != found.seq or not isinstance(made, str):
            return latest
        return made if made > latest and clock.is_time(made) else latest

    def _json(self, name: str) -> dict[str, Any]:
        """One of a bundle's JSON files; {} when it is not there or cannot be read."""
        found = _loaded(self.log.contents.extras.get(name, b"{}"))
        return found if isinstance(found, dict) else {}


def _loaded(data: bytes) -> Any:
    try:
        return jsontext.loads(data)
    except jsontext.JSONError:
        return None


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
