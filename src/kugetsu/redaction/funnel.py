"""The one funnel through which texts pass before they are kept or shown: secrets are taken out.

It knows secrets by their place and their shape (`patterns`), and those that it is told: the values of the env
files and of this process's environment (`know`), in the forms that programs print them in (as they are, URL-encoded,
in base64 …). What it cannot know: a secret without a shape that nobody told it, one that was encrypted, compressed or
spelled otherwise, and halves of one that are not beside each other.

HOT: most texts of every command are only looked at (`suspicious`, 2 µs); patterns are loaded for those that need it.
"""

from __future__ import annotations

from kugetsu.model import REDACTED as MARK
from kugetsu.redaction import known_values
from kugetsu.redaction.known_values import SHORTEST, know, names_secret, secrets_among, secrets_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = [
    "CUT",
    "MARK",
    "SHORTEST",
    "Lines",
    "clean",
    "know",
    "redact",
    "redact_head",
    "redact_shapes",
    "redact_unfinished",
    "secrets_among",
    "secrets_of",
    "suspicious",
]

_SIGNS = ("authorization", "x-api-key", "private-token", "cookie", "-u ", "-u=", "-user")
"""Beside words and shapes, what a text with a secret in it may hold, in small letters."""
_BEFORE_VALUE = (
    "token",
    "secret",
    "passwd",
    "password",
    "passphrase",
    "key",
    "credential",
    "_pass",
    "_pat",
    "_auth",
    "_pwd",
)
_QUERY = ("?key=", "&key=", "?sig=", "&sig=", "signature=", "?auth=", "&auth=")
_PREFIXES = (
    *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "gl", "sk-", "sk_", "rk_", "xox", "xapp-", "AKIA", "ASIA"),
    *("AIza", "ya29.", "npm_", "hf_", "pypi-", "dckr_pat_", "AGE-SECRET-KEY-", "eyJ"),
)
_GLUED = (
    *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-"),
    *("glimt-", "gloas-", "glsoat-", "glagent-", "glrtr-", "sk-ant-", "sk-proj-", "sk-or-", "sk-svcacct-", "sk-admin-"),
    *("sk_live_", "sk_test_", "rk_live_", "rk_test_", "xox", "xapp-", "AKIA", "ASIA", "AIza", "ya29.", "npm_", "hf_"),
    *("pypi-", "dckr_pat_", "AGE-SECRET-KEY-", ".eyJ"),
)
"""What begins a secret wherever it is, also behind letters."""
CUT = "…"
"""The sign of a cut. Whoever cuts a text that is not redacted yet leaves it there: beside it halves of known values are
looked for."""
_REMEMBERED = 16
_done: dict[str, tuple[str, ...]] = {}
"""The latest texts that patterns have seen, with the forms that were taken out before."""


def redact(text: str, secrets: Iterable[str] = (), *, limit: int | None = None) -> str:
    """The text without its secrets, cut to `limit` characters (with a note of how many were left out).

    `secrets` are values known to be secret, beside those of `know`; those shorter than SHORTEST are not looked for.
    """
    return _redacted(text, known_values.forms(secrets), limit)


def redact_unfinished(text: str) -> str:
    """A text that is still being written without its secrets: it may end in the middle of one."""
    return redact(text + CUT).removesuffix(CUT)


def redact_head(text: str, most: int) -> str:
    """The first ``most`` characters without their secrets, for a text that is too long to be redacted as a whole."""
    return redact(text if len(text) <= most else text[:most] + CUT)


def redact_shapes(text: str) -> str:
    """The text without what looks like a secret; known values are not looked for (that reads the env files)."""
    return _redacted(text, (), None)


def _redacted(text: str, forms: tuple[str, ...], limit: int | None) -> str:
    if _done.get(text) != forms:
        if forms:
            text = known_values.take_out(text, forms)
        if _looks_suspicious(text):
            from kugetsu.redaction.patterns import take_out

            text = take_out(text)
            _remember(text, forms)
    if limit is not None and len(text) > limit:
        text = f"{text[:limit]}… ({len(text) - limit} characters more)"
    return text


def _remember(text: str, forms: tuple[str, ...]) -> None:
    """What was redacted comes again: the log's guard sees it under the lock, where nobody should wait for patterns."""
    if len(_done) >= _REMEMBERED:
        _done.clear()  # at once: other threads redact too
    _done[text] = forms


