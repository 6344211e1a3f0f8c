"""`kugetsu server`: the git servers, as GIT_SERVERS and DEFAULT_GIT_SERVER of the file `config` name them."""

from __future__ import annotations

import os
from typing import Any

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.cli.settings import file_of, warn_of_environment, write
from kugetsu.forge.choice import GITHUB_HOST, forge_of
from kugetsu.forge.failures import ForgeFailure
from kugetsu.host.config import Config, load
from kugetsu.host.proxies import checked_ca
from kugetsu.model.errors import BadInput, Conflict, NotFound
from kugetsu.model.servers import (
    LOCAL,
    base_url,
    canonical_host,
    check_name,
    check_new_name,
    check_new_url,
    is_host_like,
)
from kugetsu.redaction.funnel import redact
from kugetsu.runtime.env_files import in_force, values
from kugetsu.views.tables import Column, table
from kugetsu.views.text import line

SERVERS = "GIT_SERVERS"
DEFAULT = "DEFAULT_GIT_SERVER"
AUTHORITIES = "GIT_SERVER_CA"
#: What stands where a server's URL would.
FOLDERS = "folders on this machine"


def _list_arguments(parser: Parser) -> None:
    parser.json()


def _list(call: Call) -> int:
    call.ready()
    config = call.workspace.config
    servers = config.servers()
    rows = [_described(call, name, url) for name, url in servers.items()]
    default = config.default_host()
    if not any(row["host"] == default for row in rows):
        rows.insert(0, {**_described(call, default, _below(default, servers)), "named": False})
    data = {"servers": rows, "default": default, "source": config.source(SERVERS)}
    heads = [Column("SERVER"), Column("URL"), Column("KIND"), Column("TOKEN", gives=True), Column("")]
    shown = [
        [
            line(row["name"]),
            line(row["url"] or FOLDERS),
            row["kind"] or "-",
            line(_token(row)),
            "default" if row["default"] else "",
        ]
        for row in rows
    ]
    call.show(data, [] if call.json else table(call.screen, heads, shown))
    if not call.json:
        problems = dict.fromkeys(line(f"{row['name']}: {row['problem']}") for row in rows if row["problem"])
        call.note(*(f"the token is not used: {problem}" for problem in problems), words=True)
    if not call.json and not servers:
        call.note("add a server: kugetsu server add NAME URL")

    warn_of_environment(call, SERVERS)
    return 0


def _below(host: str, servers: dict[str, str]) -> str | None:
    """What a host's repositories lie below; None for the folders of this machine."""
    return None if host == LOCAL and LOCAL not in servers else base_url(host, servers)


def _described(call: Call, name: str, url: str | None) -> dict[str, Any]:
    """One server: its host in references, its kind, and whether there is a token for it; never the token."""
    config = call.workspace.config
    servers = config.servers()
    host = canonical_host(name, servers)
    row = {"name": name, "url": url, "host": host, "kind": _kind(config, host, url), "token": False}
    row |= {"variable": None, "file": None, "problem": None, "default": host == config.default_host(), "named": True}
    authorities = config.mapping(AUTHORITIES)
    row["ca"] = authorities.get(name) or authorities.get(host)
    if row["kind"] is None:
        return row

    try:
        row["file"], _ = in_force(call.workspace.paths, "forge")
        kinds, default = config.mapping("FORGE_KINDS"), config.default_host()
        forge = forge_of(host, servers, kinds, values(call.workspace.paths, "forge"), default_host=default)
        row["token"] = forge.authenticated
        row["variable"] = forge.access.removeprefix("with ") if forge.authenticated else None
        row["problem"] = forge.access.partition(": ")[2] or None
    except (BadInput, ForgeFailure) as problem:
        row["problem"] = problem.message
    row["file"] = row["file"] if row["token"] else None
    return row


def _kind(config: Config, host: str, url: str | None) -> str | None:
    """gitea, forgejo or github; None for what is only a place to clone from."""
    if host == GITHUB_HOST:
        return "github"
    if url is None or url.startswith(("/", "file:", "git:")):
        return None
    return config.mapping("FORGE_KINDS").get(host, "gitea")


