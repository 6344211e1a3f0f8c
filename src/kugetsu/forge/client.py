"""The kept HTTP client of one forge: JSON in and out, bounded in time, size and repetition.

What may be repeated (GETs, and what leads to the same end however often it is sent) is, at most twice, after a 5xx or a
cut connection; all else is sent once. Redirects are followed within the same server only, so that the token goes
nowhere else. A forge that accepts no requests for a time is not asked until then, by no process that shares a `Pause`.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import orjson

from kugetsu import __version__
from kugetsu.forge import responses
from kugetsu.forge.credentials import Credential
from kugetsu.forge.failures import ForgeBroken, ForgeFailure, ForgeLimited, ForgeOversized, ForgeUnreachable
from kugetsu.forge.json_fields import Fields
from kugetsu.forge.pauses import Pause
from kugetsu.host.proxies import Network
from kugetsu.model import clock
from kugetsu.model.errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    import urllib3

    Query = Mapping[str, str | int]

_STORED = (302, 303)
"""What answers for a log that lies elsewhere; a repository with a new name answers 301, 307 or 308."""
_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 3  # GitHub needs one, for a renamed repository
_RETRIES = 2
_CHUNK = 1 << 16
_SMALL_PAGE = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much. Times are seconds.

    `connect` and `read` bound one connection's set-up and one wait for data; `deadline` bounds a whole call with its
    pages and repetitions, and is looked at between reads: a read that is under way, and the look-up of a name (the
    system bounds that), come on top. `patience` is the longest rate limit that is waited out; `backoff` the pause
    before the first repetition, doubled for the second; `answer` the bytes of one answer; `log` the bytes that are
    kept of a log, its end; `pages` the pages of a list.
    """

    connect: float = 5.0
    read: float = 15.0
    deadline: float = 30.0
    patience: float = 3.0
    backoff: float = 0.5
    answer: int = 16 << 20
    log: int = 4 << 20
    pages: int = 30


class Client(responses.Server):
    """Talks to one API. Connections are kept; `close` closes them. Made cheaply: urllib3 comes with the first call."""

    def __init__(
        self,
        api: str,
        *,
        host: str,
        credential: Credential,
        scheme: str,
        headers: Mapping[str, str],
        limits: Limits | None = None,
        network: Network | None = None,
        pause: Pause | None = None,
        now: Callable[[], float] = clock.seconds,
    ) -> None:
        """`scheme` is the word before the token in the Authorization header; `now` the time, in seconds since 1970."""
        super().__init__(api, host, credential, now)
        self._pause = pause
        self.limits = limits or Limits()
        self._scheme = scheme
        self.anonymous = {"User-Agent": f"kugetsu/{__version__}"}
        """The headers for another server."""
        self._headers = {**self.anonymous, **headers}
        self._network = network or Network()
        self._pools: dict[str, urllib3.PoolManager] = {}

    def __repr__(self) -> str:
        return f"Client({self.api!r}, {self.credential.summary!r})"

    def call(self, what: str) -> Call:
        """A call whose deadline begins now; `what` names its subject in errors: `issue owner/repo#14`."""
        return Call(self, what)

    def close(self) -> None:
        """Close the kept connections; a later call opens new ones."""
        for pool in self._pools.values():
            pool.clear()
        self._pools.clear()

    def pool(self, url: str) -> urllib3.PoolManager:
        """The connections for a URL, made when first needed. Raises BadInput as `Network.pool` does."""
        key = self._network.key(url)
        if key not in self._pools:
            self._pools[key] = self._network.pool(url, num_pools=2, maxsize=2, retries=False)
        return self._pools[key]

    def heed_pause(self) -> None:
        """Raises ForgeLimited while the forge accepts no requests, by what any process was told."""
        seconds = self._pause.left(self.now(), self.credential.summary) if self._pause is not None else 0.0
        if seconds > 0:
            raise responses.limited(self, seconds)

    def begin_pause(self, seconds: float) -> None:
        """Have every process that shares the pause wait so long."""
        if self._pause is not None and seconds > 0:
            self._pause.begin(self.now() + seconds, self.credential.summary)

    def note_answer(self) -> None:
        """Keep when the forge answered last."""
        if self._pause is not None:
            self._pause.answered(self.now())

    def headers(self, *, body: bool, etag: str = "") -> dict[str, str]:
        """The headers of a request, with the token when there is one; conditional on an ``etag``."""
        headers = dict(self._headers)
        if etag:
            headers["If-None-Match"] = etag
        if body:
            headers["Content-Type"] = "application/json"
        token = self.credential.reveal()
        if token:
            headers["Authorization"] = f"{self._scheme} {token}"
        return headers


