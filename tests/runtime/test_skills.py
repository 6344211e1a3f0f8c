"""The skills that kugetsu ships: well formed, true to the command line, and their calls work as they are written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kugetsu.cli import catalogue
from kugetsu.cli.catalogue import COMMANDS, groups
from kugetsu.host.paths import Paths
from kugetsu.model.errors import BadInput, KugetsuError, NotFound
from kugetsu.runtime import skills

SHIPPED = sorted(path.name for path in Path(skills.SHIPPED).iterdir())
TEXTS = {name: (Path(skills.SHIPPED) / name / "SKILL.md").read_text(encoding="utf-8") for name in SHIPPED}
#: What the specification allows at the top of a SKILL.md.
KEYS = {"name", "description", "license", "compatibility", "metadata", "allowed-tools"}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(str(tmp_path))


def test_the_four_are_there(paths: Paths) -> None:
    assert skills.names(paths) == SHIPPED == ["kugetsu-delegate", "kugetsu-pm", "kugetsu-research", "kugetsu-work"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_skill_keeps_the_specification(paths: Paths, name: str) -> None:
    skill = skills.find(paths, name)
    assert skill.name == name and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) and len(name) <= 64
    assert 50 < len(skill.description) <= 1024 and "Use it when" in skill.description
    front, body = skill.text.removeprefix("---\n").split("\n---\n", 1)
    found = {line.partition(":")[0]: line.partition(": ")[2] for line in front.splitlines()}
    assert {"name", "description", "license", "compatibility"} <= set(found) <= KEYS
    assert len(found["compatibility"]) <= 500
    # Plain YAML: a colon or a mark would make another value of it for a real parser.
    assert not any(": " in value or " #" in value or value[:1] in "'\"[{>|*&!%@`" for value in found.values())
    assert skill.body == body.lstrip("\n") and skill.body.startswith("# ") and len(body.splitlines()) < 500


@pytest.mark.parametrize("name", SHIPPED)
def test_a_skill_names_only_commands_that_there_are(name: str) -> None:
    code = "\n".join([*_blocks(name), *re.findall(r"`(kugetsu [^`]+)`", TEXTS[name])])
    found = re.findall(r"(?:^|HOST |\"|')kugetsu ((?:[a-z]+(?:-[a-z]+)* ?){1,2})", code, re.M)
    assert found or name == "kugetsu-research"
    for words in (line.split() for line in found):
        assert catalogue.find(words)[0] if words[0] in groups() else words[0] in COMMANDS, words


@pytest.mark.parametrize("name", SHIPPED)
def test_no_text_has_a_place_holder_or_a_path_of_a_machine(name: str) -> None:
    assert not re.search(r"\{(issue|worktree|repository|branch|base|pr|temp)\}|/home/|/tmp/", TEXTS[name])


class Forge(BaseHTTPRequestHandler):
    """Answers every call, and keeps it."""

    calls: list[dict[str, Any]] = []

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        Forge.calls.append({"do": f"{self.command} {self.path}", "body": body, "token": self.headers["Authorization"]})
        pulls = [
            {"number": 3, "html_url": "http://x/3", "head": {"ref": "other"}},
            {"number": 4, "html_url": "http://x/4", "head": {"ref": "fix/issue-14"}},
        ]
        content = json.dumps(pulls if self.path.endswith("state=open") else {}).encode()
        self.send_response(201 if self.command == "POST" else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = _answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Nothing to the terminal."""


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of an agent whose forge is a server of the test's."""
    Forge.calls = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Forge)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "KUGETSU_API": f"http://127.0.0.1:{server.server_address[1]}/api/v1/repos/o/r",
        "KUGETSU_NUMBER": "14",
        "KUGETSU_BRANCH": "fix/issue-14",
        "KUGETSU_BASE_BRANCH": "main",
        "KUGETSU_FINDINGS": str(tmp_path / "findings.md"),
        "KUGETSU_TEMP_DIR": str(tmp_path),
        "GITEA_TOKEN": "gitea-secret",
        "GITHUB_TOKEN": "github-secret",
        "NO_PROXY": "*",
    }
    server.shutdown()
    server.server_close()


def _blocks(name: str) -> list[str]:
    found = re.findall(r"^( *)```sh\n(.*?)^ *```$", TEXTS[name], re.M | re.S)
    return [re.sub(f"(?m)^{indent}", "", block) for indent, block in found]


