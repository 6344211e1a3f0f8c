"""Which token a host gets: only one that the user meant for it, and only over a connection that hides it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from kugetsu.model.errors import BadInput
from kugetsu.model.servers import canonical_host, is_loopback

TYPE_CHECKING = False
if TYPE_CHECKING:
    Kind = Literal["gitea", "github"]

_VARIABLES = {"gitea": "GITEA_TOKEN", "github": "GITHUB_TOKEN"}
_ALNUM = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
PLACE = "env/default.env"
"""The file that hints name: the one that every agent and kugetsu itself reads."""


class Credential:
    """A token, or why there is none. Its texts never show the token.

    `variable` is where the token came from, or where it would have to be put. `held_back` is empty, or says why a
    token that exists is not sent.
    """

    __slots__ = ("_token", "held_back", "variable")

    def __init__(self, variable: str, token: str = "", held_back: str = "") -> None:
        self.variable = variable
        self.held_back = held_back
        self._token = "" if held_back else token

    def reveal(self) -> str:
        """The token itself, empty without one: for the request's header and for redaction, and for nothing else."""
        return self._token

    @property
    def summary(self) -> str:
        """`with GITEA_TOKEN`, or why without."""
        if self._token:
            return f"with {self.variable}"
        return f"without a token: {self.held_back}" if self.held_back else "without a token"

    def __repr__(self) -> str:
        return f"Credential({self.summary!r})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a credential is not to be stored")


def credential_of(
    host: str,
    kind: Kind,
    base: str,
    *,
    servers: Mapping[str, str],
    default_host: str,
    environment: Mapping[str, str],
) -> Credential:
    """The token for a host whose API lies below `base`, from `environment` alone.

    `GITEA_TOKEN_<HOST>` (GITHUB_TOKEN_<HOST>) wins: the host in capitals, every other character than a letter or
    digit as `_`. Else GITHUB_TOKEN for hosts of kind github, and GITEA_TOKEN for hosts that stand in `servers` or are
    `default_host`: a reference to a stranger's host gets none. Raises BadInput for a value that cannot be a token.
    """
    general = _VARIABLES[kind]
    named = {canonical_host(name, servers) for name in (*servers, default_host) if name}
    own = _own_variable(general, host, named)
    variable = own if own is not None and environment.get(own) else general
    token = environment.get(variable, "").strip()
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        # The library that writes headers would refuse it with a message that quotes it.
        raise BadInput(f"{variable} has characters in it that no token has", f"write it again in {PLACE}")
    held_back = ""
    if token and variable == general and kind == "gitea" and host not in named:
        held_back = f"{host} is neither in GIT_SERVERS nor the default server"
    elif token and not _is_private(base, servers):
        held_back = f"{base} is plain http, and GIT_SERVERS does not list it as http"
    return Credential(variable, token, held_back)


def variable_of(general: str, host: str) -> str:
    """The variable for one host's token: `GITEA_TOKEN_GIT_EXAMPLE_COM`."""
    return f"{general}_" + "".join(c.upper() if c in _ALNUM else "_" for c in host.lower())


def _own_variable(general: str, host: str, named: Iterable[str]) -> str | None:
    """The host's own variable; None when that name rather means another host.

    `git-example.com` and `git.example.com` share a name, and anyone may own the other one. The name means the host
    that the user named elsewhere, else the one with dots.
    """
    variable = variable_of(general, host)
    same = [other for other in named if variable_of(general, other) == variable]
    meant = host in same if same else _ALNUM.issuperset(host.replace(".", ""))
    return variable if meant else None


def _is_private(base: str, servers: Mapping[str, str]) -> bool:
    """Whether a token may travel to a base URL: by https, within this machine, or because the user wrote http."""
    if base.startswith("https://"):
        return True
    return any(base == url.rstrip("/") for url in servers.values()) or is_loopback(base)
