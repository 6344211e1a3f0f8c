"""git that contacts servers: with the server's own CA, and with kugetsu's token where the user's credentials do not
suffice.

git first tries the user's credential helpers and askpass program. Only if the server takes nothing of theirs, the
command is repeated with one helper, `kugetsu __credential`, which reads the token from the env files. So the token is
in no argument list, URL or environment, and no helper of the user's stores it.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence

import kugetsu
from kugetsu.forge.choice import kind_of
from kugetsu.forge.credentials import credential_of
from kugetsu.host import config
from kugetsu.host.paths import Paths
from kugetsu.model.errors import GitFailed, KugetsuError
from kugetsu.model.servers import base_url, canonical_host, is_loopback, split_url
from kugetsu.runtime.env_files import TOKENS, values
from kugetsu.runtime.git import command, pins, remedies
from kugetsu.runtime.git.child import Answer, failure

_WAY = r"^http\..*(ssl(verify|cainfo|capath|backend)|proxy[a-z]*|curloptresolve)$|^remote\..*\.proxy[a-z]*$"


def git(args: Sequence[str], cwd: str | None = None, *, timeout: float) -> str:
    """`command.git` for a command that contacts a server."""
    answer = ask(args, cwd, timeout=timeout)
    if answer.code != 0:
        raise failure(args, answer)
    return answer.out.rstrip("\n")


def ask(args: Sequence[str], cwd: str | None = None, *, timeout: float) -> Answer:
    """`command.ask` for a command that contacts a server."""
    options, env = _authorities(os.environ)
    answer = command.ask([*options, *args], cwd, timeout=timeout, env=env)
    if answer.code == 0 or not remedies.wants_credentials(answer.err) or not _has_tokens(os.environ):
        return answer
    _require_own_way(cwd)
    # An empty helper takes back all those before it: git would hand them the token to store.
    helper = ["-c", "credential.helper=", "-c", f"credential.helper=!{_helper()}", "-c", "core.askPass="]
    return command.ask([*options, *helper, *args], cwd, timeout=timeout, env={**env, "GIT_ASKPASS": ""})


def credential(request: str, environment: Mapping[str, str]) -> str:
    """The answer to git's request for a credential (gitcredentials(7)).

    Empty without a token for the host, or when the connection is not encrypted. Raises KugetsuError for unreadable
    settings or env files.
    """
    asked = dict(line.partition("=")[::2] for line in request.splitlines() if "=" in line)
    protocol, host = asked.get("protocol", ""), asked.get("host", "").lower()
    base = f"{protocol}://{host}"
    if not host or not (protocol == "https" or (protocol == "http" and is_loopback(base))):
        return ""
    paths = Paths.of(environment)
    settings = config.load(paths.config, environment)
    servers = settings.servers()
    name = canonical_host(host, servers)
    found = credential_of(
        name,
        kind_of(name, servers, settings.mapping("FORGE_KINDS")),
        base,
        servers=servers,
        default_host=settings.default_host(),
        environment=values(paths, "forge"),
    )
    token = found.reveal()
    # Forges take any name beside a token; GitHub documents this one.
    return f"username={asked.get('username') or 'x-access-token'}\npassword={token}\n" if token else ""


def _require_own_way(cwd: str | None) -> None:
    """Raise GitFailed if the repository's own configuration sets the proxy or certificates for the server: an agent may
    have written it, and a man in the middle would see the token."""
    if cwd is None:
        return
    own = sorted({name for scope, name, _ in pins.settings_of(_WAY, cwd) if scope in pins.OWN_SCOPES})
    if own:
        unset = f"git -C {shlex.quote(cwd)} config --unset {own[0]}"
        raise GitFailed(
            f"the server requires a login, and the token is not sent: {cwd} itself sets {', '.join(own)}",
            f"set it globally instead: git config --global {own[0]} VALUE; {unset}",
        )


def _authorities(environment: Mapping[str, str]) -> tuple[list[str], dict[str, str | None]]:
    """Options and environment changes that name the certificate authorities of GIT_SERVER_CA."""
    try:
        settings = config.load(Paths.of(environment).config, environment)
    except KugetsuError:
        return [], {}  # reported when the settings are opened
    servers, authorities = settings.servers(), settings.mapping("GIT_SERVER_CA")
    if not authorities:
        return [], {}
    # The variable would win over the file of every server: it becomes the setting that it stands for.
    everywhere = environment.get("GIT_SSL_CAINFO")
    options = ["-c", f"http.sslCAInfo={everywhere}"] if everywhere else []
    for server, path in authorities.items():
        host = split_url(base_url(canonical_host(server, servers), servers))[1]
        options += ["-c", f"http.https://{host}/.sslCAInfo={path}"]
    return options, {"GIT_SSL_CAINFO": None}


def _has_tokens(environment: Mapping[str, str]) -> bool:
    try:
        return any(name.startswith(TOKENS) for name in values(Paths.of(environment), "forge"))
    except KugetsuError:
        return False


def _helper() -> str:
    """The helper's command line: this program, run by this Python."""
    source = os.path.dirname(os.path.dirname(os.path.abspath(kugetsu.__file__)))
    words = [sys.executable, "-P", "-m", "kugetsu", "__credential"]
    if source in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        words = ["env", f"PYTHONPATH={source}", *words]
    return shlex.join(words)
