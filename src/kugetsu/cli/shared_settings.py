"""`kugetsu config` for the settings of all hosts that share a log: they are in the log, not in a file."""

from __future__ import annotations

from typing import Any

from kugetsu.cli.call import Call
from kugetsu.cli.parser import Parser
from kugetsu.host.paths import Paths
from kugetsu.log.files.segments import is_shared
from kugetsu.model.errors import BadInput, KugetsuError
from kugetsu.model.settings import SETTINGS, SHARED
from kugetsu.runtime import shared_settings as settings
from kugetsu.views.text import line

_TOLD = ("HOST_NAME", "HOST_LABELS")


def argument(parser: Parser) -> None:
    """Declare ``--shared``."""
    parser.add_argument("--shared", action="store_true", help="of all hosts that share the log, not of this one")


def named(call: Call) -> str | None:
    """The setting of all hosts that a command names: with ``--shared``, or because no host has one of that name itself.
    Raises BadInput for ``--shared`` with another one, and with ``--repo``."""
    key: str = call.args.key
    if not call.args.shared and (key in SETTINGS or key not in SHARED):
        return None
    if key not in SHARED:
        raise BadInput(f"{key} is no setting of all hosts", f"those are: {', '.join(SHARED)}")
    if call.args.repo is not None:
        remedy = f"kugetsu config set --shared REPOSITORY_CAPS {call.args.repo}=2"
        raise BadInput(f"{key} of all hosts has no value for one repository", f"for its cap: {remedy}")
    return key


def give(call: Call, key: str, text: str | None) -> int:
    """`config set`, and `config unset` for None."""
    given = settings.give(call.workspace, key, text)
    data = {"key": key, "repository": None, "old": given.old, "new": given.new, "seq": given.seq}
    if text is None:
        said = f"{key} of all hosts is {SHARED[key].default or 'empty'}, its default"
    else:
        said = f"{key}={given.new or ''} for all hosts"
    call.show(data, [said])
    return 0


def get(call: Call, key: str) -> int:
    """`config get`."""
    state = call.state()
    settings.require_hosts(state, key)
    value, source = settings.in_force(state, key)
    data = {"key": key, "value": value, "source": source, "help": SHARED[key].help}
    call.show(data, [line(value)], value=True)
    return 0


def rows(call: Call) -> list[dict[str, Any]]:
    """`config list`; nothing in a log that is one host's own, or that cannot be read."""
    try:
        state = call.state()
    except KugetsuError as problem:
        if is_shared(call.workspace.paths.log):
            call.note(f"the settings of all hosts cannot be read: {problem.message}")
        return []
    if not state.hosts:
        return []
    found = []
    for key, setting in SHARED.items():
        value, source = settings.in_force(state, key)
        found.append({"key": key, "value": value, "source": source, "help": setting.help})
    return found


def note(call: Call, key: str) -> None:
    """Say of a setting that a host and all hosts can have, that it was this host's; of one that the others are told
    when a daemon starts, that it is not known to them yet."""
    if not is_shared(Paths.of(call.environment).log):  # not by the workspace: the file may not be usable yet
        return
    if key in _TOLD:
        call.note("the other hosts are told when the daemon starts: kugetsu queue-daemon restart")
    if key in SHARED:
        call.note(f"for the agents of this host only; of all hosts: kugetsu config set --shared {key} VALUE")
