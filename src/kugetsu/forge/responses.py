"""What a forge's answer means: good, a redirect, or which failure; and what it means when none comes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

import orjson

from kugetsu.forge.credentials import PLACE, Credential
from kugetsu.forge.failures import (
    ForgeBroken,
    ForgeFailure,
    ForgeForbidden,
    ForgeLimited,
    ForgeNotFound,
    ForgeRefused,
    ForgeUnauthorised,
    ForgeUnreachable,
)
from kugetsu.model import clock
from kugetsu.model.errors import reason_of
from kugetsu.model.record import record
from kugetsu.redaction.funnel import redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    import urllib3

    from kugetsu.forge.json_fields import Fields


NOT_MODIFIED = 304
_LAST = re.compile(r"[?&]page=([0-9]{1,6})(?:&[^>]*)?>[^,]*rel=\"?last")
_LONGEST_ETAG = 200
_DAY = 86_400.0  # no forge limits for longer; a later time is a wrong clock
_PORTS = {"http": 80, "https": 443}
_UNSTATED = 60.0  # GitHub's documentation: without a time given, wait at least one minute
MAY_BE_DONE = "it may have been carried out all the same: look before sending it again"
_LATER = "try again later"
_WRONG_URL = "is the server's URL right (setting GIT_SERVERS)? A login page or a proxy may be in front of it"


class Server:
    """Whom a request went to, and for whom it speaks; ``now`` is the wall clock, in seconds."""

    def __init__(self, api: str, host: str, credential: Credential, now: Callable[[], float]) -> None:
        self.api = api.rstrip("/")
        self.host = host
        self.credential = credential
        self.now = now

    def clean(self, text: str, limit: int = 300) -> str:
        """A foreign text made fit for one line of an error: no secrets, no control characters, of bounded length."""
        printable = "".join(c if c.isprintable() else " " for c in text[: limit * 10])
        return redact(" ".join(printable.split()), [self.credential.reveal()], limit=limit)


@record
class Answer:
    """Status, headers (any case) and body of one HTTP response."""

    status: int
    headers: Mapping[str, str]
    data: bytes


def judge(answer: Answer, server: Server, what: str) -> None:
    """Raises the ForgeFailure that a status means; 2xx passes. `what` is the subject of the call."""
    status, host = answer.status, server.host
    if 200 <= status < 300:
        return
    said = message_of(answer, server)
    tail = f": {said}" if said else ""
    if status == 429 or (status == 403 and _is_limit(answer, said)):
        raise _limited(answer, server)
    if status == 401:
        raise _unauthorised(server)
    if status == 403:
        raise ForgeForbidden(f"{host} forbids it ({what}){tail}", _rights(server))
    if status in (404, 405, 410):  # 405: an older server has another request below that path
        raise ForgeNotFound(f"{host} has no {what}", _not_found_hint(server))
    if status >= 500:
        wait = _retry_after(answer, server)
        raise ForgeBroken(
            f"{host} is in trouble ({status}){tail}",
            _LATER,
            uncertain=True,
            again=status != 501,
            retry_at=_utc(server.now() + wait) if wait is not None else None,
            wait=wait or 0.0,
        )
    raise ForgeRefused(f"{host} refuses it ({status}, {what}){tail}")


def judge_query(found: Fields, answer: Answer, server: Server, what: str) -> None:
    """Raises the ForgeFailure that the errors of a GraphQL answer mean, which come with status 200; none passes."""
    errors = found.list("errors")
    if any(error.text("type", "") == "RATE_LIMITED" for error in errors):
        raise _limited(answer, server)
    if errors:
        said = server.clean("; ".join(error.text("message", "") for error in errors))
        raise ForgeForbidden(f"{server.host} does not tell it ({what}): {said}", _rights(server))


def json_of(answer: Answer, server: Server, *, uncertain: bool) -> object:
    """The body as JSON. Raises ForgeBroken, which tells a web page from other things."""
    try:
        return orjson.loads(answer.data)
    except orjson.JSONDecodeError:
        page = answer.data.lstrip()[:1] == b"<" or is_page(answer)
        form = "a web page" if page else "nothing" if not answer.data.strip() else "something else"
        raise ForgeBroken(
            f"{server.host} answers with {form} instead of JSON", _WRONG_URL, uncertain=uncertain
        ) from None


def is_page(answer: Answer) -> bool:
    """Whether the server says that it is a web page."""
    return "html" in answer.headers.get("content-type", "")


def message_of(answer: Answer, server: Server) -> str:
    """The server's message about a failure, in one line without secrets; empty if there is none to read."""
    try:
        value = orjson.loads(answer.data)
    except orjson.JSONDecodeError:
        return ""  # a web page or nothing: the status says it all
    if not isinstance(value, dict):
        return ""
    parts = [value.get("message") or value.get("detail") or value.get("title")]
    errors = value.get("errors")
    for error in errors if isinstance(errors, list) else ():
        parts.append(error if isinstance(error, str) else _github_error(error))
    return server.clean("; ".join(part for part in parts if isinstance(part, str) and part))


