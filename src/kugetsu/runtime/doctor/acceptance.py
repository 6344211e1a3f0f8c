"""Accept what a repository supplies to the set-up of its worktrees (`worktree_setup.supplied`), by its hash."""

from __future__ import annotations

import contextlib
from functools import partial

from kugetsu.domain import worktree_setup
from kugetsu.domain.decide import worktree_setup as decide
from kugetsu.domain.worktree_setup import SHOWN_DIGITS
from kugetsu.model.errors import BadInput, KugetsuError, NotFound
from kugetsu.model.plural import listed
from kugetsu.runtime.doctor import trial
from kugetsu.runtime.doctor.finding import Finding, Found
from kugetsu.runtime.workspace import Workspace
from kugetsu.runtime.worktree_setup import recipe, supplied

FEWEST_DIGITS = 8


def accept(ws: Workspace, name: str, digits: str) -> list[Finding]:
    """Accept what tasks of the repository `host/owner/repo` wait for, or what its base branch has, whose hash begins
    with ``digits``; no event if it is accepted.

    Raises BadInput for too few digits; NotFound if nothing has that hash; LogWriteFailed.
    """
    digits = digits.lower()
    if len(digits) < FEWEST_DIGITS:
        raise BadInput(f"--accept needs at least {FEWEST_DIGITS} digits of the hash", f"kugetsu doctor --repo {name}")
    state, found = ws.state(), Found(f"repository {name}")
    known = [sha for sha in state.accepted.get(name, {"shas": {}})["shas"] if sha.startswith(digits)]
    if known:
        return [found.ok("supplied", f"{known[0][:SHOWN_DIGITS]} is already accepted")]
    offered = _offered(ws, name)
    matching = [sha for sha in offered if sha.startswith(digits)]
    if len(matching) != 1:
        there = listed([sha[:SHOWN_DIGITS] for sha in offered])
        there = f"there is {there}" if there else "there is nothing to accept"
        raise NotFound(f"{name} supplies nothing with the hash {digits}: {there}", f"kugetsu doctor --repo {name}")
    (sha,) = matching
    ws.log.transact(partial(decide.accept, repository=name, sha=sha, lines=offered[sha]))
    return [found.ok("supplied", f"accepted {sha[:SHOWN_DIGITS]}: {line}") for line in offered[sha]]


def _offered(ws: Workspace, name: str) -> dict[str, list[str]]:
    """What could be accepted, by its hash: what tasks wait for, and what the base branch has now."""
    asked = worktree_setup.asked(ws.state(), name)
    offered: dict[str, list[str]] = {sha: session.set_up["lines"] for sha, session in asked.items() if session.set_up}
    with contextlib.suppress(KugetsuError):  # its clone may be gone
        repository, _, commit = trial.base_of(ws, name)
        given = supplied.of(repository.path, commit, recipe.of(ws.config_of(name)))
        if given.sha is not None:
            offered.setdefault(given.sha, given.lines)
    return offered
