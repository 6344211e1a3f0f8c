"""Run git in a repository without running what its configuration names (`pins`).

Each process costs 3 to 5 ms: callers combine questions.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from kugetsu.runtime.git import checkouts, child, pins
from kugetsu.runtime.git.child import LOCAL_TIMEOUT, Answer, failure


def git(
    args: Sequence[str],
    cwd: str | None = None,
    *,
    timeout: float = LOCAL_TIMEOUT,
    env: Mapping[str, str | None] | None = None,
    stdin: bytes | None = None,
    checkout: bool = False,
) -> str:
    """The output of a git command without trailing newlines.

    Raises GitFailed with git's message (redacted) and a hint when it fails or exceeds `timeout` seconds, KugetsuError
    when git or the folder is missing.
    """
    answer = ask(args, cwd, timeout=timeout, env=env, stdin=stdin, checkout=checkout)
    if answer.code != 0:
        raise failure(args, answer)
    return answer.out.rstrip("\n")


def ask(
    args: Sequence[str],
    cwd: str | None = None,
    *,
    timeout: float = LOCAL_TIMEOUT,
    env: Mapping[str, str | None] | None = None,
    stdin: bytes | None = None,
    checkout: bool = False,
) -> Answer:
    """Run a git command whose failure is an answer too. Raises as `git` does, except for exit codes.

    Works on the repository at `cwd`, never on one above it. Nothing that the repository's configuration names is run,
    except with ``checkout``: its hooks and filters (see `pins`).
    """
    settings = pins.for_checkout() if checkout else pins.of(_checkout(cwd, env))
    return child.run(args, cwd, timeout=timeout, env=env, stdin=stdin, settings=settings)


def _checkout(cwd: str | None, env: Mapping[str, str | None] | None) -> checkouts.Checkout | None:
    """The repository that a command works on."""
    git_dir = env.get("GIT_DIR") if env is not None else None
    if git_dir:
        return checkouts.of_git_dir(os.path.join(cwd or "", git_dir))
    return checkouts.at(os.path.realpath(cwd)) if cwd is not None else None


def commit_of(what: str, cwd: str, env: Mapping[str, str] | None = None) -> str | None:
    """The commit that a name stands for in the repository at `cwd`; None when there is none."""
    answer = ask(["rev-parse", "-q", "--verify", f"{what}^{{commit}}"], cwd, env=env)
    return answer.out.strip() if answer.code == 0 else None
