"""`kugetsu config`: list, get, set."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from kugetsu.cli import shared_settings
from kugetsu.cli.call import Call, Command
from kugetsu.cli.parser import Parser
from kugetsu.domain.decide.sessions import setting_changed
from kugetsu.domain.new_event import NewEvent
from kugetsu.host.config import Config, load, load_leniently
from kugetsu.host.config_file import set_value, unset_value
from kugetsu.host.paths import Paths
from kugetsu.model.errors import BadInput, LogUnreachable, NotSetUp
from kugetsu.model.plural import listed
from kugetsu.model.setting_checks import require_own, require_servers
from kugetsu.model.settings import OF_REPOSITORY, SETTINGS, known
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import host_id
from kugetsu.runtime.query import subjects
from kugetsu.views.tables import Column, table
from kugetsu.views.text import line

OWN = """\
A repository may have values of its own: agent and model, base branch, limits,
set-up, verification, intake, reactions and the like. They are in the file below
a line [git.example.com/owner/repo]; the other settings hold for it as they are.
REPO is host/owner/repo, owner/repo on the default server, or . inside a clone;
REF an issue of it.

Hosts that share a log have MAX_AGENTS and HOST_LOST_MINUTES in the log, one
value for all; with --shared also MAX_AGENTS_PER_REPOSITORY and REPOSITORY_CAPS.
Those of a host itself then hold for its own agents."""


def _repo_argument(parser: Parser) -> None:
    help = "of this repository alone, or of that of this issue"
    parser.add_argument("--repo", metavar="REPO|REF", completes=("repository", "issue"), help=help)


def _list_arguments(parser: Parser) -> None:
    parser.json()
    _repo_argument(parser)
    parser.source()


def _in_force(call: Call) -> Config:
    """The settings here, or those that a bundle has; with ``--repo`` those of that repository.

    Raises NotFound for a file that has none, BadInput.
    """
    if call.foreign is not None:
        call.foreign.require("settings.json")
    ws, given = call.workspace, call.args.repo
    return ws.config_of(subjects.repository_of(ws.config, given)) if given is not None else ws.config


#: A setting's key, value, source and help.
Row = tuple[str, str, str, str]


def _rows(config: Config, keys: Iterable[str]) -> list[Row]:
    return [(key, config.as_text(key), config.source(key), SETTINGS[key].help) for key in keys]


def _data(rows: Iterable[Row]) -> list[dict[str, str]]:
    return [{"key": key, "value": value, "source": source, "help": help} for key, value, source, help in rows]


def _list(call: Call) -> int:
    config, of_one = _in_force(call), call.args.repo is not None
    rows = _rows(config, (key for key in SETTINGS if not of_one or key in OF_REPOSITORY))
    own = {name: config.of(name) for name in config.repositories} if not of_one else {}
    sections = {name: _rows(one, filter(one.is_own, SETTINGS)) for name, one in own.items()}
    shared = shared_settings.rows(call) if not of_one else []
    data = {
        "settings": _data(rows),
        "shared": shared,
        "repositories": [{"repository": name, "settings": _data(some)} for name, some in sections.items()],
        "unknown": [{"key": key, "place": place} for key, place in config.unknown],
        "file": call.workspace.paths.config if call.foreign is None else call.foreign.path,
    }
    rows += [row for some in sections.values() for row in some]
    # Of a name that this host has as well, only what somebody set for all.
    told = [one for one in shared if one["key"] not in SETTINGS or one["source"] != "default"]
    rows += [(one["key"], one["value"], one["source"], one["help"]) for one in told]
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
    _repo_argument(parser)
    shared_settings.argument(parser)
    parser.add_argument("key", metavar="KEY", completes="setting", help="the setting's name")
    parser.source()


def _get(call: Call) -> int:
    if (shared := shared_settings.named(call)) is not None:
        return shared_settings.get(call, shared)
    config = _in_force(call)
    setting = known(call.args.key)
    value = config.as_text(setting.key)
    source = config.source(setting.key)
    call.show({"key": setting.key, "value": value, "source": source, "help": setting.help}, [line(value)], value=True)
    return 0


def _set_arguments(parser: Parser) -> None:
    parser.json()
    _repo_argument(parser)
    shared_settings.argument(parser)
    parser.add_argument("key", metavar="KEY", completes="setting", help="the setting's name")
    parser.add_argument("value", metavar="VALUE", completes="setting-value", help="its value; empty text for none")


def _set(call: Call) -> int:
    if (shared := shared_settings.named(call)) is not None:
        return shared_settings.give(call, shared, call.args.value)
    key = known(call.args.key).key
    repository = _repository(call, key)
    _require_servers(call, key, call.args.value)
    old, new, seq = write(call, key, call.args.value, repository)
    of = f" for {repository}" if repository is not None else ""
    data = {"key": key, "repository": repository, "old": old, "new": new, "seq": seq}
    # Without another line of the file that nobody can read, `new` is what it means there.
    call.show(data, [f"{key}={call.args.value if new is None else new}{of}"])
    call.note_undo_of(seq)
    warn_of_environment(call, key)
    shared_settings.note(call, key)
    _warn_of_unknown(call, repository)
    return 0


def _warn_of_unknown(call: Call, repository: str | None) -> None:
    """Say that no clone of a repository is registered, which is perhaps another host than was meant."""
    with suppress(BadInput):
        known = call.state().repositories
        if repository is not None and known and repository not in known:
            call.note(f"no clone of {repository} is registered, but of {listed(sorted(known))}")


def _repository(call: Call, key: str) -> str | None:
    """The repository that ``--repo`` names; None without it.

    Raises BadInput, also for a setting that a repository cannot have for itself.
    """
    path, given = file_of(call), call.args.repo
    if given is None:
        return None
    require_own(key)
    return subjects.repository_of(load_leniently(path, call.environment)[0], given)


def _unset_arguments(parser: Parser) -> None:
    parser.json()
    _repo_argument(parser)
    shared_settings.argument(parser)
    parser.add_argument("key", metavar="KEY", completes="setting", help="the setting's name")


def _unset(call: Call) -> int:
    if (shared := shared_settings.named(call)) is not None:
        return shared_settings.give(call, shared, None)
    setting = known(call.args.key)
    key = setting.key
    repository = _repository(call, key)
    _require_servers(call, key, setting.default)
    old, new, seq = write(call, key, None, repository)
    what = "its default" if repository is None else f"in {repository} as in general"
    data = {"key": key, "repository": repository, "old": old, "new": new, "seq": seq}
    call.show(data, [f"{key} is {new or 'empty'}, {what}"])
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


def write(
    call: Call, key: str, value: str | None, repository: str | None = None
) -> tuple[str | None, str | None, int | None]:
    """Write a setting, or a repository's own value of it, into the file (None: take it out) and record who did it: the
    value before, the value now, and the event's seq (None when nothing changed or it could not be recorded, because the
    database of a shared log is away). Raises BadInput for a value that it cannot have, LogDamaged before anything is
    written."""
    path = file_of(call)
    _require_log(call)
    before = _written(path, repository)
    names = load_leniently(path, call.environment)[0].spellings(repository) if repository is not None else ()
    if value is None:
        unset_value(path, key, names)
    else:
        set_value(path, key, value, names)
    after = _written(path, repository)
    old, new = (one.as_text(key) if one is not None else None for one in (before, after))
    seq = None
    try:
        if old != (new or "") or (before is not None and after is not None and before.is_own(key) != after.is_own(key)):
            inherited = before is not None and not before.is_own(key)
            known = (key, _logged(old), redact(new or ""), repository)
            host = host_id.sharing(call.workspace, call.state())
            seq = _record(call, setting_changed(*known, inherited=inherited, host=host))
    except BadInput as problem:  # another line of the file: this one is written all the same
        call.note(f"written, but the file is not usable yet: {problem.message}")
    except LogUnreachable as problem:  # the file counts: it has the value all the same
        call.note(f"written, but the log does not tell who did it: {problem.message}")
        call.note(f"hint: {problem.hint}")
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


def _written(path: str, repository: str | None) -> Config | None:
    """The settings by the file alone; None when it cannot be understood."""
    try:
        return load(path, {}).of(repository)
    except BadInput:
        return None


def _logged(value: str | None) -> str | None:
    return redact(value) if value is not None else None


def _record(call: Call, changed: list[NewEvent]) -> int | None:
    """Append who changed it; None when there is no log yet."""
    if not call.state().initialised:
        return None
    seq: int = call.workspace.log.append(changed)[0]["seq"]
    return seq


COMMANDS = {
    "config list": Command(
        "[--repo REPO|REF] [--from FILE] [--json]",
        OWN,
        _list_arguments,
        _list,
        json="""\
