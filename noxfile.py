"""What developers run: `nox` (lint, types, tests), `nox -s e2e`, `nox -s bench -- --quick`."""

from __future__ import annotations

import nox

#: Tests side by side; how many is said in tests/conftest.py.
WORKERS = ("-n", "auto")

nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True


def _install(session: nox.Session) -> None:
    session.install("-e", ".[dev]")


@nox.session
def lint(session: nox.Session) -> None:
    """ruff: rules and format."""
    _install(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """mypy, strict, on the package and the tools."""
    _install(session)
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Everything but the tests with the real opencode."""
    _install(session)
    session.run("pytest", "-m", "not e2e", *(session.posargs or WORKERS))


@nox.session
def thorough(session: nox.Session) -> None:
    """The same with four times as many examples where hypothesis looks for one that fails."""
    _install(session)
    session.run("pytest", "-m", "not e2e", "--hypothesis-profile=thorough", *(session.posargs or WORKERS))


@nox.session
def e2e(session: nox.Session) -> None:
    """The tests with the real opencode (npm gets it when it is missing)."""
    _install(session)
    session.run("pytest", "-m", "e2e", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """The measurements, as one table."""
    _install(session)
    session.run("python", "tools/bench", *session.posargs)
