"""A `Stage` whose repository belongs to a scripted forge: the clone's remote is a bare repository beside it."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from forge.scripted import ScriptedForge
from kugetsu.runtime import initialisation
from kugetsu.runtime.process import identity
from kugetsu.runtime.process.named_lease import OBSERVER, VERIFIER
from runtime import repos
from runtime.stage import PATIENCE, Stage
from runtime.supervised import eventually

TOKEN = "tok-4f2c9d81aa"
REPOSITORY = "acme/web"
PUSH = "git push -q -u origin HEAD\n"
#: An interval in minutes in which a test does not wait for long.
OFTEN = "0.005"


@pytest.fixture
def forge() -> Iterator[ScriptedForge]:
    """The forge, listening; it takes one token."""
    with ScriptedForge(token=TOKEN) as server:
        yield server


@pytest.fixture
def forged(stage: Stage, forge: ScriptedForge) -> Stage:
    """The stage, its repository a clone of the forge's `acme/web`; the token is in an env file."""
    remote = stage.root / "srv.git"
    remote.mkdir()
    repos.run(remote, "init", "-q", "--bare", "-b", "main")
    url = f"{forge.url}/{REPOSITORY}.git"
    repos.run(stage.root, "config", "--global", f"url.{remote}.insteadOf", url)
    repos.run(stage.repository, "remote", "add", "origin", url)
    repos.run(stage.repository, "push", "-q", "origin", "main")
    repos.run(stage.repository, "remote", "set-head", "origin", "main")
    stage.configure(GIT_SERVERS=f"{forge.host}={forge.url}", FORGE_TIMEOUT_SECONDS="20", OPEN_PULL_REQUEST="never")
    forge.has_branches_of(REPOSITORY, str(remote))
    let_in(stage, TOKEN)
    stage.name = initialisation.initialise(stage.ws, repo=str(stage.repository), force=False).registered or ""
    assert stage.name == f"{forge.host}/{REPOSITORY}"
    return stage


@pytest.fixture(autouse=True)
def no_observer_is_left(bare_stage: Stage) -> Iterator[None]:
    """Daemon and observer are ended with each test of a module that imports this."""
    yield
    if not (bare_stage.directory / "log").is_dir():
        return
    paths = bare_stage.ws.paths
    for who in (bare_stage.state.daemon.identity, OBSERVER.holder(paths), VERIFIER.holder(paths)):
        if who is not None:
            identity.signal(who, signal.SIGKILL)
    assert eventually(lambda: not (OBSERVER.alive(paths) or VERIFIER.alive(paths)), PATIENCE)


def let_in(stage: Stage, token: str, variable: str = "GITEA_TOKEN") -> None:
    """Put a token into the env file."""
    path = stage.directory / "env" / "default.env"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{variable}={token}\n")
    path.chmod(0o600)


def prompt(stage: Stage, attempt: str) -> str:
    """What the agent of an attempt was told."""
    return (stage.directory / "runs" / attempt / "prompt.md").read_text()


def worked(stage: Stage, number: int = 14, script: str = "exit 0\n") -> str:
    """An issue on which an agent worked; its session's key."""
    stage.agent(script)
    task = stage.start(number).task
    assert stage.finished(task) == "completed"
    return str(stage.ref(number))
