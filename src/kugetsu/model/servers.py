"""Git servers: what a host is called in references, and where its repositories are cloned from.

GIT_SERVERS maps a name to a base URL. A name that looks like a host (`git.example.com`, `localhost:3000`) is the host
that references show; any other name (`home`) is only a short way to type the host of its URL.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LOCAL = "local"
"""The host of repositories that are only folders of this machine: `local/<parent folder>/<folder>`."""

DEFAULT_PORTS = {"http": "80", "https": "443", "ssh": "22", "git": "9418"}
# Hosts that serve ssh under a name of their own: GitHub and GitLab on port 443, Azure DevOps always.
_SSH_HOSTS = {
    "altssh.gitlab.com": "gitlab.com",
    "ssh.dev.azure.com": "dev.azure.com",
    "ssh.github.com": "github.com",
}
AZURE_HOST = "dev.azure.com"
AZURE_GIT = "_git"
"""Azure DevOps names a repository `organisation/project/_git/repository`, and by ssh `v3/organisation/project/…`."""
PUBLIC_HOSTS = frozenset(
    ("bitbucket.org", "codeberg.org", "gitea.com", "git.sr.ht", "github.com", "gitlab.com", *_SSH_HOSTS, AZURE_HOST)
)
"""Servers that everybody knows: their names are not aliases of anybody's ssh configuration."""


def split_url(url: str) -> tuple[str, str, str]:
    """Scheme, `host[:port]` and path of a URL: host lowered, without user, default port, query and fragment.

    Gives three empty texts when there is no `://` in it.
    """
    scheme, mark, rest = url.partition("://")
    if not mark:
        return "", "", ""
    scheme = scheme.lower()
    for cut in "?#":
        rest = rest.partition(cut)[0]
    netloc, _, path = rest.partition("/")
    host, port = split_port(netloc.rpartition("@")[2].lower())
    host = host.rstrip(".")
    if port and port != DEFAULT_PORTS.get(scheme):
        host = f"{host}:{port}"
    return scheme, host, path


def split_port(host: str) -> tuple[str, str]:
    """Name and port (empty without) of `host[:port]`; an IPv6 address stands in brackets, which stay."""
    if host.startswith("["):
        address, bracket, rest = host.partition("]")
        return address + bracket, rest.removeprefix(":")
    name, _, port = host.partition(":")
    return name, port


def is_port(text: str) -> bool:
    """Whether a text is the number of a TCP port."""
    return text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536


def split_scp(url: str) -> tuple[str, str] | None:
    """Host (lowered, without user and port) and path of git's short ssh form `[user@]host:path`; None for any other.

    An IPv6 address stands in brackets there, and so may a host with its port: `[host:2222]:path` (git's urls(7)).
    """
    user, at, rest = url.rpartition("@") if "@" in url.partition("/")[0] else ("", "", url)
    if "/" in user:
        return None
    if rest.startswith("["):
        inner, bracket, path = rest[1:].partition("]")
        if not bracket or not path.startswith(":"):
            return None
        inner = inner.lower()
        return (f"[{inner}]" if inner.count(":") > 1 else split_port(inner)[0]), path[1:]
    if at and user.startswith("["):  # [user@host:port]:path
        inner, bracket, path = rest.partition("]")
        if bracket and path.startswith(":"):
            return split_port(inner.lower())[0], path[1:]
        return None
    host, colon, path = rest.partition(":")
    if not colon or "/" in host or not host:
        return None  # git takes host:path for ssh unless a slash comes before the colon
    return host.lower(), path


def is_host_like(name: str) -> bool:
    """Whether a server's name is itself the host that references show."""
    return "." in name or ":" in name or name in ("localhost", LOCAL)


def is_known_host(host: str, servers: Mapping[str, str]) -> bool:
    """True if a host is a server's name, not an alias in the user's ssh configuration."""
    name = split_port(host)[0]
    return (
        name in PUBLIC_HOSTS
        or name in ("localhost", LOCAL)
        or name.startswith("[")
        or any(name == split_port(other)[0] for key, url in servers.items() for other in (key, split_url(url)[1]))
    )


def names_a_server(name: str, servers: Mapping[str, str]) -> bool:
    """Whether a name means a server: it looks like a host, or GIT_SERVERS has it, as a name or as a URL's host."""
    name = name.lower()
    return is_host_like(name) or name in servers or any(split_url(url)[1] == name for url in servers.values())


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine."""
    from ipaddress import ip_address
    from urllib.parse import urlsplit

    name = urlsplit(url).hostname or ""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False  # a name: whatever it resolves to, it is not written as this machine


def canonical_host(name: str, servers: Mapping[str, str]) -> str:
    """The host that references show for a server's name or host: one server has one spelling."""
    name = name.lower()
    url = servers.get(name)
    if url is not None and not is_host_like(name):
        return split_url(url)[1] or name
    if url is None:
        for other, other_url in servers.items():
            if is_host_like(other) and split_url(other_url)[1] == name:
                return other
    return name


