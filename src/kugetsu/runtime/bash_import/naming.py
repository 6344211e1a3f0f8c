"""How the old directory's references are read: with its own default server, into the names that hold here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kugetsu.model.errors import BadInput
from kugetsu.model.refs import IssueRef, parse_ref, parse_repository
from kugetsu.model.servers import canonical_host


@dataclass(frozen=True)
class Naming:
    """`servers` are those that will be in force after the import, `default_host` completes `owner/repo#N`, and
    `said_by` tells where it comes from."""

    servers: Mapping[str, str]
    default_host: str
    said_by: str

    def issue(self, text: object) -> IssueRef:
        """The issue that a field of the old files names. Raises BadInput."""
        if not isinstance(text, str):
            raise BadInput("it names no issue" if text is None else f"its issue is no text: {str(text)[:60]!r}")
        return parse_ref(text, default_host=self.default_host, servers=self.servers)

    def issue_or_none(self, text: object) -> str | None:
        """The canonical text of what `issue` gives, None where that raises."""
        try:
            return str(self.issue(text))
        except BadInput:
            return None

    def repository(self, text: str) -> str:
        """`host/owner/repo` of a key of repos.json: an issue's reference, or a repository's name. Raises BadInput."""
        if "#" not in text and "://" not in text:
            host, owner, repo = parse_repository(text)
            return f"{canonical_host(host, self.servers)}/{owner}/{repo}"
        return self.issue(text).repository

    def note(self, text: object) -> list[str]:
        """What to say of a reference that was completed: people see whether the right server was taken."""
        if isinstance(text, str) and "://" not in text and text.count("/") == 1:
            return [f"{text} was completed with {self.default_host} ({self.said_by})"]
        return []
