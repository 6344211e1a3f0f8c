"""What helps when the database of a shared log refuses a connection: by the words of libpq and the server, which have
no codes at that point."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

USUAL = "`kugetsu doctor` looks closer; commands that only read show this host's mirror"

#: A part of what is said → the remedy; the first that is found counts. ``{user}``, ``{database}``, ``{line}`` (of
#: ~/.pgpass) and ``{host}`` are filled in.
_REMEDIES: dict[str, str] = {
    "no password supplied": "put it into ~/.pgpass, mode 0600, as the line {line} (or PGPASSFILE names another file)",
    "password authentication failed": "correct the line {line} in ~/.pgpass; or, if the role is new: "
    "CREATE ROLE {user} LOGIN PASSWORD '…' IN ROLE kugetsu_writer",
    "no pg_hba.conf entry": "an administrator of the server lets {user} in from this host: a line of its pg_hba.conf",
    "permission denied for database": "as its owner: GRANT CONNECT ON DATABASE {database} TO {user}",
    "is not permitted to log in": "as an administrator: ALTER ROLE {user} LOGIN",
    "role": "correct the user in the URL, or as an administrator: "
    "CREATE ROLE {user} LOGIN PASSWORD '…' IN ROLE kugetsu_writer",
    "database": "correct the database in the URL, or make it first: kugetsu help many-hosts",
    "root certificate": "sslrootcert=FILE names the certificate of the authority, sslrootcert=system those of this "
    "machine; sslmode=require encrypts without that check",
    "certificate": "check the certificate of {host}, or what sslrootcert names; sslmode=require encrypts without "
    "that check",
    "of service": "correct the service in the URL, or its file: ~/.pg_service.conf, or what PGSERVICEFILE names",
    "service file": "correct PGSERVICEFILE, or make that file",
    "does not support SSL": "switch ssl on at the server, or take sslmode out of the URL (then whoever is on the "
    "network reads the log)",
    "resolve": "correct the host in the URL: this machine knows no {host}",
    "connection refused": "check host and port in the URL, that the server runs, and that it listens to other "
    "machines (listen_addresses)",
    "no such file": "name the host in the URL; or start the server, if it is this machine's",
    "timeout": "check host and port in the URL, and the firewalls in between",
    "no route": "check the network to {host}",
    "unreachable": "check the network to {host}",
}
_ONLY_WITH = {"role": "does not exist", "database": "does not exist"}
_FINAL = ("no password supplied", "certificate", "does not support SSL", "of service", "service file")


def shortened(said: str) -> str:
    """What kept a connection from being made, or broke it, without the address that libpq repeats before it and what it
    supposes after it; of several hosts all that is said."""
    if said.startswith("Multiple connection"):
        return said
    cause = said.rpartition(" failed: ")[2].removeprefix("FATAL: ")
    return cause.partition(" Is the server running")[0].partition(" This probably means")[0].strip()


def is_final(said: str) -> bool:
    """Whether it says the same however often it is tried, though it is not called fatal."""
    return any(words in said for words in _FINAL)


def of_connection(said: str, known: Mapping[str, Any]) -> str:
    """The remedy for a connection that failed; ``known``: its parameters."""
    host = known.get("host") or known.get("hostaddr") or "localhost"
    filled = {
        "user": known.get("user") or "that role",
        "database": known.get("dbname") or known.get("user") or "that database",
        "host": host,
        "line": f"{host}:{known.get('port') or 5432}:{known.get('dbname') or '*'}:{known.get('user') or '*'}:…",
    }
    text = said.casefold()
    for words, remedy in _REMEDIES.items():
        if words.casefold() in text and _ONLY_WITH.get(words, "") in text:
            return remedy.format_map(filled)
    return USUAL
