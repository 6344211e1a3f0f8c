"""The examination: every group of checks in turn. A check that fails is a finding, and does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kugetsu.model.errors import KugetsuError, reason_of
from kugetsu.runtime.doctor import (
    agent,
    daemon,
    directory,
    env_files,
    forge,
    git,
    leftovers,
    log,
    machine,
    notifications,
    settings,
)
from kugetsu.runtime.doctor.context import WITHOUT_SETTINGS, Context
from kugetsu.runtime.doctor.finding import Finding, Found

GROUPS: dict[str, Callable[[Context], Iterator[Finding]]] = {
    "directory": directory.check,
    "log": log.check,
    "settings": settings.check,
    "env files": env_files.check,
    "git": git.check,
    "agent": agent.check,
    "skills": agent.check_skills,
    "daemon": daemon.check,
    "machine": machine.check,
    "forge": forge.check,
    "notifications": notifications.check,
    "leftovers": leftovers.check,
}
"""The checks of each group, in the order in which they are shown."""

OF_SETTINGS = frozenset(("agent", "forge", "notifications"))
"""Groups that rest on the settings alone: with a file that cannot be read they would check the defaults."""


def examine(context: Context) -> list[Finding]:
    """All findings. Never raises for what is broken: that is a finding."""
    findings: list[Finding] = []
    for group, check in GROUPS.items():
        if group in OF_SETTINGS and context.config_problem is not None:
            findings.append(Found(group).skipped("settings", WITHOUT_SETTINGS))
        else:
            findings += _guarded(group, check(context))
    return findings


def _guarded(group: str, checks: Iterator[Finding]) -> list[Finding]:
    findings: list[Finding] = []
    try:
        for finding in checks:
            findings.append(finding)
    except KugetsuError as problem:
        findings.append(Finding(group, "check", "problem", problem.message, fix=problem.hint))
    except Exception as problem:  # noqa: BLE001  a check that breaks must not hide what the others find
        text = f"this cannot be checked: {type(problem).__name__}: {problem}"
        findings.append(Finding(group, "check", "problem", text, fix="kugetsu doctor --debug"))
    return findings


def repair(findings: list[Finding]) -> list[tuple[str, str | None]]:
    """Carry out the safe repairs: each one's text, and why it failed (None: done)."""
    done: list[tuple[str, str | None]] = []
    for fix in [finding.repair for finding in findings if finding.repair is not None]:
        problem = None
        try:
            fix.do()
        except KugetsuError as error:
            problem = error.message
        except OSError as error:
            problem = reason_of(error)
        done.append((fix.text, problem))
    return done
