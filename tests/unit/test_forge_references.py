"""No text that kugetsu publishes makes a forge close an issue that is not its own."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.forge.references import closing, without_references

KEYWORDS = ("close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved")
REOPENING = ("reopen", "reopens", "reopened")
"""Gitea and Forgejo know these beside."""
NUMBERS = (
    *("#12", "acme/web#12", "a.b-c/d_e#7", "GH-12", "gh-12", "!12", "acme/web!12", "#0012"),
    *("https://github.com/acme/web/issues/12", "https://git.example.com/sub/acme/web/pulls/12", "http://x/a/b/pull/3"),
    *("https://GitHub.com/acme/web/Issues/12#issuecomment-5", "/acme/web/issues/12"),
    *(
        "**#12**",
        "_#12_",
        "`#12`",
        "[#12](x)",
        "[it](https://h/a/b/issues/12)",
        "~~#12~~",
        "#**12**",
        r"\#12",
        "#<b>12</b>",
    ),
    *("&#35;12", "&#x23;12", "&num;12", "(#12)", '"#12"'),
)
SEPARATORS = (" ", ": ", ":", "  ", "\n", "\t", " \n> ", " - ", " **", " [", " ", ", ")

_SPOKEN = "|".join((*KEYWORDS, *REOPENING))
FORGES = (
    # GitHub: a keyword, maybe a colon, and a reference of any form.
    re.compile(rf"(?i)\b({_SPOKEN})\b:?\s*([\w.-]+/[\w.-]+)?(#|gh-)\d+"),
    re.compile(rf"(?i)\b({_SPOKEN})\b:?\s*<?https?://\S+/(issues|pulls?)/\d+"),
    # Gitea and Forgejo, whose keywords a server may configure: any word, one blank, and a reference.
    re.compile(r"(?i)(\s|^|\(|\[)[\w]+:? ([\w.-]+/[\w.-]+)?[#!]\d+"),
    re.compile(r"(?i)(\s|^|\(|\[)[\w]+:? (\[[^\]]*\]\()?\S*/(issues|pulls)/\d+"),
)


def rendered(text: str) -> str:
    """The text as a forge reads it: without Markdown's marks and tags, entities as what they stand for."""
    text = re.sub(r"&(num|#0*35|#x0*23);", "#", text, flags=re.IGNORECASE)
    return re.sub(r"<[^<>]*>|[*_~`\\]|\]\([^)]*\)|[\[\]]", "", text)


def acts(text: str) -> bool:
    """Whether some forge would act on a reference in the text, as it is (a commit message) or rendered."""
    return any(pattern.search(form) for pattern in FORGES for form in (text, rendered(text)))


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("before", ["closes ", "Closes: ", "FIXED ", "does not resolve ", "reopens "])
def test_every_form_acts_before_and_not_afterwards(before: str, number: str) -> None:
    assert acts(before + number) or number in ("(#12)", '"#12"'), "the test could not fail"
    assert not acts(without_references(before + number)), without_references(before + number)


WORDS = st.sampled_from(
    (*KEYWORDS, *map(str.upper, KEYWORDS), *REOPENING, "not", "see", "12", "a/b", "é", "#", "!", "gh")
)
PIECES = st.one_of(WORDS, st.sampled_from(NUMBERS), st.sampled_from(SEPARATORS), st.text(max_size=3))


@given(st.lists(PIECES, max_size=12).map("".join))
def test_nothing_that_is_published_closes_another_issue(text: str) -> None:
    published = without_references(text)
    assert not acts(published), published
    assert without_references(published) == published


@given(st.text(alphabet=st.characters(blacklist_characters="#!&/-"), max_size=80))
def test_text_without_a_reference_stays_as_it_is(text: str) -> None:
    assert without_references(text) == text


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("does not close #12", "does not close no. 12"),
        ("see acme/web#12.", "see acme/web no. 12."),
        ("Fixes GH-7", "Fixes GH no. 7"),
        ("resolves https://github.com/a/b/pull/3", "resolves https://github.com/a/b/pull no. 3"),
        ("issues/12 of 3! and # of things, 50% #x, C#, !done", "issues/12 of 3! and # of things, 50% #x, C#, !done"),
        (r"closes \#12", "closes no. 12"),
    ],
)
def test_a_reader_still_knows_which_is_meant(text: str, published: str) -> None:
    assert without_references(text) == published


def test_its_own_issue_is_closed() -> None:
    assert closing(14) == "Closes #14"
    assert acts(closing(14))
