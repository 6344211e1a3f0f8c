"""The settings in force: defaults, then the file `config`, its section of a repository, then the environment, which
wins."""

from __future__ import annotations

from kugetsu.host.config_file import Entry, parse, read_file, read_leniently
from kugetsu.model.errors import BadInput
from kugetsu.model.servers import canonical_host, check_name, check_url, names_a_server, spellings
from kugetsu.model.settings import OF_REPOSITORY, SETTINGS, Setting, about_general, about_unknown, known, shown, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from kugetsu.model.settings import Value

_SERVERS = "GIT_SERVERS"


class Config:
    """The settings in force, each with where it came from. Made by `load`."""

    __slots__ = ("_sections", "_sources", "_values", "repository", "unknown")

    def __init__(self, repository: str = "") -> None:
        self.repository = repository
        """The repository whose settings these are; empty for the general ones."""
        self._values: dict[str, Value] = {}
        self._sources: dict[str, str] = {}
        self._sections: dict[str, Config] = {}
        self.unknown: list[tuple[str, str]] = []
        """Keys of the file that are no settings, or general ones in a section, each with `file:line`."""

    def of(self, name: str | None) -> Config:
        """The settings in force for a repository (`host/owner/repo`), or for that of an issue (`host/owner/repo#14`):
        these themselves where the file has no section for it. None: these."""
        if not self._sections or name is None:
            return self
        return self._sections.get(name.partition("#")[0], self)

    @property
    def repositories(self) -> tuple[str, ...]:
        """The repositories that have settings of their own."""
        return tuple(self._sections)

    def everywhere(self, key: str) -> list[Value]:
        """The values that a setting has, in general and in repositories; each once."""
        return list(dict.fromkeys(one.value(key) for one in (self, *self._sections.values())))

    def is_own(self, key: str) -> bool:
        """Whether the repository has a value of its own for a key, which is in force."""
        return bool(self.repository) and self.source(key).endswith(f"[{self.repository}]")

    def remedy(self, advice: str) -> str:
        """Advice that names `kugetsu config set KEY`, made to change the value that is in force here."""
        before, command, rest = advice.partition("kugetsu config set ")
        key = rest.partition(" ")[0]
        return f"{before}{command}--repo {self.repository} {rest}" if key in SETTINGS and self.is_own(key) else advice

    def spellings(self, repository: str) -> list[str]:
        """How the file may name a repository, its canonical name first."""
        host, _, rest = repository.partition("/")
        return [f"{name}/{rest}" for name in spellings(host, self.servers())]

    def value(self, key: str) -> Value:
        """A setting's value, of its kind. Raises BadInput for a key that is none."""
        try:
            return self._values[key]
        except KeyError:
            setting = known(key)
        value = setting.read(setting.default)
        self._values[key] = value
        return value

    def text(self, key: str) -> str:
        """A setting that is a text, a path or a choice."""
        value = self.value(key)
        assert isinstance(value, str), key
        return value

    def integer(self, key: str) -> int:
        """A setting that is a whole number."""
        value = self.value(key)
        assert isinstance(value, int), key
        return value

    def number(self, key: str) -> float:
        """A setting that is a number, in the unit that its name says."""
        value = self.value(key)
        assert isinstance(value, int | float), key
        return float(value)

    def flag(self, key: str) -> bool:
        """A setting that is true or false."""
        value = self.value(key)
        assert isinstance(value, bool), key
        return value

    def servers(self) -> dict[str, str]:
        """GIT_SERVERS: base URL by name or host."""
        return self.mapping(_SERVERS)

    def mapping(self, key: str) -> dict[str, str]:
        """A setting of NAME=VALUE pairs."""
        value = self.value(key)
        assert isinstance(value, dict), key
        return value

    def default_host(self) -> str:
        """The host that completes `owner/repo#N`."""
        return canonical_host(self.text("DEFAULT_GIT_SERVER"), self.servers())

    def source(self, key: str) -> str:
        """Where the value comes from: `default`, `<file>:<line>`, `<file>:<line> [<repository>]` or `environment`."""
        known(key)
        return self._sources.get(key, "default")

    def as_text(self, key: str) -> str:
        """The value as one would write it into the file."""
        return text_of(self.value(key))

    def texts(self) -> dict[str, str]:
        """Every setting as a text: what the agents' adapters take."""
        return {key: self.as_text(key) for key in SETTINGS}

    def having(self, key: str, value: Value) -> Config:
        """These settings with another value of one, for every repository; the source of that stays."""
        other = Config(self.repository)
        other._values, other._sources, other.unknown = {**self._values, key: value}, self._sources, self.unknown
        return other

    def warnings(self) -> list[str]:
        """One line for each key of the file that has no effect, with the nearest known name or its right place."""
        found = [
            f"{place}: {about_general(key) if key in SETTINGS else about_unknown(key)}" for key, place in self.unknown
        ]
        servers = self.servers()
        for name in self._sections:
            if not names_a_server(host := name.partition("/")[0], servers):
                found.append(f"[{name}]: {shown(host)} is neither a host nor a name of GIT_SERVERS: it has no effect")
        return found

    def _own(self, repository: str) -> Config:
        """The settings of a repository, made from these at its first line."""
        own = self._sections.get(repository)
        if own is None:
            own = self._sections[repository] = Config(repository)
            own._values, own._sources = {**self._values}, {**self._sources}
        return own

    def _set(self, setting: Setting, text: str, source: str, repository: str = "") -> None:
        try:
            value = setting.read(text)
        except ValueError as error:
            # What the file says has no effect on a variable that is wrong: the environment wins.
            of = f"--repo {repository} " if repository else ""
            mend = f"unset {setting.key}" if source == "environment" else f"kugetsu config set {of}{setting.key} VALUE"
            raise BadInput(
                f"{source}: {setting.key}={shown(text)}: {error}",
                f"{setting.help}; default: {setting.default or '(empty)'}; {mend}",
            ) from error
        if repository and self._sources.get(setting.key) == "environment":
            return
        self._values[setting.key] = value
        self._sources[setting.key] = f"{source} [{repository}]" if repository else source


