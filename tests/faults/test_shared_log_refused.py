"""The database lets a host in no more while its daemon is at work: it says what to do, nothing that was acknowledged or
is under way is lost, and it goes on by itself when it is let in again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kugetsu.model import clock
from kugetsu.model.errors import LogUnreachable
from kugetsu.runtime import log_sharing
from kugetsu.runtime.doctor import shared_log
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.query import contact
from kugetsu.runtime.workspace import open_workspace
from runtime.stage import UNTIL_GO, Stage
from runtime.supervised import eventually
from runtime.test_membership import bare_stage, enqueue, first, stage

__all__ = ["bare_stage", "first", "stage"]

ROLE = "kugetsu_changing"


@pytest.fixture
def passwords(postgres: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The password file of a role that has to give one."""
    rules = Path(postgres.folder) / "data" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"local all {ROLE} scram-sha-256\n{before}")
    postgres.run("SELECT pg_reload_conf()")
    postgres.run(f"CREATE ROLE {ROLE} LOGIN PASSWORD 'before' IN ROLE kugetsu_writer")
    file = tmp_path / "pgpass"
    file.touch(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    know(file, "before")
    yield file
    rules.write_text(before)
    postgres.run("SELECT pg_reload_conf()")
    postgres.run(f"DROP ROLE {ROLE}")


def know(file: Path, password: str) -> None:
    file.write_text(f"*:*:*:{ROLE}:{password}\n")


def end_connections(postgres: Any) -> None:
    """As the server's restart does: who has a connection keeps it, whatever is changed."""
    postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'")


def test_a_password_changed_and_a_role_revoked_while_an_agent_works(
    first: Stage, database: str, passwords: Path, postgres: Any
) -> None:
    log_sharing.join(first.ws, database.replace("user=postgres", f"user={ROLE}"))
    first.agent(UNTIL_GO)
    first.start_daemon()
    q1 = enqueue(first.ws, 1)
    first.at_work(f"{q1}.1")
    log = first.directory / "logs" / "daemon.log"

    postgres.run(f"ALTER ROLE {ROLE} PASSWORD 'after'")
    end_connections(postgres)
    with pytest.raises(LogUnreachable, match="password authentication failed") as refused:
        enqueue(first.ws, 2)
    assert ".pgpass" in str(refused.value.hint)
    assert eventually(lambda: "password authentication failed" in log.read_text() and ".pgpass" in log.read_text())
    first.go()
    assert eventually(lambda: os.path.exists(first.directory / "runs" / f"{q1}.1" / "ended"))
    know(passwords, "after")
    assert first.finished(q1) == "completed"

    postgres.run(f"REVOKE kugetsu_writer FROM {ROLE}")
    end_connections(postgres)
    with pytest.raises(LogUnreachable) as refused:
        enqueue(first.ws, 2)
    assert f"GRANT kugetsu_writer TO {ROLE}" in str(refused.value.hint)
    assert eventually(lambda: f"GRANT kugetsu_writer TO {ROLE}" in log.read_text())
    postgres.run(f"GRANT kugetsu_writer TO {ROLE}")
    assert first.finished(enqueue(first.ws, 2)) == "completed"
    assert [task.id for task in first.state.tasks.values()] == [q1, "q2"], "nothing that was refused is there"


FULL = """
CREATE FUNCTION kugetsu.no_room() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER no_room BEFORE INSERT ON kugetsu.events FOR EACH STATEMENT EXECUTE FUNCTION kugetsu.no_room()
"""


def test_a_database_that_is_read_and_takes_nothing_is_told(first: Stage, database: str, postgres: Any) -> None:
    """A full disk of the server, as the server says it: it answers, beats get through, and no append does."""

    def told() -> str | None:
        known = contact.known(first.ws.paths, first.state, clock.now())
        return f"{known.lack}: {known.trouble}" if known.lack is not None else None

    def found() -> dict[str, str | None]:
        checked = shared_log.check(Context(first.ws.paths, os.environ, "kugetsu doctor"))
        return {one.name: one.fix for one in checked if one.level == "problem"}

    name = database.rpartition("dbname=")[2]
    first.agent(UNTIL_GO)
    first.start_daemon()
    q1 = enqueue(first.ws, 1)
    first.at_work(f"{q1}.1")
    assert eventually(lambda: contact.known(first.ws.paths, first.state, clock.now()).silent), "the relay is there"
    postgres.run(FULL, name)
    command = open_workspace({**os.environ, "KUGETSU_DIR": str(first.directory)}, "kugetsu")  # through the relay
    with pytest.raises(LogUnreachable, match="is full"):
        enqueue(command, 2)
    command.close()
    assert eventually(lambda: (told() or "").startswith("refused: the disk of the database is full"))
    assert found() == {"appends": "free space there, then try again"}
    first.go()
    postgres.run("DROP TRIGGER no_room ON kugetsu.events", name)
    assert first.finished(q1) == "completed"
    assert eventually(lambda: told() is None) and found() == {}