class Call:
    """One method of a forge at work: all its requests share one deadline."""

    def __init__(self, client: Client, what: str) -> None:
        self.what = what
        self.moved = False
        """Whether a redirect was followed: the repository goes by another name now."""
        self._client = client
        self._limits = client.limits
        self._end = time.monotonic() + client.limits.deadline

    def get(self, path: str, query: Query | None = None) -> Fields:
        """The JSON at a path below the API. Raises ForgeFailure."""
        answer = self._request("GET", path, query, None)
        return self._fields(answer, "GET", path)

    def post(self, path: str, body: Mapping[str, object], *, repeat: bool = False) -> Fields:
        """The JSON that answers a JSON body; sent once, unless to ``repeat`` it does no harm. Raises ForgeFailure."""
        answer = self._request("POST", path, None, orjson.dumps(body), repeat=repeat)
        return self._fields(answer, "POST", path, posted=not repeat)

    def delete(self, path: str) -> None:
        """Delete what is at a path. Raises ForgeFailure; ForgeNotFound if it is not there (any more); ForgeBroken for
        an answer that is not the forge's, such as a login page."""
        answer = self._request("DELETE", path, None, None, repeat=True)
        if answer.data.strip():
            self._fields(answer, "DELETE", path)

    def graphql(self, url: str, query: str, variables: Mapping[str, object]) -> Fields:
        """The data that answers a GraphQL query, which changes nothing. Raises ForgeFailure; ForgeForbidden where the
        query, but not the request, is refused."""
        answer = self._request("POST", url, None, orjson.dumps({"query": query, "variables": variables}), repeat=True)
        found = self._fields(answer, "POST", "/graphql", posted=False)
        try:
            responses.judge_query(found, answer, self._client, self.what)
        except ForgeLimited as failure:
            self._client.begin_pause(failure.wait)
            raise
        return found.child("data")

    def newest_first(self, path: str, query: Query) -> Iterator[Fields]:
        """The objects of a list that begins with the oldest, the newest first, each once. Where the first page names
        the last one, the pages between are read only as far as they are used. Raises ForgeFailure."""
        answer = self._page(path, query, 1)
        oldest = self._fields(answer, "GET", path).list()
        last = responses.last_page(answer)
        later = self._backwards(path, query, last) if last else self._following(path, query, oldest)[::-1]
        seen: set[int] = set()
        for items in itertools.chain(later, (oldest,)):
            for item in reversed(items):
                if item.number("id") not in seen:
                    seen.add(item.number("id"))
                    yield item

    def _backwards(self, path: str, query: Query, last: int) -> Iterator[list[Fields]]:
        """The pages from the last to the second."""
        for page in range(last, 1, -1):
            if last - page == self._limits.pages:
                raise self._too_long(self._limits.pages)
            yield self._fields(self._page(path, query, page), "GET", path).list()

    def _following(self, path: str, query: Query, items: list[Fields]) -> list[list[Fields]]:
        """The pages after the first, whose ``items`` are given, up to one that is not full or has nothing new. No
        header is heeded: the total that Gitea gives with a timeline is that of the page."""
        found: list[list[Fields]] = []
        seen: set[int] = set()
        while len(items) >= _full(query) and not seen.issuperset(item.number("id") for item in items):
            if len(found) == self._limits.pages:
                raise self._too_long(self._limits.pages)
            seen.update(item.number("id") for item in items)
            items = self._fields(self._page(path, query, len(found) + 2), "GET", path).list()
            found.append(items)
        return found

    def pages(
        self,
        path: str,
        query: Query,
        *,
        key: str = "",
        name: str = "id",
        limit: int | None = None,
        cut: bool = False,
        first: responses.Answer | None = None,
        tags: list[str] | None = None,
    ) -> Iterator[Fields]:
        """The objects of a list that comes in pages (`key`: where the list stands in each page), each once: `name` is
        the field that tells them apart, a number (`id`) or a text.

        A page follows when the Link header names one (its URL is not used: behind a proxy it may be a wrong one) or
        when the total that was told is not reached. Where a proxy strips both headers, a page follows each that is not
        short. `limit` is the most pages; when there are more, the rest is left out (`cut`), or ForgeOversized raised.
        Where a page has more bytes than `Limits.answer`, what remains is read in pages of ten, if the forge keeps to
        the length asked for (`per_page`). `first` is the first page where it is there already; `tags` gets the ETag of
        each page, empty for a shorter one. Raises ForgeFailure.
        """
        seen: set[int | str] = set()

        def identity(item: Fields) -> int | str:
            return item.number(name) if name == "id" else item.text(name)

        most = left = limit or self._limits.pages
        page, shrunk = 1, False
        while left:
            try:
                answer, first = first or self._page(path, query, page), None
            except ForgeOversized:
                # Some strangers' long texts must not keep everybody else's from being read.
                parts = int(query.get("per_page", 0)) // _SMALL_PAGE
                if shrunk or not parts:
                    raise
                query, shrunk = {**query, "per_page": _SMALL_PAGE}, True
                page, left = (page - 1) * parts + 1, left * parts
                continue
            if tags is not None:
                tags.append("" if shrunk else responses.etag_of(answer))
            fields = self._fields(answer, "GET", path)
            items = fields.list(key)
            fresh = [item for item in items if identity(item) not in seen]
            seen.update(identity(item) for item in fresh)
            yield from fresh
            total = fields.number("total_count", -1) if key else -1
            if not fresh or not responses.has_more(answer, len(seen), total, full=len(items) >= _full(query)):
                return
            page, left = page + 1, left - 1
        if not cut:
            raise self._too_long(most)

    def changed(self, path: str, query: Query, etag: str | None) -> tuple[list[Fields], str | None] | None:
        """The objects of a list in pages and what names this state of it (None where the forge names none); None if it
        is still in the state `etag`. That costs one request a page: a change on a later one does not show on the first.
        The list has to begin with what changed last: else what follows a full page would be missed.
        Raises ForgeFailure."""
        known = etag.split() if etag else []
        answer, page = None, 0
        for page, tag in enumerate(known, 1):
            try:
                answer = self._page(path, query, page, tag)
            except ForgeOversized:
                page = 0
                break
            if answer.status != responses.NOT_MODIFIED:
                break
        else:
            if known:
                return None
        tags: list[str] = []
        items = list(self.pages(path, query, first=answer if page == 1 else None, tags=tags))
        return items, " ".join(tags) if all(tags) else None

    def log(self, path: str) -> str:
        """The end (`Limits.log`) of the text at a path. A redirect to where it is stored, by a signed URL, is followed
        once, whatever the host, and without the token. Raises ForgeFailure; ForgeBroken for a web page."""
        answer = self._request("GET", path, None, None, log=True)
        if responses.is_page(answer):
            raise ForgeBroken(f"{self._client.host} answers with a web page instead of a log")
        return answer.data.decode(errors="replace")

    def _too_long(self, most: int) -> ForgeOversized:
        return ForgeOversized(f"{self._client.host}: the list of {self.what} has over {most} pages")

    def _page(self, path: str, query: Query, page: int, etag: str = "") -> responses.Answer:
        """One page of a list; with an ``etag``, NOT_MODIFIED may be the answer."""
        return self._request("GET", path, {**query, "page": page} if page > 1 else query, None, etag=etag)

    def _fields(self, answer: responses.Answer, method: str, path: str, *, posted: bool = False) -> Fields:
        value = responses.json_of(answer, self._client, uncertain=posted)
        return Fields(value, f"{method} {self._client.host}{path}", posted=posted)

    def _request(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: bytes | None,
        *,
        etag: str = "",
        repeat: bool = False,
        log: bool = False,
    ) -> responses.Answer:
        """A good answer, after repetitions where they are allowed: of a GET, or where told. `path` may be the URL of
        another part of the server. Raises ForgeFailure."""
        repeat = repeat or method == "GET"
        base = self._client.api if path.startswith("/") else ""
        url = f"{base}{path}" + (f"?{urlencode(query)}" if query else "")
        tries, waited = 0, False
        while True:
            try:
                if not waited:
                    self._client.heed_pause()
                return self._followed(method, url, body, etag, log=log)
            except ForgeLimited as limited:
                # Nothing was done, so this may be repeated whatever the method.
                if waited or limited.wait > self._limits.patience or not self._pause(limited.wait):
                    self._client.begin_pause(limited.wait)
                    raise
                waited = True
            except ForgeFailure as failure:
                failure.uncertain = failure.uncertain and not repeat
                if failure.uncertain:
                    failure.hint = responses.MAY_BE_DONE
                pause = self._limits.backoff * 2**tries
                if not repeat or not failure.again or tries == _RETRIES or not self._pause(pause):
                    self._client.begin_pause(failure.wait)
                    raise
                tries += 1

    def _followed(self, method: str, url: str, body: bytes | None, etag: str, *, log: bool) -> responses.Answer:
        for _ in range(_MAX_REDIRECTS + 1):
            answer = self._once(method, url, self._client.headers(body=body is not None, etag=etag), body, log=log)
            self._client.note_answer()
            self._client.begin_pause(responses.used_up(answer, self._client.now()))
            if etag and answer.status == responses.NOT_MODIFIED:
                return answer
            if log and answer.status in _STORED:
                stored = responses.stored_at(answer, self._client, url)
                answer = self._once("GET", stored, self._client.anonymous, None, log=True)
                return responses.judge_stored(answer, self._client)
            if answer.status not in _REDIRECTS:
                responses.judge(answer, self._client, self.what)
                return answer
            url = responses.redirected(answer, self._client, method, url)
            self.moved = True
        raise ForgeBroken(f"{self._client.host} redirects without end", "is the URL in GIT_SERVERS the right one?")

    def _once(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None, *, log: bool
    ) -> responses.Answer:
        import urllib3

        left = self._left()
        timeout = urllib3.Timeout(connect=min(self._limits.connect, left), read=min(self._limits.read, left))
        try:
            response = self._client.pool(url).request(
                method,
                url,
                body=body,
                headers=headers,
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                data = self._read(response, log=log)
            except BaseException:
                response.close()  # a connection with half an answer in it is of no more use
                raise
            response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise responses.unreachable(error, self._client, timeout) from error
        return responses.Answer(response.status, response.headers, data)

    def _read(self, response: urllib3.BaseHTTPResponse, *, log: bool) -> bytes:
        """The body; of a log its end, in whole lines."""
        parts: deque[bytes] = deque()
        size, most = 0, self._limits.log if log else self._limits.answer
        cut = False
        while True:
            # read1: what has come already; read would wait for all of it, past the deadline.
            part = response.read1(_CHUNK)
            if not part:
                data = b"".join(parts)
                return data[-most:].partition(b"\n")[2] or data[-most:] if cut or len(data) > most else data
            parts.append(part)
            size += len(part)
            while log and size - len(parts[0]) >= most:
                size, cut = size - len(parts.popleft()), True
            if not log and size > most:
                raise ForgeOversized(
                    f"{self._client.host}: an answer has over {self._limits.answer} bytes", uncertain=True
                )
            self._left(uncertain=True)

    def _left(self, *, uncertain: bool = False) -> float:
        """Seconds until the deadline. Raises ForgeUnreachable when it has passed."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise ForgeUnreachable(
                f"{self._client.host} was too slow: {self.what} took over {self._limits.deadline:g} s",
                "try again later",
                uncertain=uncertain,
            )
        return left

    def _pause(self, seconds: float) -> bool:
        """Sleep, unless that would pass the deadline."""
        if time.monotonic() + seconds >= self._end:
            return False
        time.sleep(seconds)
        return True


def _full(query: Query) -> int:
    """Entries of a page that may not be the last one. GitHub fills a page as it was asked to (`per_page`); other
    servers have limits of their own, so that only an empty page is certainly the last."""
    return int(query.get("per_page", 1))


def segment(name: str) -> str:
    """A name as one segment of a URL's path. Raises BadInput for one that would climb out of its place."""
    if name in ("", ".", "..") or any(c < " " or c == "\x7f" for c in name):
        raise BadInput(f"{name!r} cannot be part of a URL")
    return quote(name, safe="")
