"""A shared log over what lies between a host and its database: TLS, and a pooler in transaction mode.

Both need Debian's packages (`apt-get install postgresql pgbouncer`): the server of the wheel has no TLS.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kugetsu.log.shared.postgres import Database
from kugetsu.model.errors import LogUnreachable
from log.counting import note
from log.postgres import Server, end_with_parent, unprivileged
from log.shared import open_shared


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# -- TLS -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path, int]]:
    """Debian's server with TLS on the loopback, the certificate that it is known by, and its port."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not programs or shutil.which("openssl") is None:
        pytest.skip("TLS needs Debian's server and openssl: apt-get install postgresql openssl")
    server = Server(programs[-1].parent)
    certificate, port = server.folder / "server.crt", free_port()
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    words += ["-keyout", str(server.folder / "server.key"), "-out", str(certificate)]
    words += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(["openssl", *words], check=True, capture_output=True, **unprivileged())
    server.stop()
    server.settings |= {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "ssl": "on",
        "ssl_cert_file": str(certificate),
        "ssl_key_file": str(server.folder / "server.key"),
    }
    (server.folder / "data" / "pg_hba.conf").write_text(
        "local all postgres trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
    )
    server.port = port
    server.start()
    server.run("CREATE ROLE wanda LOGIN IN ROLE kugetsu_writer PASSWORD 'hunter2'")
    yield server, certificate, port
    server.close()


def test_a_password_from_a_file_and_a_checked_certificate(
    encrypted: tuple[Server, Path, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, certificate, port = encrypted
    name = server.fresh()
    passwords = tmp_path / "pgpass"
    passwords.write_text(f"localhost:{port}:*:wanda:hunter2\n")
    passwords.chmod(0o600)
    url = f"postgresql://wanda@localhost:{port}/{name}?sslmode=verify-full&sslrootcert={certificate}"
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    log, other = open_shared(tmp_path / "a" / "log", url), open_shared(tmp_path / "b" / "log", url)
    note(log)
    assert other.wait(0, 30)
    assert note(other)["seq"] == 2
    log.close()
    other.close()
    monkeypatch.setenv("PGPASSFILE", "/nonexistent")
    for wrong in (url, url.replace("wanda@", "wanda:wrong@"), url.replace("localhost", "127.0.0.1")):
        with pytest.raises(LogUnreachable) as caught:
            Database(wrong, patience=0.1).connection()
        assert "hunter2" not in caught.value.message
        assert "wrong" not in caught.value.message


# -- a pooler --------------------------------------------------------------------------------------------------


@pytest.fixture
def pooled(postgres: Any, database: str) -> Iterator[str]:
    """The database through pgbouncer in transaction mode."""
    program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if program is None:
        pytest.skip("no pooler: apt-get install pgbouncer")
    folder = postgres.folder / "pooler"
    folder.mkdir()
    if unprivileged():
        shutil.chown(folder, unprivileged()["user"], unprivileged()["group"])
    (folder / "users").write_text('"postgres" ""\n')
    (folder / "ini").write_text(
        f"[databases]\n* = host={postgres.folder}\n[pgbouncer]\nunix_socket_dir = {folder}\nlisten_port = 5432\n"
        f"listen_addr =\nauth_type = trust\nauth_file = {folder}/users\npool_mode = transaction\n"
        "max_client_conn = 50\ndefault_pool_size = 4\nlogfile =\npidfile =\n"
    )
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(
            [program, str(folder / "ini")], stdout=out, stderr=out, preexec_fn=end_with_parent, **unprivileged()
        )
    url = database.replace(str(postgres.folder), str(folder))
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(url).close()
            break
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, (folder / "out").read_text()
            time.sleep(0.02)
    yield url
    process.terminate()
    process.wait()
    shutil.rmtree(folder)


def test_appends_go_through_a_pooler_and_its_deaf_listener_asks_instead(tmp_path: Path, pooled: str) -> None:
    log, other = open_shared(tmp_path / "a" / "log", pooled), open_shared(tmp_path / "b" / "log", pooled)
    log.keep()
    for turn in range(8):
        note(log, "one")
        note(other, "two")  # now and then after a conflict, with the head held
        log._contended = turn % 2 == 0
    assert log.pull().seq == 16
    note(other)
    assert log.wait(16, 30)
    assert log._keeper is not None
    assert log._keeper.polls
    log.close()
    other.close()
