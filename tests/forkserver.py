"""Commands of kugetsu in processes that are forked from a warm interpreter instead of started anew.

Starting an interpreter and importing costs 100 to 400 ms, a fork 3 ms, and most tests of commands are about neither.
Each command still has a process of its own, with its own environment, directory, standard streams and exit status, so
nothing leaks from one call into the next. What a test says about start-up, imports, signals, closed or full streams
and the end of the interpreter needs a real one: `Command(..., real=True)`, `Command.popen`.

pytest itself is never forked (it has threads): the server is a small process that has nothing but kugetsu imported.
Run as a program, this module is that server.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

#: What an interpreter reads at its start and never again: a command that needs other values needs its own interpreter.
AT_START = ("PYTHON", "LC_", "LANG", "TZ", "LD_", "MALLOC_")


def at_start(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that count at an interpreter's start."""
    return {name: value for name, value in environment.items() if name.startswith(AT_START)}


class ForkServer:
    """A warm interpreter; `run` is `subprocess.run` for a kugetsu command in a fork of it. Threads may share it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = at_start(environment)
        here, there = socket.socketpair()
        with there:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(there.fileno())],
                # Pipes as those of the commands: its stream objects are theirs, and must not take them for files.
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[there.fileno()],
                env={"PATH": os.environ["PATH"], **self.environment},
            )
        self._socket = here

    def close(self) -> None:
        """End the server; commands that still run go on."""
        self._socket.close()
        self._process.communicate()

    def is_gone(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def fits(self, environment: Mapping[str, str]) -> bool:
        """Whether an interpreter started with these variables would be like this one."""
        return at_start(environment) == self.environment

    def run(
        self,
        words: Sequence[str | bytes],
        *,
        input: bytes,
        cwd: Path,
        env: Mapping[str, str],
        at: str | None = None,
        user: int | None = None,
        timeout: float,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `kugetsu WORDS`; ``at``: with a clock that stands there; ``user``: as that user, which only root can.

        Raises subprocess.TimeoutExpired.
        """
        order = {"words": [os.fsdecode(word) for word in words], "cwd": str(cwd), "env": dict(env), "at": at}
        order["user"] = user
        stdin, feed = os.pipe()
        out, stdout = os.pipe()
        err, stderr = os.pipe()
        status, report = os.pipe()
        theirs = [stdin, stdout, stderr, report]
        try:
            with tempfile.TemporaryFile() as file:
                file.write(json.dumps(order).encode())
                file.seek(0)
                socket.send_fds(self._socket, [b"!"], [file.fileno(), *theirs])
        finally:
            for fd in theirs:
                os.close(fd)
        pid = int.from_bytes(os.read(status, 4), "big")
        try:
            *texts, ended = _exchange(feed, input, [out, err, status], time.monotonic() + timeout)
        except TimeoutError:
            if pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(["kugetsu", *words], timeout) from None
        if not pid or not ended:
            raise RuntimeError(f"the server of forks is gone: {self._process.communicate()[1].decode()}")
        code = int.from_bytes(ended, "big", signed=True)
        return subprocess.CompletedProcess(["kugetsu", *words], code, *texts)


_shared: dict[tuple[tuple[str, str], ...], ForkServer] = {}


def shared(environment: Mapping[str, str]) -> ForkServer:
    """The server for commands with this environment, started at its first use and kept until `close_all`."""
    key = tuple(sorted(at_start(environment).items()))
    if key not in _shared:
        _shared[key] = ForkServer(environment)
    return _shared[key]


def forget_ended() -> int:
    """How many shared servers have ended since the last look; the next commands get new ones."""
    gone = [key for key, server in _shared.items() if server.is_gone()]
    for key in gone:
        _shared.pop(key).close()
    return len(gone)


def close_all() -> None:
    """End every shared server."""
    while _shared:
        _shared.popitem()[1].close()