def _token(row: dict[str, Any]) -> str:
    if row["token"]:
        return f"{row['variable']} in {row['file']}"
    return "not used" if row["problem"] else "none" if row["kind"] else "-"


def _add_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("name", metavar="NAME", help="the host as in references, or a short name")
    parser.add_argument("url", metavar="URL", help="the URL above its repositories: https://git.example.com")
    parser.add_argument("--force", action="store_true", help="replace the URL of an existing name")
    parser.add_argument(
        "--ca",
        metavar="FILE",
        completes="file",
        help="the certificate authority of its certificate ('': none)",
    )


def _add(call: Call) -> int:
    name, url = _name(call.args.name, new=True), _url(call.args.url)
    if name == LOCAL:
        raise BadInput(f"{LOCAL} means the folders on this machine", "choose another name")
    servers = _written(call).servers()
    old = servers.get(name)
    if old is not None and old != url and not call.args.force:
        raise Conflict(f"{name} is already {old}", hint=f"kugetsu server add --force {name} {url}")
    ca = _authority(call.args.ca)  # before anything is written: a file that cannot be used is refused
    seq = None if old == url else _write(call, SERVERS, {**servers, name: url})
    if ca is not None:
        _write_authority(call, name, ca)
    data = {"name": name, "url": url, "old": old, "ca": _written(call).mapping(AUTHORITIES).get(name), "seq": seq}
    call.show(data, [f"{name} is {url}{'' if seq else ' already'}{f', its authority {ca}' if ca else ''}"])
    call.note_undo_of(seq)
    _warn(call, SERVERS)
    return 0


def _authority(path: str | None) -> str | None:
    """The whole path of a file of certificates, empty for none. Raises BadInput for one that cannot be used."""
    if not path:
        return path
    path = os.path.abspath(os.path.expanduser(path))
    if any(c in " ," or not c.isprintable() for c in path):
        raise BadInput(f"{path!r} contains characters that the file `config` cannot hold", "copy it to another path")
    return checked_ca(path)


def _write_authority(call: Call, name: str, path: str) -> None:
    """Set or (empty) remove the authority of a server."""
    authorities = _written(call).mapping(AUTHORITIES)
    rest = {other: file for other, file in authorities.items() if other != name}
    new = {**rest, name: path} if path else rest
    if new != authorities:
        _write(call, AUTHORITIES, new)


def _remove_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("name", metavar="NAME", completes="server", help="the server's name")


def _remove(call: Call) -> int:
    name = _name(call.args.name)
    config = _written(call)
    servers = config.servers()
    if name not in servers:
        raise NotFound(f"{name} is not a server in {SERVERS}", hint=_those(servers))
    rest = {other: url for other, url in servers.items() if other != name}
    if config.text(DEFAULT).lower() == name or config.default_host() == name:
        raise Conflict(f"{name} is the default server", hint="set another one first: kugetsu server default NAME")
    seq = _write(call, SERVERS, rest)
    _write_authority(call, name, "")
    call.show({"name": name, "url": servers[name], "seq": seq}, [f"removed {name}"])
    call.note_undo_of(seq)
    _warn(call, SERVERS)
    return 0


def _default_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        completes="server",
        help="a server's name, or a host (default: show the current one)",
    )


def _default(call: Call) -> int:
    if call.args.name is None:
        return _show_one(call, call.workspace.config.text(DEFAULT).lower())

    name = _name(call.args.name)
    servers = _written(call).servers()
    if name not in servers and not is_host_like(name):
        raise NotFound(f"unknown server: {name}", hint=f"kugetsu server add {name} URL; {_those(servers)}")
    seq = _write(call, DEFAULT, name)
    call.show(
        {"name": name, "seq": seq},
        [f"the default server is {name}{'' if seq else ' already'}: owner/repo#14 means an issue there"],
    )
    call.note_undo_of(seq)
    _warn(call, DEFAULT)
    return 0


def _get_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        completes="server",
        help="a server's name or host (default: the default server)",
    )


def _get(call: Call) -> int:
    name = _name(call.args.name) if call.args.name is not None else call.workspace.config.text(DEFAULT).lower()
    return _show_one(call, name)


