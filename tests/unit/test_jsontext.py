"""JSON by the interpreter's own parts: the same values, the same refusals as orjson's."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.model import jsontext

numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
plain = st.none() | st.booleans() | numbers | st.text(st.characters(codec="utf-8"))
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=9), inner, max_size=5)
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a short command, which has not imported orjson."""
    monkeypatch.setattr(jsontext, "_is_small", lambda size: True)


@given(values)
def test_what_one_writes_the_other_reads(value: Any) -> None:
    assert orjson.loads(jsontext.dumps(value)) == value
    assert jsontext.loads(orjson.dumps(value)) == value
    assert jsontext.loads(jsontext.dumps(value)) == value


@given(values.filter(lambda value: not isinstance(value, float)))
def test_texts_and_whole_numbers_are_written_alike(value: Any) -> None:
    if not _has_floats(value):
        assert jsontext.dumps(value) == orjson.dumps(value)


def _has_floats(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_floats, value.values()))
    return any(map(_has_floats, value)) if isinstance(value, list) else isinstance(value, float)


@pytest.mark.parametrize(
    "data",
    [b"", b" ", b"{", b"[1,]", b'{"a":1,}', b"nul", b'"\n"', b"\xff", b'"\xff"', b"[1] x", b"NaN", b"-Infinity", b"01"],
)
def test_what_is_no_json_is_refused_by_both(data: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(data)
    with pytest.raises(jsontext.JSONError, match="at byte"):
        jsontext.loads(data)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_alike_or_refused_by_both(data: bytes) -> None:
    try:
        wanted = orjson.loads(data)
    except orjson.JSONDecodeError:
        with pytest.raises(jsontext.JSONError):
            jsontext.loads(data)
    else:
        assert jsontext.loads(data) == wanted


def test_a_deep_nest_is_refused_by_both() -> None:
    data = b"[" * 100_000 + b"]" * 100_000
    with pytest.raises(jsontext.JSONError):
        jsontext.loads(data)


FORMLESS = {
    "text": "\udce9",
    "text in a list": {"a": ["\udce9"]},
    "bytes": b"bytes",
    "object": object(),
    "set": {"a": {1, 2}},
}


@pytest.mark.parametrize("value", FORMLESS.values(), ids=FORMLESS)
def test_what_has_no_form_is_refused_as_orjson_refuses_it(value: Any) -> None:
    with pytest.raises(TypeError) as wanted:
        orjson.dumps(value)
    with pytest.raises(TypeError) as refused:
        jsontext.dumps(value)
    assert str(refused.value) == str(wanted.value)


def test_what_is_no_number_is_null() -> None:
    assert jsontext.dumps([math.nan, math.inf]) == orjson.dumps([math.nan, math.inf]) == b"[null,null]"


@pytest.mark.parametrize(("size", "imported"), [(1000, "False"), (jsontext.LARGE, "True")])
def test_orjson_is_imported_only_where_there_is_much(size: int, imported: str) -> None:
    code = (
        "import sys; from kugetsu.model import jsontext; "
        f"jsontext.loads(b'\"' + b'x' * {size} + b'\"'); jsontext.dumps([1]); print('orjson' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == imported


def test_what_is_no_json_is_refused_where_the_module_json_was_not_imported() -> None:
    code = """
import sys
from kugetsu.model import jsontext
for text in (b'{"a":"b"x}', b'{"a":"b,"c":1}', b'"\\x01"', b'[1 2]', b''):
    try:
        jsontext.loads(text)
    except jsontext.JSONError as refused:
        assert "at byte" in str(refused)
    assert sys.modules.pop("orjson", None)  # the next one finds the process as the first did
    sys.modules.pop("json", None), sys.modules.pop("json.decoder", None)
    jsontext._seen = 0
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
