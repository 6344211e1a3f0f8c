"""Show a comparison as `git diff` does on the user's terminal: the user's pager, colours and diff programs.

All of them come from the user's own configuration (system, global, environment). What the repository's configuration
names is not run: an agent may have written it. Elsewhere than on a terminal a patch is plain, so that `git apply` takes
it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence

from kugetsu.model.record import value
from kugetsu.runtime.git.command import git
from kugetsu.runtime.git.comparison import TIMEOUT
from kugetsu.runtime.git.pins import OWN_SCOPES, settings_of

_ASKED = r"^(core\.pager|pager\.diff|color\.(ui|diff|pager)|diff\.(external|.*\.(command|textconv)))$"
_TRUE = ("", "true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0", "never")


@value
class Manner:
    """How a comparison is shown: ``pager`` is a command line (None: none), ``options`` are those of `git diff`, and
    ``settings`` of git."""

    pager: str | None
    options: tuple[str, ...]
    settings: tuple[str, ...]


PLAIN = Manner(None, ("--no-color", "--no-ext-diff", "--no-textconv"), ("-c", "diff.mnemonicPrefix=false"))
"""Elsewhere than on a terminal."""


def on_terminal(folder: str, environment: Mapping[str, str], *, colour: bool) -> Manner:
    """How the user's git would show it on a terminal. ``colour``: the terminal has colours."""
    users: dict[str, str] = {}
    programs_of_repository = False
    for scope, name, setting in settings_of(_ASKED, folder):
        if scope in OWN_SCOPES:
            programs_of_repository |= name.startswith("diff.")
        else:
            users[name.lower() if name.count(".") == 1 else name] = setting
    pager = _pager(users, environment)
    wanted = users.get("color.diff", users.get("color.ui", "auto")).lower() not in _FALSE
    if pager is not None and users.get("color.pager", "true").lower() in _FALSE:
        wanted = False
    external = environment.get("GIT_EXTERNAL_DIFF") or users.get("diff.external")
    if programs_of_repository:
        external = None
    options = (
        "--color=always" if colour and wanted else "--no-color",
        "--ext-diff" if external else "--no-ext-diff",
        "--no-textconv" if programs_of_repository else "--textconv",
    )
    return Manner(pager, options, ("-c", f"diff.external={external}") if external else ())


def _pager(users: Mapping[str, str], environment: Mapping[str, str]) -> str | None:
    """The pager that git would take (`git help config`, pager.<cmd> and core.pager); None for none."""
    own = users.get("pager.diff")
    if own is not None and own.lower() in _FALSE:
        return None
    if own is not None and own.lower() in _TRUE:
        own = None
    installed = "less" if shutil.which("less", path=environment.get("PATH")) else ""
    places = (own, environment.get("GIT_PAGER"), users.get("core.pager"), environment.get("PAGER"), installed)
    chosen = next(place for place in places if place is not None).strip()
    return None if chosen in ("", "cat") else chosen


def diff(
    folder: str, what: Sequence[str], options: Sequence[str], manner: Manner, env: Mapping[str, str] | None = None
) -> str:
    """What `git diff` prints of a comparison (bytes that are not UTF-8 as surrogates). Raises GitFailed."""
    fixed = ["-M", "--ignore-submodules=none", "--submodule=short"]
    command = [*manner.settings, "diff", *manner.options, *fixed, *options, *what, "--"]
    return git(command, folder, env=env, timeout=TIMEOUT)
