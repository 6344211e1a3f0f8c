"""init: all that is needed, once; forced, the sessions anew; what cannot be is said with its remedy."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from kugetsu.model.errors import AgentUnavailable, KugetsuError
from kugetsu.runtime import initialisation
from kugetsu.runtime.workspace import open_workspace
from runtime.stage import SOURCE, Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_everything_is_there_and_for_its_owner_only(stage: Stage) -> None:
    root = stage.directory
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    for name in ("default.env", "dev.env", "pm-agent.env"):
        assert stat.S_IMODE((root / "env" / name).stat().st_mode) == 0o600
    assert {"pm", f"base:{stage.name}"} == set(stage.state.sessions)
    assert stage.state.repositories == {stage.name: {"path": str(stage.repository)}}
    assert (root / "config").read_text().startswith("KUGETSU_AGENT="), "settings that were there stay"


def test_a_second_time_changes_nothing(stage: Stage) -> None:
    before, head = contents(stage.directory), stage.ws.log.head()
    report = initialisation.initialise(stage.ws, repo=str(stage.repository), force=False)
    assert (report.created, report.sessions, report.retired, report.registered) == ([], [], [], None)
    assert contents(stage.directory) == before
    assert stage.ws.log.head() == head


def test_what_was_deleted_is_made_again_and_the_rest_is_left_alone(stage: Stage) -> None:
    (stage.directory / "env" / "dev.env").unlink()
    (stage.directory / "env" / "default.env").write_text("TOKEN=mine\n")
    report = initialisation.initialise(stage.ws, repo=None, force=False)
    assert report.created == [str(stage.directory / "env" / "dev.env")]
    assert (stage.directory / "env" / "default.env").read_text() == "TOKEN=mine\n"


def test_forced_it_makes_new_sessions_and_the_old_ids_stay_in_the_log(stage: Stage) -> None:
    old = {key: session.agent_session for key, session in stage.state.sessions.items()}
    report = initialisation.initialise(stage.ws, repo=None, force=True)
    assert {key for key, _ in report.sessions} >= {"pm"}
    assert sorted(report.retired) == sorted(f"{key} {agent_session}" for key, agent_session in old.items())
    logged = {event["data"].get("agent_session") for event in stage.events("session.prepared")}
    assert set(old.values()) <= logged
    for key, session in stage.state.sessions.items():
        assert session.agent_session != old[key]
    assert len(stage.events("session.destroyed")) == 2


def test_forced_it_leaves_issues_and_their_work_alone(stage: Stage) -> None:
    stage.agent("echo x > untracked")
    stage.start(1)
    stage.finished("q1")
    initialisation.initialise(stage.ws, repo=None, force=True)
    assert (stage.worktree(1) / "untracked").exists()
    assert stage.start(1).state == "running"
    assert stage.finished("q2") == "completed"


def test_a_missing_agent_is_a_note_and_the_first_start_says_the_same(bare_stage: Stage) -> None:
    from runtime import repos

    repos.make_plain(bare_stage.repository)
    bare_stage.configure(KUGETSU_AGENT_COMMAND="/nowhere/agent")
    report = initialisation.initialise(bare_stage.ws, repo=str(bare_stage.repository), force=False)
    assert any("/nowhere/agent" in note for note in report.notes)
    assert bare_stage.state.initialised
    with pytest.raises(AgentUnavailable, match="/nowhere/agent"):
        bare_stage.start(1)


def test_a_repository_that_is_not_there_is_refused_with_its_name(stage: Stage) -> None:
    with pytest.raises(KugetsuError) as refused:
        initialisation.initialise(stage.ws, repo=str(stage.root / "nowhere"), force=False)
    assert "nowhere" in refused.value.message


def test_a_directory_that_is_a_file_is_refused_with_the_remedy(bare_stage: Stage) -> None:
    bare_stage.directory.write_text("a file\n")
    with pytest.raises(KugetsuError) as refused:
        initialisation.initialise(open_workspace(os.environ, "test"), repo=None, force=False)
    assert refused.value.hint
    bare_stage.directory.unlink()


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user to be refused as")
def test_a_directory_that_may_not_be_written_is_refused_with_the_remedy() -> None:
    code = (
        "import os\nfrom kugetsu.model.errors import KugetsuError\n"
        "from kugetsu.runtime import initialisation\n"
        "from kugetsu.runtime.workspace import open_workspace\n"
        "import kugetsu.log, kugetsu.model.settings, kugetsu.agents, kugetsu.host.ownership, portalocker, pwd, shlex\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try:\n    initialisation.initialise(open_workspace(os.environ, 'x'), repo=None, force=False)\n"
        "except KugetsuError as problem:\n    print(problem.message, '|', problem.hint)\n"
    )
    # Not below pytest's own folder, which another user cannot even reach.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        environment = {**os.environ, "PYTHONPATH": SOURCE, "KUGETSU_DIR": folder + "/kugetsu"}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert folder in done.stdout and "writable" in done.stdout, done.stderr


def test_two_at_once_make_one_of_each(bare_stage: Stage) -> None:
    from runtime import repos

    repos.make_plain(bare_stage.repository)
    bare_stage.configure()
    code = (
        "import os, sys\nfrom kugetsu.runtime import initialisation\n"
        "from kugetsu.runtime.workspace import open_workspace\n"
        "initialisation.initialise(open_workspace(os.environ, 'x'), repo=sys.argv[1], force=False)\n"
    )
    makers = [bare_stage.python(code, str(bare_stage.repository)) for _ in range(4)]
    assert [maker.wait() for maker in makers] == [0] * 4
    assert len(bare_stage.events("session.prepared")) == 2
    assert len(bare_stage.events("kugetsu.initialised")) == 1
    bare_stage.check()
