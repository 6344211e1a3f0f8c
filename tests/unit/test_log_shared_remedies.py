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
            "correct the line db:5433:kug:kb:…",
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
            'connection is bad: root certificate file "/root/.postgresql/root.crt" does not exist',
            'connection is bad: root certificate file "/root/.postgresql/root.crt" does not exist',
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
            "kugetsu doctor",
        ),
        ("something else", "something else", "kugetsu doctor"),
    ],
)
def test_what_is_said_has_a_remedy(said: str, short: str, remedy: str) -> None:
    assert remedies.shortened(said) == short
    assert remedy in remedies.of_connection(said, KNOWN)


def test_of_several_hosts_all_that_is_said_is_shown() -> None:
    said = "Multiple connection attempts failed. All failures were: - host: 'a' failed: x - host: 'b' failed: y"
    assert remedies.shortened(said) == said
