"""A forge to test against: a real HTTP server on 127.0.0.1 that keeps issues, comments and pull requests.

It speaks Gitea's API below `/api/v1` and GitHub's below `/api/v3` (and below `/`, as api.github.com does), both on the
same state, so that one test can run against either:

    with ScriptedForge() as forge:
        forge.issue("acme/web", 14, title="Login is slow", body="…", comments=["me too"])
        forge.pull("acme/web", 15, branch="fix/issue-14")
        forge.review("acme/web", 15, "approved")
        forge.check("acme/web", forge.head_of("acme/web", 15), "build", "success")

        servers = {forge.host: forge.url}        # GIT_SERVERS of the test; the host in references is forge.host
        kinds = {forge.host: "github"}           # leave it out for Gitea

        assert forge.posted("acme/web", 14) == ["done"]
        assert forge.requests[-1].headers["authorization"] == "token s3cret"

Misbehaviour is scripted with `answer`: the next request that fits gets that answer instead of the real one, in the
order of the script; `times=0` keeps it for ever:

        forge.answer("GET", "/issues/14", status=503)                            # fits by the end of the path
        forge.answer("POST", "/comments", status=429, headers={"Retry-After": "0"})
        forge.answer("GET", "/issues/14", body="<html>log in</html>", content="text/html")
        forge.answer("GET", "/issues/14", cut=True)                              # cut before any answer
        forge.answer("POST", "/comments", carry_out=True, cut=True)              # done, and the answer lost
        forge.answer("GET", "/issues/14", silent=True)                           # no answer until the forge closes

With `token` set, requests with another token get 401, and repositories named in `private` are 404 without it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from forge import intake_shapes, shapes
from forge.intake_shapes import Intake
from forge.reviewers import Reviewers
from forge.shapes import Repository
from forge.times import at as time_at

PREFIXES = {"/api/v1": "gitea", "/api/v3": "github"}


@dataclass(frozen=True)
class Request:
    """One request as it came: header names in small letters, `body` parsed as JSON where it is some."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    port: int
    """The client's port: requests of one port came by one connection."""


@dataclass
class Answer:
    """One scripted answer; see `ScriptedForge.answer`."""

    method: str
    path: str
    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content: str = "application/json"
    times: int = 1
    cut: bool = False
    silent: bool = False
    carry_out: bool = False


