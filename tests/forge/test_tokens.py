"""Which forge a host is, and who gets a token: nobody whom the user did not mean."""

from __future__ import annotations

import copy
import pickle
import sys
from subprocess import run
from urllib.parse import urlsplit

import pytest

from forge.asking import TOKEN
from forge.scripted import ScriptedForge
from kugetsu.forge.choice import forge_of, parse_pull_url
from kugetsu.forge.client import Client
from kugetsu.forge.credentials import Credential, credential_of, variable_of
from kugetsu.forge.failures import ForgeBroken, ForgeNotFound, ForgeUnauthorised, NoForge
from kugetsu.forge.gitea import Gitea
from kugetsu.forge.github import GitHub
from kugetsu.forge.responses import Answer, redirected
from kugetsu.model.errors import BadInput

BOTH = {"GITEA_TOKEN": TOKEN, "GITHUB_TOKEN": TOKEN}
HOME = {"git.example.com": "https://git.example.com"}


def sent(host: str, environment: dict[str, str], servers: dict[str, str], default: str = "", base: str = "") -> str:
    """The token that a Gitea host gets."""
    base = base or servers.get(host, f"https://{host}")
    found = credential_of(host, "gitea", base, servers=servers, default_host=default, environment=environment)
    return found.reveal()


def api(host: str, servers: dict[str, str] | None = None, kinds: dict[str, str] | None = None) -> str:
    """The kind of forge and the URL of its API."""
    forge = forge_of(host, servers or {}, kinds or {}, {})
    assert isinstance(forge, Gitea | GitHub)
    return f"{type(forge).__name__} {forge._client.api}"


def test_api_lies_where_the_server_does() -> None:
    assert api("github.com") == "GitHub https://api.github.com"
    assert api("github.com", {"github.com": "ssh://git@github.com"}) == "GitHub https://api.github.com"
    assert api("git.example.com") == "Gitea https://git.example.com/api/v1"
    assert api("git.example.com", {"git.example.com": "https://git.example.com/forge/"}).endswith("/forge/api/v1")
    assert api("home", {"home": "http://10.0.0.5:3000"}) == "Gitea http://10.0.0.5:3000/api/v1"
    assert api("ghe.example.com", {}, {"ghe.example.com": "github"}) == "GitHub https://ghe.example.com/api/v3"
    assert api("work", {"work": "https://ghe.example.com"}, {"work": "github"}).startswith("GitHub https://ghe")
    assert api("codeberg.org", {}, {"codeberg.org": "forgejo"}) == "Gitea https://codeberg.org/api/v1"


@pytest.mark.parametrize("url", ["ssh://git@git.example.com", "git://git.example.com", "file:///srv/git", "/srv/git"])
def test_url_that_is_only_gits_falls_back_to_https(url: str) -> None:
    assert api("git.example.com", {"git.example.com": url}) == "Gitea https://git.example.com/api/v1"


def test_port_of_ssh_is_not_the_webs() -> None:
    assert api("home", {"home": "ssh://git@git.example.com:2222"}) == "Gitea https://git.example.com/api/v1"


def test_account_in_a_servers_url_is_left_out() -> None:
    assert api("home", {"home": "https://me:pw@git.example.com"}) == "Gitea https://git.example.com/api/v1"


def test_folder_of_this_machine_has_no_forge() -> None:
    with pytest.raises(NoForge) as caught:
        forge_of("local", {}, {}, {})
    assert not caught.value.passing


def test_kind_that_there_is_not_is_refused() -> None:
    with pytest.raises(BadInput, match="'gitlab' is not a kind"):
        forge_of("git.example.com", {}, {"git.example.com": "gitlab"}, {})


def test_only_hosts_that_the_user_named_get_the_gitea_token() -> None:
    assert sent("git.example.com", BOTH, HOME) == TOKEN
    assert sent("git.example.com", BOTH, {}, default="git.example.com") == TOKEN
    assert sent("git.example.com", BOTH, HOME | {"other": "https://other.org"}, default="home") == TOKEN
    assert sent("10.0.0.5:3000", BOTH, {"home": "http://10.0.0.5:3000"}, base="http://10.0.0.5:3000") == TOKEN
    assert sent("git.stranger.com", BOTH, HOME, default="github.com") == ""
    assert sent("git.example.com.stranger.com", BOTH, HOME) == ""
    assert sent("git.example.com:8443", BOTH, HOME) == ""


