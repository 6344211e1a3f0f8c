"""What a user names: an issue, a task, an attempt, a session, an event; distinguished by how it is written."""

from __future__ import annotations

import os

from kugetsu.model.errors import BadInput, NotFound
from kugetsu.model.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from kugetsu.domain.state import State
    from kugetsu.host.config import Config
    from kugetsu.model.refs import IssueRef
    from kugetsu.runtime.workspace import Workspace

FORMS = "a task (q7), an attempt (q7.1), an issue (owner/repo#14, its URL, #14 in a clone), pm or base:host/owner/repo"


@record
class Subject:
    """``kind`` is task, attempt, issue or session; ``key`` what the log files its events under; ``attempt`` its id."""

    kind: str
    key: str
    attempt: str | None = None

    def __str__(self) -> str:
        return self.attempt or self.key

    def events(self, ws: Workspace) -> Iterator[dict[str, Any]]:
        """The events about it, in order."""
        for event in ws.log.read_key(self.key):
            if self.attempt is None or event.get("attempt") == self.attempt:
                yield event

    def concerns(self, event: dict[str, Any]) -> bool:
        """Whether an event is about it."""
        if self.attempt is not None:
            return bool(event.get("attempt") == self.attempt)
        return self.key in (event.get("issue"), event.get("task"), event.get("session"))


def subject(ws: Workspace, text: str) -> Subject:
    """The subject that ``text`` names. Raises BadInput, which shows the accepted forms."""
    text = text.strip()
    if is_task(text):
        return Subject("task", text)
    task, _, number = text.partition(".")
    if is_task(task) and number.isascii() and number.isdigit():
        return Subject("attempt", task, text)
    if text == "pm" or text.startswith("base:"):
        return Subject("session", text)
    try:
        return Subject("issue", str(issue(ws, text)))
    except BadInput as problem:
        raise BadInput(problem.message.replace("not an issue reference", "not known", 1), f"write {FORMS}") from problem


def known(ws: Workspace, text: str) -> Subject:
    """The subject that ``text`` names, of which the log knows something. Raises BadInput, NotFound."""
    found = subject(ws, text)
    if next(iter(found.events(ws)), None) is None:
        hint = "kugetsu queue list --all" if found.kind in ("task", "attempt") else "kugetsu list --all"
        raise NotFound(f"nothing ever happened to {found}", hint)
    return found


def issue_of(ws: Workspace, state: State, text: str) -> str:
    """The issue that ``text`` names: by itself, or by a task or attempt of it. Raises BadInput, NotFound."""
    found = subject(ws, text)
    if found.kind == "issue":
        return found.key
    task = state.tasks.get(found.key)
    told = task.issue if task is not None else None
    if found.kind != "session" and task is None:
        told = next((event["issue"] for event in known(ws, text).events(ws) if event.get("issue")), None)
    if told is None:
        raise NotFound(f"{found} works on no issue", "kugetsu list shows the issues")
    return told


def is_task(text: str) -> bool:
    """Whether it is written as a task's id: `q7`."""
    return text[:1] == "q" and text[1:].isascii() and text[1:].isdigit()


def task_id(text: str) -> str:
    """A task's id as typed. Raises BadInput for anything else."""
    if is_task(text):
        return text
    task = text.partition(".")[0]
    hint = f"its task is {task}" if is_task(task) else "kugetsu queue list shows the tasks"
    raise BadInput(f"not a task: {text[:80]!r}: a task is written as q7", hint)


def issue(ws: Workspace, text: str) -> IssueRef:
    """The issue that a reference names, completed by the default server and by the clone that this is typed in.

    Raises BadInput.
    """
    return _issue(ws.config, text)


def _issue(settings: Config, text: str) -> IssueRef:
    from kugetsu.model.refs import parse_ref

    servers = settings.servers()

    def here() -> tuple[str, str, str] | None:
        from kugetsu.runtime.git import remotes

        folder = remotes.typed_in(os.environ)
        return remotes.here(folder, servers) if folder is not None else None

    return parse_ref(text, default_host=settings.default_host(), servers=servers, here=here)


def repository_of(settings: Config, text: str) -> str:
    """The repository that ``text`` names, as `repository` takes it, or that of the issue that it names.

    Raises BadInput.
    """
    return _issue(settings, text).repository if "#" in text else _repository(settings, text)


def repository(ws: Workspace, text: str) -> str:
    """The repository `host/owner/repo` that ``text`` names: so written, as `owner/repo` on the default server, by its
    URL, or as `.` in a clone. Raises BadInput."""
    return _repository(ws.config, text)


def _repository(settings: Config, text: str) -> str:
    text = text.strip().rstrip("/")
    forms = "write host/owner/repo, owner/repo on the default server, its URL, or . in a clone"
    if "#" in text:
        raise BadInput(f"not a repository, but an issue: {text[:80]!r}", forms)
    if "://" in text:
        text += "/issues/1"
    elif text == ".":
        text = "#1"
    else:
        text += "#1"
    try:
        return _issue(settings, text).repository
    except BadInput as problem:
        if text == "#1":
            raise BadInput("the current folder is in no clone that has a remote", forms) from problem
        raise BadInput(problem.message.replace("not an issue reference", "not a repository", 1), forms) from problem
