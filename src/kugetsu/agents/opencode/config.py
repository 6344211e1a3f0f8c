"""opencode's configuration files: where they are, which one takes precedence, and what they set for a permission.

Those of a project are in the worktree, where an agent can make anything of them: nothing here blocks or reads without a
bound.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

PROJECT_NAMES = ("opencode.json", "opencode.jsonc", ".opencode/opencode.json", ".opencode/opencode.jsonc")
"""Where a project may hold its configuration."""

MOST_BYTES = 1 << 20
"""A larger file is not a configuration."""

_NAMESAKES = ("edit", "bash", "read", "glob", "grep", "list", "task", "webfetch", "websearch", "todowrite", "skill")
PERMISSIONS = dict.fromkeys(("write", "patch", "apply_patch", "multiedit"), "edit") | {
    name: name for name in _NAMESAKES
}
"""The permission that decides about each of opencode's own tools."""

_OWN_DEFAULTS = ("external_directory",)
"""Permissions that kugetsu denies where the user's configuration does not name them."""

_IN_FOLDER = ("opencode.jsonc", "opencode.json", "config.json")
_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/|,(?=\s*[}\]])', re.S)


def read(path: str) -> str:
    """The text of a configuration file, also behind a link; empty for anything but a regular file of bounded size."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
            return ""
        return os.pread(fd, MOST_BYTES, 0).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(fd)


class Settings:
    """The user's and the project's configuration of opencode, the file that has the last word first."""

    def __init__(self, environment: Mapping[str, str], directory: str) -> None:
        self._environment = environment
        self._directory = directory

    def deciding(self, name: str) -> str:
        """The setting that decides about a permission, for people: its key, and the file that sets it."""
        for place, text in self._texts():
            key = _key(_parsed(text), name)
            if key is not None:
                return f"{key} in {place}"
        if name in _OWN_DEFAULTS:
            return f"kugetsu's default; permission.{name} in an opencode.json overrides it"
        return f"opencode's default; permission.{name} in an opencode.json overrides it"

    def names(self, permission: str) -> bool:
        """Whether any of the files has a rule for a permission."""
        return any(_key(_parsed(text), permission, exactly=True) is not None for _, text in self._texts())

    def mentions(self, word: str) -> bool:
        """Whether any of the files has a word in it, wherever that is: an agent has permissions of its own."""
        return any(word in text for _, text in self._texts())

    def _texts(self) -> Iterator[tuple[str, str]]:
        environment = self._environment
        permission = _parsed(environment.get("OPENCODE_PERMISSION") or "")
        yield "OPENCODE_PERMISSION", orjson.dumps({"permission": permission}).decode()
        yield "OPENCODE_CONFIG_CONTENT", environment.get("OPENCODE_CONFIG_CONTENT") or ""
        home = environment.get("HOME") or os.path.expanduser("~")
        folders = [environment.get("OPENCODE_CONFIG_DIR") or ""]
        folders += [f"{self._directory}/.opencode", self._directory] if self._directory else []
        files = [f"{folder}/{name}" for folder in folders if folder for name in _IN_FOLDER]
        files.append(environment.get("OPENCODE_CONFIG") or "")
        users = f"{environment.get('XDG_CONFIG_HOME') or f'{home}/.config'}/opencode"
        files += [f"{users}/{name}" for name in _IN_FOLDER]
        for file in files:
            text = read(file) if file else ""
            if text:
                yield file.removeprefix(self._directory + "/") if self._directory else file, text


def _key(config: Mapping[str, Any], permission: str, *, exactly: bool = False) -> str | None:
    """The key of a configuration that does not allow a permission (``exactly``: that names it at all)."""
    rules = config.get("permission")
    if isinstance(rules, str) and not exactly and rules != "allow":
        return "permission"
    for key, rule in reversed(list(rules.items())) if isinstance(rules, dict) else ():
        if exactly and key == permission:
            return f"permission.{key}"
        if not exactly and fnmatch.fnmatchcase(permission, key):
            actions = list(rule.values()) if isinstance(rule, dict) else [rule]
            if any(action != "allow" for action in actions):
                return f"permission.{key}"
    tools = config.get("tools")
    for tool, on in tools.items() if isinstance(tools, dict) and not exactly else ():
        if on is False and (tool == permission or PERMISSIONS.get(tool) == permission):
            return f"tools.{tool}"
    return None


def _parsed(text: str) -> dict[str, Any]:
    """A configuration, JSON with comments; empty for what cannot be understood."""
    for candidate in (text, _COMMENT.sub(lambda found: found[0] if found[0][0] == '"' else "", text)):
        try:
            value = orjson.loads(candidate)
        except orjson.JSONDecodeError:
            continue
        return value if isinstance(value, dict) else {}
    return {}