def spellings(host: str, servers: Mapping[str, str]) -> list[str]:
    """The names by which a user may mean a canonical host, itself first."""
    names = (*servers, *(split_url(url)[1] for url in servers.values()))
    return list(dict.fromkeys((host, *(name for name in names if canonical_host(name, servers) == host))))


def base_url(host: str, servers: Mapping[str, str]) -> str:
    """The URL below which a host's repositories lie, without a slash at its end: from GIT_SERVERS, else https."""
    url = servers.get(host)
    if url is None:
        url = next((u for u in servers.values() if split_url(u)[1] == host), f"https://{host}")
    return url.rstrip("/")


def clone_url(host: str, owner: str, repo: str, servers: Mapping[str, str]) -> str:
    """Where to clone a repository from when it is neither here nor registered."""
    end = "" if owner.endswith(f"/{AZURE_GIT}") else ".git"  # Azure DevOps takes the suffix for a part of the name
    return f"{base_url(host, servers)}/{owner}/{repo}{end}"


def strip_prefix(host: str, segments: list[str], servers: Mapping[str, str]) -> list[str]:
    """Path segments without the sub-path at which the host's server lives (the longest that fits)."""
    best = 0
    for url in servers.values():
        _, other, path = split_url(url)
        prefix = [part for part in path.split("/") if part]
        if other == host and len(prefix) > best and segments[: len(prefix)] == prefix:
            best = len(prefix)
    return segments[best:]


def web_host_of_ssh(host: str, servers: Mapping[str, str]) -> str:
    """The host of the references for a host reached by ssh: the ssh port is not the web's port."""
    name = split_port(host)[0]
    name = _SSH_HOSTS.get(name, name)
    same = {canonical_host(key, servers) for key, url in servers.items() if split_port(split_url(url)[1])[0] == name}
    if len(same) == 1:
        return same.pop()
    return canonical_host(name, servers)


def parse_servers(text: str) -> dict[str, str]:
    """GIT_SERVERS in one line: `name=URL` pairs, apart by spaces or commas. Raises ValueError saying what is wrong."""
    servers: dict[str, str] = {}
    for pair in text.replace(",", " ").split():
        name, mark, url = pair.partition("=")
        if not mark:
            raise ValueError(f"{pair!r} is not name=URL")
        servers[check_name(name)] = check_url(url)
    return servers


def check_name(name: str) -> str:
    """A server's name, lowered. Raises ValueError when it cannot be one."""
    name = name.strip().strip("\"'").lower()
    if not name or not name[0].isalnum() or not name.isascii() or not all(c.isalnum() or c in ".-_:" for c in name):
        raise ValueError(f"{name!r} is not a server's name")
    return name


def check_new_name(name: str) -> str:
    """`check_name`, and what else is asked of a name that is written now: with a colon, there is a port behind it.

    Raises ValueError.
    """
    name = check_name(name)
    _, colon, port = name.partition(":")
    if colon and not is_port(port):
        raise ValueError(f"{name!r} has no port after the colon" if not port else f"{port!r} is not a port")
    return name


def check_url(url: str) -> str:
    """A server's base URL without a slash at its end. Raises ValueError when git could not clone below it."""
    url = url.strip().strip("\"'").rstrip("/")
    scheme, host, path = split_url(url)
    if scheme in ("http", "https", "ssh", "git") and host:
        return url
    if (scheme == "file" and path) or url.startswith("/"):
        return url
    raise ValueError(f"{url!r} is not a URL like https://git.example.com")


def check_new_url(url: str) -> str:
    """`check_url`, and what else is asked of a URL that is written now: the file can hold it, and it has no password.

    Raises ValueError; what it says may quote the URL.
    """
    url = check_url(url)
    if any(c in " ,\"'" or not c.isprintable() for c in url):
        raise ValueError(f"{url!r} contains characters that the file cannot hold in a URL")
    if "@" in url.partition("://")[2].partition("/")[0] and url.lower().startswith("http"):
        raise ValueError("the URL contains a login, which the log would keep: put tokens in env/default.env")
    place = url.partition("://")[2].partition("/")[0].partition("?")[0].partition("#")[0].rpartition("@")[2]
    name, port = split_port(place)
    if len(place) > len(name) and not is_port(port):
        raise ValueError(f"{url!r} has no port after the colon" if not port else f"{port!r} is not a port")
    return url
