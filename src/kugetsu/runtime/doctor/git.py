"""git: installed, new enough, with a name to commit with; and the registered repositories."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator
from functools import partial

from kugetsu.domain.new_event import NewEvent
from kugetsu.model.errors import KugetsuError
from kugetsu.model.plural import counted
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import host_id
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.doctor.finding import Finding, Fix, Found
from kugetsu.runtime.env_files import in_force
from kugetsu.runtime.git import checkouts, locks, repositories, transport
from kugetsu.runtime.git.child import failure
from kugetsu.runtime.git.command import ask, git
from kugetsu.runtime.git.locks import Lock

OLDEST = (2, 29)
"""The first with `git fetch --no-write-fetch-head`."""
ONLINE_SECONDS = 15.0
OLD_LOCK_SECONDS = 60.0
"""git holds its locks for moments, or while its editor or hooks run."""

found = Found("git")


def check(context: Context) -> Iterator[Finding]:
    """The findings."""
    try:
        text = git(["version"], timeout=10.0)
    except KugetsuError as problem:
        yield found.problem("program", problem.message, problem.hint)
        return
    version = _version(text)
    if version is not None and version < OLDEST:
        needed = ".".join(map(str, OLDEST))
        yield found.problem("program", f"{text} is too old: {needed} is needed", "install a newer git")
    else:
        yield found.ok("program", text)
    yield _identity(context)
    yield from _repositories(context)
    yield from _locks(context)


def _version(text: str) -> tuple[int, int] | None:
    """The numbers in `git version 2.39.5 (Apple Git-154)`."""
    parts = text.removeprefix("git version ").split(".")
    return (int(parts[0]), int(parts[1])) if len(parts) > 1 and parts[0].isdigit() and parts[1].isdigit() else None


def _identity(context: Context) -> Finding:
    """A name in this command's environment does not count: agents get it from an env file only."""
    given: dict[str, str] = {}
    with contextlib.suppress(KugetsuError):  # the check of env files reports it
        given = in_force(context.paths, "dev")[1]
    missing = []
    for key in ("user.name", "user.email"):
        variables = [f"GIT_{who}_{key[5:].upper()}" for who in ("AUTHOR", "COMMITTER")]
        if ask(["config", "--get", key], "/").code != 0 and not all(name in given for name in variables):
            missing.append(key)
    if missing:
        text = f"git has no {' and no '.join(missing)}: agents cannot commit where the repository has none either"
        return found.warning("identity", text, f'git config --global {missing[0]} "…"')
    return found.ok("identity", "git has a name and an address to commit with")


def _repositories(context: Context) -> Iterator[Finding]:
    state = context.state()
    if state is None:
        yield found.skipped("repositories", f"registered repositories were not checked: {context.why_no_state()}")
        return
    there = answered = 0
    for name, source in sorted(host_id.repositories(context.ws, state).items()):
        path, url = source.get("path"), source.get("url")
        broken = _folder(name, path) if path is not None else None
        if broken is not None:
            yield broken
            continue
        there += path is not None
        one = _remote(context, name, path, url) if context.online else None
        if one is not None:
            yield one
        elif context.online:
            answered += 1
        elif path is None:
            yield found.skipped("repositories", f"{name} was not checked at {url}", "kugetsu doctor --online")
    if there:
        yield found.ok(
            "repositories", f"{counted(there, 'registered repository')} {'exists' if there == 1 else 'exist'}"
        )
    if answered:
        yield found.ok(
            "remotes", f"{counted(answered, 'registered repository')} {'answers' if answered == 1 else 'answer'}"
        )


def _locks(context: Context) -> Iterator[Finding]:
    """Lock files of dead gits, in clones and in worktrees where no agent works."""
    state = context.state()
    if state is None:
        return
    dead: dict[str, locks.Lock] = {}
    own = [session for session in state.sessions.values() if host_id.is_own(context.ws, session.host)]
    for session in own:
        if session.worktree is None or session.kind != "issue":
            continue
        if session.attempt is None and session.person is None:
            dead.update((lock.path, lock) for lock in locks.of_worktree(session.worktree, session.branch))
    sources = {session.source for session in own} | {
        source.get("path") for source in host_id.repositories(context.ws, state).values()
    }
    for checkout in filter(None, (checkouts.find(path) for path in sources if path is not None)):
        dead.update((lock.path, lock) for lock in locks.of_clone(checkout))
    for path, lock in sorted(dead.items()):
        if lock.age >= OLD_LOCK_SECONDS:
            text = f"{path} is {lock.age / 60:.0f} min old and belongs to no running git: remove it, git waits for it"
            repair = Fix(f"remove {path}", partial(_unlock, context, lock))
            yield found.warning("locks", text, f"rm {shlex.quote(path)}", repair)


def _unlock(context: Context, lock: Lock) -> None:
    context.ws.log.append([NewEvent("lock.removed", {"path": lock.path, "age_seconds": round(lock.age, 1)})])
    lock.remove()


def _folder(name: str, path: str) -> Finding | None:
    """What is wrong with a registered folder, in git's words; None if git can work in it."""
    register = "kugetsu init --repo PATH|URL"
    if not os.path.isdir(path):
        return found.problem("repositories", f"{path}, registered for {name}, is gone", register)
    command = ["rev-parse", "--git-dir"]
    answer = ask(command, path)
    if answer.code == 0:
        return None
    if "dubious ownership" in answer.err:
        text = f"git does not work in {path}, registered for {name}: the folder belongs to another user"
        return found.problem("repositories", text, f"git config --global --add safe.directory {shlex.quote(path)}")
    if "not a git repository" in answer.err:
        text = f"{path}, registered for {name}, is no longer a git repository"
        return found.problem("repositories", text, register)
    problem = failure(command, answer)
    text = f"git does not work in {path}, registered for {name}: {redact(problem.message)}"
    return found.problem("repositories", text, problem.hint)


def _remote(context: Context, name: str, path: str | None, url: str | None) -> Finding | None:
    """The result of asking a repository's remote; None if it answers."""
    target: str | None = url
    try:
        if path is not None:
            target = repositories.at_path(
                name, path, context.ws.config.servers(), own=context.paths.repositories
            ).remote
        if target is None:
            return found.skipped("remotes", f"{name} has no remote to ask")
        if not transport.git(["ls-remote", target, "HEAD"], path, timeout=ONLINE_SECONDS):
            return found.warning("remotes", f"{name} answers, but it is empty", "push a first commit to it")
    except KugetsuError as problem:
        return found.problem("remotes", f"{name}: {redact(problem.message)}", problem.hint)
    return None
