"""Real git repositories to test with: a bare remote, clones of it, and a user who has a name."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kugetsu.host.paths import Paths


def run(folder: Path, *args: str) -> str:
    """git as a user types it; its output."""
    done = subprocess.run(["git", *args], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"git {args}: {done.stderr}"
    return done.stdout.strip()


def commit(folder: Path, name: str = "file", text: str = "text\n", message: str = "change") -> str:
    """Commits one file; the commit's id."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    run(folder, "add", "--", name)
    run(folder, "commit", "-q", "-m", message)
    return run(folder, "rev-parse", "HEAD")


def make_plain(folder: Path) -> str:
    """A repository without a remote, on `main`, with one commit; the commit's id."""
    folder.mkdir(parents=True)
    run(folder, "init", "-q", "-b", "main")
    (folder / ".gitignore").write_text("ignored\n")
    run(folder, "add", ".gitignore")
    return commit(folder, "README", "sample\n", "first")


class Place:
    """A test's own machine: home, KUGETSU_DIR, a remote `srv/shoko/sample.git` and a clone of it in `work/sample`."""

    name = "local/shoko/sample"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.remote = root / "srv" / "shoko" / "sample.git"
        self.clone = root / "work" / "sample"
        self.paths = Paths(str(root / "kugetsu"))
        self.paths.ensure()

    def fill(self, branch: str = "main") -> str:
        """Makes the remote with a first commit on `branch`, and the clone; the commit's id."""
        self.remote.mkdir(parents=True)
        run(self.remote, "init", "-q", "--bare", "-b", branch)
        self.clone.parent.mkdir(parents=True, exist_ok=True)
        run(self.root, "clone", "-q", str(self.remote), str(self.clone))
        (self.clone / ".gitignore").write_text("ignored\n")
        run(self.clone, "add", ".gitignore")
        first = commit(self.clone, "README", "sample\n", "first")
        run(self.clone, "push", "-q", "origin", f"HEAD:{branch}")
        run(self.clone, "remote", "set-head", "origin", "-a")
        return first

    def push_from_elsewhere(self, branch: str = "main", name: str = "news") -> str:
        """Another user pushes a commit; its id."""
        other = self.root / "other"
        if not other.exists():
            run(self.root, "clone", "-q", str(self.remote), str(other))
        run(other, "fetch", "-q")
        run(other, "checkout", "-q", "-B", branch, f"origin/{branch}" if self.has(branch) else "HEAD")
        made = commit(other, name, f"news on {branch}\n", f"news on {branch}")
        run(other, "push", "-q", "origin", branch)
        return made

    def has(self, branch: str) -> bool:
        """Whether the remote has the branch."""
        return bool(run(self.remote, "for-each-ref", f"refs/heads/{branch}"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """An empty machine; a user with a name and no other settings."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Shoko\n\temail = shoko@example.org\n[init]\n\tdefaultBranch = main\n"
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for key in ("GIT_CONFIG_GLOBAL", "XDG_CONFIG_HOME", "GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "EMAIL"):
        monkeypatch.delenv(key, raising=False)
    return Place(tmp_path)


@pytest.fixture
def sample(place: Place) -> Place:
    """The machine with the remote and its clone."""
    place.fill()
    return place
