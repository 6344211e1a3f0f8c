"""Agent programs behind one protocol: opencode, and any command line. `choose` gives the one that the settings name."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from kugetsu.agents.protocol import Agent


def choose(settings: Mapping[str, str], environment: Mapping[str, str] | None = None) -> Agent:
    """The agent of the settings; see `registry.choose`, which is imported only when it is needed."""
    from kugetsu.agents import registry

    return registry.choose(settings, environment)
