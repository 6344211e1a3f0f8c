"""What a repository itself supplies to the set-up of its worktrees: from a commit of its base branch, never from the
work branch, which an agent writes. It is used once it is accepted (`domain.worktree_setup`)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import partial

from kugetsu.domain import worktree_setup
from kugetsu.domain.decide import worktree_setup as decide
from kugetsu.model.plural import counted, listed
from kugetsu.redaction.funnel import redact
from kugetsu.runtime.git.command import ask, git
from kugetsu.runtime.workspace import Workspace
from kugetsu.runtime.worktree_setup import copying, large_files, submodules
from kugetsu.runtime.worktree_setup.recipe import INCLUDES, Recipe

MOST_LINES = 1000
MOST_LENGTH = 500
"""Lines that are shown and recorded, and characters of each; the hash is of everything."""


@dataclass(frozen=True, slots=True)
class Supplied:
    """``patterns`` of ignored files to copy, the URLs of ``submodules`` by their paths, and settings of git-lfs."""

    patterns: tuple[str, ...] = ()
    submodules: tuple[tuple[str, str], ...] = ()
    lfs: tuple[str, ...] = ()

    @property
    def sha(self) -> str | None:
        """The hash of all of it; None for nothing."""
        if not (self.patterns or self.submodules or self.lfs):
            return None
        whole = json.dumps([self.patterns, self.submodules, self.lfs])
        return hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()

    @property
    def lines(self) -> list[str]:
        """It for people, without secrets."""
        every = [
            *(f"copy {pattern}" for pattern in self.patterns),
            *(f"submodule {path} from {url}" for path, url in self.submodules),
            *(f"git-lfs {setting}" for setting in self.lfs),
        ]
        more = [f"and {counted(len(every) - MOST_LINES, 'more line')}"] if len(every) > MOST_LINES else []
        return [*(redact(line, limit=MOST_LENGTH) for line in every[:MOST_LINES]), *more]


def of(source: str, base_commit: str, wanted: Recipe) -> Supplied:
    """What the base commit supplies, in the clone at ``source``: nothing if that does not have it. Raises GitFailed."""
    names = (INCLUDES, submodules.FILE, large_files.SETTINGS)
    answer = ask(["ls-tree", "-z", "--name-only", base_commit, "--", *names], source)
    there = answer.out.split("\0") if answer.code == 0 else []
    return Supplied(
        patterns=tuple(_patterns(source, base_commit)) if INCLUDES in there else (),
        submodules=tuple(_submodules(source, base_commit)) if wanted.submodules and submodules.FILE in there else (),
        lfs=tuple(large_files.settings_of(source, base_commit)) if large_files.SETTINGS in there else (),
    )


def _patterns(source: str, base_commit: str) -> list[str]:
    lines = git(["cat-file", "blob", f"{base_commit}:{INCLUDES}"], source).splitlines()
    return [line.rstrip() for line in lines if line.strip() and not line.startswith("#")]


def _submodules(source: str, base_commit: str) -> list[tuple[str, str]]:
    named = submodules.named(base_commit, source).values()
    return sorted((one["path"], one["url"]) for one in named if "path" in one and "url" in one)


def trust_first(ws: Workspace, repository: str | None, found: Supplied, attempt_id: str) -> None:
    """Accept it if it is the first that an attempt meets in the repository. Raises LogWriteFailed."""
    if found.sha is not None and repository is not None and repository not in ws.state().accepted:
        lines = found.lines
        given = partial(decide.first, repository=repository, sha=found.sha, lines=lines, attempt_id=attempt_id)
        ws.log.transact(given)


def refusal(ws: Workspace, repository: str | None, source: str, found: Supplied) -> str | None:
    """Why it may not be used, None if it may: it is accepted, or nothing was accepted yet."""
    state = ws.state()
    if found.sha is None or repository is None or repository not in state.accepted:
        return None
    if worktree_setup.is_accepted(state, repository, found.sha):
        return None
    return _changed(state.accepted[repository]["lines"], source, found)


def remedy(repository: str, sha: str) -> str:
    """The command that accepts it."""
    return f"kugetsu doctor --repo {repository} --accept {sha[: worktree_setup.SHOWN_DIGITS]}"


def _changed(before: list[str], source: str, found: Supplied) -> str:
    """What differs from the lines that were accepted last, and which files it would copy beside those."""
    now = found.lines
    added = [f"+ {line}" for line in now if line not in before]
    removed = [f"- {line}" for line in before if line not in now]
    different = listed([*added, *removed]) if added or removed else "the order of the patterns"
    text = f"the repository changed its part of the set-up: {different}"
    accepted = [line.removeprefix("copy ") for line in before if line.startswith("copy ")]
    files = sorted(set(copying.matching(source, found.patterns)) - set(copying.matching(source, accepted)))
    return f"{text}; would copy {counted(len(files), 'more file')} ({listed(files)})" if files else text
