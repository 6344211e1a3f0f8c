"""Whether a run answered on the forge: a comment on the issue or its pull request that the run posted."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kugetsu.agents.commands import Command
from kugetsu.forge.failures import ForgeFailure
from kugetsu.forge.protocol import Comment, Forge

_POSTS = re.compile(
    r"/comments\b[^\n]*(?:\bPOST\b|\s--?d(?:ata\S*)?\b)|(?:\bPOST\b|\s--?d(?:ata\S*)?\b)[^\n]*/comments\b"
    r"|\b(?:gh|tea|glab|fj)\s+(?:issues?|pr|pulls?|mr)?\s*(?:comment|note|review)\b"
)


def posts(commands: Iterable[Command]) -> bool:
    """Whether one of the commands posted a comment, as far as its line shows."""
    return any(command.exit == 0 and _POSTS.search(command.line) for command in commands)


def url_of(forge: Forge, comments: Iterable[Comment], began: str, *, posted: bool) -> str | None:
    """The URL of the newest comment since ``began`` (UTC text) that the run made; None without one.

    The token's account must have written it. Where the account is unknown, the run must have ``posted`` a comment.
    """
    # Forges know seconds only.
    recent = [comment for comment in comments if comment.created_at >= began[:19]]
    if not recent:
        return None
    account = _account(forge)
    if account is None and not posted:
        return None
    made = [comment for comment in recent if account is None or comment.author.lower() == account.lower()]
    return max(made, key=lambda comment: (comment.created_at, comment.id)).url or None if made else None


def _account(forge: Forge) -> str | None:
    try:
        return forge.whoami()
    except ForgeFailure:
        return None
