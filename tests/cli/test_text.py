"""Text for a terminal: harmless, measured, cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.views import times
from kugetsu.views.screen import Screen
from kugetsu.views.tables import Column, table
from kugetsu.views.text import block, columns, cut, line, pad
from kugetsu.views.wrap import folded


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


HEADS = [Column("ID"), Column("ISSUE", gives=True), Column("TEXT", gives=True), Column("N", right=True)]
ROWS = [["q1", "o" * 50, "設計" * 60, "3"], ["q22", "short", "short", "12345"]]


def test_a_table_gives_way_where_it_may_and_never_is_too_wide():
    for width in range(60, 150):
        shown = table(Screen(width=width), HEADS, ROWS)
        assert all(columns(row) <= width for row in shown)
        assert shown[1].startswith("q1 ") and shown[2].endswith("12345")


def test_a_table_on_a_telephone_goes_on_below_its_rows_and_cuts_nothing():
    for width in range(40, 60):
        shown = table(Screen(width=width), HEADS, ROWS)
        assert all(columns(row) <= width for row in shown)
        assert shown[0].split() == ["ID", "N"] and shown[1].split() == ["q1", "3"]
        second = next(at for at, row in enumerate(shown) if row.startswith("q22"))
        assert shown[second].endswith("12345") and shown[second + 1 :] == ["  short  short"]
        assert "".join(row.strip() for row in shown[2:second]) == ROWS[0][1] + ROWS[0][2]


def test_a_table_that_fits_a_telephone_stays_a_table():
    shown = table(Screen(width=40), HEADS, [["q1", "a/b#1", "mend it", "3"]])
    assert shown == ["ID  ISSUE  TEXT     N", "q1  a/b#1  mend it  3"]


def test_numbers_that_go_below_keep_their_titles_and_empty_ones_go():
    heads = [Column("HELD BY"), *(Column(title, right=True) for title in ("WAITS", "TOTAL", "MEDIAN", "LONGEST"))]
    shown = table(
        Screen(width=30), heads, [["dependencies", "1", "8h52m", "8h52m", "8h52m"], ["turn", "2", "5s", "-", "5s"]]
    )
    assert shown == [
        "HELD BY       WAITS  TOTAL",
        "dependencies      1  8h52m",
        "  median 8h52m  longest 8h52m",
        "turn              2     5s",
        "  longest 5s",
    ]


def test_a_long_name_takes_no_room_from_the_others():
    heads = [Column("SESSION"), Column("STATE"), Column("LAST", right=True)]
    shown = table(Screen(width=40), heads, [["a/b#1", "idle", "5s"], ["owner-" * 7 + "/r#2", "working", "1h12m"]])
    assert shown == [
        "SESSION  STATE     LAST",
        "a/b#1    idle        5s",
        "owner-owner-owner-owner-owner-owner-owne",
        "r-/r#2",
        "         working  1h12m",
    ]


def test_what_is_typed_is_cut_in_no_table():
    heads = [Column("", gives=True), Column("", gives=True), Column("", whole=True)]
    command = "kugetsu history github.com/a-long-owner/a-long-repository#1234"
    for width in range(40, 150):
        shown = table(Screen(width=width), heads, [["q1", "text " * 30, command]], titles=False)
        assert all(columns(row) <= width for row in shown)
        assert command.replace(" ", "") in "".join("".join(shown).split())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("next: when q3.1 ends        why: kugetsu why q3", ["next: when q3.1 ends", "why: kugetsu why q3"]),
        ("queue   4 pending, 1 parked, 12 completed", ["queue   4 pending, 1 parked,", "        12 completed"]),
        (
            "no daemon runs, start it: kugetsu queue-daemon start",
            ["no daemon runs, start it:", "  kugetsu queue-daemon start"],
        ),
        (
            "    → kugetsu why q7, or: kugetsu queue retry q7",
            ["    → kugetsu why q7, or:", "      kugetsu queue retry q7"],
        ),
        ("a/b#1 · error · 3 attempts · 1h27m", ["a/b#1 · error · 3 attempts ·", "  1h27m"]),
        ("it is in /home/shoko/.kugetsu/worktrees/1", ["it is in", "  /home/shoko/.kugetsu/worktre", "  es/1"]),
        (
            "\x1b[1mone two three four five \x1b[31msix seven\x1b[0m",
            ["\x1b[1mone two three four five \x1b[31msix\x1b[0m", "  \x1b[31mseven\x1b[0m"],
        ),
    ],
)
def test_a_line_that_is_too_wide_goes_on_below(text, shown):
    assert list(Screen(width=30).folded([text])) == shown


@given(st.text(st.sampled_from("ab ·設é\u0301:,"), max_size=90), st.integers(8, 79), st.booleans())
def test_a_fold_loses_nothing_and_fits(text, width, painted):
    shown = folded(f"x{text}\x1b[0m" if painted else text, width)
    plain = [row.replace("\x1b[0m", "") for row in shown]
    assert all(columns(row) <= width for row in plain)
    assert "".join("".join(plain).split()) == "".join(("x" * painted + text).split())


def test_at_a_desk_only_statements_are_parted():
    path = "/home/shoko/" + "long/" * 20
    lines = [
        f"wrote {path}",
        "as of event 91        " + "why: kugetsu why q7 --at 91        " + "up to now: kugetsu history q7",
    ]
    shown = list(Screen(width=80).folded(lines))
    assert shown == [lines[0], "as of event 91", "why: kugetsu why q7 --at 91", "up to now: kugetsu history q7"]


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
