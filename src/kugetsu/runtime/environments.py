"""The environment files of agents: `env/<agent>.env`, else `env/default.env`; KEY=VALUE lines, never executed.

Their values reach the agent's environment and nothing else: no argument list, no log, no history.
"""

from __future__ import annotations

import os

from kugetsu.config_file import parse, read_file
from kugetsu.errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.agents.protocol import Agent
    from kugetsu.paths import Paths
    from kugetsu.runtime.workspace import Workspace

TEMPLATES = {
    "default.env": "# KEY=VALUE lines for the environment of every agent, for example GITEA_TOKEN=…\n",
    "dev.env": "# KEY=VALUE lines for agents that work on issues; if it sets anything, it replaces default.env.\n",
    "pm-agent.env": "# KEY=VALUE lines for the PM agent; if it sets anything, it replaces default.env.\n",
}


def values(paths: Paths, kind: str) -> dict[str, str]:
    """What the environment file of a kind of agent (``dev`` or ``pm``) sets.

    Raises BadInput for a line that is no KEY=VALUE, and for a file that others than its owner can read.
    """
    for name in (f"{'pm-agent' if kind == 'pm' else kind}.env", "default.env"):
        path = os.path.join(paths.env, name)
        found = _read(path)
        if found:
            if os.stat(path).st_mode & 0o077:
                raise BadInput(f"{path} holds secrets and others can read it", hint=f"chmod 600 {path}")
            return found
    return {}


def _read(path: str) -> dict[str, str]:
    text = read_file(path)
    try:
        return {entry.key: entry.value for entry in parse(text, path)}
    except BadInput as problem:
        # The parser quotes the line, and this one may hold a secret; neither log nor history may have it.
        line = problem.message.removeprefix(path + ":").partition(":")[0]
        raise BadInput(f"{path}:{line}: is not KEY=VALUE", problem.hint) from None


def agent_of(ws: Workspace, kind: str = "dev") -> Agent:
    """The agent of the settings, for tasks of a kind: it sees the environment that its runs see, so that a variable of
    an env file that moves the agent's data moves it for imports and exports too.

    Raises BadInput as `values` does.
    """
    from kugetsu.agents import choose

    return choose(ws.config.texts(), {**ws.environment, **values(ws.paths, kind)})
