"""Every command: its name, the module that has it, and its one line of help; find one and load that module alone."""

from __future__ import annotations

from kugetsu.model.errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from kugetsu.cli.call import Command, Run
    from kugetsu.cli.parser import Parser

#: Heading of `kugetsu --help` → its commands: name → (module of kugetsu.cli, summary).
SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "begin": {
        "init": ("setup", "set up KUGETSU_DIR: settings, env files, sessions"),
        "doctor": ("doctor", "check everything it needs; --fix mends, --bundle packs"),
        "import": ("bash_import", "take over a state directory of the bash tool"),
    },
    "hand work over": {
        "start": ("work", "start an agent on an issue now"),
        "continue": ("work", "the next turn in an issue's session"),
        "delegate": ("delegate", "queue a message for the issue it names, or for the PM"),
        "set-pr": ("sessions", "tie a pull request to an issue's session"),
    },
    "the queue": {
        "queue list": ("queue", "tasks that run, wait or failed"),
        "queue stats": ("queue", "tasks by state, and what they took"),
        "queue enqueue": ("queue", "queue a task for an issue"),
        "queue dequeue": ("tasks", "take a waiting task out of the queue without running it"),
        "queue cancel": ("tasks", "cancel a task; the agent that works on it is stopped"),
        "queue retry": ("tasks", "let a finished, parked or pausing task go on now"),
        "queue move": ("tasks", "give a waiting task another place, priority or order"),
        "queue lift": ("tasks", "lift what an issue's runs, a limit or an outage hold back"),
        "queue clear": ("tasks", "retire old finished tasks; --all cancels all that wait"),
    },
    "the daemon, which takes tasks from it": {
        "queue-daemon start": ("daemon", "start the daemon that takes tasks from the queue"),
        "queue-daemon stop": ("daemon", "stop the daemon; agents that run go on"),
        "queue-daemon restart": ("daemon", "stop and start it; running agents are adopted again"),
        "queue-daemon run": ("daemon", "be the daemon in the foreground, for a service manager"),
        "queue-daemon status": ("daemon", "whether the daemon runs, since when"),
        "queue-daemon logs": ("daemon", "the daemon's own log"),
    },
    "look": {
        "status": ("status", "one screen: daemon, slots, queue, what wants a look"),
        "list": ("sessions", "sessions: state, agent, worktree, branch, pull request"),
        "logs": ("logs", "the latest agent logs, or one to read or follow"),
        "context": ("context", "what a session was told, and what it answered"),
        "notify list": ("notify", "what happened and was not read yet"),
        "notify clear": ("notify", "mark notifications as read"),
        "notify watch": ("notify", "notifications as they come"),
        "notify sinks": ("notify", "where they are sent, and how that goes"),
        "notify test": ("notify", "send a test message now"),
    },
    "find out why": {
        "history": ("history", "the audit trail: every event, its cause, who did it"),
        "why": ("why", "why a task is not running, or what led to an event"),
        "timeline": ("timeline", "who held which slot when: text, picture, page"),
        "audit": ("audit", "lost races, broken invariants, retries, time spent waiting"),
        "diff": ("diff", "what changed between two points, a line for each record"),
        "replay": ("replay", "the state at any point of the past"),
        "undo": ("undo", "append what takes back what an event did"),
        "log verify": ("log", "check every line of the event log"),
        "log repair": ("log", "mend an unfinished write at the log's end"),
        "log seal": ("log_seal", "print the log's head, to be kept elsewhere"),
        "log export": ("log_export", "events as JSON lines, or attempts as OpenTelemetry traces"),
        "log stats": ("log", "events, bytes and segments of the log"),
    },
    "clean up": {
        "destroy": ("sessions", "end a session; keeps what is dirty or unpushed"),
        "prune": ("prune", "remove what nobody needs; keeps all unsaved work"),
    },
    "settings": {
        "skill list": ("skill", "the skills for agents, and where they are installed"),
        "skill show": ("skill", "the text of a skill"),
        "skill install": ("skill", "put skills where opencode looks"),
        "config list": ("settings", "every setting, and where its value comes from"),
        "config get": ("settings", "the value of a setting"),
        "config set": ("settings", "write a setting into the file `config`"),
        "config unset": ("settings", "take a setting out of the file: its default again"),
        "env list": ("env", "the variables for agents: names, never values"),
        "env get": ("env", "one variable: where it is set; --show prints its value"),
        "env set": ("env", "set a variable, read without echo or from standard input"),
        "env unset": ("env", "take a variable out of its file"),
        "env path": ("env", "where the env files are"),
        "env check": ("env", "permissions, lines and values of the env files"),
        "server list": ("server", "git servers: URL, kind, token, which is the default"),
        "server add": ("server", "name a git server"),
        "server remove": ("server", "forget a git server"),
        "server default": ("server", "the server of owner/repo#N: show or set it"),
        "server get": ("server", "the URL of a server, or of the default one"),
        "completion": ("completion", "the script that lets TAB complete, for bash, zsh, fish"),
    },
}

