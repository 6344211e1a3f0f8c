"""`kugetsu env`: the env files with secrets for agents. Values are never shown but by `env get NAME --show`."""

from __future__ import annotations

import os
import sys
from typing import Any

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.host.paths import Paths
from kugetsu.model.errors import BadInput, NotFound, NotSetUp
from kugetsu.runtime import env_files, env_variables
from kugetsu.runtime.doctor.env_files import examine
from kugetsu.runtime.doctor.finding import as_data
from kugetsu.runtime.env_variables import LONGEST, Variable, missed_by
from kugetsu.runtime.workspace import learn_secrets
from kugetsu.views.doctor import finding_lines
from kugetsu.views.tables import Column, table
from kugetsu.views.text import line

#: The word behind --agent, and the file that it names.
AGENTS = {
    "default": "default.env",
    "dev": "dev.env",
    "pm-agent": "pm-agent.env",
    "notify": "notify.env",
    "forge": "forge.env",
}
_KINDS = {"dev": "dev", "pm-agent": "pm", "notify": "notify", "forge": "forge"}
_SHOWN = {kind: agent for agent, kind in _KINDS.items()}

ABOUT = """\
The files are in KUGETSU_DIR/env, readable by their owner only. Agents get dev.env (on issues) or pm-agent.env (the
PM), else default.env: a file that sets anything replaces the default one.
notify.env (else default.env) is for notifications, forge.env (else dev.env, else default.env) for kugetsu's own
requests to a server."""


def _arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("--agent", metavar="AGENT", completes="env-agent", help=f"one of {', '.join(AGENTS)}")


def _named(parser: Parser) -> None:
    _arguments(parser)
    parser.add_argument("name", metavar="NAME", completes="variable", help="the variable's name")


def _get_arguments(parser: Parser) -> None:
    _named(parser)
    parser.add_argument("--show", action="store_true", help="print the value itself")


def _set_arguments(parser: Parser) -> None:
    _named(parser)
    parser.add_argument(
        "value", metavar="VALUE", nargs="?", help="its value (default: ask for it, or read it from standard input)"
    )


def _agent(call: Call) -> str | None:
    agent: str | None = call.args.agent
    if agent is None:
        return None
    agent = "pm-agent" if agent == "pm" else agent
    if agent not in AGENTS:
        raise BadInput(f"no env file for {agent[:40]!r}", f"--agent takes one of: {', '.join(AGENTS)}")
    return agent


def _paths(call: Call) -> Paths:
    """The paths, without the settings: a file `config` that is broken must not keep a secret from being set."""
    paths = Paths.of(call.environment)
    learn_secrets(paths, call.environment)
    return paths


# --- looking ------------------------------------------------------------------------------------------------------


def _list(call: Call) -> int:
    agent = _agent(call)
    paths = _paths(call)
    found, problems = env_variables.listed(paths)
    if agent is not None:
        kind = _KINDS.get(agent)
        found = [one for one in found if (kind in one.kinds if kind else one.file == AGENTS[agent])]
    call.show(
        {
            "folder": paths.env,
            "variables": [_as_data(one) for one in found],
            "problems": [{"file": name, "text": text} for name, text in problems],
        },
        [] if call.json else _table(call, found),
    )
    if not call.json:
        _warn_of_problems(call, found, problems)
    return 0


def _as_data(one: Variable) -> dict[str, Any]:
    return {
        "name": one.name,
        "file": one.file,
        "characters": len(one.value),
        "for": [_SHOWN[kind] for kind in one.kinds],
        "hidden_from": [_SHOWN[kind] for kind in one.hidden],
    }


def masked(value: str) -> str:
    """What is said of a value that is not shown."""
    return f"set, {len(value)} character{'' if len(value) == 1 else 's'}" if value else "empty"


def _table(call: Call, found: list[Variable]) -> list[str]:
    if not found:
        return ["no variable is set"]
    rows = []
    for one in found:
        kinds = ", ".join(_SHOWN[kind] for kind in one.kinds) or "nobody"
        hidden = ", ".join(_SHOWN[kind] for kind in one.hidden)
        rows.append([line(one.name), one.file, masked(one.value), kinds, hidden])
    heads = [Column("NAME"), Column("FILE"), Column("VALUE"), Column("FOR", gives=True)]
    heads.append(Column("NOT FOR" if any(one.hidden for one in found) else ""))
    return table(call.plain_screen(), heads, rows)


