"""A command line of the settings: run to its end, within its limits, and nothing of it is left."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kugetsu.model.errors import KugetsuError
from kugetsu.runtime.process import identity, termination
from kugetsu.runtime.process.lease import Lease
from kugetsu.runtime.runner import command_line
from kugetsu.runtime.runner.command_line import Limits, Ran
from runtime.supervised import eventually

PATIENT = Limits(60.0, 0.3, 1 << 20)


@pytest.fixture
def lease(tmp_path: Path) -> Iterator[Lease]:
    """The lease of whoever runs commands here."""
    lease = Lease.create(str(tmp_path / "leases"))
    yield lease
    termination.end(lease.nonce, 0.0)
    lease.close()


def run(tmp_path: Path, lease: Lease, line: str, limits: Limits = PATIENT) -> tuple[Ran, str]:
    """Run it in ``tmp_path``; how it ended and what it wrote."""
    output = tmp_path / "output"
    ran = command_line.run(
        line, str(tmp_path), {"PATH": os.environ["PATH"], "A": "b"}, output=str(output), lease=lease, limits=limits
    )
    return ran, output.read_text()


def test_it_ends_with_its_exit_code_and_reads_nothing(tmp_path: Path, lease: Lease) -> None:
    ran, output = run(tmp_path, lease, 'cat; echo "$A in $PWD"; echo no >&2; ps -o sid= -p $$; exit 3')
    first, second, session = output.splitlines()
    assert (ran.code, ran.too_much) == (3, False)
    assert (first, second) == (f"b in {tmp_path}", "no")
    assert int(session) != os.getsid(0), "no terminal of the caller is its own"
    assert run(tmp_path, lease, "kill -9 $$")[0].code == -signal.SIGKILL


def test_what_it_started_is_ended_with_it(tmp_path: Path, lease: Lease) -> None:
    ran, _ = run(tmp_path, lease, "setsid sh -c 'echo $$ > pid; exec sleep 600' & while ! test -s pid; do :; done")
    assert ran.code == 0
    assert not termination.marked(lease.nonce)
    process = identity.stat(int((tmp_path / "pid").read_text()))
    assert process is None or process.dead


def test_its_time_limit_ends_it(tmp_path: Path, lease: Lease) -> None:
    ran, output = run(tmp_path, lease, "trap '' TERM; echo begun; sleep 600; sleep 600", Limits(0.5, 0.1, 0))
    assert ran.code is None and not ran.too_much
    assert output == "begun\n"
    assert eventually(lambda: not termination.marked(lease.nonce))


def test_its_output_is_bounded(tmp_path: Path, lease: Lease) -> None:
    line = "echo first; head -c 4000000 /dev/zero | tr '\\0' x; sleep 2; echo last"
    ran, output = run(tmp_path, lease, line, Limits(60.0, 0.3, 1 << 16))
    assert ran.code == 0
    assert output.startswith("first") and output.endswith("last\n")
    assert os.stat(tmp_path / "output").st_blocks * 512 < 1 << 20


def test_a_folder_that_is_gone_is_an_error_with_a_remedy(tmp_path: Path, lease: Lease) -> None:
    with pytest.raises(KugetsuError, match="cannot start") as caught:
        command_line.run("true", str(tmp_path / "no"), {}, output=str(tmp_path / "o"), lease=lease, limits=PATIENT)
    assert caught.value.hint
