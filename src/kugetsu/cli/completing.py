"""`kugetsu __complete SHELL …`: what may stand where the cursor is. The shells' scripts ask it at every TAB.

It never writes, takes no lock, prints no error, and gives up on the state after `candidates.PATIENCE`.
Output: a first line `words`, `files` or `folders` (the shell completes paths better), then a candidate a line, for zsh
and fish with a tab and what it is. For bash the candidates are quoted as they go into the line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from kugetsu.cli import guide, shell_words
from kugetsu.cli.candidates import Candidate, Place, is_span, look_up
from kugetsu.cli.catalogue import COMMANDS, DEFAULT_VERB, groups, load, members
from kugetsu.cli.declarations import Declared
from kugetsu.cli.parser import Parser


def answer(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Print the candidates; returns the exit status, which is 0 whatever happens. Ends the process itself when the
    state was not waited for: its reader would disturb the interpreter's own end."""
    try:
        text, over = _text(arguments, environment)
    except Exception:  # noqa: BLE001 - an error printed here would land in the middle of what is being typed
        return 0
    print(text, flush=not over)
    if not over:
        os._exit(0)
    return 0


def _text(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[str, bool]:
    """What is printed, and whether everything that was looked for is in it."""
    shell, given = (arguments[0], list(arguments[1:])) if arguments else ("", [])
    if shell == "bash" and given:
        line = shell_words.Line(given[0], given[1] if len(given) > 1 else None)
        if line.redirected:
            return "files", True
        place = Place(line.current, environment, described=False)
        wanted, found = _candidates(line.words, place)
        return "\n".join([wanted, *(line.insertion(one.value) for one in found)]), place.over
    current = given.pop() if given else ""
    if shell == "fish":
        current = shell_words.unquoted(current)
    place = Place(current, environment)
    wanted, found = _candidates(given, place)
    return "\n".join([wanted, *(f"{one.value}\t{one.about}" for one in found)]), place.over


def _candidates(before: Sequence[str], place: Place) -> tuple[str, list[Candidate]]:
    """What is wanted (words, files or folders), and the words that continue what is typed."""
    wanted, found = _at(list(before), place)
    seen: dict[str, Candidate] = {}
    for one in found:
        if one.value and one.value.startswith(place.typed) and one.value.isprintable():
            seen.setdefault(one.value, one)
    return wanted, [one.joined(place.head) for one in seen.values()]


def _at(before: list[str], place: Place) -> tuple[str, Iterable[Candidate]]:
    while before and before[0] in ("--debug", "--json"):
        before.pop(0)
    if not before:
        return "words", [*_first_words(), *_program_options(place)]
    first = before[0]
    if first == "help":
        return "words", _topics(before[1:])
    if first not in COMMANDS:
        if first not in groups():
            return "words", []
        if len(before) == 1 and not (place.current.startswith("-") and first in DEFAULT_VERB):
            verbs = [Candidate(name.partition(" ")[2], COMMANDS[name][1]) for name in members(first)]
            return "words", [*verbs, *_help_option(place)]
        takes_verb = len(before) > 1 and not before[1].startswith("-")
        name = f"{first} {before[1]}" if takes_verb else DEFAULT_VERB.get(first, "")
        rest = before[2:] if takes_verb else before[1:]
    else:
        name, rest = first, before[1:]
    if name not in COMMANDS:
        return "words", []
    return _arguments(load(name)[0], rest, place)


def _first_words() -> list[Candidate]:
    """The commands and the groups, each once, in the order of `kugetsu --help`."""
    found: dict[str, Candidate] = {}
    for name, (_, summary) in COMMANDS.items():
        first, _, verb = name.partition(" ")
        about = ", ".join(member.partition(" ")[2] for member in members(first)) if verb else summary
        found.setdefault(first, Candidate(first, about))
    return [*found.values(), Candidate("help", "about a command, or a page of the guide")]


def _program_options(place: Place) -> list[Candidate]:
    if not place.current.startswith("-"):
        return []
    known = (
        ("--help", "all commands"),
        ("--version", "the version"),
        ("--json", "print JSON"),
        ("--debug", "tracebacks"),
    )
    return [Candidate(name, about) for name, about in known]


def _help_option(place: Place) -> list[Candidate]:
    return [Candidate("--help", "what it takes")] if place.current.startswith("-") else []


def _topics(before: Sequence[str]) -> list[Candidate]:
    if before:
        return (
            [Candidate(name.partition(" ")[2], COMMANDS[name][1]) for name in members(before[0])]
            if len(before) == 1
            else []
        )

    pages = [Candidate(name, title) for name, title in guide.titles().items()]
    return [
        *(one for one in _first_words() if one.value != "help"),
        *pages,
        Candidate("pages", "the pages of the guide"),
    ]


class _Reading:
    """How far the words before the cursor go: the option that still wants a value, the positionals, what was given."""

    def __init__(self, parser: Parser) -> None:
        self.parser = parser
        self.named = {name: one for one in parser.declared if one.option for name in one.names}
        self.open: Declared | None = None
        self.of_open: list[str] = []
        self.used: set[str] = set()
        self.values: dict[str, str] = {}
        self.given: list[str] = []
        self.literal = False

    def take(self, word: str) -> None:
        many = self.open is not None and self.open.rest.get("nargs") in ("+", "*")
        if self.literal:
            self.given.append(word)
        elif self.open is not None and not (many and word.startswith("-")):
            self.of_open.append(word)
            self.values[self.open.dest] = word
            if not many and not ("when" in self.open.completes and is_span(word)):
                self.open = None
        elif word == "--":
            self.literal, self.open = True, None
        elif word.startswith("-") and word != "-":
            self._option(word)
        else:
            self.given.append(word)

    def _option(self, word: str) -> None:
        name, equals, value = word.partition("=")
        one = self.named.get(name)
        self.open, self.of_open = None, []
        if one is not None:
            self.used.add(one.dest)
            if equals or not one.takes_value:
                self.values[one.dest] = value
            if not equals and one.takes_value:
                self.open = one

    def positional(self) -> Declared | None:
        """The one that the next word is for; None when all have theirs."""
        at = len(self.given)
        for one in self.parser.declared:
            if one.option:
                continue
            if one.dest == self.parser.words_dest:
                return one if at == 0 else None  # behind the first word comes a message
            if at == 0 or one.rest.get("nargs") in ("*", "+"):
                return one
            at -= 1
        return None


def _arguments(parser: Parser, before: Sequence[str], place: Place) -> tuple[str, Iterable[Candidate]]:
    reading = _Reading(parser)
    for word in before:
        reading.take(word)
    place.given, place.options = reading.given, reading.values
    if reading.open is not None and not (reading.of_open and place.current.startswith("-")):
        place.of_option = reading.of_open
        return _values(reading.open, place)
    if not reading.literal and place.current.startswith("-"):
        name, equals, value = place.current.partition("=")
        one = reading.named.get(name)
        if equals:
            place.split(name + "=", value)
            return _values(one, place) if one is not None and one.takes_value else ("words", [])
        return "words", _options(parser, reading, place)
    one = reading.positional()
    if one is not None:
        return _values(one, place)
    return "words", _options(parser, reading, place) if not place.current and not reading.literal else []


def _options(parser: Parser, reading: _Reading, place: Place) -> list[Candidate]:
    found = []
    for one in sorted((one for one in parser.declared if one.option), key=lambda one: one.dest == "debug"):
        if one.dest in reading.used and one.rest.get("action") != "append":
            continue
        names = (
            one.names if place.current == "-" else [name for name in one.names if name.startswith("--")] or one.names
        )
        found += [Candidate(name, one.rest.get("help", "")) for name in names]
    return [*found, *_help_option(place)]


def _values(one: Declared, place: Place) -> tuple[str, Iterable[Candidate]]:
    """Candidates for the value of an option or of a positional."""
    if one.rest.get("action") == "append" and "," in place.typed:
        done, _, last = place.typed.rpartition(",")
        place.split(place.head + done + ",", last)
    if "file" in one.completes:
        return "files", []
    if "folder" in one.completes:
        return "folders", []
    choices = [Candidate(str(choice)) for choice in one.rest.get("choices") or ()]
    wanted, found = look_up(one.completes, place)
    return wanted, [*choices, *found]
