"""What tests of forges ask with."""

from __future__ import annotations

from typing import Protocol

from kugetsu.forge.client import Limits
from kugetsu.forge.protocol import Forge, PullRequest, Source

TOKEN = "s3cret-0123456789abcdef"
QUICK = Limits(connect=5, read=5, deadline=20, patience=0.5, backoff=0.01)
"""Limits for servers that answer: long enough for a busy machine, short pauses."""


class Asking(Protocol):
    """Makes a forge object that asks the scripted server; `kind` is gitea or github."""

    def __call__(self, kind: str = "gitea", *, limits: Limits = QUICK, token: str = TOKEN) -> Forge: ...


def pulls_of_branch(
    forge: Forge, owner: str, repo: str, branch: str, *, head_owner: str | None = None
) -> tuple[PullRequest, ...]:
    """Pull requests from one branch of the repository itself, or of that owner's fork."""
    owners = (head_owner,) if head_owner is not None else ()
    return forge.pulls_from(owner, repo, Source(frozenset((branch,)), owners=owners, own=head_owner is None))
