"""The environment files of agents: they reach the agent, and nothing else."""

from __future__ import annotations

import os

import pytest

from kugetsu.model.errors import AgentUnavailable, BadInput
from kugetsu.runtime import env_files, env_variables
from kugetsu.views import refusals
from runtime.stage import UNTIL_GO, Stage, bare_stage, broken_after_the_look, stage

__all__ = ["bare_stage", "stage"]

SECRET = "s3cret-7f2a9c"


def write(stage: Stage, name: str, text: str, mode: int = 0o600) -> None:
    path = stage.directory / "env" / name
    path.write_text(text)
    path.chmod(mode)


def test_values_reach_the_agent_and_neither_the_log_nor_any_argument_list(stage: Stage) -> None:
    from pathlib import Path

    write(stage, "default.env", f"GITEA_TOKEN={SECRET}\n")
    stage.agent('echo "$GITEA_TOKEN" > "$STAGE/got"\n' + UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    assert stage.file("got").strip() == SECRET
    attempt = stage.state.attempts["q1.1"]
    assert attempt.runner is not None and attempt.agent is not None
    for pid in (attempt.runner["pid"], attempt.agent["pid"]):
        assert SECRET.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert SECRET.encode() not in Path(f"/proc/{attempt.runner['pid']}/environ").read_bytes()
    stage.go()
    stage.finished("q1")
    for path in stage.directory.rglob("*"):
        if path.is_file() and path.parent.name != "env":
            assert SECRET.encode() not in path.read_bytes(), path


def test_the_file_of_the_kind_of_agent_replaces_the_default_one(stage: Stage) -> None:
    write(stage, "default.env", "A=default\nB=default\n")
    write(stage, "dev.env", "A=dev\n")
    assert env_files.values(stage.ws.paths, "dev") == {"A": "dev"}
    assert env_files.values(stage.ws.paths, "pm") == {"A": "default", "B": "default"}


def test_nothing_in_it_is_executed(stage: Stage) -> None:
    write(stage, "default.env", 'A="$(touch $STAGE/executed)"\n')
    stage.agent('echo "$A" > "$STAGE/got"')
    stage.start(1)
    stage.finished("q1")
    assert stage.file("got").strip() == "$(touch $STAGE/executed)"
    assert not (stage.folder / "executed").exists()


def test_it_cannot_override_kugetsus_own_marks(stage: Stage) -> None:
    write(stage, "default.env", "KUGETSU_LEASE=stolen\nKUGETSU_ATTEMPT=q9.9\nKUGETSU_DIR=/elsewhere\n")
    stage.agent('echo "$KUGETSU_ATTEMPT $KUGETSU_DIR" > "$STAGE/got"; test "$KUGETSU_LEASE" != stolen')
    stage.start(1)
    assert stage.finished("q1") == "completed"
    assert stage.file("got").split() == ["q1.1", str(stage.directory)]


def test_no_name_that_an_agent_gets_from_kugetsu_can_be_set(stage: Stage) -> None:
    stage.agent('env > "$STAGE/got"')
    stage.start(1)
    stage.finished("q1")
    names = {line.partition("=")[0] for line in stage.file("got").splitlines()}
    given = {name for name in names if name.startswith("KUGETSU_")} - set(os.environ)
    assert {"KUGETSU_LEASE", "KUGETSU_NUMBER", "KUGETSU_API", "KUGETSU_BRANCH"} <= given
    for name in given:
        with pytest.raises(BadInput):
            env_variables.check_name(name)


def test_one_that_others_can_read_is_refused_with_the_remedy_and_nothing_is_started(stage: Stage) -> None:
    write(stage, "default.env", f"GITEA_TOKEN={SECRET}\n", mode=0o644)
    with pytest.raises(BadInput) as refused:
        env_files.values(stage.ws.paths, "dev")
    assert "chmod 600" in (refused.value.hint or "")
    told = len(stage.events())
    with pytest.raises(AgentUnavailable, match="others can read it") as kept:
        stage.start(1)
    assert refusals.words(kept.value)[1] == f"chmod 600 {stage.directory}/env/default.env"
    assert len(stage.events()) == told, "nothing was changed"


def test_a_line_that_is_nonsense_is_refused_with_its_place_and_without_its_value(stage: Stage) -> None:
    write(stage, "default.env", f"GOOD=1\nexport export {SECRET}\n")
    with pytest.raises(BadInput, match=r"default\.env:2"):
        env_files.values(stage.ws.paths, "dev")
    broken_after_the_look(stage)
    assert stage.start(1).state == "failed"
    assert SECRET.encode() not in (stage.directory / "runs" / "q1.1" / "runner.log").read_bytes()
    assert all(SECRET not in str(event) for event in stage.events())


def test_a_file_that_breaks_while_an_agent_works_does_not_keep_it_from_being_concluded(stage: Stage) -> None:
    stage.agent(UNTIL_GO)
    stage.start(1)
    stage.at_work("q1.1")
    write(stage, "default.env", "nonsense\n")
    stage.go()
    assert stage.finished("q1") == "completed"


def test_kugetsus_own_requests_have_files_of_their_own(stage: Stage) -> None:
    paths = stage.ws.paths
    write(stage, "default.env", "A=default\n")
    assert env_files.values(paths, "notify") == env_files.values(paths, "forge") == {"A": "default"}
    write(stage, "dev.env", "A=dev\n")
    assert env_files.values(paths, "forge") == {"A": "dev"}
    assert env_files.values(paths, "notify") == {"A": "default"}
    write(stage, "forge.env", "A=forge\n")
    write(stage, "notify.env", "A=notify\n")
    assert env_files.values(paths, "forge") == {"A": "forge"}
    assert env_files.values(paths, "notify") == {"A": "notify"}


def test_every_file_that_is_looked_into_is_known_to_the_redaction(stage: Stage) -> None:
    for number, name in enumerate(env_files.FILES):
        write(stage, name, f"SOME_TOKEN={SECRET}-{number}\n")
    known = env_files.Known(stage.ws.paths, {"MY_PASSWORD": "from-outside", "HOME": "/home/me"})
    assert set(known()) == {"from-outside", *(f"{SECRET}-{number}" for number in range(len(env_files.FILES)))}


def test_a_file_that_cannot_be_read_hides_no_secret_of_the_others(stage: Stage) -> None:
    write(stage, "default.env", f"nonsense here\nSOME_TOKEN={SECRET}\n")
    (stage.directory / "env" / "dev.env").write_bytes(b"\xff")
    assert set(env_files.Known(stage.ws.paths, {})()) == {SECRET}
