"""Skills: whether every one can be read, and what takes the place of those that came with kugetsu."""

from __future__ import annotations

from collections.abc import Iterator

from kugetsu.model.errors import KugetsuError
from kugetsu.runtime import skills
from kugetsu.runtime.doctor.context import Context
from kugetsu.runtime.doctor.finding import Finding, Found

found = Found("skills")
_READERS = {"dev": "agents on issues", "pm": "the PM agent"}


def check(case: Context) -> Iterator[Finding]:
    """The findings. An agent whose instructions cannot be read is not started."""
    own = broken = 0
    for name in skills.names(case.paths):
        try:
            own += skills.find(case.paths, name).source != "package"
        except KugetsuError as problem:
            broken += 1
            yield found.problem(name, problem.message, problem.hint)
    if not broken:
        yield found.ok("read", f"all skills can be read, {own} of your own" if own else "all skills can be read")
    for kind, who in _READERS.items():
        path = skills.prompt_file(case.paths, kind)
        if path is not None:
            yield _prompt(case, kind, path, who)


def _prompt(case: Context, kind: str, path: str, who: str) -> Finding:
    try:
        text = skills.instructions(case.paths, kind)
    except KugetsuError as problem:
        return found.problem(kind, problem.message, problem.hint)
    if not text.strip():
        return found.warning(kind, f"{path}, the instructions of {who}, is empty", f"write it, or: rm {path}")
    return found.ok(kind, f"{path} has the instructions of {who}")
