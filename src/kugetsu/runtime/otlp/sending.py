"""Hand traces to an OTLP receiver: protobuf by POST, in bounded batches, retried where the protocol allows it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import unquote

from kugetsu import __version__
from kugetsu.domain.traces import Trace
from kugetsu.host.proxies import Network, in_words
from kugetsu.model.errors import BadInput, KugetsuError
from kugetsu.redaction.funnel import redact
from kugetsu.runtime.env_files import values
from kugetsu.runtime.otlp import encoding
from kugetsu.runtime.workspace import Workspace

if TYPE_CHECKING:
    import urllib3

HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
PATH = "/v1/traces"
#: Spans of one request: receivers take 4 MiB by default, and a span has about 1 kB.
BATCH = 512
#: Seconds to connect, and to answer.
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
#: Answers that the protocol allows to retry, how often, and the longest pause before a retry (seconds).
PASSING = (429, 502, 503, 504)
TRIES = 5
LONGEST_PAUSE = 30.0


def checked_url(text: str) -> str:
    """The URL of a receiver, with the protocol's path when it has none. Raises BadInput."""
    import urllib3

    form = "write it as http://localhost:4318"
    try:
        url = urllib3.util.parse_url(text)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise BadInput(f"not a URL: {text[:80]!r}", form) from error
    if url.scheme not in ("http", "https") or not url.host:
        raise BadInput(f"not an http or https URL: {text[:80]!r}", form)
    if url.auth is not None:
        raise BadInput("the URL has a login in it", f"{form}; put {HEADERS}=authorization=… into env/notify.env")
    return url.url if url.path not in (None, "", "/") else url._replace(path=PATH).url


def headers_of(ws: Workspace) -> dict[str, str]:
    """The headers that the receiver asks for: from env/notify.env, else from the environment, as the SDKs read them
    (``name=value,name=value``, both URL-encoded). Raises BadInput, without what they say."""
    text = values(ws.paths, "notify").get(HEADERS) or ws.environment.get(HEADERS, "")
    found = {}
    for pair in text.split(","):
        name, mark, value = pair.partition("=")
        name, value = unquote(name).strip().lower(), unquote(value).strip()
        if not pair.strip():
            continue
        if not mark or not name or not (name + value).isascii() or not (name + value).isprintable():
            raise BadInput(f"{HEADERS} cannot be understood", "write it as name=value,name=value, URL-encoded")
        found[name] = value
    return found


def network_of(ws: Workspace) -> Network:
    """The proxies of the environment and of env/notify.env. Raises BadInput for an env file that cannot be read."""
    return Network({**ws.environment, **values(ws.paths, "notify")})


class Receiver:
    """A receiver that traces are handed to; `close` hands over what is left. Raises KugetsuError when it takes none."""

    def __init__(self, url: str, headers: Mapping[str, str], network: Network | None = None) -> None:
        import urllib3

        encoding.require_protobuf()
        self.url = url
        self.sent = 0
        self.requests = 0
        self.rejected = 0
        self.why = ""
        #: Whether every answer was one of the protocol's; a web server that takes any request gives another.
        self.understood = True
        self._headers = {
            **headers,
            "Content-Type": "application/x-protobuf",
            "User-Agent": f"kugetsu/{__version__}",
        }
        self._waiting: list[Trace] = []
        self._spans = 0
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=ANSWER_SECONDS)
        self._pool = (network or Network()).pool(url, retries=False, timeout=timeout)

    def __enter__(self) -> Receiver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.clear()

    def add(self, trace: Trace, log_id: str) -> None:
        """One more trace; a full batch is sent."""
        self._waiting.append(trace)
        self._spans += len(trace.spans)
        if self._spans >= BATCH:
            self.flush(log_id)

    def flush(self, log_id: str) -> None:
        """Send what waits."""
        if not self._waiting:
            return
        answer = self._deliver(encoding.protobuf(self._waiting, log_id))
        said = encoding.rejected(answer)
        self.understood = self.understood and said is not None
        refused, why = said or (0, "")
        self.rejected += refused
        self.why = why or self.why
        self.requests += 1
        self.sent += self._spans
        self._waiting, self._spans = [], 0

    def _deliver(self, body: bytes) -> bytes:
        problem, pause = "", 1.0
        for attempt in range(TRIES):
            if attempt:
                time.sleep(pause)
            status, answer, asked = self._post(body)
            if 200 <= status < 300:
                return answer
            problem = f"it answered {status}" if status else answer.decode()
            if status not in PASSING and (status or not self.requests):
                break  # it will say so again, or nobody is there at all
            pause = min(asked if asked > 0 else 2.0**attempt, LONGEST_PAUSE)
        hint = "try again later: what it has taken already keeps its ids, so nothing is doubled"
        if status in (401, 403):
            hint = f"put {HEADERS}=authorization=Bearer%20… into env/notify.env"
        elif 300 <= status < 500 and status != 429:
            hint = f"give the final URL of its OTLP/HTTP receiver, as http://localhost:4318{PATH}"
        raise KugetsuError(f"{self.url} does not take the traces: {problem}", hint)

    def _post(self, body: bytes) -> tuple[int, bytes, float]:
        """The answer's status, text and Retry-After; status 0 and what went wrong when there was none."""
        import urllib3

        try:
            response: urllib3.BaseHTTPResponse = self._pool.request(
                "POST", self.url, body=body, headers=self._headers, redirect=False, retries=False
            )
        except urllib3.exceptions.HTTPError as error:
            return 0, in_words(error, CONNECT_SECONDS, ANSWER_SECONDS).encode(), 0.0
        except (OSError, ValueError) as error:
            return 0, redact(str(error)).encode(), 0.0
        asked = response.headers.get("Retry-After", "").strip()
        seconds = float(asked) if asked.isascii() and asked.isdigit() and len(asked) < 9 else 0.0
        return response.status, response.data, seconds
