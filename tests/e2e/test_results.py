"""What came of runs of the real opencode: decided from git, the files of the run and its recorded commands.

What a night brings (questions, uncommitted files, nothing, comments) is in `test_night`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from e2e.rig import git, script
from e2e.test_kugetsu_opencode import House, house, ref

pytestmark = pytest.mark.e2e

__all__ = ["house"]

ENDS = tuple(f"attempt.{end}" for end in ("succeeded", "failed", "timed_out", "killed", "lost"))
REFUSING = '#!/bin/sh\necho "Forgejo: Not allowed to push to protected branch main" >&2\nexit 1\n'
WORK = ("write work.txt", "| one", "| two", "run git add -A && git commit -qm work")


@pytest.fixture(scope="module")
def remote(house: House) -> Path:
    """The remote of the sample repository: it refuses pushes to main, and takes others."""
    folder = house.main.parent / "srv.git"
    git(house.main, "clone", "-q", "--bare", str(house.main), str(folder))
    hook = folder / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ncat | grep -q refs/heads/main || exit 0\n{REFUSING.partition(chr(10))[2]}")
    hook.chmod(0o755)
    git(house.main, "remote", "add", "origin", str(folder))
    git(house.main, "fetch", "-q", "origin")
    git(house.main, "remote", "set-head", "origin", "main")
    return folder


@pytest.mark.thorough
def test_every_run_has_the_result_that_its_evidence_shows(house: House, remote: Path) -> None:
    findings = f"{house.environment['KUGETSU_DIR']}/runs/{{task}}.1/findings/findings.md"
    scripts = {
        "pushed": script(*WORK, "run git push -q -u origin HEAD", "say Done. Should I also add a test?"),
        "push_refused": script(*WORK, "run git push origin HEAD:main 2>&1 | tail -20", "say The server refused it."),
        "refused, then pushed": script(
            *WORK, "run git push origin HEAD:main", "run git push -q origin HEAD", "say It is on its own branch."
        ),
        "unpushed": script(*WORK, "say Done."),
        "answered": script(f"write {findings}", "| It is the cache.", "say It is the cache. Shall I mend it?"),
        "elsewhere": script(
            f"run sleep 1.1; git -C {house.main} commit -q --allow-empty -m misplaced", "say I committed it."
        ),
    }
    for number, text in enumerate(scripts.values(), 1):
        house.ok("queue", "enqueue", ref(number), text.replace("{task}", f"q{number}"))
    seen: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(scripts, 1):
        data = house.await_event(*ENDS, issue=number)["data"]
        assert data["evidence"], data
        seen[name] = data["result"]
    kinds = {name: result["kind"] for name, result in seen.items()}
    own = {name: name for name in scripts}
    assert kinds == {**own, "refused, then pushed": "pushed", "elsewhere": "unpushed"}
    assert seen["elsewhere"]["elsewhere"] == str(house.main)
    assert [name for name, result in seen.items() if "elsewhere" in result] == ["elsewhere"]
    refused = seen["push_refused"]["refused"]
    assert refused["code"] == "protected_branch"
    assert "remote: Forgejo: Not allowed to push to protected branch main" in refused["words"]
    assert "refused" not in seen["refused, then pushed"]
    pushed = seen["pushed"]
    assert (pushed["commits"], pushed["files"], pushed["added"], pushed["removed"]) == (1, 1, 2, 0)
    assert "It is the cache." in house.ok("context", ref(1 + list(scripts).index("answered")))
    assert "Forgejo: Not allowed to push" in house.ok("context", ref(1 + list(scripts).index("push_refused")))
