"""A forge that fails in every way, and keeps account of what was really done on it."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from forge.scripted import Answer, Request, ScriptedForge  # type: ignore[import-not-found]
from kugetsu.model import clock

LABEL = "kugetsu"
TIMEOUT = 2.0
"""FORGE_TIMEOUT_SECONDS of the campaign."""


@dataclass(frozen=True)
class Created:
    """A pull request that kugetsu opened: for which issue, at which commit of which branch."""

    number: int
    issue: int
    branch: str
    sha: str


class MisbehavingForge(ScriptedForge):  # type: ignore[misc]
    """One repository on a scripted forge of one kind; each request may fail while ``rate`` is above 0."""

    def __init__(self, kind: str, name: str, chance: random.Random, *, token: str) -> None:
        super().__init__(token=token)
        self.kind, self.name = kind, name
        self.rate = 0.0
        self.faults: Counter[str] = Counter()
        self.created: list[Created] = []
        self.unwanted_since: dict[int, float] = {}
        """The issues that ask for no work, and since when, in monotonic seconds."""
        self.uncalled: list[str] = []
        """What was done at the forge for an issue that had long asked for no work."""
        self._chance = chance

    def take_answer(self, method: str, path: str) -> Answer | None:
        """A fault in place of the answer, or before it."""
        if self._chance.random() >= self.rate:
            return super().take_answer(method, path)
        fault = self._chance.choice((self._status, self._limit, self._cut, self._lost, self._slow, self._nonsense))
        return fault()

    def _fault(self, word: str, **script: Any) -> Answer:
        self.faults[word] += 1
        return Answer("", "", **script)

    def _status(self) -> Answer:
        status = self._chance.choice((401, 403, 404, 500, 502, 503))
        return self._fault(f"status {status}", status=status, body={"message": "no"})

    def _limit(self) -> Answer:
        if self.kind == "github":
            headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 1)}
            return self._fault("rate limit", status=403, headers=headers, body={"message": "rate limit"})
        return self._fault("rate limit", status=429, headers={"Retry-After": "1"}, body={"message": "no"})

    def _cut(self) -> Answer:
        return self._fault("cut", cut=True)

    def _lost(self) -> Answer:
        """The request is carried out, its answer is lost."""
        return self._fault("lost answer", cut=True, carry_out=True)

    def _slow(self) -> Answer | None:
        self.faults["slow"] += 1
        time.sleep(self._chance.choice((0.1, 0.4, TIMEOUT + 0.3)))
        return None

    def _nonsense(self) -> Answer:
        return self._fault("nonsense", body="<html>down for a moment</html>", content="text/html")

    def respond(self, request: Request) -> tuple[int, dict[str, str], Any]:
        """The real answer; what kugetsu did is kept."""
        answer: tuple[int, dict[str, str], Any] = super().respond(request)
        if request.method == "POST" and request.path.endswith("/pulls") and answer[0] == 201:
            pull = self.pulls(self.name)[-1]
            issue = issue_of(pull.branch)
            self.created.append(Created(pull.number, issue, pull.branch, pull.sha))
            self._note_uncalled(issue, f"opened pull request #{pull.number}")
        if request.method == "POST" and request.path.endswith("/comments") and answer[0] == 201:
            number = int(request.path.split("/")[-2])
            self.repository(self.name).comments[number][-1].created_at = clock.now()[:19] + "Z"  # not the script's time
        if request.method == "POST" and request.path.endswith("/labels") and "/issues/" in request.path:
            self._note_uncalled(int(request.path.split("/")[-2]), "set a label")
        return answer

    def _note_uncalled(self, issue: int, done: str) -> None:
        """A request may have been on its way for as long as it may take."""
        since = self.unwanted_since.get(issue)
        if since is not None and time.monotonic() - since > 2 * TIMEOUT:
            self.uncalled.append(f"kugetsu {done} for {self.host}/{self.name}#{issue}, which had asked for no work")

    def note_wish(self, issue: int) -> None:
        """Note whether an issue asks for work now."""
        asks = self.asks(issue)
        if asks:
            self.unwanted_since.pop(issue, None)
        else:
            self.unwanted_since.setdefault(issue, time.monotonic())

    def asks(self, issue: int) -> bool:
        """Whether an issue is open and labelled."""
        known = self.repository(self.name).issues[issue]
        return known.state == "open" and LABEL in known.labels


def issue_of(branch: str) -> int:
    """The issue of a branch of kugetsu's: `fix/issue-3`, or after a merge `fix/issue-3-2`."""
    return int(branch.removeprefix("fix/issue-").partition("-")[0])
