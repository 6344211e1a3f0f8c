"""A host that was lost is there again: what is only in worktrees whose sessions moved meanwhile is kept, and told."""

from __future__ import annotations

import shutil
import subprocess
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kugetsu.domain.decide import hosts, persons, sessions
from kugetsu.domain.events import Identity
from kugetsu.model.errors import Conflict, LogUnreachable
from kugetsu.model.refs import folder_name, parse_ref
from kugetsu.runtime import destroy, host_id, left_behind, prune, reconcile, submit
from kugetsu.runtime.git import repositories, worktrees
from kugetsu.runtime.notifications.notice import notice_of
from kugetsu.runtime.process import identity
from kugetsu.runtime.process.lease import Lease
from kugetsu.runtime.runner import interactive, prepare
from kugetsu.views.wording import words
from property.hosts_story import prepared
from runtime import repos
from runtime.stage import Stage, bare_stage, stage

__all__ = ["bare_stage", "stage"]

NAME = "git.test/work/shared"
KEY = f"{NAME}#1"
TWO = "f" * 32


@pytest.fixture
def origin(stage: Stage) -> Path:
    """The repository's server."""
    bare = stage.root / "srv" / "work" / "shared.git"
    bare.parent.mkdir(parents=True)
    repos.run(stage.root, "clone", "-q", "--bare", str(stage.repository), str(bare))
    stage.configure(GIT_SERVERS=f"git.test=file://{stage.root}/srv", KUGETSU_FORGE="off")
    stage.ws.log.transact(lambda state: sessions.register(state, NAME, {"url": f"file://{bare}"}))
    return bare


@pytest.fixture
def worktree(stage: Stage, origin: Path) -> Path:
    """A commit in it was never pushed; its host was lost, its session is on host two, and its host is there again."""
    ws, own = stage.ws, host_id.own(stage.ws)
    registered, servers = host_id.repositories(ws, stage.state), ws.config.servers()
    clone = repositories.resolve(NAME, ws.paths, registered=registered, servers=servers)
    made = worktrees.ensure(clone, ws.paths.worktree(folder_name(parse_ref(KEY))), "fix/issue-1", ws.paths)
    repos.commit(Path(made.path), "work", "q1.1\n")
    ws.log.transact(lambda state: sessions.request(state, KEY, "issue", NAME))
    join(stage, own, "one", 1)
    join(stage, TWO, "two", 1)
    there = {"branch": "fix/issue-1", "base_commit": made.base_commit, "source": clone.path}
    for decision in prepared(KEY, own, made.path, **there):
        ws.log.transact(decision)
    lose(stage, own, 1)
    move(stage, TWO, "/v/1")
    join(stage, own, "one", 2)
    assert list(stage.state.hosts[own].left_behind) == [made.path]
    return Path(made.path)


def join(stage: Stage, host: str, name: str, term: int) -> None:
    stage.ws.log.transact(partial(hosts.join, host=host, term=term, name=name, labels=[], cap=2))


def lose(stage: Stage, host: str, term: int) -> None:
    facts: Any = {
        "now": stage.state.latest,
        "max_attempts": 3,
        "backoff_seconds": 1.0,
        "pause_seconds": 1.0,
        "agent": "-",
    }
    lost = partial(hosts.lost, host=host, term=term, silent_since=None, by=None, reason="lost", facts=facts)
    stage.ws.log.transact(lost)


def move(stage: Stage, host: str, worktree: str) -> None:
    """The session is prepared there, from the branch."""
    there = {"branch": "fix/issue-1", "base_commit": stage.state.sessions[KEY].base_commit or ""}
    there["source"] = stage.state.sessions[KEY].source or ""
    stage.ws.log.transact(lambda state: sessions.broken(state, KEY, "its worktree is elsewhere"))
    for decision in prepared(KEY, host, worktree, **there):
        stage.ws.log.transact(decision)


def move_back(stage: Stage, worktree: Path) -> None:
    """Host two is lost as well, and the session is here again."""
    lose(stage, TWO, 1)
    move(stage, host_id.own(stage.ws), str(worktree))


