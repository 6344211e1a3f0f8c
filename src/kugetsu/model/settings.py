"""The settings: every key, its default, what values it takes, and one line of help.

A kind's `read` turns a text into its value and raises ValueError with the reason when it cannot.
"""

from __future__ import annotations

from kugetsu.model.errors import BadInput
from kugetsu.model.record import record
from kugetsu.model.servers import check_name, check_new_url, names_a_server, parse_servers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Value = str | int | float | bool | dict[str, str]

_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")
SINKS = ("desktop", "command", "webhook", "comment")
"""Where notifications can go."""

OPENING = ("missing", "draft", "never")
"""Whether kugetsu opens a pull request that the agent did not open: yes, as a draft, or no."""

NOTICES = ("task_queued", "task_dequeued", "task_started", "task_completed", "task_error", "task_parked", "agent_lost")
"""The kinds of notifications."""

DISPOSABLE = "node_modules/ __pycache__/ *.pyc *.pyo *.egg-info/ build/ dist/ target/ *.o *.a *.so *.class"
"""What common build tools make, and make again."""

_MOST = 1_000_000  # no number here means anything beyond it, and arithmetic on times stays within its range


def _integer(text: str) -> int:
    if not (text.isascii() and text.lstrip("+-").isdigit() and len(text) < 20):
        raise ValueError("it is not a whole number")
    number = int(text)
    if number < 0:
        raise ValueError("it is negative")
    if number > _MOST:
        raise ValueError(f"it must be at most {_MOST}")
    return number


def _positive(text: str) -> int:
    number = _integer(text)
    if number == 0:
        raise ValueError("it must be at least 1")
    return number


def _cap(text: str) -> int:
    number = _integer(text)
    if number == 0:
        raise ValueError("it must be at least 1; to start nothing, use: kugetsu queue-daemon stop")
    return number


def _large(text: str) -> int:
    """A count that may be beyond `_MOST`: an issue can use tokens by the hundred million."""
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise ValueError("it is not a whole number" if not text.startswith("-") else "it is negative")
    return int(text)


def _number(text: str) -> float:
    # float() alone would also take nan, inf, 1e9, underscores and other scripts' digits.
    if not text.isascii() or not text.strip("+-").replace(".", "", 1).isdigit() or len(text) > 20:
        raise ValueError("it is not a number")
    number = float(text)
    if number < 0:
        raise ValueError("it is negative")
    if number > _MOST:
        raise ValueError(f"it must be at most {_MOST}")
    return number


def _duration(text: str) -> float:
    number = _number(text)
    if number == 0:
        raise ValueError("it must be more than 0")
    return number


def _flag(text: str) -> bool:
    low = text.lower()
    if low in _TRUE:
        return True
    if low in _FALSE:
        return False
    raise ValueError("it is neither true nor false")


def _text(text: str) -> str:
    if any((c < " " and c != "\t") or c == "\x7f" for c in text):
        raise ValueError("it contains control characters")
    return text


def _path(text: str) -> str:
    import os.path

    text = _text(text)
    for home in ("$HOME", "${HOME}"):
        if text == home or text.startswith(home + "/"):
            text = "~" + text[len(home) :]
    return os.path.abspath(os.path.expanduser(text)) if text else text


def _pattern(text: str) -> str:
    """A branch name with {number} in it, and maybe {owner} and {repo}."""
    rest = text
    for field in ("{number}", "{owner}", "{repo}"):
        rest = rest.replace(field, "1")
    if "{number}" not in text:
        raise ValueError("it must contain {number}, so that each issue gets its own branch")
    if "{" in rest or "}" in rest:
        raise ValueError("it may contain {number}, {owner} and {repo}, and no other braces")
    return _branch(rest) and text


def _branch(text: str) -> str:
    """A branch name by the rules of `git check-ref-format --branch`; empty for none."""
    bad = any(c <= " " or c in "~^:?*[\\\x7f" for c in text) or ".." in text or "@{" in text or "//" in text
    parts = text.split("/")
    bad = bad or text == "@" or any(part.startswith(".") or part.endswith((".lock", ".")) for part in parts)
    if text and (bad or text[0] in "-/" or text[-1] == "/"):
        raise ValueError("git does not accept it as a branch name")
    return text