def clean(value: Any, secrets: Iterable[str] = ()) -> Any:
    """A JSON value without its secrets, in its texts and its keys; what a key calls a secret goes as a whole."""
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, dict):
        return {_clean_key(key, secrets): _clean_member(key, one, secrets) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [clean(one, secrets) for one in value]
    return value


def _clean_key(key: Any, secrets: Iterable[str]) -> Any:
    return redact(key, secrets) if isinstance(key, str) else key


def _clean_member(key: Any, value: Any, secrets: Iterable[str]) -> Any:
    if isinstance(value, str) and value and isinstance(key, str) and names_secret(key):
        return MARK
    return clean(value, secrets)


class Lines:
    """Redacts a text that comes line by line: a private key goes on over several."""

    __slots__ = ("_in_key",)

    def __init__(self) -> None:
        self._in_key = False

    def redact_all(self, raw: Iterable[bytes]) -> list[bytes]:
        """The next lines of an agent's file; of those that come together also what was wrapped over several."""
        shown: list[bytes] = []
        plain: list[str] = []
        for one in (*raw, b"{"):
            if one.startswith(b"{"):
                together = redact("\n".join(plain)).split("\n") if plain else []
                shown += [line.encode("utf-8", "surrogateescape") for line in together]
                plain.clear()
                shown.append(self.redact_bytes(one))
            else:
                plain.append(self.redact(one.decode("utf-8", "surrogateescape")))
        return shown[:-1]

    def redact_bytes(self, raw: bytes) -> bytes:
        """The next line of a file of an agent's, which may be a JSON object and then stays one."""
        text = raw.decode("utf-8", "surrogateescape")
        if text.startswith("{") and not self._in_key and suspicious(text):
            import orjson

            try:
                return orjson.dumps(clean(orjson.loads(raw)))
            except orjson.JSONDecodeError:  # a line that only looks like one
                return self.redact(text).encode("utf-8", "surrogateescape")
        return self.redact(text).encode("utf-8", "surrogateescape")

    def redact(self, line: str) -> str:
        """The next line without its secrets."""
        if self._in_key:
            _, mark, rest = line.partition("-----END ")
            self._in_key = not mark
            return MARK + redact(rest.partition("-----")[2]) if mark else MARK
        shown = redact(line)
        begun = line.rpartition("-----BEGIN ")[2] if "PRIVATE KEY" in line and "-----BEGIN " in line else ""
        self._in_key = bool(begun) and "-----END " not in begun
        return shown


def suspicious(text: str) -> bool:
    """Whether `redact` may change the text: a quick look. False means that it does not."""
    forms = known_values.forms(())
    return _looks_suspicious(text) or (bool(forms) and known_values.take_out(text, forms) != text)


# --- the quick look -------------------------------------------------------------------------------------------------


def _looks_suspicious(text: str) -> bool:
    if len(text) < SHORTEST:
        return False
    if "@" in text and "://" in text:
        return True
    low = text.lower()
    if any(sign in low for sign in _SIGNS) or "bearer" in low or "basic" in low or "private key" in low:
        return True
    if ("=" in low and any(sign in low for sign in _QUERY)) or ("login" in low and "password" in low):
        return True
    if any(word in low and _is_followed_by_value(low, word) for word in _BEFORE_VALUE):
        return True
    if any(prefix in text and _begins_shape(text, prefix) for prefix in _PREFIXES) or ":AA" in text:
        return True
    return any(prefix in text for prefix in _GLUED)


def _is_followed_by_value(low: str, word: str) -> bool:
    """Whether that name is given something: `=` and anything, `:` and what is quoted or long, `--name` and a space."""
    at = low.find(word)
    while at >= 0:
        rest = low[at + len(word) : at + len(word) + 40].removeprefix("s")
        if rest[:1].isspace() and "-" in low[max(0, at - 42) : at]:
            return True
        rest = rest.lstrip("\\\"' \t\n\r\f\v")
        if rest[:1] == "=":
            return True
        if rest[:1] == ":":
            given = rest[1:].lstrip()
            if given[:1] in "\"'\\" or len(given.partition(" ")[0].partition(",")[0].partition("\n")[0]) >= 8:
                return True
        at = low.find(word, at + len(word))
    return False


def _begins_shape(text: str, prefix: str) -> bool:
    """Whether such a prefix begins a word that goes on for some characters."""
    at = text.find(prefix)
    while at >= 0:
        begun = text[at + len(prefix) : at + len(prefix) + 4]
        if (
            (at == 0 or not (text[at - 1].isascii() and text[at - 1].isalnum()))
            and len(begun) == 4
            and not begun.isspace()
        ):
            return True
        at = text.find(prefix, at + 1)
    return False
