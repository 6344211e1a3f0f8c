"""A real OpenSSH server on 127.0.0.1: with its own host key, for one key, as the user of the tests.

What it may be asked for is set by the test: the environment and PATH of a login are in `environment`.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

SERVER = Path("/usr/sbin/sshd")
#: Where Debian's server, started as root, insists on a folder.
_SEPARATION = Path("/run/sshd")


def missing() -> str | None:
    """What keeps a server from starting; None if nothing does."""
    if not SERVER.exists() or shutil.which("ssh-keygen") is None or shutil.which("ssh") is None:
        return "no OpenSSH server: apt-get install openssh-server"
    return None


class Sshd:
    """One server, listening. `logged_in` is what each of its logins has in its environment."""

    def __init__(self, folder: Path, logged_in: Mapping[str, str]) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700)
        for name in ("host", "key", "stranger"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
        shutil.copy(folder / "key.pub", folder / "authorized")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        given = " ".join(f'"{name}={value}"' for name, value in logged_in.items())
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {folder}/host\nPidFile none\n"
            f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nPasswordAuthentication no\nUsePAM no\n"
            f"KbdInteractiveAuthentication no\nPrintMotd no\nSetEnv {given}\n"
        )
        if os.geteuid() == 0:
            _SEPARATION.mkdir(exist_ok=True)
        with (folder / "sshd.log").open("wb") as log:
            self.process = subprocess.Popen(
                [str(SERVER), "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline and self.process.poll() is None, self.log()
                time.sleep(0.02)

    def log(self) -> str:
        """What the server wrote."""
        return (self.folder / "sshd.log").read_text()

    def client(self, *names: str, key: str = "key", host_key: str = "host", port: int | None = None) -> str:
        """A folder for PATH whose `ssh` is the real one, and knows the server by these ``names``."""
        made = self.folder / f"client-{len(list(self.folder.glob('client-*')))}"
        made.mkdir()
        public = (self.folder / f"{host_key}.pub").read_text().split()
        (made / "known").write_text(f"[127.0.0.1]:{port or self.port} {public[0]} {public[1]}\n")
        (made / "config").write_text(
            f"Host {' '.join(names)}\n  HostName 127.0.0.1\n  Port {port or self.port}\n  User {getpass.getuser()}\n"
            f"  IdentityFile {self.folder}/{key}\n  IdentitiesOnly yes\n  IdentityAgent none\n"
            f"  UserKnownHostsFile {made}/known\n  GlobalKnownHostsFile /dev/null\n"
        )
        (made / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {made}/config "$@"\n')
        (made / "ssh").chmod(0o755)
        return str(made)

    def close(self) -> None:
        """End the server and its sessions."""
        self.process.terminate()
        self.process.wait(30)
