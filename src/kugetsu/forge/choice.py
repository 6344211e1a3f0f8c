"""Which forge a host is, where its API lies, and which URLs name a pull request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from kugetsu.forge.client import Limits
from kugetsu.forge.credentials import credential_of
from kugetsu.forge.failures import NoForge
from kugetsu.forge.gitea import Gitea
from kugetsu.forge.github import GitHub
from kugetsu.forge.pauses import Pause
from kugetsu.forge.protocol import Forge
from kugetsu.host.proxies import Network
from kugetsu.model.errors import BadInput
from kugetsu.model.refs import parse_ref
from kugetsu.model.servers import LOCAL, base_url, canonical_host, split_url, strip_prefix

GITHUB_HOST = "github.com"
GITHUB_API = "https://api.github.com"
KINDS = ("gitea", "forgejo", "github")
"""What a host may be said to be; forgejo is spoken to as gitea."""


def forge_of(
    host: str,
    servers: Mapping[str, str],
    kinds: Mapping[str, str],
    environment: Mapping[str, str],
    *,
    default_host: str = "",
    limits: Limits | None = None,
    network: Network | None = None,
    pause: Pause | None = None,
) -> Forge:
    """The forge of a host, ready to be asked; nothing is sent yet.

    github.com is GitHub, a host whose kind (in `kinds`, by host or by server's name) is `github` is GitHub Enterprise,
    every other one is Gitea or Forgejo. `servers` is GIT_SERVERS, `default_host` the default server: what stands in
    them is trusted with GITEA_TOKEN. Tokens come from `environment` alone: what env files set, not the process's own.
    `network` is how requests leave the machine (none given: without proxies), `pause` what is heeded and told when the
    forge accepts no requests.
    Raises NoForge for `local`, BadInput for a kind that there is not.
    """
    host = canonical_host(host, servers)
    if host == LOCAL:
        raise NoForge(
            "a repository that is a folder has no issues or pull requests",
            "name the issue by its server: host/owner/repo#14",
        )
    kind = kind_of(host, servers, kinds)
    base = web_base(host, servers)
    credential = credential_of(
        host,
        kind,
        GITHUB_API if host == GITHUB_HOST else base,
        servers=servers,
        default_host=default_host,
        environment=environment,
    )
    api = api_of(host, servers, kinds)
    if kind == "github":
        return GitHub(api, host=host, credential=credential, limits=limits, network=network, pause=pause)

    return Gitea(api, host=host, credential=credential, limits=limits, network=network, pause=pause)


def api_of(host: str, servers: Mapping[str, str], kinds: Mapping[str, str]) -> str:
    """The address below which the API of a host lies (not `local`). Raises BadInput for a kind that there is not."""
    if host == GITHUB_HOST:
        return GITHUB_API
    version = "v3" if _kind(host, kinds) == "github" else "v1"
    return f"{web_base(host, servers)}/api/{version}"


def parse_pull_url(url: str, servers: Mapping[str, str]) -> tuple[str, str, str, int]:
    """Host, owner, repository and number of a pull request's URL. Raises BadInput for any other text."""
    ref = parse_ref(url, servers=servers)
    _, host, path = split_url(url.strip())
    segments = strip_prefix(host, [part for part in path.split("/") if part], servers)
    if len(segments) < 4 or segments[2] not in ("pulls", "pull"):
        shown = repr(url if len(url) <= 80 else url[:77] + "...")
        raise BadInput(
            f"not a pull request's URL: {shown}",
            "write https://host/owner/repo/pulls/15 (on GitHub: /pull/15)",
        )
    return ref.host, ref.owner, ref.repo, ref.number


def _kind(host: str, kinds: Mapping[str, str]) -> Literal["gitea", "github"]:
    if host == GITHUB_HOST:
        return "github"
    kind = kinds.get(host, "gitea").lower()
    if kind not in KINDS:
        raise BadInput(f"{kind!r} is not a kind of forge ({host})", f"the kinds are: {', '.join(KINDS)}")
    return "github" if kind == "github" else "gitea"


def kind_of(host: str, servers: Mapping[str, str], kinds: Mapping[str, str]) -> Literal["gitea", "github"]:
    """What a host (as references show it) is spoken to as. Raises BadInput for a kind that there is not."""
    return _kind(host, {canonical_host(name, servers): kind for name, kind in kinds.items()})


def web_base(host: str, servers: Mapping[str, str]) -> str:
    """The URL below which the web side of a host lies; https where git's own URL is not a web URL."""
    url = base_url(host, servers)
    scheme, netloc, path = split_url(url)
    if scheme in ("http", "https"):
        return f"{scheme}://{netloc}/{path}".rstrip("/")
    if netloc == host:
        host = host.partition(":")[0]  # a port of ssh is not the web's
    return f"https://{host}"
