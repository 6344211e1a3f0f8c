"""Private repositories: kugetsu's token serves git where the user's own ways do not, and goes nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import kugetsu
from kugetsu.model.errors import GitFailed
from kugetsu.runtime.git import repositories, transport
from runtime.repos import Place, place, run, sample
from runtime.servers import Authority, GitServer, authority, serving

__all__ = ["authority", "place", "sample"]

TOKEN = "0123456789abcdef0123456789abcdef01234567"


class Private:
    """A machine with a token, and a private server with the repository of `sample`."""

    def __init__(self, place: Place, server: GitServer) -> None:
        self.place = place
        self.server = server
        self.root = Path(place.paths.root)
        self.name = f"{server.host}/shoko/sample"
        self.settings(f"GIT_SERVERS={server.host}={server.url}\n")
        self.tokens(f"GITEA_TOKEN={TOKEN}\n")

    def settings(self, text: str) -> None:
        (self.root / "config").write_text(text)

    def tokens(self, text: str) -> None:
        path = Path(self.place.paths.env, "default.env")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)

    def clone(self) -> repositories.Repository:
        return repositories.resolve(self.name, self.place.paths, servers={self.server.host: self.server.url})


@pytest.fixture
def private(sample: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Private]:
    monkeypatch.setenv("KUGETSU_DIR", sample.paths.root)
    monkeypatch.setenv("PYTHONPATH", str(Path(kugetsu.__file__).parent.parent))
    for name in ("GIT_ASKPASS", "SSH_ASKPASS", "https_proxy", "http_proxy", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving(GitServer(sample.root / "srv", {("", TOKEN), ("me", "mine")})) as server:
        yield Private(sample, server)


def test_the_token_serves_clone_and_fetch(private: Private) -> None:
    cloned = private.clone()
    news = private.place.push_from_elsewhere()
    transport.git(["fetch", "-q", "origin"], cloned.path, timeout=60)
    assert run(Path(cloned.path), "rev-parse", "refs/remotes/origin/main") == news
    assert set(private.server.came) == {("x-access-token", TOKEN)}


def test_the_token_is_in_no_argument_url_environment_or_file(private: Private, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = private.place.root / "trace"
    monkeypatch.setenv("GIT_TRACE", str(trace))
    cloned = private.clone()
    assert private.server.came
    assert "__credential" in trace.read_text()
    kept = [path for path in private.place.root.rglob("*") if path.is_file() and path.name != "default.env"]
    assert not [path for path in kept if TOKEN.encode() in path.read_bytes()]
    assert TOKEN not in run(Path(cloned.path), "config", "--list")
    assert TOKEN not in str(os.environ)


def test_the_users_own_helper_is_asked_first_and_never_gets_the_token(private: Private) -> None:
    kept = private.place.root / "home" / ".git-credentials"
    run(private.place.root, "config", "--global", "credential.helper", "store")
    kept.write_text(f"http://me:mine@{private.server.host.replace(':', '%3a')}\n")
    private.clone()
    assert set(private.server.came) == {("me", "mine")}
    kept.write_text("")
    private.server.came.clear()
    transport.git(["ls-remote", f"{private.server.url}/shoko/sample"], timeout=60)
    assert set(private.server.came) == {("x-access-token", TOKEN)}
    assert TOKEN not in kept.read_text()


def test_a_helper_whose_credential_is_out_of_date_does_not_stop_the_token(private: Private) -> None:
    answers = "!f() { test $1 = get && echo username=me && echo password=old; }; f"
    run(private.place.root, "config", "--global", "credential.helper", answers)
    private.clone()
    assert private.server.came[0] == ("me", "old")
    assert private.server.came[-1] == ("x-access-token", TOKEN)


@pytest.mark.parametrize("how", ["variable", "setting"])
def test_the_users_askpass_program_answers(private: Private, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    program = private.place.root / "askpass"
    program.write_text('#!/bin/sh\ntest -z "$DISPLAY" || exit 1\ncase "$1" in User*) echo me;; *) echo mine;; esac\n')
    program.chmod(0o755)
    monkeypatch.setenv("DISPLAY", ":0")
    if how == "variable":
        monkeypatch.setenv("GIT_ASKPASS", str(program))
    else:
        run(private.place.root, "config", "--global", "core.askPass", str(program))
    private.tokens("")
    private.clone()
    assert set(private.server.came) == {("me", "mine")}


def test_without_a_token_the_failure_names_what_helps(private: Private) -> None:
    private.tokens("")
    with pytest.raises(GitFailed) as caught:
        private.clone()
    assert "kugetsu env set GITEA_TOKEN" in (caught.value.hint or "")
    assert private.server.came == []


def test_another_host_never_gets_the_token(private: Private) -> None:
    with serving(GitServer(private.place.root / "srv", {("", TOKEN)})) as other:
        private.server.redirect = other.url
        with pytest.raises(GitFailed):
            private.clone()
        with pytest.raises(GitFailed):
            transport.git(["ls-remote", f"{other.url}/shoko/sample"], timeout=60)
        assert other.came == []


@pytest.mark.parametrize(
    "key", ["http.sslVerify", "http.{}/.sslVerify", "http.proxy", "http.{}/.sslCAInfo", "remote.origin.proxy"]
)
def test_a_clone_that_chooses_its_own_way_to_the_server_gets_no_token(private: Private, key: str) -> None:
    cloned = private.clone()
    private.server.came.clear()
    key = key.format(private.server.url)
    # An empty value means the usual way, but for sslVerify, which plain http does not look at.
    run(Path(cloned.path), "config", key, "false" if "Verify" in key else "")
    with pytest.raises(GitFailed) as caught:
        transport.git(["fetch", "-q", "origin"], cloned.path, timeout=60)
    assert "the token is not sent" in caught.value.message and "--global" in (caught.value.hint or "")
    assert private.server.came == []


@pytest.mark.parametrize(
    ("request_text", "gets"),
    [
        ("protocol=https\nhost=git.test\n", True),
        ("protocol=https\nhost=GIT.test\npath=x\n", True),
        ("protocol=https\nhost=git.test:8443\n", False),
        ("protocol=https\nhost=evil.test\n", False),
        ("protocol=https\nhost=git-test\n", False),
        ("protocol=http\nhost=git.test\n", False),
        ("protocol=http\nhost=10.0.0.1:3000\n", False),
        ("protocol=http\nhost=127.0.0.1:3000\n", True),
        ("protocol=ssh\nhost=git.test\n", False),
        ("host=git.test\n", False),
        ("", False),
    ],
)
def test_only_a_named_host_over_a_connection_that_hides_it_gets_the_token(
    private: Private, request_text: str, gets: bool
) -> None:
    private.settings(
        "GIT_SERVERS=git.test=https://git.test box=http://10.0.0.1:3000 127.0.0.1:3000=http://127.0.0.1:3000\n"
    )
    answer = transport.credential(request_text, os.environ)
    assert (f"password={TOKEN}" in answer) == gets


def test_a_server_signed_by_its_own_authority_is_reached_with_its_file(
    sample: Place, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GIT_SSL_CAINFO", raising=False)
    monkeypatch.setenv("KUGETSU_DIR", sample.paths.root)
    monkeypatch.setenv("PYTHONPATH", str(Path(kugetsu.__file__).parent.parent))
    with serving(GitServer(sample.root / "srv", {("", TOKEN)}, authority.context)) as server:
        private = Private(sample, server)
        with pytest.raises(GitFailed) as caught:
            private.clone()
        assert "--ca FILE" in (caught.value.hint or "")
        private.settings(f"GIT_SERVERS={server.host}={server.url}\nGIT_SERVER_CA={server.host}={authority.pem}\n")
        assert private.clone().remote == "origin"
        assert set(server.came) == {("x-access-token", TOKEN)}
        monkeypatch.setenv("GIT_SSL_CAINFO", str(sample.root / "nothing.pem"))
        assert transport.git(["ls-remote", f"{server.url}/shoko/sample"], timeout=60)