def _show_one(call: Call, name: str) -> int:
    call.ready()
    config = call.workspace.config
    servers = config.servers()
    host = canonical_host(name, servers)
    known = name in servers or host in servers or host == config.default_host()
    if not known and not is_host_like(host):
        raise NotFound(f"unknown server: {name}", hint=f"kugetsu server add {name} URL; {_those(servers)}")
    url = servers.get(name) or _below(host, servers)
    row = {**_described(call, name, url), "named": name in servers}
    if call.args.name is None and name == config.text(DEFAULT).lower() and call.command.startswith("kugetsu server d"):
        call.show(row, [f"{name}  {url or FOLDERS}"], value=True)
    else:
        call.show(row, [url or FOLDERS], value=True)
    return 0


# --- the file -----------------------------------------------------------------------------------------------------


def _name(text: str, *, new: bool = False) -> str:
    try:
        return check_new_name(text) if new else check_name(text)
    except ValueError as problem:
        hint = "letters, digits and . - _ : with a letter or digit first, as git.example.com or home"
        raise BadInput(str(problem), hint) from problem


def _url(text: str) -> str:
    try:
        return check_new_url(text)
    except ValueError as problem:
        raise BadInput(redact(str(problem)), "write it as https://git.example.com") from problem


def _written(call: Call) -> Config:
    """The settings as the file alone says them: what is written must not take over what the environment says."""
    return load(file_of(call), {})


def _write(call: Call, key: str, value: dict[str, str] | str) -> int | None:
    text = value if isinstance(value, str) else " ".join(f"{name}={url}" for name, url in value.items())
    return write(call, key, text)[2]


def _warn(call: Call, key: str) -> None:
    warn_of_environment(call, key)


def _those(servers: dict[str, str]) -> str:
    return f"servers: {', '.join(servers)}" if servers else "no servers yet"


CHANGED = "seq   the event that records it, or null when nothing changed"
ONE = """\
name      its name
url       the URL above its repositories, or null for local, the folders on this machine
host      the host as in references
kind      gitea, forgejo, github, or null for a place to clone from only
token     whether there is a token for it
variable  the variable that holds it, or null
file      the file in env/ that sets it, or null
problem   why an existing token is not used, or null
ca        the file of its certificate authority (GIT_SERVER_CA), or null
default   whether owner/repo#N means it
named     whether it is in GIT_SERVERS"""

COMMANDS = {
    "server list": Command(
        "[--json]",
        "",
        _list_arguments,
        _list,
        json="\n".join(f"servers[].{row}" for row in ONE.splitlines())
        + "\ndefault             the host of owner/repo#N\nsource              where GIT_SERVERS comes from",
        examples="kugetsu server list",
    ),
    "server add": Command(
        "NAME URL [--ca FILE] [--force] [--json]",
        "A NAME that is a host (git.example.com) appears in references; any other (home) is a short form to type.\n"
        "kugetsu requests issues and pull requests from the servers named here, and sends them the token. List GitHub\n"
        "Enterprise in the setting FORGE_KINDS too. Clones and fetches by https also use the token where git's own\n"
        "credential helpers have none that the server accepts.",
        _add_arguments,
        _add,
        json="name  the server's name\nurl   its URL\nold   the URL before, or null\n"
        f"ca    the file of its certificate authority, or null\n{CHANGED}",
        examples="kugetsu server add git.example.com https://git.example.com\n"
        "kugetsu server add home http://192.168.1.5:3000\n"
        "kugetsu server add git.corp https://git.corp --ca /etc/ssl/corp.pem",
        exits=(5,),
    ),
    "server remove": Command(
        "NAME [--json]",
        "",
        _remove_arguments,
        _remove,
        json=f"name  the server's name\nurl   the URL that it had\n{CHANGED}",
        examples="kugetsu server remove home",
        exits=(4, 5),
    ),
    "server default": Command(
        "[NAME] [--json]",
        "",
        _default_arguments,
        _default,
        json=f"name  the server's name\n{CHANGED}\n\nWithout a NAME what kugetsu server get prints.",
        examples="kugetsu server default\nkugetsu server default git.example.com",
        exits=(4,),
    ),
    "server get": Command(
        "[NAME] [--json]", "", _get_arguments, _get, json=ONE, examples="kugetsu server get home", exits=(4,)
    ),
}