#: All of them, in the order of `kugetsu --help`.
COMMANDS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}

#: What a group does when no verb follows; a group that is not here needs one.
DEFAULT_VERB = {"config": "config list", "env": "env list", "server": "server list"}


def groups() -> list[str]:
    """The words that need another one behind them."""
    return list(dict.fromkeys(name.partition(" ")[0] for name in COMMANDS if " " in name))


def members(group: str) -> list[str]:
    """The commands of a group."""
    return [name for name in COMMANDS if name.startswith(group + " ")]


def find(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """The command's name and its arguments; None for a group whose help is wanted. Raises BadInput."""
    first = arguments[0]
    if first in COMMANDS:
        return first, list(arguments[1:])
    if first not in groups():
        known = [*COMMANDS, *groups(), "help"]
        raise _unknown(first, known, "kugetsu --help", near=_with_their_group(first))
    verb = next((word for word in arguments[1:2] if not word.startswith("-")), None)
    if verb is None:
        if any(word in ("-h", "--help") for word in arguments[1:]):
            return None, []
        if first in DEFAULT_VERB:
            return DEFAULT_VERB[first], list(arguments[1:])
        verbs = ", ".join(name.partition(" ")[2] for name in members(first))
        raise BadInput(f"kugetsu {first}: say what to do: {verbs}", f"kugetsu {first} --help")
    name = f"{first} {verb}"
    if name not in COMMANDS:
        known = [member.partition(" ")[2] for member in members(first)]
        raise _unknown(verb, known, f"kugetsu {first} --help", first + " ")
    return name, list(arguments[2:])


def _with_their_group(verb: str) -> list[str]:
    """The command that a verb alone, as users of the bash tool's scripts type it, stands for; [] when it is not one."""
    found = [name for name in COMMANDS if name.partition(" ")[2] == verb]
    if len(found) != 1:
        return []
    return [*found, "queue cancel"] if verb == "stop" else found  # the daemon, or an agent


def _unknown(name: str, known: Sequence[str], hint: str, group: str = "", near: Sequence[str] = ()) -> BadInput:
    """What to say of a word that is no command; ``near`` are those meant, else it is the nearest ``known`` one."""
    if not near:
        import difflib

        near = difflib.get_close_matches(name[:64], known, 1, 0.6)
    meant = f"; did you mean {group}{f' or {group}'.join(near)}?" if near else ""
    return BadInput(f"there is no command {group + name[:64]!r}{meant}", hint)


def entry(name: str) -> Command:
    """What a command's module declares of it."""
    module = __import__(f"kugetsu.cli.{COMMANDS[name][0]}", fromlist=["COMMANDS"])  # without importlib: start-up
    command: Command = module.COMMANDS[name]
    return command


def load(name: str) -> tuple[Parser, Run]:
    """The parser and the function of a command."""
    command = entry(name)
    from kugetsu.cli.parser import Parser

    parser = Parser(name, COMMANDS[name][1], command)
    command.arguments(parser)
    return parser, command.run
