"""Which repository a clone is a clone of, by its remotes.

`kugetsu queue enqueue 14` needs this at every call, and a git process would cost 4 ms: git is only asked what its files
leave open (included files, `url.….insteadOf`).
"""

from __future__ import annotations

import functools
import os

from kugetsu.model.errors import KugetsuError
from kugetsu.model.refs import local_repository, parse_repository, repository_of_url
from kugetsu.model.servers import LOCAL, is_host_like, is_known_host, split_scp, split_url
from kugetsu.runtime.git.checkouts import Checkout, find, remotes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SSH_SECONDS = 5.0
"""For `ssh -G`, which costs about 5 ms: a `Match exec` of the configuration may run a program."""

_ALIASING = ("hostname", "include", "match")  # the keywords without which no host stands for another one
_ORDER = ("upstream", "github", "origin")


def here(
    folder: str, servers: Mapping[str, str] | None = None, *, own: str | None = None
) -> tuple[str, str, str] | None:
    """(host, owner, repo) that `#N` means in this folder; None outside of a clone.

    The remote `upstream` counts before `github`, `origin` and others; a clone without remotes is `local/…`. `own` is
    the folder of kugetsu's own clones, whose worktrees are known by their path.
    """
    checkout = find(folder)
    if checkout is None:
        return None
    named = repositories(checkout, servers, own=own)
    return parse_repository(named[0][1]) if named else None


def repositories(
    checkout: Checkout, servers: Mapping[str, str] | None = None, *, own: str | None = None
) -> list[tuple[str | None, str]]:
    """(remote, `host/owner/repo`) pairs that a clone is a clone of, the one that `#N` means first.

    A clone below `own` is what its path says. If no remote's URL names a repository, the clone is named by its own
    folder; its remote (None without one) is still used for fetching.
    """
    inside = os.path.realpath(own) + "/" if own is not None else None
    if inside is not None and checkout.common_dir.startswith(inside):
        return [("origin", checkout.common_dir.removeprefix(inside).removesuffix(".git"))]
    urls = remotes(checkout.common_dir)
    found = _named(urls, checkout, servers)
    if not found or not all(is_host_like(repository.partition("/")[0]) for _, repository in found):
        # No remote, or one like `work:owner/repo`, which git may know how to rewrite.
        urls = _remotes_by_git(checkout) or urls
        found = _named(urls, checkout, servers) or found
    if found:
        return found
    name = local_repository(checkout.home)
    return [(next(iter(_in_order(urls)), None), name)] if name is not None else []


def matching_remote(
    checkout: Checkout, repository: str, servers: Mapping[str, str] | None = None, *, own: str | None = None
) -> tuple[bool, str | None]:
    """Whether the clone is one of `host/owner/repo`, and by which remote (None: named by its folder)."""
    for remote, name in repositories(checkout, servers, own=own):
        if name == repository:
            return True, remote
    return False, None


def _named(
    urls: Mapping[str, str], checkout: Checkout, servers: Mapping[str, str] | None
) -> list[tuple[str | None, str]]:
    found: list[tuple[str | None, str]] = []
    name_of = resolver(servers or {})
    for remote in _in_order(urls):
        url = urls[remote]
        # The name by the URL's own host comes second: sessions may be known by it.
        for ssh_name in (name_of, None) if _may_be_alias(url) else (None,):
            repository = repository_of_url(url, servers=servers, base=checkout.home, ssh_name=ssh_name)
            if repository is not None and (remote, repository) not in found:
                found.append((remote, repository))
    return found


def _may_be_alias(url: str) -> bool:
    """True for ssh URLs, whose host the user's ssh configuration may rename."""
    return split_url(url)[0] in ("ssh", "git+ssh", "ssh+git") or split_scp(url) is not None


def _in_order(urls: Mapping[str, str]) -> list[str]:
    """The remotes, the one with the issues first."""
    return sorted(urls, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))


def _remotes_by_git(checkout: Checkout) -> dict[str, str]:
    from kugetsu.runtime.git.command import ask

    try:
        answer = ask(["remote", "-v"], checkout.home)
    except KugetsuError:
        return {}  # without git, only its files count; the next use of git reports it
    found: dict[str, str] = {}
    for line in answer.out.splitlines():
        name, _, rest = line.partition("\t")
        if rest.endswith(" (fetch)"):
            found[name] = rest.removesuffix(" (fetch)")
    return found


def typed_in(environment: Mapping[str, str]) -> str | None:
    """The folder of the clone in which a command is typed; None outside of any.

    In a hook, or an alias with `--git-dir`, the working directory may lie outside of the clone that GIT_DIR names.
    """
    try:
        folder = os.getcwd()
    except FileNotFoundError:  # it was deleted
        return None
    if find(folder) is not None:
        return folder
    git_dir = environment.get("GIT_DIR")
    named = find(os.path.join(folder, git_dir)) if git_dir else None
    return named.top if named is not None else None


# --- hosts of ssh URLs ------------------------------------------------------------------------------------------------
# `github-work` may be `github.com` in the user's ssh configuration. `ssh -G` tells, and connects to nothing.


def resolver(servers: Mapping[str, str]) -> Callable[[str], str]:
    """A function from the host of an ssh URL (lowercase, no port) to its server."""

    def name_of(host: str) -> str:
        if is_known_host(host, servers):
            return host
        dotted = is_host_like(host)
        if dotted and not _has_aliases():
            return host
        target = target_of(host)
        # A host name with a dot is a server's own name as well: `git.example.com` may be reached by way of another
        # address. It is an alias (`github.com-work`) only where it leads to a server that is known.
        return target if target != LOCAL and (not dotted or is_known_host(target, servers)) else host

    return name_of


@functools.cache
def target_of(host: str) -> str:
    """The host name that ssh would connect to; the host itself if ssh does not tell."""
    from kugetsu.runtime.process import programs

    if host.startswith("-"):
        return host
    try:
        done = programs.run(["ssh", "-G", host], cwd=None, env=os.environ, timeout=SSH_SECONDS)
    except OSError:
        return host
    for line in done.out.decode("utf-8", "replace").splitlines():
        key, _, value = line.partition(" ")
        if key == "hostname" and value.strip():
            name = value.strip().lower().rstrip(".")
            return f"[{name}]" if ":" in name else name
    return host


def _has_aliases() -> bool:
    """True if the user's ssh configuration may rename hosts."""
    try:
        with open(os.path.expanduser("~/.ssh/config"), encoding="utf-8", errors="replace") as file:
            text = file.read(1 << 20).lower()
    except OSError:
        return False
    return any(word in text for word in _ALIASING)