def test_github_token_goes_to_github_only() -> None:
    for host, base in (("github.com", "https://api.github.com"), ("ghe.example.com", "https://ghe.example.com")):
        found = credential_of(host, "github", base, servers={}, default_host="", environment=BOTH)
        assert (found.reveal(), found.variable) == (TOKEN, "GITHUB_TOKEN")
    assert sent("git.example.com", {"GITHUB_TOKEN": TOKEN}, HOME) == ""
    assert forge_of("github.com", {}, {}, {"GITEA_TOKEN": TOKEN}).access == "without a token"


def test_hosts_own_variable_wins() -> None:
    own = {**BOTH, "GITEA_TOKEN_GIT_EXAMPLE_COM": "own-token"}
    assert sent("git.example.com", own, HOME) == "own-token"
    assert sent("git.example.com", own, {}) == "own-token"
    assert sent("git.example.com", {**own, "GITEA_TOKEN_GIT_EXAMPLE_COM": ""}, HOME) == TOKEN
    github = {**BOTH, "GITHUB_TOKEN_GHE_EXAMPLE_COM": "own-token"}
    forge = forge_of("ghe.example.com", {}, {"ghe.example.com": "github"}, github)
    assert forge.access == "with GITHUB_TOKEN_GHE_EXAMPLE_COM"
    assert variable_of("GITEA_TOKEN", "localhost:3000") == "GITEA_TOKEN_LOCALHOST_3000"


def test_host_that_shares_a_variables_name_gets_nothing() -> None:
    own = {"GITEA_TOKEN_GIT_EXAMPLE_COM": "own-token"}
    assert sent("git-example.com", own, HOME) == ""
    assert sent("git-example.com", own, {}) == ""
    hyphen = {"git-example.com": "https://git-example.com"}
    assert sent("git-example.com", own, hyphen) == "own-token"
    assert sent("git.example.com", own, hyphen) == ""


def test_plain_http_gets_a_token_only_where_the_user_wrote_it() -> None:
    environment = {"GITEA_TOKEN_GIT_EXAMPLE_COM": TOKEN, **BOTH}
    plain = {"git.example.com": "http://git.example.com"}
    assert sent("git.example.com", environment, plain) == TOKEN
    assert sent("git.example.com", environment, {}, base="http://git.example.com") == ""
    assert sent("localhost", environment, {}, default="localhost", base="http://localhost") == TOKEN
    assert sent("127.0.0.1.nip.io", environment, {}, default="127.0.0.1.nip.io", base="http://127.0.0.1.nip.io") == ""


@pytest.mark.parametrize(
    ("url", "place", "followed"),
    [
        ("http://git.example.com/api/v1/x", "https://git.example.com/api/v1/x", True),
        ("https://git.example.com/api/v1/x", "https://git.example.com:443/y", True),
        ("https://git.example.com/api/v1/x", "http://git.example.com/y", False),
        ("http://git.example.com:3000/x", "https://git.example.com/y", False),
        ("https://git.example.com/x", "https://git.example.com.evil.org/y", False),
        ("https://git.example.com/x", "https://git.example.com@evil.org/y", False),
        ("https://git.example.com/x", "//evil.org/y", False),
        ("https://git.example.com/x", "\\\\evil.org/y", True),  # a path, and sent as one
    ],
)
def test_redirect_keeps_to_its_server(url: str, place: str, followed: bool) -> None:
    credential = Credential("GITEA_TOKEN", TOKEN)
    client = Client("https://git.example.com", host="git.example.com", credential=credential, scheme="x", headers={})
    answer = Answer(302, {"location": place}, b"")
    if followed:
        assert urlsplit(redirected(answer, client, "GET", url)).hostname == "git.example.com"
        return
    with pytest.raises(ForgeBroken):
        redirected(answer, client, "GET", url)


