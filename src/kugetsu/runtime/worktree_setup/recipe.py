"""What the user's settings say that makes a worktree of a repository ready; what the repository itself supplies to that
is in `supplied`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from kugetsu.host.config import Config

INCLUDES = ".worktreeinclude"
"""The file of a repository that names ignored files to copy, in the form of a .gitignore."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the settings of a repository say about its worktrees.

    ``command`` is a shell's line, empty for none, that may take ``minutes``; ``patterns`` are of files to copy;
    ``secrets``: the command gets the agent's env file.
    """

    command: str
    minutes: float
    patterns: tuple[str, ...]
    submodules: bool
    secrets: bool

    @property
    def sha(self) -> str:
        """A hash of what is to be done: with another one it is done again."""
        done = [self.command, *self.patterns, self.submodules, self.secrets]
        return hashlib.sha256(json.dumps(done).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def of(config: Config) -> Recipe:
    """The recipe of a repository's settings (`Workspace.config_of`)."""
    return Recipe(
        command=config.text("WORKTREE_SETUP").strip(),
        minutes=config.number("WORKTREE_SETUP_MINUTES"),
        patterns=tuple(config.text("WORKTREE_COPY").split()),
        submodules=config.text("WORKTREE_SUBMODULES") == "auto",
        secrets=config.flag("VERIFY_SECRETS"),
    )
