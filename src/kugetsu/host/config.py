"""The settings in force: defaults, then the file `config`, then the environment, which wins."""

from __future__ import annotations

from kugetsu.host.config_file import Entry, parse, read_file, read_leniently
from kugetsu.model.errors import BadInput
from kugetsu.model.servers import canonical_host, check_name, check_url
from kugetsu.model.settings import SETTINGS, Setting, about_unknown, known, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from kugetsu.model.settings import Value

_SERVERS = "GIT_SERVERS"


class Config:
    """The settings in force, each with where it came from. Made by `load`."""

    __slots__ = ("_sources", "_values", "unknown")

    def __init__(self) -> None:
        self._values: dict[str, Value] = {}
        self._sources: dict[str, str] = {}
        self.unknown: list[tuple[str, str]] = []
        """Keys of the file that are no settings, each with `file:line`."""

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
        """Where the value comes from: `default`, `<file>:<line>` or `environment`."""
        known(key)
        return self._sources.get(key, "default")

    def as_text(self, key: str) -> str:
        """The value as one would write it into the file."""
        value = self.value(key)
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, dict):
            return " ".join(f"{name}={url}" for name, url in value.items())
        return f"{value:g}" if isinstance(value, float) else str(value)

    def texts(self) -> dict[str, str]:
        """Every setting as a text: what the agents' adapters take."""
        return {key: self.as_text(key) for key in SETTINGS}

    def having(self, key: str, value: Value) -> Config:
        """These settings with another value of one; the source of that stays."""
        other = Config()
        other._values, other._sources, other.unknown = {**self._values, key: value}, self._sources, self.unknown
        return other

    def warnings(self) -> list[str]:
        """One line for each key of the file that has no effect, with the nearest known name or its right place."""
        return [f"{place}: {about_unknown(key)}" for key, place in self.unknown]

    def _set(self, setting: Setting, text: str, source: str) -> None:
        try:
            self._values[setting.key] = setting.read(text)
        except ValueError as error:
            # What the file says has no effect on a variable that is wrong: the environment wins.
            mend = f"unset {setting.key}" if source == "environment" else f"kugetsu config set {setting.key} VALUE"
            raise BadInput(
                f"{source}: {setting.key}={shown(text)}: {error}",
                f"{setting.help}; default: {setting.default or '(empty)'}; {mend}",
            ) from error
        self._sources[setting.key] = source


def load(path: str, environment: Mapping[str, str]) -> Config:
    """The settings of a file (which may be missing) and of an environment (an empty variable counts as unset).

    Raises BadInput naming file, line and remedy for a line that is no KEY=VALUE and for a value that its
    key cannot have.
    """
    config = Config()
    for entry in parse(read_file(path), path):
        _take(config, entry, f"{path}:{entry.line}")
    return _with_environment(config, environment)


def load_leniently(path: str, environment: Mapping[str, str]) -> tuple[Config, list[str]]:
    """As `load`, but for the lines of the file that cannot be understood: these are told. Raises BadInput for a file
    that cannot be read, and for a variable."""
    config = Config()
    entries, nonsense = read_leniently(read_file(path))
    problems = [(line.line, f"line {line.line} {line.what}") for line in nonsense]
    for entry in entries:
        try:
            _take(config, entry, path)
        except BadInput as problem:
            message = problem.message.removeprefix(f"{path}: ")
            problems.append((entry.line, f"line {entry.line}: {message}"))
    return _with_environment(config, environment), [text for _, text in sorted(problems)]


def _take(config: Config, entry: Entry, source: str) -> None:
    """Take one entry of a file over. Raises BadInput."""
    if entry.index is not None:
        _add_server(config, entry, source)
    elif entry.key in SETTINGS:
        config._set(SETTINGS[entry.key], entry.value, source)
    else:
        config.unknown.append((entry.key, source))


def _with_environment(config: Config, environment: Mapping[str, str]) -> Config:
    """Set what the environment has over it. Raises BadInput."""
    for key, setting in SETTINGS.items():
        text = environment.get(key)
        if text:
            config._set(setting, text, "environment")
    return config


def recorded(values: Mapping[str, object]) -> Config:
    """The settings that an exported log recorded: `value` and `source` by key; what is not understood is skipped."""
    config = Config()
    for key, setting in SETTINGS.items():
        said = values.get(key)
        value, source = (said.get("value"), said.get("source")) if isinstance(said, dict) else (None, None)
        if isinstance(value, str) and isinstance(source, str) and source != "default":
            try:
                config._set(setting, value, source)
            except BadInput:
                continue  # of another version, or changed by hand
    return config


def _add_server(config: Config, entry: Entry, source: str) -> None:
    servers = dict(config.servers())
    try:
        servers[check_name(entry.index or "")] = check_url(entry.value)
    except ValueError as error:
        raise BadInput(f"{source}: {_SERVERS}: {error}", 'write GIT_SERVERS[name]="https://host"') from error
    config._values[_SERVERS] = servers
    config._sources[_SERVERS] = source
