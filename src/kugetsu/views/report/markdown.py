"""The report as Markdown, to paste into a chat or an issue: a table a group.

What agents and users wrote is literal text in it: it breaks no table, mentions nobody, and refers to no issue, for a
closing keyword before a number would close it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kugetsu.domain.report import GROUPS
from kugetsu.forge.references import without_references
from kugetsu.model.plural import counted
from kugetsu.views.report.rows import TITLES, behind_words, done_words, facts_of, name, needs_a_person, next_of, period
from kugetsu.views.screen import Screen
from kugetsu.views.text import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.views.report.rows import ReportData, RowData

#: Punctuation that Markdown gives a meaning; a backslash takes it away.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>|~&])")
#: A space without width behind it takes the mention away.
_MENTION = "@\u200b"
#: Rows of a table unless everything is wanted: forges limit the length of a comment.
LISTED = 20


def lines(report: ReportData, screen: Screen, *, everything: bool = False) -> Iterator[str]:
    """The lines of the report; ``everything`` lists also what needs nobody."""
    yield f"**{literal(report['headline'])}**"
    yield ""
    yield literal(period(report)[:1].upper() + period(report)[1:]) + "."
    for group in GROUPS:
        rows = [row for row in report["items"] if row["group"] == group]
        listed = rows if everything else [row for row in rows if needs_a_person(row)][:LISTED]
        if listed:
            yield from _table(TITLES[group], listed, screen)
        if group == "done":
            said = "" if everything else literal(done_words(report["done"]))
        else:
            said = _counted(len(rows) - len(listed), behind_words(report, group), listed=bool(listed))
        if said:
            yield from ("", f"**{_title(TITLES[group])}**: {said}")
    if report["older"]:
        yield from _table("open from before", report["older"], screen)


def _counted(others: int, behind: str, *, listed: bool) -> str:
    """What of a group is only counted; ``listed``: below a table of the others."""
    more = counted(others, "more issue" if listed else "issue") if others else ""
    said = ", ".join(filter(None, (more, behind)))
    return f"and {said}" if said and listed else said


def literal(text: str) -> str:
    """``text`` such that Markdown and forges show it and do nothing else with it."""
    return _MARKUP.sub(r"\\\1", without_references(harmless(text))).replace("@", _MENTION)


def _title(text: str) -> str:
    return text[:1].upper() + text[1:]


def _table(title: str, rows: list[RowData], screen: Screen) -> Iterator[str]:
    yield ""
    yield f"### {_title(title)}"
    yield ""
    yield "| issue | title | result | the agent's last sentence | next |"
    yield "|---|---|---|---|---|"
    for row in rows:
        cells = (
            _issue(row, screen),
            literal(row["title"]),
            _facts(row),
            literal(row["said"] or ""),
            _code(next_of(row, screen)),
        )
        yield f"| {' | '.join(cells)} |"


def _issue(row: RowData, screen: Screen) -> str:
    issue = screen.issue(name(row))
    return _link(_MARKUP.sub(r"\\\1", issue), row["issue_url"]) if row["issue_url"] else _code(issue)


def _facts(row: RowData) -> str:
    """What came of it; its words lead to the pull request or the answer."""
    return " · ".join(
        _link(literal(fact), row["url"]) if fact == row["words"] else literal(fact) for fact in facts_of(row)
    )


def _link(text: str, url: str | None) -> str:
    target = "".join(c for c in url or "" if c.isprintable() and c not in "<>\\|` ")
    return f"[{text}](<{target}>)" if target.startswith(("https://", "http://")) else text


def _code(text: str) -> str:
    """A code span within a table: nothing in it is markup but the bars of the table."""
    inner = harmless(text).replace("|", "\\|").replace("`", "'")
    return f"`{inner}`" if inner else ""
