"""Names of issues that do not fit: what tells them apart is never cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.views.names import least, shortened
from kugetsu.views.screen import Screen
from kugetsu.views.tables import Column, table
from kugetsu.views.text import columns, cut

LONG = "github.com/an-owner-of-a-long-name/and-a-repository-of-one#1234"


@pytest.mark.parametrize(
    "width, text",
    [
        (63, LONG),
        (62, "…/an-owner-of-a-long-name/and-a-repository-of-one#1234"),
        (40, "…-long-name/and-a-repository-of-one#1234"),
        (20, "…ository-of-one#1234"),
    ],
)
def test_the_host_goes_first_then_the_owner(width, text):
    assert shortened([LONG], width) == {LONG: text}


def test_what_differs_stays():
    one, other = "github.com/shoko/parser-backend-service#1", "github.com/shoko/parser-frontend-service#1"
    assert shortened([one, other], 20) == {one: "…r-backend-service#1", other: "…-frontend-service#1"}
    assert shortened([one, other], 12) == {one: "…ack…rvice#1", other: "…ont…rvice#1"}


def test_other_words_stay():
    assert shortened(["usage limit", "pm", LONG], 10)["usage limit"] == "usage limit"


_PART = st.text("ab-", min_size=1, max_size=12)
_NAMES = st.lists(
    st.builds("{}.com/{}/{}#{}".format, _PART, _PART, _PART, st.integers(1, 99999)), min_size=1, max_size=6, unique=True
)


@given(_NAMES, st.integers(0, 40))
def test_names_stay_apart_and_keep_their_numbers(names, more):
    width = least(names) + more
    texts = shortened(names, width)
    assert len({*texts.values()}) == len(names)
    for name, text in texts.items():
        assert columns(text) <= width and text.endswith("#" + name.rpartition("#")[2])
    repositories = {(name.rpartition("#")[0], text.rpartition("#")[0]) for name, text in texts.items()}
    assert len({text for _, text in repositories}) == len({path for path, _ in repositories})


@given(_NAMES, st.integers(40, 80))
def test_no_table_cuts_a_number(names, width):
    heads = [Column("TASK"), Column("ISSUE", gives=True, names=True), Column("", gives=True)]
    lines = table(Screen(width=width), heads, [["q1", name, "some words that may go"] for name in names])
    assert max(map(columns, lines)) <= width
    for name in names:
        assert "#" + name.rpartition("#")[2] in "".join(line.strip() for line in lines)


@given(_NAMES, st.integers(1, 70), st.sampled_from(["waits for {}", "waits for {}, which failed", "('{}')"]))
def test_a_text_is_cut_before_or_behind_a_number(names, width, sentence):
    for name in names:
        text = cut(sentence.format(name), width)
        assert columns(text) <= width
        assert "/" not in text or "#" + name.rpartition("#")[2] in text
