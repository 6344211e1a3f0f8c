"""The real host of an ssh URL: `github-work` may be `github.com` in the user's ssh configuration.

`ssh -G` tells, and connects to nothing. It costs about 5 ms, so it runs once per host and process, and not for known
servers.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping

from kugetsu.model.servers import LOCAL, is_host_like, is_known_host
from kugetsu.runtime.process import children

SECONDS = 5.0
"""For `ssh -G`: a `Match exec` of the configuration may run a program."""

_ALIASING = ("hostname", "include", "match")  # the keywords without which no host stands for another one


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
    if host.startswith("-"):
        return host
    try:
        done = children.run(["ssh", "-G", host], cwd=None, env=os.environ, timeout=SECONDS)
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
