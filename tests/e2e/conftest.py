"""What tests with the real opencode share: the program, a home of its own, the scripted model, repositories."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.rig import Clone, Runs
from kugetsu.agents.opencode import program
from kugetsu.agents.opencode.adapter import OpenCode
from scripted_model.isolation import isolate
from scripted_model.server import ScriptedModel

VERSION = "1.18.33"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def opencode_program_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The opencode binary: KUGETSU_OPENCODE, PATH, node_modules of the repository, else npm installs it into a cache.

    npm gets the package of this platform only, without install scripts: 60 MB to load, once.
    """
    environment = dict(os.environ)
    local = ROOT / "node_modules" / ".bin"
    environment["PATH"] = f"{environment.get('PATH', os.defpath)}:{local}"
    if environment.get("KUGETSU_OPENCODE") or shutil.which("opencode", path=environment["PATH"]):
        return program.find({}, environment)
    for folder in (ROOT, _cache()):
        for package in program.packages():
            binary = folder / "node_modules" / package / "bin" / "opencode"
            if binary.is_file():
                return str(binary)
    return _install()


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(base) / "kugetsu" / f"opencode-{VERSION}"


def _install() -> str:
    npm = shutil.which("npm")
    if npm is None:
        pytest.fail("no opencode and no npm: install opencode, or name it in KUGETSU_OPENCODE", pytrace=False)
    folder, package = _cache(), program.packages()[0]
    folder.mkdir(parents=True, exist_ok=True)
    binary = folder / "node_modules" / package / "bin" / "opencode"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.is_file():
            command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder)]
            done = subprocess.run([*command, f"{package}@{VERSION}"], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                pytest.fail(f"npm cannot install {package}@{VERSION}: {done.stderr[-500:]}", pytrace=False)
    return str(binary)


@pytest.fixture(scope="session")
def model() -> Iterator[ScriptedModel]:
    """The scripted model, listening."""
    with ScriptedModel() as server:
        yield server


@pytest.fixture(scope="session")
def opencode_home(model: ScriptedModel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which opencode has a home of its own and knows the scripted model only."""
    isolated = isolate(tmp_path_factory.mktemp("opencode-home"), model.url)
    # Neither the caller's opencode nor git's variables (a hook's, say) may shine through.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENCODE", "GIT_", "KUGETSU"))}
    return kept | isolated


@pytest.fixture(scope="session")
def agent(
    opencode_program_path: str, opencode_home: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> OpenCode:
    """The adapter, its home prepared."""
    settings = {"KUGETSU_OPENCODE": opencode_program_path, "KUGETSU_DIR": str(tmp_path_factory.mktemp("kugetsu"))}
    adapter = OpenCode(settings, opencode_home)
    adapter.prepare_home()
    return adapter


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A fresh repository."""
    return Clone(tmp_path)


@pytest.fixture
def runs(agent: OpenCode, opencode_home: dict[str, str], tmp_path: Path) -> Iterator[Runs]:
    """Turns of the real opencode."""
    running = Runs(agent, opencode_home, tmp_path)
    yield running
    running.close()
