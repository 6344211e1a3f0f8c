"""The environment of an agent's program in a worktree: its env file, then kugetsu's marks, which nothing overrides; and
that of the commands that make a worktree ready and verify its work, without secrets."""

from __future__ import annotations

import contextlib
import os

from kugetsu.redaction.funnel import redact
from kugetsu.redaction.known_values import SHORTEST, names_secret
from kugetsu.runtime.env_files import TOKENS, values
from kugetsu.runtime.process.termination import MARK
from kugetsu.runtime.runner import own_command
from kugetsu.runtime.workspace import ATTEMPT, GIVEN, Workspace

#: Variables without which nothing works: what an env file makes of them, holds for what its agent starts as well.
BASIC = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TMPDIR")

#: How the variables with a forge's token are called, beside those of kugetsu.
_FORGE_TOKENS = (*TOKENS, "GH_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "FORGEJO_TOKEN", "GITLAB_TOKEN")

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


def of_command(ws: Workspace, worktree: str, attempt: str | None, *, secrets: bool) -> dict[str, str]:
    """The whole environment of WORKTREE_SETUP and VERIFY_COMMAND, but for the mark of the lease.

    Without ``secrets`` (VERIFY_SECRETS) nothing of the agent's env file but what names places (`BASIC`), and no
    variable whose name or value is known to be secret; never a forge's token.
    """
    given = values(ws.paths, "dev")
    tokens = [
        value for name, value in {**ws.environment, **values(ws.paths, "forge"), **given}.items() if _of_forge(name)
    ]
    found = {**ws.environment, **{name: value for name, value in given.items() if secrets or name in BASIC}}
    found = {
        name: value
        for name, value in found.items()
        if not (_of_forge(name) or any(len(token) >= SHORTEST and token in value for token in tokens))
        and (secrets or not (names_secret(name) or redact(value) != value))
    }
    marks = {"KUGETSU_DIR": ws.paths.root, _CEILING: _ceiling(worktree, found.get(_CEILING))}
    return found | marks | ({ATTEMPT: attempt} if attempt is not None else {})


def most_output(ws: Workspace) -> int | None:
    """Bytes of a program's output that are kept (MAX_OUTPUT_MB); None for all."""
    return int(ws.config.number("MAX_OUTPUT_MB") * (1 << 20)) or None


def _of_forge(name: str) -> bool:
    return name.upper().startswith(_FORGE_TOKENS)


def _ceiling(worktree: str, given: str | None) -> str:
    """Keep the agent's git from a repository above its folder, in case that is not (or no longer) one.

    Worktrees and submodules in it, and repositories elsewhere, are found as usual: the limit is the parent folder.
    """
    around = os.path.dirname(os.path.realpath(worktree))
    return around if not given else f"{around}:{given}"
