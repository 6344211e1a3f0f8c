"""The domain gives codes and values: no English and no command is in it, that is the views' work."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import kugetsu.domain

DOMAIN = Path(kugetsu.domain.__file__).parent
#: Modules whose sentences say what is wrong with a log: an event that cannot be read or that a machine refuses, a state
#: that breaks an invariant. They are kept in the state and in events, as they were said.
OF_A_WRONG_LOG = (
    *("events/validation.py", "fold/__init__.py", "fold/attempts.py", "fold/notifications.py", "fold/sessions.py"),
    *("fold/tasks.py", "invariants.py", "audit/checks.py", "audit/counters.py"),
)
#: Constants that hold a space and letters: values that logs and JSON have, names of spans, errors for programmers.
NO_ENGLISH = {
    " | None",  # in annotations, which are read as text
    "queue clear --all",
    "session destroyed",
    "no: imported",
    " for ",  # what became of an imported record: q7 for an issue
    "code version",
    r"\[\d+ characters\]",
    "attempt ",
    "previous attempt",
    "asked for by",
    " takes no ",
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


@pytest.mark.parametrize("module", [module for module in MODULES if module not in OF_A_WRONG_LOG])
def test_no_english_and_no_command_in_the_domain(module: str) -> None:
    assert words(ast.parse((DOMAIN / module).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("module", OF_A_WRONG_LOG)
def test_no_command_in_what_is_wrong_with_a_log(module: str) -> None:
    assert not [text for text in words(ast.parse((DOMAIN / module).read_text(encoding="utf-8"))) if "kugetsu " in text]


def test_english_is_found() -> None:
    found = words(ast.parse('"""A docstring."""\nx: "int | str" = f"{y} is over"\nz = "kugetsu prune"\nw = "code"'))
    assert sorted(found) == ["2: ' is over'", "3: 'kugetsu prune'"]