settings[].key     its name
settings[].value   its value, as text
settings[].source  where the value comes from: default, environment, the file and its line, or that with a [repository]
settings[].help    what it does
shared[].key       a setting of all hosts; none while the log is one host's own
shared[].value     its value, as text
shared[].source    default or shared log
shared[].help      what it does
repositories[].repository         one that has values of its own; none with --repo
repositories[].settings[].key     as above
repositories[].settings[].value   its own value
repositories[].settings[].source  where that comes from
repositories[].settings[].help    as above
unknown[].key      a name that is not a setting, or not one of a repository
unknown[].place    where it is
file               the file `config`, or that of --from""",
        examples="kugetsu config list\nkugetsu config list --repo o/r  # those in force for o/r\n"
        "kugetsu config list --from kugetsu.tar.gz  # those in force there",
    ),
    "config get": Command(
        "KEY [--repo REPO|REF|--shared] [--from FILE] [--json]",
        "",
        _get_arguments,
        _get,
        json="key     its name\nvalue   its value, as text\nsource  where the value comes from\nhelp    what it does",
        examples="kugetsu config get MAX_CONCURRENT_AGENTS",
    ),
    "config set": Command(
        "[--repo REPO|REF|--shared] KEY VALUE [--json]",
        OWN,
        _set_arguments,
        _set,
        json="key         its name\nrepository  the one whose own value it is, or null\n"
        "old         the value before, or null\nnew         the value now, or null\n"
        "seq         the event that records it, or null when nothing changed",
        examples="kugetsu config set MAX_CONCURRENT_AGENTS 2\n"
        "kugetsu config set --repo o/r VERIFY_COMMAND 'make test'\n"
        "kugetsu config set MAX_AGENTS 12  # of all hosts that share the log",
    ),
    "config unset": Command(
        "[--repo REPO|REF|--shared] KEY [--json]",
        "The setting returns to its default; that of a repository to the general value.",
        _unset_arguments,
        _unset,
        json="key         its name\nrepository  the one whose own value it was, or null\n"
        "old         the value before, or null\nnew         its default, or the general value\n"
        "seq         the event that records it, or null when nothing changed",
        examples="kugetsu config unset MAX_CONCURRENT_AGENTS",
    ),
}
