"""Where opencode looks for skills of the user (seen with 1.18.33, and by an end-to-end test): in each folder for
`<name>/SKILL.md`, beside what a project brings along."""

from __future__ import annotations

import os
from collections.abc import Mapping


def folders(environment: Mapping[str, str]) -> list[str]:
    """The folders, the one for new skills first: OPENCODE_CONFIG_DIR, opencode's folder in XDG_CONFIG_HOME (each with
    `skills` or, older, `skill`), and those that opencode shares with other agents."""
    home = environment.get("HOME") or os.path.expanduser("~")
    configs = [os.path.join(environment.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"), "opencode")]
    if environment.get("OPENCODE_CONFIG_DIR"):
        configs.insert(0, os.path.abspath(environment["OPENCODE_CONFIG_DIR"]))
    found = [os.path.join(config, "skills") for config in configs]
    found += [os.path.join(config, "skill") for config in configs]
    return found + [os.path.join(home, each, "skills") for each in (".opencode", ".agents", ".claude")]
