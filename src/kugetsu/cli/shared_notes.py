"""What a command says at its end about a shared log: that it went the slow way, or showed what is not of now."""

from __future__ import annotations

from kugetsu.model.errors import KugetsuError
from kugetsu.runtime import liveness
from kugetsu.runtime.query import contact
from kugetsu.views import shared_log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.cli.call import Call
    from kugetsu.runtime.workspace import Workspace

_SAY_IT_THEMSELVES = ("kugetsu status", "kugetsu host list", "kugetsu doctor")
_NO_DAEMON = ("kugetsu init", "kugetsu log ", "kugetsu queue-daemon")
"""What starts one, or is done while none runs."""


def show(call: Call, ws: Workspace) -> None:
    """Write the notes."""
    if call.command.startswith(_NO_DAEMON) or (call.command.startswith(_SAY_IT_THEMSELVES) and not ws.went_directly):
        return
    try:
        state = ws.state()
    except KugetsuError:
        return  # the command's own error says more
    if ws.went_directly:
        runs = liveness.daemon(ws.paths, state)
        what = "the daemon's relay does not answer" if runs else "no daemon to go through"
        call.note(f"{what}: connected to the database itself, which takes longer")
        call.note(f"hint: kugetsu queue-daemon {'logs' if runs else 'start'}")
        return
    lack = shared_log.lack(contact.known(ws.paths, state, call.screen.now), call.screen.now)
    if lack is not None:
        call.note(lack[2])
        call.note(f"hint: {lack[3]}")
