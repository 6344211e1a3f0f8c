"""Arguments read plainly and by argparse are the same, or only argparse reads them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kugetsu.cli import catalogue
from kugetsu.cli.catalogue import COMMANDS
from kugetsu.model.errors import BadInput
from profiles import examples

WORDS = ["q1", "a/b#1", "fix", "--json", "--all", "--follow", "-f", "--priority", "3", "-3", "--after", "--state", "-"]
WORDS += ["--until", "@", "--yes", "-y", "--force", "--", "--help-me", "--state=error", "", "two words", "--pr", "-n"]


@pytest.mark.parametrize("name", COMMANDS)
@settings(max_examples=examples(60), deadline=None)
@given(argv=st.lists(st.sampled_from(WORDS), max_size=5))
def test_plain_reading_never_differs_from_argparse(name, argv):
    parser, _ = catalogue.load(name)
    if parser.words_dest is not None and "--" in argv:
        argv = argv[: argv.index("--")]
    plain = parser.read_plainly(argv)
    if plain is not None:
        assert plain == parser.read_fully(argv)


@pytest.mark.parametrize("argv", [["--nonsense"], ["--priority"], ["--priority", "x", "a/b#1", "y"]])
def test_what_argparse_refuses_is_bad_input_with_the_commands_help(argv):
    parser, _ = catalogue.load("queue enqueue")
    with pytest.raises(BadInput) as refused:
        parser.read(argv)
    assert "kugetsu queue enqueue --help" in (refused.value.hint or "")


def test_a_value_may_be_joined_by_an_equals_sign():
    parser, _ = catalogue.load("queue list")
    assert parser.read(["--state=error"]).state == "error"
