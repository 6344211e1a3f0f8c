"""Check an agent that prints nothing: healthy, waiting for a usage limit, or stalled.

Run by the supervisor as ``python -m kugetsu.runtime.runner.health_check ATTEMPT``; prints its finding as JSON. Exit
status: 0 continue, 10 stop it (usage limit), 11 stop it (stalled).
"""

from __future__ import annotations

import os
import sys

import orjson

from kugetsu.agents.protocol import Health, Running
from kugetsu.runtime.workspace import open_workspace

GO_ON, LIMIT, STALL = 0, 10, 11


def main(attempt_id: str) -> int:
    """Check one live attempt. Returns the exit status."""
    ws = open_workspace(os.environ, f"checkup {attempt_id}")
    state = ws.state()
    attempt = state.attempts.get(attempt_id)
    if attempt is None or attempt.agent is None or attempt.agent_session is None:
        return GO_ON
    quiet = float(os.environ.get("KUGETSU_QUIET_SECONDS", "0"))
    folder = ws.paths.run(attempt_id)
    seen = ws.agent(attempt.kind, state.tasks[attempt.task].options, attempt.issue).checkup(
        Running(
            session=attempt.agent_session,
            output=os.path.join(folder, "output.jsonl"),
            errors=os.path.join(folder, "stderr.log"),
            pid=attempt.agent["pid"],
            quiet_seconds=quiet,
        )
    )
    limit = ws.config_of(attempt.issue).number("TASK_STALL_MINUTES") * 60
    verdict = GO_ON
    if seen.health is Health.LIMITED:
        verdict = LIMIT
    elif seen.health is Health.STUCK or (seen.health in (Health.UNKNOWN, Health.RETRYING) and limit and quiet >= limit):
        verdict = STALL
    finding = {
        "health": str(seen.health),
        "message": seen.message,
        "resets_at": seen.resets_at,
        "since": seen.since,
        "quiet_seconds": quiet,
    }
    sys.stdout.buffer.write(orjson.dumps(finding) + b"\n")
    sys.stdout.buffer.flush()
    return verdict


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