class ScriptedForge(Reviewers):
    """The server with its state; a context manager. Everything may be changed while it runs."""

    def __init__(self, *, token: str = "", page: int = 50) -> None:
        """`token`: the only one that is taken; `page`: the most entries that a page holds, whatever is asked for."""
        self.token = token
        self.page = page
        self.private: set[str] = set()
        self.moved: dict[str, str] = {}
        """Former names of repositories, each with the one now: asked for by it, the forge redirects."""
        self.stripped = False
        """Whether a proxy takes out the headers that tell of further pages."""
        self.login = "kugetsu-bot"
        self.organisations: defaultdict[str, dict[str, int]] = defaultdict(dict)
        """Gitea's labels of organisations, with their ids."""
        self._allowed: int | None = None
        self._reset = 0.0
        self.requests: list[Request] = []
        self.repositories: dict[str, Repository] = {}
        self.answers: list[Answer] = []
        self.closing = threading.Event()
        self.lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.forge = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> ScriptedForge:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving; silent answers end."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if "store" in vars(self):
            self.store.close()

    def wrap(self, context: ssl.SSLContext) -> None:
        """Serve by https; before the server is entered. `url` still says http."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    @property
    def host(self) -> str:
        """`127.0.0.1:PORT`: the host in references."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`: the base URL for GIT_SERVERS."""
        return f"http://{self.host}"

    def issue(
        self,
        repository: str,
        number: int,
        *,
        title: str = "an issue",
        body: str | None = "",
        state: str = "open",
        author: str = "alice",
        labels: tuple[str, ...] = (),
        comments: tuple[str, ...] | list[str] = (),
    ) -> None:
        """An issue with comments and labels by its author, one second apart."""
        with self.lock:
            repo = self.repository(repository)
            repo.issues[number] = shapes.Issue(number, title, body, state, author, ())
            for text in comments:
                self.say(repository, number, text, author=author)
            for label in labels:
                repo.add_label(number, label, author)

    def say(self, repository: str, number: int, body: str, *, author: str = "alice", at: str = "") -> int:
        """A comment on an issue or pull request; its id. `at` is its time, else one second after the one before."""
        with self.lock:
            return self.repository(repository).say(number, body, author, at)

    def change_issue(self, repository: str, number: int, **values: object) -> None:
        """Change what an issue is: `state="closed"`, …; for its text `edit` tells by whom."""
        with self.lock:
            repo = self.repositories[repository]
            for name, value in values.items():
                if not hasattr(repo.issues[number], name):
                    raise AttributeError(name)
                setattr(repo.issues[number], name, value)
            repo.next_id()
            repo.touch(number)

    def edit(
        self, repository: str, number: int, *, body: str = "", title: str = "", by: str = "alice", at: str = ""
    ) -> None:
        """Edit the body or the title of an issue."""
        with self.lock:
            repo = self.repositories[repository]
            if body:
                repo.issues[number].body = body
                repo.intake.edits[number] = (by, at or time_at(repo.next_id()))
                repo.touch(number)
            if title:
                repo.happen(number, "renamed", repo.issues[number].title, by, at)
                repo.issues[number].title = title

    def label(self, repository: str, number: int, name: str, *, by: str = "alice", at: str = "") -> None:
        """Set a label of an issue, by an account, at a time (else one second after what came before)."""
        with self.lock:
            self.repositories[repository].add_label(number, name, by, at)

    def unlabel(self, repository: str, number: int, name: str, *, by: str = "alice", at: str = "") -> None:
        """Take a label off an issue."""
        with self.lock:
            self.repositories[repository].remove_label(number, name, by, at)

    def labels_of(self, repository: str, number: int) -> tuple[str, ...]:
        """The labels of an issue."""
        with self.lock:
            return self.repositories[repository].issues[number].labels

    def intake(self, repository: str) -> Intake:
        """What a repository keeps for an intake: rights of accounts, dependencies, its labels; may be changed."""
        return self.repository(repository).intake

    def limit(self, requests: int | None, *, seconds: float = 3600) -> None:
        """Accept so many requests more, until so many seconds from now have passed; None: as many as come. GitHub says
        in each answer how many are left."""
        with self.lock:
            self._allowed, self._reset = requests, time.time() + seconds

    def pull(
        self,
        repository: str,
        number: int,
        *,
        branch: str,
        state: str = "open",
        title: str = "a pull request",
        head_repository: str | None = "",
        sha: str = "",
        mergeable: bool | None = True,
        draft: bool = False,
        branch_deleted: bool = False,
        author: str = "alice",
    ) -> None:
        """A pull request: `state` is open, closed or merged; `head_repository` a fork, or None for one that is gone."""
        with self.lock:
            head = repository if head_repository == "" else head_repository
            found = shapes.Pull(number, title, branch, state, head, sha or f"{number:040x}", mergeable, draft)
            found.branch_deleted, found.given = branch_deleted, bool(sha)
            self.repository(repository).follow(found)
            self.repository(repository).pulls[number] = found
            self.repository(repository).issues.setdefault(
                number, shapes.Issue(number, title, "", "open" if state == "open" else "closed", author, ())
            )

    def change_pull(self, repository: str, number: int, **values: object) -> None:
        """Change what a pull request is: `state="merged"`, `branch_deleted=True`, …"""
        with self.lock:
            self.repositories[repository].follow(self.repositories[repository].pulls[number])
            for name, value in values.items():
                if not hasattr(self.repositories[repository].pulls[number], name):
                    raise AttributeError(name)
                setattr(self.repositories[repository].pulls[number], name, value)
            if set(values) != {"mergeable"}:
                self.repositories[repository].touch(number)

    def head_of(self, repository: str, number: int) -> str:
        """The commit of a pull request's head."""
        self.repositories[repository].follow(self.repositories[repository].pulls[number])
        return self.repositories[repository].pulls[number].sha

    @functools.cached_property
    def store(self) -> ScriptedForge:
        """The other server, where GitHub keeps its logs: `/logs/ID`, by a signed URL."""
        return ScriptedForge().__enter__()

    def keep(self, ident: int, log: str) -> str:
        """Put a log into the store; its URL."""
        self.store.answer("GET", f"/logs/{ident}", body=log, content="text/plain", times=0)
        return self.store.url

    def pushed(self, repository: str, branch: str, sha: str) -> None:
        """A branch from which a pull request may be opened; a fork's is `owner:branch`."""
        with self.lock:
            self.repository(repository).branches[branch] = sha

    def has_branches_of(self, repository: str, git: str) -> None:
        """The branches of a repository are those of a bare repository in a folder."""
        with self.lock:
            self.repository(repository).git = git

    def pulls(self, repository: str) -> list[shapes.Pull]:
        """The pull requests, the oldest first."""
        with self.lock:
            return [pull for _, pull in sorted(self.repository(repository).pulls.items())]

    def posted(self, repository: str, number: int) -> list[str]:
        """The bodies of the comments that came by the API."""
        with self.lock:
            comments = self.repository(repository).comments.get(number, [])
            return [comment.body for comment in comments if comment.posted]

    def answer(self, method: str, path: str, **script: Any) -> None:
        """Script the next answer to a request of that method whose path ends so; the fields are those of `Answer`."""
        with self.lock:
            self.answers.append(Answer(method, path, **script))

    def asked(self, method: str, path: str) -> list[Request]:
        """The requests so far of that method whose path ends so."""
        with self.lock:
            return [r for r in self.requests if r.method == method and r.path.endswith(path)]

    def take_answer(self, method: str, path: str) -> Answer | None:
        """The scripted answer for a request, used up once."""
        with self.lock:
            for answer in self.answers:
                if answer.method == method and path.endswith(answer.path):
                    if answer.times == 1:
                        self.answers.remove(answer)
                    answer.times -= 1 if answer.times else 0
                    return answer
        return None

    def respond(self, request: Request) -> tuple[int, dict[str, str], Any]:
        """The real answer to a request: status, headers, JSON value."""
        prefix = next((p for p in PREFIXES if request.path.startswith(p + "/")), "")
        kind = PREFIXES.get(prefix, "github")
        headers = self._count(kind)
        if headers.get("X-RateLimit-Remaining") == "-1":
            return 403, {**headers, "X-RateLimit-Remaining": "0"}, {"message": "API rate limit exceeded for user ID 1."}
        if "Retry-After" in headers:
            return 429, headers, {"message": "Too Many Requests"}
        status, more, value = self._answer_to(request, prefix, kind)
        return status, {**headers, **more}, value

    def _count(self, kind: str) -> dict[str, str]:
        """The headers that tell of a limit, after one request more."""
        with self.lock:
            if self._allowed is None or time.time() >= self._reset:
                return {}
            self._allowed = max(self._allowed - 1, -1)
            if kind == "github":
                left = {"X-RateLimit-Remaining": str(self._allowed), "X-RateLimit-Resource": "core"}
                return {**left, "X-RateLimit-Reset": str(math.ceil(self._reset))}
            return {"Retry-After": str(math.ceil(self._reset - time.time()))} if self._allowed < 0 else {}

    def _answer_to(self, request: Request, prefix: str, kind: str) -> tuple[int, dict[str, str], Any]:
        given = request.headers.get("authorization", "").rpartition(" ")[2]
        if self.token and given and given != self.token:
            return 401, {}, {"message": "Bad credentials" if kind == "github" else "user does not exist"}
        parts = [unquote(part) for part in request.path.removeprefix(prefix).split("/")[1:]]
        if parts == ["user"]:
            return (200, {}, shapes.user(self.login)) if given else (401, {}, {"message": "token is required"})
        if request.path in ("/graphql", "/api/graphql") and request.method == "POST":
            return self._edits(request) if given else (401, {}, {"message": "Requires authentication"})
        if parts[0] == "orgs" and parts[2:] == ["labels"] and self.organisations[parts[1]]:
            labels = self.organisations[parts[1]].items()
            return 200, {}, [intake_shapes.label(name, ident) for name, ident in labels]
        if len(parts) < 3 or parts[0] != "repos":
            return 404, {}, {"message": "Not Found"}
        name = "/".join(parts[1:3])
        if name in self.moved:
            path = "/".join([prefix, "repos", self.moved[name], *parts[3:]])
            location = f"{self.url}{path}?{urlencode(request.query)}"
            moved = 301 if kind == "github" and request.method == "GET" else 307
            return moved, {"Location": location}, {"message": "Moved Permanently"}
        if name not in self.repositories or (name in self.private and not given):
            return 404, {}, {"message": "Not Found"}
        with self.lock:
            seen = {other: repo for other, repo in self.repositories.items() if given or other not in self.private}
            place = shapes.Place(kind, self.url, seen[name], self.login, self.page, seen)
            status, headers, value = place.respond(request.method, parts[3:], request.query, request.body)
        return status, {} if self.stripped else headers, value

    def has_etags(self, request: Request) -> bool:
        """Whether the forge names the state of its answers: GitHub does, Gitea does not."""
        return not request.path.startswith("/api/v1/") and not self.stripped

    def _edits(self, request: Request) -> tuple[int, dict[str, str], Any]:
        """GitHub's answer to its one question in GraphQL."""
        asked = request.body["variables"]
        name = f"{asked['owner']}/{asked['repo']}"
        with self.lock:
            if name not in self.repositories:
                error = {"type": "NOT_FOUND", "message": f"Could not resolve to a Repository with the name '{name}'."}
                return 200, {}, {"data": {"repository": None}, "errors": [error]}
            return intake_shapes.edits(self.repositories[name], asked["number"])

    def repository(self, name: str) -> Repository:
        """A repository, made when it is first named."""
        with self.lock:
            intake = Intake(self.organisations[name.partition("/")[0]])
            return self.repositories.setdefault(name, Repository(name, intake=intake))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with contextlib.suppress(ConnectionResetError):  # the client had enough
            super().handle()

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        forge: ScriptedForge = self.server.forge  # type: ignore[attr-defined]
        request = self._request()
        with forge.lock:
            forge.requests.append(request)
        scripted = forge.take_answer(request.method, request.path)
        if scripted is None:
            status, headers, value = forge.respond(request)
            content = headers.pop("Content-Type", "application/json")
            data = (json.dumps(value) if content == "application/json" else value).encode()
            if forge.has_etags(request) and (request.method, status) == ("GET", 200):
                headers["ETag"] = 'W/"' + hashlib.sha256(data).hexdigest() + '"'
                if request.headers.get("if-none-match") == headers["ETag"]:
                    status = 304
            self._send(status, headers, b"" if status in (204, 304) else data, content)
            return
        if scripted.carry_out:
            forge.respond(request)
        if scripted.silent:
            forge.closing.wait()
        if scripted.silent or scripted.cut:
            self.close_connection = True
            return
        body = scripted.body
        data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        self._send(scripted.status, dict(scripted.headers), data, scripted.content)

    def _request(self) -> Request:
        split = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw.decode(errors="replace")
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, split.path, dict(parse_qsl(split.query)), headers, body, self.client_address[1])

    def _send(self, status: int, headers: dict[str, str], data: bytes, content: str) -> None:
        try:
            (self.send_response_only if "Date" in headers else self.send_response)(status)
            for name, value in {"Content-Type": content, "Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client had enough

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: `ScriptedForge.requests` has it all."""
