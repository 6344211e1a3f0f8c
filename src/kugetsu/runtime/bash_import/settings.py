"""The old `config`, `env/` and `pm-agent.md`: settings are parsed, never executed; the files are copied."""

from __future__ import annotations

import os

from kugetsu.host import config, config_file
from kugetsu.host.config import Config
from kugetsu.host.config_file import Entry
from kugetsu.model.errors import BadInput
from kugetsu.model.servers import canonical_host, check_name, check_url
from kugetsu.model.settings import ELSEWHERE, SETTINGS
from kugetsu.redaction.funnel import secrets_among, secrets_of
from kugetsu.runtime.bash_import.model import Naming, PlanBuilder, Record, TakeFile, TakeSetting
from kugetsu.runtime.bash_import.reading import OldDirectory, UnreadableError, decoded, shown
from kugetsu.runtime.env_files import TEMPLATES
from kugetsu.runtime.workspace import Workspace

_FILE = "config"
_SERVERS = "GIT_SERVERS"
_DEFAULT = "DEFAULT_GIT_SERVER"
_PM_PROMPT = "pm-agent.md"


def plan(ws: Workspace, old: OldDirectory, builder: PlanBuilder, in_place: bool) -> Naming:
    """Plan the settings; returns how to read references."""
    if in_place:  # the file is in force here already
        return Naming(ws.config.servers(), ws.config.default_host(), ws.config.source(_DEFAULT))
    values = _values(old, builder)
    here = config.load(ws.paths.config, {})
    for key, value in values.items():
        _plan_setting(builder, here, key, value)
    return _naming(ws.config, values)


def plan_files(ws: Workspace, old: OldDirectory, builder: PlanBuilder) -> None:
    """Plan the copies of the env files and of the PM agent's prompt."""
    for name in builder.names(old, "env", "env file", ".env"):
        _plan_file(old, builder, "env file", f"env/{name}", f"{ws.paths.env}/{name}")
    if old.has(_PM_PROMPT):
        _plan_file(old, builder, "PM prompt", _PM_PROMPT, f"{ws.paths.root}/{_PM_PROMPT}")


def check_in_place(ws: Workspace, old: OldDirectory, warnings: list[str]) -> None:
    """Warn of faults in files that are used where they are: the user fixes them."""
    warnings += ws.config.warnings()
    try:
        names = old.names("env", ".env")
    except UnreadableError as problem:
        warnings.append(f"env/ {problem}")
        return
    for name in names:
        path = f"{ws.paths.env}/{name}"
        try:
            warnings += _faults(old.bytes(f"env/{name}"), f"env/{shown(name)}")
            if os.stat(path).st_mode & 0o077:
                warnings.append(f"env/{shown(name)}: others can read it, so no agent starts: chmod 600 {shown(path)}")
        except UnreadableError as problem:
            warnings.append(f"env/{shown(name)} {problem}")


def secrets(old: OldDirectory) -> list[str]:
    """The secret values in its env files and config, to be removed everywhere else."""
    try:
        paths = [_FILE, *(f"env/{name}" for name in old.names("env", ".env"))]
    except UnreadableError:  # reported where the files are planned
        paths = [_FILE]
    found: list[str] = []
    for path in paths:
        try:
            values = {entry.key: entry.value for entry in config_file.parse(old.text(path), path)}
        except (UnreadableError, BadInput):  # as above
            continue
        found += secrets_among(values) if path != _FILE else secrets_of(values)
    return found


def untouched_template(path: str) -> bool:
    """Whether a file is exactly as `init` wrote it."""
    template = TEMPLATES.get(os.path.basename(path))
    if template is None:
        return False
    try:
        with open(path, "rb") as file:
            return file.read(len(template.encode()) + 1) == template.encode()
    except OSError:
        return False


def _values(old: OldDirectory, builder: PlanBuilder) -> dict[str, str]:
    """The values that the old file sets; {} if it cannot be understood."""
    if not old.has(_FILE):
        return {}
    try:
        text = old.text(_FILE)
    except UnreadableError as problem:
        builder.left(_FILE, "config", str(problem))
        return {}
    entries, nonsense = config_file.read_leniently(text)
    if nonsense:
        # One line of a script may decide on all the others (if, source): without running it no value is sure.
        numbers = [str(problem.line) for problem in nonsense]
        reason = f"line {numbers[0]} is not KEY=VALUE, and it is not executed: set its value with kugetsu config set"
        if len(numbers) > 1:
            which = f"lines {', '.join(numbers)} are not KEY=VALUE, and they are not executed"
            reason = f"{which}: set their values with kugetsu config set"
        builder.unclear(Record(_FILE, "config", {"text": text}), reason)
        return {}
    values: dict[str, str] = {}
    servers: dict[str, str] = {}
    for entry in entries:
        if entry.index is None:
            values[entry.key] = entry.value
        else:
            _add_server(builder, servers, entry)
    if servers:
        values[_SERVERS] = " ".join([values.get(_SERVERS, ""), *(f"{name}={url}" for name, url in servers.items())])
        values[_SERVERS] = values[_SERVERS].strip()
    return values


