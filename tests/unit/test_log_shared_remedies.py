"""The remedies for a database that refuses a connection: by what libpq and the server really say."""

from __future__ import annotations

import pytest

from kugetsu.log.shared import remedies

KNOWN = {"host": "db", "port": "5433", "dbname": "kug", "user": "kb"}
AT = 'connection failed: connection to server at "10.0.0.1", port 5433 failed: '


@pytest.mark.parametrize(
    ("said", "short", "remedy"),
    [
        (f"{AT}fe_sendauth: no password supplied", "fe_sendauth: no password supplied", "db:5433:kug:kb:…"),
        (
            f'{AT}FATAL: password authentication failed for user "kb"',
            'password authentication failed for user "kb"',
            "correct db:5433:kug:kb:…",
        ),
        (f'{AT}FATAL: role "kb" does not exist', 'role "kb" does not exist', "CREATE ROLE kb LOGIN"),
        (f'{AT}FATAL: database "kug" does not exist', 'database "kug" does not exist', "correct the database"),
        (
            f'{AT}FATAL: permission denied for database "kug" DETAIL: User does not have CONNECT privilege.',
            'permission denied for database "kug" DETAIL: User does not have CONNECT privilege.',
            "GRANT CONNECT ON DATABASE kug TO kb",
        ),
        (f'{AT}FATAL: role "kb" is not permitted to log in', 'role "kb" is not permitted to log in', "ALTER ROLE kb"),
        (
            f"{AT}Connection refused Is the server running on that host and accepting TCP/IP connections?",
            "Connection refused",
            "listen_addresses",
        ),
        (
            f"{AT}server does not support SSL, but SSL was required",
            "server does not support SSL, but SSL was required",
            "switch ssl on",
        ),
        (
            'connection is bad: root certificate file "/root/root.crt" does not exist Either provide the file …',
            'connection is bad: root certificate file "/root/root.crt" does not exist',
            "sslrootcert=system",
        ),
        (
            "failed to resolve host 'db': [Errno -2] Name or service not known",
            "failed to resolve host 'db': [Errno -2] Name or service not known",
            "this machine knows no db",
        ),
        ("connection timeout expired", "connection timeout expired", "the firewalls"),
        (
            f'{AT}FATAL: no pg_hba.conf entry for host "10.0.0.2", user "kb", database "kug", no encryption',
            'no pg_hba.conf entry for host "10.0.0.2", user "kb", database "kug", no encryption',
            "pg_hba.conf",
        ),
        (
            "consuming input failed: server closed the connection unexpectedly This probably means the server …",
            "server closed the connection unexpectedly",
            "check the network to db",
        ),
        ("something else", "something else", "kugetsu doctor"),
    ],
)
def test_what_is_said_has_a_remedy(said: str, short: str, remedy: str) -> None:
    assert remedies.shortened(said) == short
    assert remedy in remedies.of_connection(said, KNOWN)


_READ_ONLY = "connection failed: session is read-only"
_REFUSED = (
    'connection failed: connection to server at "10.0.0.1", port 5432 failed: Connection refused Is the server running'
)


def test_of_several_servers_all_that_is_said_is_shown() -> None:
    said = (
        f"{_READ_ONLY}\nMultiple connection attempts failed. All failures were:\n"
        f"- host: 'a', port: None, hostaddr: '10.0.0.1': {_REFUSED}\n"
        f"- host: '::1', port: '5433', hostaddr: '::1': {_READ_ONLY}"
    )
    assert remedies.shortened(said) == "a: Connection refused; ::1:5433: session is read-only"
    assert "promote" in remedies.of_connection(said, {**KNOWN, "host": "a,::1", "port": ",5433"})


@pytest.mark.parametrize(
    ("known", "lines"),
    [
        ({"host": "a,b"}, "a:5432:k:me:… and b:5432:k:me:…"),
        ({"host": "a,b", "port": "5433"}, "a:5433:k:me:… and b:5433:k:me:…"),
        ({"host": "a,b", "port": ",5433"}, "a:5432:k:me:… and b:5433:k:me:…"),
        ({}, "localhost:5432:k:me:…"),
    ],
)
def test_each_server_has_its_line_of_passwords(known: dict[str, str], lines: str) -> None:
    remedy = remedies.of_connection("fe_sendauth: no password supplied", {"dbname": "k", "user": "me", **known})
    assert f"as {lines} (or" in remedy
