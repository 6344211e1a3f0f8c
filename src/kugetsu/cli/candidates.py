"""Real values for the shell's completion: tasks, issues, attempts, settings … as the state has them now.

Every TAB loads it: what only some kinds need is imported where it is used.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from kugetsu.cli.completion import SHELLS
from kugetsu.domain.state import State, Task
from kugetsu.host.config import Config, load
from kugetsu.host.paths import Paths
from kugetsu.log import DomainProjection
from kugetsu.log.files.engine import FileLog
from kugetsu.log.files.segments import is_shared
from kugetsu.model import clock
from kugetsu.model.errors import BadInput
from kugetsu.model.record import record
from kugetsu.model.setting_kinds import NOTICES, OPENING, PUSH_RESCUE, REACTIONS, SINKS
from kugetsu.model.settings import OF_REPOSITORY, SETTINGS, SHARED
from kugetsu.redaction.funnel import redact, redact_head
from kugetsu.runtime.workspace import learn_secrets
from kugetsu.views.gates import task_state
from kugetsu.views.queue import SHOWN_STATES
from kugetsu.views.text import cut, line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.cli.declarations import Kind
#: Seconds after which the state is not waited for any more: a prompt must not hang.
PATIENCE = 0.5
#: Candidates of one kind that are offered at most; the newest are.
MOST = 500
#: Columns of a description.
WIDTH = 60


@record
class Candidate:
    """A word that may stand there, and what it is."""

    value: str
    about: str = ""

    def joined(self, head: str) -> Candidate:
        """With what stands before it in the same word."""
        return Candidate(head + self.value, self.about) if head else self


class Place:
    """The cursor's word: ``current``, of which ``typed`` is to be completed and ``head`` stands before it (`--after=`).
    ``given`` are the positionals before it, ``of_option`` the words that the same option has already, ``options`` the
    values of options before it. ``described``:
    whether the shell shows what a candidate is. ``over``: whether all candidates for it were found in time."""

    def __init__(self, current: str, environment: Mapping[str, str], *, described: bool = True) -> None:
        self.described = described
        self.current = current
        self.head = ""
        self.typed = current
        self.environment = environment
        self.given: list[str] = []
        self.of_option: list[str] = []
        self.options: dict[str, str] = {}
        self.over = True

    def split(self, head: str, typed: str) -> None:
        """Complete only the end of the word."""
        self.head = head
        self.typed = typed

    def paths(self) -> Paths:
        """The directory. Raises BadInput."""
        return Paths.of(self.environment)

    def config(self) -> Config:
        """The settings in force; the defaults when they cannot be understood."""
        try:
            return load(self.paths().config, self.environment)
        except (BadInput, OSError):
            return load(os.devnull, {})

    def state(self) -> State:
        """The fold of the log, read without a lock, and without the snapshot that reading may otherwise write."""
        if self.described:
            learn_secrets(self.paths(), self.environment)
        log = FileLog(self.paths().log, DomainProjection(), {}, clock.now, upkeep=False)
        try:
            state: State = log.state()
            return state
        finally:
            log.close()


def look_up(kinds: Sequence[Kind], place: Place) -> tuple[str, list[Candidate]]:
    """What is wanted (words, files or folders), and the candidates; fewer when the state is broken, or slow to read:
    then ``place.over`` is false, a thread still looks, and the process has to end by `os._exit`.

    An alarm whose handler raises would do without a thread, but it strikes in the middle of an import, and some
    modules do not survive that.
    """
    found: list[Candidate] = []
    wanted = ["words"]
    if not kinds:
        return wanted[-1], found

    def look() -> None:
        # A broken log or configuration is reported by the next command, not in the prompt.
        with suppress(Exception):
            for kind in kinds:
                if kind == "setting-value" and _wants_path(place):
                    wanted.append("files")
                    break
                source = SOURCES.get(kind)
                if source is not None:
                    found.extend(source(place))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    place.over = not thread.is_alive()
    return wanted[-1], list(found)


def described(text: str) -> str:
    """A text that a user or an agent wrote, as a description: one harmless line, without secrets."""
    return cut(line(redact_head(text, 4096)), WIDTH)


# --- tasks, attempts, issues, sessions --------------------------------------------------------------------------


def _tasks(wanted: Callable[[Task], bool]) -> Callable[[Place], list[Candidate]]:
    def source(place: Place) -> list[Candidate]:
        if place.typed and not place.typed.startswith("q"):
            return []
        tasks = [task for task in place.state().tasks.values() if wanted(task) and task.id.startswith(place.typed)]
        return [Candidate(task.id, _about(task, place)) for task in tasks[: -MOST - 1 : -1]]

    return source


def _about(task: Task, place: Place) -> str:
    return f"{task_state(task.state)}  {described(task.title)}" if place.described else ""


def _waits(task: Task) -> bool:
    return task.state in ("pending", "parked")


def _may_retry(task: Task) -> bool:
    return task.state not in ("pending", "notified") or (task.state == "pending" and task.not_before is not None)


def _attempts(place: Place) -> list[Candidate]:
    """Those that have a folder in runs/: their logs can be read. Only behind `q7.` where tasks are offered too."""
    if "." not in place.typed and place.typed:
        return []
    try:
        names = os.listdir(place.paths().runs)
    except FileNotFoundError:
        return []
    known = [name for name in names if name.startswith(place.typed) and _numbers(name)]
    known.sort(key=_numbers, reverse=True)
    return [Candidate(name) for name in known[: MOST if place.typed else 10]]


def _numbers(attempt: str) -> tuple[int, ...]:
    parts = attempt.removeprefix("q").split(".")
    return tuple(int(part) for part in parts) if all(part.isascii() and part.isdigit() for part in parts) else ()


def _issues(place: Place) -> list[Candidate]:
    """Issues with a session or a task, as short as the place allows: `#14` behind a #, `owner/repo#14` on the default
    server, else whole."""
    state = place.state()
    about: dict[str, str] = {}
    for session in state.sessions.values():
        if session.kind == "issue":
            about[session.key] = session.state
    for task in state.tasks.values():
        if task.issue is not None:
            about.pop(task.issue, None)
            about[task.issue] = _about(task, place)
    config = place.config()
    here = _here(config) if place.typed.startswith("#") else None
    host = config.default_host() + "/"
    found = []
    for key in list(about)[::-1]:
        short = key.removeprefix(host)
        if here is not None and key.startswith(here + "#"):
            found.append(Candidate(key.removeprefix(here), about[key]))
        found.append(Candidate(short if short.startswith(place.typed) else key, about[key]))
        if len(found) >= 2 * MOST:
            break
    return found


def _here(config: Config) -> str | None:
    from kugetsu.runtime.git import remotes

    folder = remotes.typed_in(os.environ)
    found = remotes.here(folder, config.servers()) if folder is not None else None
    return "/".join(found) if found is not None else None


def _sessions(place: Place) -> list[Candidate]:
    """Those that are not an issue's."""
    sessions = place.state().sessions.values()
    return [Candidate(session.key, session.state) for session in sessions if session.kind != "issue"]


