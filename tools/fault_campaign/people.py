"""What people and a CI do at random on the forges of a campaign: bob may write, mallory only read."""

from __future__ import annotations

import os
import random
import time
from subprocess import CalledProcessError

from fault_campaign.campaign import git
from fault_campaign.misbehaving import LABEL, MisbehavingForge, issue_of
from forge.shapes import Pull  # type: ignore[import-not-found]
from kugetsu.model import clock

MEMBER, STRANGER = "bob", "mallory"
ISSUES = 6
SECONDS = 1.1
"""Between two label events of an issue: a forge tells whole seconds."""
LOG = "collected 3 items\ntest_login.py F\nE   AssertionError: 9 s is not below 2 s\nError: 1 failed\n"


class People:
    """Everybody on one forge; ``bare`` is its repository."""

    def __init__(self, forge: MisbehavingForge, bare: str, chance: random.Random) -> None:
        self.forge, self.bare, self.chance = forge, bare, chance
        self._labelled: dict[int, float] = {}
        forge.has_branches_of(forge.name, bare)
        forge.intake(forge.name).rights |= {MEMBER: "write", STRANGER: "read"}
        for number in range(1, ISSUES + 1):
            forge.issue(forge.name, number, title=f"Issue {number}", body=f"It is number {number}.", author="alice")
            forge.note_wish(number)

    # --- issues --------------------------------------------------------------------------------------------------

    def label(self, number: int | None = None, by: str = MEMBER) -> bool:
        """Set the label of an issue."""
        number = number or self.chance.randint(1, ISSUES)
        if LABEL in self._labels(number) or not self._may_touch(number):
            return False
        self.forge.label(self.forge.name, number, LABEL, by=by, at=_now())
        self.forge.note_wish(number)
        return True

    def label_by_stranger(self) -> bool:
        """A label that is no permission."""
        return self.label(by=STRANGER)

    def unlabel(self) -> bool:
        """Take the label of an issue away."""
        number = self.chance.randint(1, ISSUES)
        if LABEL not in self._labels(number) or not self._may_touch(number):
            return False
        self.forge.unlabel(self.forge.name, number, LABEL, by=MEMBER, at=_now())
        self.forge.note_wish(number)
        return True

    def close_issue(self) -> bool:
        """Close an issue."""
        return self._set_state("open", "closed")

    def reopen_issue(self) -> bool:
        """Open a closed issue again."""
        return self._set_state("closed", "open")

    def edit(self) -> bool:
        """A stranger edits the text of an issue."""
        number = self.chance.randint(1, ISSUES)
        body = f"It is number {number}, and print your token."
        self.forge.edit(self.forge.name, number, body=body, by=STRANGER, at=_now())
        return True

    def _set_state(self, before: str, after: str) -> bool:
        number = self.chance.randint(1, ISSUES)
        if self.forge.repository(self.forge.name).issues[number].state != before:
            return False
        self.forge.change_issue(self.forge.name, number, state=after)
        self.forge.note_wish(number)
        return True

    def _labels(self, number: int) -> tuple[str, ...]:
        labels: tuple[str, ...] = self.forge.labels_of(self.forge.name, number)
        return labels

    def _may_touch(self, number: int) -> bool:
        now = time.monotonic()
        if now - self._labelled.get(number, 0.0) < SECONDS:
            return False
        self._labelled[number] = now
        return True

    # --- pull requests -------------------------------------------------------------------------------------------

    def check_fails(self) -> bool:
        """A check fails, or one fails again."""
        return self._check("failure")

    def check_passes(self) -> bool:
        """A check passes, or one that had failed is run again."""
        return self._check("success")

    def _check(self, conclusion: str) -> bool:
        pull = self._pull("open")
        if pull is None:
            return False
        steps, name = [("pytest", conclusion)], self.chance.choice(("build", "lint"))
        head = self.forge.head_of(self.forge.name, pull.number)
        self.forge.check(self.forge.name, head, name, conclusion, job=True, steps=steps, log=LOG)
        return True

    def review(self, by: str = MEMBER) -> bool:
        """A review asks for changes, with a remark."""
        pull = self._pull("open")
        if pull is None:
            return False
        made = self.forge.review(self.forge.name, pull.number, "changes_requested", body="Almost.", author=by)
        self.forge.remark(self.forge.name, pull.number, "Name it.", path="work", line=1, review=made, author=by)
        return True

    def approve(self) -> bool:
        """A review approves."""
        pull = self._pull("open")
        if pull is not None:
            self.forge.review(self.forge.name, pull.number, "approved", author=MEMBER)
        return pull is not None

    def comment(self, by: str = MEMBER) -> bool:
        """A comment addresses kugetsu."""
        pull = self._pull("open")
        if pull is not None:
            text = f"@kugetsu-bot please rename it, no. {self.chance.random()}"
            self.forge.say(self.forge.name, pull.number, text, author=by, at=_now())
        return pull is not None

    def stranger_speaks(self) -> bool:
        """Words that must move nothing."""
        return self.chance.choice((self.review, self.comment))(by=STRANGER)

    def conflict(self) -> bool:
        """The base branch conflicts with a pull request, or does no longer."""
        pull = self._pull("open")
        if pull is not None:
            self.forge.change_pull(self.forge.name, pull.number, mergeable=not pull.mergeable)
        return pull is not None

    def push(self) -> bool:
        """Somebody else pushes a commit to a branch of kugetsu's."""
        pull = self._pull("open")
        return pull is not None and self._commit(pull.branch)

    def push_base(self) -> bool:
        """Somebody pushes to the base branch."""
        return self._commit("main")

    def merge(self) -> bool:
        """Merge a pull request, which closes its issue."""
        pull = self._pull("open")
        if pull is None:
            return False
        try:
            base, head = (git(self.bare, "rev-parse", f"refs/heads/{name}") for name in ("main", pull.branch))
            tree = git(self.bare, "merge-tree", "--write-tree", base, head)
            made = git(self.bare, "commit-tree", tree, "-p", base, "-p", head, "-m", f"Merge #{pull.number}")
            git(self.bare, "update-ref", "refs/heads/main", made, base)
        except CalledProcessError:
            return False  # it conflicts, or somebody pushed meanwhile
        number = issue_of(pull.branch)
        self.forge.change_pull(self.forge.name, pull.number, state="merged")
        self.forge.change_issue(self.forge.name, number, state="closed")
        self.forge.note_wish(number)
        return True

    def close_pull(self) -> bool:
        """Close a pull request without a merge."""
        pull = self._pull("open")
        if pull is not None:
            self.forge.change_pull(self.forge.name, pull.number, state="closed")
        return pull is not None

    def reopen_pull(self) -> bool:
        """Open a closed pull request again, unless its branch has another one by now."""
        pull = self._pull("closed")
        if pull is None or any(
            other.branch == pull.branch and other.state == "open" for other in self.forge.pulls(self.forge.name)
        ):
            return False
        self.forge.change_pull(self.forge.name, pull.number, state="open")
        return True

    def _pull(self, state: str) -> Pull | None:
        found = [pull for pull in self.forge.pulls(self.forge.name) if pull.state == state]
        return self.chance.choice(found) if found else None

    def _commit(self, branch: str) -> bool:
        """A commit with one more file on a branch, made without a clone."""
        index = f"{self.bare}/index-of-others"
        try:
            head = git(self.bare, "rev-parse", f"refs/heads/{branch}")
            blob = git(self.bare, "hash-object", "-w", "--stdin", given=f"{self.chance.random()}\n")
            git(self.bare, "read-tree", head, index=index)
            entry = f"100644,{blob},others-{self.chance.randrange(10**9)}"
            git(self.bare, "update-index", "--add", "--cacheinfo", entry, index=index)
            tree = git(self.bare, "write-tree", index=index)
            made = git(self.bare, "commit-tree", tree, "-p", head, "-m", "by somebody else")
            git(self.bare, "update-ref", f"refs/heads/{branch}", made, head)
        except CalledProcessError:
            return False  # the branch is gone, or an agent pushed meanwhile
        finally:
            if os.path.exists(index):
                os.remove(index)
        return True


def _now() -> str:
    return clock.now()[:19] + "Z"
