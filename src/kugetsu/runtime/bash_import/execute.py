"""Execute the plan: each record in one transaction with what becomes of it, so that a kill neither loses nor repeats
anything. Effects outside the log (files, settings) come first and can be repeated; a kill in between only loses
`setting.changed`, as if the file had been edited by hand.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from kugetsu.domain.decide import importing as decide
from kugetsu.domain.new_event import NewEvent
from kugetsu.host import atomic, config, config_file
from kugetsu.model.errors import BadInput, Conflict, KugetsuError, reason_of
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import initialisation
from kugetsu.runtime.bash_import.make_plan import plan
from kugetsu.runtime.bash_import.model import (
    FOLDER,
    KEPT,
    LARGEST_IN_LOG,
    TAKEN,
    UNCLEAR,
    Action,
    Item,
    Plan,
    Record,
    TakeFile,
    TakeRepository,
    TakeSession,
    TakeSetting,
    TakeTask,
    serialised,
)
from kugetsu.runtime.bash_import.settings import untouched_template
from kugetsu.runtime.git.repositories import locked
from kugetsu.runtime.submit import prior_usage_of
from kugetsu.runtime.workspace import Workspace


def take_over(ws: Workspace, directory: str) -> Plan:
    """Import the directory: plan, and execute. Returns the plan with the outcome of each item.

    Sets KUGETSU_DIR up first if needed, except the agent's sessions. A concurrent import waits for the first. Raises as
    `plan` does, and KugetsuError if KUGETSU_DIR cannot be written; what was done stays and is not repeated.
    """
    intended = plan(ws, directory)  # refuse first: a wrong directory sets nothing up
    initialisation.make_directory(ws)
    ws.reload()
    with locked(ws.paths, "import"):
        done = plan(ws, directory)
        done.initialises = intended.initialises
        for item in done.items:
            if item.record is not None and item.outcome in (TAKEN, KEPT, UNCLEAR):
                _take(ws, done, item, item.record)
        done.done = True
        return done


def _take(ws: Workspace, done: Plan, item: Item, record: Record) -> None:
    action = item.action
    try:
        if isinstance(action, TakeFile):
            _copy(ws, action.source, action.target)
        _record(ws, done, item, record, _decision(ws, action, record.issue))
    except (BadInput, Conflict) as problem:
        # Something changed since the plan was made: the record is kept, with that reason.
        item.outcome, item.becomes, item.action, item.reason = UNCLEAR, None, None, _why_kept(problem)
        _record(ws, done, item, record, partial(decide.keep_record, issue=record.issue))


def _why_kept(problem: KugetsuError) -> str:
    """What the decision met, in words (`domain.decide.importing`)."""
    values = problem.values
    if problem.refusal == "session_exists":
        return f"{values['session']} already has a session here"
    if problem.refusal == "repository_registered":
        return f"{values['repository']} is already registered at another place: {values['source']}"
    if problem.refusal == "message_not_text":
        return f"its message is not UTF-8 text: character {values['at']}"
    return problem.message


def _decision(ws: Workspace, action: Action | None, issue: str | None) -> Callable[..., list[NewEvent]]:
    """What decides on an item, apart from the record itself."""
    if isinstance(action, TakeSetting):
        return _set(ws, action, issue)
    if isinstance(action, TakeRepository):
        return partial(decide.take_repository, repository=action.repository, url=action.url, issue=issue)
    if isinstance(action, TakeSession):
        carried = _prior_usage(ws, action.issue)
        return partial(decide.take_session, key=action.issue, pr=action.pr, carried=carried, **action.found)
    if isinstance(action, TakeTask):
        carried = _prior_usage(ws, action.issue)
        message, priority = action.message, action.priority
        return partial(decide.take_task, issue=action.issue, message=message, priority=priority, carried=carried)
    return partial(decide.keep_record, issue=issue)


def _prior_usage(ws: Workspace, issue: str) -> dict[str, Any] | None:
    return prior_usage_of(ws, issue)[1]


def _record(ws: Workspace, done: Plan, item: Item, record: Record, decided: Callable[..., list[NewEvent]]) -> None:
    """Append what becomes of a record, and the record, in one transaction."""
    kept = _kept(ws, record, done.funnel.clean(record.value))

    imported = {
        "source": record.source,
        "kind": record.kind,
        "record": kept,
        "digest": record.digest,
        "became": item.becomes,
        "reason": item.reason,
    }
    events = ws.log.transact(partial(decided, imported=imported))
    item.becomes, item.seq = events[-1]["data"]["became"], events[-1]["seq"]


def _kept(ws: Workspace, record: Record, value: Any) -> Any:
    """What the event holds of a record: everything but its secrets, or the name of a file with that."""
    content = serialised(value)
    if len(content) <= LARGEST_IN_LOG:
        return value
    path = f"{FOLDER}/{record.digest}.json"
    ws.paths.make(f"{ws.paths.root}/{FOLDER}")
    _write(f"{ws.paths.root}/{path}", content)
    return {"path": path, "size": len(content)}


def _copy(ws: Workspace, source: str, target: str) -> None:
    """Copy a file of the old directory, readable by its owner only. An existing file is the user's and stays, unless it
    is an untouched template."""
    if os.path.lexists(target) and not untouched_template(target):
        return  # an import that was killed had got as far as this
    try:
        with open(source, "rb") as file:
            content = file.read()
    except OSError as problem:
        raise BadInput(f"it cannot be read: {reason_of(problem)}") from problem
    ws.paths.make(os.path.dirname(target))
    _write(target, content)


def _write(path: str, content: bytes) -> None:
    """Put a whole file in its place at once, 0600."""
    try:
        atomic.write(path, content, sync=True)
    except OSError as problem:
        raise KugetsuError(
            f"cannot write {path}: {reason_of(problem)}",
            "make its folder writable or free some space, then import again: nothing is repeated",
        ) from problem


def _set(ws: Workspace, action: TakeSetting, issue: str | None) -> Callable[..., list[NewEvent]]:
    """Write a setting into the config file; the event for it."""
    before = config.load(ws.paths.config, {}).as_text(action.key)
    config_file.set_value(ws.paths.config, action.key, action.value)
    after = config.load(ws.paths.config, {}).as_text(action.key)
    if before == after:
        return partial(decide.keep_record, issue=issue)
    return partial(decide.take_setting, setting=action.key, old=redact(before), new=redact(after), issue=issue)