def _exchange(feed: int, input: bytes, sources: list[int], deadline: float) -> list[bytes]:
    """Write the input and read all that comes, side by side; closes every descriptor. Raises TimeoutError."""
    texts: dict[int, list[bytes]] = {fd: [] for fd in sources}
    rest = memoryview(input)
    with selectors.DefaultSelector() as waiting:
        for fd in sources:
            waiting.register(fd, selectors.EVENT_READ)
        os.set_blocking(feed, False)
        waiting.register(feed, selectors.EVENT_WRITE)
        try:
            while waiting.get_map():
                left = deadline - time.monotonic()
                ready = waiting.select(left) if left > 0 else []
                if not ready:
                    raise TimeoutError
                for key, _ in ready:
                    fd = key.fd
                    if fd == feed:
                        try:
                            rest = rest[os.write(fd, rest[:65536]) :] if rest else rest
                        except BrokenPipeError:
                            rest = rest[:0]
                        over = not rest
                    else:
                        chunk = os.read(fd, 65536)
                        texts[fd].append(chunk)
                        over = not chunk
                    if over:
                        waiting.unregister(fd)
                        os.close(fd)
        finally:
            for fd in list(waiting.get_map()):
                os.close(fd)
    return [b"".join(parts) for parts in texts.values()]


# --- the server -------------------------------------------------------------------------------------------------------


def serve(channel: socket.socket) -> dict[str, object]:
    """Fork at each request; returns its order in the child, and never in the server."""
    ended, wake = os.pipe()
    os.set_blocking(ended, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    running: dict[int, int] = {}
    with selectors.DefaultSelector() as waiting:
        waiting.register(channel, selectors.EVENT_READ)
        waiting.register(ended, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fd == ended:
                    with suppress(BlockingIOError):
                        os.read(ended, 4096)
                    _report(running)
                    continue
                asked, fds, _, _ = socket.recv_fds(channel, 1, 5)
                if not asked:
                    os._exit(0)
                file, *streams, report = fds
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    signal.signal(signal.SIGINT, signal.default_int_handler)
                    for number, fd in enumerate(streams):
                        os.dup2(fd, number)
                    for fd in (*streams, report, *running.values(), ended, wake, channel.detach()):
                        os.close(fd)
                    waiting.close()
                    with open(file, "rb") as text:
                        order: dict[str, object] = json.load(text)
                    return order
                for fd in (file, *streams):
                    os.close(fd)
                running[pid] = report
                with suppress(BrokenPipeError):
                    os.write(report, pid.to_bytes(4, "big"))


def _report(running: dict[int, int]) -> None:
    """Tell the exit status of each command that ended."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        fd = running.pop(pid)
        with suppress(BrokenPipeError):
            os.write(fd, os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
        os.close(fd)


def import_kugetsu() -> None:
    """Everything that a command may import, but for orjson: whether it is there yet decides who reads JSON."""
    import gc
    import importlib
    import pkgutil

    import kugetsu

    for module in pkgutil.walk_packages(kugetsu.__path__, "kugetsu."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in ("loguru", "portalocker", "transitions", "argparse"):
        importlib.import_module(name)
    sys.path.insert(0, str(Path(__file__).parent))
    importlib.import_module("twice").install()
    del sys.path[0]
    sys.modules.pop("orjson", None)
    gc.collect()
    gc.freeze()


def become(order: dict[str, object]) -> int:
    """Run one command as `python -m kugetsu` does; its exit status."""
    from kugetsu import __main__ as program
    from kugetsu.cli import candidates, main
    from kugetsu.model import clock

    os.environ.clear()
    os.environ.update(order["env"])  # type: ignore[call-overload]
    os.chdir(str(order["cwd"]))
    if order["user"] is not None:
        os.setgid(int(str(order["user"])))
        os.setuid(int(str(order["user"])))
    words: list[str] = order["words"]  # type: ignore[assignment]
    sys.path[0:0] = [os.getcwd()]
    sys.argv = [program.__file__, *words]
    if order["at"] is not None:
        moment = str(order["at"])
        clock.now = lambda: moment
    # Completion never runs out of patience here: what is found must not depend on how busy the machine is.
    candidates.PATIENCE = 60.0
    return main.main()


def end(status: int) -> None:
    """The end of an interpreter: threads, exit functions, what is not written yet; but nothing is torn down."""
    import atexit
    import threading

    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            status = 120  # as Python ends
    os._exit(status & 0xFF)


def run_server(fd: int) -> None:
    """Serve until the other side closes."""
    import_kugetsu()
    end(become(serve(socket.socket(fileno=fd))))


if __name__ == "__main__":
    run_server(int(sys.argv[1]))
