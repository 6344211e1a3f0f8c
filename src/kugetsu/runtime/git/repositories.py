"""Where worktrees come from: a registered clone, or a bare clone of kugetsu's own.

Bare clones are `repositories/<host>/<owner>/<repo>.git`; an owner may be a path. They are made under another name and
renamed when complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from kugetsu.host.paths import Paths
from kugetsu.model.errors import BadInput, GitFailed, KugetsuError, NotFound
from kugetsu.model.refs import parse_repository, repository_of_url
from kugetsu.model.servers import LOCAL, clone_url, split_scp
from kugetsu.redaction.funnel import redact
from kugetsu.runtime.git import checkouts, remotes, transport
from kugetsu.runtime.git.command import ask, git
from kugetsu.runtime.git.remotes import resolver

CLONE_TIMEOUT = 1800.0
"""Seconds for a first clone: a repository of some gigabytes over a slow line."""

_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository on this machine from which worktrees are made.

    `path` is the folder to run git in, `remote` the remote that is `repository` (None without one).
    """

    repository: str
    path: str
    common_dir: str
    remote: str | None


def resolve(
    repository: str,
    paths: Paths,
    *,
    registered: Mapping[str, Mapping[str, str]] | None = None,
    servers: Mapping[str, str] | None = None,
    timeout: float = CLONE_TIMEOUT,
) -> Repository:
    """The repository `host/owner/repo` on this machine, cloned if there is none yet.

    `registered` maps a repository to `{"path": …}` or `{"url": …}`. Raises NotFound, GitFailed or KugetsuError, each
    with the remedy.
    """
    place = (registered or {}).get(repository) or {}
    if "path" in place:
        return at_path(repository, place["path"], servers, own=paths.repositories)
    host, owner, repo = parse_repository(repository)
    if "url" in place:
        url = place["url"]
    elif host == LOCAL:
        raise NotFound(
            f"{repository} is a folder on this machine, but its path is not registered",
            "register it: kugetsu init --repo PATH, or run the command inside it",
        )
    else:
        url = clone_url(host, owner, repo, servers or {})
    return _bare_clone(repository, url, paths, timeout)


def at_path(
    repository: str, path: str, servers: Mapping[str, str] | None = None, *, own: str | None = None
) -> Repository:
    """The registered clone at a path; `own` is the folder of kugetsu's own clones.

    Whatever its name, a clone with a remote is fetched from it. Raises NotFound if there is no repository any more.
    """
    checkout = checkouts.find(path) if os.path.isdir(path) else None
    # One above the path is another: that of a home folder whose settings are kept in git, say.
    if checkout is None or os.path.realpath(path) not in (checkout.top, checkout.home, checkout.git_dir):
        raise NotFound(
            f"{path}, registered for {repository}, is not a git repository",
            "restore it, or register the right place: kugetsu init --repo PATH|URL",
        )
    matches, remote = remotes.matching_remote(checkout, repository, servers, own=own)
    if not matches:
        # Registered by hand under a name of its own: its first remote is what it follows.
        named = remotes.repositories(checkout, servers, own=own)
        remote = named[0][0] if named else None
    return Repository(repository, checkout.home, checkout.common_dir, remote)


def describe(place: str, cwd: str, servers: Mapping[str, str] | None = None) -> tuple[str, dict[str, str]]:
    """What `init --repo PATH|URL` registers: the repository's name, and `{"path": …}` or `{"url": …}`.

    Raises BadInput if it is neither a folder in a clone nor the URL of a repository.
    """
    if not place.strip():
        raise BadInput("--repo is empty", "write a clone's path, . for this folder, or a repository's URL")
    path = os.path.join(cwd, os.path.expanduser(place))
    if os.path.isdir(path):
        checkout = checkouts.find(path)
        if checkout is None:
            raise BadInput(f"{place} is not a git repository", "run git init there, or name a clone or a URL")
        named = remotes.repositories(checkout, servers)
        if not named:
            raise BadInput(f"{place} has no name that a reference can contain", "move it to a separate folder")
        return named[0][1], {"path": checkout.home}
    if place.startswith("-") or any(c <= " " for c in place):
        raise BadInput(
            f"{place!r} is neither a folder nor a URL", "write a clone's path or https://host/owner/repo.git"
        )
    is_url = "://" in place or split_scp(place) is not None
    name = repository_of_url(place, servers=servers, ssh_name=resolver(servers or {})) if is_url else None
    if name is None:
        raise BadInput(
            f"{place!r} is neither a folder on this machine nor the URL of a repository (owner/repo)",
            "write a clone's path, https://host/owner/repo.git or git@host:owner/repo.git",
        )
    if _holds_password(place):
        raise BadInput(
            f"the URL of {name} contains a password or token, which the log would keep forever",
            "remove it, and store it in git: git config --global credential.helper store",
        )
    return name, {"url": place}


