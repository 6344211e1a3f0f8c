"""A forced removal that is stopped past the loss of its host: where it had put the work is told, and nothing else goes.

Several directories, each with a daemon of its own, over one real database.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kugetsu.model.errors import Conflict
from kugetsu.runtime import daemon_control, destroy, host_id, silent_hosts
from kugetsu.runtime.git import removal
from kugetsu.runtime.notifications.notice import notice_of
from kugetsu.runtime.workspace import Workspace
from kugetsu.views import refusals
from kugetsu.views.wording import words
from runtime import repos
from runtime.stage import COMMIT, PATIENCE, Stage, bare_stage, stage
from runtime.supervised import eventually
from runtime.test_membership import NAME, enqueue, first, joined

__all__ = ["bare_stage", "first", "joined", "stage"]

KEY = f"{NAME}#1"

KILLED = """
import os
from kugetsu.runtime import destroy
from kugetsu.runtime.git import removal
from kugetsu.runtime.workspace import open_workspace
{}
destroy.destroy(open_workspace(os.environ, "kugetsu"), {!r}, force=True)
"""
STEPS = {
    "before the worktree went": "removal.remove = lambda *_, **__: os.kill(os.getpid(), 9)",
    "before it was recorded": "destroy._delete_agent_session = lambda *_, **__: os.kill(os.getpid(), 9)",
}


@pytest.fixture
def second(first: Stage, joined: Callable[..., Workspace]) -> Workspace:
    """A host with a session that has a commit and a file of which nobody else knows; its daemon has stopped."""
    second = joined("two")
    first.agent(COMMIT + 'test "$KUGETSU_ATTEMPT" != q1.1 || echo typed > typed\n')
    daemon_control.start(second)
    enqueue(second, 1)
    assert eventually(lambda: second.state().tasks["q1"].state == "completed", PATIENCE)
    daemon_control.stop(second, drain=False)
    assert second.state().sessions[KEY].host == host_id.own(second)
    return second


def told_of_return(second: Workspace) -> dict[str, Any]:
    """`host.returned`, as soon as this host's daemon has recorded it."""
    found: list[dict[str, Any]] = []

    def told() -> bool:
        found[:] = [event for event in second.log.read() if event["type"] == "host.returned"]
        return bool(found)

    assert eventually(told, PATIENCE)
    return found[0]


def lose(first: Stage, second: Workspace) -> None:
    first.ws.log.transact(lambda _: [])
    silent_hosts.lose(first.ws, "two")
    second.log.transact(lambda _: [])


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("moved", [True, False])
def test_where_a_killed_removal_had_put_the_work_is_told_when_its_host_returns(
    first: Stage, second: Workspace, step: str, *, moved: bool
) -> None:
    code = KILLED.format(STEPS[step], KEY)
    environment = {**os.environ, "KUGETSU_DIR": second.paths.root}
    killed = subprocess.run([sys.executable, "-P", "-c", code], env=environment, check=False, capture_output=True)
    assert killed.returncode == -9, killed.stderr
    lose(first, second)
    assert first.state.sessions[KEY].state == "broken"
    if moved:
        first.start_daemon()
        assert first.finished(enqueue(first.ws, 1)) == "completed"
    daemon_control.start(second)
    returned = told_of_return(second)
    kept = [one for one in returned["data"]["worktrees"] if one["session"] == KEY and one["rescue"]]
    clone = Path(second.paths.repositories, f"{NAME}.git")
    held = [one for one in kept if "typed" in repos.run(clone, "ls-tree", "--name-only", one["rescue"])]
    assert held and all(one["commits"] for one in held)
    told = notice_of(returned)
    assert told is not None
    for one in held:
        assert one["rescue"] in words(returned) and one["rescue"] in told.text
    assert second.state().hosts[host_id.own(second)].left_behind == {}


@pytest.mark.parametrize("moved", [True, False])
def test_a_removal_that_was_paused_removes_nothing_and_names_the_branch(
    first: Stage, second: Workspace, *, moved: bool
) -> None:
    worktree = second.state().sessions[KEY].worktree or ""
    examine = removal.not_rescued

    def paused(*what: object) -> list[str]:
        """It wakes when its host was lost, and is there again."""
        lose(first, second)
        daemon_control.start(second)
        told_of_return(second)
        if not moved:
            enqueue(second, 1)
            assert eventually(lambda: second.state().tasks["q2"].state == "completed", PATIENCE)
        return examine(*what)  # type: ignore[arg-type]

    first.monkeypatch.setattr(removal, "not_rescued", paused)
    with pytest.raises(Conflict, match="removal_given_up") as refused:
        destroy.destroy(second, KEY, force=True)
    (rescue,) = repos.run(
        Path(worktree), "branch", "--list", "--format=%(refname:lstrip=2)", "kugetsu/rescue/1-*"
    ).split()
    assert f"its work is kept on {rescue} in the clone on this host" in refusals.words(refused.value)[0]
    assert Path(worktree, "work").exists()


def test_what_only_a_lost_host_could_do_names_a_way_that_is_open(first: Stage, second: Workspace) -> None:
    first_host = host_id.own(first.ws)
    lose(first, second)
    with pytest.raises(Conflict, match="is on host two, which was lost") as refused:
        destroy.destroy(first.ws, KEY, force=True)
    assert f"kugetsu continue {KEY} MESSAGE; or once host two is back" in str(refused.value.hint)
    (base,) = (key for key, one in first.state.sessions.items() if one.kind == "base" and one.host != first_host)
    with pytest.raises(Conflict, match="is on host two, which was lost") as refused:
        destroy.destroy(first.ws, base, force=True)
    assert str(refused.value.hint).startswith("once host two is back"), "an agent continues issues"
