"""The environment in which opencode runs for kugetsu: nothing in it can ask, share, update itself or open an editor.

The user's own configuration stays in force: what is set here is laid over it, and gives way where the user has said
something about the same thing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from kugetsu.agents.opencode import leftovers
from kugetsu.agents.opencode.config import Settings

PLUGIN = Path(__file__).with_name("plugin.js")

UNSET = (
    "OPENCODE",
    "AGENT",
    "OPENCODE_PID",
    "OPENCODE_CLIENT",
    "OPENCODE_WORKSPACE_ID",
    "OPENCODE_AUTO_SHARE",
    "OPENCODE_SERVER_PASSWORD",
    "OPENCODE_SERVER_USERNAME",
)
"""Marks of an opencode around this one (kugetsu may be called by an agent), and what would share a session."""

QUIET = {
    "GIT_EDITOR": "true",
    "GIT_SEQUENCE_EDITOR": "true",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_PAGER": "cat",
    "PAGER": "cat",
    "EDITOR": "true",
    "VISUAL": "true",
    "SSH_ASKPASS_REQUIRE": "never",
    "GCM_INTERACTIVE": "never",
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "OPENCODE_DISABLE_TERMINAL_TITLE": "1",
}
"""Editors and pagers that end at once, prompts that fail instead of waiting."""

DENIED = ("question", "plan_enter", "plan_exit")
"""Permissions that opencode would ask for, or wait in, with nobody there."""

ALLOWED = "doom_loop"
"""opencode asks for it when one answer holds the same call three times, and a denial ends the whole turn with an error.
It does not see what loops beyond one answer; the limit on time stops both."""

_CONFIG_VARIABLES = ("OPENCODE_CONFIG", "OPENCODE_CONFIG_DIR", "OPENCODE_CONFIG_CONTENT", "OPENCODE_PERMISSION")
_FULL_BYTES = 1 << 20
_OUTSIDE = "external_directory"


def as_configured(environment: Mapping[str, str]) -> dict[str, str]:
    """For the short commands that must see the user's configuration: which models there are."""
    kept = {name: value for name, value in environment.items() if name not in UNSET}
    return kept | {"OPENCODE_DISABLE_AUTOUPDATE": "1"}


def for_short_commands(environment: Mapping[str, str], room: str) -> dict[str, str]:
    """For imports, exports and lists, which read no configuration of the user's or the project's.

    Each start of opencode installs its plugin package behind the scenes, under a lock in its state folder; a command
    that ends meanwhile leaves the lock behind, and the next agent waits a minute for it (1.18.33). So these get
    configuration and state folders of their own in ``room``; the data folder with the sessions is the user's.
    """
    home = environment.get("HOME") or os.path.expanduser("~")
    users = Path(environment.get("XDG_CONFIG_HOME") or f"{home}/.config") / "git"
    config = Path(room) / "config"
    leftovers.suppress_install(config / "opencode")
    if users.is_dir() and not (config / "git").is_symlink():
        # opencode asks git for the project: git must find the user's settings (safe.directory) here too.
        with suppress(FileExistsError):
            (config / "git").symlink_to(users)
    kept = {name: value for name, value in as_configured(environment).items() if name not in _CONFIG_VARIABLES}
    return kept | {
        "OPENCODE_DISABLE_PROJECT_CONFIG": "1",
        "XDG_CONFIG_HOME": f"{room}/config",
        "XDG_STATE_HOME": f"{room}/state",
    }


def for_turn(environment: Mapping[str, str], directory: str, temp_dirs: Iterable[str | None]) -> dict[str, str]:
    """What to set for one turn in a directory, over ``environment``, which is the runner's with the turn's.

    ``temp_dirs`` are folders outside of the directory that the agent may use.
    """
    chosen = dict(QUIET) | {"PWD": directory}
    content = _object(environment.get("OPENCODE_CONFIG_CONTENT"))
    if content is not None:
        chosen["OPENCODE_CONFIG_CONTENT"] = orjson.dumps(_over(content)).decode()
    permission = _object(environment.get("OPENCODE_PERMISSION"))
    if permission is not None:
        users = Settings(environment, directory)
        rules: dict[str, Any] = dict.fromkeys(DENIED, "deny")
        if not users.names(ALLOWED):
            rules[ALLOWED] = "allow"
        if not users.mentions(_OUTSIDE):  # else the user's own rule holds
            rules[_OUTSIDE] = _outside(environment, temp_dirs)
        chosen["OPENCODE_PERMISSION"] = orjson.dumps(rules | permission).decode()
    return chosen


