"""`kugetsu logs --from FILE`: what a bundle has of the agents' logs: what those that failed wrote to stderr."""

from __future__ import annotations

from typing import Any

from kugetsu.cli import subjects
from kugetsu.cli.call import Call
from kugetsu.model.errors import BadInput, NotFound
from kugetsu.runtime.bundle_workspace import BundleWorkspace
from kugetsu.views import agentlog


def show(call: Call, place: BundleWorkspace, count: int, name: str | None) -> int:
    """List the latest ``count`` of them, or show the one of ``name``. Raises BadInput, NotFound."""
    if call.args.follow or call.args.raw:
        raise BadInput("kugetsu logs: a file of another place has no output of agents", "leave out -f and --raw")
    return _list(call, place, count) if name is None else _one(call, place, name)


def _held(place: BundleWorkspace) -> dict[str, bytes]:
    """What the bundle has, by attempt; they stand there in the order in which they ended."""
    extras = place.archive.contents.extras
    return {name.split("/")[1]: data for name, data in extras.items() if name.endswith("/stderr.log")}


def _list(call: Call, place: BundleWorkspace, count: int) -> int:
    state = place.state()
    shown: list[dict[str, Any]] = []
    for attempt, data in list(_held(place).items())[-count:]:
        task, live = state.tasks.get(attempt.partition(".")[0]), state.attempts.get(attempt)
        ends = [event["at"] for event in place.log.read_key(attempt.partition(".")[0])]
        shown.append(
            {
                "attempt": attempt,
                "issue": task.issue if task is not None else None,
                "state": live.state if live is not None else "ended",
                "path": f"attempts/{attempt}/stderr.log",
                "bytes": len(data),
                "changed_at": ends[-1] if ends else state.latest,
            }
        )
    call.show({"logs": shown}, agentlog.list_lines(shown, call.screen) or ["it has no agent's log"])
    return 0


def _one(call: Call, place: BundleWorkspace, name: str) -> int:
    subject = subjects.subject(place, name)
    made = [str(event["attempt"]) for event in subject.events(place) if event["type"] == "attempt.claimed"]
    if not made:
        raise NotFound(f"there is no agent log of {subject}", f"kugetsu history {subject}")
    attempt = made[-1]
    lines = [line for line in _held(place).get(attempt, b"").split(b"\n") if line]
    if call.json:
        call.show({"attempt": attempt, "stderr": [line.decode("utf-8", "replace") for line in lines]}, [])
        return 0
    last = None
    for event in place.log.read_key(attempt.partition(".")[0]):
        if event.get("attempt") == attempt and event["type"].startswith("attempt."):
            last = event
    live = attempt in place.state().attempts
    latest = lines[-agentlog.ERROR_LINES :]
    call.quote(agentlog.end_lines(attempt, latest, None if live else last, call.screen))
    call.say("the file has no output of agents, only what those that failed wrote to stderr")
    return 0