def _warn_of_problems(call: Call, found: list[Variable], problems: list[tuple[str, str]]) -> None:
    call.note(*(line(f"{name}: {text}") for name, text in problems))
    if problems:
        call.note("more: kugetsu env check")
    if not found and not problems:
        call.note("next: kugetsu env set GITEA_TOKEN")
    for file in dict.fromkeys(one.file for one in found if one.hidden):
        kinds = dict.fromkeys(kind for one in found if one.file == file for kind in one.hidden)
        agents = ", ".join(_SHOWN[kind] for kind in kinds)
        call.note(f"a separate file replaces {file} for {agents}: set there what they need", words=True)


def _get(call: Call) -> int:
    agent = _agent(call)
    name = call.args.name
    paths = _paths(call)
    if agent in _KINDS:
        file, values = env_files.in_force(paths, _KINDS[agent])
    else:
        file = AGENTS[agent] if agent is not None else _file_with(paths, name)
        values = env_files.read(os.path.join(paths.env, file)) if file is not None else {}
    if name not in values:
        raise NotFound(f"{name[:80]!r} is not set" + (f" for {agent}" if agent else ""), "kugetsu env list")
    value = values[name]
    if call.args.show and not call.json:
        print(value)  # asked for in so many words: not through the redaction funnel
        return 0
    data: dict[str, Any] = {"name": name, "file": file, "characters": len(value)}
    if call.args.show:
        import orjson

        print(orjson.dumps({**data, "value": value}, option=orjson.OPT_INDENT_2).decode())
        return 0
    call.show(data, [masked(value)])
    if not call.json:
        call.note("--show prints it")
    return 0


def _file_with(paths: Paths, name: str) -> str | None:
    """The only file that sets a name; raises BadInput when there are several."""
    files = [one.file for one in env_variables.listed(paths)[0] if one.name == name]
    if len(files) > 1:
        agents = [agent for agent, file in AGENTS.items() if file in files]
        raise BadInput(f"{name} is set in {' and '.join(files)}", f"choose one: --agent {'|'.join(agents)}")
    return files[0] if files else None


def _path(call: Call) -> int:
    agent = _agent(call)
    paths = _paths(call)
    path = os.path.join(paths.env, AGENTS[agent]) if agent is not None else paths.env
    call.show({"path": path, "exists": os.path.exists(path)}, [path], value=True)
    return 0


def _check(call: Call) -> int:
    agent = _agent(call)
    paths = _paths(call)
    if not os.path.isdir(paths.root):
        raise NotSetUp
    found = examine(paths, [AGENTS[agent]] if agent is not None else None)
    call.show(
        {"findings": [as_data(one) for one in found], "ok": not any(one.level == "problem" for one in found)},
        [] if call.json else finding_lines(found, call.plain_screen()),
    )
    return 1 if any(one.level == "problem" for one in found) else 0


# --- changing -----------------------------------------------------------------------------------------------------


def _set(call: Call) -> int:
    agent = _agent(call) or "default"
    name = env_variables.check_name(call.args.name)
    paths = _paths(call)
    if not paths.exists():
        raise NotSetUp
    value = call.args.value if call.args.value is not None else _read(name)
    file = AGENTS[agent]
    before = env_variables.listed(paths)[0]
    env_variables.write(paths, file, name, value)
    after = env_variables.listed(paths)[0]
    hides = env_variables.newly_hidden(before, after)
    data = {
        "name": name,
        "file": file,
        "characters": len(value),
        "hides": [
            {"name": one.name, "file": one.file, "from": [_SHOWN[kind] for kind in kinds]} for one, kinds in hides
        ],
    }
    call.show(data, [f"{name} is {masked(value)}, in {file}"])
    if not call.json:
        _report_set(call, after, file, name, value)
        _warn_of_hidden(call, agent, hides)
    return 0


def _read(name: str) -> str:
    """The value, from a terminal without echo, else all of standard input without the line's end."""
    if sys.stdin.isatty():
        import getpass

        try:
            return getpass.getpass(f"{name}: ")
        except EOFError:
            return ""
    data = sys.stdin.buffer.read(LONGEST + 2)
    try:
        return data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise BadInput(f"standard input: byte {error.start} is not UTF-8 text", "write the value in UTF-8") from None


