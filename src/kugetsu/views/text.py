"""Text for a terminal: made harmless, measured in columns, cut and wrapped.

What agents and users wrote, and what a foreign log holds, may have control characters that move the cursor, recolour
or retitle a terminal. Texts pass through `line` or `block` before they are laid out, and so through the redaction
funnel; every cell of a table and every line that a command prints is made harmless once more, whoever made it. Columns
are counted as a terminal does: two for a CJK character or an emoji, none for a combining mark.
"""

from __future__ import annotations

from kugetsu.redaction.funnel import clean, redact, suspicious

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ELLIPSIS = "…"
#: From so many columns on (a desk) errors, long words and what agents wrote are left to the terminal, which lets them
#: be copied in one piece.
DESK = 80
#: The codes with which `screen.Screen` paints.
COLOURS = frozenset(("0", "1", "2", "31", "32", "33"))
_JOINERS = "\u200c\u200d\ufe0e\ufe0f"  # they shape emoji and scripts, and move no cursor


def line(text: str) -> str:
    """``text`` as one harmless line: white space becomes single spaces, other unprintable characters are escaped."""
    text = redact(text)
    if text.isprintable() and "  " not in text:
        return text.strip(" ")
    return _escaped(" ".join(text.split()))


def block(text: str) -> list[str]:
    """``text`` as harmless lines, its line breaks and indents kept."""
    return [_escaped(part.expandtabs(4).rstrip()) for part in redact(text).replace("\r\n", "\n").split("\n")]


def harmless(text: str, *, colours: bool = False) -> str:
    """``text`` as one line without anything that a terminal obeys, but for kugetsu's own ``colours``."""
    if text.isprintable():
        return text
    if not colours or "\x1b[" not in text:
        return _escaped(text)
    first, *rest = text.split("\x1b[")
    shown = _escaped(first)
    for part in rest:
        code, end, after = part.partition("m")
        shown += f"\x1b[{code}m{_escaped(after)}" if end and code in COLOURS else _escaped(f"\x1b[{part}")
    return shown


def in_colours(text: str) -> str:
    """A line that git coloured, harmless: its colours and tabs stay, what would hide text or move the cursor is
    escaped."""
    if text.isprintable():
        return text
    shown, *rest = text.split("\x1b[")
    shown = _but_tabs(shown)
    for part in rest:
        code, end, after = part.partition("m")
        codes = code.split(";")
        is_colour = all(one.isascii() and one.isdigit() for one in codes if one)
        # 8 hides text, except as the number of a colour.
        hides = "8" in (one.lstrip("0") for one in codes) and not {"38", "48"} & set(codes)
        kept = bool(end) and is_colour and not hides
        shown += f"\x1b[{code}m{_but_tabs(after)}" if kept else _but_tabs(f"\x1b[{part}")
    return shown


def _but_tabs(text: str) -> str:
    return "\t".join(map(_escaped, text.split("\t")))


def json_text(data: Any, *, compact: bool = False) -> str:
    """One JSON document, redacted, without characters that a terminal obeys; ``compact``: on one line."""
    text = _as_json(data, compact)
    return json_harmless(_as_json(clean(data), compact) if suspicious(text) else text)


def _as_json(data: Any, compact: bool) -> str:
    import orjson

    try:
        return orjson.dumps(data, option=0 if compact else orjson.OPT_INDENT_2).decode()
    except TypeError:  # a path of the machine that is not Unicode text
        import json

        return json.dumps(data, indent=None if compact else 2)


def json_harmless(text: str) -> str:
    """A JSON document that says the same, with the characters that a terminal obeys written as JSON escapes."""
    if text.isascii() and "\x7f" not in text:
        return text
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() or c in _JOINERS else _json_escape(c) for c in text)


def _json_escape(c: str) -> str:
    code = c.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{code[at : at + 4]}" for at in range(0, len(code), 4))


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _JOINERS else " " if c.isspace() else ascii(c)[1:-1] for c in text)


def columns(text: str) -> int:
    """How many columns of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    return sum(_columns_of(c) for c in text)


def _columns_of(c: str) -> int:
    if c < "\u0300":
        return 1
    import unicodedata

    if c in _JOINERS or unicodedata.combining(c):
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


def cut(text: str, width: int | None) -> str:
    """``text`` within ``width`` columns, its end replaced by … when it is longer; None cuts nothing.

    The name of an issue does not lose its number: it is shortened, or left out where not even that fits.
    """
    if width is None or columns(text) <= width:
        return text
    if width < 1:
        return ""
    kept, used = [], 0
    for c in text:
        used += _columns_of(c)
        if used > width - 1:
            break
        kept.append(c)
    shown = "".join(kept)
    start = shown.rfind(" ") + 1
    word, *rest = text[start:].split(" ", 1)
    if "#" in word and "/" in word:
        from kugetsu.views.names import cut_word  # few texts are cut within one

        name = cut_word(word, width - columns(shown[:start]), last=not rest)
        if name is not None:
            return shown[:start] + name
    return shown.rstrip() + ELLIPSIS


def wrapped(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` columns, broken at spaces; a longer word is cut."""
    parts: list[str] = []
    now = ""
    for word in text.split(" "):
        if now and columns(now) + 1 + columns(word) > width:
            parts.append(now)
            now = word
        else:
            now = f"{now} {word}" if now else word
    return [cut(part, width) for part in (*parts, now)]


def pad(text: str, width: int, right: bool = False) -> str:
    """``text`` filled up with spaces to ``width`` columns, to the left of it when ``right``."""
    fill = " " * (width - columns(text))
    return fill + text if right else text + fill
