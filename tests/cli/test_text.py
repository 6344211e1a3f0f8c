"""Text for a terminal: harmless, measured, cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.views import times
from kugetsu.views.screen import Screen
from kugetsu.views.text import Column, block, columns, cut, line, pad, table


@given(st.text())
def test_a_line_is_one_harmless_line(text):
    shown = line(text)
    assert "\n" not in shown and not any(c < " " or "\x7f" <= c <= "\x9f" for c in shown)
    assert not any("\u202a" <= c <= "\u202e" or "\u2066" <= c <= "\u2069" for c in shown)
    assert shown == line(shown)


@given(st.text())
def test_a_block_keeps_its_lines_and_no_control_character(text):
    for shown in block(text):
        assert not any(c < " " or "\x7f" <= c <= "\x9f" for c in shown)


@given(st.text(), st.integers(0, 40))
def test_a_cut_text_fits(text, width):
    assert columns(cut(line(text), width)) <= width


@pytest.mark.parametrize(
    ("text", "taken"),
    [("abc", 3), ("設計", 4), ("🛠", 1), ("👩", 2), ("é", 1), ("e\u0301", 1), ("👩\u200d💻", 4), ("", 0)],
)
def test_columns_are_a_terminals(text, taken):
    assert columns(text) == taken


def test_padding_counts_columns():
    assert pad("設計", 6) == "設計  " and pad("1", 3, right=True) == "  1"


def test_a_table_gives_way_where_it_may_and_never_is_too_wide():
    heads = [Column("ID"), Column("ISSUE", gives=True), Column("TEXT", gives=True), Column("N", right=True)]
    rows = [["q1", "o" * 50, "設計" * 60, "3"], ["q22", "short", "short", "12345"]]
    for width in range(40, 150):
        shown = table(Screen(width=width), heads, rows)
        assert all(columns(row) <= width for row in shown)
        assert shown[1].startswith("q1 ") and shown[2].endswith("12345")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.4s"), (41, "41s"), (542, "9m02s"), (7440, "2h04m"), (273_600, "3d04h"), (-1, "0.0s"), (59.9, "59s")],
)
def test_durations(seconds, text):
    assert times.duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (950, "950"),
        (1200, "1.2k"),
        (88_000, "88k"),
        (412_345, "412k"),
        (999_999, "1.0M"),
        (1_240_000, "1.2M"),
    ],
)
def test_amounts(number, text):
    assert times.amount(number) == text
