"""Try what makes a repository's worktrees ready and what verifies their work, in a passing checkout of its base branch.

The steps and their order are those of a run. The outputs of its commands stay in `logs/`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from kugetsu.domain import worktree_setup
from kugetsu.domain.worktree_setup import CHANGED
from kugetsu.host import run_files
from kugetsu.model.errors import NotFound
from kugetsu.model.plural import counted, listed
from kugetsu.model.refs import parse_ref
from kugetsu.runtime import host_id, scratch_lease, submit
from kugetsu.runtime.doctor.finding import Finding, Found
from kugetsu.runtime.git import comparison, copies, refs, repositories, scratch
from kugetsu.runtime.git.command import commit_of
from kugetsu.runtime.git.repositories import Repository
from kugetsu.runtime.process.lease import Lease
from kugetsu.runtime.runner import surroundings
from kugetsu.runtime.verification import clean_run
from kugetsu.runtime.workspace import Workspace
from kugetsu.runtime.worktree_setup import making, recipe, supplied
from kugetsu.runtime.worktree_setup.making import Outcome
from kugetsu.runtime.worktree_setup.recipe import Recipe
from kugetsu.runtime.worktree_setup.supplied import Supplied

SETUP, VERIFY = "doctor-setup", "doctor-verify"
"""The names of the outputs."""


_GROUP = "repository "
"""What a group of findings begins with; the name of the repository follows."""


def try_repository(ws: Workspace, name: str, step: Callable[[str], object]) -> list[Finding]:
    """What came of each step for the repository `host/owner/repo`; ``step`` is told what is done from now on.

    Raises KugetsuError without a clone or a base commit.
    """
    found = Found(_GROUP + name)
    scratch_lease.forget_killed(ws)
    repository, base, commit = base_of(ws, name)
    findings = [found.ok("base", f"{base} at {commit[:12]} in {repository.path}")]
    findings += _waiting(ws, found, name)
    folder = ws.paths.make(ws.paths.logs)
    with scratch_lease.typed(ws) as lease:
        findings += _make_ready(ws, found, repository, commit, lease, folder, step)
        if all(one.level != "problem" for one in findings):
            findings += _verify(ws, found, repository, commit, lease, folder, step)
    return findings


def base_of(ws: Workspace, name: str) -> tuple[Repository, str, str]:
    """The repository `host/owner/repo`, its base branch, and that branch's commit as far as the clone knows it.

    Raises KugetsuError without a clone or a base commit.
    """
    registered = _registered(ws, name)
    repository = repositories.resolve(name, ws.paths, registered=registered, servers=ws.config.servers())
    return repository, *_base(ws, repository)


def _registered(ws: Workspace, name: str) -> dict[str, dict[str, str]]:
    """The clones, with that in which the command was typed and that of the latest session, as for a task."""
    found = dict(host_id.repositories(ws, ws.state()))
    if name not in found:
        sources = [one.source for one in ws.state().sessions.values() if one.repository == name and one.source]
        known = submit.clone_here(ws, parse_ref(f"{name}#1")) or ({"path": sources[-1]} if sources else None)
        found |= {name: known} if known is not None else {}
    return found


def _base(ws: Workspace, repository: Repository) -> tuple[str, str]:
    """The base branch and its commit, as far as the clone knows it. Raises NotFound."""
    remote, common = repository.remote, repository.common_dir
    known = refs.default_branch(common, remote) if remote else refs.branch_of(common)
    branch = ws.config_of(repository.repository).text("KUGETSU_BASE_BRANCH") or known or ""
    for ref in (*comparison.base_refs(remote, branch), "HEAD"):
        commit = commit_of(ref, repository.path)
        if commit is not None:
            return branch or "HEAD", commit
    raise NotFound(
        f"{repository.path} has no commit of {branch or 'a base branch'}",
        f"kugetsu config set --repo {repository.repository} KUGETSU_BASE_BRANCH NAME",
    )


def _make_ready(
    ws: Workspace,
    found: Found,
    repository: Repository,
    commit: str,
    lease: Lease,
    folder: str,
    step: Callable[[str], object],
) -> list[Finding]:
    settings = ws.config_of(repository.repository)
    wanted = recipe.of(settings)
    given = supplied.of(repository.path, commit, wanted)
    findings: list[Finding] = []
    step("checking out the base branch")
    with scratch.checkout(ws.paths, repository.path, commit, lease.nonce, "try") as path:
        output = f"{folder}/{SETUP}.log"
        run_files.replace(output, b"")
        seen = 0

        def tell(code: str, so_far: Outcome) -> None:
            nonlocal seen
            if code == CHANGED:
                findings.extend(_of_supplied(ws, found, repository.repository, given, so_far))
            else:
                findings.extend(_of_step(found, wanted, code, so_far, seen, output))
            seen = len(so_far.notes)
            step("running WORKTREE_SETUP" if code == "large_files" else "making the checkout ready")

        place = making.Place(
            paths=ws.paths,
            source=repository.path,
            worktree=path,
            base_commit=commit,
            supplied=given,
            refused=supplied.refusal(ws, repository.repository, repository.path, given),
            output=output,
            environment=surroundings.of_command(ws, path, None, secrets=wanted.secrets),
            nonce=lease.nonce,
            deadline=time.monotonic() + 3600 * settings.number("TASK_TIMEOUT_HOURS"),
            grace=ws.config.number("KILL_GRACE_SECONDS"),
            most_bytes=surroundings.most_output(ws),
        )
        step("copying files")
        making.make_ready(wanted, place, tell)
        if all(one.level != "problem" for one in findings):
            findings += _left_behind(found, path)
    return findings


def _waiting(ws: Workspace, found: Found, name: str) -> Iterator[Finding]:
    """A warning of each change that tasks wait for."""
    for sha, session in worktree_setup.asked(ws.state(), name).items():
        text = f"{session.key} waits: nobody has accepted {listed(session.set_up['lines'])}" if session.set_up else ""
        yield found.warning("supplied", text, supplied.remedy(name, sha))


def _of_supplied(ws: Workspace, found: Found, name: str, given: Supplied, so_far: Outcome) -> Iterator[Finding]:
    """What the base branch supplies, and whether it may."""
    if given.sha is None:
        return
    if not so_far.done:
        yield found.problem("supplied", so_far.problem or so_far.code, supplied.remedy(name, given.sha))
        return
    if worktree_setup.is_accepted(ws.state(), name, given.sha):
        state = f"accepted ({given.sha[: worktree_setup.SHOWN_DIGITS]})"
    else:
        state = "the first agent's set-up accepts it; when it changes, tasks wait for you"
    yield found.ok("supplied", f"the base branch supplies: {listed(given.lines)}; {state}")


def _left_behind(found: Found, path: str) -> Iterator[Finding]:
    """A warning of files that git does not ignore: they are not counted as work as long as they stay so, but they are
    there for everyone who commits all there is."""
    files = sorted({*copies.left(path), *(one.path for one in comparison.uncommitted(path))})
    if files:
        text = f"it leaves {counted(len(files), 'uncommitted file')} ({listed(files)}): an agent may commit them"
        yield found.warning("set-up", text, "add what it makes to .gitignore, or commit it")


_WORDS = {
    "copy": "copies",
    "submodules": "submodules",
    "large_files": "large files",
    "command": "set-up",
}


def _of_step(found: Found, wanted: Recipe, code: str, so_far: Outcome, seen: int, output: str) -> Iterator[Finding]:
    """The findings of one step; its notes are those behind the ones ``seen``."""
    name = _WORDS[code]
    for note in so_far.notes[seen:]:
        yield found.warning(name, note)
    if not so_far.done:
        ran = so_far.code in ("failed", "timed_out")
        yield found.problem(name, so_far.problem or so_far.code, f"its output: {output}" if ran else None)
    elif code == "copy":
        copied = f"{counted(len(so_far.copied), 'file')} copied"
        yield found.ok(name, f"{copied} ({listed(so_far.copied)})" if so_far.copied else copied)
    elif code == "command" and wanted.command:
        yield found.ok(name, f"{wanted.command} ended with 0 after {so_far.seconds:.0f} s")
    elif code == "command":
        yield found.skipped(name, "WORKTREE_SETUP is empty", _setting_of(found, "WORKTREE_SETUP"))
    elif not so_far.notes[seen:]:
        left_out = code == "submodules" and not wanted.submodules
        yield found.ok(
            name, f"{name}: {'left out (WORKTREE_SUBMODULES)' if left_out else 'as the base branch has them'}"
        )


def _setting_of(found: Found, key: str) -> str:
    return f"kugetsu config set --repo {found.group.removeprefix(_GROUP)} {key} '…'"


def _verify(
    ws: Workspace,
    found: Found,
    repository: Repository,
    commit: str,
    lease: Lease,
    folder: str,
    step: Callable[[str], object],
) -> list[Finding]:
    name = repository.repository
    order = clean_run.order_of(ws.config_of(name), name, repository.path)
    if order is None:
        return [found.skipped("verification", "VERIFY_COMMAND is empty", _setting_of(found, "VERIFY_COMMAND"))]
    step("running VERIFY_COMMAND")
    place = clean_run.Place(lease.nonce, folder)
    said, _ = clean_run.of_commit(ws, order, commit, commit, place, VERIFY)
    if said["code"] == "passed":
        return [found.ok("verification", f"{order.command} passes on the base branch after {said['seconds']:.0f} s")]
    return [found.problem("verification", _failed(order.command, said), f"its output: {said['output']}")]


def _failed(command: str, said: dict[str, Any]) -> str:
    why = f" (exit {said['exit']})" if said.get("exit") is not None else ""
    more = f": {said['why']}" if said.get("why") else ""
    return f"{command} on the base branch: {said['code'].replace('_', ' ')}{why}{more}"
