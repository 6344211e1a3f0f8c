"""References to issues in what kugetsu publishes: none in texts that others wrote, one where it closes its own issue.

GitHub, Gitea and Forgejo close (Gitea and Forgejo reopen too) what stands behind a keyword in a title, in a body and in
a comment, whatever the sentence says: "does not close #12" closes #12. Code and quotations protect from that only while
the text is Markdown, and a squash merge makes a commit message of it. So no text is searched for keywords, which
servers may configure: every reference is written as words, `no. 12`, that mean the same to a reader and nothing to a
forge.
"""

from __future__ import annotations

import re

_MARKUP = r"(?:[*_~`\\\[\]]|<[^<>]*>)*"
"""What may stand within a reference in Markdown, and is gone when a forge has rendered it."""
_REFERENCE = re.compile(
    # `#12`, also behind `owner/repo` and as an entity; `!12`, a pull request of Gitea; `GH-12`; the end of a URL.
    rf"\\?(?:(?P<hash>#|&num;|&#0*35;|&#x0*23;|!)|(?P<gh>(?<![a-z0-9])gh)-|/(?P<path>issues|pulls?)/+)(?={_MARKUP}[0-9])",
    re.IGNORECASE,
)


def without_references(text: str) -> str:
    """The text with every reference to an issue or pull request in words: `#12` becomes `no. 12`."""
    return _REFERENCE.sub(_in_words, text)


def closing(number: int) -> str:
    """The line by which a pull request closes an issue of its own repository when it is merged."""
    return f"Closes #{number:d}"


def _in_words(found: re.Match[str]) -> str:
    before = found.string[found.start() - 1 : found.start()]
    if found["path"]:
        return f"/{found['path']} no. "
    if found["gh"]:
        return f"{found['gh']} no. "
    return " no. " if before.isalnum() else "no. "
