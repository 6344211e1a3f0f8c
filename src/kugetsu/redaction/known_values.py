"""Values that are known to be secret: which ones of an environment are, how programs write them, where a text has them.

HOT: every text that is kept or shown is searched for them, so only text methods are used.
"""

from __future__ import annotations

import os.path

from kugetsu.model import REDACTED as MARK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

SHORTEST = 6
"""Characters: a shorter value (a port, "true") would blank out ordinary words all over a text."""
_MANY_CUTS = 100
_SHORTEST_CORE = 10  # letters of base64 that no other text has by chance

_WORDS = ("token", "secret", "passwd", "password", "passphrase", "credential", "apikey", "accesskey", "privatekey")
_ENDINGS = ("_key", "_pass", "_pat", "_auth", "_pwd", "_cookie")
_ORDINARY = frozenset(
    ("default", "required", "enabled", "disabled", "always", "localhost", "production", "development")
)
_TELLING = ("_URL", "_MODEL", "_OPTIONS", "_OPTS", "_VERSION", "_HOST", "_NAME", "_EMAIL", "_USER")
_SAFE_IN_URLS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

_JSON = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_DOUBLE_QUOTED = '\\"$`'
"""What a shell takes between double quotes only behind a backslash."""
_BARE = "-_./:=@%+,"
"""What a shell's printf %q leaves as it is, beside letters and digits."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

_ask: Callable[[bool], Iterable[str]] | None = None
_written: dict[str, tuple[str, ...]] = {}
_known: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
"""The values that were known last, and their forms; one object, because other threads read it too."""


def know(ask: Callable[[bool], Iterable[str]] | None) -> None:
    """Let the funnel ask for the values that are known to be secret, at each use: they may change. None: it knows none.

    ``ask`` is told whether it must look now (`refresh`), or may answer with what it knew a moment ago.
    One process works in one KUGETSU_DIR: the latest caller is the one that is asked.
    """
    global _ask
    _ask = ask


def refresh() -> None:
    """Let what is redacted next be redacted by what is known now: before something is kept for ever."""
    if _ask is not None:
        _ask(True)


# --- which values are secret ----------------------------------------------------------------------------------------


def names_secret(name: str) -> bool:
    """Whether a variable's or a field's name says that its value is secret."""
    bare = name.lower().replace("-", "").replace("_", "")
    return any(word in bare for word in _WORDS)


def _may_be_secret(name: str) -> bool:
    """The same with what only variables are called."""
    return names_secret(name) or (name.lower().endswith(_ENDINGS) and "public" not in name.lower())


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """The values of an environment whose names say that they are secret; not those that only say where one is."""
    found: list[str] = []
    names = " ".join(environment).lower()
    if not any(word in names for word in (*_WORDS, *_ENDINGS, "api", "access", "private")):
        return found  # one look at all names: most environments have none
    for name, value in environment.items():
        counts = value.isdigit() and name.lower().endswith("tokens")
        if _may_be_secret(name) and not os.path.isabs(value) and not counts:
            found.append(value)
    return found


def secrets_among(values: Mapping[str, str]) -> list[str]:
    """The values of an env file that are secret: by their names, as passwords in URLs, or because they look made up."""
    found = secrets_of(values)
    for name, value in values.items():
        password = _password_in(value)
        if password:
            found.append(password)
        elif _looks_made_up(value) and not name.upper().endswith(_TELLING):
            found.append(value)
    return [value for value in dict.fromkeys(found) if value.lower() not in _ORDINARY]


def _password_in(value: str) -> str:
    login, at, _ = value.partition("://")[2].partition("/")[0].rpartition("@")
    return login.partition(":")[2] or login if at else ""


def _looks_made_up(value: str) -> bool:
    """Long, of one piece, letters and digits mixed: no word, path, number or URL."""
    return (
        len(value) >= 12
        and not any(c in value for c in " /\\:,;")
        and any(c.isdigit() for c in value)
        and any(c.isalpha() for c in value)
    )


# --- how they are written -------------------------------------------------------------------------------------------


def forms(secrets: Iterable[str]) -> tuple[str, ...]:
    """Every form of the values that are known (`know`) and of ``secrets``, the longest first."""
    global _known
    values = tuple(_ask(False)) if _ask is not None else ()
    known = _known
    if values != known[0]:
        known = _known = (values, _forms_of(values))
    more = [secret for secret in secrets if secret not in values]
    return _forms_of([*values, *more]) if more else known[1]


def _forms_of(values: Iterable[str]) -> tuple[str, ...]:
    every = {form for value in values if len(value) >= SHORTEST for form in _each_form(value)}
    return tuple(sorted(every, key=lambda form: (-len(form), form)))


def _each_form(value: str) -> tuple[str, ...]:
    found = _written.get(value)
    if found is None:
        raw = value.encode("utf-8", "surrogateescape")
        every = [value, *_in_base64(raw), raw.hex(), raw.hex().upper()]
        if not (value.isascii() and value.isalnum()):  # what tokens are made of is written the same everywhere
            every += [*_in_urls(raw), *_escaped(value)]
        found = _written[value] = tuple(form for form in dict.fromkeys(every) if form not in MARK)
    return found


def _in_urls(raw: bytes) -> list[str]:
    upper = "".join(chr(b) if b in _SAFE_IN_URLS else f"%{b:02X}" for b in raw)
    lower = "".join(chr(b) if b in _SAFE_IN_URLS else f"%{b:02x}" for b in raw)
    return [upper, lower, upper.replace("%20", "+"), upper.replace("%2F", "/")]


def _escaped(value: str) -> list[str]:
    """As JSON (once, and once more inside of JSON), HTML, shells and Python's repr write it."""
    json = _in_json(value)
    html = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return [
        json,
        json.replace("/", "\\/"),
        _in_ascii(json),
        _in_json(json),
        html,
        html.replace('"', "&quot;"),
        html.replace('"', "&quot;").replace("'", "&#x27;"),
        html.replace('"', "&#34;").replace("'", "&#39;"),
        value.replace("'", "'\\''"),  # quoted for a shell, as people do
        value.replace("'", "'\"'\"'"),  # and as shlex does
        "".join(f"\\{c}" if c in _DOUBLE_QUOTED else c for c in value),
        "".join(c if c.isalnum() or c in _BARE or c > "~" else f"\\{c}" for c in value),  # printf %q
        *(written(value)[1:-1] for written in (repr, ascii)),
        *(written('"' + value)[2:-1] for written in (repr, ascii)),  # as before, but surely between single quotes
        repr(value.encode("utf-8", "surrogateescape"))[2:-1],
    ]


