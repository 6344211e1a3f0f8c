"""Whatever a remote is called and whatever became of it: work starts from what its server has now, or says why not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kugetsu.model.errors import Conflict, GitFailed, NotFound
from kugetsu.model.refs import parse_repository
from kugetsu.runtime.git import checkouts, evidence, fetching, refs, remotes, repositories, worktrees
from kugetsu.runtime.git.command import git
from kugetsu.runtime.git.worktrees import Worktree
from runtime.repos import Place, commit, place, run, sample

__all__ = ["place", "sample"]

BRANCH = "fix/issue-1"


def source(place: Place, name: str | None = None) -> repositories.Repository:
    return repositories.at_path(name or place.name, str(place.clone))


def ensure(place: Place, repository: repositories.Repository | None = None, base: str = "") -> Worktree:
    return worktrees.ensure(
        repository or source(place), place.paths.worktree("sample+1"), BRANCH, place.paths, base_branch=base
    )


def hook(place: Place, script: str) -> None:
    path = place.clone / ".git" / "hooks" / "post-checkout"
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)


# --- remotes of any form ----------------------------------------------------------------------------------------------

BY_SSH = [
    "git@gitlab.example.org:group/sub/repo.git",
    "ssh://me@gerrit.example.org:29418/project",
    "ssh://me@gerrit.example.org:29418/platform/tools",
    "git@git.sr.ht:~user/repo",
    "git@ssh.dev.azure.com:v3/org/project/repo",
    "git@host.example.org:/srv/git/a/b/repo.git",
    "ssh://git@[::1]:2222/owner/repo.git",
    "git@[::1]:owner/repo",
    "nowhere-alias:owner/repo.git",
    "nowhere-alias:repo.git",
]
BY_HTTPS = [
    "https://gitlab.example.org/group/sub/repo.git",
    "https://host.example.org/git/owner/repo",
    "https://dev.azure.com/org/My%20Project/_git/repo",
    "https://[2001:db8::1]:8443/owner/repo",
    "https://host.example.org/owner/ré%20po",
]


@pytest.mark.parametrize("url", BY_SSH)
def test_work_starts_from_what_the_remote_has_whatever_its_url(
    sample: Place, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = sample.root / "ssh"  # the server at the other end
    program.write_text(f"#!/bin/sh\nexec git-upload-pack {sample.remote}\n")
    program.chmod(0o755)
    monkeypatch.setenv("GIT_SSH", str(program))
    monkeypatch.setenv("GIT_SSH_VARIANT", "ssh")
    news = sample.push_from_elsewhere()
    commit(sample.clone, "half-done", "mine\n", "not pushed")
    run(sample.clone, "config", "remote.origin.url", url)
    name, registered = repositories.describe(str(sample.clone), "/")
    assert parse_repository(name)
    made = ensure(sample, repositories.resolve(name, sample.paths, registered={name: registered}))
    assert (made.fetched, made.why_not_fetched, made.base_commit) == (True, None, news)
    assert not Path(made.path, "half-done").exists()


@pytest.mark.parametrize("url", BY_SSH + BY_HTTPS)
def test_a_clone_with_a_remote_has_one_whatever_it_is_registered_as(sample: Place, url: str) -> None:
    run(sample.clone, "config", "remote.origin.url", url)
    for name in (repositories.describe(str(sample.clone), "/")[0], "local/any/name", "git.example.org/any/name"):
        assert source(sample, name).remote == "origin"


def test_a_remote_without_a_name_goes_by_the_clones_folder_and_is_fetched(sample: Place) -> None:
    run(sample.clone, "config", "remote.origin.url", "ssh://me@gerrit.example.org:29418/project")
    assert remotes.here(str(sample.clone)) == ("local", "work", "sample")
    assert source(sample, "local/work/sample").remote == "origin"


def test_a_repository_of_a_subgroup_is_cloned_once_and_found_again(place: Place) -> None:
    place.remote = place.root / "srv" / "group" / "sub" / "sample.git"
    place.fill()
    servers = {"git.test": f"file://{place.root}/srv"}
    name = "git.test/group/sub/sample"
    cloned = repositories.resolve(name, place.paths, servers=servers)
    assert cloned.path == f"{place.paths.repositories}/{name}.git"
    checkout = checkouts.find(cloned.path)
    assert checkout is not None
    assert remotes.repositories(checkout, own=place.paths.repositories) == [("origin", name)]
    assert ensure(place, cloned).fetched


@pytest.fixture
def ssh(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """ssh with a configuration of the test's: the real one reads that of the password file's home folder."""
    program = shutil.which("ssh")
    if program is None:
        pytest.skip("there is no ssh")
    config = place.root / "home" / ".ssh" / "config"
    config.parent.mkdir()
    config.touch()
    folder = place.root / "bin"
    folder.mkdir()
    (folder / "ssh").write_text(f'#!/bin/sh\necho "$@" >> {place.root}/asked\nexec {program} -F {config} "$@"\n')
    (folder / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    remotes.target_of.cache_clear()
    yield config
    remotes.target_of.cache_clear()


@pytest.mark.parametrize("alias", ["github-work", "github.com-work"])
def test_an_alias_of_the_ssh_configuration_names_the_server_behind_it(sample: Place, ssh: Path, alias: str) -> None:
    ssh.write_text(f"Host {alias}\n  HostName github.com\n  IdentityFile ~/.ssh/work\n")
    run(sample.clone, "config", "remote.origin.url", f"git@{alias}:Owner/repo.git")
    assert remotes.here(str(sample.clone)) == ("github.com", "owner", "repo")
    assert source(sample, "github.com/owner/repo").remote == "origin"
    # What was begun under the alias goes on.
    assert source(sample, f"{alias}/owner/repo").remote == "origin"
    assert repositories.describe(f"{alias}:Owner/repo", "/")[0] == "github.com/owner/repo"
    assert (sample.root / "asked").read_text().splitlines() == [f"-G {alias}"]


def test_ssh_is_not_asked_where_a_host_is_a_server_by_itself(sample: Place, ssh: Path) -> None:
    ssh.write_text("Host *\n  User git\n")
    servers = {"git.example.org": "https://git.example.org", "home": "http://box:3000"}
    for url in ("git@github.com:a/b", "ssh://git@git.example.org/a/b", "git@box:a/b", "git@other.example.org:a/b"):
        run(sample.clone, "config", "remote.origin.url", url)
        assert remotes.here(str(sample.clone), servers)
    run(sample.clone, "config", "remote.origin.url", str(sample.remote))
    assert remotes.here(str(sample.clone), servers)
    assert not (sample.root / "asked").exists()


def test_a_servers_own_address_is_not_its_name(sample: Place, ssh: Path) -> None:
    ssh.write_text("Host git.example.org\n  HostName 10.0.0.5\n  Port 2222\n")
    run(sample.clone, "config", "remote.origin.url", "git@git.example.org:a/b")
    assert remotes.here(str(sample.clone)) == ("git.example.org", "a", "b")


# --- the default branch -----------------------------------------------------------------------------------------------


def test_the_default_branch_is_the_one_that_the_server_has_now(sample: Place) -> None:
    news = sample.push_from_elsewhere("trunk")
    run(sample.remote, "symbolic-ref", "HEAD", "refs/heads/trunk")
    made = ensure(sample)
    assert (made.base_branch, made.base_commit, made.fetched) == ("trunk", news, True)
    # A clone of the user's keeps its own view of the remote's HEAD.
    assert run(sample.clone, "symbolic-ref", "refs/remotes/origin/HEAD") == "refs/remotes/origin/main"


def test_a_clone_of_our_own_follows_the_default_branch(sample: Place) -> None:
    servers = {"git.test": f"file://{sample.root}/srv"}
    own = repositories.resolve("git.test/shoko/sample", sample.paths, servers=servers)
    sample.push_from_elsewhere("trunk")
    run(sample.remote, "symbolic-ref", "HEAD", "refs/heads/trunk")
    assert ensure(sample, own).base_branch == "trunk"
    assert refs.default_branch(own.common_dir, "origin") == "trunk"
    sample.remote.rename(sample.root / "gone")
    offline = worktrees.ensure(own, sample.paths.worktree("sample+2"), "fix/issue-2", sample.paths)
    assert (offline.base_branch, offline.fetched) == ("trunk", False)
    assert "work starts from what the clone has" in " ".join(offline.notes)


def test_a_head_that_names_no_branch_leaves_what_is_known(sample: Place) -> None:
    run(sample.remote, "update-ref", "--no-deref", "HEAD", run(sample.remote, "rev-parse", "main"))
    news = sample.push_from_elsewhere()
    made = ensure(sample)
    assert (made.base_branch, made.base_commit, made.fetched, made.notes) == ("main", news, True, [])


def test_the_setting_is_not_overruled_by_the_server(sample: Place) -> None:
    sample.push_from_elsewhere("trunk")
    run(sample.remote, "symbolic-ref", "HEAD", "refs/heads/trunk")
    assert ensure(sample, base="main").base_branch == "main"


# --- hooks ------------------------------------------------------------------------------------------------------------


def test_a_hook_that_fails_does_not_fail_a_complete_worktree_and_is_told_once(sample: Place) -> None:
    hook(sample, "echo 'husky: command not found' >&2; exit 127\n")
    made = ensure(sample)
    assert made.created and made.fetched
    assert made.notes == ["the post-checkout hook failed (exit 127): husky: command not found"]
    assert run(Path(made.path), "status", "--porcelain") == ""
    assert ensure(sample).notes == []


def test_a_checkout_that_fails_is_not_taken_for_a_hook(sample: Place) -> None:
    run(sample.clone, "config", "filter.broken.smudge", "echo 'git-lfs: not found' >&2; false")
    run(sample.clone, "config", "filter.broken.required", "true")
    (sample.clone / ".git" / "info" / "attributes").write_text("README filter=broken\n")
    with pytest.raises(GitFailed) as caught:
        ensure(sample)
    assert "check the name and your access" not in (caught.value.hint or "")


def test_only_gits_own_words_name_a_remedy(sample: Place) -> None:
    run(sample.clone, "config", "alias.fail", "!echo 'npm: command not found: timed out' >&2; exit 1")
    with pytest.raises(GitFailed) as caught:
        git(["fail"], str(sample.clone))
    assert caught.value.hint is None
    assert not caught.value.missing


def test_words_of_an_upload_pack_do_not_make_a_repository_missing(sample: Place) -> None:
    run(sample.clone, "config", "remote.origin.uploadpack", "echo 'proxy: not found' >&2; exit 1;")
    with pytest.raises(GitFailed) as caught:
        git(["fetch", "origin"], str(sample.clone))
    assert not caught.value.missing


def test_a_repository_that_the_server_does_not_have_is_missing(sample: Place) -> None:
    with pytest.raises(GitFailed) as caught:
        git(["fetch", str(sample.root / "nothing")], str(sample.clone))
    assert caught.value.missing
    with pytest.raises(NotFound):
        repositories.resolve("git.test/a/b", sample.paths, servers={"git.test": f"file://{sample.root}/srv"})


# --- refs in the way --------------------------------------------------------------------------------------------------


def stale(place: Place, name: str) -> str:
    """A remote-tracking ref of a branch that the remote had once; its commit."""
    made = run(place.clone, "commit-tree", "-m", name, "HEAD^{tree}")
    run(place.clone, "update-ref", f"refs/remotes/origin/{name}", made)
    return made


@pytest.mark.parametrize("name", ["fix", f"{BRANCH}/part", f"{BRANCH}/a/b"])
def test_a_stale_ref_in_the_way_is_pruned_and_told(sample: Place, name: str) -> None:
    old = stale(sample, name)
    other = stale(sample, "gone-too")
    theirs = sample.push_from_elsewhere(BRANCH)
    made = ensure(sample)
    assert (made.fetched, run(Path(made.path), "rev-parse", "HEAD")) == (True, theirs)
    assert len(made.notes) == 1 and f"pruned origin/{name} ({old[:12]})" in made.notes[0]
    # What was not in the way stays the user's.
    assert run(sample.clone, "rev-parse", "refs/remotes/origin/gone-too") == other


@pytest.mark.parametrize("name", ["fix", f"{BRANCH}/part"])
def test_a_stale_ref_hides_no_push_of_the_issues_branch(sample: Place, name: str) -> None:
    old = stale(sample, name)
    made = ensure(sample)
    assert len(made.notes) == 1 and f"pruned origin/{name} ({old[:12]})" in made.notes[0]
    run(Path(made.path), "commit", "-q", "--allow-empty", "-m", "work")
    run(Path(made.path), "push", "-q", "origin", "HEAD")
    found = evidence.collect(made.path, made.base_commit, BRANCH, repository_path=str(sample.clone), ask_remote=True)
    assert (found.commits, found.ahead, found.pushed) == (1, 0, True)


def test_a_stale_ref_in_the_way_of_the_base_is_pruned(sample: Place) -> None:
    stale(sample, "release")
    news = sample.push_from_elsewhere("release/1")
    made = ensure(sample, base="release/1")
    assert (made.base_commit, made.fetched) == (news, True)


def test_a_local_branch_in_the_way_names_a_command_that_lifts_it(sample: Place) -> None:
    run(sample.clone, "branch", "fix")
    with pytest.raises(Conflict, match="the branch fix is in the way") as caught:
        ensure(sample)
    assert "kugetsu config set KUGETSU_BRANCH_PATTERN 'issue-{number}'" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["fix", f"{BRANCH}/part"])
@pytest.mark.parametrize("base", ["", "main"])
def test_a_branch_that_the_remote_could_not_take_is_refused_before_the_work(
    sample: Place, name: str, base: str
) -> None:
    sample.push_from_elsewhere(name)
    with pytest.raises(Conflict, match=f"the branch origin/{name} is in the way") as caught:
        ensure(sample, base=base)
    assert "kugetsu config set KUGETSU_BRANCH_PATTERN 'issue-{number}'" in (caught.value.hint or "")
    assert not Path(sample.paths.worktree("sample+1")).exists()


def test_branches_of_like_names_are_not_in_the_way(sample: Place) -> None:
    for name in ("fix-it", "other/HEAD", "other/fix", f"{BRANCH}0"):
        sample.push_from_elsewhere(name)
    made = ensure(sample)
    assert made.created and made.notes == []


def test_work_that_is_there_goes_on_beside_a_branch_that_excludes_it(sample: Place) -> None:
    run(sample.clone, "branch", BRANCH)
    sample.push_from_elsewhere("fix")
    assert ensure(sample).created


def test_a_fetch_that_fails_is_a_note_for_people(sample: Place) -> None:
    sample.remote.rename(sample.root / "gone")
    made = ensure(sample)
    assert len(made.notes) == 1 and "nothing was fetched" in made.notes[0]


def test_the_branches_that_are_there_are_not_pruned(sample: Place) -> None:
    """Both cannot be on one remote, but a remote may answer between two states: nothing is deleted on a guess."""
    sample.push_from_elsewhere("fix")
    run(sample.clone, "fetch", "-q")
    fetched = fetching.fetch_base(source(sample), BRANCH)
    assert fetched.problem is None and fetched.notes == [] and fetched.in_the_way == "fix"
    assert run(sample.clone, "rev-parse", "--verify", "refs/remotes/origin/fix")
