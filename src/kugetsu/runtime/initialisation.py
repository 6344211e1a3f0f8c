"""`kugetsu init`: the directory, settings and templates, base and PM sessions. A second run changes nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from kugetsu import __version__
from kugetsu.agents.protocol import Agent
from kugetsu.domain.decide import sessions as decide
from kugetsu.host.config_file import write_template
from kugetsu.host.ownership import require_not_from_sudo
from kugetsu.model.errors import AgentUnavailable, KugetsuError
from kugetsu.runtime import host_id
from kugetsu.runtime.destroy import destroy
from kugetsu.runtime.env_files import TEMPLATES
from kugetsu.runtime.git import repositories
from kugetsu.runtime.runner import prepare
from kugetsu.runtime.workspace import Workspace


@dataclass(slots=True)
class InitReport:
    """What `init` did. Empty fields: it existed before, except ``repository`` and ``source``, which describe the named
    repository in any case."""

    created: list[str] = field(default_factory=list)
    registered: str | None = None
    repository: str | None = None
    source: dict[str, str] | None = None
    sessions: list[tuple[str, str]] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def initialise(ws: Workspace, *, repo: str | None, force: bool) -> InitReport:
    """Set kugetsu up in its directory. ``repo`` (a path or URL) is registered; ``force`` remakes the base and PM
    sessions and retires the old ones. Raises KugetsuError with the remedy; what was made stays and is not repeated."""
    report = make_directory(ws)
    repository = _register(ws, repo, report)
    _sessions(ws, report, repository, force)
    return report


def make_directory(ws: Workspace) -> InitReport:
    """The directory with its templates and log: everything but the sessions, which need the agent."""
    report = InitReport()
    lay_out(ws, report)
    log_id = os.urandom(16).hex()
    agent_name = ws.config.text("KUGETSU_AGENT")
    if ws.log.transact(lambda state: decide.initialise(state, log_id, __version__, agent_name)):
        report.created.append(ws.paths.log)
    return report


def lay_out(ws: Workspace, report: InitReport) -> None:
    """Create missing folders and commented files. Raises KugetsuError."""
    if not os.path.isdir(ws.paths.root):
        report.created.append(ws.paths.root)
    ws.paths.ensure()
    for folder in (ws.paths.env, ws.paths.worktrees, ws.paths.runs, ws.paths.logs, ws.paths.repositories):
        ws.paths.make(folder)
    if write_template(ws.paths.config):
        report.created.append(ws.paths.config)
    for name, text in TEMPLATES.items():
        _write_new(os.path.join(ws.paths.env, name), text, report)


def _write_new(path: str, text: str, report: InitReport) -> None:
    """Write a missing file, readable by its owner only."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    except OSError as problem:
        raise KugetsuError(f"cannot write {path}: {problem.strerror}", hint="fix its folder") from problem
    with open(fd, "w", encoding="utf-8") as file:
        file.write(text)
    report.created.append(path)


def _register(ws: Workspace, repo: str | None, report: InitReport) -> str | None:
    if repo is None:
        return None
    name, source = repositories.describe(repo, os.getcwd(), ws.config.servers())
    if "path" in source:
        require_not_from_sudo(source["path"])
        if (host := host_id.sharing(ws, ws.state())) is not None:
            source["host"] = host
    if ws.log.transact(lambda state: decide.register(state, name, source)):
        report.registered = name
    report.repository, report.source = name, source
    return name


def _sessions(ws: Workspace, report: InitReport, repository: str | None, force: bool) -> None:
    """The PM session, and the base session of the named repository. A missing agent is a note, not an error: the
    directory is usable, and the first start reports it again."""
    for of in (None, repository) if ws.config_of(repository) is not ws.config else (None,):
        agent = ws.agent("dev", None, of)
        try:
            agent.require()
            agent.prepare_home()
        except AgentUnavailable as problem:
            report.notes.append(f"{problem.message}: the base and PM sessions are created later" + _hint(problem))
            return
        notes = (f"{problem.text} (hint: {problem.hint})" for problem in agent.check())
        report.notes += [note for note in notes if note not in report.notes]
    wanted = ["pm"] + ([decide.base_key(repository)] if repository is not None else [])
    if force:
        bases = [session for session in ws.state().sessions.values() if session.kind == "base"]
        wanted += [base.key for base in bases if base.key not in wanted and host_id.is_own(ws, base.host)]
        _retire(ws, report, wanted)
    for key in wanted:
        of = decide.repository_of_base(key)  # `pm` is of no repository
        _make(ws, ws.agent("pm" if key == "pm" else "dev", None, of), key, report)


def _hint(problem: KugetsuError) -> str:
    return f" (hint: {problem.hint})" if problem.hint else ""


def _retire(ws: Workspace, report: InitReport, keys: list[str]) -> None:
    for key in keys:
        session = ws.state().sessions.get(key)
        if session is not None and host_id.is_own(ws, session.host):
            destroy(ws, key, force=True, reason="init --force")
            report.retired.append(f"{key} {session.agent_session}")


def _make(ws: Workspace, agent: Agent, key: str, report: InitReport) -> None:
    known = ws.state().sessions.get(key)
    before = known.agent_session if known is not None else None
    if known is not None and known.state == "working":
        return  # there, and in use
    if key == "pm":
        prepare.prepare_pm(ws, agent)
    else:
        name = decide.repository_of_base(key)
        registered = host_id.repositories(ws, ws.state())
        repository = repositories.resolve(name, ws.paths, registered=registered, servers=ws.config.servers())
        prepare.ensure_base(ws, agent, repository)
    made = ws.state().sessions[key].agent_session
    if made is not None and made != before:
        report.sessions.append((key, made))