def _patterns(text: str) -> str:
    """Patterns of files, apart by spaces: names with `*`, `?` and `[…]`, or paths from the worktree's top."""
    patterns = _text(text).split()
    for pattern in patterns:
        parts = pattern.rstrip("/").lstrip("/").split("/")
        if pattern.startswith("!") or any(part in ("", ".", "..") or "**" in part for part in parts):
            raise ValueError(f"{pattern!r} is neither a file name nor a path from the top, such as *.o or out/")
    return " ".join(patterns)


def _verbosity(text: str) -> str:
    if text.lower() not in ("default", "verbose", "quiet"):
        raise ValueError("it is not one of default, verbose, quiet")
    return text.lower()


def _agent(text: str) -> str:
    if text.lower() not in ("opencode", "command"):
        raise ValueError("it is neither opencode nor command")
    return text.lower()


def _forge(text: str) -> str:
    if text.lower() not in ("auto", "off"):
        raise ValueError("it is neither auto nor off")
    return text.lower()


def _opening(text: str) -> str:
    if text.lower() not in OPENING:
        raise ValueError(f"it is not one of {', '.join(OPENING)}")
    return text.lower()


def _pairs(text: str) -> dict[str, str]:
    """NAME=VALUE pairs, apart by spaces or commas; names lowered."""
    pairs: dict[str, str] = {}
    for pair in text.replace(",", " ").split():
        name, mark, value = pair.rpartition("=")
        if not mark or not name or not value:
            raise ValueError(f"{pair!r} is not NAME=VALUE")
        pairs[name.lower()] = value
    return pairs


def _caps(text: str) -> dict[str, str]:
    caps = _pairs(text)
    for name, cap in caps.items():
        if name.count("/") < 2:
            raise ValueError(f"{name!r} is not host/owner/repo")
        if not (cap.isascii() and cap.isdigit() and 0 < int(cap) <= _MOST):
            raise ValueError(f"{cap!r} is not a number of agents from 1 on")
    return caps


def _files(text: str) -> dict[str, str]:
    """NAME=FILE pairs, apart by spaces or commas; files with their whole path."""
    return {name: _path(path) for name, path in _pairs(text).items()}


def _kinds(text: str) -> dict[str, str]:
    kinds = _pairs(text)
    for kind in kinds.values():
        if kind not in ("gitea", "forgejo", "github"):
            raise ValueError(f"{kind!r} is not one of gitea, forgejo, github")
    return kinds


def _some_of(text: str, known: tuple[str, ...]) -> str:
    chosen = text.replace(",", " ").lower().split()
    for word in chosen:
        if word not in known:
            raise ValueError(f"{word!r} is not one of {', '.join(known)}")
    return " ".join(dict.fromkeys(chosen))


def _sinks(text: str) -> str:
    return _some_of(text, SINKS)


def _notices(text: str) -> str:
    return _some_of(text, NOTICES)


def _time_of_day(text: str) -> str:
    """``07:00``; empty for never."""
    hours, colon, minutes = text.strip().partition(":")
    if not text.strip():
        return ""
    digits = (
        hours.isascii()
        and hours.isdigit()
        and minutes.isascii()
        and minutes.isdigit()
        and len(hours) < 3
        and len(minutes) == 2
    )
    if not (colon and digits and int(hours) < 24 and int(minutes) < 60):
        raise ValueError("write a time of day as 07:00; empty: never")
    return f"{int(hours):02d}:{minutes}"


@record
class Setting:
    """One key: the text of its default, what reads a text of it, its help."""

    key: str
    default: str
    read: Callable[[str], Value]
    help: str


