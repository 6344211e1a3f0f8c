"""Which forges may be asked, and asking them: bounded in time, and never in anybody's way.

A forge is asked only when the user told kugetsu of it: its host stands in GIT_SERVERS, or an env file has a token for
it. So a stranger's host that a reference names is never contacted, and a machine without internet never waits. When a
forge accepts no more requests for a time, no process of this KUGETSU_DIR asks it before that (`forge/pauses.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from kugetsu.forge.choice import GITHUB_HOST, forge_of
from kugetsu.forge.client import Limits
from kugetsu.forge.failures import ForgeFailure, ForgeUnreachable, NoForge
from kugetsu.forge.pauses import Pause
from kugetsu.forge.protocol import Forge
from kugetsu.host.proxies import Network
from kugetsu.model.errors import KugetsuError
from kugetsu.model.servers import LOCAL, canonical_host, split_url
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import host_id
from kugetsu.runtime.env_files import GITHUB, values
from kugetsu.runtime.git import checkouts
from kugetsu.runtime.workspace import Workspace

T = TypeVar("T")

#: Seconds that a connection may take, and a rate limit that is waited out: see `forge.http.Limits`.
CONNECT_SECONDS = 5.0
PATIENCE_SECONDS = 3.0
#: Characters of a failure that an event or a prompt keeps.
PROBLEM_LENGTH = 300


def forge_for(ws: Workspace, host: str) -> Forge | None:
    """The forge of a host; None if it may not be contacted (`why_none` says why).

    Raises BadInput for an unusable env file or token.
    """
    return choose(ws, host)[0]


def why_none(ws: Workspace, host: str) -> str | None:
    """Why a host's forge is not contacted; None if it may be. Raises as `forge_for` does."""
    return choose(ws, host)[1]


def limits(ws: Workspace) -> Limits:
    """FORGE_TIMEOUT_SECONDS as the limits of one call."""
    seconds = ws.config.number("FORGE_TIMEOUT_SECONDS")
    return Limits(
        connect=min(CONNECT_SECONDS, seconds), read=seconds, deadline=seconds, patience=min(PATIENCE_SECONDS, seconds)
    )


def network(ws: Workspace, host: str) -> Network:
    """How requests reach a host: the proxies of the environment and the env files, and its CA.

    Raises BadInput for an unreadable env file.
    """
    servers = ws.config.servers()
    authorities = {canonical_host(name, servers): path for name, path in ws.config.mapping("GIT_SERVER_CA").items()}
    return Network({**ws.environment, **values(ws.paths, "forge")}, authorities.get(host, ""))


def one_line(problem: BaseException) -> str:
    """A failure as an event keeps it: one bounded line without secrets."""
    text = problem.message if isinstance(problem, KugetsuError) else f"{type(problem).__name__}: {problem}"
    return redact(" ".join(text.split()), limit=PROBLEM_LENGTH)


def as_failure(problem: Exception) -> KugetsuError:
    """An error of any kind, which a server's answer may have caused, as one of kugetsu's."""
    return problem if isinstance(problem, KugetsuError) else KugetsuError(f"{type(problem).__name__}: {problem}")


class Forges:
    """The forges for one command or phase of a runner: each made once, and not asked again after it failed to answer.

    All requests within one `ask` take at most FORGE_TIMEOUT_SECONDS, DNS and slow answers included; a dead server costs
    that once.
    """

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws
        self._known: dict[str, tuple[Forge | None, str | None]] = {}
        self._dead: dict[str, ForgeFailure] = {}

    def of(self, host: str) -> Forge | None:
        """As `forge_for`."""
        return self._look_up(host)[0]

    def why_none(self, host: str) -> str | None:
        """As the function `why_none`."""
        return self._look_up(host)[1]

    def ask(self, host: str, question: Callable[[Forge], T]) -> T:
        """The answer to a question to the host's forge. Raises ForgeFailure or BadInput; NoForge if it may not be
        contacted, ForgeUnreachable if it does not answer in time."""
        forge, why = self._look_up(host)
        if forge is None:
            raise NoForge(f"{host} cannot be queried: {why}", how_to_allow(self._ws, host))
        if forge.host in self._dead:
            raise self._dead[forge.host]
        seconds = self._ws.config.number("FORGE_TIMEOUT_SECONDS")
        try:
            return within(seconds, forge.host, lambda: question(forge))
        except ForgeFailure as failure:
            if failure.passing:
                self._dead[forge.host] = failure
            raise

    def _look_up(self, host: str) -> tuple[Forge | None, str | None]:
        if host not in self._known:
            self._known[host] = choose(self._ws, host)
        return self._known[host]