def move_again(stage: Stage) -> None:
    """This host is lost once more, the session goes to host two, and this host is there again."""
    own = host_id.own(stage.ws)
    lose(stage, own, 2)
    join(stage, TWO, "two", 2)
    move(stage, TWO, "/v/1")
    join(stage, own, "one", 3)


def keep(stage: Stage) -> dict[str, Any]:
    """What the daemon does in its turn; what it found."""
    (found,) = left_behind.keep(stage.ws, stage.state, set())
    (event,) = stage.events("host.returned")
    assert event["data"]["worktrees"] == [found]
    return dict(found)


def rescued(origin: Path) -> list[str]:
    return repos.run(origin, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/kugetsu").split()


def planned(stage: Stage, worktree: Path) -> tuple[list[str], list[str]]:
    """Why prune would remove the worktree, and why it keeps it."""
    found = prune.plan(stage.ws)
    removed = [item.reason for item in found.items if item.paths == [str(worktree)]]
    return removed, [reason for kept in found.kept if kept.subject == str(worktree) for reason in kept.reasons]


def test_commits_of_a_session_that_moved_are_pushed_on_a_rescue_branch(
    stage: Stage, origin: Path, worktree: Path
) -> None:
    found = keep(stage)
    assert (found["commits"], found["pushed"], found["remote"]) == (1, True, "origin")
    assert rescued(origin) == [found["rescue"]]
    assert repos.run(origin, "show", f"{found['rescue']}:work").strip() == "q1.1"
    (event,) = stage.events("host.returned")
    told = notice_of(event)
    assert told is not None and told.text.endswith(f"on {found['rescue']}, pushed; in {worktree}")
    assert "pushed to origin" in words(event)
    assert worktree.is_dir()


@pytest.mark.parametrize("step", ["transport.git", "decide.returned"])
def test_killed_before_or_after_the_push_it_is_done_again(
    stage: Stage, origin: Path, worktree: Path, step: str
) -> None:
    place, name = step.split(".")
    code = f"""
import os
from kugetsu.runtime import left_behind
from kugetsu.runtime.workspace import open_workspace
setattr(left_behind.{place}, {name!r}, lambda *_, **__: os.kill(os.getpid(), 9))
ws = open_workspace(os.environ, "daemon")
left_behind.keep(ws, ws.state(), set())
"""
    process = stage.python(code, stderr=subprocess.PIPE)
    assert process.wait() == -9, process.stderr
    assert rescued(origin) == (
        []
        if name == "git"
        else repos.run(worktree, "branch", "--list", "--format=%(refname:lstrip=2)", "kugetsu/*").split()
    )
    found = keep(stage)
    assert (found["commits"], found["pushed"]) == (1, True)
    assert rescued(origin) == [found["rescue"]], "the same branch"


def test_what_could_not_be_recorded_is_recorded_later(stage: Stage, origin: Path, worktree: Path) -> None:
    done: set[str] = set()

    def away(_: object) -> None:
        raise LogUnreachable("the database is away")

    with stage.monkeypatch.context() as patch:
        patch.setattr(stage.ws.log, "transact", away)
        with pytest.raises(LogUnreachable):
            left_behind.keep(stage.ws, stage.state, done)
    (found,) = left_behind.keep(stage.ws, stage.state, done)
    assert found["pushed"] and len(stage.events("host.returned")) == 1
    assert left_behind.keep(stage.ws, stage.state, done) == []


def test_a_session_that_moves_away_again_leaves_its_new_work_behind(stage: Stage, origin: Path, worktree: Path) -> None:
    done: set[str] = set()
    left_behind.keep(stage.ws, stage.state, done)
    assert left_behind.keep(stage.ws, stage.state, done) == []
    move_back(stage, worktree)
    repos.commit(worktree, "more", "q1.2\n")
    move_again(stage)
    (found,) = left_behind.keep(stage.ws, stage.state, done)
    assert found["pushed"] and repos.run(origin, "show", f"{found['rescue']}:more").strip() == "q1.2"


def test_a_worktree_whose_session_is_here_again_is_not_left_behind(stage: Stage, origin: Path, worktree: Path) -> None:
    move_back(stage, worktree)  # before the daemon has looked: it claims in the turn in which it joins
    assert stage.state.hosts[host_id.own(stage.ws)].left_behind == {}
    assert left_behind.keep(stage.ws, stage.state, set()) == [] and rescued(origin) == []
    move_again(stage)
    assert keep(stage)["pushed"]


def test_while_a_person_is_at_work_there_nothing_is_judged(stage: Stage, origin: Path, worktree: Path) -> None:
    own = host_id.own(stage.ws)
    move_back(stage, worktree)
    held = Lease.create(stage.ws.paths.leases)
    holder: Identity = {**identity.own(), "host": own}
    attach = partial(persons.attach, key=KEY, lease=held.nonce, holder=holder, user="u", host="one")
    stage.ws.log.transact(attach)
    move_again(stage)
    assert left_behind.keep(stage.ws, stage.state, set()) == []
    assert "was not saved yet" in planned(stage, worktree)[1][0], "and prune leaves it alone"
    (worktree / "typed").write_text("x")
    held.release()
    found = keep(stage)
    assert repos.run(worktree, "show", f"{found['rescue']}:typed") == "x"


def test_who_still_works_on_a_host_that_returns_has_the_session_again(
    stage: Stage, origin: Path, worktree: Path
) -> None:
    own = host_id.own(stage.ws)
    move_back(stage, worktree)
    held = Lease.create(stage.ws.paths.leases)
    holder: Identity = {**identity.own(), "host": own}
    stage.ws.log.transact(partial(persons.attach, key=KEY, lease=held.nonce, holder=holder, user="u", host="one"))
    stage.ws.paths.make(f"{stage.directory}/attached/{held.nonce}")
    assert interactive.reclaim(stage.ws) == []
    lose(stage, own, 2)
    assert stage.state.sessions[KEY].person is None and interactive.reclaim(stage.ws) == [], "it takes no part yet"
    join(stage, own, "one", 3)
    assert interactive.reclaim(stage.ws) == [KEY]
    person = stage.state.sessions[KEY].person
    assert person is not None and (person["lease"], person["holder"]) == (held.nonce, holder)
    lose(stage, own, 3)
    join(stage, own, "one", 4)
    held.release()
    assert interactive.reclaim(stage.ws) == [], "the program has ended"


def test_who_was_killed_before_the_session_is_here_has_done_nothing(stage: Stage, origin: Path, worktree: Path) -> None:
    move(stage, TWO, str(worktree))  # the folders have the same name on both
    lose(stage, TWO, 1)
    held = Lease.create(stage.ws.paths.leases)
    holder: Identity = {"boot": "before", "pid": 7, "start": 1, "host": host_id.own(stage.ws)}
    stage.ws.log.transact(partial(persons.attach, key=KEY, lease=held.nonce, holder=holder, user="u", host="one"))
    held.release()
    assert reconcile.reconcile(stage.ws) == [KEY]
    (left,) = stage.events("person.left")
    assert left["data"]["evidence"] == {} and left["data"]["result"] is None
    assert stage.state.sessions[KEY].person is None


def test_a_slow_push_leaves_the_next_worktree_to_another_turn(stage: Stage, origin: Path, worktree: Path) -> None:
    state, now, done = stage.state, [0.0], set[str]()
    known = state.hosts[host_id.own(stage.ws)].left_behind
    known |= {"/gone": {**known[str(worktree)], "session": f"{NAME}#2"}}
    stage.monkeypatch.setattr(left_behind, "time", SimpleNamespace(monotonic=lambda: now[0]))
    stage.monkeypatch.setattr(left_behind, "_push", lambda *_: now.append(now.pop() + 20.0))
    assert [one["worktree"] for one in left_behind.keep(stage.ws, state, done)] == [str(worktree)]
    assert [one["worktree"] for one in left_behind.keep(stage.ws, state, done)] == ["/gone"]


def test_a_claim_that_was_given_away_in_its_preparation_opens_nothing(
    stage: Stage, origin: Path, worktree: Path
) -> None:
    move_back(stage, worktree)
    stage.configure(KUGETSU_ATTACH_COMMAND="true")
    stage.ws.reload()
    stage.monkeypatch.setattr(prepare, "prepare_issue", lambda *_: lose(stage, host_id.own(stage.ws), 2))
    with pytest.raises(Conflict, match="claim_given_away"):
        interactive.attach(stage.ws, KEY)


def test_a_push_that_is_refused_is_told_with_the_line_to_type(stage: Stage, origin: Path, worktree: Path) -> None:
    hook = origin / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\necho "not from here" >&2\nexit 1\n')
    hook.chmod(0o755)
    found = keep(stage)
    assert found["pushed"] is False and "not from here" in found["not_pushed"]
    line = f"git -C {worktree} push origin {found['rescue']}"
    (event,) = stage.events("host.returned")
    told = notice_of(event)
    assert line in words(event) and told is not None and f"not pushed: git -C {worktree} push" in told.text
    assert left_behind.keep(stage.ws, stage.state, set()) == [], "it is not tried again"
    hook.unlink()
    subprocess.run(line, shell=True, check=True, stderr=subprocess.DEVNULL)
    assert rescued(origin) == [found["rescue"]]


def goes_on_with(worktree: Path, branch: str) -> None:
    """What the worktree's branch has stays on it; the next one is pushed."""
    repos.run(worktree, "switch", "-q", "-c", branch, "origin/main")
    repos.commit(worktree, "next", "q2.1\n")
    repos.run(worktree, "push", "-q", "origin", branch)


def test_commits_of_a_branch_that_was_merged_before_they_were_pushed_are_told_and_pushed(
    stage: Stage, origin: Path, worktree: Path
) -> None:
    tip = repos.run(worktree, "rev-parse", "HEAD").strip()
    goes_on_with(worktree, "fix/issue-1-2")
    found = keep(stage)
    assert (found["branch"], found["head"], found["commits"], found["pushed"]) == ("fix/issue-1", tip, 1, True)
    assert repos.run(origin, "rev-parse", *rescued(origin)).strip() == tip


def test_commits_of_a_branch_that_the_agent_left_are_told_and_pushed(
    stage: Stage, origin: Path, worktree: Path
) -> None:
    repos.run(worktree, "switch", "-q", "-c", "agents-own")
    repos.commit(worktree, "aside", "x")
    repos.run(worktree, "switch", "-q", "fix/issue-1")
    repos.run(worktree, "branch", "somebody-elses", repos.run(worktree, "rev-parse", "origin/main").strip())
    found = left_behind.keep(stage.ws, stage.state, set())
    assert [(one["branch"], one["commits"], one["pushed"]) for one in found] == [
        ("fix/issue-1", 1, True),
        ("agents-own", 2, True),
    ]
    assert rescued(origin) == sorted(str(one["rescue"]) for one in found)
    (event,) = stage.events("host.returned")
    assert words(event).count("pushed to origin") == 2
    assert stage.state.hosts[host_id.own(stage.ws)].left_behind == {}


def test_an_earlier_branch_that_was_squashed_into_the_base_branch_is_not_told(
    stage: Stage, origin: Path, worktree: Path
) -> None:
    clone = stage.root / "clone"
    repos.run(stage.root, "clone", "-q", str(origin), str(clone))
    (clone / "work").write_text("q1.1\n")
    repos.run(clone, "add", "work")
    repos.run(clone, "commit", "-qm", "Squashed")
    repos.run(clone, "push", "-q")
    repos.run(worktree, "fetch", "-q", "origin")
    goes_on_with(worktree, "fix/issue-1-2")
    assert (keep(stage)["commits"], rescued(origin)) == (0, [])


def test_the_branches_of_a_worktree_that_is_gone_are_told_and_pushed(
    stage: Stage, origin: Path, worktree: Path
) -> None:
    shutil.rmtree(worktree)
    found = keep(stage)
    assert (found["commits"], found["pushed"]) == (1, True) and rescued(origin) == [found["rescue"]]
    assert Path(found["clone"]).is_dir()


def test_the_line_to_type_names_the_clone_of_a_worktree_that_is_gone(
    stage: Stage, origin: Path, worktree: Path
) -> None:
    stage.configure(PUSH_RESCUE="never")
    shutil.rmtree(worktree)
    found = keep(stage)
    line = f"git -C {found['clone']} push origin {found['rescue']}"
    (event,) = stage.events("host.returned")
    told = notice_of(event)
    assert line in words(event) and told is not None and line in told.text
    subprocess.run(line, shell=True, check=True, stderr=subprocess.DEVNULL)
    assert rescued(origin) == [found["rescue"]]


def test_the_work_of_a_repository_in_the_worktree_is_told(stage: Stage, origin: Path, worktree: Path) -> None:
    repos.run(worktree, "push", "-q", "origin", "fix/issue-1")
    repos.make_plain(worktree / "tool")
    repos.commit(worktree / "tool", "inner", "x")
    found = left_behind.keep(stage.ws, stage.state, set())
    inner = next(one for one in found if one["branch"] is None)
    assert inner["rescue"] is not None and not inner["pushed"]
    assert inner["not_pushed"].startswith("it has the work of a repository in the worktree")
    assert repos.run(worktree, "show", f"{inner['rescue']}:inner") == "x"


def test_a_folder_that_is_no_longer_its_worktree_is_told_and_kept(stage: Stage, origin: Path, worktree: Path) -> None:
    repos.run(worktree, "push", "-q", "origin", "fix/issue-1")
    record = repos.run(worktree, "rev-parse", "--absolute-git-dir").strip()
    shutil.rmtree(record)
    (worktree / ".git").unlink()
    repos.run(worktree.parent, "init", "-q", "-b", "main")
    repos.commit(worktree.parent, "above")
    (worktree / "typed").write_text("x")
    found = keep(stage)
    assert (found["commits"], found["rescue"]) == (1, None) and "is no longer its worktree" in found["problem"]
    assert repos.run(worktree.parent, "branch", "--list", "kugetsu/*") == "", "a repository above it gets nothing"
    assert list(stage.state.hosts[host_id.own(stage.ws)].left_behind) == [str(worktree)]
    assert "was not saved yet" in planned(stage, worktree)[1][0]


def test_a_folder_that_a_removal_moved_away_is_told_when_its_host_returns(
    stage: Stage, origin: Path, worktree: Path
) -> None:
    own = host_id.own(stage.ws)
    move_back(stage, worktree)
    stage.ws.log.transact(lambda state: sessions.destroying(state, KEY, True, "destroy", host=own))
    worktree.rename(destroy.aside(str(worktree), stage.state.sessions[KEY].changed))
    move_again(stage)
    told = left_behind.keep(stage.ws, stage.state, set())
    (aside,) = worktree.parent.glob("*.kept-*")
    assert [one["problem"] for one in told if one["worktree"] == str(aside)] != []
    (event,) = stage.events("host.returned")
    assert f"only in {aside}" in words(event)
    assert stage.state.hosts[own].left_behind == {}


def large(worktree: Path) -> Path:
    """A commit with a file that git-lfs keeps; where it keeps its content."""
    repos.run(worktree, "lfs", "install")
    (worktree / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    repos.commit(worktree, "a.bin", "large" * 100)
    repos.run(worktree, "add", ".gitattributes")
    repos.run(worktree, "commit", "-qm", "large files")
    return Path(repos.run(worktree, "rev-parse", "--path-format=absolute", "--git-common-dir")) / "lfs" / "objects"


def contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


@pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed here")
def test_the_large_files_of_a_rescue_branch_are_pushed_with_it(stage: Stage, origin: Path, worktree: Path) -> None:
    kept = large(worktree)
    assert contents(kept) == [b"large" * 100]
    found = keep(stage)
    assert found["pushed"] is True, found
    assert rescued(origin) == [found["rescue"]]
    assert contents(origin / "lfs" / "objects") == [b"large" * 100]


@pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed here")
@pytest.mark.parametrize("by", [".lfsconfig", "its clone sets lfs.url"])
def test_large_files_go_to_no_server_that_an_agent_named(
    stage: Stage, origin: Path, worktree: Path, tmp_path: Path, by: str
) -> None:
    large(worktree)
    where = ["-f", ".lfsconfig"] if by == ".lfsconfig" else []
    repos.run(worktree, "config", *where, "lfs.url", f"file://{tmp_path}/elsewhere")
    if where:
        repos.run(worktree, "add", ".lfsconfig")
        repos.run(worktree, "commit", "-qm", "another server")
    found = keep(stage)
    assert found["pushed"] is False and by in found["not_pushed"], found
    assert rescued(origin) == [] and not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("setting", "pushed"), [("commits", "never committed"), ("all", None), ("never", "PUSH_RESCUE is never")]
)
def test_files_that_were_never_committed_are_pushed_if_the_setting_says_so(
    stage: Stage, origin: Path, worktree: Path, setting: str, pushed: str | None
) -> None:
    stage.configure(PUSH_RESCUE=setting)
    (worktree / "secret").write_text("x")
    found = keep(stage)
    assert repos.run(worktree, "show", f"{found['rescue']}:secret") == "x", "it is on the branch in any case"
    assert rescued(origin) == ([] if pushed else [found["rescue"]])
    assert found["pushed"] is (pushed is None) and (pushed or "") in found.get("not_pushed", "")


def test_prune_offers_the_worktree_once_a_remote_has_all_of_it(stage: Stage, origin: Path, worktree: Path) -> None:
    assert planned(stage, worktree) == ([], [planned(stage, worktree)[1][0]])
    assert "was not saved yet" in planned(stage, worktree)[1][0]
    stage.configure(PUSH_RESCUE="never")
    found = keep(stage)
    removed, (kept,) = planned(stage, worktree)
    assert removed == [] and kept == "its session is on host two now, but it has 1 commit that no remote has"
    repos.run(worktree, "push", "-q", "origin", found["rescue"])
    (reason,), kept_now = planned(stage, worktree)
    assert kept_now == [] and reason.startswith("its session is on host two now; it is a clean worktree")
    plan = prune.plan(stage.ws)
    (worktree / "more").write_text("x")  # since
    assert prune.carry_out(stage.ws, plan).removed == [] and worktree.is_dir()
    (worktree / "more").unlink()
    assert [item.kind for item, _ in prune.carry_out(stage.ws, plan).removed] == ["worktree"]
    assert not worktree.exists() and stage.state.sessions[KEY].worktree == "/v/1"


def test_prune_offers_the_worktree_of_a_session_whose_work_was_squashed(
    stage: Stage, origin: Path, worktree: Path
) -> None:
    stage.configure(PUSH_RESCUE="never")
    keep(stage)
    clone = stage.root / "clone"
    repos.run(stage.root, "clone", "-q", str(origin), str(clone))
    (clone / "work").write_text("q1.1\n")
    repos.run(clone, "add", "work")
    repos.run(clone, "commit", "-qm", "Squashed")
    repos.run(clone, "push", "-q")
    assert planned(stage, worktree)[1] == []
    assert len(planned(stage, worktree)[0]) == 1


def test_prune_leaves_the_folder_to_a_task_that_may_use_it(stage: Stage, origin: Path, worktree: Path) -> None:
    keep(stage)
    submit.enqueue(stage.ws, parse_ref(KEY), "more", via="enqueue")
    assert planned(stage, worktree) == ([], [])
