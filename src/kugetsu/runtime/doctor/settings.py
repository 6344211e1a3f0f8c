"""The file `config` and settings in the environment: readable, known, and consistent."""

from __future__ import annotations

import os
from collections.abc import Iterator

from kugetsu.host.config import Config
from kugetsu.host.config_file import read_file, read_leniently
from kugetsu.host.proxies import checked_ca
from kugetsu.model.errors import BadInput
from kugetsu.model.servers import base_url, canonical_host, names_a_server
from kugetsu.model.settings import SETTINGS
from kugetsu.redaction.funnel import redact, suspicious
from kugetsu.runtime import liveness
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.doctor.finding import Finding, Fix, Found

found = Found("settings")


def check(context: Context) -> Iterator[Finding]:
    """The findings."""
    told = False
    for one in _file(context):
        told = told or one.level != "ok"
        yield one
    if context.config_problem is not None:
        return  # what contradicts itself in the defaults says nothing of the file
    config = context.ws.config
    repositories = (finding for name in config.repositories for finding in _of_repository(config, name))
    for one in (*_contradictions(config), *repositories, *_of_this_shell(context), *_secrets(config)):
        told = True
        yield one
    if not told:
        yield found.ok("file", "every setting is known and valid")


def _file(context: Context) -> Iterator[Finding]:
    path = context.paths.config
    try:
        _, nonsense = read_leniently(read_file(path), sections=True)
    except BadInput as problem:
        yield found.problem("file", problem.message, problem.hint)
        return
    for line in nonsense:
        yield found.problem("file", f"line {line.line} of {path} {line.what}", f"fix or remove line {line.line}")
    if context.config_problem is not None and not nonsense:
        yield found.problem("value", context.config_problem.message, context.config_problem.hint)
    for text in context.ws.config.warnings():
        yield found.warning("unknown", text.removeprefix(context.paths.root + "/"), "fix or remove that line")
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if mode & 0o022:
        repair = Fix(f"chmod go-w {path}", lambda: os.chmod(path, mode & 0o755))
        yield found.warning("mode", f"others can write {path}", f"chmod go-w {path}", repair)


def _contradictions(config: Config) -> Iterator[Finding]:
    yield from _agent(config, used="command" in config.everywhere("KUGETSU_AGENT"))
    yield from _stall(config)
    yield from _servers(config)
    yield from _authorities(config)


def _of_repository(config: Config, name: str) -> Iterator[Finding]:
    """What contradicts itself in the settings of a repository, and not in general."""
    own = config.of(name)
    if any(map(own.is_own, ("KUGETSU_AGENT", "KUGETSU_AGENT_COMMAND"))):
        yield from _agent(own, used=own.text("KUGETSU_AGENT") == "command" or not own.is_own("KUGETSU_AGENT_COMMAND"))
    if any(map(own.is_own, ("TASK_STALL_MINUTES", "TASK_TIMEOUT_HOURS"))):
        yield from _stall(own)
    if own.is_own("MAX_AGENTS_PER_REPOSITORY") and name in config.mapping("REPOSITORY_CAPS"):
        text = f"REPOSITORY_CAPS names {name} without effect: [{name}] has MAX_AGENTS_PER_REPOSITORY"
        yield found.warning("caps", text, f"kugetsu config unset --repo {name} MAX_AGENTS_PER_REPOSITORY")


def _in_section(config: Config) -> tuple[str, str]:
    """What a finding about these settings begins with, and the command that sets one."""
    of = config.repository
    return (f"[{of}]: ", f"kugetsu config set --repo {of}") if of else ("", "kugetsu config set")


def _agent(config: Config, *, used: bool) -> Iterator[Finding]:
    """``used``: whether a command line has an effect."""
    place, put = _in_section(config)
    command = config.text("KUGETSU_AGENT_COMMAND")
    if config.text("KUGETSU_AGENT") == "command" and not command:
        text = f"{place}KUGETSU_AGENT is command, but KUGETSU_AGENT_COMMAND is empty"
        yield found.problem("agent", text, f"{put} KUGETSU_AGENT_COMMAND 'my-agent --flag'")
    if command and not used:
        text = f"{place}KUGETSU_AGENT_COMMAND is set and has no effect: KUGETSU_AGENT is not command"
        yield found.warning("agent", text, f"{put} KUGETSU_AGENT command")


def _stall(config: Config) -> Iterator[Finding]:
    place, put = _in_section(config)
    stall, timeout = config.number("TASK_STALL_MINUTES"), config.number("TASK_TIMEOUT_HOURS") * 60
    if stall >= timeout:
        text = f"{place}TASK_STALL_MINUTES ({stall:g}) never takes effect: TASK_TIMEOUT_HOURS is {timeout:g} min"
        yield found.warning("stall", text, f"{put} TASK_STALL_MINUTES {timeout / 2:g}")


def _of_this_shell(context: Context) -> Iterator[Finding]:
    """Settings from this command's environment that a running daemon does not have."""
    config, state = context.ws.config, context.state()
    there = (liveness.daemon_environment(context.paths, state) if state is not None else None) or {}
    for key in ("MAX_CONCURRENT_AGENTS", "KUGETSU_AGENT", "KUGETSU_MODEL"):
        if config.source(key) == "environment" and there.get(key) != context.environment.get(key):
            text = f"{key} comes from the environment of this command: the daemon has its own"
            yield found.warning("environment", text, f"kugetsu config set {key} {config.as_text(key) or '…'}")


def _authorities(config: Config) -> Iterator[Finding]:
    """The files of GIT_SERVER_CA: with an unusable one every fetch from its server fails."""
    servers = config.servers()
    for server, path in config.mapping("GIT_SERVER_CA").items():
        try:
            checked_ca(path)
        except BadInput as problem:
            url = base_url(canonical_host(server, servers), servers)
            fix = f"kugetsu server add --force {server} {url} --ca FILE"
            yield found.problem("authority", f"{problem.message} (GIT_SERVER_CA, for {server})", fix)


def _servers(config: Config) -> Iterator[Finding]:
    servers = config.servers()
    default = config.text("DEFAULT_GIT_SERVER")
    if not names_a_server(default, servers):
        text = f"DEFAULT_GIT_SERVER is {default}, which is neither a host nor a name of GIT_SERVERS"
        yield found.problem("servers", text, "kugetsu server default HOST")
    known = {canonical_host(name, servers) for name in servers} | {config.default_host()}
    for host in config.mapping("FORGE_KINDS"):
        if canonical_host(host, servers) not in known:
            text = f"FORGE_KINDS names {host}, which is not in GIT_SERVERS"
            yield found.warning("servers", text, f"kugetsu server add {host} https://{host}")


def _secrets(config: Config) -> Iterator[Finding]:
    """Settings are displayed, logged and visible in `ps`: no place for a secret."""
    own = [config.of(name) for name in config.repositories]
    texts = [*config.texts().items(), *((key, one.as_text(key)) for one in own for key in SETTINGS if one.is_own(key))]
    for key, text in texts:
        if suspicious(f"{key}={text}") and _holds_secret(text):
            text = f"{key} seems to hold a secret: settings are displayed, and command lines are visible to others"
            yield found.warning("secret", text, "kugetsu env set NAME, and use $NAME there")


def _holds_secret(text: str) -> bool:
    return redact(text) != text
