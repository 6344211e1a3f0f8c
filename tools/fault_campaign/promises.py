"""What the loop promises whatever is killed and however a forge answers: checked by the whole log and by the forges'
own account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from fault_campaign.misbehaving import LABEL, MisbehavingForge
from fault_campaign.people import ISSUES, MEMBER, STRANGER
from kugetsu.domain import loops, marks, scheduling
from kugetsu.domain.decide import marks as decide_marks
from kugetsu.domain.fold.loops import WITHDRAWN
from kugetsu.domain.machines import FINISHED_TASK
from kugetsu.domain.results import NOT_TO_OPEN
from kugetsu.domain.state import State
from kugetsu.domain.verification import is_withheld
from kugetsu.model import clock
from kugetsu.runtime import facts, folders
from kugetsu.runtime.git import scratch
from kugetsu.runtime.reactions.turns import facts_of
from kugetsu.runtime.reviews import subjects
from kugetsu.runtime.workspace import Workspace

MARKS = (marks.IN_PROGRESS, marks.TO_REVIEW, marks.FAILED)


def unrest(ws: Workspace, state: State, forges: Sequence[MisbehavingForge]) -> list[str]:
    """What is still to be done by itself."""
    found = [f"{attempt} works" for attempt in state.attempts]
    claim = facts.facts_now(ws, state)
    for task in state.waiting():
        change = scheduling.forecast(state, task, claim, lambda _: 1.0).change
        if change.kind != "person":
            found.append(f"{task.id} of {task.issue} waits: {change.kind} {change.code} {change.values} {change.at}")
    now = clock.now()
    for session in state.sessions.values():
        if session.owed is not None and not is_withheld(session):
            found.append(f"{session.key} owes a pull request: {session.owed}")
        if session.key in state.loops:
            turn = loops.next_turn(state, session, facts_of(ws, session.key, now))
            held = state.loops[session.key]["held"]  # for an issue that wants no work the forge is asked seldom
            if turn.code in ("go", "later") and (held is None or held["code"] not in WITHDRAWN):
                found.append(f"a turn of {session.key} is due: {turn.items}")
    found += [
        f"{session.key} is merged, and not retired"
        for session in subjects.to_retire(ws, state, now)
        if (state.loops.get(session.key) or {}).get("held") is None
    ]
    for issue, known in state.marks.items():
        if known["owed"] is not None:
            found.append(f"{issue} is to show {known['owed']}")
    for forge in forges:
        found += _unseen(state, forge)
    return found


def _unseen(state: State, forge: MisbehavingForge) -> list[str]:
    """What a forge shows and the state does not know, or the other way round."""
    found = []
    for number in range(1, ISSUES + 1):
        key = f"{forge.host}/{forge.name}#{number}"
        known = state.intake.get(key)
        if forge.asks(number) != (known is not None):
            found.append(f"{key} is {'unknown' if known is None else 'taken for one'} that asks for work")
        elif known is not None:
            last = [e for e in forge.intake(forge.name).events[number] if (e.kind, e.name) == ("labeled", LABEL)][-1]
            if (known["labelled_by"], (known["labelled_at"] or "")[:19]) != (last.account, last.at[:19]):
                found.append(f"{key} has a newer label")
            if known["code"] == "queued" and known["task"] in state.tasks:
                task = state.tasks[known["task"]]
                if (
                    task.state not in FINISHED_TASK
                    and task.attempt is None
                    and task.id not in (waiting.id for waiting in state.waiting())
                ):
                    found.append(f"{key}: {task.id} is neither open nor finished")
        shown = [name for name in forge.labels_of(forge.name, number) if name in MARKS]
        wanted = marks.wanted(state, key)
        refused = (state.marks.get(key) or {}).get("refused")
        if shown != ([wanted] if wanted is not None else []) and not refused:
            found.append(f"{key} shows {shown}, not {wanted}")
        if decide_marks.show(state, key, wanted):
            found.append(f"{key} is to show {wanted}")
    return found


def broken(ws: Workspace, forges: Sequence[MisbehavingForge], most_turns: int) -> list[str]:
    """The promises that were not kept."""
    events = list(ws.log.read())
    found = _turns(events, forges, most_turns)
    found += _set_ups(events)
    found += _marks(events)
    for forge in forges:
        found += forge.uncalled
        found += _unheard(events, ws.state(), forge)
        found += pulls(events, forge)
    found += [f"scratch checkout {nonce} is left" for nonce in folders.names(ws.paths.scratch)]
    found += [f"scratch checkout {nonce} is left over" for nonce in scratch.left_over(ws.paths, ())]
    return found


def _turns(events: list[dict[str, Any]], forges: Sequence[MisbehavingForge], most_turns: int) -> list[str]:
    """No item is answered twice, no pull request more often than may be, none by a stranger's words."""
    found = []
    answered: dict[tuple[str, str], str] = {}
    turns: Counter[str] = Counter()
    for event in events:
        data = event["data"]
        if event["type"] == "feedback.seen":
            found += [
                f"event {event['seq']}: feedback by {STRANGER}"
                for item in data["items"]
                if item.get("author") == STRANGER
            ]
        if event["type"] == "task.cancelled" and data.get("reason") in WITHDRAWN:
            # What no agent heard of may be told again.
            answered = {item: task for item, task in answered.items() if task != event["task"]}
        if event["type"] != "task.queued" or "reaction" not in data:
            continue
        issue = event["issue"]
        turns[issue] += 1
        if data["reaction"]["turn"] > most_turns:
            found.append(f"{event['task']} is turn {data['reaction']['turn']} of {issue}")
        for item in data["reaction"]["items"]:
            if (issue, item) in answered:
                found.append(f"{item} of {issue} is answered by {answered[issue, item]} and {event['task']}")
            answered[issue, item] = event["task"]
    for forge in forges:
        for number in range(1, ISSUES + 1):
            issue = f"{forge.host}/{forge.name}#{number}"
            opened = [made for made in forge.created if made.issue == number]
            # What is verified before there is another one counts for that.
            if turns[issue] > most_turns * (len(opened) + 1):
                found.append(f"{issue} had {turns[issue]} turns for {len(opened)} pull requests")
    return found


