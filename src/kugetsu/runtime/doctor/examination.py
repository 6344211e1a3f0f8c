"""The examination: every group of checks in turn. A check that breaks is a finding, and stops no other."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from kugetsu.model.errors import KugetsuError
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.doctor.finding import Finding

GROUPS = (
    ("directory", "directory"),
    ("log", "eventlog"),
    ("settings", "settings"),
    ("env files", "secrets"),
    ("git", "git"),
    ("agent", "agent"),
    ("skills", "prompts"),
    ("daemon", "daemon"),
    ("machine", "machine"),
    ("forge", "forge"),
    ("notifications", "sinks"),
    ("leftovers", "leftovers"),
)
"""Each group, in the order in which one is told of it, and the module that has its checks."""


def examine(case: Context) -> list[Finding]:
    """All findings. Never raises for what is broken: that is a finding."""
    found: list[Finding] = []
    for group, name in GROUPS:
        module = import_module(f"kugetsu.runtime.doctor.{name}")
        found += _guarded(group, module.check(case))
    return found


def _guarded(group: str, checks: Iterator[Finding]) -> list[Finding]:
    found: list[Finding] = []
    try:
        for one in checks:
            found.append(one)
    except KugetsuError as problem:
        found.append(Finding(group, "check", "problem", problem.message, fix=problem.hint))
    except Exception as problem:  # noqa: BLE001  a check that breaks must not hide what the others find
        said = f"this cannot be checked: {type(problem).__name__}: {problem}"
        found.append(Finding(group, "check", "problem", said, fix="kugetsu doctor --debug"))
    return found


def mend(found: list[Finding]) -> list[tuple[str, str | None]]:
    """Do what can be mended safely: each action, and why it failed (None: done)."""
    done: list[tuple[str, str | None]] = []
    for one in found:
        if one.mend is None:
            continue
        try:
            one.mend.do()
        except KugetsuError as problem:
            done.append((one.mend.text, problem.message))
        except OSError as problem:
            done.append((one.mend.text, (problem.strerror or str(problem)).lower()))
        else:
            done.append((one.mend.text, None))
    return done
