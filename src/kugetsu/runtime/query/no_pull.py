"""Why kugetsu would open no pull request for an issue, by the settings of now."""

from __future__ import annotations

from functools import cache, partial

from kugetsu.model.errors import KugetsuError
from kugetsu.model.refs import parse_ref
from kugetsu.model.servers import LOCAL
from kugetsu.runtime import forges
from kugetsu.runtime.workspace import Workspace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.missing_pull import Reason, Refusal


def refusals(ws: Workspace) -> Refusal:
    """What tells it for an issue: ``never`` for OPEN_PULL_REQUEST, ``no_forge`` for a forge without a token or that may
    not be contacted; None if it would open one, and for a folder of this machine. No forge is asked; each is looked up
    once."""
    of_host = cache(partial(_of_host, ws))

    def refusal(key: str) -> Reason | None:
        if ws.config_of(key).text("OPEN_PULL_REQUEST") == "never":
            return "never", {}
        return of_host(parse_ref(key).host)

    return refusal


def _of_host(ws: Workspace, host: str) -> Reason | None:
    if host == LOCAL:
        return None
    try:
        forge = forges.forge_for(ws, host)
    except KugetsuError as problem:  # an env file that cannot be read
        return "no_forge", {"reason": problem.message, "remedy": problem.hint}
    if forge is None:
        remedy = forges.how_to_allow(ws, host)
    elif not forge.authenticated:
        remedy = forges.how_to_authenticate(ws, host)
    else:
        return None
    off = ws.config.text("KUGETSU_FORGE") == "off"
    return "no_forge", {"reason": "KUGETSU_FORGE is off" if off else f"no token for {host}", "remedy": remedy}
