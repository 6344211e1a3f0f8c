"""Commits of others on a session's branch are taken in before the next run, and nothing of anybody is lost."""

from __future__ import annotations

from pathlib import Path

from forge.scripted import ScriptedForge
from kugetsu.domain.decide import queue, reactions
from kugetsu.domain.facts import ReactionFacts
from kugetsu.model import clock
from runtime import repos
from runtime.forged import PUSH, REPOSITORY, forge, forged, worked
from runtime.stage import COMMIT, Stage, bare_stage, stage

__all__ = ["bare_stage", "forge", "forged", "stage"]

BRANCH = "fix/issue-14"


def pushed_by_bob(stage: Stage, *, name: str = "bob", onto: str = BRANCH) -> str:
    """A commit that somebody else pushed to the session's branch, from a clone of his own; its id."""
    clone = stage.root / f"clone-of-{name}"
    repos.run(stage.root, "clone", "-q", "-b", onto, str(stage.root / "srv.git"), str(clone))
    (clone / name).write_text("by hand\n")
    repos.run(clone, "add", name)
    repos.run(clone, "commit", "-qm", f"By {name}")
    repos.run(clone, "push", "-q", "origin", f"HEAD:{BRANCH}")
    return repos.run(clone, "rev-parse", "HEAD")


def head(folder: Path, ref: str = "HEAD") -> str:
    return repos.run(folder, "rev-parse", ref)


def begun(stage: Stage, forge: ScriptedForge) -> str:
    """A session whose work was pushed; its commit."""
    forge.issue(REPOSITORY, 14)
    worked(stage, script=COMMIT + PUSH)
    return head(stage.worktree(14))


def turn(stage: Stage) -> str:
    """A turn that answers a comment, started by the daemon, to its end; the task's id."""
    key = str(stage.ref(14))
    said = {"id": "comment:1", "kind": "comments", "counts": True, "author": "bob", "text": "Go on."}
    stage.ws.log.transact(lambda state: reactions.observe(state, key, state.sessions[key].pr, None, [said], []))
    facts: ReactionFacts = {"now": clock.now(), "kinds": ["comments"], "delay_seconds": 0.0, "max_reactions": 5}
    (queued,) = stage.ws.log.transact(lambda state: reactions.react(state, key, "Go on.", ["comment:1"], facts))
    stage.start_daemon()
    task = str(queued["task"])
    stage.until(lambda: stage.state.tasks[task].state in ("completed", "error", "parked"))
    return task


def test_what_others_pushed_is_in_the_worktree_before_the_next_run(forged: Stage, forge: ScriptedForge) -> None:
    was = begun(forged, forge)
    theirs = pushed_by_bob(forged)
    forged.agent('git rev-parse HEAD >"$STAGE/seen"\n' + COMMIT + PUSH)
    assert forged.finished(forged.start(14).task) == "completed"
    assert forged.file("seen").strip() == theirs
    (event,) = forged.events("session.forwarded")
    assert event["data"] == {"branch": BRANCH, "was": was, "head": theirs, "commits": 1}
    assert head(forged.root / "srv.git", f"{BRANCH}~1") == theirs
    assert forged.finished(forged.start(14).task) == "completed"
    assert len(forged.events("session.forwarded")) == 1


def test_uncommitted_files_stay_and_others_commits_are_no_progress_of_ours(forged: Stage, forge: ScriptedForge) -> None:
    begun(forged, forge)
    (forged.worktree(14) / "notes.txt").write_text("mine\n")
    theirs = pushed_by_bob(forged)
    forged.agent("exit 0\n")
    assert forged.finished(forged.start(14).task) == "completed"
    assert (forged.worktree(14) / "notes.txt").read_text() == "mine\n" and head(forged.worktree(14)) == theirs
    assert forged.state.sessions[str(forged.ref(14))].usage.no_progress_runs == 1


def test_branches_that_parted_are_for_a_person_and_both_commits_are_named(forged: Stage, forge: ScriptedForge) -> None:
    begun(forged, forge)
    theirs = pushed_by_bob(forged)
    worktree = forged.worktree(14)
    repos.run(worktree, "commit", "-q", "--allow-empty", "-m", "not pushed")
    ours = head(worktree)
    forged.agent('touch "$STAGE/ran"\n')
    waiting = turn(forged)
    (parked,) = forged.events("task.parked", task=waiting)
    assert not (forged.folder / "ran").exists()
    assert (parked["data"]["gate"], parked["data"]["values"]["here"]) == ("branch", ours)
    assert parked["data"]["values"]["there"] == theirs and forged.state.tasks[waiting].used == 0
    assert head(worktree) == ours and head(forged.root / "srv.git", BRANCH) == theirs
    # A person may ask the agent for just that, and the turn follows.
    forged.agent(f"git merge -q -m Both origin/{BRANCH} && git push -q origin HEAD\n")
    assert forged.finished(forged.start(14).task) == "completed"
    assert repos.run(worktree, "merge-base", "--is-ancestor", theirs, "HEAD") == ""
    assert forged.finished(waiting) == "completed"


def test_a_person_who_retries_it_accepts_that_the_branches_have_parted(forged: Stage, forge: ScriptedForge) -> None:
    begun(forged, forge)
    pushed_by_bob(forged)
    repos.run(forged.worktree(14), "commit", "-q", "--allow-empty", "-m", "not pushed")
    waiting = turn(forged)
    assert forged.state.tasks[waiting].state == "parked"
    forged.agent('touch "$STAGE/ran"\n')
    forged.ws.log.transact(lambda state: queue.retry(state, waiting))
    assert forged.finished(waiting) == "completed"
    assert (forged.folder / "ran").exists() and len(forged.events("task.parked")) == 1


def test_a_changed_file_in_the_way_is_not_overwritten(forged: Stage, forge: ScriptedForge) -> None:
    was = begun(forged, forge)
    theirs = pushed_by_bob(forged)
    (forged.worktree(14) / "bob").write_text("mine\n")
    values = forged.events("task.parked", task=turn(forged))[0]["data"]["values"]
    assert (values["kind"], values["here"], values["there"]) == ("in_the_way", was, theirs)
    assert (forged.worktree(14) / "bob").read_text() == "mine\n" and head(forged.worktree(14)) == was


def test_work_that_was_rewritten_here_is_nobody_elses(forged: Stage, forge: ScriptedForge) -> None:
    begun(forged, forge)
    repos.run(forged.worktree(14), "commit", "-q", "--amend", "-m", "better words")
    forged.agent("exit 0\n")
    assert forged.finished(forged.start(14).task) == "completed"
    assert forged.events("session.forwarded") == []
