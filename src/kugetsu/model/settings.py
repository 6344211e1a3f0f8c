"""The settings: every key, its default, what values it takes, and one line of help.

A setting's `read` turns a text into its value (`setting_kinds`).
"""

from __future__ import annotations

from kugetsu.model import setting_kinds as kinds
from kugetsu.model.errors import BadInput
from kugetsu.model.record import record
from kugetsu.model.servers import parse_servers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Value = str | int | float | bool | dict[str, str]


@record
class Setting:
    """One key: the text of its default, what reads a text of it, its help."""

    key: str
    default: str
    read: Callable[[str], Value]
    help: str


_ALL = (
    Setting("MAX_CONCURRENT_AGENTS", "3", kinds.read_cap, "how many agents may run at a time"),
    Setting(
        "KUGETSU_AGENT", "opencode", kinds.read_agent, "which agent works: opencode, or command (any command line)"
    ),
    Setting(
        "KUGETSU_AGENT_COMMAND",
        "",
        kinds.read_text,
        "the command line of KUGETSU_AGENT=command; the prompt is its input",
    ),
    Setting(
        "KUGETSU_ATTACH_COMMAND",
        "",
        kinds.read_text,
        "with KUGETSU_AGENT=command: what kugetsu attach opens, a shell's line",
    ),
    Setting("KUGETSU_OPENCODE", "", kinds.read_text, "the opencode program (empty: found in PATH)"),
    Setting("KUGETSU_MODEL", "", kinds.read_text, "the model, as provider/model (empty: the agent's own choice)"),
    Setting(
        "KUGETSU_BASE_BRANCH", "", kinds.read_branch, "the branch that work starts from (empty: the remote's HEAD)"
    ),
    Setting(
        "KUGETSU_BRANCH_PATTERN",
        "fix/issue-{number}",
        kinds.read_pattern,
        "an issue's branch: {number}, {owner}, {repo}",
    ),
    Setting(
        "TASK_TIMEOUT_HOURS",
        "1",
        kinds.read_duration,
        "hours before an attempt is stopped; its preparation may take as long",
    ),
    Setting(
        "TASK_STALL_MINUTES", "30", kinds.read_number, "minutes without output before an attempt is stopped (0: never)"
    ),
    Setting(
        "MAX_OUTPUT_MB",
        "50",
        kinds.read_number,
        "how much of an agent's output and stderr is kept, each (0: all of it)",
    ),
    Setting("KILL_GRACE_SECONDS", "10", kinds.read_number, "seconds between asking an agent to stop and killing it"),
    Setting("MAX_ATTEMPTS", "3", kinds.read_positive, "attempts at a task before it is an error"),
    Setting("RETRY_BACKOFF_SECONDS", "10", kinds.read_number, "pause before the second attempt; doubles, to 5 minutes"),
    Setting(
        "USAGE_LIMIT_PAUSE_MINUTES",
        "60",
        kinds.read_duration,
        "how long to wait when a usage limit states no reset time",
    ),
    Setting("MIN_FREE_MEMORY_MB", "700", kinds.read_integer, "start no agent when less memory is free (0: no check)"),
    Setting(
        "MIN_FREE_DISK_MB",
        "200",
        kinds.read_integer,
        "start no agent when less disk is free for KUGETSU_DIR (0: no check)",
    ),
    Setting(
        "MAX_AGENTS_PER_REPOSITORY", "0", kinds.read_integer, "how many agents may work in one repository (0: no limit)"
    ),
    Setting("REPOSITORY_CAPS", "", kinds.read_caps, "the same for named repositories: git.example.com/owner/repo=1"),
    Setting("ISSUE_MAX_TOKENS", "0", kinds.read_large, "tokens that an issue may use in its whole life (0: no limit)"),
    Setting(
        "ISSUE_MAX_COST",
        "0",
        kinds.read_number,
        "what an issue may cost in its whole life, as the agent counts (0: no limit)",
    ),
    Setting(
        "MAX_RUNS_WITHOUT_PROGRESS",
        "5",
        kinds.read_integer,
        "successful runs in a row with no new commit or comment (0: no limit)",
    ),
    Setting(
        "QUEUE_DAEMON_INTERVAL_MINUTES",
        "5",
        kinds.read_duration,
        "the daemon's longest sleep; new work wakes it at once",
    ),
    Setting(
        "QUEUE_CLEANUP_AGE_DAYS", "7", kinds.read_number, "age at which queue clear retires completed and failed items"
    ),
    Setting(
        "KUGETSU_FORGE",
        "auto",
        kinds.read_forge,
        "query forges for issues and pull requests: auto (those you named), or off",
    ),
    Setting(
        "FORGE_KINDS", "", kinds.read_kinds, "the kind of a server that its host does not show: git.example.com=github"
    ),
    Setting("FORGE_TIMEOUT_SECONDS", "10", kinds.read_duration, "how long a forge may take to answer"),
    Setting(
        "OBSERVE_INTERVAL_MINUTES",
        "5",
        kinds.read_number,
        "minutes between two looks of the daemon at a pull request or branch to review (0: never)",
    ),
    Setting(
        "OPEN_PULL_REQUEST",
        "missing",
        kinds.read_opening,
        "open the pull request of pushed work that has none: missing, draft (as a draft), or never; needs a token",
    ),
    Setting(
        "PUSH_RESCUE",
        "commits",
        kinds.read_push_rescue,
        "what a host that was lost and returns pushes of work that is only there: commits, all (files that were never "
        "committed too), or never",
    ),
    Setting(
        "WORKTREE_SETUP",
        "",
        kinds.read_text,
        "the command line that makes a new worktree ready, before the agent; e.g. npm ci (empty: none)",
    ),
    Setting("WORKTREE_SETUP_MINUTES", "10", kinds.read_duration, "minutes that WORKTREE_SETUP may take"),
    Setting(
        "WORKTREE_COPY",
        "",
        kinds.read_copies,
        "ignored files of the clone that a worktree gets too, by patterns: .env .env.local; see .worktreeinclude",
    ),
    Setting(
        "WORKTREE_SUBMODULES",
        "auto",
        kinds.read_submodules,
        "check out submodules in a new worktree: auto (if the repository has some), or never",
    ),
    Setting(
        "VERIFY_COMMAND",
        "",
        kinds.read_text,
        "the command line that checks the committed work of a run, in a clean checkout; e.g. make test (empty: none)",
    ),
    Setting("VERIFY_MINUTES", "30", kinds.read_duration, "minutes that VERIFY_COMMAND may take"),
    Setting(
        "VERIFY_SECRETS",
        "false",
        kinds.read_flag,
        "give set-up and verification the agent's env file; tokens of forges they never get",
    ),
    Setting(
        "INTAKE_LABEL",
        "",
        kinds.read_label,
        "queue a task for each open issue with this label; e.g. kugetsu (empty: never); needs a token",
    ),
    Setting(
        "INTAKE_INTERVAL_MINUTES",
        "5",
        kinds.read_duration,
        "minutes between two looks at a repository's labelled issues",
    ),
    Setting("INTAKE_MARK", "false", kinds.read_flag, "show the state of an issue on the forge, by a label"),
    Setting(
        "INTAKE_LABELLERS",
        "",
        kinds.read_accounts,
        "accounts that may set INTAKE_LABEL beside those with triage right in the repository",
    ),
    Setting(
        "INTAKE_AUTHORS",
        "",
        kinds.read_accounts,
        "show the agent only these accounts' comments on an issue (empty: everybody's, quoted)",
    ),
    Setting(
        "REACTIONS",
        "",
        kinds.read_reactions,
        "what of a pull request starts another turn: checks, reviews, comments, conflicts (empty: none)",
    ),
    Setting(
        "REACTION_NAME",
        "",
        kinds.read_text,
        "the name by which comments address kugetsu, as @NAME or NAME: (empty: its account's)",
    ),
    Setting(
        "REACTION_AUTHORS",
        "",
        kinds.read_accounts,
        "accounts whose reviews and comments start a turn without write access; bots belong here too",
    ),
    Setting(
        "REACTION_DELAY_MINUTES",
        "2",
        kinds.read_number,
        "minutes without further feedback before a turn answers it, five times that at most",
    ),
    Setting(
        "MAX_REACTIONS",
        "5",
        kinds.read_integer,
        "turns that answer a pull request, its verification, and what those turns open, over its whole life (0: none)",
    ),
    Setting(
        "CHECKS_SETTLE_MINUTES",
        "10",
        kinds.read_number,
        "minutes after which a commit without checks counts as one whose repository has none",
    ),
    Setting(
        "WORKTREE_CHECK_PR_STATUS",
        "true",
        kinds.read_flag,
        "before destroy, ask the server whether a pull request is open",
    ),
    Setting(
        "DISPOSABLE_FILES",
        kinds.DISPOSABLE,
        kinds.read_patterns,
        "ignored files that destroy and prune may delete with a worktree",
    ),
    Setting("NOTIFY_SINKS", "", kinds.read_sinks, "where notifications go: desktop, command, webhook, comment"),
    Setting(
        "NOTIFY_EVENTS",
        "task_completed task_error task_parked agent_lost loop_held",
        kinds.read_notices,
        "which notifications are sent",
    ),
    Setting("NOTIFY_COMMAND", "", kinds.read_text, "the command line of the sink `command`; the message is its input"),
    Setting(
        "NOTIFY_DIGEST_OVER", "5", kinds.read_positive, "more notifications than this at a time are sent as one message"
    ),
    Setting(
        "NOTIFY_REPORT_AT", "", kinds.read_time_of_day, "when the report is sent, in local time: 07:00 (empty: never)"
    ),
    Setting(
        "NOTIFY_REPORT_ISSUE",
        "",
        kinds.read_text,
        "the issue on which the sink `comment` posts the report: owner/repo#1",
    ),
    Setting(
        "HOST_SSH",
        "false",
        kinds.read_flag,
        "logs and context fetch over OpenSSH what another host of a shared log has",
    ),
    Setting(
        "KUGETSU_TEMP_DIR",
        "~/.local/share/opencode/tool-output",
        kinds.read_path,
        "where agents put files to hand over",
    ),
    Setting("HOST_NAME", "", kinds.read_text, "what a shared log calls this host (empty: the machine's name)"),
    Setting("HOST_LABELS", "", kinds.read_labels, "what this host offers to the tasks of a shared log: gpu arm64"),
    Setting("KUGETSU_VERBOSITY", "default", kinds.read_verbosity, "how much is printed: default, verbose, quiet"),
    Setting(
        "DEFAULT_GIT_SERVER",
        "github.com",
        kinds.read_text,
        "the server of owner/repo#N: a host, or a name of GIT_SERVERS",
    ),
    Setting(
        "GIT_SERVERS", "", parse_servers, "git servers, as name=URL pairs: git.example.com=https://git.example.com"
    ),
    Setting(
        "GIT_SERVER_CA", "", kinds.read_files, "the certificate authority of a server: git.example.com=/etc/ssl/own.pem"
    ),
)

