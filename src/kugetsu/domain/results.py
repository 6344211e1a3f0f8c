"""What came of an attempt: decided from the evidence of git, the forge and the run's files, never from the agent's word
alone. Every attempt has exactly one result."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: The results that a person is asked to look at.
TO_REVIEW = frozenset(
    ("pull_request", "pushed", "push_refused", "unpushed", "uncommitted", "checks_failed", "answered", "unknown")
)
#: Characters of the agent's last sentence that a result keeps.
SAID_LENGTH = 200

#: The results whose commits are verified, and what a verification says of work that is not to be taken as it is.
COMMITTED = frozenset(("pull_request", "pushed", "unpushed", "unknown"))
UNVERIFIED = ("failed", "timed_out", "set_up_failed")
#: How a verification ends on the work and on its base alike → what that is called: the command or the set-up is at
#: fault, and nothing is known of the work.
AT_FAULT = {
    "timed_out": "too_slow",
    "not_found": "not_found",
    "not_executable": "not_executable",
    "set_up_failed": "base_unready",
}
#: The verifications that say nothing of the work; and those of work for which kugetsu opens no pull request.
UNKNOWN = ("not_run", *AT_FAULT.values())
NOT_TO_OPEN = (*UNVERIFIED, *UNKNOWN)
#: Work that was not verified, after VERIFY_COMMAND was removed.
NOT_ASKED = "not_asked"

_VERIFICATION = ("code", "exit", "seconds", "commit")
_NUMBERS = ("commits", "ahead", "files", "added", "removed")
_PULL = ("number", "url", "state", "checks", "draft")
_ENDS = ".?!…？؟"
_ASKS = ("?", "？", "؟")
_CLOSERS = "\"'`*_)»”’ "
_MARKUP = "#>-*+•0123456789.) \t"
_SENTENCES = 4
"""Sentences at the end of the agent's last message that are looked at for a question."""
_REQUESTS = (
    "tell me",
    "let me know",
    "please confirm",
    "please clarify",
    "please advise",
    "please decide",
    "need to know",
)
"""What asks without a question mark."""
_COURTESY = (
    "anything else",
    "any question",
    "further",
    "if you need",
    "if you want",
    "if you'd like",
    "if you would like",
)
"""What looks like a question or a request and is only polite."""
_AFTER = (
    "please",
    "i will",
    "i'll",
    "i have not",
    "i stopped",
    "until",
    "once ",
    "nothing ",
    "no ",
    "otherwise",
    "waiting",
)
"""How sentences begin that may follow a question."""
_ABBREVIATIONS = ("e.g.", "i.e.", "cf.", "vs.")


def uncommitted(evidence: Any) -> int | None:
    """The number of uncommitted files of a worktree, changed and new, by an attempt's evidence; None if unknown."""
    changed = evidence.get("dirty")
    return None if changed is None else int(changed) + int(evidence.get("untracked") or 0)


def result_of(end: str, outcome: dict[str, Any], evidence: dict[str, Any]) -> dict[str, Any]:
    """The result (`events.attempts.Result`) of an attempt that ended by the event ``end``, from what that records."""
    pull = evidence.get("pull")
    text = outcome.get("final_text") or ""
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
        "unseen": evidence.get("forge_problem"),
        "verification": _verification(evidence),
        "said": last_sentence(text),
    }
    kind = _kind(evidence, result)
    if kind in COMMITTED and (result["verification"] or {}).get("code") in UNVERIFIED:
        kind = "checks_failed"
    if end != "attempt.succeeded":
        kind = kind if kind == "push_refused" and end == "attempt.failed" else "failed"
        kind = "set_up_failed" if evidence.get("set_up") else kind
    elif not _delivered(evidence, result) and (question := asked(text)) is not None:
        kind, result["said"] = "question", question
    elif kind == "nothing" and not evidence and result["said"] is not None:
        kind = "answered"  # of the PM agent, which changes no repository: its answer is what it says
    return {"kind": kind, **{name: value for name, value in result.items() if value or value == 0}}


