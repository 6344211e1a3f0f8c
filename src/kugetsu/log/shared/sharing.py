"""A log goes from files into a database and back, and a host joins one: every line, seq and digest stays.

Each step may be done again after a crash in the middle: what the database has already is compared, and not sent twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from kugetsu.log.files.append import Appender
from kugetsu.log.files.reader import read_lines
from kugetsu.log.files.segments import SEGMENT_BYTES, Head, first_seqs, is_shared, locate
from kugetsu.log.files.verify import verify
from kugetsu.log.projection import Projection
from kugetsu.log.shared import marker, schema
from kugetsu.log.shared.connection import parameters
from kugetsu.log.shared.driver import psycopg
from kugetsu.log.shared.marker import Marker
from kugetsu.log.shared.mirror import Mirror, diverged, pull
from kugetsu.log.shared.postgres import Database
from kugetsu.log.shared.schema import Migrated
from kugetsu.model.errors import BadInput, Conflict, KugetsuError, LogDamaged, LogDiverged, LogUnreachable


def share(directory: str, url: str, projection: Projection[Any]) -> tuple[Migrated, Head]:
    """Bring the log in the files of ``directory`` into the database; from then on they are its mirror.

    The database's log must be empty, or a beginning of this one (`unshare` leaves such a one). What the schema became,
    and the head of the shared log. Raises Conflict, LogDamaged, LogUnreachable, LogDiverged, LogWriteFailed.
    """
    if is_shared(directory):
        raise Conflict("the log is shared already", "kugetsu doctor; another URL for it: kugetsu init --join URL")
    checked = verify(directory, projection, None)
    if not checked.ok:
        raise LogDamaged("not shared: the log does not verify", "kugetsu log verify")
    if checked.torn is not None:
        raise LogDamaged("not shared: an unfinished write is at the log's end", "kugetsu log repair")
    database = Database(url)
    try:
        migrated = schema.migrate(database)
        connection = database.connection()
        try:
            files = Appender(directory, SEGMENT_BYTES)
            files.acquire()  # nobody on this host appends until the marker says where to
            try:
                with connection.transaction():
                    at = _locked_head(connection)
                    try:
                        _require_a_beginning(directory, at, checked.head)
                    except LogDiverged as other:
                        raise Conflict(
                            f"not shared: the database holds another log already, of {at.seq} events",
                            "to take part in that one, with another KUGETSU_DIR: kugetsu init --join URL; "
                            "this one needs a database of its own",
                        ) from other
                    at = _copy(connection, directory, at)
                    connection.execute("UPDATE kugetsu.head SET seq = %s, sha = %s", (at.seq, at.sha))
                    connection.execute("UPDATE kugetsu.meta SET closed = false")
                # Only now: without the marker a second try finds it all there, a marker without the events would lead
                # nowhere.
                marker.write(directory, Marker(url))
            finally:
                files.release()
                files.close()
        except psycopg.Error as error:
            raise _refused(database, error) from error
        return migrated, at
    finally:
        database.close()


def unshare(directory: str) -> Head:
    """Take the log back into files: the mirror is brought up to date, the database closed for every host, and the
    marker removed. The database keeps what it has.

    Raises Conflict, LogUnreachable, LogDiverged, LogDamaged, LogWriteFailed.
    """
    found = _marker(directory)
    database = Database(found.url)
    mirror = Mirror(directory)
    try:
        pull(mirror, database)
        connection = database.connection()
        try:
            with connection.transaction():
                _locked_head(connection)  # nobody appends from here on
                connection.execute("UPDATE kugetsu.meta SET closed = true")
            # Behind the lock, since another session may not see what this one has not committed.
            head = pull(mirror, database)
        except psycopg.Error as error:
            raise _refused(database, error) from error
        marker.remove(directory)
        return head
    finally:
        mirror.close()
        database.close()


def require_owner(directory: str) -> None:
    """Raise LogUnreachable unless the role of a mirror may close the database: before anything is done for it."""
    found = _marker(directory)
    database = Database(found.url)
    try:
        asked = "SELECT has_table_privilege('kugetsu.meta', 'UPDATE') AND has_table_privilege('kugetsu.head', 'UPDATE')"
        (owns,) = database.connection().execute(asked).fetchall()[0]
    except psycopg.Error as error:
        raise _refused(database, error) from error
    finally:
        database.close()
    if not owns:
        raise LogUnreachable(
            "not taken back: this host's role may append, and not close the database",
            "join as the role that owns the schema kugetsu first: kugetsu init --join URL",
        )


def join(directory: str, url: str) -> Head:
    """Make an empty folder the mirror of the log that the database has; its head. Nothing is left behind on failure.

    A mirror that joins again gets the new URL (another role, another address), if it is the same log there, also if its
    end was lost there: see `push`. Raises Conflict, LogUnreachable, LogDiverged, LogDamaged, LogWriteFailed.
    """
    if is_shared(directory):
        return _join_again(directory, url)
    if first_seqs(directory):
        raise Conflict(
            f"{directory} holds a log of its own: only one log can be shared",
            "set KUGETSU_DIR to another directory for this host, or move that folder away",
        )
    database = Database(url)
    try:
        head = database.tail(Head(0, "0" * 32), 1).head
        if not head.seq:
            raise Conflict("the database's log is empty", "kugetsu log share URL, on the host that has the log")
        marker.write(directory, Marker(url))
        mirror = Mirror(directory)
        try:
            return pull(mirror, database)
        except BaseException:
            _clear(directory)
            raise
        finally:
            mirror.close()
    finally:
        database.close()


def _join_again(directory: str, url: str) -> Head:
    database, mirror = Database(url), Mirror(directory)
    try:
        own = mirror.head()
        head = database.tail(own, 1).head
        if head.seq < own.seq:
            _require_a_beginning(directory, head, own)
        else:
            head = pull(mirror, database)
        marker.write(directory, Marker(url))
        return head
    finally:
        mirror.close()
        database.close()


def push(directory: str) -> tuple[int, Head]:
    """Give the database the events that only this host's mirror has, after it lost them (an older backup, a failover to
    a standby that was behind): how many, and its head then.

    Raises LogDiverged if the two have different events: then both are kept, and a person decides. LogUnreachable,
    LogDamaged.
    """
    found = _marker(directory)
    database = Database(found.url)
    pushed = 0
    try:
        head = database.tail(Head(0, "0" * 32), 1).head
        mirror = Mirror(directory)
        try:
            own = mirror.head()
            if head.seq > own.seq:
                own = pull(mirror, database)
            _require_a_beginning(directory, head, own)
        finally:
            mirror.close()
        at = head
        for transaction in transactions_after(directory, at.seq):
            missing = database.append(at, transaction, held=False)
            if missing is not None:
                if missing[: len(transaction)] != transaction:
                    raise diverged(at.seq)
            else:
                pushed += len(transaction)
            at = Head(at.seq + len(transaction), transaction[-1][-34:-2].decode())
        return pushed, at
    finally:
        database.close()


def transactions_after(directory: str, seq: int) -> Iterator[list[bytes]]:
    """The transactions of a folder after event ``seq``, as lines."""
    transaction: list[bytes] = []
    for event, line in read_lines(directory, seq, None):
        transaction.append(line)
        if "more" not in event:
            yield transaction
            transaction = []


def url_from(text: str, read: Any) -> str:
    """The URL of an argument; ``-`` reads it from ``read``, a file. Raises BadInput for one that shows its password.

    A password in an argument is seen by everybody on the machine, and stays in the shell's history.
    """
    typed = text != "-"
    url = text if typed else read.readline().strip()
    if typed and parameters(url).get("password"):
        raise BadInput(
            "a password in an argument is shown by ps and kept in the shell's history",
            "put it into ~/.pgpass (PGPASSFILE) or a service file, or give the URL as a line of stdin: "
            "kugetsu log share -",
        )
    if not url:
        raise BadInput(
            "the URL of the shared log is empty",
            "postgresql://user@host:5432/database?sslmode=verify-full, without a password: that goes to ~/.pgpass",
        )
    parameters(url)
    return url


def _marker(directory: str) -> Marker:
    found = marker.read(directory)
    if found is None:
        raise Conflict("the log is not shared: it is in files, on this host only", "kugetsu log share URL")
    return found


def _locked_head(connection: psycopg.Connection[Any]) -> Head:
    seq, sha = connection.execute("SELECT seq, sha FROM kugetsu.head FOR UPDATE").fetchall()[0]
    return Head(seq, sha)


def _require_a_beginning(directory: str, head: Head, own: Head) -> None:
    """Raise LogDiverged unless the folder has the database's last event, at its place."""
    if not head.seq:
        return
    event = next(iter(read_lines(directory, head.seq - 1, head.seq)), None) if head.seq <= own.seq else None
    if event is None or event[0]["sha"] != head.sha:
        raise diverged(min(head.seq - 1, own.seq), f"the database holds another log; its head is {head}")


def _copy(connection: psycopg.Connection[Any], directory: str, at: Head) -> Head:
    """Copy the whole transactions after ``at``; the head then."""
    if locate(directory, at.seq) is None:
        return at
    with connection.cursor().copy("COPY kugetsu.events (seq, line) FROM STDIN") as copy:
        for transaction in transactions_after(directory, at.seq):
            for line in transaction:
                at = Head(at.seq + 1, line[-34:-2].decode())
                copy.write_row((at.seq, line.decode()))
    return at


def _refused(database: Database, error: psycopg.Error) -> KugetsuError:
    known = database.refused(error)
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return LogUnreachable(known.message, schema.NOT_OWNER)
    return known


def _clear(directory: str) -> None:
    """Remove what a join that failed has written."""
    from kugetsu.log.files.segments import name

    marker.remove(directory)
    for first in first_seqs(directory):
        os.unlink(os.path.join(directory, name(first)))