def load(path: str, environment: Mapping[str, str]) -> Config:
    """The settings of a file (which may be missing) and of an environment (an empty variable counts as unset).

    Raises BadInput naming file, line and remedy for a line that is no KEY=VALUE and for a value that its
    key cannot have.
    """
    config = Config()
    entries = parse(read_file(path), path, sections=True)
    for entry in entries:
        if entry.section is None:
            _take(config, entry, f"{path}:{entry.line}")
    _with_environment(config, environment)
    for entry in entries:
        if entry.section is not None:
            _take_own(config, entry, f"{path}:{entry.line}")
    return config


def load_leniently(path: str, environment: Mapping[str, str]) -> tuple[Config, list[str]]:
    """As `load`, but for the lines of the file that cannot be understood: these are told. Raises BadInput for a file
    that cannot be read, and for a variable."""
    config = Config()
    entries, nonsense = read_leniently(read_file(path), sections=True)
    problems = [(line.line, f"line {line.line} {line.what}") for line in nonsense]
    own = [entry for entry in entries if entry.section is not None]
    for take, some in ((_take, [entry for entry in entries if entry.section is None]), (_take_own, own)):
        for entry in some:
            try:
                take(config, entry, path)
            except BadInput as problem:
                message = problem.message.removeprefix(f"{path}: ")
                problems.append((entry.line, f"line {entry.line}: {message}"))
        if take is _take:
            _with_environment(config, environment)
    return config, [text for _, text in sorted(problems)]


def _take(config: Config, entry: Entry, source: str) -> None:
    """Take one entry of a file over. Raises BadInput."""
    if entry.index is not None:
        _add_server(config, entry, source)
    elif entry.key in SETTINGS:
        config._set(SETTINGS[entry.key], entry.value, source)
    else:
        config.unknown.append((entry.key, source))


def _take_own(config: Config, entry: Entry, source: str) -> None:
    """Take an entry of a repository's section over, once the general settings are known. Raises BadInput."""
    if not entry.section:
        return  # below a section line that cannot be understood
    if entry.key not in OF_REPOSITORY:
        config.unknown.append((entry.key, source))
        return
    host, _, rest = entry.section.partition("/")
    repository = f"{canonical_host(host, config.servers())}/{rest}"
    own = config._own(repository)
    own._set(SETTINGS[entry.key], entry.value, source, repository)
    _choose_model(config, own)


def _choose_model(config: Config, own: Config) -> None:
    """A model belongs to its agent: an agent of the repository's own does not take the general one's."""
    if own.is_own("KUGETSU_MODEL") or own.source("KUGETSU_MODEL") == "environment":
        return
    differs = own.value("KUGETSU_AGENT") != config.value("KUGETSU_AGENT")
    own._values["KUGETSU_MODEL"] = "" if differs else config.value("KUGETSU_MODEL")
    own._sources["KUGETSU_MODEL"] = "default" if differs else config.source("KUGETSU_MODEL")


def _with_environment(config: Config, environment: Mapping[str, str]) -> None:
    """Set what the environment has over it. Raises BadInput."""
    for key, setting in SETTINGS.items():
        text = environment.get(key)
        if text:
            config._set(setting, text, "environment")


def recorded(values: Mapping[str, object], repositories: Mapping[str, object]) -> Config:
    """The settings that an exported log recorded: `value` and `source` by key, and the same of ``repositories`` by
    name; what is not understood is skipped."""
    config = Config()
    _take_recorded(config, values)
    for name, own in repositories.items():
        if isinstance(own, dict):
            _take_recorded(config._own(name), {key: said for key, said in own.items() if key in OF_REPOSITORY})
            _choose_model(config, config._own(name))
    return config


def _take_recorded(config: Config, values: Mapping[str, object]) -> None:
    for key, setting in SETTINGS.items():
        said = values.get(key)
        value, source = (said.get("value"), said.get("source")) if isinstance(said, dict) else (None, None)
        if isinstance(value, str) and isinstance(source, str) and source != "default":
            try:
                config._set(setting, value, source)
            except BadInput:
                continue  # of another version, or changed by hand


def _add_server(config: Config, entry: Entry, source: str) -> None:
    servers = dict(config.servers())
    try:
        servers[check_name(entry.index or "")] = check_url(entry.value)
    except ValueError as error:
        raise BadInput(f"{source}: {_SERVERS}: {error}", 'write GIT_SERVERS[name]="https://host"') from error
    config._values[_SERVERS] = servers
    config._sources[_SERVERS] = source
