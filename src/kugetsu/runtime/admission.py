"""What is looked at before work is queued: would it fail for a reason that is known by now?

A repository that is a folder must be registered, and an issue must be there where its forge may be asked. A forge that
does not answer within `PATIENCE_SECONDS` refuses nothing. Where no forge applies, nothing of one is loaded.
"""

from __future__ import annotations

import os

from kugetsu.model.errors import BadInput, KugetsuError, NotFound
from kugetsu.model.servers import LOCAL, canonical_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kugetsu.forge.protocol import Issue
    from kugetsu.model.refs import IssueRef
    from kugetsu.runtime.workspace import Workspace

#: Seconds that a forge may take to answer at the door.
PATIENCE_SECONDS = 3.0
ANYWAY = "or queue it all the same: --anyway"


def require_source(ws: Workspace, ref: IssueRef, here: dict[str, str] | None) -> None:
    """Raise NotFound if nothing tells where the issue's repository is; ``here`` is the clone that this is typed in."""
    state = ws.state()
    known, elsewhere = state.repositories.get(ref.repository) or {}, False
    if state.hosts:
        from kugetsu.domain import hosts
        from kugetsu.host import host_file

        known = hosts.source_of(state, ref.repository, host_file.read(ws.paths.root)) or {}
        elsewhere = not known and bool(hosts.registrations(state, ref.repository))
    session = state.sessions.get(str(ref))
    if here is not None or (session is not None and session.source is not None):
        return
    if elsewhere:
        return  # a folder of another host, which works on it
    if "path" in known and not os.path.isdir(known["path"]):
        said = f"{known['path']}, registered for {ref.repository}, is gone"
        raise NotFound(said, f"restore it, or: kugetsu init --repo PATH|URL, {ANYWAY}")
    if not known and ref.host == LOCAL:
        said = f"nothing tells where {ref.repository} is: it is a folder, and not registered"
        raise NotFound(said, f"kugetsu init --repo PATH, or type this inside it, {ANYWAY}")


class Forge:
    """The forges of one command; a server that did not answer is not asked again. ``note`` says what was not
    checked."""

    def __init__(self, ws: Workspace, note: Callable[[str], None]) -> None:
        self._ws = ws
        self._note = note
        self._silent: set[str] = set()

    def require_issue(self, ref: IssueRef) -> None:
        """Raise NotFound if the forge does not have the issue. One that was read before is there."""
        session = self._ws.state().sessions.get(str(ref))
        if (session is not None and session.title is not None) or not self._applies(ref.host):
            return
        try:
            self.issue(ref)
        except NotFound:
            raise
        except KugetsuError as problem:
            self._note(f"not checked whether {ref} is there: {problem.message}")

    def issue(self, ref: IssueRef) -> Issue:
        """The issue as the forge has it. Raises NotFound, and KugetsuError if it cannot be read, with the reason."""
        from kugetsu.forge.failures import ForgeFailure, ForgeNotFound
        from kugetsu.runtime import forges

        if ref.host in self._silent:
            raise KugetsuError(f"{ref.host} did not answer")
        forge, why = forges.choose(self._ws, ref.host)
        if forge is None:
            raise KugetsuError(f"{ref.host} is not asked: {why}", forges.how_to_allow(self._ws, ref.host))
        seconds = min(PATIENCE_SECONDS, self._ws.config.number("FORGE_TIMEOUT_SECONDS"))
        try:
            return forges.within(seconds, ref.host, lambda: forge.issue(ref.owner, ref.repo, ref.number))
        except ForgeNotFound as absent:
            raise NotFound(
                f"{ref.host} has no issue {ref.owner}/{ref.repo}#{ref.number}, or hides it",
                f"check the number, {ANYWAY}",
            ) from absent
        except ForgeFailure as failure:
            if failure.passing:
                self._silent.add(ref.host)
            raise KugetsuError(forges.one_line(failure), failure.hint) from failure

    def _applies(self, host: str) -> bool:
        """Whether the forge of a host may be asked, as `forges` decides, without loading what asks."""
        if host == LOCAL or self._ws.config.text("KUGETSU_FORGE") == "off":
            return False
        servers = self._ws.config.servers()
        if host in {canonical_host(name, servers) for name in servers}:
            return True
        from kugetsu.runtime.env_files import TOKENS, values

        try:
            return any(name.startswith(TOKENS) for name in values(self._ws.paths, "forge"))
        except (BadInput, OSError):  # whoever needs the file says what is wrong with it
            return False
