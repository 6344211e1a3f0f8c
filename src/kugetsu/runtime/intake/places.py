"""Which repositories have an intake, and whether there is anything to look at."""

from __future__ import annotations

from kugetsu.domain.state import State
from kugetsu.model.errors import BadInput, KugetsuError
from kugetsu.model.servers import LOCAL
from kugetsu.runtime.env_files import TOKENS, values
from kugetsu.runtime.workspace import Workspace


def labels(ws: Workspace, state: State) -> dict[str, str]:
    """Repository (`host/owner/repo`) → its INTAKE_LABEL: those with one of their own, and, where there is a general
    one, all that are registered. A folder of this machine has no issues."""
    found = {}
    for repository in sorted({*ws.config.repositories, *state.repositories}):
        label = ws.config_of(repository).text("INTAKE_LABEL")
        if label and not repository.startswith(f"{LOCAL}/"):
            found[repository] = label
    return found


def why_not(ws: Workspace, host: str) -> KugetsuError | None:
    """Why the forge of a host cannot be asked for labelled issues; None if it can: it needs a token."""
    from kugetsu.runtime import forges  # the daemon imports this module, and asks no forge

    try:
        forge, why = forges.choose(ws, host)
    except KugetsuError as problem:
        return problem
    if forge is None:
        return KugetsuError(f"{host} cannot be queried: {why}", forges.how_to_allow(ws, host))
    if not forge.authenticated:
        why = f"{host} cannot be asked for labelled issues: there is no token for it"
        return KugetsuError(why, forges.how_to_authenticate(ws, host))
    return None


def any_left(ws: Workspace, state: State) -> bool:
    """Whether something must look: at labelled issues, or after those of before. The daemon asks: nothing of a forge is
    loaded, and any token is taken for one of the right host."""
    if state.intake or state.marks:
        return True
    if not labels(ws, state) or ws.config.text("KUGETSU_FORGE") == "off":
        return False
    try:
        return _has(ws, TOKENS)
    except (BadInput, OSError):  # whoever needs the file says what is wrong with it
        return False


def runs_loop(ws: Workspace, state: State) -> bool:
    """Whether the settings and tokens of this host let issues become tasks, or answer feedback, in any repository."""
    if ws.config.text("KUGETSU_FORGE") == "off":
        return False
    reacts = any(ws.config_of(name).text("REACTIONS") for name in {*ws.config.repositories, *state.repositories})
    try:
        return (reacts or bool(labels(ws, state))) and _has(ws, TOKENS)
    except (BadInput, OSError):  # as `any_left`
        return False


def _has(ws: Workspace, prefixes: str | tuple[str, ...]) -> bool:
    """Whether a token is set whose variable begins so. Raises BadInput, OSError for env files."""
    return any(name.startswith(prefixes) for name in values(ws.paths, "forge"))
