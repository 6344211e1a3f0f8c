"""Work that this host has in worktrees whose sessions live on other hosts by now: it was lost, and is there again.

What is only there is put on a rescue branch, that branch is pushed where PUSH_RESCUE allows it, and `host.returned`
tells of it. Killed at any point, the next daemon does it again and comes to the same branch: no push is forced.
"""

from __future__ import annotations

import os
import time
from itertools import chain

from kugetsu.domain.decide import hosts as decide
from kugetsu.domain.events.hosts import LeftWork
from kugetsu.domain.state import Host, State
from kugetsu.model import result_words
from kugetsu.model.errors import GitFailed, KugetsuError
from kugetsu.model.host_words import short
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import destroy, host_id, session_branches
from kugetsu.runtime.git import checkouts, remotes, repositories, transport
from kugetsu.runtime.git.only_here import OnlyHere
from kugetsu.runtime.process import lease
from kugetsu.runtime.workspace import Workspace
from kugetsu.runtime.worktree_setup import large_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_REASON_LENGTH = 300

PUSH_SECONDS = 25.0
"""Seconds for one push, with its files of git-lfs: the daemon starts nothing meanwhile, and a person who stops it waits
for 30."""
FURTHER_SECONDS = 5.0
"""After so many seconds of one turn of the daemon the next worktree with something to push waits for another turn."""


def keep(ws: Workspace, state: State, done: set[str]) -> list[LeftWork]:
    """Put what is only in such worktrees on rescue branches, push those, and record it (`host.returned`); the worktrees
    stay. A push that fails is not tried again: the event has the reason.

    ``done``: those of which that is recorded, by which each is looked at once for each time that it is left behind.
    """
    host = state.hosts.get(host_id.own(ws)) if state.hosts else None
    if host is None or not host.takes_part:
        return []
    done.intersection_update(host.left_behind)
    found: list[LeftWork] = []
    silent: dict[str, str] = {}
    began = time.monotonic()
    for worktree, left in [*host.left_behind.items()]:
        if found and time.monotonic() - began > FURTHER_SECONDS and _repository(left["session"]) not in silent:
            continue
        if worktree not in done and not _is_at_work(ws, host, left["session"]):
            found += _kept(ws, worktree, left, host.id, silent)
    if found:
        known, term = host.id, host.term
        ws.log.transact(lambda _: [decide.returned(known, term, [dict(one) for one in found])])
        done.update(one["worktree"] for one in found)
    return found


def _is_at_work(ws: Workspace, host: Host, session: str) -> bool:
    """Whether something that was given away still works in the session's worktree: an attempt's processes, or the
    program of a person."""
    for attempt_id, gone in host.away.items():
        if gone["session"] == session:
            for event in ws.log.read_key(gone["task"]):
                claimed = event["type"] == "attempt.claimed" and event.get("attempt") == attempt_id
                if claimed and lease.alive(ws.paths.leases, event["data"]["lease"]):
                    return True
    # Of a person's claim the state keeps nothing once it was given away. No other host's lease is held here.
    taken = (event["data"]["lease"] for event in ws.log.read_key(session) if event["type"] == "person.attached")
    return any(lease.alive(ws.paths.leases, nonce) for nonce in taken)


def _kept(ws: Workspace, worktree: str, left: dict[str, Any], host: str, silent: dict[str, str]) -> list[LeftWork]:
    """Where the work is that was left there, each part on a rescue branch, and pushed if it may; one line without any
    if there is none."""
    nothing: LeftWork = {
        "session": left["session"],
        "worktree": worktree,
        "branch": left["branch"],
        "head": left["head"],
        "commits": 0,
        "rescue": None,
        "pushed": False,
    }
    gone = not os.path.isdir(worktree)
    found: list[LeftWork] = []
    try:
        bases, source = session_branches.prepared(ws, left["session"], worktree)
        repository = repositories.at_path(_repository(left["session"]), source, ws.config.servers())
        # The host's id: another host may have made one of the same issue, and pushed it.
        name = f"issue-{left['session'].rpartition('#')[2]}-{short(host)}"
        if "removal" in left:
            name = destroy.rescue_name(left["session"], left["removal"])
        work = OnlyHere(repository, worktree, name)
        session = ws.state().sessions.get(left["session"])
        here_again = session is not None and (session.host, session.worktree) == (host, worktree)
        of_removal = work.made_before() if "removal" in left else ()
        for part in chain(of_removal, () if here_again else work.rescue(left["branch"] or "", bases)):
            kept: LeftWork = {**nothing, "branch": part.branch, "head": part.commit}
            kept |= {"commits": part.commits, "rescue": part.rescue}
            if gone:
                kept["clone"] = repository.path
            _push(ws, kept, part.mixed, silent)
            found.append(kept)
        problems = work.left_out
    except (KugetsuError, OSError) as problem:
        problems = [str(problem)]
    if problems:  # of no known number of commits: one at least may be there
        found.append({**nothing, "commits": 1, "problem": redact("; ".join(problems), limit=_REASON_LENGTH)})
    if gone and not found:
        nothing["problem"] = "the worktree is gone"
    found = found or [nothing]
    if "removal" in left and os.path.isdir(place := destroy.aside(worktree, left["removal"])):
        why = "it was no longer a worktree when it was to be removed"
        found.append({**nothing, "worktree": place, "commits": 1, "problem": why})
    return found


def _repository(session: str) -> str:
    return session.partition("#")[0]


def _push(ws: Workspace, one: LeftWork, mixed: bool, silent: dict[str, str]) -> None:
    """Push a rescue branch to the session's repository, or note why not. ``mixed``: it has more than commits of that.
    ``silent``: what was wrong with remotes that failed before, by which each is asked once."""
    repository, folder = _repository(one["session"]), result_words.folder_of(one)
    try:
        allowed = ws.config_of(one["session"]).text("PUSH_RESCUE")
        checkout = checkouts.find(folder)
        servers = ws.config.servers()
        _, remote = (
            remotes.matching_remote(checkout, repository, servers, own=ws.paths.repositories)
            if checkout is not None
            else (False, None)
        )
        if remote is None:
            one["not_pushed"] = f"its clone has no remote of {repository}"
            return
        one["remote"] = remote
        if allowed == "never":
            one["not_pushed"] = "PUSH_RESCUE is never"
        elif allowed == "commits" and mixed:
            what = "files that were never committed" if one["branch"] else "the work of a repository in the worktree"
            one["not_pushed"] = f"it has {what}: look at them first (PUSH_RESCUE=all)"
        elif repository in silent:
            one["not_pushed"] = silent[repository]
        else:
            ref = f"refs/heads/{one['rescue']}"
            deadline = time.monotonic() + PUSH_SECONDS
            session = ws.state().sessions.get(one["session"])
            base_commit = session.base_commit if session is not None else None
            large_files.push(folder, base_commit, remote, str(one["rescue"]), deadline)
            options = ["--quiet", "--no-verify", "--no-follow-tags", "--recurse-submodules=no"]
            left = max(deadline - time.monotonic(), 1.0)
            transport.git(["push", *options, remote, f"{ref}:{ref}"], folder, timeout=left)
            one["pushed"] = True
    except (KugetsuError, OSError) as problem:
        one["not_pushed"] = redact(str(problem), limit=_REASON_LENGTH)
        if isinstance(problem, GitFailed):
            silent[repository] = one["not_pushed"]
