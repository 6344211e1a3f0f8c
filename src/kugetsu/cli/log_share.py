"""`kugetsu log share`, `unshare`, `migrate` and `push`: one log for many hosts, in a PostgreSQL database."""

from __future__ import annotations

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.model.plural import counted

_NO_ROLES = (
    "the roles kugetsu_writer and kugetsu_reader were not made: this role may not",
    "hint: let an administrator run roles.sql (kugetsu help many-hosts), or every host logs in as the owner",
)


def _arguments(parser: Parser) -> None:
    parser.json()


def _share_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("url", metavar="URL", help="the database, without a password; - reads the URL from stdin")


def _share(call: Call) -> int:
    from kugetsu.runtime.log_sharing import share

    migrated, head = share(call.workspace, call.args.url)
    data = {"events": head.seq, "sha": head.sha, "schema": migrated.now, "roles": migrated.roles}
    lines = [f"the log is shared: {counted(head.seq, 'event')} in the database, schema {migrated.now}"]
    call.show(data, lines)
    if not call.json:
        if not migrated.roles:
            call.note(*_NO_ROLES)
        call.note("next, on each other host: kugetsu init --join URL")
    return 0


def _unshare(call: Call) -> int:
    from kugetsu.runtime.log_sharing import unshare

    head = unshare(call.workspace)
    call.show(
        {"events": head.seq, "sha": head.sha},
        [f"the log is in the files of this host again: {counted(head.seq, 'event')}"],
    )
    if not call.json:
        call.note("the database keeps its copy and takes no more; other hosts only read")
    return 0


def _migrate(call: Call) -> int:
    from kugetsu.runtime.log_sharing import migrate

    migrated = migrate(call.args.url)
    changed = migrated.now != migrated.before
    said = f"the schema is version {migrated.now}, {f'before {migrated.before}' if changed else 'as before'}"
    call.show({"before": migrated.before, "schema": migrated.now, "roles": migrated.roles}, [said])
    if not call.json and not migrated.roles:
        call.note(*_NO_ROLES)
    return 0


def _push(call: Call) -> int:
    from kugetsu.runtime.log_sharing import push

    pushed, head = push(call.workspace)
    said = f"{counted(pushed, 'event')} given to the database" if pushed else "nothing to give: the database has it all"
    call.show({"pushed": pushed, "events": head.seq, "sha": head.sha}, [said])
    return 0


_HEAD = "events  the last event's number\nsha     its digest"

COMMANDS = {
    "log share": Command(
        "URL [--json]",
        "Checks the log, copies every line into the database and makes this folder its mirror: what reads goes on as\n"
        "before, what is appended goes to the database first. Stop the daemon and let the agents end before. The role\n"
        "of the URL owns the schema kugetsu; hosts log in as roles of their own (GRANT kugetsu_writer TO …). The\n"
        "password goes to ~/.pgpass, or comes with the URL on stdin: then it is kept in log/shared, mode 0600.\n"
        "Needs the driver: pipx install --force '.[hosts]', in kugetsu's checkout.",
        _share_arguments,
        _share,
        json=f"{_HEAD}\nschema  the version of the database's schema\nroles   whether its roles exist now",
        examples="kugetsu log share 'postgresql://kugetsu@db/kugetsu?sslmode=verify-full'\nkugetsu log share - < url",
        exits=(5,),
    ),
    "log unshare": Command(
        "[--json]",
        "Brings the mirror up to date, closes the database for all hosts and makes this folder the log again. No\n"
        "agent may be running, on any host. Digests, seals and numbers stay. Sharing it again later continues there.",
        _arguments,
        _unshare,
        json=_HEAD,
        examples="kugetsu log unshare",
        exits=(5,),
    ),
    "log migrate": Command(
        "URL [--json]",
        "Once after an upgrade that needs it (kugetsu doctor says so), as the role that owns the schema kugetsu.\n"
        "Hosts of the version before go on; what they need is removed a release later.",
        _share_arguments,
        _migrate,
        json="before  the version that it had; 0: there was none\nschema  the version now\n"
        "roles   whether its roles exist now",
        examples="kugetsu log migrate postgresql://kugetsu@db/kugetsu",
    ),
    "log push": Command(
        "[--json]",
        "After the database was restored from an older backup, or failed over to a standby that was behind: appends\n"
        "the events that this host's mirror has and the database lost, line for line. Stop the daemons of all hosts,\n"
        "then run it on each of them, in any order. If the database has other events in their place, nothing is\n"
        "changed.",
        _arguments,
        _push,
        json=f"pushed  number of events given\n{_HEAD}",
        examples="kugetsu log push",
        exits=(5,),
    ),
}
