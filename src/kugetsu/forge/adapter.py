"""What every adapter of a forge has in common: its client, whom its requests speak for, the path of a repository."""

from __future__ import annotations

from collections.abc import Mapping

from kugetsu.forge.client import Client, Limits, segment
from kugetsu.forge.credentials import Credential
from kugetsu.forge.failures import NoForge
from kugetsu.host.proxies import Network


class Adapter:
    """A forge behind a kept client; the adapters add what differs between them.

    `scheme` is the word before the token in the Authorization header, `headers` go with each request, `public` is a
    path that anyone may ask for.
    """

    public = "/version"

    scheme = ""
    headers: Mapping[str, str] = {}

    def __init__(
        self,
        api: str,
        *,
        host: str,
        credential: Credential,
        limits: Limits | None = None,
        network: Network | None = None,
    ) -> None:
        self._client = Client(
            api,
            host=host,
            credential=credential,
            scheme=self.scheme,
            headers=self.headers,
            limits=limits,
            network=network,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._client!r})"

    @property
    def host(self) -> str:
        """The host as references show it."""
        return self._client.host

    @property
    def access(self) -> str:
        """Whether requests carry a token, and why not."""
        return self._client.credential.summary

    @property
    def authenticated(self) -> bool:
        """Whether requests carry a token."""
        return bool(self._client.credential.reveal())

    def whoami(self) -> str | None:
        """The account of the token; None without one. Raises ForgeFailure."""
        if not self.authenticated:
            return None
        return self._client.call("account of the token").get("/user").text("login")

    def reach(self) -> None:
        """Ask the server something that needs no account. Raises ForgeFailure when it gives no answer of its kind."""
        self._client.call("version of the server").get(self.public)

    def close(self) -> None:
        """Close the kept connections."""
        self._client.close()


def repository_path(owner: str, repo: str) -> str:
    """Where a repository lies below the API; both forges say it alike. Raises NoForge for a group within a group."""
    if "/" in owner:
        raise NoForge(
            f"{owner}/{repo} is not a repository of a forge that kugetsu can ask: its owner is a path",
            "where the server lives at a sub-path, name its whole URL: kugetsu server add HOST URL",
        )
    return f"/repos/{segment(owner)}/{segment(repo)}"
