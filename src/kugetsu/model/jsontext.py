"""JSON for commands that live for a few hundredths of a second: orjson where there is much, the interpreter's own
scanner and encoder where there is little.

orjson reads five times as fast, but its import (it looks up dataclasses, uuid, enum, zoneinfo …) takes 11 ms, a third
of what `kugetsu status` takes: as long as reading 2 MB with the interpreter's. What that cannot do is left to orjson,
so that the same values are taken and refused either way, but for two: numbers as keys, which are written as texts, and
whole numbers beyond 64 bits, which orjson refuses to write and reads as floats (so what comes from outside is bounded
before it gets here). Where the interpreter has no such parts, orjson does it all.
"""

from __future__ import annotations

import sys

from kugetsu.model import lean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LARGE = 1536 * 1024
"""Bytes, over the life of the process, from which orjson is worth its import."""

_seen = 0
_scan: Callable[[str, int], tuple[Any, int]] | None = None
_encode: Callable[[Any, int], tuple[str, ...]] | None = None

_json = lean.json_parts()


class JSONError(ValueError):
    """What was read is not JSON; its text says what, and at which byte."""


class _Plain:
    """How the scanner makes values: as `json.loads` does by default."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int

    def __init__(self) -> None:
        self.memo: dict[str, str] = {}

    @staticmethod
    def parse_constant(name: str) -> Any:
        """NaN and Infinity are no JSON."""
        raise ValueError(name)


def loads(data: bytes) -> Any:
    """The value of a JSON text in UTF-8. Raises JSONError."""
    if _is_small(len(data)):
        try:
            text = data.decode()
            value, end = (_scan or _make_scan())(text, 0)
            if end == len(text) or not text[end:].strip(" \t\r\n"):
                return value
        except (ValueError, StopIteration, RecursionError, SystemError):
            # orjson says what is wrong with it. SystemError: the scanner has no error to raise while nobody has
            # imported `json.decoder`, whose own it takes.
            pass
    import orjson

    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise JSONError(f"{error.msg} at byte {error.pos}") from error


def dumps(value: Any) -> bytes:
    """A value as JSON in UTF-8, without spaces. Raises TypeError for what JSON has no form for."""
    if _is_small(0):
        try:
            return "".join((_encode or _make_encode())(value, 0)).encode()
        except (TypeError, ValueError, RecursionError):
            pass  # orjson knows more types, and says what it does not know
    import orjson

    return orjson.dumps(value)


def _is_small(size: int) -> bool:
    """Whether the interpreter's own parts are the better choice for ``size`` more bytes."""
    global _seen
    _seen += size
    return _seen < LARGE and _json is not None and "orjson" not in sys.modules


def _make_scan() -> Callable[[str, int], tuple[Any, int]]:
    global _scan
    make: Any = _json.make_scanner
    _scan = make(_Plain())
    return _scan


def _make_encode() -> Callable[[Any, int], tuple[str, ...]]:
    global _encode
    make: Any = _json.make_encoder
    _encode = make(None, _unknown, _json.encode_basestring, None, ":", ",", False, False, False)
    return _encode


def _unknown(value: Any) -> Any:
    raise TypeError(type(value).__name__)
