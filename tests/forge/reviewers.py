"""What reviewers and a CI do on the scripted forge: reviews, remarks on lines, checks with their output and logs."""

from __future__ import annotations

import threading
from typing import Any

from forge.feedback import Check, LineComment
from forge.shapes import Repository


class Reviewers:
    """The part of `ScriptedForge` that they use."""

    lock: threading.RLock
    repositories: dict[str, Repository]

    def keep(self, ident: int, log: str) -> str:
        """Put a log where the forge stores them; the URL of that place."""
        raise NotImplementedError

    def repository(self, name: str) -> Repository:
        """A repository, made when it is first named."""
        raise NotImplementedError

    def review(self, repository: str, number: int, state: str, *, body: str = "", author: str = "bob") -> int:
        """A review: approved, changes_requested, commented, dismissed, pending, or requested (Gitea only), of the
        commit that is its head now; its id."""
        with self.lock:
            repo = self.repository(repository)
            pull = repo.pulls[number]
            repo.follow(pull)
            ident = repo.next_id()
            pull.reviews.append((ident, state, body, author, pull.sha))
            if state != "pending":
                repo.touch(number)
            return ident

    def remark(
        self,
        repository: str,
        number: int,
        body: str,
        *,
        path: str = "main.py",
        line: int | None = 1,
        hunk: str = "@@ -0,0 +1 @@\n+x = 1",
        author: str = "bob",
        review: int | None = None,
        removed: bool = False,
    ) -> int:
        """A comment on a line, in a review (without one: in one of its own, which is sent); its id."""
        with self.lock:
            review = self.review(repository, number, "commented", author=author) if review is None else review
            repo = self.repository(repository)
            ident, commit = repo.next_id(), repo.pulls[number].sha
            comment = LineComment(ident, review, author, body, path, line, hunk, commit, removed)
            repo.feedback.line_comments.setdefault(number, []).append(comment)
            repo.touch(number)
            return ident

    def check(self, repository: str, sha: str, name: str, state: str, **details: Any) -> int:
        """A check of a commit, with the forge's word for its state; its id. A later one with the same name is a re-run.

        `run=True`: a check run (GitHub only), whose state is a conclusion or `in_progress`, with `title`, `summary`,
        `text` and `annotations`. `job=True`: a job of the forge's own CI, with `steps` and `log` (`feedback.log_of`).
        """
        with self.lock:
            repo = self.repository(repository)
            check = Check(repo.next_id(), name, state, sha=sha, **details)
            repo.checks.setdefault(sha, []).append(check)
            if check.log is not None:
                repo.feedback.store = self.keep(check.id, check.log)
            return check.id

    def relate(self, repository: str, login: str, association: str) -> None:
        """What an account is to a repository, in GitHub's words (`feedback.Feedback.relations`)."""
        with self.lock:
            self.repository(repository).feedback.relations[login] = association