_ALL = (
    Setting("MAX_CONCURRENT_AGENTS", "3", _cap, "how many agents may run at a time"),
    Setting("KUGETSU_AGENT", "opencode", _agent, "which agent works: opencode, or command (any command line)"),
    Setting("KUGETSU_AGENT_COMMAND", "", _text, "the command line of KUGETSU_AGENT=command; the prompt is its input"),
    Setting(
        "KUGETSU_ATTACH_COMMAND", "", _text, "with KUGETSU_AGENT=command: what kugetsu attach opens, a shell's line"
    ),
    Setting("KUGETSU_OPENCODE", "", _text, "the opencode program (empty: found in PATH)"),
    Setting("KUGETSU_MODEL", "", _text, "the model, as provider/model (empty: the agent's own choice)"),
    Setting("KUGETSU_BASE_BRANCH", "", _branch, "the branch that work starts from (empty: the remote's HEAD)"),
    Setting("KUGETSU_BRANCH_PATTERN", "fix/issue-{number}", _pattern, "an issue's branch: {number}, {owner}, {repo}"),
    Setting(
        "TASK_TIMEOUT_HOURS", "1", _duration, "hours before an attempt is stopped; its preparation may take as long"
    ),
    Setting("TASK_STALL_MINUTES", "30", _number, "minutes without output before an attempt is stopped (0: never)"),
    Setting("MAX_OUTPUT_MB", "50", _number, "how much of an agent's output and stderr is kept, each (0: all of it)"),
    Setting("KILL_GRACE_SECONDS", "10", _number, "seconds between asking an agent to stop and killing it"),
    Setting("MAX_ATTEMPTS", "3", _positive, "attempts at a task before it is an error"),
    Setting("RETRY_BACKOFF_SECONDS", "10", _number, "pause before the second attempt; doubles, to 5 minutes"),
    Setting("USAGE_LIMIT_PAUSE_MINUTES", "60", _duration, "how long to wait when a usage limit states no reset time"),
    Setting("MIN_FREE_MEMORY_MB", "700", _integer, "start no agent when less memory is free (0: no check)"),
    Setting("MIN_FREE_DISK_MB", "200", _integer, "start no agent when less disk is free for KUGETSU_DIR (0: no check)"),
    Setting("MAX_AGENTS_PER_REPOSITORY", "0", _integer, "how many agents may work in one repository (0: no limit)"),
    Setting("REPOSITORY_CAPS", "", _caps, "the same for named repositories: git.example.com/owner/repo=1"),
    Setting("ISSUE_MAX_TOKENS", "0", _large, "tokens that an issue may use in its whole life (0: no limit)"),
    Setting(
        "ISSUE_MAX_COST", "0", _number, "what an issue may cost in its whole life, as the agent counts (0: no limit)"
    ),
    Setting(
        "MAX_RUNS_WITHOUT_PROGRESS",
        "5",
        _integer,
        "successful runs in a row with no new commit or comment (0: no limit)",
    ),
    Setting("QUEUE_DAEMON_INTERVAL_MINUTES", "5", _duration, "the daemon's longest sleep; new work wakes it at once"),
    Setting("QUEUE_CLEANUP_AGE_DAYS", "7", _number, "age at which queue clear retires completed and failed items"),
    Setting(
        "KUGETSU_FORGE", "auto", _forge, "query forges for issues and pull requests: auto (those you named), or off"
    ),
    Setting("FORGE_KINDS", "", _kinds, "the kind of a server that its host does not show: git.example.com=github"),
    Setting("FORGE_TIMEOUT_SECONDS", "10", _duration, "how long a forge may take to answer"),
    Setting(
        "OBSERVE_INTERVAL_MINUTES",
        "5",
        _number,
        "minutes between two looks of the daemon at a pull request or branch to review (0: never)",
    ),
    Setting(
        "OPEN_PULL_REQUEST",
        "missing",
        _opening,
        "open the pull request of pushed work that has none: missing, draft (as a draft), or never; needs a token",
    ),
    Setting("WORKTREE_CHECK_PR_STATUS", "true", _flag, "before destroy, ask the server whether a pull request is open"),
    Setting(
        "DISPOSABLE_FILES", DISPOSABLE, _patterns, "ignored files that destroy and prune may delete with a worktree"
    ),
    Setting("NOTIFY_SINKS", "", _sinks, "where notifications go: desktop, command, webhook, comment"),
    Setting(
        "NOTIFY_EVENTS", "task_completed task_error task_parked agent_lost", _notices, "which notifications are sent"
    ),
    Setting("NOTIFY_COMMAND", "", _text, "the command line of the sink `command`; the message is its input"),
    Setting("NOTIFY_DIGEST_OVER", "5", _positive, "more notifications than this at a time are sent as one message"),
    Setting("NOTIFY_REPORT_AT", "", _time_of_day, "when the report is sent, in local time: 07:00 (empty: never)"),
    Setting("NOTIFY_REPORT_ISSUE", "", _text, "the issue on which the sink `comment` posts the report: owner/repo#1"),
    Setting("KUGETSU_TEMP_DIR", "~/.local/share/opencode/tool-output", _path, "where agents put files to hand over"),
    Setting("KUGETSU_VERBOSITY", "default", _verbosity, "how much is printed: default, verbose, quiet"),
    Setting("DEFAULT_GIT_SERVER", "github.com", _text, "the server of owner/repo#N: a host, or a name of GIT_SERVERS"),
    Setting(
        "GIT_SERVERS", "", parse_servers, "git servers, as name=URL pairs: git.example.com=https://git.example.com"
    ),
    Setting("GIT_SERVER_CA", "", _files, "the certificate authority of a server: git.example.com=/etc/ssl/own.pem"),
)

