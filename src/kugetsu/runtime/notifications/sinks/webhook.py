"""The sink `webhook`: POSTs JSON to NOTIFY_WEBHOOK_URL.

At least once: a repeated delivery has the same id (headers ``Idempotency-Key`` and ``X-Kugetsu-Delivery``). The URL is
a secret, so no message contains it or its host, and errors of the HTTP library are reworded.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import orjson

from kugetsu import __version__
from kugetsu.host.proxies import Network, in_words
from kugetsu.model import clock
from kugetsu.model.errors import KugetsuError
from kugetsu.runtime.env_files import WEBHOOK, values
from kugetsu.runtime.notifications.message import Message
from kugetsu.runtime.notifications.notice import one_line
from kugetsu.runtime.notifications.sinks.sink import Outcome, Sink
from kugetsu.runtime.workspace import Workspace

TYPE_CHECKING = False
if TYPE_CHECKING:
    import urllib3

#: Seconds to connect, and between two pieces of the answer.
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
#: Answers of the 4xx kind after which another try may help: timeout, too early, too many requests.
_PASSING = (408, 425, 429)
_MISSING = f"no URL: kugetsu env set --agent notify {WEBHOOK}"


class Webhook(Sink):
    """Posts to one URL."""

    repeats = True

    def __init__(self, ws: Workspace) -> None:
        self._paths = ws.paths
        self._environment = ws.environment

    def describe(self) -> tuple[bool, str]:
        """Whether there is a URL, but never which."""
        try:
            url = values(self._paths, "notify").get(WEBHOOK)
            if url:
                _checked(url)
        except KugetsuError as problem:
            return False, one_line(problem.message)
        except ValueError as problem:
            return False, str(problem)
        return (True, f"{WEBHOOK} is set") if url else (False, _MISSING)

    def deliver(self, message: Message, *, again: bool) -> Outcome:  # noqa: ARG002
        """POST it; 2xx means delivered."""
        import urllib3

        try:
            given = values(self._paths, "notify")
            url = given.get(WEBHOOK)
            if not url:
                return Outcome(False, _MISSING)
            headers = _checked(url)
            timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=ANSWER_SECONDS)
            # A connection of its own each time: notifications are rare, and a kept one may be dead by the next.
            network = Network({**self._environment, **given})
            with network.pool(url, retries=False, timeout=timeout) as pool:
                return _post(pool, url, headers, message)
        except KugetsuError as problem:
            return Outcome(False, one_line(problem.message))
        except ValueError as problem:
            return Outcome(False, str(problem))


def _checked(url: str) -> dict[str, str]:
    """The headers for a URL that contains a login. Raises ValueError, without the URL, for an invalid one."""
    import urllib3

    try:
        parsed = urllib3.util.parse_url(url)
    except (urllib3.exceptions.HTTPError, ValueError):
        parsed = None
    if parsed is None or parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{WEBHOOK} is not an http or https URL")
    return urllib3.util.make_headers(basic_auth=parsed.auth) if parsed.auth else {}


def _post(pool: urllib3.PoolManager, url: str, login: Mapping[str, str], message: Message) -> Outcome:
    import urllib3

    headers = {
        **login,
        "Content-Type": "application/json",
        "User-Agent": f"kugetsu/{__version__}",
        "Idempotency-Key": message.delivery,
        "X-Kugetsu-Delivery": message.delivery,
    }
    try:
        response = pool.request(
            "POST",
            url,
            body=orjson.dumps(message.json_with_report()),
            headers=headers,
            redirect=False,
            retries=False,
            preload_content=False,
        )
    except urllib3.exceptions.HTTPError as problem:
        return Outcome(False, in_words(problem, CONNECT_SECONDS, ANSWER_SECONDS))
    except (OSError, ValueError) as problem:
        return Outcome(False, f"the request failed: {type(problem).__name__}")
    try:
        return _verdict(response)
    finally:
        response.close()


def _verdict(response: urllib3.BaseHTTPResponse) -> Outcome:
    status = response.status
    if 200 <= status < 300:
        return Outcome(True, f"answered {status}")
    if 300 <= status < 400:
        return Outcome(False, f"answered {status}: redirects are not followed, give the final URL", again=False)
    again = status >= 500 or status in _PASSING
    asked = _retry_after(response.headers.get("Retry-After", "")) if again else 0.0
    return Outcome(False, f"answered {status}", again=again, asked=asked)


def _retry_after(text: str) -> float:
    """The seconds in a Retry-After header, a number or a date; 0 when it cannot be parsed."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) < 9:
        return float(text)
    try:
        return max(parsedate_to_datetime(text).timestamp() - clock.seconds(), 0.0)
    except (TypeError, ValueError, OverflowError):
        return 0.0
