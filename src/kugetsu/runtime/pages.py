"""The web page of an issue's work, and a browser to open it in."""

from __future__ import annotations

import sys
import webbrowser
from collections.abc import Mapping

from kugetsu.domain.state import State
from kugetsu.forge.choice import kind_of, web_base
from kugetsu.model.errors import BadInput, KugetsuError
from kugetsu.model.record import value
from kugetsu.model.refs import parse_ref
from kugetsu.runtime.notifications.notice import issue_url
from kugetsu.runtime.workspace import Workspace


@value
class Page:
    """A web page: what it shows (pull_request, branch, issue), and where it is."""

    kind: str
    url: str


def page_of(ws: Workspace, state: State, issue: str) -> Page | None:
    """The page to look at: the pull request, else the pushed branch, else the issue; None for a folder's."""
    session = state.sessions.get(issue)
    if session is not None and session.pr is not None and is_web(session.pr):
        return Page("pull_request", session.pr)
    servers = ws.config.servers()
    url = issue_url(issue, servers)
    if url is None:
        return None
    if session is not None and session.pushed and session.commits and session.branch:
        ref = parse_ref(issue)
        kind = kind_of(ref.host, servers, ws.config.mapping("FORGE_KINDS"))
        way = "tree" if kind == "github" else "src/branch"
        return Page("branch", f"{web_base(ref.host, servers)}/{ref.owner}/{ref.repo}/{way}/{session.branch}")
    return Page("issue", url)


def is_web(url: str) -> bool:
    """Whether a text is a web address that may be handed to a browser."""
    return url.startswith(("https://", "http://")) and url.isprintable() and " " not in url


def has_display(environment: Mapping[str, str]) -> bool:
    """Whether a browser would open where the user sits: not over SSH, and there is a display."""
    if any(environment.get(name) for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT")):
        return False
    return sys.platform == "darwin" or any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def show(url: str) -> None:
    """Open a page in the user's browser (BROWSER, else the system's). Raises BadInput unless it is a web address,
    KugetsuError if there is no browser."""
    if not is_web(url):
        raise BadInput(f"not a web address: {url[:80]!r}")
    try:
        opened = webbrowser.open(url)
    except (webbrowser.Error, OSError):
        opened = False
    if not opened:
        raise KugetsuError(f"no browser can be opened here: {url}", "set BROWSER to your browser's command")