def _unheard(events: list[dict[str, Any]], state: State, forge: MisbehavingForge) -> list[str]:
    """What a member said on an open pull request of a session that was never noticed."""
    heard: dict[str, set[str]] = {}
    for event in events:
        if event["type"] == "feedback.seen":
            heard.setdefault(event["issue"], set()).update(item["id"] for item in event["data"]["items"])
    repository = forge.repository(forge.name)
    found = []
    for session in state.sessions.values():
        pull = session.pull or {}
        if not session.key.startswith(f"{forge.host}/") or pull.get("state") != "open":
            continue
        number = pull["number"]
        said = [f"comment:{one.id}" for one in repository.comments.get(number, ()) if one.author == MEMBER]
        remarks = repository.feedback.line_comments.get(number, ())
        said += [f"remark:{one.id}" for one in remarks if one.author == MEMBER]
        found += [f"{session.key}: {one} was never noticed" for one in said if one not in heard.get(session.key, ())]
    return found


def _set_ups(events: list[dict[str, Any]]) -> list[str]:
    """No agent begins before its worktree was made ready."""
    found = []
    ready: dict[str, bool] = {}
    for event in events:
        kind, session = event["type"], str(event.get("session"))
        if kind == "session.prepared" and event["data"]["created"]:
            ready[session] = False
        elif kind == "worktree.set_up":
            ready[session] = event["data"]["code"] == "done"
        elif kind == "attempt.running" and not ready.get(session):
            found.append(f"event {event['seq']}: {event['attempt']} runs in a worktree that is not ready")
    return found


def _marks(events: list[dict[str, Any]]) -> list[str]:
    """Every intent to show a label has its outcome, or another one in its place."""
    owed: dict[str, int] = {}
    for event in events:
        if event["type"] == "mark.setting":
            owed[event["issue"]] = event["seq"]
        elif event["type"] == "mark.set" or (event["type"] == "mark.failed" and event["data"]["not_before"] is None):
            owed.pop(event["issue"], None)
    return [f"event {seq}: the label of {issue} has no outcome" for issue, seq in owed.items()]


def pulls(events: list[dict[str, Any]], forge: MisbehavingForge) -> list[str]:
    """One open pull request a branch, none twice for a commit, none of work that failed its verification."""
    found = []
    verified: dict[str, str] = {}
    for event in events:
        data = event["data"]
        later = data if event["type"] == "work.verified" else None  # what a run could not
        verification = later or (data.get("evidence") or {}).get("verification")
        if verification:
            verified[verification["commit"]] = verification["code"]
    branches = Counter(pull.branch for pull in forge.pulls(forge.name) if pull.state == "open")
    found += [f"{forge.host}: {count} open pull requests of {name}" for name, count in branches.items() if count > 1]
    commits = Counter(made.sha for made in forge.created)
    found += [f"{forge.host}: {count} pull requests of {sha}" for sha, count in commits.items() if count > 1]
    found += [
        f"{forge.host}: pull request #{made.number} of {made.sha}, whose verification is {verified[made.sha]}"
        for made in forge.created
        if verified.get(made.sha) in NOT_TO_OPEN
    ]
    return found
