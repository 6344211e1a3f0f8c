"""Whose word counts on a pull request: who may write to the repository, and who is listed; never kugetsu itself.

kugetsu may be at the forge under its user's own account. Then its words are those with its mark, and those of the time
in which an agent worked on the issue, which may post without one; all others are the user's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from kugetsu.forge.protocol import Forge, Review
from kugetsu.model.markdown import prose
from kugetsu.runtime.pull_requests import is_marked
from kugetsu.runtime.reactions.runs import Runs

#: Seconds for which an account's right is remembered: it may be given or taken.
REMEMBERED = 600.0
#: The rights that count.
MAY = ("admin", "write")
LISTED = "listed"
#: How the names of accounts end that programs use, where the forge does not tell a program from a person.
_BOTS = ("[bot]", "-bot", "_bot", "-actions")


@dataclass(slots=True)
class Rights:
    """What forges say of accounts, remembered for a while: their rights, and which one is kugetsu's own. ``untold`` are
    the repositories in which the token may not ask for rights."""

    untold: set[str] = field(default_factory=set)
    _rights: dict[tuple[str, str, str, str], tuple[float, str]] = field(default_factory=dict)
    _own: dict[str, tuple[float, str]] = field(default_factory=dict)

    def right(self, forge: Forge, owner: str, repo: str, account: str) -> str:
        """What an account may do in a repository; empty if kugetsu may not ask. Raises ForgeFailure."""
        key = (forge.host, owner.lower(), repo.lower(), account.lower())
        known = self._rights.get(key)
        if known is None or time.monotonic() - known[0] > REMEMBERED:
            right = forge.right(owner, repo, account)
            if right is None:
                self.untold.add(f"{forge.host}/{owner}/{repo}")
            known = self._rights[key] = time.monotonic(), right or ""
        return known[1]

    def own(self, forge: Forge) -> str:
        """Kugetsu's account; empty without a token. Raises ForgeFailure."""
        known = self._own.get(forge.host)
        if known is None or time.monotonic() - known[0] > REMEMBERED:
            known = self._own[forge.host] = time.monotonic(), forge.whoami() or ""
        return known[1]


@dataclass(slots=True)
class People:
    """The people of one repository. ``listed`` is REACTION_AUTHORS; ``name`` REACTION_NAME; ``runs`` are those of the
    issue."""

    forge: Forge
    owner: str
    repo: str
    rights: Rights
    listed: tuple[str, ...]
    name: str
    runs: Runs

    def standing(self, author: str, body: str, at: str, *, bot: bool) -> str | None:
        """What the author of a text of the time ``at`` is to the repository (`forge.protocol.Right`, or `LISTED`); None
        if what they wrote does not count: it is kugetsu's own, or by a program or somebody without write access who is
        not listed. Raises ForgeFailure."""
        if not author or is_marked(body):
            return None
        if author.lower() == self.rights.own(self.forge).lower() and self.runs.may_have_written(at):
            return None
        right = self._right(author, bot=bot)
        return right if right == LISTED or right in MAY else None

    def judges(self, review: Review) -> bool:
        """Whether a review's verdict on the pull request counts: its author may write, or is listed; where the token
        may not ask for rights, if the forge says so with the review. Raises ForgeFailure."""
        right = self._right(review.author, bot=review.bot)
        return right == LISTED or right in MAY or (not right and review.official)

    def _right(self, author: str, *, bot: bool) -> str:
        """What an account may do; empty if kugetsu may not ask, `none` for a program that is not listed."""
        account = author.lower()
        if account in (name.lower() for name in self.listed):
            return LISTED
        if bot or is_program(account):
            return "none"
        return self.rights.right(self.forge, self.owner, self.repo, author)

    def addressed(self, body: str) -> bool:
        """Whether a comment is addressed to kugetsu: it says `@name`, or a line of it begins with `name:`; what it
        quotes does not count. Raises ForgeFailure."""
        name = (self.name.removeprefix("@") or self.rights.own(self.forge)).lower()
        if not name:
            return False
        return any(line.startswith(f"{name}:") or _mentions(line, name) for line in prose(body.lower()))


def is_program(account: str) -> bool:
    """Whether an account has a name as programs have."""
    return account.lower().endswith(_BOTS)


def _mentions(line: str, name: str) -> bool:
    at = line.find(f"@{name}")
    while at >= 0:
        before, after = line[at - 1 : at], line[at + len(name) + 1 : at + len(name) + 2]
        if not (before.isalnum() or before in ("/", "`", "_")) and not (after.isalnum() or after in ("-", "_", "/")):
            return True
        at = line.find(f"@{name}", at + 1)
    return False
