"""What another host of a shared log has: the output of its attempts, shown by that host's own kugetsu over OpenSSH
(HOST_SSH), or the line to type. Outputs are too large, and too full of secrets, for the log."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence

from kugetsu.domain.events import Event
from kugetsu.model.errors import KugetsuError, NotFound
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import host_id
from kugetsu.runtime.workspace import Workspace

#: Seconds for the connection; what comes over it may take its time.
CONNECT_SECONDS = 10
#: ssh's own failures end with this code, whatever the command's would be.
_SSH_FAILED = 255
#: A shell's codes for a program that cannot be run, or is not in PATH.
_NO_PROGRAM = (126, 127)
_ERROR_BYTES = 4096


def of_claim(ws: Workspace, claim: Event) -> str | None:
    """The other host that has the output of an attempt, by its `attempt.claimed`; None if it is here.

    What was claimed before hosts were recorded is of the first that shared the log. A folder of the attempt that is
    here is its output, whatever this host is called now.
    """
    host = claim["data"]["claimer"].get("host") or next(iter(ws.state().hosts), None)
    if host_id.is_own(ws, host) or ws.foreign is not None or os.path.isdir(ws.paths.run(claim["attempt"])):
        return None
    return host


def of_attempt(ws: Workspace, attempt: str) -> str | None:
    """As `of_claim`, by the attempt's id."""
    for event in ws.log.read_key(attempt.partition(".")[0]):
        if event["type"] == "attempt.claimed" and event["attempt"] == attempt:
            return of_claim(ws, event)
    return None


def on_its_host(ws: Workspace, host: str, what: str, command: Sequence[str]) -> NotFound:
    """``what`` is on another host, and the line that shows it there."""
    state = ws.state()
    line = host_id.line_there(state, host, f"kugetsu {' '.join(command)}")
    return NotFound(f"{what} is on {host_id.name_of(state, host)}", line)


def fetch(
    ws: Workspace,
    host: str,
    what: str,
    command: Sequence[str],
    take: Callable[[Iterable[bytes]], None],
    *,
    options: Sequence[str] = (),
    width: int | None = None,
) -> tuple[int, str]:
    """Run a command of kugetsu on another host and ``take`` the lines of its output as they come; ``options`` of it are
    no part of the line to type.

    Returns its exit code and the end of what it wrote to stderr. The other kugetsu redacts by its own secrets, ``take``
    by those known here. It asks no third host, and no password (BatchMode).

    Raises NotFound with the line to type, without HOST_SSH and where the host told no name that ssh takes; KugetsuError
    if the host cannot be reached, or has no kugetsu in its PATH.
    """
    name = host_id.ssh_name(ws.state(), host)
    elsewhere = on_its_host(ws, host, what, command)
    if not ws.config.flag("HOST_SSH") or name is None:
        raise elsewhere
    columns = [f"COLUMNS={width}"] if width is not None else []
    line = shlex.join(["env", "HOST_SSH=false", *columns, "kugetsu", *command, *options])
    ssh = ("-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_SECONDS}")
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                ["ssh", *ssh, "--", name, line],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=dict(ws.environment),
            )
        except OSError as problem:
            raise KugetsuError(
                f"{elsewhere.message}, and ssh cannot be started: {problem.strerror}", elsewhere.hint
            ) from problem
        try:
            assert process.stdout is not None
            take(raw.rstrip(b"\n") for raw in process.stdout)
            code = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        errors.seek(max(errors.seek(0, os.SEEK_END) - _ERROR_BYTES, 0))
        said = redact(errors.read().decode("utf-8", "replace")).strip()
    if code == _SSH_FAILED or code in _NO_PROGRAM:
        last = said.splitlines()[-1] if said else f"exit code {code}"
        hint = elsewhere.hint if code == _SSH_FAILED else f"put kugetsu into PATH there: ssh {name} env"
        raise KugetsuError(f"{elsewhere.message}, which cannot be asked: {last}", hint)
    return code, said