def test_foreign_host_is_asked_without_a_token_and_says_why(server: ScriptedForge) -> None:
    server.token = TOKEN
    server.issue("acme/web", 1)
    # A base URL that answers without https is one of GIT_SERVERS; here it stands under another host's name.
    forge = Gitea(
        f"{server.url}/api/v1",
        host="git.stranger.com",
        credential=credential_of(
            "git.stranger.com",
            "gitea",
            "https://git.stranger.com",
            servers=HOME,
            default_host="github.com",
            environment=BOTH,
        ),
    )
    assert forge.issue("acme", "web", 1).number == 1
    assert all("authorization" not in request.headers for request in server.requests)
    assert not forge.authenticated
    assert "neither in GIT_SERVERS nor the default server" in forge.access
    server.answer("GET", "/issues/1", status=401)
    with pytest.raises(ForgeUnauthorised, match="was not sent"):
        forge.issue("acme", "web", 1)
    with pytest.raises(ForgeNotFound) as caught:
        forge.issue("acme", "web", 2)
    assert "the token was not sent" in (caught.value.hint or "")
    forge.close()


def test_each_kind_gets_its_token_in_its_words(server: ScriptedForge) -> None:
    server.issue("acme/web", 1)
    servers = {server.host: server.url}
    forge_of(server.host, servers, {}, BOTH).issue("acme", "web", 1)
    forge_of(server.host, servers, {server.host: "github"}, BOTH).issue("acme", "web", 1)
    gitea, github = server.requests[0], server.requests[-1]
    assert gitea.headers["authorization"] == f"token {TOKEN}"
    assert github.headers["authorization"] == f"Bearer {TOKEN}"
    assert github.headers["x-github-api-version"] == "2022-11-28"
    assert github.headers["user-agent"].startswith("kugetsu/")
    assert all(TOKEN not in request.path + str(request.query) for request in server.requests)


def test_environment_of_the_process_is_not_read(server: ScriptedForge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITEA_TOKEN", TOKEN)
    server.issue("acme/web", 1)
    forge_of(server.host, {server.host: server.url}, {}, {}).issue("acme", "web", 1)
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize("value", ["two words here", "line\nbreak-0123456789", "pass\x00word-0123", "tökén-0123456789"])
def test_value_that_cannot_be_a_token_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(BadInput) as caught:
        forge_of("git.example.com", HOME, {}, {"GITEA_TOKEN": value})
    assert value not in str(caught.value) + repr(caught.value) + str(caught.value.hint)
    assert "GITEA_TOKEN" in caught.value.message


def test_token_is_in_no_text_of_what_holds_it() -> None:
    forge = forge_of("git.example.com", HOME, {}, BOTH)
    assert isinstance(forge, Gitea)
    for thing in (forge, forge._client, forge._client.credential, forge._client.call("x")):
        assert TOKEN not in repr(thing) + str(thing)
    with pytest.raises(TypeError):
        pickle.dumps(forge._client.credential)
    with pytest.raises(TypeError):
        copy.copy(forge._client.credential)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://github.com/Acme/Web/pull/15", ("github.com", "acme", "web", 15)),
        ("https://github.com/acme/web/pull/15/files#diff-1", ("github.com", "acme", "web", 15)),
        ("https://git.example.com/forge/acme/web/pulls/7?x=1", ("git.example.com", "acme", "web", 7)),
        (" http://localhost:3000/acme/web/pulls/7 ", ("localhost:3000", "acme", "web", 7)),
    ],
)
def test_pull_url_is_taken_apart(url: str, parts: tuple[str, str, str, int]) -> None:
    assert parse_pull_url(url, {"git.example.com": "https://git.example.com/forge"}) == parts


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/acme/web/issues/15",
        "https://github.com/acme/web",
        "https://github.com/acme/web/pull/x",
        "https://github.com/acme/web/pull/",
        "https://github.com/pull/15",
        "ssh://github.com/acme/web/pull/15",
        "https://gitlab.com/acme/web/-/merge_requests/1",
        "acme/web#15",
        "github.com/acme/web#15",
        "#15",
        "",
        "https://",
    ],
)
def test_text_that_is_no_pull_url_is_refused(url: str) -> None:
    with pytest.raises(BadInput):
        parse_pull_url(url, {})


def test_choosing_a_forge_loads_no_http_library() -> None:
    program = (
        "import sys; from kugetsu.forge import choice, failures, protocol; "
        "assert 'urllib3' not in sys.modules; choice.forge_of('github.com', {}, {}, {}); "
        "assert 'urllib3' not in sys.modules"
    )
    assert run([sys.executable, "-c", program], check=False).returncode == 0
