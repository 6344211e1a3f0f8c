"""git: there, new enough, with a name to commit by; the repositories that kugetsu was told of."""

from __future__ import annotations

import contextlib
import os
from functools import partial

from kugetsu.domain.draft import Draft
from kugetsu.errors import GitFailed, KugetsuError
from kugetsu.redaction import redact
from kugetsu.runtime.diagnosis.finding import Found, Mend
from kugetsu.runtime.git.command import ask, git

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kugetsu.runtime.diagnosis.case import Case
    from kugetsu.runtime.diagnosis.finding import Finding
    from kugetsu.runtime.git.locks import Lock

OLDEST = (2, 29)
"""`git fetch --no-write-fetch-head` came with it."""
ONLINE_SECONDS = 15.0
OLD_LOCK_SECONDS = 60.0
"""git holds its locks for moments, and for as long as its editor or its hooks take: then it runs."""

found = Found("git")


def check(case: Case) -> Iterator[Finding]:
    """The findings."""
    try:
        said = git(["version"], timeout=10.0)
    except KugetsuError as problem:
        yield found.problem("program", problem.message, problem.hint)
        return
    version = _version(said)
    if version is not None and version < OLDEST:
        needed = ".".join(map(str, OLDEST))
        yield found.problem("program", f"{said} is too old: {needed} is needed", "install a newer git")
    else:
        yield found.ok("program", said)
    yield _identity(case)
    yield from _repositories(case)
    yield from _locks(case)


def _version(said: str) -> tuple[int, int] | None:
    """The numbers of `git version 2.39.5 (Apple Git-154)`."""
    parts = said.removeprefix("git version ").split(".")
    return (int(parts[0]), int(parts[1])) if len(parts) > 1 and parts[0].isdigit() and parts[1].isdigit() else None


def _identity(case: Case) -> Finding:
    """A name in this command's environment does not count: agents get none from there, but from an env file."""
    from kugetsu.runtime.environments import in_force

    given: dict[str, str] = {}
    with contextlib.suppress(KugetsuError):  # the check of env files says so
        given = in_force(case.paths, "dev")[1]
    missing = []
    for key in ("user.name", "user.email"):
        variables = [f"GIT_{who}_{key[5:].upper()}" for who in ("AUTHOR", "COMMITTER")]
        if ask(["config", "--get", key], "/").code != 0 and not all(name in given for name in variables):
            missing.append(key)
    if missing:
        said = f"git has no {' and no '.join(missing)}: agents cannot commit where the repository has none either"
        return found.warning("identity", said, f'git config --global {missing[0]} "…"')
    return found.ok("identity", "git knows a name and an address to commit by")


def _repositories(case: Case) -> Iterator[Finding]:
    state = case.state()
    if state is None:
        return
    broken = 0
    for name, source in sorted(state.repositories.items()):
        path, url = source.get("path"), source.get("url")
        if path is not None and ask(["rev-parse", "--git-dir"], path if os.path.isdir(path) else "/").code != 0:
            broken += 1
            said = f"{path}, registered for {name}, is not a git repository any more"
            yield found.problem("repositories", said, "kugetsu init --repo PATH|URL")
        elif case.online:
            for one in _remote(name, path, url):
                broken += 1
                yield one
    if state.repositories and not broken:
        count = len(state.repositories)
        how = "answer" if case.online else "are there"
        yield found.ok("repositories", f"{count} registered repositor{'y' if count == 1 else 'ies'} {how}")


def _locks(case: Case) -> Iterator[Finding]:
    """Lock files of gits that are dead, in the clones and in the worktrees in which no agent works."""
    from shlex import quote

    from kugetsu.runtime.git import checkouts, locks

    state = case.state()
    if state is None:
        return
    dead: dict[str, locks.Lock] = {}
    for session in state.sessions.values():
        if session.worktree is None or session.kind != "issue":
            continue
        if session.attempt is None:
            dead.update((lock.path, lock) for lock in locks.of_worktree(session.worktree, session.branch))
    sources = {session.source for session in state.sessions.values()} | {
        source.get("path") for source in state.repositories.values()
    }
    for checkout in filter(None, (checkouts.find(path) for path in sources if path is not None)):
        dead.update((lock.path, lock) for lock in locks.of_clone(checkout))
    for path, lock in sorted(dead.items()):
        if lock.age >= OLD_LOCK_SECONDS:
            said = f"{path} is {lock.age / 60:.0f} min old and of no git that runs: git refuses to work beside it"
            mend = Mend(f"remove {path}", partial(_unlock, case, lock))
            yield found.warning("locks", said, f"rm {quote(path)}", mend)


def _unlock(case: Case, lock: Lock) -> None:
    case.ws.log.append([Draft("lock.removed", {"path": lock.path, "age_seconds": round(lock.age, 1)})])
    lock.remove()


def _remote(name: str, path: str | None, url: str | None) -> Iterator[Finding]:
    if path is not None:
        remotes = git(["remote"], path).split()
        if not remotes:
            return
        target = "origin" if "origin" in remotes else remotes[0]
    else:
        target = url or ""
    try:
        git(["ls-remote", "--exit-code", target, "HEAD"], path, timeout=ONLINE_SECONDS)
    except GitFailed as problem:
        yield found.problem("repositories", f"{name}: {redact(problem.message)}", problem.hint)