SETTINGS: dict[str, Setting] = {setting.key: setting for setting in _ALL}
"""Every setting by its key, in the order of the template."""

SHARED: dict[str, Setting] = {
    setting.key: setting
    for setting in (
        Setting("MAX_AGENTS", "", kinds.read_cap, "how many agents may run on all hosts together (empty: no limit)"),
        Setting(
            "HOST_LOST_MINUTES",
            "30",
            kinds.read_minutes_of_silence,
            "minutes of silence after which a host is lost, and its tasks run elsewhere",
        ),
        Setting(
            "MAX_AGENTS_PER_REPOSITORY",
            "0",
            kinds.read_integer,
            "how many agents of all hosts may work in one repository (0: no limit)",
        ),
        Setting(
            "REPOSITORY_CAPS", "", kinds.read_caps, "the same for named repositories: git.example.com/owner/repo=1"
        ),
    )
}
"""The settings that hosts which share a log have in common, in the log: two files would mean two values. The default of
one is that it is not there. Two of them are also settings of a host, which hold for its own agents."""

OF_REPOSITORY = frozenset(
    (
        *("KUGETSU_AGENT", "KUGETSU_AGENT_COMMAND", "KUGETSU_MODEL", "KUGETSU_BASE_BRANCH", "KUGETSU_BRANCH_PATTERN"),
        *("TASK_TIMEOUT_HOURS", "TASK_STALL_MINUTES", "MAX_ATTEMPTS", "MAX_AGENTS_PER_REPOSITORY"),
        *("ISSUE_MAX_TOKENS", "ISSUE_MAX_COST", "MAX_RUNS_WITHOUT_PROGRESS", "OPEN_PULL_REQUEST"),
        "PUSH_RESCUE",
        *("WORKTREE_SETUP", "WORKTREE_SETUP_MINUTES", "WORKTREE_COPY", "WORKTREE_SUBMODULES"),
        *("VERIFY_COMMAND", "VERIFY_MINUTES", "VERIFY_SECRETS"),
        *("INTAKE_LABEL", "INTAKE_INTERVAL_MINUTES", "INTAKE_MARK", "INTAKE_LABELLERS", "INTAKE_AUTHORS"),
        *("REACTIONS", "REACTION_NAME", "REACTION_AUTHORS", "REACTION_DELAY_MINUTES", "MAX_REACTIONS"),
        "CHECKS_SETTLE_MINUTES",
    )
)
"""The settings of which a repository may have a value of its own, in a section `[host/owner/repo]` of the file."""

