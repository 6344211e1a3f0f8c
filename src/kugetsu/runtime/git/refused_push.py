"""Whether a server refused the pushes of a run, and why: from what the agent's own `git push` printed.

git prints a line with `!` for each refused ref and, before it, what the server said (`remote:`). The word in brackets
is in the user's language; the server's reason in parentheses is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kugetsu.agents.commands import Command
from kugetsu.redaction.funnel import redact

MOST = 2000
"""Characters of the server's words."""

PROTECTED, BEHIND, HOOK, NO_RIGHT, TOO_LARGE = "protected_branch", "non_fast_forward", "hook", "no_right", "too_large"
OTHER = "other"
CODES = (PROTECTED, BEHIND, HOOK, NO_RIGHT, TOO_LARGE, OTHER)

_PUSH = re.compile(r"\bgit(?:\s+-[cC]\s+\S+|\s+--?[\w-]+(?:=\S+)?)*\s+push\b(?P<rest>[^\n;&|]*)")
_TRIAL = re.compile(r"\s(?:--dry-run|-n)\b")
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_NOISE = re.compile(
    r"^(?:remote:\s*)?(?:Enumerating|Counting|Delta compression|Compressing|Writing|Total|Resolving deltas|Processed"
    r"|Processing|Unpacking|hint:|Pushing to|POST git-receive)"
)

_REFUSED = re.compile(r"^\s*!\s+(?:\S+\t)?\[[^\]]+\].*?(?:\((?P<reason>.*)\))?\s*$")
_TAKEN = re.compile(
    r"^\s*(?:[*=]\s+(?:\S+\t)?\[(?!.*\btag\b)[^\]]+\]|\+?\s*(?:\S+\t)?[0-9a-f]{4,}\.\.\.?[0-9a-f]{4,}(?:\s|$))"
)
_NOTHING_NEW = "Everything up-to-date"
_REPORT = re.compile(r"^To \S", re.M)
_FATAL = re.compile(
    r"^(?:fatal|error): (?:unable to access .*error: 4\d\d|RPC failed; .*\b4\d\d\b|Authentication failed|could not read"
    r" (?:Username|Password)|repository .* not found|Could not read from remote repository)",
    re.I,
)

_PASSING = re.compile(
    r"internal server error|cannot lock ref|failed to update ref|timed? ?out|temporar|unavailable|try again later"
    r"|failed to report status|connection (?:refused|reset|closed)|could not resolve|error: 5\d\d",
    re.I,
)
"""The server is in trouble, or somebody else is pushing: not a refusal."""

_REASONS_BY_CODE = (
    (
        TOO_LARGE,
        r"file size limit|larger than the allowed size|maximum allowed size|\bGH001\b|large files detected|size limit"
        r"|over limitation|quota|allocated storage|\b413\b",
    ),
    (
        PROTECTED,
        r"protected branch|\bGH00[36]\b|branch \S+ is protected|through a pull request|protected ref"
        r"|currently checked out|hidden ref|force.push",
    ),
    (
        NO_RIGHT,
        r"permission to \S+ denied|permission denied|not allowed to push code to this project|error: 40[13]|http 40[13]"
        r"|write access|not authorized|read.only|without `?workflows?`? (?:scope|permission)|authentication failed"
        r"|could not read (?:username|password)|access denied|not found|could not be found|insufficient permission"
        r"|don't have permission|DENIED by",
    ),
    (HOOK, r"hook declined|declined due to|rule violations"),
)
_REASONS = tuple((code, re.compile(pattern, re.I)) for code, pattern in _REASONS_BY_CODE)

#: Of what stands around a push, the lines that the server, ssh and git itself write.
_TELLING = re.compile(r"remote:\s*\S|error: |fatal: |ERROR|Gitea:|Forgejo:|GitLab:|.*\bdenied\b", re.I)

#: git's own reasons: the push was not even sent.
_BEHIND = ("fetch first", "non-fast-forward", "needs force", "stale info", "remote ref updated since checkout")


def find(commands: Iterable[Command]) -> dict[str, str] | None:
    """The ``code`` and the server's ``words`` (redacted, at most MOST characters) of the last push, if it was refused.

    None if it went through, if there was none, and where the server was only in trouble.
    """
    refused: dict[str, str] | None = None
    for command in commands:
        if not command.line:
            refused = _last(command, refused)
        elif (pushed := _PUSH.search(command.line)) is not None and not _TRIAL.search(pushed["rest"]):
            told = _last(command, refused)
            # A quiet push says nothing when it goes through.
            quiet = told is refused and command.exit == 0 and not _REPORT.search(command.output)
            refused = None if quiet else told
    return refused


def _last(command: Command, before: dict[str, str] | None) -> dict[str, str] | None:
    """What the last push in a command's output came to; ``before`` if it reports none."""
    state = before
    said: list[str] = []
    refs: list[str] = []
    pushing = broken = False

    def ended(sent: bool) -> None:
        nonlocal state
        reasons = [refusal["reason"] or "" for line in refs if (refusal := _REFUSED.match(line)) is not None]
        code = _code(reasons[-1] if reasons else "", [*said, *refs], sent=sent)
        if code is not None:
            state = _as_data(code, [*said, *refs])
        said.clear()
        refs.clear()

    for line in _lines(command.output):
        if line.startswith(("To ", "From ")):
            pushing = line.startswith("To ")  # a fetch prints the same lines
        elif _REFUSED.match(line):
            refs.append(line)
        elif (pushing and _TAKEN.match(line)) or line == _NOTHING_NEW:
            # git adds that nothing is new when the server cut the connection.
            if not refs and not broken:
                state = None
                said.clear()
        elif _FATAL.match(line):
            broken = True
            said.append(line)
            ended(sent=False)
        elif line.startswith("error: failed to push"):
            ended(sent=True)
        elif _TELLING.match(line):
            said.append(line)
    if refs:
        ended(sent=True)
    return state


def _code(reason: str, words: list[str], *, sent: bool = True) -> str | None:
    if reason in _BEHIND:
        return BEHIND
    text = "\n".join(words)
    if _PASSING.search(text):
        return None
    for code, pattern in _REASONS:
        if pattern.search(text):
            return code
    return OTHER if sent and reason else None


def _as_data(code: str, words: list[str]) -> dict[str, str]:
    text = redact("\n".join(line.rstrip() for line in words).strip())
    return {"code": code, "words": text if len(text) <= MOST else text[: MOST - 1] + "…"}


def _lines(output: str) -> Iterator[str]:
    """The lines without colours and progress."""
    for line in re.split(r"[\r\n]+", _COLOUR.sub("", output)):
        text = line.rstrip()
        if text and not _NOISE.match(text):
            yield text