def redirected(answer: Answer, server: Server, method: str, url: str) -> str:
    """The URL to go on with. Raises ForgeBroken when it leads to another server, or to a less safe connection."""
    try:
        here, target = urlsplit(url), urlsplit(urljoin(url, answer.headers.get("location", "")))
        ports = (here.port or _PORTS.get(here.scheme), target.port or _PORTS.get(target.scheme))
    except ValueError:
        raise ForgeBroken(f"{server.host} redirects to an invalid URL", _WRONG_URL) from None
    same = target.scheme == here.scheme and ports[0] == ports[1]
    safer = (here.scheme, target.scheme) == ("http", "https") and ports == (80, 443)
    if (
        target.hostname != here.hostname
        or not (same or safer)
        or "@" in target.netloc
        or not answer.headers.get("location")
    ):
        place = server.clean(f"{target.scheme}://{target.hostname}", 120)
        raise ForgeBroken(f"{server.host} redirects to {place}, where kugetsu does not follow", _WRONG_URL)
    if method != "GET" and answer.status not in (307, 308):
        raise ForgeBroken(f"{server.host} redirects a request with a body ({answer.status})", _WRONG_URL)
    return target.geturl()


def stored_at(answer: Answer, server: Server, url: str) -> str:
    """The signed URL, on any host, where a log is stored that was asked for at `url`. Raises ForgeBroken for one that
    is less safe than the forge's own, or that names an account."""
    try:
        here, target = urlsplit(url), urlsplit(urljoin(url, answer.headers.get("location", "")))
        valid = bool(target.hostname) and target.port != 0 and "@" not in target.netloc
    except ValueError:
        valid = False
    if not valid or not answer.headers.get("location") or target.scheme not in ("https", here.scheme):
        raise ForgeBroken(f"{server.host} redirects to a log at an invalid or unsafe URL", _WRONG_URL)
    return target.geturl()


def judge_stored(answer: Answer, server: Server) -> Answer:
    """The answer of the place where a log is stored, if it is the log. Raises ForgeBroken: whatever that place says of
    limits or rights is not about the forge."""
    if answer.status != 200:
        fault = f"the place where {server.host} stores logs does not give one ({answer.status})"
        raise ForgeBroken(fault, _LATER, again=answer.status >= 500)
    return answer


def has_more(answer: Answer, count: int, total: int, *, full: bool) -> bool:
    """True if a list continues after this page.

    `count` were read so far; `total` is the body's, -1 for none. `full`: the page has as many as one can have, which
    counts when neither header says how the list goes on.
    """
    link, stated = answer.headers.get("link"), answer.headers.get("x-total-count", "")
    if link is not None and 'rel="next"' in link.replace("rel=next", 'rel="next"'):
        return True
    if stated.isascii() and stated.isdigit() and len(stated) < 10:
        total = max(total, int(stated))
    if link is None and total < 0:
        return full
    return count < total


def last_page(answer: Answer) -> int:
    """The number of a list's last page, where the Link header of another page names it; else 0."""
    found = _LAST.search(answer.headers.get("link", ""))
    return int(found[1]) if found else 0


def etag_of(answer: Answer) -> str:
    """The answer's ETag; empty if it has none that can be kept."""
    tag = answer.headers.get("etag", "").strip()
    return tag if len(tag) <= _LONGEST_ETAG and tag.isascii() and tag.split() == [tag] else ""


def used_up(answer: Answer, now: float) -> float:
    """Seconds for which no more requests are allowed, where a good answer says that it was the last one; else 0."""
    headers = answer.headers
    if answer.status >= 400 or headers.get("x-ratelimit-remaining") != "0":
        return 0.0
    if headers.get("x-ratelimit-resource", "core") != "core":
        return 0.0  # searches and GraphQL have budgets of their own
    return _wait(answer, now) if "x-ratelimit-reset" in headers else 0.0