def verified(result: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """A result, with what a later verification says of its commits (`events.attempts.Verification`)."""
    kind = result["kind"]
    if kind not in COMMITTED and kind != "checks_failed":
        return result
    if found["code"] in UNVERIFIED:
        kind = "checks_failed"
    elif kind == "checks_failed":
        is_open = (result.get("pull") or {}).get("state") == "open"
        kind = "pull_request" if is_open else "unpushed" if result.get("ahead") else "pushed"
    return {**result, "kind": kind, "verification": {name: found[name] for name in _VERIFICATION}}


def _kind(evidence: dict[str, Any], result: dict[str, Any]) -> str:
    """Where the work of a run that ended well is; ``nothing`` if nowhere."""
    commits, pushed, pull = result["commits"], evidence.get("pushed"), evidence.get("pull") or {}
    head = evidence.get("head")
    if head is not None and pull.get("head") == head:
        pushed = True  # the forge has it, whatever the clone knows
    if commits and result["refused"] and not pushed:
        return "push_refused"
    if pull.get("state") == "open" and not (commits and pushed is False):
        return "pull_request"
    if pull.get("state") == "merged" and not result["later"]:
        return "merged"
    if commits:
        return "unknown" if pushed is None else "pushed" if pushed else "unpushed"
    if result["elsewhere"] and not result["answer"]:
        return "unpushed"
    if commits is None and evidence:
        return "answered" if result["answer"] else "unknown"
    if evidence.get("dirty") or (result["uncommitted"] and not result["answer"]):
        return "uncommitted"
    return "answered" if result["answer"] else "nothing"


def _verification(evidence: dict[str, Any]) -> dict[str, Any] | None:
    found = evidence.get("verification")
    return {name: found.get(name) for name in _VERIFICATION} if found else None


def _delivered(evidence: dict[str, Any], result: dict[str, Any]) -> bool:
    """Whether this run brought anything: a commit, a change of a file, an answer. A file that git does not know may be
    a stray one. Unknown counts as yes."""
    if evidence.get("dirty") or result["answer"] or result["elsewhere"]:
        return True
    head, before = evidence.get("head"), evidence.get("head_before")
    if head is not None and before is not None:
        return bool(head != before)
    return (result["commits"] is None and bool(evidence)) or bool(result["commits"])


def _answer(evidence: dict[str, Any]) -> str | None:
    """The path of the file, or the URL of the comment, with the answer to an issue that wants no code."""
    answer: str | None = evidence.get("findings") or evidence.get("answer_url")
    return answer


def asked(text: str) -> str | None:
    """The sentence with which the agent's last message asks the user something; None if it does not.

    Choices in a list may follow, and what waits for the answer; an answer of its own makes a question none.
    """
    for sentence in reversed(_sentences(text, items=False)[-_SENTENCES:]):
        plain = sentence.rstrip(_CLOSERS).lower()
        if any(words in plain for words in _COURTESY):
            return None
        if plain.endswith(_ASKS) or any(words in plain for words in _REQUESTS):
            return sentence
        if not plain.startswith(_AFTER):
            return None
    return None


def last_sentence(text: str) -> str | None:
    """The last sentence of a text, in one line; its end if that is too long, None without one."""
    sentences = _sentences(text, items=True)
    return sentences[-1] if sentences else None


def _sentences(text: str, *, items: bool) -> list[str]:
    """The last sentences of a text without its code and, unless ``items``, without its lists; each in one line of at
    most SAID_LENGTH characters."""
    lines, fenced = [], False
    for line in text.splitlines():
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        elif not fenced and line.strip(_CLOSERS + _MARKUP) and (items or not _is_item(line)):
            lines.append(" ".join(line.split()))
    found: list[str] = []
    for line in lines[-_SENTENCES:]:
        begin = 0
        words = line.split(" ")
        for number in range(1, len(words)):
            word = words[number - 1].rstrip(_CLOSERS)
            if word.endswith(tuple(_ENDS)) and word.lower() not in _ABBREVIATIONS and not _is_item(f"{word} x"):
                found.append(" ".join(words[begin:number]))
                begin = number
        found.append(" ".join(words[begin:]))
    return [one if len(one) <= SAID_LENGTH else "…" + one[1 - SAID_LENGTH :].lstrip() for one in found]


def _is_item(line: str) -> bool:
    """Whether a line is an item of a list: `- x`, `2. x`, `a) x`."""
    marker, _, rest = line.strip().partition(" ")
    numbered = marker[-1:] in (".", ")") and (marker[:-1].isdigit() or len(marker) == 2)
    return (marker in ("-", "*", "+", "•") or numbered) and bool(rest)
