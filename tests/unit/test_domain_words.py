"""The domain gives codes and values: no English and no command is in it, that is the views' work."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import kugetsu.domain
from kugetsu.domain import scheduling
from kugetsu.domain.events import CATALOGUE
from kugetsu.domain.gates import MACHINE
from kugetsu.views import gates, irrevocable, refusals

DOMAIN = Path(kugetsu.domain.__file__).parent
#: Modules whose sentences say what is wrong with a log: an event that cannot be read or that a machine refuses, a state
#: that breaks an invariant. They are kept in the state and in events, as they were said.
OF_A_WRONG_LOG = (
    *("events/validation.py", "fold/__init__.py", "fold/attempts.py", "fold/daemons.py", "fold/hosts.py"),
    *("fold/intake.py", "fold/loops.py", "fold/notifications.py", "fold/queue.py", "fold/reviews.py"),
    *("fold/sessions.py", "fold/tasks.py", "invariants.py", "audit/checks.py", "audit/counters.py"),
)
#: What reads the English that agents write.
OF_AGENTS = ("results.py",)
#: Constants that hold a space and letters: values that logs and JSON have, names of spans, errors for programmers.
NO_ENGLISH = {
    " | None",  # in annotations, which are read as text
    "queue clear --all",
    "session destroyed",
    "no: imported",
    " for ",  # what became of an imported record: q7 for an issue
    "code version",
    r"\[\d+ characters\]\??",
    "attempt ",
    "previous attempt",
    "asked for by",
    " takes no ",
    "kugetsu: in progress",  # labels on a forge
    "kugetsu: to review",
    "kugetsu: failed",
}


def words(tree: ast.Module) -> list[str]:
    """The string constants outside of docstrings and annotations that read like English, or like a command."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))
        apart = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        apart += [node.value] if isinstance(node, ast.keyword) and node.arg == "exempt" else []  # names of fields
        skipped |= {id(part) for whole in apart if whole is not None for part in ast.walk(whole)}
    return [
        f"{node.lineno}: {node.value!r}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in skipped
        and node.value not in NO_ENGLISH
        and ((" " in node.value and any(map(str.isalpha, node.value))) or "kugetsu " in node.value)
    ]


MODULES = sorted(str(path.relative_to(DOMAIN)) for path in DOMAIN.rglob("*.py"))


@pytest.mark.parametrize("module", [module for module in MODULES if module not in OF_A_WRONG_LOG + OF_AGENTS])
def test_no_english_and_no_command_in_the_domain(module: str) -> None:
    assert words(ast.parse((DOMAIN / module).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("module", OF_A_WRONG_LOG)
def test_no_command_in_what_is_wrong_with_a_log(module: str) -> None:
    assert not [text for text in words(ast.parse((DOMAIN / module).read_text(encoding="utf-8"))) if "kugetsu " in text]


def test_english_is_found() -> None:
    found = words(ast.parse('"""A docstring."""\nx: "int | str" = f"{y} is over"\nz = "kugetsu prune"\nw = "code"'))
    assert sorted(found) == ["2: ' is over'", "3: 'kugetsu prune'"]


def codes(*called: str, at: int) -> set[str]:
    """The codes that the domain gives as an argument of these functions."""
    found = set()
    for module in MODULES:
        for node in ast.walk(ast.parse((DOMAIN / module).read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or len(node.args) <= at:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in called:
                parts = ast.walk(node.args[at])
                found |= {
                    part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)
                }
    return found


def test_every_refusal_has_its_words_and_no_words_are_left_over() -> None:
    given = codes("because", at=0) | codes("changed_since", at=1) | {"not_undone"}
    assert refusals._WORDS.keys() == given


def test_every_answer_of_a_gate_has_its_words() -> None:
    given = codes("_open", "_closed", at=1) | {"earlier_task_finished", "earlier_task_open"}
    of_events = {"undone", "daemon_lost"}  # of a task that is parked again, and of a daemon that was taken over from
    assert gates._REASONS.keys() == given | of_events
    assert gates._COMMANDS.keys() <= given


def test_every_change_that_comes_next_has_its_words() -> None:
    given = codes("NextChange", at=1) | set(scheduling._OVER.values()) | {"tried_again"}
    given |= {f"{gate}_probed" for gate in MACHINE}
    assert gates._CHANGES.keys() == given - {"_probed"}


def test_every_reason_why_an_event_cannot_be_undone_has_its_words() -> None:
    given = {kind.irrevocable for kind in CATALOGUE.values() if kind.irrevocable is not None}
    assert irrevocable.REASONS.keys() == given | {"agent_ended", "recorded"}
