"""Where a worktree comes from: the clone around, a registered one, or one of our own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kugetsu.model.errors import BadInput, GitFailed, NotFound
from kugetsu.runtime.git import checkouts, refs, remotes, repositories
from runtime.repos import Place, commit, place, run, sample

__all__ = ["place", "sample"]


def server(place: Place) -> dict[str, str]:
    """GIT_SERVERS with the remote's folder as a server."""
    return {"git.test": f"file://{place.root}/srv"}


def test_any_remote_may_match(sample: Place) -> None:
    run(sample.clone, "remote", "add", "up", "git@github.com:Shoko/Kugetsu.git")
    found = repositories.at_path("github.com/shoko/kugetsu", str(sample.clone))
    assert found.remote == "up"


def test_a_number_means_the_upstream_of_a_fork(sample: Place) -> None:
    assert remotes.here(str(sample.clone)) == ("local", "shoko", "sample")
    run(sample.clone, "remote", "add", "upstream", "https://github.com/up/stream")
    assert remotes.here(str(sample.clone)) == ("github.com", "up", "stream")


def test_a_clone_without_remotes_goes_by_its_folder(place: Place) -> None:
    place.clone.mkdir(parents=True)
    run(place.clone, "init", "-q")
    assert remotes.here(str(place.clone)) == ("local", "work", "sample")
    found = repositories.at_path("local/work/sample", str(place.clone))
    assert (found.path, found.remote) == (str(place.clone), None)


def test_outside_of_a_clone_there_is_none(place: Place) -> None:
    assert remotes.here(str(place.root)) is None
    assert remotes.here(str(place.root / "missing")) is None


def test_remotes_are_found_from_a_linked_worktree_a_submodule_and_a_bare_clone(sample: Place) -> None:
    run(sample.clone, "worktree", "add", "-q", "../tree")
    assert remotes.here(str(sample.root / "work" / "tree")) == ("local", "shoko", "sample")
    run(sample.clone, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(sample.remote), "sub")
    assert remotes.here(str(sample.clone / "sub")) == ("local", "shoko", "sample")
    assert remotes.here(str(sample.clone / ".git" / "refs")) == ("local", "shoko", "sample")
    assert remotes.here(str(sample.remote)) == ("local", "shoko", "sample")


def test_urls_that_git_rewrites_are_asked_of_git(sample: Place) -> None:
    run(sample.clone, "config", "--global", "url.https://github.com/.insteadOf", "hub:")
    run(sample.clone, "remote", "set-url", "origin", "hub:a/b")
    assert remotes.here(str(sample.clone)) == ("github.com", "a", "b")


def test_git_and_the_files_agree_on_every_url(sample: Place) -> None:
    for number, url in enumerate(["https://h.org/a/b#c", 'a "quoted" \\ url', "x;y", "  spaced  "]):
        run(sample.clone, "config", f"remote.r{number}.url", url)
    expected = {f"r{n}": run(sample.clone, "config", f"remote.r{n}.url") for n in range(4)}
    found = checkouts.remotes(str(sample.clone / ".git"))
    assert {name: found[name] for name in expected} == expected


def test_our_own_clone_is_made_once_and_has_the_remotes_branches(sample: Place) -> None:
    found = repositories.resolve("git.test/shoko/sample", sample.paths, servers=server(sample))
    assert found.path == f"{sample.paths.repositories}/git.test/shoko/sample.git"
    assert found.remote == "origin"
    assert run(Path(found.path), "for-each-ref", "--format=%(refname)") == (
        "refs/remotes/origin/HEAD\nrefs/remotes/origin/main"
    )
    assert refs.default_branch(found.path, "origin") == "main"
    sample.remote.rename(sample.root / "gone")
    assert repositories.resolve("git.test/shoko/sample", sample.paths, servers=server(sample)).path == found.path


def test_a_registered_url_is_cloned_and_a_new_one_is_followed(sample: Place) -> None:
    name = "h.org/a/b"
    first = repositories.resolve(name, sample.paths, registered={name: {"url": str(sample.remote)}})
    moved = sample.remote.rename(sample.root / "moved.git")
    repositories.resolve(name, sample.paths, registered={name: {"url": str(moved)}})
    assert checkouts.remotes(first.path) == {"origin": str(moved)}