def _add_server(builder: PlanBuilder, servers: dict[str, str], entry: Entry) -> None:
    name = f"{_SERVERS}[{entry.index}]"
    try:
        servers[check_name(entry.index or "")] = check_url(entry.value)
    except ValueError as problem:
        builder.unclear(Record(_FILE, "setting", {name: entry.value}), f"{name}: {problem}")


def _plan_setting(builder: PlanBuilder, here: Config, key: str, value: str) -> None:
    record = Record(_FILE, "setting", {key: value})
    if key in ELSEWHERE or secrets_of({key: value}):
        place = ELSEWHERE.get(key, "put it in env/default.env, which only its owner can read")
        if key == "KUGETSU_DIR":
            builder.kept(record, f"{key} is not imported: {place}")
        else:
            builder.unclear(record, f"{key} is a secret and is not imported: {place}")
        return
    setting = SETTINGS.get(key)
    if setting is None:
        builder.kept(record, f"{key} is not a setting here")
        return
    if _needs_a_shell(value):
        builder.unclear(record, f"{key} is set by shell code, which is not executed: kugetsu config set {key} VALUE")
        return
    try:
        setting.read(value)
    except ValueError as problem:
        builder.unclear(record, f"{key}: {problem}")
        return
    same = here.value(key) == setting.read(value)
    if same and here.source(key) == "default":
        builder.kept(record, f"{key}: it is the default here")
    elif same or here.source(key) == "default":
        # The same: an import that was killed got as far as this, or the user did it.
        builder.taken(record, TakeSetting(key, value), f"{key}={value}")
    else:
        builder.kept(record, f"{key}: your config has {here.as_text(key)}, which stays")


def _needs_a_shell(value: str) -> bool:
    """Whether bash would have changed a value; a home folder in front is understood."""
    for home in ("$HOME", "${HOME}"):
        if value == home or value.startswith(home + "/"):
            value = value[len(home) :]
    return "$" in value or "`" in value


def _naming(now: Config, old: dict[str, str]) -> Naming:
    """Servers and default after the import: settings here stay, else the old file's apply."""
    old_servers = _read_servers(old.get(_SERVERS, ""))
    servers = now.servers() if now.source(_SERVERS) != "default" else old_servers or now.servers()
    default = old.get(_DEFAULT)
    if default and not _needs_a_shell(default):
        host = canonical_host(canonical_host(default, old_servers), servers)
        return Naming(servers, host, "the old config's default server")
    source = now.source(_DEFAULT)
    return Naming(servers, canonical_host(now.text(_DEFAULT), servers), f"{_DEFAULT} here: {source}")


def _read_servers(text: str) -> dict[str, str]:
    try:
        value = SETTINGS[_SERVERS].read(text)
    except ValueError:  # reported where the setting is planned
        return {}
    assert isinstance(value, dict)
    return value


def _plan_file(old: OldDirectory, builder: PlanBuilder, kind: str, source: str, target: str) -> None:
    name = shown(source)
    try:
        content = old.bytes(source)
        if kind == "PM prompt":
            decoded(content)
    except UnreadableError as problem:
        builder.left(name, kind, str(problem))
        return
    # Its content, digest included, stays out of the log: it may be a short secret.
    record = Record(name, kind, {"file": name})
    notes = _faults(content, name) if kind == "env file" else []
    if not os.path.lexists(target) or untouched_template(target) or _same(target, content):
        builder.taken(record, TakeFile(f"{old.path}/{source}", target), f"{name}, readable by its owner only", notes)
    else:
        builder.kept(record, f"{name} already exists and differs: yours stays")


def _same(path: str, content: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(content) + 1) == content
    except OSError:
        return False


def _faults(content: bytes, name: str) -> list[str]:
    """What kugetsu cannot parse in an env file, without quoting it."""
    try:
        config_file.parse(decoded(content), name)
    except UnreadableError as problem:
        return [f"{name} {problem}: fix it before an agent starts"]
    except BadInput as problem:
        line = problem.message.removeprefix(name + ":").partition(":")[0]
        return [f"{name}:{line} is not KEY=VALUE: fix it before an agent starts"]
    return []