def unreachable(error: urllib3.exceptions.HTTPError, server: Server, timeout: urllib3.Timeout) -> ForgeFailure:
    """The failure of a request that got no whole answer."""
    import ssl

    import urllib3.exceptions as kinds

    host = server.host
    if isinstance(error, kinds.LocationValueError):
        return ForgeUnreachable(f"{host}: {server.clean(server.api)} is not a valid URL", _WRONG_URL)
    if isinstance(error, kinds.NameResolutionError):
        return ForgeUnreachable(f"{host} is not known (DNS)", "check the spelling and the network")
    if isinstance(error, kinds.ProxyError):
        cause = error.original_error
        text = (cause.strerror or str(cause)) if isinstance(cause, OSError) else "no connection to it"
        return ForgeUnreachable(
            f"{host} is not reached through the proxy: {server.clean(text)}",
            "check HTTPS_PROXY, or add the host to NO_PROXY",
        )
    if isinstance(error, kinds.NewConnectionError):
        reason = error.__cause__ if isinstance(error.__cause__, OSError) else None
        text = reason_of(reason) if reason is not None else "no connection"
        return ForgeUnreachable(
            f"{host} does not answer: {server.clean(text)}", "is the server up, and the port right?"
        )
    if isinstance(error, kinds.ConnectTimeoutError):
        waited = timeout.connect_timeout
        return ForgeUnreachable(f"{host} does not answer: no connection within {waited:.3g} s", _LATER)
    if isinstance(error, kinds.SSLError):
        cause = error.args[0] if error.args else error
        bad = isinstance(cause, ssl.SSLCertVerificationError)
        text = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else str(cause)
        hint = (
            f"name the file of the authority that signed it: kugetsu server add {host} URL --ca FILE (or SSL_CERT_FILE)"
        )
        return ForgeUnreachable(
            f"{host}: no safe connection (TLS): {server.clean(text)}", hint if bad else None, uncertain=not bad
        )
    if isinstance(error, kinds.TimeoutError):
        waited = timeout.read_timeout
        return ForgeUnreachable(f"{host} gave no answer within {waited:.3g} s", _LATER, uncertain=True)
    if isinstance(error, kinds.DecodeError):
        return ForgeBroken(f"{host} sent an answer that cannot be unpacked", _WRONG_URL, uncertain=True)
    return ForgeUnreachable(f"{host} cut the connection", _LATER, uncertain=True, again=True)


def _github_error(error: object) -> str:
    if not isinstance(error, dict):
        return ""
    return " ".join(str(error[key]) for key in ("resource", "field", "code", "message") if error.get(key))


def _is_limit(answer: Answer, said: str) -> bool:
    """GitHub answers 403 to too many requests too; its headers, or for some only its message, tell."""
    headers = answer.headers
    return headers.get("x-ratelimit-remaining") == "0" or "retry-after" in headers or "rate limit" in said.lower()


def _limited(answer: Answer, server: Server) -> ForgeLimited:
    return limited(server, _wait(answer, server.now()))


def limited(server: Server, wait: float) -> ForgeLimited:
    """The failure of a request that comes so many seconds too early."""
    retry_at = _utc(server.now() + wait)
    hint = "try again after that"
    if not server.credential.reveal():
        hint = f"with a token more requests are allowed: put {server.credential.variable} into {PLACE}"
    return ForgeLimited(f"{server.host} accepts no requests until {retry_at}", hint, retry_at=retry_at, wait=wait)


def _wait(answer: Answer, now: float) -> float:
    """Seconds to wait: Retry-After (seconds or an HTTP date), else x-ratelimit-reset, else a minute; a day at most.
    Times are those of the server's clock, which its answer tells: this machine's may be wrong."""
    there = now + (_seconds(answer.headers.get("date", ""), now) or 0.0)
    stated = _seconds(answer.headers.get("retry-after", ""), there)
    if stated is None:
        reset = answer.headers.get("x-ratelimit-reset", "")
        is_epoch = reset.isascii() and reset.isdigit() and len(reset) <= 11
        # The server's clock is told in whole seconds: one second more is better than one too early.
        stated = int(reset) - there + 1 if is_epoch else _UNSTATED
    return min(max(stated, 0.0), _DAY)


def _seconds(text: str, now: float) -> float | None:
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    if not text:
        return None

    try:
        return parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError):
        return None


def _retry_after(answer: Answer, server: Server) -> float | None:
    """Seconds to wait, a day at most; None where the server does not say."""
    seconds = _seconds(answer.headers.get("retry-after", ""), server.now())
    return min(max(seconds, 0.0), _DAY) if seconds is not None else None


def _utc(seconds: float) -> str:
    """UTC text, in seconds, of a time since 1970."""
    return clock.from_epoch(seconds)[:19] + "Z"


def _unauthorised(server: Server) -> ForgeUnauthorised:
    credential = server.credential
    if credential.reveal():
        return ForgeUnauthorised(
            f"{server.host} does not take the token in {credential.variable}",
            f"it may have expired: put a new one into {PLACE}",
        )
    if credential.held_back:
        return ForgeUnauthorised(
            f"{server.host} requires a token, and {credential.variable} was not sent: {credential.held_back}",
            "name the server's URL in the setting GIT_SERVERS if it may have the token",
        )
    return ForgeUnauthorised(
        f"{server.host} requires a token, and none is set", f"put {credential.variable}=… into {PLACE}"
    )


def _rights(server: Server) -> str:
    if server.credential.reveal():
        return f"give the token in {server.credential.variable} the right to it, or use another account's"
    return f"put {server.credential.variable}=… into {PLACE}"


def _not_found_hint(server: Server) -> str:
    credential = server.credential
    if credential.reveal():
        return f"check the name; what the token in {credential.variable} may not see looks the same"
    private = "check the name; without a token a private repository looks the same"
    if credential.held_back:
        return f"{private}, and the token was not sent: {credential.held_back}"
    return f"{private}: put {credential.variable}=… into {PLACE}"
