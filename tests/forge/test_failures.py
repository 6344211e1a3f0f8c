"""Every way in which a forge fails, over a real socket: what is said, what is repeated, what is not."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from forge.asking import TOKEN, Asking
from forge.scripted import ScriptedForge
from kugetsu.forge.choice import forge_of
from kugetsu.forge.client import Limits
from kugetsu.forge.failures import (
    ForgeBroken,
    ForgeFailure,
    ForgeForbidden,
    ForgeLimited,
    ForgeNotFound,
    ForgeOversized,
    ForgeRefused,
    ForgeUnauthorised,
    ForgeUnreachable,
)
from kugetsu.forge.protocol import Forge
from kugetsu.model import clock
from kugetsu.model.errors import BadInput

SHORT = Limits(connect=5, read=0.2, deadline=20, backoff=0.01)
HTML = "<!DOCTYPE html><title>Log in</title>"


def failure_of(call: Callable[[], object]) -> ForgeFailure:
    with pytest.raises(ForgeFailure) as caught:
        call()
    error = caught.value
    for text in (str(error), repr(error), error.message, error.hint or "", repr(error.args)):
        assert TOKEN not in text
    assert "\n" not in error.message
    return error


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_server_that_never_answers_is_given_up_on(server: ScriptedForge, asking: Asking, kind: str) -> None:
    server.answer("GET", "/issues/1", silent=True)
    error = failure_of(lambda: asking(kind, limits=SHORT).issue("acme", "web", 1))
    assert isinstance(error, ForgeUnreachable)
    assert error.passing
    assert "no answer within 0.2 s" in error.message
    assert len(server.requests) == 1


def test_server_that_never_answers_a_comment_leaves_it_uncertain(server: ScriptedForge, asking: Asking) -> None:
    server.answer("POST", "/comments", silent=True)
    error = failure_of(lambda: asking(limits=SHORT).comment("acme", "web", 1, "x"))
    assert isinstance(error, ForgeUnreachable)
    assert error.uncertain
    assert "look before" in (error.hint or "")
    assert len(server.requests) == 1


def test_deadline_shortens_the_wait_for_an_answer(server: ScriptedForge, asking: Asking) -> None:
    server.answer("GET", "/issues/1", silent=True)
    error = failure_of(lambda: asking(limits=Limits(read=30, deadline=0.3)).issue("acme", "web", 1))
    assert isinstance(error, ForgeUnreachable)
    assert "within 30 s" not in error.message


def test_body_that_trickles_in_ends_at_the_deadline() -> None:
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def trickle() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                while not stop.wait(0.02):
                    connection.sendall(b" ")

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            host = f"127.0.0.1:{listener.getsockname()[1]}"
            forge = forge_of(host, {host: f"http://{host}"}, {}, {}, limits=Limits(deadline=0.3))
            error = failure_of(lambda: forge.issue("a", "b", 1))
        finally:
            stop.set()
            thread.join()
    assert isinstance(error, ForgeUnreachable)
    assert "over 0.3 s" in error.message


def test_refused_connection_says_so() -> None:
    host = f"127.0.0.1:{free_port()}"
    forge = forge_of(host, {host: f"http://{host}"}, {}, {"GITEA_TOKEN": TOKEN})
    error = failure_of(lambda: forge.comment("a", "b", 1, "x"))
    assert isinstance(error, ForgeUnreachable)
    assert error.message == f"{host} does not answer: connection refused"
    assert error.passing
    assert not error.uncertain


def test_unknown_name_says_so() -> None:
    error = failure_of(lambda: forge_of("git.nowhere.invalid", {}, {}, {}).issue("a", "b", 1))
    assert isinstance(error, ForgeUnreachable)
    assert "git.nowhere.invalid is not known" in error.message


def test_cut_connection_is_tried_again_for_a_read(server: ScriptedForge, forge: Forge) -> None:
    server.issue("acme/web", 1, title="there")
    server.answer("GET", "/issues/1", cut=True, times=2)
    assert forge.issue("acme", "web", 1).title == "there"
    assert len(server.asked("GET", "/issues/1")) == 3


def test_connection_that_stays_cut_is_given_up_on(server: ScriptedForge, forge: Forge) -> None:
    server.answer("GET", "/issues/1", cut=True, times=0)
    error = failure_of(lambda: forge.issue("acme", "web", 1))
    assert isinstance(error, ForgeUnreachable)
    assert "cut the connection" in error.message
    assert not error.uncertain
    assert len(server.requests) == 3


def test_comment_is_not_sent_again_when_its_answer_is_lost(server: ScriptedForge, forge: Forge) -> None:
    server.issue("acme/web", 1)
    server.answer("POST", "/comments", carry_out=True, cut=True)
    error = failure_of(lambda: forge.comment("acme", "web", 1, "once"))
    assert isinstance(error, ForgeUnreachable)
    assert error.uncertain
    assert server.posted("acme/web", 1) == ["once"]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_comment_is_not_sent_again_after_a_5xx(server: ScriptedForge, forge: Forge, status: int) -> None:
    server.issue("acme/web", 1)
    server.answer("POST", "/comments", status=status, body=HTML, content="text/html", carry_out=True)
    error = failure_of(lambda: forge.comment("acme", "web", 1, "once"))
    assert isinstance(error, ForgeBroken)
    assert (error.passing, error.uncertain) == (True, True)
    assert server.posted("acme/web", 1) == ["once"]
    assert len(server.requests) == 1


def test_half_an_answer_is_a_cut_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def half() -> None:
            for _ in range(3):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"number":')

        thread = threading.Thread(target=half)
        thread.start()
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        forge = forge_of(host, {host: f"http://{host}"}, {}, {}, limits=Limits(backoff=0.01))
        error = failure_of(lambda: forge.issue("a", "b", 1))
        thread.join()
    assert isinstance(error, ForgeUnreachable)
    assert "cut the connection" in error.message


def test_500_then_200_is_a_success(server: ScriptedForge, forge: Forge) -> None:
    server.issue("acme/web", 1, title="there")
    server.answer("GET", "/issues/1", status=500, body={"message": "database is locked"})
    assert forge.issue("acme", "web", 1).title == "there"


def test_500_for_ever_is_tried_three_times(server: ScriptedForge, forge: Forge) -> None:
    server.answer("GET", "/issues/1", status=500, body={"message": "database is locked"}, times=0)
    error = failure_of(lambda: forge.issue("acme", "web", 1))
    assert isinstance(error, ForgeBroken)
    assert error.passing
    assert "(500): database is locked" in error.message
    assert len(server.requests) == 3


def test_repetitions_stay_within_the_deadline(server: ScriptedForge, asking: Asking) -> None:
    server.answer("GET", "/issues/1", status=503, times=0)
    failure_of(lambda: asking(limits=Limits(deadline=10, backoff=60)).issue("acme", "web", 1))
    assert len(server.requests) == 1


def test_503_that_names_a_time_passes_it_on(server: ScriptedForge, asking: Asking) -> None:
    server.answer("GET", "/issues/1", status=503, headers={"Retry-After": "120"}, times=0)
    error = failure_of(lambda: asking().issue("acme", "web", 1))
    assert 60 < clock.seconds_between(clock.now(), error.retry_at or "") <= 121


def test_401_names_the_variable_whose_token_is_refused(server: ScriptedForge, forge: Forge, kind: str) -> None:
    server.token = "another"
    error = failure_of(lambda: forge.issue("acme", "web", 1))
    variable = "GITEA_TOKEN" if kind == "gitea" else "GITHUB_TOKEN"
    assert isinstance(error, ForgeUnauthorised)
    assert not error.passing
    assert error.message == f"{server.host} does not take the token in {variable}"
    assert "env/default.env" in (error.hint or "")
    failure_of(forge.whoami)


def test_401_without_a_token_says_where_to_put_one(server: ScriptedForge, asking: Asking) -> None:
    server.answer("POST", "/comments", status=401, body={"message": "token is required"})
    error = failure_of(lambda: asking(token="").comment("acme", "web", 1, "x"))
    assert isinstance(error, ForgeUnauthorised)
    assert "GITEA_TOKEN=… into env/default.env" in (error.hint or "")


def test_403_is_forbidden_with_the_servers_reason(server: ScriptedForge, forge: Forge) -> None:
    body = {"message": "token does not have at least one of required scope(s): [write:issue]"}
    server.answer("POST", "/comments", status=403, body=body, headers={"x-ratelimit-remaining": "4999"})
    error = failure_of(lambda: forge.comment("acme", "web", 1, "x"))
    assert isinstance(error, ForgeForbidden)
    assert not error.passing
    assert "write:issue" in error.message


@pytest.mark.parametrize("headers", [{"x-ratelimit-remaining": "0", "x-ratelimit-reset": "{reset}"}, {}])
def test_githubs_403_of_a_rate_limit_is_one(server: ScriptedForge, asking: Asking, headers: dict[str, str]) -> None:
    reset = int(time.time()) + 1000
    filled = {name: value.format(reset=reset) for name, value in headers.items()}
    message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    server.answer("GET", "/issues/1", status=403, headers=filled, body={"message": message})
    error = failure_of(lambda: asking("github").issue("acme", "web", 1))
    assert isinstance(error, ForgeLimited)
    assert error.passing
    if headers:
        assert error.retry_at == clock.from_epoch(reset + 1)[:19] + "Z"
    else:
        assert 30 < clock.seconds_between(clock.now(), error.retry_at or "") <= 61
    assert error.retry_at in error.message


def test_404_says_that_a_private_repository_looks_the_same(server: ScriptedForge, asking: Asking, kind: str) -> None:
    server.issue("acme/web", 1)
    server.private.add("acme/web")
    error = failure_of(lambda: asking(kind, token="").issue("acme", "web", 1))
    assert isinstance(error, ForgeNotFound)
    assert (error.exit_code, error.passing) == (4, False)
    assert error.message == f"{server.host} has no issue acme/web#1"
    assert "private repository looks the same" in (error.hint or "")
    assert asking(kind).issue("acme", "web", 1).number == 1


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_429_says_until_when(server: ScriptedForge, forge: Forge, form: str) -> None:
    at = int(time.time()) + 600
    value = "600" if form == "seconds" else formatdate(at, usegmt=True)
    server.answer("GET", "/issues/1", status=429, headers={"Retry-After": value})
    error = failure_of(lambda: forge.issue("acme", "web", 1))
    assert isinstance(error, ForgeLimited)
    assert abs(clock.seconds_between(clock.from_epoch(at), error.retry_at or "")) < 60
    assert len(server.requests) == 1


@pytest.mark.parametrize("value", ["soon", "-5", "", "99999999999999999999", "Mon, 99 Foo 2026 99:99:99 GMT"])
def test_429_with_a_senseless_time_is_still_one(server: ScriptedForge, forge: Forge, value: str) -> None:
    server.answer("GET", "/issues/1", status=429, headers={"Retry-After": value, "x-ratelimit-reset": "x"})
    error = failure_of(lambda: forge.issue("acme", "web", 1))
    assert isinstance(error, ForgeLimited)
    assert 0 < clock.seconds_between(clock.now(), error.retry_at or "") <= 86_401


def test_short_429_is_waited_out_once_also_for_a_comment(server: ScriptedForge, forge: Forge) -> None:
    server.issue("acme/web", 1)
    server.answer("POST", "/comments", status=429, headers={"Retry-After": "0"})
    forge.comment("acme", "web", 1, "once")
    assert server.posted("acme/web", 1) == ["once"]
    server.answer("POST", "/comments", status=429, headers={"Retry-After": "0"}, times=2)
    assert isinstance(failure_of(lambda: forge.comment("acme", "web", 1, "twice")), ForgeLimited)
    assert server.posted("acme/web", 1) == ["once"]


def test_422_is_refused_with_its_reason_cut_and_cleaned(server: ScriptedForge, forge: Forge) -> None:
    body = {
        "message": f"Validation\n\x1b[31mFailed for {TOKEN} " + "x" * 5000,
        "errors": [{"resource": "IssueComment", "code": "unprocessable", "field": "body"}],
    }
    server.answer("POST", "/comments", status=422, body=body)
    error = failure_of(lambda: forge.comment("acme", "web", 1, "x"))
    assert isinstance(error, ForgeRefused)
    assert not error.passing
    assert "Validation [31mFailed for [redacted]" in error.message
    assert "\x1b" not in error.message
    assert len(error.message) < 500


def test_githubs_list_of_errors_is_shown(server: ScriptedForge, asking: Asking) -> None:
    errors = [{"resource": "Label", "code": "invalid", "field": "color"}]
    server.answer("POST", "/comments", status=422, body={"message": "Validation Failed", "errors": errors})
    error = failure_of(lambda: asking("github").comment("acme", "web", 1, "x"))
    assert error.message.endswith("Validation Failed; Label color invalid")


def test_web_page_instead_of_json_is_named(server: ScriptedForge, forge: Forge) -> None:
    server.answer("GET", "/issues/1", body=HTML, content="text/html; charset=utf-8")
    error = failure_of(lambda: forge.issue("acme", "web", 1))
    assert isinstance(error, ForgeBroken)
    assert "a web page instead of JSON" in error.message
    assert "GIT_SERVERS" in (error.hint or "")


@pytest.mark.parametrize("body", ["", "nonsense", '{"number": 1', b"\xff\xfe"])
def test_other_text_instead_of_json_is_named(server: ScriptedForge, forge: Forge, body: str | bytes) -> None:
    server.answer("GET", "/issues/1", body=body)
    error = failure_of(lambda: forge.issue("acme", "web", 1))
    assert isinstance(error, ForgeBroken)
    assert "instead of JSON" in error.message


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"state": "open", "number": 1}, "lacks title"),
        ({"state": "open", "title": 7, "number": 1}, "has a title that is not a text"),
        ({"state": "open", "title": "t", "number": "1"}, "has a number that is not a whole number"),
        ([], "is not an object"),
        ('"text"', "is not an object"),
        (None, "is not an object"),
    ],
)
def test_missing_field_is_named(server: ScriptedForge, asking: Asking, body: object, fault: str) -> None:
    server.issue("acme/web", 1)
    server.answer("GET", "/issues/1", body=body)
    error = failure_of(lambda: asking("gitea").issue("acme", "web", 1))
    assert isinstance(error, ForgeBroken)
    assert error.message == f"the answer to GET {server.host}/repos/acme/web/issues/1 {fault}"


def test_missing_field_within_a_list_is_named_with_its_place(server: ScriptedForge, forge: Forge) -> None:
    server.answer("GET", "/reviews", body=[None, {"id": 1, "state": "APPROVED", "user": {"login": 3}}])
    assert "user.login" in failure_of(lambda: forge.reviews("acme", "web", 1)).message


def test_unreadable_answer_to_a_comment_is_uncertain(server: ScriptedForge, forge: Forge) -> None:
    server.issue("acme/web", 1)
    for body in ("{", {"id": 1}):
        server.answer("POST", "/comments", status=201, body=body, carry_out=True)
        assert failure_of(lambda: forge.comment("acme", "web", 1, "x")).uncertain


def test_oversized_answer_is_not_read_to_its_end(server: ScriptedForge, asking: Asking) -> None:
    server.answer("GET", "/issues/1", body={"title": "x" * 200_000})
    error = failure_of(lambda: asking(limits=Limits(answer=100_000)).issue("acme", "web", 1))
    assert isinstance(error, ForgeOversized)
    assert "over 100000 bytes" in error.message


def test_packed_answer_that_is_broken_is_named(server: ScriptedForge, forge: Forge) -> None:
    server.answer("GET", "/issues/1", body=b"not gzip", headers={"Content-Encoding": "gzip"})
    assert "cannot be unpacked" in failure_of(lambda: forge.issue("acme", "web", 1)).message


def test_redirect_within_the_server_is_followed(server: ScriptedForge, forge: Forge, kind: str) -> None:
    # GitHub answers so for a repository that was renamed.
    server.issue("acme/new", 1, title="moved")
    prefix = "/api/v1" if kind == "gitea" else "/api/v3"
    server.answer("GET", "/old/issues/1", status=301, headers={"Location": f"{prefix}/repos/acme/new/issues/1"})
    server.answer("GET", "/old/issues/1/comments", status=301, headers={"Location": "../../../new/issues/1/comments"})
    assert forge.issue("acme", "old", 1).title == "moved"
    assert TOKEN in server.requests[1].headers["authorization"]


def test_redirected_comment_is_posted_once(server: ScriptedForge, forge: Forge) -> None:
    server.issue("acme/new", 1)
    target = "../../../new/issues/1/comments"
    server.answer("POST", "/old/issues/1/comments", status=307, headers={"Location": target})
    forge.comment("acme", "old", 1, "x")
    assert server.posted("acme/new", 1) == ["x"]
    server.answer("POST", "/old/issues/1/comments", status=302, headers={"Location": target})
    assert isinstance(failure_of(lambda: forge.comment("acme", "old", 1, "y")), ForgeBroken)
    assert server.posted("acme/new", 1) == ["x"]


@pytest.mark.parametrize("place", ["http://localhost:{port}/x", "http://127.0.0.1:{other}/x", "//127.0.0.1:{other}/x"])
def test_redirect_to_another_host_is_not_followed(server: ScriptedForge, forge: Forge, place: str) -> None:
    with ScriptedForge() as other:
        ports = {"port": server.host.partition(":")[2], "other": other.host.partition(":")[2]}
        server.answer("GET", "/issues/1", status=302, headers={"Location": place.format(**ports)})
        error = failure_of(lambda: forge.issue("acme", "web", 1))
        assert isinstance(error, ForgeBroken)
        assert "does not follow" in error.message
        assert other.requests == []
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "place", ["http://user:pw@{host}/x", "ftp://{host}/x", "", "http://[::1/x", "http://{host}:x/"]
)
def test_redirect_to_nowhere_is_named(server: ScriptedForge, forge: Forge, place: str) -> None:
    server.answer("GET", "/issues/1", status=302, headers={"Location": place.format(host=server.host)})
    assert isinstance(failure_of(lambda: forge.issue("acme", "web", 1)), ForgeBroken)
    assert len(server.requests) == 1


def test_redirects_without_end_are_ended(server: ScriptedForge, forge: Forge) -> None:
    server.answer("GET", "/issues/1", status=302, headers={"Location": "1"}, times=0)
    assert "without end" in failure_of(lambda: forge.issue("acme", "web", 1)).message


@pytest.mark.parametrize("name", ["..", ".", "", "a\nb"])
def test_name_that_would_climb_is_refused(server: ScriptedForge, forge: Forge, name: str) -> None:
    for call in (lambda: forge.issue(name, "web", 1), lambda: forge.checks("acme", "web", name)):
        with pytest.raises(BadInput):
            call()
    assert server.requests == []


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate, and it is not installed")
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    made = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run([openssl, *made.split(), "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


@pytest.fixture
def tls(certificate: tuple[str, str]) -> Iterator[ScriptedForge]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    forge = ScriptedForge()
    forge.wrap(context)
    forge.issue("acme/web", 1)
    with forge:
        yield forge


def by_tls(server: ScriptedForge) -> Forge:
    """A forge object that asks a server by https, under the name that is in its certificate."""
    host = server.host.replace("127.0.0.1", "localhost")
    return forge_of(host, {host: f"https://{host}"}, {}, {"GITEA_TOKEN": TOKEN})


def test_certificate_that_does_not_verify_ends_it(tls: ScriptedForge) -> None:
    error = failure_of(lambda: by_tls(tls).issue("acme", "web", 1))
    assert isinstance(error, ForgeUnreachable)
    assert "TLS" in error.message
    assert "SSL_CERT_FILE" in (error.hint or "")
    assert tls.requests == []


def test_certificate_authority_can_be_named(
    tls: ScriptedForge, certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certificate[0])
    forge = by_tls(tls)
    assert forge.issue("acme", "web", 1).number == 1
    forge.close()


def test_redirect_from_https_to_http_is_not_followed(
    tls: ScriptedForge, certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certificate[0])
    forge = by_tls(tls)
    place = f"http://{tls.host.replace('127.0.0.1', 'localhost')}/api/v1/repos/acme/web/issues/1"
    tls.answer("GET", "/issues/1", status=302, headers={"Location": place})
    assert "redirects to http://localhost" in failure_of(lambda: forge.issue("acme", "web", 1)).message
    assert len(tls.requests) == 1
    forge.close()


def test_plain_server_behind_an_https_url_is_named(server: ScriptedForge) -> None:
    forge = forge_of(server.host, {server.host: f"https://{server.host}"}, {}, {"GITEA_TOKEN": TOKEN})
    assert "TLS" in failure_of(lambda: forge.issue("acme", "web", 1)).message
    assert server.requests == []
