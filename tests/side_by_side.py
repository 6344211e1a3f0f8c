"""Which tests stay on one worker when they run side by side (`-n auto`); the others go to whoever is free.

By file and not by mark: pytest-xdist 3.8 has `--dist loadgroup` for marks, which does nothing under pytest 9.2.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

GROUPS = {
    # A real opencode takes 600 MB and a core: two at a time. The files have state of their own.
    "tests/e2e/test_opencode_adapter.py": "opencode",
    "tests/e2e/test_forge.py": "opencode",
    "tests/e2e/test_import_opencode.py": "opencode",
    "tests/e2e/test_outages.py": "opencode",
    "tests/e2e/test_usage.py": "opencode",
    "tests/e2e/test_attach.py": "opencode",
    "tests/e2e/test_results.py": "opencode",
    "tests/e2e/test_loop.py": "opencode",
    "tests/e2e/test_night.py": "another opencode",
    "tests/e2e/test_kugetsu_opencode.py": "another opencode",
    "tests/e2e/test_project_config.py": "another opencode",
    "tests/e2e/test_pm_agent.py": "another opencode",
    # One PostgreSQL server for them all, a second of initdb.
    "tests/log/test_contract.py": "postgres",
    "tests/log/test_shared.py": "postgres",
    "tests/log/test_shared_network.py": "postgres",
    "tests/log/test_shared_relay.py": "postgres",
    "tests/faults/test_shared_log.py": "postgres",
    "tests/cli/test_log_share.py": "postgres",
    # Prism takes seconds to start, once for each description.
    "tests/forge/test_descriptions.py": "prism",
    # What takes longest: begun first, it is not what everybody waits for at the end.
    "tests/faults/test_campaign.py": "long",
    "tests/faults/test_courier_killed.py": "long",
    "tests/unit/test_readme.py": "long",
}
"""The group of a file. Groups come first, the largest before the others."""


class Grouped(LoadScopeScheduling):  # type: ignore[misc]
    """pytest-xdist's scheduler of units of work: a unit is a group, or a test."""

    def _split_scope(self, nodeid: str) -> str:
        return GROUPS.get(nodeid.partition("::")[0], nodeid)
