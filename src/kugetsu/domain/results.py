"""What came of an attempt: decided from the evidence of git, the forge and the run's files, never from the agent's word
alone. Every attempt has exactly one result."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: The results that a person is asked to look at.
TO_REVIEW = frozenset(("pull_request", "pushed", "push_refused", "unpushed", "uncommitted", "answered", "unknown"))
#: Characters of the agent's last sentence that a result keeps.
SAID_LENGTH = 200

_NUMBERS = ("commits", "files", "added", "removed")
_PULL = ("number", "url", "state", "checks", "draft")
_ENDS = ".?!…"
_CLOSERS = "\"'`*_)»”’ "


def uncommitted(evidence: Any) -> int | None:
    """The number of uncommitted files of a worktree, changed and new, by an attempt's evidence; None if unknown."""
    changed = evidence.get("dirty")
    return None if changed is None else int(changed) + int(evidence.get("untracked") or 0)


def result_of(end: str, outcome: dict[str, Any], evidence: dict[str, Any]) -> dict[str, Any]:
    """The result (`events.attempts.Result`) of an attempt that ended by the event ``end``, from what that records."""
    pull = evidence.get("pull")
    said = last_sentence(outcome.get("final_text") or "")
    result: dict[str, Any] = {
        **{name: evidence.get(name) for name in _NUMBERS},
        "uncommitted": uncommitted(evidence),
        "branch": evidence.get("branch"),
        "pull": {name: pull.get(name) for name in _PULL} if pull else None,
        "foreign": pull.get("foreign") if pull else None,
        "later": pull.get("later") if pull else None,
        "elsewhere": evidence.get("elsewhere"),
        "refused": evidence.get("refused_push"),
        "answer": _answer(evidence),
        "said": said,
    }
    kind = _kind(evidence, result) if end == "attempt.succeeded" else "failed"
    if kind == "nothing" and asks(said):
        kind = "question"
    return {"kind": kind, **{name: value for name, value in result.items() if value or value == 0}}


def _kind(evidence: dict[str, Any], result: dict[str, Any]) -> str:
    """Where the work of a run that ended well is; ``nothing`` if nowhere."""
    commits, pushed, pull = result["commits"], evidence.get("pushed"), result["pull"]
    if pull is not None and pull["state"] == "open":
        return "pull_request"
    if pull is not None and pull["state"] == "merged" and not result["later"]:
        return "merged"
    if commits:
        if result["refused"] and not pushed:
            return "push_refused"
        return "unknown" if pushed is None else "pushed" if pushed else "unpushed"
    if commits is None and evidence:
        return "unknown"
    if result["uncommitted"]:
        return "uncommitted"
    return "answered" if result["answer"] else "nothing"


def _answer(evidence: dict[str, Any]) -> str | None:
    """The URL of the comment, or the path of the file, with the answer to an issue that wants no code."""
    answer: str | None = evidence.get("findings") or evidence.get("answer_url")
    return answer


def asks(said: str | None) -> bool:
    """Whether the agent's last sentence is a question."""
    return bool(said) and str(said).rstrip(_CLOSERS).endswith(("?", "？"))


def last_sentence(text: str) -> str | None:
    """The last sentence of a text, in one line; its end if that is too long, None without one."""
    paragraph = next((part for part in reversed(text.strip().splitlines()) if part.strip(_CLOSERS + "-#>")), "")
    line = " ".join(paragraph.split())
    start = max((line.rfind(f"{mark} ", 0, len(line.rstrip(_CLOSERS + _ENDS))) for mark in _ENDS), default=-1)
    sentence = line[start + 2 :] if start >= 0 else line
    if len(sentence) > SAID_LENGTH:
        sentence = "…" + sentence[1 - SAID_LENGTH :].lstrip()
    return sentence or None
