"""A push that a server refused is recognised by the words of each server, and only then."""

from __future__ import annotations

import pytest

from kugetsu.agents.commands import Command
from kugetsu.runtime.git.refused_push import MOST, find

FAILED = "error: failed to push some refs to 'https://git.example.org/shoko/sample.git'\n"
TO = "To https://git.example.org/shoko/sample.git\n"
OBJECTS = "Enumerating objects: 4, done.\nWriting objects: 100% (3/3), 283 bytes | 283.00 KiB/s, done.\n"


def hook(*said: str, reason: str = "pre-receive hook declined", branch: str = "main") -> str:
    """What git prints of a push that a hook of the server declined."""
    told = "".join(f"remote: {line}        \n" for line in said)
    return f"{OBJECTS}{told}{TO} ! [remote rejected] {branch} -> {branch} ({reason})\n{FAILED}"


REFUSALS = {
    # GitHub
    "github protected": (
        "protected_branch",
        hook(
            "error: GH006: Protected branch update failed for refs/heads/main.",
            "",
            "- Changes must be made through a pull request.",
            reason="protected branch hook declined",
        ),
    ),
    "github ruleset": (
        "protected_branch",
        hook(
            "error: GH013: Repository rule violations found for refs/heads/main.",
            "- Changes must be made through a pull request.",
            reason="push declined due to repository rule violations",
        ),
    ),
    "github secret": (
        "hook",
        hook(
            "error: GH013: Repository rule violations found for refs/heads/fix/issue-1.",
            "- GITHUB PUSH PROTECTION",
            "  - Push cannot contain secrets",
            reason="push declined due to repository rule violations",
        ),
    ),
    "github large": (
        "too_large",
        hook(
            "error: GH001: Large files detected. You may want to try Git Large File Storage.",
            "error: File big is 120.00 MB; this exceeds GitHub's file size limit of 100.00 MB",
        ),
    ),
    "github right, https": (
        "no_right",
        "remote: Permission to shoko/sample.git denied to nanako.\nfatal: unable to access "
        "'https://github.com/shoko/sample.git/': The requested URL returned error: 403\n",
    ),
    "github right, ssh": (
        "no_right",
        "ERROR: Permission to shoko/sample.git denied to nanako.\nfatal: Could not read from remote repository.\n\n"
        "Please make sure you have the correct access rights\nand the repository exists.\n",
    ),
    "github read-only key": (
        "no_right",
        "ERROR: The key you are authenticating with has been marked as read only.\n"
        "fatal: Could not read from remote repository.\n",
    ),
    "github workflow": (
        "no_right",
        hook(
            reason="refusing to allow an OAuth App to create or update workflow `.github/workflows/ci.yml`"
            " without `workflow` scope"
        ),
    ),
    # Gitea and Forgejo
    "gitea protected": ("protected_branch", hook("Gitea: Not allowed to push to protected branch main")),
    "forgejo force": ("protected_branch", hook("Forgejo: Not allowed to force-push to protected branch main")),
    "forgejo right, ssh": (
        "no_right",
        "Forgejo: User: 2:nanako with Key: 1:laptop is not authorized to write to shoko/sample.\n"
        "fatal: Could not read from remote repository.\n",
    ),
    "forgejo quota": ("too_large", hook("Forgejo: Quota exceeded")),
    "gitea behind a proxy": (
        "too_large",
        "error: RPC failed; HTTP 413 curl 22 The requested URL returned error: 413\n"
        "fatal: the remote end hung up unexpectedly\nEverything up-to-date\n",
    ),
    # GitLab
    "gitlab protected": (
        "protected_branch",
        hook("GitLab: You are not allowed to push code to protected branches on this project."),
    ),
    "gitlab right": (
        "no_right",
        "remote: You are not allowed to push code to this project.\nfatal: unable to access "
        "'https://gitlab.example.org/shoko/sample.git/': The requested URL returned error: 403\n",
    ),
    "gitlab large": ("too_large", hook('GitLab: File "big" is larger than the allowed size of 100 MB.')),
    "gitlab rule": ("hook", hook("GitLab: Commit message does not follow the pattern '^[A-Z]'")),
    # git alone
    "behind": ("non_fast_forward", f"{TO} ! [rejected]        main -> main (fetch first)\n{FAILED}hint: Look\n"),
    "behind, in German": (
        "non_fast_forward",
        f"{TO} ! [zurückgewiesen] main -> main (non-fast-forward)\nerror: Fehler beim Versenden einiger Referenzen\n",
    ),
    "behind, porcelain": ("non_fast_forward", f"{TO}!\trefs/heads/x:refs/heads/x\t[rejected] (fetch first)\nDone\n"),
    "lease": ("non_fast_forward", f"{TO} ! [rejected] main -> main (stale info)\n{FAILED}"),
    "checked out": ("protected_branch", hook(reason="branch is currently checked out")),
    "update hook": ("hook", hook("no commits on Sunday", reason="hook declined")),
    "no permission on disk": (
        "no_right",
        hook(
            "error: insufficient permission for adding an object to repository database ./objects",
            reason="unpacker error",
        ),
    ),
    "no key": (
        "no_right",
        "git@example.org: Permission denied (publickey).\nfatal: Could not read from remote repository.\n",
    ),
    "no token": (
        "no_right",
        "fatal: could not read Username for 'https://git.example.org': terminal prompts disabled\n",
    ),
    "not known": ("other", hook(reason="shallow update not allowed")),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_known_by_the_servers_words_and_keeps_them(name: str) -> None:
    code, output = REFUSALS[name]
    found = find([Command("git push origin HEAD", 1, output)])
    assert found is not None and found["code"] == code
    told = [
        line for line in output.split("\n") if "! [" in line or line.startswith(("remote: ", "ERROR", "fatal: unable"))
    ]
    for line in told:
        assert line.removesuffix("        ").strip() in found["words"]
    assert "Writing objects" not in found["words"]


TROUBLE = {
    "forge's 5xx": "fatal: unable to access 'https://x/': The requested URL returned error: 503\n",
    "github's 5xx": f"{TO} ! [remote rejected] main -> main (Internal Server Error)\n{FAILED}",
    "network": "ssh: connect to host x port 22: Connection refused\nfatal: Could not read from remote repository.\n",
    "name": "fatal: unable to access 'https://x/': Could not resolve host: x\n",
    "another pushes": f"{TO} ! [remote rejected] main -> main (cannot lock ref 'refs/heads/main': is at 1)\n{FAILED}",
    "no such branch": "error: src refspec main does not match any\n" + FAILED,
    "hook of the user's own": "tests fail\n" + FAILED,
}


@pytest.mark.parametrize("name", TROUBLE)
def test_trouble_of_a_server_or_the_network_is_no_refusal(name: str) -> None:
    assert find([Command("git push", 1, TROUBLE[name])]) is None


BAD = Command("git push origin HEAD", 1, REFUSALS["gitea protected"][1])
WENT = {
    "new branch": Command("git push -u origin fix/x 2>&1", 0, f"{TO} * [new branch]      fix/x -> fix/x\n"),
    "more commits": Command("git push", 0, f"{OBJECTS}{TO}   1f5eca7..e02e4e4  fix/x -> fix/x\n"),
    "forced": Command("git push -f", 0, f"{TO} + 1f5eca7...e02e4e4 fix/x -> fix/x (forced update)\n"),
    "porcelain": Command("git push --porcelain", 0, f"{TO}*\trefs/heads/x:refs/heads/x\t[new branch]\nDone\n"),
    "porcelain, more": Command("git push --porcelain", 0, f"{TO} \tx:x\t1f5eca7..e02e4e4\nDone\n"),
    "up to date": Command("git push", 0, "Everything up-to-date\n"),
    "quiet": Command("git -C /x -c a.b=c push -q", 0, ""),
    "in one line": Command("git push; git push origin HEAD:fix/x", 0, BAD.output + f"{TO} * [new branch] x -> x\n"),
}


@pytest.mark.parametrize("name", WENT)
def test_a_later_push_that_went_through_ends_the_refusal(name: str) -> None:
    assert find([BAD, WENT[name]]) is None
    last = find([WENT[name], BAD])
    assert last is not None and last["code"] == "protected_branch"


OTHERS = {
    "nothing pushed": Command("git stash push -q", 0, ""),
    "a word in a message": Command("git commit -m 'Do not push'", 0, ""),
    "a trial": Command("git push --dry-run", 0, f"{TO} * [new branch] x -> x\n"),
    "a tag": Command("git push origin v1", 0, f"{TO} * [new tag] v1 -> v1\n"),
    "failed again without a word": Command("git push -q 2>/dev/null", 1, ""),
    "failed again for another reason": Command("git push", 128, TROUBLE["forge's 5xx"]),
    "a fetch": Command("git push || git pull", 0, BAD.output + "From x\n   1f5eca7..e02e4e4  main -> origin/main\n"),
    "a commit": Command("git commit -m x; git push -q", 1, f"{TO}[fix/x 1f5eca7] a -> b\n"),
    "reading": Command("cat log", 0, f"{TO} * [new branch] x -> x\n"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_push_that_went_through_changes_nothing(name: str) -> None:
    assert find([BAD, OTHERS[name]]) == find([BAD]) is not None


def test_only_the_output_of_a_push_counts() -> None:
    assert find([Command("cat old.log", 0, BAD.output)]) is None
    assert find([Command("git log", 0, BAD.output)]) is None


def test_an_exit_code_of_a_pipe_hides_no_refusal() -> None:
    found = find([Command("git push 2>&1 | tail -5", 0, BAD.output)])
    assert found is not None and found["code"] == "protected_branch"


def test_of_a_program_without_records_all_that_it_printed_counts() -> None:
    found = find([Command("", 1, "working\n" + BAD.output)])
    assert found is not None and found["code"] == "protected_branch"
    assert "working" not in found["words"]
    assert find([Command("", 0, BAD.output + WENT["new branch"].output)]) is None
    assert find([Command("", 0, "done\n")]) is None


def test_the_words_are_bounded_and_hold_no_secret() -> None:
    told = [f"line {number} is long enough to matter" for number in range(500)]
    found = find([Command("git push", 1, hook("token=ghp_0123456789abcdefghijABCDEFGHIJ012345", *told))])
    assert found is not None
    assert len(found["words"]) == MOST
    assert "ghp_" not in found["words"]