ELSEWHERE = {
    "KUGETSU_DIR": "set it in the environment: the file is in that folder",
    "GITEA_TOKEN": "put it in env/default.env, which only its owner can read",
    "GITHUB_TOKEN": "put it in env/default.env, which only its owner can read",
    "NOTIFY_WEBHOOK_URL": "put it in env/notify.env or env/default.env, which only their owner can read",
    **{
        key: f"it is one of all hosts that share a log: kugetsu config set {key} VALUE"
        for key in SHARED
        if key not in SETTINGS
    },
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
        "# At the end, below a line [git.example.com/owner/repo], those of one repository.",
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


def text_of(value: Value) -> str:
    """A setting's value as one would write it into the file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return " ".join(f"{name}={url}" for name, url in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def about_unknown(key: str) -> str:
    """What to say about a key that the file does not decide: its right place, or the nearest known name."""
    place = ELSEWHERE.get(key)
    if place is not None:
        return f"{key} has no effect here: {place}"
    import difflib

    near = difflib.get_close_matches(key.upper()[:64], list(SETTINGS), 1, 0.5)
    return f"{shown(key)} is not a setting" + (f"; did you mean {near[0]}?" if near else "")


def about_general(key: str) -> str:
    """What to say about a known key that stands in the section of a repository and cannot."""
    return f"{key} is not a setting of one repository: put it before the first section of the file"


def shown(text: str) -> str:
    """What a user wrote, safe for a terminal and of bounded length."""
    return repr(text if len(text) <= 80 else text[:77] + "...")
