"""What helps when the database of a shared log refuses: a statement, by its code; a connection, by the words of libpq
and the server, which have no codes at that point."""

from __future__ import annotations

import re

from kugetsu.model.errors import Conflict, KugetsuError, LogDiverged, LogUnreachable, LogWriteFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

USUAL = "the server's own log may say more; `kugetsu doctor` looks closer; commands that only read show the mirror here"

_ANSWERS: dict[str, tuple[type[KugetsuError], str, str]] = {
    "KG001": (
        LogDiverged,
        "the shared log's database is not the log that this host has read: its end was lost, or it is another one",
        "nothing was appended; an old primary that is back beside the promoted standby has to go, and after a restore "
        "or a failover `kugetsu log push` gives the database what this host still has: kugetsu help many-hosts",
    ),
    "KG003": (LogWriteFailed, "the shared log refused the lines", "`kugetsu log verify` checks this host's mirror"),
    "KG004": (
        LogWriteFailed,
        "this kugetsu is too old to write to the shared log: its hosts were upgraded",
        "upgrade kugetsu on this host; until then it only reads",
    ),
    "KG005": (
        LogWriteFailed,
        "the shared log was closed: one host took it back into files (`kugetsu log unshare`)",
        "work on that host, or share its log again and join it",
    ),
    "KG006": (Conflict, "the host is not lost", "kugetsu host list"),
    "42883": (
        LogUnreachable,
        "the database's schema is older than this kugetsu",
        "once, as the role that owns the schema kugetsu: kugetsu log migrate URL",
    ),
    "42501": (
        LogUnreachable,
        "the database refuses: this role may not do that",
        "as the owner of the log, or an administrator: GRANT kugetsu_writer TO {role}",
    ),
    "3F000": (LogUnreachable, "the database holds no log of kugetsu", "kugetsu log share URL, on the host that has it"),
    "55P03": (
        LogUnreachable,
        "the shared log's head stayed locked by somebody else",
        "SELECT pid, state, query FROM pg_stat_activity shows who; pg_terminate_backend(pid) ends it",
    ),
    "53100": (LogUnreachable, "the disk of the database is full", "free space there, then try again"),
    "25006": (
        LogUnreachable,
        "the database is read-only: a standby, or one being restored",
        "name the primary in the URL: several hosts and target_session_attrs=read-write find it",
    ),
}
_NO_SCHEMA = {"42P01", "42704"}

#: A part of what is said → the remedy; the first that is found counts. ``{user}``, ``{database}``, ``{line}`` (of
#: ~/.pgpass, one for each server) and ``{host}`` are filled in.
_REMEDIES: dict[str, str] = {
    "no password supplied": "put it into ~/.pgpass, mode 0600, as {line} (or PGPASSFILE names another file)",
    "password authentication failed": "correct {line} in ~/.pgpass; or, if the role is new: "
    "CREATE ROLE {user} LOGIN PASSWORD '…' IN ROLE kugetsu_writer",
    "no pg_hba.conf entry": "an administrator of the server lets {user} in from this host: a line of its pg_hba.conf",
    "permission denied for database": "as its owner: GRANT CONNECT ON DATABASE {database} TO {user}",
    "is not permitted to log in": "as an administrator: ALTER ROLE {user} LOGIN",
    "role": "correct the user in the URL, or as an administrator: "
    "CREATE ROLE {user} LOGIN PASSWORD '…' IN ROLE kugetsu_writer",
    "database": "correct the database in the URL, or make it first: kugetsu help many-hosts",
    "root certificate": "put the certificate of the server's authority there, or name its file: sslrootcert=FILE "
    "(sslrootcert=system: those of this machine); sslmode=require encrypts without that check",
    "certificate": "check the certificate of {host} (its dates, its names), and what sslrootcert names; "
    "sslmode=require encrypts without that check",
    "session is read-only": "none of {host} takes writes: promote the standby, or start the primary",
    "of service": "correct the service in the URL, or its file: ~/.pg_service.conf, or what PGSERVICEFILE names",
    "service file": "correct PGSERVICEFILE, or make that file",
    "does not support SSL": "switch ssl on at the server, or take sslmode out of the URL (then whoever is on the "
    "network reads the log)",
    "invalid response to SSL": "check host and port in the URL: what answers there is not PostgreSQL",
    "resolve": "correct the host in the URL: this machine knows no {host}",
    "connection refused": "check host and port in the URL, that the server runs, and that it listens to other "
    "machines (listen_addresses)",
    "no such file": "name the host in the URL; or start the server, if it is this machine's",
    "timeout": "check host and port in the URL, and the firewalls in between",
    "no route": "check the network to {host}",
    "unreachable": "check the network to {host}",
    "closed the connection": "check the network to {host}, and that the server runs: its own log says more",
}
_ONLY_WITH = {"role": "does not exist", "database": "does not exist"}
_OF_EACH = re.compile(r"- host: '([^']*)', port: (?:'(\d*)'|None), hostaddr: \S+: (.*?)(?=\s- host: |\Z)", re.DOTALL)
"""A server and what it said, in what the driver says of several."""
_SUPPOSED = (" Is the server running", " This probably means", " Either provide the file")
_FINAL = ("no password supplied", "certificate", "does not support SSL", "of service", "service file")


def servers(known: Mapping[str, Any], unnamed: str = "localhost") -> list[tuple[str, str]]:
    """The servers that a connection's parameters name, each with its port ("" for the usual one)."""
    hosts = str(known.get("host") or known.get("hostaddr") or unnamed).split(",")
    ports = str(known.get("port") or "").split(",")
    return list(zip(hosts, ports if len(ports) == len(hosts) else ports[:1] * len(hosts), strict=True))


def shortened(said: str) -> str:
    """What kept a connection from being made, or broke it, without the address that libpq repeats before it and what it
    supposes after it; of several servers what each of them said."""
    each = _OF_EACH.findall(said)
    if each:
        return "; ".join(f"{server}{port and f':{port}'}: {_cause(more)}" for server, port, more in each)
    return _cause(said)


def _cause(said: str) -> str:
    cause = " ".join(said.split()).rpartition(" failed: ")[2].removeprefix("FATAL: ")
    for supposed in _SUPPOSED:
        cause = cause.partition(supposed)[0]
    return cause.strip()


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
        "line": " and ".join(
            f"{server}:{port or 5432}:{known.get('dbname') or '*'}:{known.get('user') or '*'}:…"
            for server, port in dict.fromkeys(servers(known))
        ),
    }
    text = said.casefold()
    for words, remedy in _REMEDIES.items():
        if words.casefold() in text and _ONLY_WITH.get(words, "") in text:
            return remedy.format_map(filled)
    return USUAL


def of_code(code: str, place: str, role: str, said: str = "") -> KugetsuError:
    """The error for a statement that the database at ``place`` refused to ``role``; ``said`` is what it said of it."""
    known = _ANSWERS.get("3F000" if code in _NO_SCHEMA else code)
    if known is None:
        return LogUnreachable(
            f"the shared log's database refused ({code or 'no code'}): {said}",
            "its own log says more; `kugetsu doctor` looks closer",
        )
    kind, message, hint = known
    return kind(f"{message}: {place}{f' ({said})' if said else ''}", hint.format(role=role))