@pytest.mark.parametrize(("at", "header"), [(0, "token gitea-secret"), (1, "Bearer github-secret")])
def test_the_calls_of_kugetsu_work_are_what_the_forges_take(
    forge: dict[str, str], tmp_path: Path, at: int, header: str
) -> None:
    functions, calls = _blocks("kugetsu-work")[at], _blocks("kugetsu-work")[2]
    text = 'It\'s "done" — with $HOME and\n`two` lines\n'
    (tmp_path / "text.md").write_text(text)
    values = {"N": "4", "ID": "9", "TEXT": str(tmp_path / "text.md"), "TITLE": "Mend a=b, and c"}
    script = "set -e\n" + functions + calls
    done = subprocess.run(["sh", "-c", script], env=forge | values, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "4 http://x/4" in done.stdout and "http://x/3" not in done.stdout.replace('"html_url": "http://x/3"', "")
    base = "/api/v1/repos/o/r"
    assert [call["do"] for call in Forge.calls] == [
        f"GET {base}/issues/14",
        f"GET {base}/issues/14/comments",
        f"GET {base}/pulls?state=open",
        f"GET {base}/pulls/4",
        f"GET {base}/issues/4/comments",
        f"GET {base}/pulls/4/reviews",
        f"GET {base}/pulls/4/reviews/9/comments",
        f"POST {base}/pulls",
        f"PATCH {base}/pulls/4",
        f"POST {base}/issues/4/comments",
        f"POST {base}/pulls/4/comments/9/replies",
    ]
    assert {call["token"] for call in Forge.calls} == {header}
    bodies = [call["body"] for call in Forge.calls if call["body"]]
    assert bodies[0] == {"title": "Mend a=b, and c", "head": "fix/issue-14", "base": "main", "body": text}
    assert bodies[1:] == [{"body": text}] * 3


def test_the_call_of_kugetsu_research_posts_the_findings(forge: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "findings.md").write_text('# Found\n\n"x"\n')
    [block] = _blocks("kugetsu-research")
    done = subprocess.run(["sh", "-ec", block], env=forge, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [call] = Forge.calls
    assert call["do"] == "POST /api/v1/repos/o/r/issues/14/comments" and call["token"] == "token gitea-secret"
    assert call["body"] == {"body": '# Found\n\n"x"\n'}


def test_the_order_of_overrides(paths: Paths, tmp_path: Path) -> None:
    for kind, file, name in (("dev", "workflow.md", "kugetsu-work"), ("pm", "pm-agent.md", "kugetsu-pm")):
        assert skills.instructions(paths, kind) == skills.find(paths, name).body
        own = tmp_path / "skills" / name / "SKILL.md"
        own.parent.mkdir(parents=True)
        own.write_text(f"---\nname: {name}\ndescription: 'it''s ours'\n---\n\nOurs.\n")
        assert skills.instructions(paths, kind) == "Ours.\n"
        assert skills.find(paths, name).description == "it's ours"
        (tmp_path / file).write_text("Mine.\n")
        assert skills.instructions(paths, kind) == "Mine.\n"
        assert skills.prompt_file(paths, kind) == str(tmp_path / file)


def test_a_prompt_that_an_earlier_init_wrote_is_nobodys_own(paths: Paths, tmp_path: Path) -> None:
    written = """# The PM agent

You coordinate work on issues and write no code yourself. Hand every piece of work on:

    kugetsu start HOST/OWNER/REPO#N "what is to be done"      a new task for an issue
    kugetsu continue HOST/OWNER/REPO#N "what is to be done"   more work in the session of an issue
    kugetsu status | queue list | history REF | why REF       what runs, what waits, what happened, what holds it

When a request is unclear, ask one short question first.
"""
    (tmp_path / "pm-agent.md").write_text(written)
    assert skills.instructions(paths, "pm") == skills.find(paths, "kugetsu-pm").body
    assert skills.prompt_file(paths, "pm") is None
    (tmp_path / "pm-agent.md").write_text(written + "Be kind.\n")
    assert skills.instructions(paths, "pm").endswith("Be kind.\n")


def test_what_cannot_be_read_is_named(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "workflow.md").write_bytes(b"caf\xe9")
    with pytest.raises(BadInput, match=r"workflow\.md: byte 3 is not UTF-8") as refused:
        skills.instructions(paths, "dev")
    assert refused.value.hint
    (tmp_path / "pm-agent.md").mkdir()
    with pytest.raises(KugetsuError, match=r"cannot read .*pm-agent\.md"):
        skills.instructions(paths, "pm")
    (tmp_path / "skills").write_text("no folder")
    with pytest.raises(KugetsuError, match="cannot read"):
        skills.find(paths, "kugetsu-research")
    (tmp_path / "workflow.md").unlink()
    (tmp_path / "workflow.md").symlink_to(tmp_path / "gone")
    with pytest.raises(KugetsuError, match="cannot read"):
        skills.instructions(paths, "dev")


def test_a_name_is_no_path(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "SKILL.md").write_text("---\nname: x\ndescription: d\n---\n")
    for name in ("..", ".", "", "a/b", "../skills/kugetsu-pm", "-", "a--b", "A"):
        with pytest.raises(NotFound):
            skills.find(paths, name)


@pytest.mark.parametrize(
    ("front", "description"),
    [
        ("description: plain words, one line", "plain words, one line"),
        ('description: "with: colon, \\"quoted\\""', 'with: colon, "quoted"'),
        ("description: >-\n  folded\n  lines", "folded lines"),
        ("description: begun\n  and gone on", "begun and gone on"),
        ("metadata:\n  name: inner\n  description: inner\ndescription: outer", "outer"),
        ("# description: a comment\ndescription: real", "real"),
    ],
)
def test_front_matter_as_people_write_it(front: str, description: str) -> None:
    fields, body = skills.parse(f"---\nname: a-b\n{front}\n---\n\nText\n---\nmore\n", "x")
    assert (fields["name"], fields["description"], body) == ("a-b", description, "Text\n---\nmore\n")