def _report_set(call: Call, found: list[Variable], file: str, name: str, value: str) -> None:
    if call.args.value is not None:
        call.note(f"the shell's history may keep it; without VALUE kugetsu asks for it: kugetsu env set {name}")
    if any(c.isspace() for c in value):
        call.note("the value contains white space: check that this is intended")
    for one in found:
        missed = missed_by(name, one.hidden) if (one.file, one.name) == (file, name) else []
        if missed:
            agents = [_SHOWN[kind] for kind in missed]
            call.note(
                f"{', '.join(agents)} will not see it: a separate file replaces {file}",
                f"set it there too: kugetsu env set {name} --agent {agents[0]}",
            )


def _warn_of_hidden(call: Call, agent: str, hides: list[tuple[Variable, list[str]]]) -> None:
    """What the first variable of a file takes away from those whose file it now is."""
    for file in dict.fromkeys(one.file for one, _ in hides):
        missed = {one.name: missed_by(one.name, kinds) for one, kinds in hides if one.file == file}
        names = [name for name, kinds in missed.items() if kinds]
        if not names:
            continue
        agents = ", ".join(dict.fromkeys(_SHOWN[kind] for kinds in missed.values() for kind in kinds))
        are = "is" if len(names) == 1 else "are"
        call.note(
            f"{AGENTS[agent]} now replaces {file} for {agents}: {', '.join(names)} {are} no longer seen there",
            *(f"set it there too: kugetsu env set {name} --agent {agent}" for name in names),
        )


def _unset(call: Call) -> int:
    name = call.args.name
    paths = _paths(call)
    agent = _agent(call)
    file = AGENTS[agent] if agent is not None else _file_with(paths, name)
    if file is None:
        raise NotFound(f"{name[:80]!r} is not set", "kugetsu env list")
    env_variables.take_out(paths, file, name)
    call.show({"name": name, "file": file}, [f"{name} is removed from {file}"])
    return 0


LISTED = """\
folder                   where the env files are
variables[].name         the variable's name
variables[].file         the file that sets it
variables[].characters   how long its value is
variables[].for[]        who gets it: dev, pm-agent, notify, forge
variables[].hidden_from[]  who would get it if a separate file did not replace this one
problems[].file          a file that cannot be read completely
problems[].text          why"""
ONE = "name        the variable's name\nfile        the file that sets it\ncharacters  how long its value is"
HIDES = """\
hides[].name    a variable that the file, which set nothing before, now hides
hides[].file    the file that sets that one
hides[].from[]  whom it is hidden from: dev, pm-agent, notify, forge"""

COMMANDS = {
    "env list": Command(
        "[--agent AGENT] [--json]",
        ABOUT,
        _arguments,
        _list,
        json=LISTED,
        examples="kugetsu env\nkugetsu env list --agent dev  # what agents on issues get",
    ),
    "env get": Command(
        "NAME [--agent AGENT] [--show] [--json]",
        "",
        _get_arguments,
        _get,
        json=f"{ONE}\nvalue       with --show: the value itself",
        examples="kugetsu env get GITEA_TOKEN\nkugetsu env get GITEA_TOKEN --show  # the value itself",
        exits=(4,),
    ),
    "env set": Command(
        "NAME [VALUE] [--agent AGENT] [--json]",
        "Without VALUE kugetsu asks for it without echo, or reads standard input: then no shell history has it.",
        _set_arguments,
        _set,
        json=f"{ONE}\n{HIDES}",
        examples="kugetsu env set GITEA_TOKEN\nkugetsu env set NPM_TOKEN < token.txt  # from a file",
    ),
    "env unset": Command(
        "NAME [--agent AGENT] [--json]",
        "",
        _named,
        _unset,
        json="name  the variable's name\nfile  the file that set it",
        examples="kugetsu env unset NPM_TOKEN",
        exits=(4,),
    ),
    "env path": Command(
        "[--agent AGENT] [--json]",
        "",
        _arguments,
        _path,
        json="path    the folder, or with --agent the file\nexists  whether it exists",
        examples="kugetsu env path --agent dev  # for an editor",
    ),
    "env check": Command(
        "[--agent AGENT] [--json]",
        "Permissions, lines that cannot be read, empty values, names that look wrong. Exits with 1 for a problem.",
        _arguments,
        _check,
        json="ok                 whether no finding is a problem\n"
        "findings[].group   env files\n"
        "findings[].name    the file\n"
        "findings[].level   ok, skipped (not run), warning or problem\n"
        "findings[].text    what was found\n"
        "findings[].fix     the command that repairs it, or null\n"
        "findings[].mends   whether doctor --fix repairs it",
        examples="kugetsu env check",
    ),
}
