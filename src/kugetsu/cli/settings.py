"""`kugetsu config`: list, get, set."""

from __future__ import annotations

from contextlib import suppress

from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.domain.decide.sessions import setting_changed
from kugetsu.host.config import Config, load
from kugetsu.host.config_file import set_value, unset_value
from kugetsu.host.paths import Paths
from kugetsu.model.errors import BadInput, NotSetUp
from kugetsu.model.settings import SETTINGS, known, require_servers
from kugetsu.redaction.funnel import redact
from kugetsu.views.tables import Column, table
from kugetsu.views.text import line


def _list_arguments(parser: Parser) -> None:
    parser.json()
    parser.source()


def _in_force(call: Call) -> Config:
    """The settings here, or those that a bundle has. Raises NotFound for a file that has none."""
    if call.foreign is not None:
        call.foreign.require("settings.json")
    return call.workspace.config


def _list(call: Call) -> int:
    config = _in_force(call)
    rows = [(key, config.as_text(key), config.source(key), SETTINGS[key].help) for key in SETTINGS]
    data = {
        "settings": [{"key": key, "value": value, "source": source, "help": help} for key, value, source, help in rows],
        "unknown": [{"key": key, "place": place} for key, place in config.unknown],
        "file": call.workspace.paths.config if call.foreign is None else call.foreign.path,
    }
    heads = [Column("SETTING"), Column("VALUE", gives=True), Column("FROM", gives=True), Column("", gives=True)]
    root = call.workspace.paths.root + "/"
    shown = [
        (key, line(value) or "-", line(source.removeprefix(root)), "" if call.screen.width else help)
        for key, value, source, help in rows
    ]
    call.show(data, [] if call.json else table(call.screen, heads, shown))
    if not call.json:
        call.note(*(line(text) for text in config.warnings()))
    return 0


def _get_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("key", metavar="KEY", completes="setting", help="the setting's name")
    parser.source()


def _get(call: Call) -> int:
    config = _in_force(call)
    setting = known(call.args.key)
    value = config.as_text(setting.key)
    source = config.source(setting.key)
    call.show({"key": setting.key, "value": value, "source": source, "help": setting.help}, [line(value)], value=True)
    return 0


def _set_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("key", metavar="KEY", completes="setting", help="the setting's name")
    parser.add_argument("value", metavar="VALUE", completes="setting-value", help="its value; empty text for none")


def _set(call: Call) -> int:
    key = known(call.args.key).key
    _require_servers(call, key, call.args.value)
    old, new, seq = write(call, key, call.args.value)
    call.show({"key": key, "old": old, "new": new, "seq": seq}, [f"{key}={new or ''}"])
    call.note_undo_of(seq)
    warn_of_environment(call, key)
    return 0


def _unset_arguments(parser: Parser) -> None:
    parser.json()
    parser.add_argument("key", metavar="KEY", completes="setting", help="the setting's name")


def _unset(call: Call) -> int:
    setting = known(call.args.key)
    key = setting.key
    _require_servers(call, key, setting.default)
    old, new, seq = write(call, key, None)
    call.show({"key": key, "old": old, "new": new, "seq": seq}, [f"{key} is {new or 'empty'}, its default"])
    call.note_undo_of(seq)
    warn_of_environment(call, key)
    return 0


def _require_servers(call: Call, key: str, value: str) -> None:
    """Raise BadInput for git servers that `kugetsu server` would refuse too."""
    path = file_of(call)
    servers: dict[str, str] = {}
    default = ""
    for environment in (call.environment, {}):
        try:
            config = load(path, environment)
        except BadInput:  # the file cannot be understood, which is perhaps what this mends
            continue
        servers |= config.servers()
        default = config.text("DEFAULT_GIT_SERVER")
    require_servers(key, value, servers, default)


def write(call: Call, key: str, value: str | None) -> tuple[str | None, str | None, int | None]:
    """Write a setting into the file (None: take it out) and record who did it: the value before, the value now, and the
    event's seq (None when nothing changed). Raises BadInput for a value that it cannot have, LogDamaged before anything
    is written."""
    path = file_of(call)
    _require_log(call)
    old = _written(path, key)
    if value is None:
        unset_value(path, key)
    else:
        set_value(path, key, value)
    new = _written(path, key)
    seq = None
    try:
        seq = _record(call, key, old, new or "")
    except BadInput as problem:  # another line of the file: this one is written all the same
        call.note(f"written, but the file is not usable yet: {problem.message}")
    return old, new, seq


def _require_log(call: Call) -> None:
    """Raise LogDamaged when nothing could be recorded."""
    with suppress(BadInput):  # the file cannot be understood, which is perhaps what this mends
        call.state()


def file_of(call: Call) -> str:
    """The file `config`. Raises NotSetUp where kugetsu is not set up."""
    paths = Paths.of(call.environment)
    if not paths.exists():
        raise NotSetUp
    return paths.config


def warn_of_environment(call: Call, key: str) -> None:
    """Say that what was written has no effect here, when the environment sets the key too."""
    if call.environment.get(key):
        call.note(f"the environment sets {key} too, and it wins here")


def _written(path: str, key: str) -> str | None:
    """The value in force by the file alone; None when the file cannot be understood."""
    try:
        return load(path, {}).as_text(key)
    except BadInput:
        return None


def _record(call: Call, key: str, old: str | None, new: str) -> int | None:
    """Append who changed it; None when nothing changed or there is no log yet."""
    if old == new or not call.state().initialised:
        return None
    before = redact(old) if old is not None else None
    events = call.workspace.log.append(setting_changed(key, before, redact(new)))
    seq: int = events[0]["seq"]
    return seq


COMMANDS = {
    "config list": Command(
        "[--from FILE] [--json]",
        "",
        _list_arguments,
        _list,
        json="""\
settings[].key     its name
settings[].value   its value, as text
settings[].source  where the value comes from: default, environment, or the file and its line
settings[].help    what it does
unknown[].key      a name that is not a setting
unknown[].place    where it is
file               the file `config`, or that of --from""",
        examples="kugetsu config list\nkugetsu config list --from kugetsu.tar.gz  # those in force there",
    ),
    "config get": Command(
        "KEY [--from FILE] [--json]",
        "",
        _get_arguments,
        _get,
        json="key     its name\nvalue   its value, as text\nsource  where the value comes from\nhelp    what it does",
        examples="kugetsu config get MAX_CONCURRENT_AGENTS",
    ),
    "config set": Command(
        "KEY VALUE [--json]",
        "",
        _set_arguments,
        _set,
        json="key  its name\nold  the value before, or null\nnew  the value now, or null\n"
        "seq  the event that records it, or null when nothing changed",
        examples="kugetsu config set MAX_CONCURRENT_AGENTS 2",
    ),
    "config unset": Command(
        "KEY [--json]",
        "The setting returns to its default.",
        _unset_arguments,
        _unset,
        json="key  its name\nold  the value before, or null\nnew  its default\n"
        "seq  the event that records it, or null when nothing changed",
        examples="kugetsu config unset MAX_CONCURRENT_AGENTS",
    ),
}