def _in_json(value: str) -> str:
    """By hand: importing what does it would take longer than all the rest of a short command."""
    return "".join(_JSON.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in value)


def _in_ascii(json: str) -> str:
    """What is not ASCII in escapes, two of them for what lies beyond 16 bits."""
    return "".join(
        c
        if c < "\x7f"
        else "".join(f"\\u{unit:04x}" for unit in memoryview(c.encode("utf-16-le", "surrogatepass")).cast("H"))
        for c in json
    )


def _in_base64(raw: bytes) -> list[str]:
    """The letters that stand for it whatever is before and behind it (`user:password`), for each of three places."""
    found = []
    for before in range(3):
        letters = _base64(b"\0" * before + raw)
        core = letters[(0, 2, 3)[before] : len(letters) - bool((before + len(raw)) % 3)]
        if len(core) >= _SHORTEST_CORE:
            found += [core, core.replace("+", "-").replace("/", "_")]
    return found


def _base64(raw: bytes) -> str:
    """Without the signs that fill it up. By hand: the module that does it is a library whose loading takes 0.3 ms."""
    number = int.from_bytes(raw + b"\0" * (-len(raw) % 3), "big")
    count = (len(raw) + 2) // 3 * 4
    letters = [_LETTERS[number >> 6 * place & 63] for place in range(count - 1, -1, -1)]
    return "".join(letters[: -(-len(raw) * 4 // 3)])


# --- taking them out ------------------------------------------------------------------------------------------------


def holds(text: str, value: str) -> bool:
    """Whether a text holds this value, in any form that would be taken out."""
    return take_out(text, _forms_of([value])) != text


def take_out(text: str, forms: tuple[str, ...]) -> str:
    """The text without those forms (the longest first): as they are, wrapped over lines, and cut by whoever cut it."""
    for form in forms:
        if form in text:
            text = text.replace(form, MARK)
    if "\n" in text or "\r" in text:
        text = _without_wrapped(text, forms)
    for sign in ("…", "..."):
        if sign in text:
            text = _without_cut(text, sign, forms)
    return text


def _without_wrapped(text: str, forms: tuple[str, ...]) -> str:
    squeezed = "".join(text.split())
    for form in forms:
        bare = "".join(form.split())
        if len(bare) >= SHORTEST and bare in squeezed:
            import re

            text = re.sub(r"(?:[ \t]*+[\r\n]++[ \t]*+)?+".join(map(re.escape, bare)), MARK, text)
    return text


def _without_cut(text: str, sign: str, forms: tuple[str, ...]) -> str:
    """Whoever cut the text may have cut a secret: its beginning is before the sign of the cut, or its end behind."""
    parts = text.split(sign)
    pieces = _pieces(forms) if len(parts) > _MANY_CUTS else None
    for at, part in enumerate(parts):
        if at < len(parts) - 1 and (pieces is None or part.rstrip()[-SHORTEST:] in pieces):
            part = _without_beginning(part, forms)
        if at and (pieces is None or part.lstrip()[:SHORTEST] in pieces):
            part = _without_end(part, forms)
        parts[at] = part
    return sign.join(parts)


def _pieces(forms: tuple[str, ...]) -> frozenset[str]:
    """All that SHORTEST characters of a form can be: a text with a sign on every line is looked through by it, since
    each look at all forms takes 50 µs when there are many."""
    return frozenset(form[at : at + SHORTEST] for form in forms for at in range(len(form) - SHORTEST + 1))


def _without_beginning(part: str, forms: tuple[str, ...]) -> str:
    """``part`` without the beginning (SHORTEST characters at least) of a form that it ends with."""
    core = part.rstrip()
    last = core[-SHORTEST:]
    for form in forms:
        if len(last) == SHORTEST and last in form:
            for size in range(min(len(form), len(core)), SHORTEST - 1, -1):
                if core.endswith(form[:size]):
                    return core[:-size] + MARK + part[len(core) :]
    return part


def _without_end(part: str, forms: tuple[str, ...]) -> str:
    core = part.lstrip()
    first = core[:SHORTEST]
    for form in forms:
        if len(first) == SHORTEST and first in form:
            for size in range(min(len(form), len(core)), SHORTEST - 1, -1):
                if core.startswith(form[-size:]):
                    return part[: len(part) - len(core)] + MARK + core[size:]
    return part
