"""Phase C of a runner: record the attempt's end, with the evidence (`ending`), in one transaction.

Run by the supervisor as ``python -m kugetsu.runtime.runner.finalize ATTEMPT --exit … --stopped …``; `reconcile` does
the same for a runner that died and left its supervisor's result on disk.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from functools import partial
from typing import Any

import orjson

from kugetsu.domain.decide import attempts as decide
from kugetsu.domain.facts import Ending
from kugetsu.domain.state import Attempt, State
from kugetsu.host import run_files
from kugetsu.log.files.segments import is_shared
from kugetsu.model.errors import KugetsuError, LogWriteFailed
from kugetsu.runtime import disk, log_lines, pull_opening
from kugetsu.runtime.facts import outcome_facts
from kugetsu.runtime.git import scratch
from kugetsu.runtime.process import lease as leases
from kugetsu.runtime.process import termination
from kugetsu.runtime.runner import spawn, temp_folders
from kugetsu.runtime.runner.ending import ending_of, late_ending_of
from kugetsu.runtime.workspace import Workspace, open_workspace

#: For how long a full disk is waited for before the outcome is given up to reconciliation, and between two tries.
WRITE_PATIENCE_SECONDS = 3600.0
WRITE_PAUSE_SECONDS = 5.0


def main(arguments: list[str]) -> int:
    """Finalize one attempt. Returns the exit status."""
    spawn.begin_finalizing()
    attempt_id, *rest = arguments
    ws = open_workspace(os.environ, f"runner {attempt_id}")
    ended = spawn.parse_ended(rest)
    attempt = ws.state().attempts.get(attempt_id)
    if attempt is None:
        given_away = before_it_was_lost(ws, attempt_id)
        if given_away is not None:
            _conclude_patiently(ws, attempt_id, late_ending_of(ws, given_away, ended), given_away.lease)
        return 0
    _conclude_patiently(ws, attempt_id, ending_of(ws, attempt, ended, by_runner=True), attempt.lease)
    session = ws.state().sessions.get(attempt.session)
    if session is not None and session.owed is not None:
        pull_opening.open_owed(ws, session, patience=pull_opening.PATIENCE)
    return 0


def before_it_was_lost(ws: Workspace, attempt_id: str) -> Attempt | None:
    """An attempt that was given away with its host, as it was before; None for one that has simply ended."""
    gone = next((host.away[attempt_id] for host in ws.state().hosts.values() if attempt_id in host.away), None)
    if gone is None:
        return None
    ends = (event for event in ws.log.read_key(gone["task"]) if event.get("attempt") == attempt_id)
    lost = next(event for event in ends if event["type"] == "attempt.lost")
    before: State = ws.log.state_at(seq=lost["cause"] - 1)
    return before.attempts[attempt_id]


def _conclude_patiently(ws: Workspace, attempt_id: str, ending: Ending, lease: str) -> None:
    """Conclude when a full disk has room again: nobody else has the evidence. Raises LogWriteFailed after an hour.

    If only this process may not write (`ulimit -f`), it releases its lease: others may settle the attempt from the
    supervisor's result, and the slot does not wait for an hour.
    """
    give_up = time.monotonic() + WRITE_PATIENCE_SECONDS
    while True:
        try:
            conclude(ws, attempt_id, ending, lease)
        except LogWriteFailed as problem:
            if time.monotonic() >= give_up:
                raise
            if disk.is_own_limit(problem):
                leases.close_inherited(ws.paths.leases)
            time.sleep(WRITE_PAUSE_SECONDS)
        else:
            return


def conclude(ws: Workspace, attempt_id: str, ending: Ending, lease: str) -> list[dict[str, Any]]:
    """Append how the attempt ended and what follows; [] if somebody else recorded its end. ``lease`` is its nonce: the
    state has none of an attempt that was given away with its host meanwhile.

    Raises LogWriteFailed at once: reconciliation records it later.
    """
    attempt = ws.state().attempts.get(attempt_id)
    _remove_temp_folder(ws, attempt_id, lease)
    scratch.remove(ws.paths, lease)
    settings = ws.config_of(attempt.issue if attempt is not None else None)
    ending.remedy = settings.remedy(ending.remedy)
    finish = partial(decide.finish, attempt_id=attempt_id, ending=ending, facts=outcome_facts(settings))
    events = ws.log.transact(finish)
    _keep_result(ws, attempt_id, events)
    # No longer needed; its lock is freed with the last process that holds it.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(ws.paths.lease(lease))
    if is_shared(ws.paths.log):
        from kugetsu.runtime import membership

        with contextlib.suppress(KugetsuError, OSError):  # its end is recorded; the limit stays for now
            membership.rest(ws)  # it may have been the last one of a host whose daemon was stopped
    return events


def _remove_temp_folder(ws: Workspace, attempt_id: str, lease: str) -> None:
    """Done before the end is recorded: after a crash in between, reconciliation removes the folder."""
    try:
        if temp_folders.left(ws.paths, attempt_id) is not None and not termination.marked(lease):
            temp_folders.remove(ws.paths, attempt_id)
    except Exception as problem:  # noqa: BLE001  what an agent left there must not hold its slot; doctor finds it
        log_lines.note(f"the temporary folder of {attempt_id} stays: {problem!r}")


def _keep_result(ws: Workspace, attempt_id: str, events: list[dict[str, Any]]) -> None:
    if not events:
        return
    # The log has it; this copy is for people who look into the run's folder, so a full disk may have it.
    with contextlib.suppress(OSError):
        result = orjson.dumps(events[0]["data"], option=orjson.OPT_INDENT_2) + b"\n"
        run_files.replace(os.path.join(ws.paths.run(attempt_id), "result.json"), result)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
