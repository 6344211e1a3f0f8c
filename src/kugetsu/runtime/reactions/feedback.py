"""What people, checks and the base branch say of an open pull request, as items of feedback
(`domain.events.reactions.Feedback`).

Only what is new is read closely: whoever wrote it is asked for, and a failing check's output. What does not count
leaves no trace, so that strangers cannot fill the log: no item, no mark, no turn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from kugetsu.forge.protocol import Check, CheckOutput, Comment, Forge, PullRequest, Remark, Review, is_verdict
from kugetsu.runtime import error_window
from kugetsu.runtime.reactions.foreign_text import address, one_line, plain, without_what_varies
from kugetsu.runtime.reactions.people import People

Item = dict[str, Any]

#: Characters that are kept of a text by a person, of the diff around a remark, of a check's own words, of a name.
TEXT = 8000
HUNK = 2000
WORDS = 2000
NAME = 200
UNREAD = "unread"
"""In place of the signature of an error whose log could not be read."""
#: Items of one look whose texts are kept; of further ones only where to read them.
MOST_TEXTS = 100
#: Outputs of checks that are remembered.
_OUTPUTS = 500


@dataclass(frozen=True, slots=True)
class Output:
    """What is told of a failing check: whether it ``ran``, the window of its ``log`` (None without one), its ``words``,
    and the ``signature`` of its error (`UNREAD`; empty if it did not run)."""

    ran: bool
    log: str | None
    words: str
    signature: str

    @classmethod
    def of(cls, check: Check, output: CheckOutput) -> Output:
        """The same, from all that the forge tells."""
        parts = plain(check.description, WORDS), plain(output.words, WORDS)
        words = "\n".join(part for part in dict.fromkeys(parts) if part)
        if not (check.ran and output.ran):
            return cls(False, None, words, "")
        shown, errors = [], []
        logs = [(name, log) for name, log in output.steps if log is not None]
        for name, log in logs[-error_window.MOST_STEPS :]:
            window = error_window.of_log(log, error_window.BUDGET // min(len(logs), error_window.MOST_STEPS))
            shown.append(f"step: {one_line(name, NAME)}\n{window}" if name else window)
            errors.append(f"{name}: {error_window.last_error(log) or ''}")
        if not logs:
            shown = [f"step: {one_line(name, NAME)}" for name, _ in output.steps]
            errors = [f"{name}: " for name, _ in output.steps] + [words]
        signature = hashlib.sha256("\n".join(map(without_what_varies, errors)).encode()).hexdigest()[:16]
        signature = UNREAD if output.unread else signature
        return cls(True, "\n\n".join(shown) if logs else None, _with_steps(words, shown if not logs else []), signature)


@dataclass(slots=True)
class Outputs:
    """The outputs of failing checks, each asked for and read once: a log is large, and its window is not."""

    _known: dict[tuple[str, ...], Output] = field(default_factory=dict)

    def of(self, forge: Forge, owner: str, repo: str, sha: str, check: Check) -> Output:
        """The output of a check of a commit. Raises ForgeFailure."""
        key = (forge.host, owner, repo, sha, check.name, str(check.id), check.url, check.description, str(check.ran))
        if key not in self._known:
            while len(self._known) >= _OUTPUTS:
                del self._known[next(iter(self._known))]
            self._known[key] = Output.of(check, forge.check_output(owner, repo, sha, check))
        return self._known[key]


@dataclass(slots=True)
class Feedback:
    """What a look showed: the new ``items``, the ids of all that are ``present``, and the ``kinds`` that were looked
    for: an item of these that is not present is gone."""

    head: str
    items: list[Item] = field(default_factory=list)
    present: set[str] = field(default_factory=set)
    kinds: tuple[str, ...] = ()

    def gone(self, known: dict[str, Item]) -> list[str]:
        """The known items that are there no more."""
        return [
            name
            for name, item in known.items()
            if item["open"] and item["kind"] in self.kinds and name not in self.present
        ]


@dataclass(slots=True)
class Reading:
    """One look at an open pull request. ``known`` are the items that the loop knows; ``checks`` and ``reviews`` were
    read before; ``conflicts``: it cannot be merged, and could not for a while (`survey.conflicts`)."""

    people: People
    outputs: Outputs
    pull: PullRequest
    known: dict[str, Item]
    checks: tuple[Check, ...]
    reviews: tuple[Review, ...]
    conflicts: bool

    def of(self, kinds: list[str]) -> Feedback:
        """The feedback of these kinds. Raises ForgeFailure."""
        readers: dict[str, Callable[[], Iterator[tuple[str, Callable[[], Item | None]]]]] = {
            "checks": self._checks,
            "reviews": self._reviews,
            "comments": self._comments,
            "conflicts": self._conflicts,
        }
        found = Feedback(self.pull.head_sha, kinds=tuple(kind for kind in readers if kind in kinds))
        for kind in found.kinds:
            if kind == "conflicts" and self.pull.mergeable is None:
                found.kinds = tuple(one for one in found.kinds if one != kind)  # nobody knows
                continue
            for name, make in readers[kind]():
                self._add(found, kind, name, make)
        return found

    def _add(self, found: Feedback, kind: str, name: str, make: Callable[[], Item | None]) -> None:
        if self.known.get(name, {}).get("open"):
            found.present.add(name)
            return
        item = make()
        if item is None or name in found.present:
            return
        if len(found.items) >= MOST_TEXTS:
            item = {key: value for key, value in item.items() if key not in ("text", "hunk", "log")}
        found.present.add(name)
        found.items.append({"id": name, "kind": kind, "counts": True, **item})

    @property
    def _place(self) -> tuple[Forge, str, str]:
        return self.people.forge, self.people.owner, self.people.repo

    # --- checks ---

    def _checks(self) -> Iterator[tuple[str, Callable[[], Item | None]]]:
        """The checks of the head that failed, and those that did not run: these are for a person."""
        for check in self.checks:
            if check.state != "failure" and check.ran:
                continue
            output = self.outputs.of(*self._place, self.pull.head_sha, check)
            start = f"check:{_mark(check.name)}:{self.pull.head_sha}:"
            base: Item = {"name": one_line(check.name, NAME), "url": address(check.url, NAME * 2), "text": output.words}
            if output.ran:
                for name in self._named(start, output.signature):
                    yield name, lambda base=base, log=output.log: {**base, "log": log}  # type: ignore[misc]
            else:
                yield f"{start}not-run", lambda base=base: {**base, "counts": False, "why_not": "not_run"}  # type: ignore[misc]

    def _named(self, start: str, signature: str) -> list[str]:
        """The ids of a failing check. While its error cannot be read it is the one that is known of that check and
        commit, whatever that was: a server that is down for a moment must not make two of one."""
        known = [name for name, item in self.known.items() if item["open"] and name.startswith(start)]
        if signature == UNREAD:
            return [name for name in known if not name.endswith(":not-run")] or [start + UNREAD]
        return [start + UNREAD] if start + UNREAD in known else [start + signature]

    # --- people ---

    def _reviews(self) -> Iterator[tuple[str, Callable[[], Item | None]]]:
        """The reviews that ask for changes and were not taken back, those addressed to kugetsu, and the remarks on
        lines of all reviews."""
        sent = [review for review in self.reviews if review.state != "pending"]
        if not sent:
            return
        forge, owner, repo = self._place
        remarks = forge.remarks(owner, repo, self.pull.number)
        with_remarks = {remark.review for remark in remarks}
        latest = {review.author: review.id for review in sent if is_verdict(review)}
        dismissed = {review.id for review in sent if review.state == "dismissed"}
        sent_at = {review.id: review.submitted_at for review in sent}
        for review in sent:
            asks = review.state == "changes_requested" and latest[review.author] == review.id
            comments = review.state == "commented" and review.id in with_remarks and review.body.strip()
            addressed = review.state in ("commented", "approved") and self.people.addressed(review.body)
            if asks or comments or addressed:
                yield f"review:{review.id}", lambda review=review: self._review(review)  # type: ignore[misc]
        for remark in remarks:
            if remark.review not in dismissed:
                # Written while an agent worked, perhaps, and sent after it.
                at = sent_at.get(remark.review or 0) or remark.created_at
                yield f"remark:{remark.id}", lambda remark=remark, at=at: self._remark(remark, at)  # type: ignore[misc]

    def _review(self, review: Review) -> Item | None:
        said = self._said(review, review.submitted_at)
        name = "asks for changes" if review.state == "changes_requested" else "comments"
        return {**said, "name": name, "url": self.pull.url} if said is not None else None

    def _remark(self, remark: Remark, at: str) -> Item | None:
        said = self._said(remark, at)
        if said is None:
            return None
        where: Item = {"path": one_line(remark.path, NAME), "url": remark.url, "hunk": _end(remark.hunk)}
        return {**said, **where, **({"line": remark.line} if remark.line is not None else {})}

    def _comments(self) -> Iterator[tuple[str, Callable[[], Item | None]]]:
        """The comments on the conversation that are addressed to kugetsu."""
        forge, owner, repo = self._place
        for comment in forge.comments_after(owner, repo, self.pull.number, None):
            yield f"comment:{comment.id}", lambda comment=comment: self._comment(comment)  # type: ignore[misc]

    def _comment(self, comment: Comment) -> Item | None:
        said = self._said(comment, comment.created_at) if self.people.addressed(comment.body) else None
        return {**said, "url": comment.url} if said is not None else None

    def _said(self, by: Review | Remark | Comment, at: str) -> Item | None:
        """Who said what at a time, if it counts."""
        relation = self.people.standing(by.author, by.body, at, bot=by.bot)
        if relation is None:
            return None
        return {"author": one_line(by.author, NAME), "relation": relation, "text": plain(by.body, TEXT)}

    # --- the base branch ---

    def _conflicts(self) -> Iterator[tuple[str, Callable[[], Item | None]]]:
        """That it cannot be merged into its base branch, once for each head."""
        pull = self.pull
        name = f"conflict:{pull.head_sha}:{_mark(pull.base_branch)}"
        if pull.mergeable is False and (self.conflicts or self.known.get(name, {}).get("open")):
            yield name, lambda: {"name": one_line(pull.base_branch, NAME)}


def _mark(name: str) -> str:
    """A name in an id: others choose it, and what the log's guard changed would be taken for a new item for ever."""
    return hashlib.sha256(name.encode(errors="replace")).hexdigest()[:12]


def _end(hunk: str) -> str:
    """The end of a hunk, where its remark is."""
    lines = plain(hunk[-HUNK * 4 :], HUNK * 4).split("\n")
    while len(lines) > 1 and len("\n".join(lines)) > HUNK:
        del lines[0]
    return "\n".join(lines)[-HUNK:]


def _with_steps(words: str, steps: list[str]) -> str:
    return "\n".join(part for part in (words, *steps) if part)