def test_a_repository_that_is_not_there_leaves_no_clone(sample: Place) -> None:
    with pytest.raises(NotFound, match=r"cannot clone git\.test/shoko/nothing") as caught:
        repositories.resolve("git.test/shoko/nothing", sample.paths, servers=server(sample))
    assert "init --repo" in (caught.value.hint or "")
    assert os.listdir(f"{sample.paths.repositories}/git.test/shoko") == []


def test_a_server_that_is_not_there_is_an_error_with_a_remedy(place: Place) -> None:
    with pytest.raises(GitFailed) as caught:
        repositories.resolve("h.org/a/b", place.paths, servers={"h.org": "http://127.0.0.1:9"}, timeout=30)
    assert "GIT_SERVERS" in (caught.value.hint or "")


def test_a_local_repository_must_be_registered(place: Place) -> None:
    with pytest.raises(NotFound) as caught:
        repositories.resolve("local/a/b", place.paths)
    assert "init --repo PATH" in (caught.value.hint or "")


def test_a_registered_path_that_went_away_is_named(place: Place) -> None:
    with pytest.raises(NotFound, match="/gone"):
        repositories.resolve("h.org/a/b", place.paths, registered={"h.org/a/b": {"path": "/gone"}})


def test_clones_at_once_make_one(sample: Place) -> None:
    def resolve(_: int) -> str:
        return repositories.resolve("git.test/shoko/sample", sample.paths, servers=server(sample)).path

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(resolve, range(6)))
    assert len(set(found)) == 1
    assert os.listdir(os.path.dirname(found[0])) == ["sample.git"]


def test_a_killed_clone_is_not_taken_for_a_whole_one(sample: Place) -> None:
    slow = sample.root / "slow"
    slow.write_text(f"#!/bin/sh\necho $$ > {sample.root}/new && mv {sample.root}/new {sample.root}/pid\nsleep 60\n")
    slow.chmod(0o755)
    run(sample.clone, "config", "--global", "core.sshCommand", str(slow))
    code = (
        "import sys; from kugetsu.host.paths import Paths; from kugetsu.runtime.git import repositories as r\n"
        "r.resolve('h.org/a/b', Paths(sys.argv[1]), registered={'h.org/a/b': {'url': 'ssh://h.org/a/b'}})"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", code, sample.paths.root], env=env)
    folder = Path(sample.paths.repositories) / "h.org" / "a"
    until = time.monotonic() + 20
    while not (sample.root / "pid").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    os.killpg(os.getpgid(int((sample.root / "pid").read_text())), signal.SIGKILL)
    assert any(name.endswith(".part") for name in os.listdir(folder))
    assert [name for name in os.listdir(folder) if not name.endswith(".part")] == []
    registered = {"h.org/a/b": {"url": str(sample.remote)}}
    repositories.resolve("h.org/a/b", sample.paths, registered=registered)
    assert os.listdir(folder) == ["b.git"]


def test_what_init_registers(sample: Place) -> None:
    (sample.clone / "sub").mkdir()
    assert repositories.describe("sub", str(sample.clone)) == (sample.name, {"path": str(sample.clone)})
    url = "git@github.com:A/b.git"
    assert repositories.describe(url, "/") == ("github.com/a/b", {"url": url})
    for bad in (str(sample.root), "nothing", "--upload-pack=x", "https://github.com/a", "a b", "ext::sh -c x"):
        with pytest.raises(BadInput) as caught:
            repositories.describe(bad, "/")
        assert caught.value.hint


def test_a_registered_path_may_be_without_commits(place: Place) -> None:
    place.clone.mkdir(parents=True)
    run(place.clone, "init", "-q")
    name, registered = repositories.describe(str(place.clone), "/")
    found = repositories.resolve(name, place.paths, registered={name: registered})
    assert found.path == str(place.clone)
    commit(place.clone)
