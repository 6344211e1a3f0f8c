"""The environment of an agent's program in a worktree: its env file, then kugetsu's marks, which nothing overrides."""

from __future__ import annotations

import contextlib
import os

from kugetsu.runtime.env_files import values
from kugetsu.runtime.process.termination import MARK
from kugetsu.runtime.runner import own_command
from kugetsu.runtime.workspace import ATTEMPT, GIVEN, Workspace

#: Variables without which nothing works: what an env file makes of them, holds for what its agent starts as well.
BASIC = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TMPDIR")

_CEILING = "GIT_CEILING_DIRECTORIES"


def of(ws: Workspace, kind: str, worktree: str, nonce: str, attempt: str) -> dict[str, str]:
    """The environment for tasks of a kind; ``nonce`` is that of the lease, ``attempt`` the mark's name."""
    temp = ws.config.text("KUGETSU_TEMP_DIR")
    with contextlib.suppress(OSError):  # the agent then meets the same error with its own words
        os.makedirs(temp, exist_ok=True)
    given = values(ws.paths, kind)
    return {
        **given,
        "PATH": own_command.path(own_command.folder(ws.paths), given.get("PATH") or ws.environment.get("PATH")),
        MARK: nonce,
        ATTEMPT: attempt,
        GIVEN: " ".join(name for name in given if name not in BASIC),
        "KUGETSU_DIR": ws.paths.root,
        "KUGETSU_TEMP_DIR": temp,
        _CEILING: _ceiling(worktree, given.get(_CEILING)),
    }


def _ceiling(worktree: str, given: str | None) -> str:
    """Keep the agent's git from a repository above its folder, in case that is not (or no longer) one.

    Worktrees and submodules in it, and repositories elsewhere, are found as usual: the limit is the parent folder.
    """
    around = os.path.dirname(os.path.realpath(worktree))
    return around if not given else f"{around}:{given}"
