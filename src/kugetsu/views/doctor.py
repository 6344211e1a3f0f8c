"""What `kugetsu doctor` and `kugetsu env check` show: a line for each finding, and the command that mends it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kugetsu.runtime.doctor.finding import Finding
from kugetsu.views.screen import Screen
from kugetsu.views.text import columns, line

_MARKS = {"ok": "✓", "skipped": "-", "warning": "!", "problem": "✗"}


def finding_lines(found: Sequence[Finding], screen: Screen) -> list[str]:
    """The findings by group; of each that is not well, what helps."""
    lines: list[str] = []
    group = None
    for one in found:
        if one.group != group:
            group = one.group
            lines.append(screen.bold(line(group)))
        lines += _of_one(one, screen)
    return lines


def _of_one(one: Finding, screen: Screen) -> Iterator[str]:
    paint = {"ok": screen.green, "skipped": screen.dim, "warning": screen.yellow, "problem": screen.red}[one.level]
    first, *rest = _wrapped(line(one.text), screen, 4)
    yield f"  {paint(_MARKS[one.level])} {first}"
    for more in rest:
        yield f"    {more}"
    if one.fix and one.level != "ok":
        fix = line(one.fix)
        # A command stays in one piece, to be copied; a sentence need not.
        rows = _wrapped(fix, screen, 6) if screen.narrow or "; " in fix or ": " in fix else [fix]
        yield screen.dim(f"    → {rows[0]}")
        for more in rows[1:]:
            yield screen.dim(f"      {more}")


def _wrapped(text: str, screen: Screen, margin: int) -> list[str]:
    """A text in lines that leave ``margin`` columns free, broken at spaces only: paths stay in one piece, but on a
    screen that is too narrow for them."""
    if screen.narrow:
        return screen.wrapped(text, margin)
    width = (screen.width or 100) - margin
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1] and columns(joined) > width:
            lines.append(word)
        else:
            lines[-1] = joined
    return lines


def summary(found: Sequence[Finding]) -> str:
    """How many of each: `1 problem, 2 warnings, 14 checks are fine, 1 was not run`."""
    counts = {level: sum(one.level == level for one in found) for level in _MARKS}
    parts = []
    for level in ("problem", "warning"):
        if counts[level]:
            parts.append(f"{counts[level]} {level}{'' if counts[level] == 1 else 's'}")
    fine = f"{counts['ok']} check{' is' if counts['ok'] == 1 else 's are'} fine"
    skipped = counts["skipped"]
    rest = [f"{skipped} {'was' if skipped == 1 else 'were'} not run"] if skipped else []
    return ", ".join([*parts, fine, *rest])
