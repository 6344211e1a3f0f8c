"""kugetsu's own requests leave by the proxies of the environment, and trust the CA that is named for a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kugetsu.forge.choice import forge_of
from kugetsu.forge.client import Limits
from kugetsu.forge.failures import ForgeFailure
from kugetsu.host.proxies import Network, proxy_for
from kugetsu.model.errors import BadInput
from runtime.servers import Authority, GitServer, Proxy, authority, serving

__all__ = ["authority"]

TOKEN = "0123456789abcdef0123456789abcdef01234567"
PASSWORD = "hunter2-secret"
ONCE = Limits(connect=10, read=10, deadline=60, backoff=0.01)


class Forge(GitServer):
    """Answers every request that is not git's."""

    def __init__(self, root: Path, authority: Authority | None = None) -> None:
        super().__init__(root, {("", "")}, authority.context if authority is not None else None)

    def answer(self, request, root, logins):  # type: ignore[no-untyped-def]
        self.came.append((request.headers.get("Host", ""), request.headers.get("Authorization", "")))
        request.rfile.read(int(request.headers.get("Content-Length") or 0))
        request.reply(200, {"Content-Type": "application/json"}, b'{"login": "shoko"}')


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    with serving(Forge(tmp_path)) as server:
        yield server


def whoami(base: str, environment: dict[str, str], ca: str = "") -> str | None:
    asked = forge_of(
        "git.test",
        {"git.test": base},
        {},
        {"GITEA_TOKEN": TOKEN},
        limits=ONCE,
        network=Network(environment, ca),
    )
    try:
        return asked.whoami()
    finally:
        asked.close()


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_a_forge_is_asked_by_the_proxy(forge: Forge, name: str) -> None:
    with serving(Proxy(forge.port)) as proxy:
        assert whoami("http://git.test", {name: proxy.url}) == "shoko"
        assert proxy.asked == ["GET http://git.test/api/v1/user"]
    assert forge.came == [("git.test", f"token {TOKEN}")]


def test_https_goes_through_a_tunnel_and_the_proxy_never_sees_the_token(tmp_path: Path, authority: Authority) -> None:
    with serving(Forge(tmp_path, authority)) as server, serving(Proxy(server.port, f"shoko:{PASSWORD}")) as proxy:
        environment = {"HTTPS_PROXY": f"http://shoko:{PASSWORD}@127.0.0.1:{proxy.port}"}
        assert whoami("https://git.test", environment, str(authority.pem)) == "shoko"
        assert proxy.asked == ["CONNECT git.test:443"]
        assert server.came == [("git.test", f"token {TOKEN}")]
        with pytest.raises(ForgeFailure) as caught:
            whoami("https://git.test", environment)
        assert "--ca FILE" in (caught.value.hint or "")


def test_a_proxy_that_refuses_is_told_without_its_login(forge: Forge) -> None:
    with serving(Proxy(forge.port, "shoko:other")) as proxy:
        url = f"http://shoko:{PASSWORD}@127.0.0.1:{proxy.port}"
        with pytest.raises(ForgeFailure) as caught:
            whoami("https://git.test", {"HTTPS_PROXY": url})
    assert "proxy" in caught.value.message and "407" in caught.value.message
    assert "NO_PROXY" in (caught.value.hint or "")
    assert PASSWORD not in f"{caught.value!r} {caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("value", ["socks5://h:1080", f"ftp://me:{PASSWORD}@h", "http://"])
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(value: str) -> None:
    with pytest.raises(BadInput, match="HTTPS_PROXY is not an http or https proxy") as caught:
        Network({"HTTPS_PROXY": value}).pool("https://git.test")
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "without", "used"),
    [
        ("https://git.test/x", "", True),
        ("https://git.test", "git.test", False),
        ("https://git.test", ".test", False),
        ("https://git.test", "test", False),
        ("https://git.test", "other.test, git.test", False),
        ("https://git.test", "it.test", True),
        ("https://git.test", "*", False),
        ("https://git.test:8443", "git.test:8443", False),
        ("https://git.test:8443", "git.test:443", True),
        ("https://git.test", "git.test:443", False),
        ("https://10.1.2.3", "10.0.0.0/8", False),
        ("https://11.1.2.3", "10.0.0.0/8", True),
        ("https://[2001:db8::1]", "2001:db8::1", False),
        ("https://localhost:3000", "", False),
        ("https://127.0.0.1:3000", "", False),
        ("https://[::1]:3000", "", False),
        ("ssh://git.test", "", False),
    ],
)
def test_no_proxy_names_what_is_reached_without(url: str, without: str, used: bool) -> None:
    environment = {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": without}
    assert (proxy_for(url, environment) is not None) == used


def test_small_letters_win_and_an_empty_value_is_none() -> None:
    environment = {"https_proxy": "", "HTTPS_PROXY": "http://proxy:3128"}
    assert proxy_for("https://git.test", environment) is None
    assert proxy_for("http://git.test", {"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}) is None


def test_a_file_without_a_certificate_is_refused_with_a_remedy(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    for text in (None, "nothing"):
        if text is not None:
            bad.write_text(text)
        with pytest.raises(BadInput, match=r"bad\.pem cannot be used") as caught:
            Network({}, str(bad)).pool("https://git.test")
        assert "--ca FILE" in (caught.value.hint or "")
