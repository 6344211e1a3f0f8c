"""Hints for failures of git, from its error output.

What hooks, filters and other programs print says nothing about git: only its own lines are read (`fatal: …`, `error:
…`), and for network commands those of servers (`remote: …`, `ERROR: …`) and ssh.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kugetsu.redaction.funnel import redact

_REMOTE_COMMANDS = ("clone", "fetch", "ls-remote", "pull", "push", "remote", "submodule")
_OF_GIT = ("fatal: ", "error: ")
_OF_SERVERS = ("remote: ", "ERROR: ")  # the second: what a server prints over ssh before it hangs up

_NO_REPOSITORY = "check the name and your access, or register a clone: kugetsu init --repo PATH|URL"
_NO_LOGIN = "git needs credentials: kugetsu env set GITEA_TOKEN (or GITHUB_TOKEN), a credential helper, or an ssh URL"

#: `ssh://git@host:2222/path`, or `git@host:path` as of scp.
_SSH_URL = re.compile(
    r"ssh://(?P<user>[\w.-]+@)?(?P<host>[\w.-]+)(?::(?P<port>\d+))?/|(?P<scp_user>[\w.-]+@)(?P<scp>[\w.-]+):"
)

# Read in lines of git and of servers.
_MISSING = (
    ("Repository not found", _NO_REPOSITORY),
    ("does not appear to be a git repository", "check the path, or register another: kugetsu init --repo PATH|URL"),
    ("could not be found", _NO_REPOSITORY),
    ("not found", _NO_REPOSITORY),
    ("does not exist", _NO_REPOSITORY),
    ("No such file", _NO_REPOSITORY),
    ("not a git repository", "name a folder that is a git repository: kugetsu init --repo PATH"),
)
_CREDENTIALS = (
    ("could not read Username", _NO_LOGIN),
    ("could not read Password", _NO_LOGIN),
    ("Authentication failed", "the credentials were refused: renew the token or the key"),
    ("returned error: 401", "the credentials were refused: renew the token or the key"),
    ("returned error: 403", "the credentials do not allow this: check the token's rights"),
)
_REMOTE = (
    *_CREDENTIALS,
    *_MISSING,
    ("Could not resolve host", "check the network and the server's name (setting GIT_SERVERS)"),
    ("certificate", "name the file of the authority that signed it: kugetsu server add NAME URL --ca FILE"),
    ("Connection refused", "check that the server is running, and its URL (setting GIT_SERVERS)"),
    ("timed out", "check the network and try again"),
    ("unable to access", "check the network and the URL (setting GIT_SERVERS)"),
)
# Read in every line of a command that talks to a server: ssh has no mark of its own.
_SSH = (
    ("Host key verification failed", "connect once manually to accept the host's key: ssh -T {login}"),
    ("Permission denied (", "add your ssh key to the server, or to ssh-agent: ssh-add"),
    ("ssh: Could not resolve hostname", "check the network and the server's name (setting GIT_SERVERS)"),
    ("ssh: connect to host", "check that the server is running, and its URL (setting GIT_SERVERS)"),
    ("Connection timed out", "check the network and try again"),
)
_MACHINE = (
    ("dubious ownership", "the folder belongs to another user: git config --global --add safe.directory FOLDER"),
    ("smudge filter lfs failed", "install git-lfs where kugetsu runs, and check its access to the server"),
    ("No space left on device", "free some disk space and try again"),
    ("Read-only file system", "make the folder writable, or set KUGETSU_DIR to another one"),
    (".lock': File exists", "another git command is running there; if none is, remove the .lock file that it names"),
    ("index.lock", "another git command is running there; if none is, remove the .lock file that it names"),
)
_LOCAL = (*_MACHINE, ("not a git repository", "name a folder that is a git repository: kugetsu init --repo PATH"))


def hint(args: Sequence[str], error_output: str) -> str | None:
    """What helps when `git ARGS` fails with this error output; None if unknown."""
    text = _lines(error_output, _OF_GIT)
    if _subcommand(args) not in _REMOTE_COMMANDS:
        return _first(_LOCAL, text)
    theirs = _lines(error_output, (*_OF_GIT, *_OF_SERVERS))
    found = _first(_MACHINE, text) or _first(_SSH, error_output) or _first(_REMOTE, theirs)
    return found.replace("{login}", _login(args)) if found is not None else None


def _login(args: Sequence[str]) -> str:
    """What ssh is to be told to log in where a command of git would."""
    for word in args:
        found = _SSH_URL.match(word)
        if found is not None:
            login = (found["user"] or found["scp_user"] or "git@") + (found["host"] or found["scp"])
            return f"-p {found['port']} {login}" if found["port"] else login
    return "git@HOST"


def is_missing(args: Sequence[str], error_output: str) -> bool:
    """Whether the server (or the path) has no such repository, as far as it tells."""
    text = _lines(error_output, (*_OF_GIT, *_OF_SERVERS))
    return _subcommand(args) in _REMOTE_COMMANDS and _first(_MISSING, text) is not None


def wants_credentials(error_output: str) -> bool:
    """Whether a server refused access, or hides the repository from strangers."""
    text = _lines(error_output, (*_OF_GIT, *_OF_SERVERS))
    refused = any(words in text for words, _ in _CREDENTIALS)
    return refused or ("repository 'http" in text and "' not found" in text)


def refs_in_the_way(error_output: str) -> list[str]:
    """The refs that prevent others: `fix` and `fix/issue-1` exclude each other."""
    text = _lines(error_output, _OF_GIT)
    return list(dict.fromkeys(re.findall(r"'([^'\n]+)' exists; cannot create ", text)))


def last_line(text: str, most: int = 200) -> str:
    """The last non-empty line, redacted and bounded."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return redact(" ".join(lines[-1].split()), limit=most) if lines else ""


def _first(hints: Sequence[tuple[str, str]], text: str) -> str | None:
    return next((hint for words, hint in hints if words in text), None)


def _lines(text: str, marks: tuple[str, ...]) -> str:
    return "\n".join(line for line in text.splitlines() if line.lstrip().startswith(marks))


def _subcommand(args: Sequence[str]) -> str:
    """The first word after git's own options `-c KEY=VALUE`."""
    rest = list(args)
    while len(rest) > 2 and rest[0] == "-c":
        rest = rest[2:]
    return rest[0] if rest else ""