def _repositories(place: Place) -> list[Candidate]:
    """Those of sessions and tasks, as short as the place allows."""
    state = place.state()
    keys = [session.key for session in state.sessions.values() if session.kind == "issue"]
    keys += [task.issue for task in state.tasks.values() if task.issue is not None]
    config = place.config()
    host = config.default_host() + "/"
    found = dict.fromkeys([*(key.rpartition("#")[0] for key in keys[::-1]), *config.repositories])
    short = ((key.removeprefix(host), key) for key in list(found)[:MOST])
    return [Candidate(name if name.startswith(place.typed) else key) for name, key in short]


def _bases(place: Place) -> list[Candidate]:
    keys = [session.key for session in place.state().sessions.values() if session.kind == "base"]
    bare = [Candidate(key.removeprefix("base:"), "base session") for key in keys]
    return [*bare, *(Candidate(key, "base session") for key in keys)] if place.typed.startswith("base:") else bare


def _task_states(_place: Place) -> list[Candidate]:
    return [Candidate(state) for state in SHOWN_STATES]


def _standings(_place: Place) -> list[Candidate]:
    from kugetsu.domain.standing import STANDINGS

    return [Candidate(standing) for standing in STANDINGS]


# --- settings ---------------------------------------------------------------------------------------------------

PATHS = ("KUGETSU_OPENCODE", "KUGETSU_TEMP_DIR")


def choices() -> dict[str, tuple[str, ...]]:
    """Settings whose values are a few words: which ones their `read` takes."""
    return {
        "KUGETSU_AGENT": ("opencode", "command"),
        "KUGETSU_FORGE": ("auto", "off"),
        "OPEN_PULL_REQUEST": OPENING,
        "PUSH_RESCUE": PUSH_RESCUE,
        "REACTIONS": REACTIONS,
        "WORKTREE_SUBMODULES": ("auto", "never"),
        "KUGETSU_VERBOSITY": ("default", "verbose", "quiet"),
        "NOTIFY_SINKS": tuple(SINKS),
        "NOTIFY_EVENTS": tuple(NOTICES),
    }


