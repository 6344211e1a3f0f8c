"""What came of a run, in a few words: as screens and notifications call it. What is shown is made harmless there."""

from __future__ import annotations

from kugetsu.model.plural import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: kind of a result (`domain.results`) → what it is called where one word must do.
NAMES = {
    "pull_request": "pull request",
    "merged": "merged",
    "pushed": "pushed",
    "push_refused": "push refused",
    "unpushed": "not pushed",
    "uncommitted": "uncommitted",
    "answered": "answered",
    "question": "question",
    "nothing": "nothing",
    "unknown": "unknown",
    "checks_failed": "checks failed",
    "set_up_failed": "set-up failed",
    "failed": "failed",
}

#: code of a refused push (`runtime.git.refused_push`) → why, in a few words, the remedy, and what to tell the agent.
REFUSALS = {
    "protected_branch": ("protected branch", "the work belongs on a branch of its own", "push to your own branch"),
    "non_fast_forward": ("behind the remote", "the remote branch has other commits: rebase", "rebase and push again"),
    "hook": ("declined by a hook", "change what the server's hook objects to", "change what the server refused"),
    "no_right": ("no right to push", "give the agent's token or key the right to push", "push again"),
    "too_large": ("too large", "take large files out of the commits", "take large files out of the commits"),
    "other": ("by the server", "read the server's words", "push again"),
}

#: code of a verification (`events.attempts.Verification`) → what it says of the work, and what the command did.
VERIFICATION = {
    "passed": ("verified", "passed"),
    "failed": ("verification failed", "failed"),
    "timed_out": ("verification timed out", "took longer than VERIFY_MINUTES"),
    "nothing_ran": ("verification executed nothing", "executed nothing"),
    "base_failed": ("verification fails on the base too", "fails on the base branch too"),
    "set_up_failed": ("verification not prepared", "could not be prepared"),
    "not_run": ("not verified", "not run"),
    "not_found": ("not verified: VERIFY_COMMAND not found", "VERIFY_COMMAND was not found"),
    "not_executable": ("not verified: VERIFY_COMMAND not executable", "VERIFY_COMMAND cannot be executed"),
    "too_slow": ("not verified: VERIFY_MINUTES too few", "took longer than VERIFY_MINUTES, on the base branch too"),
    "base_unready": ("not verified: no set-up", "could not be prepared, nor could the base branch"),
    "not_asked": ("not verified: VERIFY_COMMAND removed", "is not asked for any more"),
}

#: why a verification was not run → words.
_NOT_RUN = {
    "cancelled": "cancelled meanwhile",
    "stopped": "stopped meanwhile",
    "time_limit": "the task's time limit came first",
    "runner_killed": "its runner was killed",
    "processes_left": "processes of the agent could not be ended",
    "verifier_killed": "the process that ran it was killed",
}

#: code of a verification whose command or set-up is at fault → the command that mends it.
_REMEDIES = {
    "not_found": "kugetsu config set --repo {} VERIFY_COMMAND 'make test'",
    "not_executable": "kugetsu config set --repo {} VERIFY_COMMAND 'make test'",
    "too_slow": "kugetsu config set --repo {} VERIFY_MINUTES 60",
    "base_unready": "kugetsu doctor --repo {}",
}

#: kind of feedback (`events.reactions.Feedback`) → one item of it.
FEEDBACK = {
    "checks": "failing check",
    "reviews": "review",
    "comments": "comment",
    "conflicts": "conflict",
    "verification": "failed verification",
}

#: Digits of a commit that screens show; JSON has all.
SHORT = 12

_COMMITTED = ("pull_request", "pushed", "unpushed", "unknown")
_CHECKS = {"success": "checks ok", "failure": "checks failed", "pending": "checks pending"}


def lines_changed(added: int | None, removed: int | None) -> str:
    """How many lines were added and removed: `+48 −12`."""
    return f"+{added or 0} −{removed or 0}"


def words(result: dict[str, Any] | None) -> str:
    """The result in a few words: `PR #92, checks ok`, `pushed, no PR`, `2 uncommitted files`; `-` without one."""
    if result is None:
        return "-"
    kind: str = result["kind"]
    if kind == "checks_failed":
        return f"{_place(result)}, {verification(result.get('verification') or {'code': 'failed'})}"
    said = verification(result["verification"]) if result.get("verification") and kind in _COMMITTED else ""
    return f"{_words(kind, result)}, {said}" if said else _words(kind, result)


def verification(found: Mapping[str, Any]) -> str:
    """What a verification says: `verification failed (exit 1)`."""
    code: str = found["code"]
    exit_code = found.get("exit")
    said, _ = VERIFICATION.get(code, (code, code))
    if code not in ("failed", "set_up_failed") or exit_code is None:
        return said
    return f"{said} ({f'exit {exit_code}' if exit_code >= 0 else f'signal {-exit_code}'})"