SETTINGS: dict[str, Setting] = {setting.key: setting for setting in _ALL}
"""Every setting by its key, in the order of the template."""

ELSEWHERE = {
    "KUGETSU_DIR": "set it in the environment: the file is in that folder",
    "GITEA_TOKEN": "put it in env/default.env, which only its owner can read",
    "GITHUB_TOKEN": "put it in env/default.env, which only its owner can read",
    "NOTIFY_WEBHOOK_URL": "put it in env/notify.env or env/default.env, which only their owner can read",
}
"""Known names that the file `config` does not decide, and where they belong."""

_COMMANDS = {
    "KUGETSU_DIR": "export KUGETSU_DIR=FOLDER",
    "GITEA_TOKEN": "kugetsu env set GITEA_TOKEN",
    "GITHUB_TOKEN": "kugetsu env set GITHUB_TOKEN",
    "NOTIFY_WEBHOOK_URL": "kugetsu env set --agent notify NOTIFY_WEBHOOK_URL",
}
"""The command that puts each of them there."""


def template() -> str:
    """The commented file that `init` writes: every setting with its default."""
    lines = [
        "# Settings of kugetsu: KEY=VALUE lines, read at every command, never executed.",
        "# A variable of the same name in the environment wins. See: kugetsu config",
        "",
    ]
    for setting in SETTINGS.values():
        lines += [f"# {setting.help}", f"# {setting.key}={setting.default}", ""]
    return "\n".join(lines)


def known(key: str) -> Setting:
    """The setting of that name. Raises BadInput with the nearest known name."""
    setting = SETTINGS.get(key)
    if setting is None:
        raise BadInput(about_unknown(key), _COMMANDS.get(key, "kugetsu config list shows all settings"))
    return setting


def require_servers(key: str, value: str, servers: Mapping[str, str], default: str) -> None:
    """What is asked of the git servers when they are written, as `kugetsu server` asks it: URLs without a password, and
    a default server that is one. ``servers`` and ``default`` are those of before. Raises BadInput.

    A file that says otherwise is still read: a setting that somebody wrote must not keep every command from working.
    """
    if key == "DEFAULT_GIT_SERVER" and value:
        try:
            name = check_name(value)
        except ValueError as error:
            raise BadInput(str(error), "name a host, or a name of GIT_SERVERS: kugetsu server list") from error
        if not names_a_server(name, servers):
            said = f"{name} is neither a host nor a name of GIT_SERVERS"
            raise BadInput(said, f"kugetsu server add {name} URL, then: kugetsu server default {name}")
    elif key == "GIT_SERVERS":
        try:
            new = parse_servers(value)
            for url in new.values():
                check_new_url(url)
        except ValueError as error:
            raise BadInput(f"GIT_SERVERS: {error}", "write it as NAME=https://git.example.com") from error
        if names_a_server(default, servers) and not names_a_server(default, new):
            said = f"GIT_SERVERS without {default}: that is the default server"
            raise BadInput(said, "set another one first: kugetsu server default NAME")


def about_unknown(key: str) -> str:
    """What to say about a key that the file does not decide: its right place, or the nearest known name."""
    place = ELSEWHERE.get(key)
    if place is not None:
        return f"{key} has no effect here: {place}"
    import difflib

    near = difflib.get_close_matches(key.upper()[:64], list(SETTINGS), 1, 0.5)
    return f"{shown(key)} is not a setting" + (f"; did you mean {near[0]}?" if near else "")


def shown(text: str) -> str:
    """What a user wrote, safe for a terminal and of bounded length."""
    return repr(text if len(text) <= 80 else text[:77] + "...")
