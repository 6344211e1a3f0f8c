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

from kugetsu.log.shared import health
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


class Encrypted:
    """Debian's server with TLS on the loopback, an authority of its own, and a certificate for the role carol."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.folder = server.folder
        self.authority = server.folder / "ca.crt"
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        _openssl("req", "-x509", *new, "-days", "2", "-subj", "/CN=an authority", *self._files("ca", "-keyout", "-out"))
        for name, words in (("server", "/CN=db"), ("carol", "/CN=carol")):
            (server.folder / "names").write_text("subjectAltName=DNS:localhost\n")
            request = str(server.folder / f"{name}.csr")
            _openssl("req", *new, "-subj", words, "-keyout", self.file(f"{name}.key"), "-out", request)
            signed = ["-CA", str(self.authority), "-CAkey", self.file("ca.key"), "-CAcreateserial", "-days", "2"]
            out = self.file(f"{name}.crt")
            _openssl("x509", "-req", "-in", request, *signed, "-extfile", self.file("names"), "-out", out)
        server.stop()
        server.port = free_port()
        server.settings |= {
            "listen_addresses": "127.0.0.1",
            "port": str(server.port),
            "ssl": "on",
            "ssl_cert_file": self.file("server.crt"),
            "ssl_key_file": self.file("server.key"),
            "ssl_ca_file": str(self.authority),
        }
        (server.folder / "data" / "pg_hba.conf").write_text(
            "local all all trust\nhostssl all carol 127.0.0.1/32 cert\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
        )
        server.start()
        server.run("CREATE ROLE wanda LOGIN IN ROLE kugetsu_writer PASSWORD 'hunter2'")
        server.run("CREATE ROLE carol LOGIN IN ROLE kugetsu_writer")

    def file(self, name: str) -> str:
        return str(self.folder / name)

    def _files(self, name: str, key: str, out: str) -> list[str]:
        return [key, self.file(f"{name}.key"), out, self.file(f"{name}.crt")]

    def url(self, role: str, database: str) -> str:
        """A URL that checks the server's certificate."""
        port = self.server.port
        return f"postgresql://{role}@localhost:{port}/{database}?sslmode=verify-full&sslrootcert={self.authority}"


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True, **unprivileged())


@pytest.fixture(scope="module")
def encrypted() -> Iterator[Encrypted]:
    """A server with TLS."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not programs or shutil.which("openssl") is None:
        pytest.skip("TLS needs Debian's server and openssl: apt-get install postgresql openssl")
    server = Server(programs[-1].parent)
    yield Encrypted(server)
    server.close()


def test_a_password_from_a_file_and_a_checked_certificate(
    encrypted: Encrypted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, port = encrypted.server.fresh(), encrypted.server.port
    passwords = tmp_path / "pgpass"
    passwords.write_text(f"localhost:{port}:*:wanda:hunter2\n")
    passwords.chmod(0o600)
    url = encrypted.url("wanda", name)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    log, other = open_shared(tmp_path / "a" / "log", url), open_shared(tmp_path / "b" / "log", url)
    note(log)
    assert other.wait(0, 30)
    assert note(other)["seq"] == 2
    log.close()
    other.close()
    monkeypatch.setenv("PGPASSFILE", "/nonexistent")
    for wrong in (url.replace("wanda@", "wanda:wrong@"), url.replace("localhost", "127.0.0.1")):
        with pytest.raises(LogUnreachable) as caught:
            Database(wrong).connection()
        assert "hunter2" not in caught.value.message
        assert "wrong" not in caught.value.message
    with pytest.raises(LogUnreachable, match="no password supplied") as caught:
        Database(url).connection()
    assert caught.value.hint is not None
    assert ".pgpass" in caught.value.hint


def test_a_client_certificate_from_a_service_file(
    encrypted: Encrypted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = encrypted.server.fresh()
    for file in ("carol.key", "carol.crt"):
        shutil.copyfile(encrypted.file(file), tmp_path / file)
        (tmp_path / file).chmod(0o600)
    services = tmp_path / "services"
    services.write_text(
        f"[log]\nhost=localhost\nport={encrypted.server.port}\ndbname={name}\nuser=carol\nsslmode=verify-full\n"
        f"sslrootcert={encrypted.authority}\nsslcert={tmp_path}/carol.crt\nsslkey={tmp_path}/carol.key\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    log = open_shared(tmp_path / "a" / "log", "service=log")
    note(log)
    log.close()
    found = health.examine("service=log")
    assert (found.encrypted, found.may_append, found.may_change) == (True, True, False)
    assert found.place == f"localhost:{encrypted.server.port}/{name}"
    with pytest.raises(LogUnreachable, match="service"):
        Database("service=none").connection()


# -- several servers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["url", "service"])
def test_a_second_server_is_found_behind_one_that_is_silent(
    postgres: Any, database: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = psycopg.conninfo.conninfo_to_dict(database)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / ".s.PGSQL.5432"))
        silent.listen()  # as a machine that died is: it takes the connection for all that one sees, and says nothing
        servers = f"{tmp_path},{postgres.folder}"
        words = {"host": servers, "port": f"5432,{postgres.port}", "dbname": known["dbname"], "user": "postgres"}
        words |= {"target_session_attrs": "read-write", "connect_timeout": "2"}
        if way == "service":
            (tmp_path / "services").write_text("[log]\n" + "".join(f"{key}={value}\n" for key, value in words.items()))
            monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
            url = "service=log"
        else:
            url = psycopg.conninfo.make_conninfo(**words)
        found = health.examine(url)
        assert found.place == f"{tmp_path}:5432,{postgres.folder}:{postgres.port}/{known['dbname']}"


# -- a pooler --------------------------------------------------------------------------------------------------


@pytest.fixture(params=["transaction", "session"])
def mode(request: pytest.FixtureRequest) -> str:
    """How the pooler lends its connections."""
    return str(request.param)


@pytest.fixture
def pooled(postgres: Any, database: str, mode: str) -> Iterator[str]:
    """The database through pgbouncer."""
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
        f"listen_addr =\nauth_type = trust\nauth_file = {folder}/users\npool_mode = {mode}\n"
        "max_client_conn = 50\ndefault_pool_size = 8\nlogfile =\npidfile =\n"
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


def test_appends_go_through_a_pooler_and_a_deaf_listener_asks_instead(tmp_path: Path, pooled: str, mode: str) -> None:
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
    deaf = mode == "transaction"
    assert log._keeper.polls is deaf
    found = health.examine(pooled)
    assert (found.pooled, found.wakes) == (True, not deaf)
    log.close()
    other.close()