def _holds_password(url: str) -> bool:
    login, at, _ = url.partition("://")[2].partition("/")[0].rpartition("@")
    return bool(at) and (":" in login or redact(login) != login)


@contextlib.contextmanager
def locked(paths: Paths, name: str, step: Callable[[], object] | None = None) -> Iterator[None]:
    """Hold the lock of one repository of this KUGETSU_DIR: fetches and new worktrees are serialised.

    Waits without polling, so turns are fair; the holder is bounded by the time limits of its git commands, and a runner
    stops waiting when its attempt is stopped (`interruption`). With ``step``, which is called from time to time
    meanwhile and may raise, it polls.
    """
    import portalocker

    folder = paths.make(paths.repositories + "/.locks")
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    with open(f"{folder}/{digest}.lock", "a") as file:
        while step is not None:
            step()
            with contextlib.suppress(portalocker.LockException):
                portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
                break
            time.sleep(_POLL_SECONDS)
        else:
            portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE)
        yield


def _bare_clone(repository: str, url: str, paths: Paths, timeout: float) -> Repository:
    path = f"{paths.repositories}/{repository}.git"
    if not os.path.isdir(path):
        with locked(paths, "clone " + repository):
            if not os.path.isdir(path):
                _clone(repository, url, path, paths, timeout)
    elif checkouts.remotes(path).get("origin") != url:
        # Registered anew, or GIT_SERVERS changed: what was fetched stays, the next fetch goes to the new place.
        git(["config", "remote.origin.url", url], path)
    return Repository(repository, path, os.path.realpath(path), "origin")


def _clone(repository: str, url: str, path: str, paths: Paths, timeout: float) -> None:
    """Make the bare clone. Branches become origin's; local ones are for issues only."""
    folder, name = os.path.split(path)
    paths.make(folder)
    for entry in os.listdir(folder):
        if entry.startswith(f".{name}.") and entry.endswith(".part"):
            # Ours, left by a clone that was killed. Its git may live on for a moment: the rest goes the next time.
            shutil.rmtree(f"{folder}/{entry}", ignore_errors=True)
    part = f"{folder}/.{name}.{secrets.token_hex(4)}.part"
    try:
        # git chooses the format of objects and refs by what the server has: `init` and `fetch` would fix it before.
        quiet = ["-q", "--no-checkout", "--no-local", "--origin", "origin"]
        transport.git(["clone", *quiet, "--", url, part], folder, timeout=timeout)
        _make_bare(part + "/.git")
        os.rename(part + "/.git", path)
        os.rmdir(part)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, GitFailed):
            raise _cannot_clone(repository, error) from error
        if isinstance(error, OSError):
            raise KugetsuError(f"cannot clone {repository}: {error.strerror or error}", "check the disk") from error
        raise


def _make_bare(git_dir: str) -> None:
    """Turn a fresh clone into a bare repository with remote-tracking branches only."""
    here = {"GIT_DIR": git_dir}
    git(["config", "core.bare", "true"], git_dir, env=here)
    for ref in git(["for-each-ref", "--format=%(refname)", "refs/heads"], git_dir, env=here).splitlines():
        git(["update-ref", "-d", ref], git_dir, env=here)
        ask(["config", "--remove-section", f"branch.{ref.removeprefix('refs/heads/')}"], git_dir, env=here)


def _cannot_clone(repository: str, error: GitFailed) -> KugetsuError:
    message = f"cannot clone {repository}: {error.message}"
    if error.missing:
        return NotFound(message, error.hint)
    return GitFailed(message, error.hint)