def _settings(place: Place) -> list[Candidate]:
    of_one = "repo" in place.options
    own = [one for one in SETTINGS.values() if not of_one or one.key in OF_REPOSITORY]
    if "shared" in place.options:
        own = []
    elif of_one or not is_shared(place.paths().log):
        return [Candidate(one.key, one.help) for one in own]
    known = {one.key: one for one in (*SHARED.values(), *own)}
    return [Candidate(one.key, one.help) for one in known.values()]


def _wants_path(place: Place) -> bool:
    return place.given[:1] != [] and place.given[0] in PATHS


def _setting_values(place: Place) -> Iterator[Candidate]:
    setting = SETTINGS.get(place.given[0]) if place.given else None
    if setting is None:
        return
    if isinstance(setting.read(setting.default), bool):
        yield from (Candidate("true"), Candidate("false"))
    yield from (Candidate(word) for word in choices().get(setting.key, ()))
    if setting.key == "DEFAULT_GIT_SERVER":
        yield from _servers(place)
    general = place.config()
    name = place.options.get("repo", "").partition("#")[0]
    own = general.of(name if name in general.repositories else f"{general.default_host()}/{name}")
    now, usual = own.as_text(setting.key), general.as_text(setting.key) if name else setting.default

    if redact(now) == now:  # what is inserted must be whole, and a secret is not shown
        yield Candidate(now, "as it is")
    if redact(usual) == usual:
        yield Candidate(usual, "the general value" if name else "the default")


def _servers(place: Place) -> list[Candidate]:
    return [Candidate(name, described(url)) for name, url in place.config().servers().items()]


def _skills(place: Place) -> list[Candidate]:
    from kugetsu.runtime import skills

    return [Candidate(name) for name in skills.names(place.paths())]


def _sinks(_place: Place) -> list[Candidate]:
    return [Candidate(name) for name in choices()["NOTIFY_SINKS"]]


def _env_agents(_place: Place) -> list[Candidate]:
    from kugetsu.cli.env import AGENTS

    return [Candidate(agent, file) for agent, file in AGENTS.items()]


def _variables(place: Place) -> list[Candidate]:
    """Names; what they are set to nobody is shown."""
    from kugetsu.runtime import env_variables

    return [Candidate(one.name, one.file) for one in env_variables.listed(place.paths())[0]]


# --- words of kugetsu -------------------------------------------------------------------------------------------


def is_span(word: str) -> bool:
    """Whether it is the first half of `10m ago`."""
    return word[:-1].isdigit() and word[-1:] in "smhdw"


def _when(place: Place) -> list[Candidate]:
    if place.of_option and is_span(place.of_option[-1]):
        return [Candidate("ago")]
    found = [Candidate("@", "now"), Candidate("@-1", "before the last event"), Candidate("@-10", "ten events ago")]
    found += [Candidate("10m ago"), Candidate("1h ago"), Candidate("1d ago")]
    if place.typed[:1].isdigit():
        found.append(Candidate(time.strftime("%Y-%m-%d"), "today at midnight"))
    return found


def _shells(_place: Place) -> list[Candidate]:
    return [Candidate(shell) for shell in SHELLS]


SOURCES: Mapping[Kind, Callable[[Place], Iterable[Candidate]]] = {
    "task": _tasks(lambda _: True),
    "task-waiting": _tasks(_waits),
    "task-open": _tasks(lambda task: _waits(task) or task.state == "notified"),
    "task-failed": _tasks(lambda task: task.state == "error" and not task.acknowledged),
    "task-retry": _tasks(_may_retry),
    "task-state": _task_states,
    "standing": _standings,
    "attempt": _attempts,
    "issue": _issues,
    "session": _sessions,
    "repository": _repositories,
    "agent": lambda _: [Candidate(name) for name in choices()["KUGETSU_AGENT"]],
    "base": _bases,
    "setting": _settings,
    "setting-value": _setting_values,
    "server": _servers,
    "variable": _variables,
    "env-agent": _env_agents,
    "skill": _skills,
    "sink": _sinks,
    "when": _when,
    "shell": _shells,
}