def within(seconds: float, host: str, work: Callable[[], T]) -> T:
    """The result of ``work``, or its exception; ForgeUnreachable if it has not ended after so many seconds.

    The client's own limits do not bound a DNS lookup, which can take minutes. So a thread does the work and is
    abandoned; the process's end or exec ends it.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as problem:  # noqa: BLE001  it is raised below, in the thread that wants the answer
            failed.append(problem)

    thread = threading.Thread(target=run, daemon=True, name=f"forge {host}")
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise ForgeUnreachable(f"{host} gave no complete answer within {seconds:g} s", "try again later")
    return done[0]


def how_to_allow(ws: Workspace, host: str) -> str:
    """The remedy for a host that may not be contacted."""
    host = canonical_host(host, ws.config.servers())
    if host == LOCAL:
        return "name the issue by its server: host/owner/repo#14"
    if ws.config.text("KUGETSU_FORGE") == "off":
        return "kugetsu config set KUGETSU_FORGE auto"
    add = f"kugetsu server add {host} {_base_of(ws, host)}"
    if is_github(ws, host) or host == ws.config.default_host():
        variable = "GITHUB_TOKEN" if is_github(ws, host) else "GITEA_TOKEN"
        return f"kugetsu env set {variable}, or: {add}"
    return add  # GITEA_TOKEN alone is for servers that were named


def how_to_authenticate(ws: Workspace, host: str) -> str:
    """The remedy for a host that there is no token for."""
    if is_github(ws, host):
        return "kugetsu env set GITHUB_TOKEN"
    if any(name.startswith(GITHUB) and value for name, value in values(ws.paths, "forge").items()):
        return f"GITHUB_TOKEN is for GitHub: if {host} is one, add {host}=github to the setting FORGE_KINDS"
    return "kugetsu env set GITEA_TOKEN"


def _base_of(ws: Workspace, host: str) -> str:
    """A host's URL with the scheme of a pull request's or clone's URL, else https: an internal server may speak http
    only."""
    for url in _urls(ws, host):
        scheme, other, _ = split_url(url)
        if other == host and scheme in ("http", "https"):
            return f"{scheme}://{host}"
    return f"https://{host}"


def _urls(ws: Workspace, host: str) -> Iterator[str]:
    """The URLs in sessions and clones, some of which may be of that host."""
    try:
        state = ws.state()
    except (KugetsuError, OSError):  # a hint is all that they are for
        return
    yield from (session.pr for session in state.sessions.values() if session.pr is not None)
    for name, source in host_id.repositories(ws, state).items():
        if not name.startswith(f"{host}/"):
            continue
        if "url" in source:
            yield source["url"]
        checkout = checkouts.find(source["path"]) if "path" in source else None
        if checkout is not None:
            yield from checkouts.remotes(checkout.common_dir).values()


def is_github(ws: Workspace, host: str) -> bool:
    """Whether a host is GitHub, or is said to be (setting FORGE_KINDS)."""
    return host == GITHUB_HOST or ws.config.mapping("FORGE_KINDS").get(host) == "github"


def choose(ws: Workspace, host: str) -> tuple[Forge | None, str | None]:
    """The forge of a host, or None and why it may not be contacted. Raises as `forge_for` does."""
    servers = ws.config.servers()
    host = canonical_host(host, servers)
    if host == LOCAL:
        return None, "the repository is a folder on this machine"
    if ws.config.text("KUGETSU_FORGE") == "off":
        return None, "forges are not contacted (setting KUGETSU_FORGE)"
    forge = forge_of(
        host,
        servers,
        ws.config.mapping("FORGE_KINDS"),
        values(ws.paths, "forge"),
        default_host=ws.config.default_host(),
        limits=limits(ws),
        network=network(ws, host),
        pause=Pause(ws.paths.pause(host)),
    )
    if forge.authenticated or host in {canonical_host(name, servers) for name in servers}:
        return forge, None
    return None, "it is not in GIT_SERVERS, and no env file has a token for it"
