"""`kugetsu --help`, `help`, `--version`: every command explains itself."""

from __future__ import annotations

import pytest

from kugetsu.cli import catalogue, main
from kugetsu.cli.catalogue import COMMANDS
from kugetsu.cli.synonyms import SYNONYMS


def test_the_overview_names_every_command_and_the_exit_codes(kugetsu, snapshot):
    shown = kugetsu("--help", real=True)
    assert shown.code == 0 and all(name in shown.out for name in COMMANDS)
    assert "6 log damaged" in shown.out
    snapshot("help", shown.out)
    assert kugetsu().out == kugetsu("help").out == shown.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_summary_a_usage_and_explained_arguments(name, capsys):
    parser, _ = catalogue.load(name)
    full = parser.build()
    assert COMMANDS[name][1] and full.format_usage().startswith(f"usage: kugetsu {name}")
    for one in parser.declared:
        assert one.rest.get("help"), f"{name}: {one.names} is not explained"
        if one.option and "--debug" not in one.names:
            assert any(word in parser.usage for word in one.names) or "--" + one.dest in parser.usage, one.names


def test_help_of_a_command_and_of_a_group(kugetsu):
    assert "usage: kugetsu start" in kugetsu("help", "start").out
    assert kugetsu("start", "--help").out == kugetsu("help", "start").out
    assert "usage: kugetsu queue enqueue" in kugetsu("queue", "enqueue", "-h").out
    assert "kugetsu queue list" in kugetsu("help", "queue").out
    assert kugetsu("help", "queue").out == kugetsu("queue", "--help").out


def test_version(kugetsu):
    for words in (("--version",), ("-V",), ("version",)):
        shown = kugetsu(*words, real=True)
        assert shown.code == 0 and shown.out == "kugetsu 0.1.0\n"


def test_an_unknown_command_names_the_nearest(kugetsu):
    shown = kugetsu("stats")
    assert shown.code == 3 and "did you mean status?" in shown.err and "hint: kugetsu --help" in shown.err
    assert kugetsu("help", "stats").code == 3


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("enqueue", "queue enqueue"),
        ("dequeue", "queue dequeue"),
        ("queue-list", "queue list"),
        ("stop", "queue-daemon stop or queue cancel"),
        ("cancel", "queue cancel"),
        ("set", "set-pr"),
    ],
)
def test_a_verb_alone_is_told_with_its_group(word, meant, capsys):
    assert main.main([word, "x"]) == 3
    assert f"unknown command: '{word}'; did you mean {meant}?\n" in capsys.readouterr().err


@pytest.mark.parametrize(("typed", "ours"), SYNONYMS.items())
def test_a_word_that_hands_type_elsewhere_answers_with_ours(typed, ours, capsys):
    """`log` is a group here too: alone it asks which of its commands, and names the logs of agents."""
    assert main.main(typed.split()) == 3
    told = capsys.readouterr().err
    assert f"kugetsu {ours[0]}" in told.split("hint: ")[1]


def test_a_group_that_is_a_synonym_too_answers_also_with_an_argument(capsys):
    assert main.main(["log", "q7"]) == 3
    assert "kugetsu log --help, or: kugetsu logs REF" in capsys.readouterr().err


@pytest.mark.parametrize("command", sorted({one for ours in SYNONYMS.values() for one in ours}))
def test_what_a_synonym_names_can_be_typed(command):
    words = [word for word in command.split() if word not in ("REF", "MESSAGE", "TASK", "N", "URL")]
    name, rest = catalogue.find(words)
    assert name is not None
    options = {option for one in catalogue.load(name)[0].declared for option in one.names}
    assert all(word in options or name == "config set" for word in rest)


def test_no_command_is_shadowed_by_a_synonym():
    assert not set(SYNONYMS) & set(catalogue.COMMANDS)


def test_the_overview_fits_a_terminal(kugetsu, fits):
    assert fits(kugetsu("help").out)
