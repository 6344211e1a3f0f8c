"""What a command says at its end about a shared log: that it went the slow way, or showed what is not of now."""

from __future__ import annotations

from kugetsu.model.errors import KugetsuError
from kugetsu.runtime import liveness
from kugetsu.runtime.query import contact
from kugetsu.views import hosts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kugetsu.runtime.workspace import Workspace

_SAY_IT_THEMSELVES = ("kugetsu status", "kugetsu host list", "kugetsu doctor")
_NO_DAEMON = ("kugetsu init", "kugetsu log ", "kugetsu queue-daemon")
"""What starts one, or is done while none runs."""


def show(note: Callable[..., None], command: str, ws: Workspace, now: str) -> None:
    """Write the notes of a command by ``note``."""
    if command.startswith(_NO_DAEMON) or (command.startswith(_SAY_IT_THEMSELVES) and not ws.went_directly):
        return
    try:
        state = ws.state()
    except KugetsuError:
        return  # the command's own error says more
    if ws.went_directly:
        runs = liveness.daemon(ws.paths, state)
        what = "the daemon's relay does not answer" if runs else "no daemon to go through"
        note(f"{what}: connected to the database itself, which takes longer")
        left = contact.known(ws.paths, state, now).lack == "left"
        note(f"hint: kugetsu {'host join' if left else 'queue-daemon logs' if runs else 'queue-daemon start'}")
        return
    lack = hosts.lack(contact.known(ws.paths, state, now), now)
    if lack is not None:
        note(lack[2], words=True)
        note(f"hint: {lack[3]}")