def data_directory(environment: Mapping[str, str]) -> Path:
    """Where opencode keeps its database (XDG_DATA_HOME, else ~/.local/share)."""
    home = environment.get("HOME") or os.path.expanduser("~")
    base = environment.get("XDG_DATA_HOME") or f"{home}/.local/share"
    return Path(base) / "opencode"


def full_disk(environment: Mapping[str, str]) -> str | None:
    """The folder of opencode's data when nothing more can be written there; None where there is room."""
    folder = data_directory(environment)
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        room = os.statvfs(folder)
    except OSError:
        return None
    return str(folder) if room.f_bavail * room.f_frsize < _FULL_BYTES else None


def database(environment: Mapping[str, str]) -> Path:
    """opencode's database file; it need not exist yet."""
    named = environment.get("OPENCODE_DB")
    return data_directory(environment) / (named or "opencode.db")


def for_terminal(directory: str) -> dict[str, str]:
    """What to set for opencode on a person's terminal: in the shell of its agent nothing waits for an editor or a
    pager; the person's own editor stays, and is asked what the configuration says."""
    theirs = ("EDITOR", "VISUAL", "OPENCODE_DISABLE_TERMINAL_TITLE")
    quiet = {name: value for name, value in QUIET.items() if name not in theirs}
    return {**quiet, "PWD": directory}


def _object(text: str | None) -> dict[str, Any] | None:
    """A JSON object of the user's; None for what only opencode understands (JSON with comments): it is left alone."""
    if not text or not text.strip():
        return {}
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _over(content: dict[str, Any]) -> dict[str, Any]:
    """kugetsu's settings over the user's inline ones. Plugins add up over opencode's layers: the user's stay loaded."""
    plugins = content.get("plugin")
    experimental = content.get("experimental")
    return content | {
        "autoupdate": False,
        "share": "disabled",
        "plugin": [*(plugins if isinstance(plugins, list) else []), PLUGIN.as_uri()],
        # A permission that nobody gives is an error that the model reads, not the end of its turn.
        "experimental": {"continue_loop_on_deny": True, **(experimental if isinstance(experimental, dict) else {})},
    }


def _outside(environment: Mapping[str, str], temp_dirs: Iterable[str | None]) -> dict[str, str]:
    """Outside of the worktree only what opencode itself and kugetsu put there may be touched; the last match wins."""
    home = environment.get("HOME") or os.path.expanduser("~")
    config = environment.get("XDG_CONFIG_HOME") or f"{home}/.config"
    allowed = [
        f"{data_directory(environment)}/tool-output/*",
        f"{config}/opencode/*",
        f"{home}/.claude/skills/*",
        f"{home}/.agents/skills/*",
    ]
    allowed += [f"{folder.rstrip('/')}/*" for folder in temp_dirs if folder]
    return {"*": "deny"} | dict.fromkeys(allowed, "allow")


def skill_folders(environment: Mapping[str, str]) -> list[str]:
    """Where opencode looks for the user's skills (1.18.33), the folder for new ones first.

    OPENCODE_CONFIG_DIR, opencode's folder in XDG_CONFIG_HOME (each with `skills` or, older, `skill`), and those that
    opencode shares with other agents.
    """
    home = environment.get("HOME") or os.path.expanduser("~")
    configs = [os.path.join(environment.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"), "opencode")]
    if environment.get("OPENCODE_CONFIG_DIR"):
        configs.insert(0, os.path.abspath(environment["OPENCODE_CONFIG_DIR"]))
    found = [os.path.join(config, "skills") for config in configs]
    found += [os.path.join(config, "skill") for config in configs]
    return found + [os.path.join(home, each, "skills") for each in (".opencode", ".agents", ".claude")]