def why_not_run(why: str) -> str:
    """Why a verification was not run: words for kugetsu's own codes."""
    return _NOT_RUN.get(why, why)


def unverified(found: Mapping[str, Any], tries: int) -> str:
    """That work is not verified, after so many later ``tries``, and why: `not verified after 3 tries: …`."""
    again = f" after {tries + 1} tries" if tries and found["code"] == "not_run" else ""
    why = f": {why_not_run(str(found['why']))}" if found.get("why") else ""
    return f"{verification(found)}{again}{why}"


def verification_remedy(code: str, key: str) -> str | None:
    """The command that mends what keeps the work of an issue, or of a repository, from being verified; None where that
    is the work itself."""
    return _REMEDIES[code].format(key.partition("#")[0]) if code in _REMEDIES else None


def next_verification(code: str, key: str) -> str:
    """The command that gets the work of an issue verified. By other settings it is verified by itself; that a set-up
    works again is not noticed, and verifying by hand tells what is wrong with it."""
    return (verification_remedy(code, key) if code != "base_unready" else None) or f"kugetsu verify {key}"


def _place(result: dict[str, Any]) -> str:
    """Where work is."""
    pull = result.get("pull") or {}
    if pull.get("state") == "open":
        return _words("pull_request", {**result, "pull": {**pull, "checks": None}})
    return _words("unpushed", result) if result.get("ahead") else "pushed"


def _words(kind: str, result: dict[str, Any]) -> str:
    if kind in ("pull_request", "merged"):
        pull = result["pull"]
        parts = [f"PR #{pull['number']}{' draft' if pull.get('draft') else ''}"]
        parts.append("merged" if kind == "merged" else _CHECKS.get(pull.get("checks") or "", ""))
        return ", ".join(part for part in parts if part)
    if kind == "pushed":
        return "pushed, PR unknown" if result.get("unseen") else "pushed, no PR"
    if kind == "push_refused":
        return f"push refused: {refusal(result)[0]}"
    if kind == "unpushed" and result.get("elsewhere") and not result.get("commits"):
        return f"committed in {result['elsewhere']}"
    if kind == "unpushed":
        return f"{counted(result.get('ahead') or result.get('commits') or 0, 'commit')} not pushed"
    if kind == "uncommitted":
        return counted(result["uncommitted"], "uncommitted file")
    return NAMES.get(kind, kind)


def refusal(result: dict[str, Any]) -> tuple[str, str, str]:
    """Why a push was refused, the remedy, and what to tell the agent (`REFUSALS`)."""
    return REFUSALS.get((result.get("refused") or {}).get("code") or "", REFUSALS["other"])


def diverged(values: Mapping[str, Any]) -> str:
    """That a branch has parted from its remote branch, with both commits, short."""
    here, there = (str(values.get(name) or "?")[:SHORT] for name in ("here", "there"))
    if values.get("kind") == "in_the_way":
        return (
            f"changed files are in the way of what others pushed to {values.get('branch')}: {here} here, {there} there"
        )
    return f"{values.get('branch')} has parted from {values.get('remote')}: {here} here, {there} there, by others"


def held(code: str, values: dict[str, Any]) -> str:
    """Which brake keeps the loop of a pull request from going on."""
    if code == "most_reactions":
        turns = values.get("turns")
        have = f"{turns} turns have" if turns != 1 else "1 turn has"
        return f"{have} answered its feedback (MAX_REACTIONS {values.get('max')}): over to you"
    if code == "issue_closed":
        return "its issue is closed: no further turn"
    if code == "unlabelled":
        return "its issue has the label no longer: no further turn"
    if code == "kept":
        return f"merged, but its session stays: {values.get('why')}"
    return f"{values.get('task')} changed nothing of it: over to you"


def feedback_noun(item: dict[str, Any]) -> str:
    """What an item of feedback is: ``failing check``, ``remark``."""
    return FEEDBACK.get(item["kind"], item["kind"]) if not item.get("path") else "remark"


def folder_of(left: Mapping[str, Any]) -> str:
    """The folder in which git finds what was left behind (`events.hosts.LeftWork`): the clone, of a worktree that is
    gone."""
    return str(left.get("clone") or left.get("worktree"))


def line_to_push(left: Mapping[str, Any]) -> str | None:
    """The line that pushes a rescue branch by hand, on its host (`events.hosts.LeftWork`); None where none does."""
    from shlex import quote

    if not left.get("rescue") or left.get("pushed") or not left.get("remote"):
        return None
    return f"git -C {quote(folder_of(left))} push {quote(left['remote'])} {quote(left['rescue'])}"
