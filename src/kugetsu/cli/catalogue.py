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
    "get started": {
        "init": ("init", "set up KUGETSU_DIR: settings, env files, sessions"),
        "doctor": ("doctor", "check what kugetsu needs; --fix repairs, --bundle packs"),
        "import": ("bash_import", "import a state directory of the bash tool"),
    },
    "hand over work": {
        "start": ("work", "start an agent on an issue now"),
        "continue": ("work", "start the next turn in an issue's session"),
        "delegate": ("delegate", "queue a message for the issue it names, or for the PM"),
        "attach": ("attach", "work in an issue's session yourself"),
        "set-pr": ("sessions", "tie a pull request to an issue's session"),
    },
    "the queue": {
        "queue list": ("queue", "list tasks that run, wait or failed"),
        "queue stats": ("queue", "count tasks by state, with their time, tokens and cost"),
        "queue enqueue": ("queue", "queue a task for an issue"),
        "intake": ("intake", "queue labelled issues now; say why not the others"),
        "queue dequeue": ("tasks", "remove a waiting task from the queue without running it"),
        "queue cancel": ("tasks", "cancel a task; stops the agent that works on it"),
        "queue retry": ("tasks", "retry a finished, parked or pausing task now"),
        "queue move": ("tasks", "change a waiting task's position, priority or order"),
        "queue edit": ("edit", "change a waiting task's message"),
        "queue pause": ("pauses", "start no waiting task: of any repository, or of one"),
        "queue resume": ("pauses", "end a pause of the queue"),
        "ack": ("ack", "acknowledge failed tasks: you have seen them"),
        "queue lift": ("tasks", "unblock what a limit, an outage or an issue's runs hold up"),
        "queue clear": ("tasks", "retire old finished tasks; --all cancels all waiting ones"),
    },
    "the daemon, which takes tasks from the queue": {
        "queue-daemon start": ("daemon", "start the daemon"),
        "queue-daemon stop": ("daemon", "stop the daemon; running agents continue"),
        "queue-daemon restart": ("daemon", "restart the daemon; it adopts running agents again"),
        "queue-daemon run": ("daemon", "run the daemon in the foreground, for a service manager"),
        "queue-daemon status": ("daemon", "show whether the daemon is running, and since when"),
        "queue-daemon logs": ("daemon", "show the daemon's own log"),
    },
    "see what is happening": {
        "status": ("status", "show daemon, slots, queue and what needs attention"),
        "report": ("report", "report what came of the work, and what to do next"),
        "list": ("sessions", "list sessions: state, agent, worktree, branch, PR"),
        "wait": ("wait", "wait until tasks have ended; exit with their outcome"),
        "logs": ("logs", "list the latest agent logs, or read or follow one"),
        "context": ("context", "show what a session was told and what it answered"),
        "notify list": ("notify", "list unread notifications"),
        "notify clear": ("notify", "mark notifications as read"),
        "notify watch": ("notify", "follow notifications as they come"),
        "notify sinks": ("notify", "show where notifications are sent, and with what result"),
        "notify test": ("notify", "send a test message now"),
    },
    "look at the work": {
        "review": ("review", "look at an issue's pull request or branch; --done ends it"),
        "changes": ("changes", "show the commits, files and lines of an issue's branch"),
        "verify": ("verification", "run VERIFY_COMMAND on an issue's committed work"),
        "open": ("opening", "print or open the pull request; --path: the worktree"),
    },
    "find out why": {
        "history": ("history", "show the audit trail: every event, its cause, its author"),
        "why": ("why", "explain why a task is not running, or an event happened"),
        "timeline": ("timeline", "show who held which slot when: text, picture, page"),
        "audit": ("audit", "report lost races, broken invariants, retries, waits"),
        "diff": ("diff", "show what changed between two points, a line per record"),
        "replay": ("replay", "show the state at any point in the past"),
        "undo": ("undo", "undo an event by appending events that reverse it"),
        "log verify": ("log", "check every line of the event log"),
        "log repair": ("log", "repair an unfinished write at the log's end"),
        "log seal": ("log_seal", "print the log's head, to be kept elsewhere"),
        "log export": ("log_export", "export events as JSON lines, or OpenTelemetry traces"),
        "log stats": ("log", "count events, bytes and segments of the log"),
    },
    "many hosts": {
        "host list": ("hosts", "show the hosts of a shared log: agents, last word, labels"),
        "host drain": ("hosts", "let a host start nothing new, until it is undrained"),
        "host undrain": ("hosts", "let a host start tasks again"),
        "host leave": ("hosts", "take this host out of a shared log, in order"),
        "host join": ("hosts", "let this host take part again after it left"),
        "host lost": ("hosts", "give a lost host's tasks to the others, without waiting"),
        "log share": ("log_share", "move the log into a PostgreSQL database, for many hosts"),
        "log unshare": ("log_share", "take a shared log back into the files of this host"),
        "log migrate": ("log_share", "bring a shared log's database to this kugetsu's schema"),
        "log push": ("log_share", "give a restored database the events that it lost"),
    },
    "clean up": {
        "destroy": ("destroy", "end sessions; refuses while unsaved work would be lost"),
        "prune": ("prune", "remove what is no longer needed; keeps all unsaved work"),
    },
    "settings": {
        "skill list": ("skill", "list the skills for agents, and where they are installed"),
        "skill show": ("skill", "print the text of a skill"),
        "skill install": ("skill", "install skills where opencode looks for them"),
        "config list": ("settings", "list every setting, and where its value comes from"),
        "config get": ("settings", "print the value of a setting"),
        "config set": ("settings", "write a setting to the file `config`"),
        "config unset": ("settings", "remove a setting from the file: back to its default"),
        "env list": ("env", "list the variables for agents: names, never values"),
        "env get": ("env", "show where a variable is set; --show prints its value"),
        "env set": ("env", "set a variable, read without echo or from standard input"),
        "env unset": ("env", "remove a variable from its file"),
        "env path": ("env", "print where the env files are"),
        "env check": ("env", "check permissions, lines and values of the env files"),
        "server list": ("server", "list git servers: URL, kind, token, the default"),
        "server add": ("server", "add a git server under a name"),
        "server remove": ("server", "remove a git server"),
        "server default": ("server", "show or set the server of owner/repo#N"),
        "server get": ("server", "print the URL of a server, or of the default one"),
        "completion": ("completion", "print the completion script for bash, zsh or fish"),
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
        raise BadInput(f"kugetsu {first}: which command? {verbs}", _help_of(first))
    name = f"{first} {verb}"
    if name not in COMMANDS:
        known = [member.partition(" ")[2] for member in members(first)]
        raise _unknown(verb, known, _help_of(first), first + " ")
    return name, list(arguments[2:])


def _help_of(group: str) -> str:
    """The command that explains a group, and what else those may mean who type its name."""
    from kugetsu.cli.synonyms import SYNONYMS

    return "".join([f"kugetsu {group} --help", *(f", or: kugetsu {command}" for command in SYNONYMS.get(group, ()))])


def _with_their_group(verb: str) -> list[str]:
    """The command that a verb alone, as users of the bash tool's scripts type it, stands for; [] when it is not one."""
    found = [name for name in COMMANDS if name.partition(" ")[2] == verb]
    if len(found) != 1:
        return []
    return [*found, "queue cancel"] if verb == "stop" else found  # the daemon, or an agent


def _unknown(name: str, known: Sequence[str], hint: str, group: str = "", near: Sequence[str] = ()) -> BadInput:
    """What to say of a word that is no command; ``near`` are those meant, else it is the nearest ``known`` one."""
    from kugetsu.cli.synonyms import SYNONYMS

    ours = SYNONYMS.get(group + name)
    if ours is not None:
        said = ", or: ".join(f"kugetsu {command}" for command in ours)
        return BadInput(f"unknown command: {group + name!r}; it is called otherwise here", said)
    if not near:
        import difflib

        near = difflib.get_close_matches(name[:64], known, 1, 0.6)
    meant = f"; did you mean {group}{f' or {group}'.join(near)}?" if near else ""
    return BadInput(f"unknown command: {group + name[:64]!r}{meant}", hint)


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
