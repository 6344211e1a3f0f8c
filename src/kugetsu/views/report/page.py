"""The report as one page (HTML): nothing is loaded from anywhere, no script is needed, a telephone shows it too."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from importlib.resources import files

from kugetsu.domain.report import GROUPS
from kugetsu.domain.timeline import Timeline
from kugetsu.views import times
from kugetsu.views.report.rows import TITLES, behind_words, done_words, facts_of, name, needs_a_person, next_of, period
from kugetsu.views.screen import Screen
from kugetsu.views.text import harmless
from kugetsu.views.timeline import picture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.views.report.rows import ReportData, RowData

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(report: ReportData, timeline: Timeline | None, screen: Screen) -> str:
    """The page; without a timeline if nothing ran."""
    title = f"kugetsu report, {times.day(report['now'])} {times.time_of_day(report['now'], seconds=False)}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{_text(title)}</title>\n<style>{_asset('report.css')}</style>\n</head>\n<body>\n"
        f"{chr(10).join(_body(report, timeline, screen))}\n</body>\n</html>\n"
    )


def _body(report: ReportData, timeline: Timeline | None, screen: Screen) -> Iterator[str]:
    yield f"<header>\n<h1>{_text(report['headline'])}</h1>\n<p class=soft>{_text(period(report))}</p>\n</header>"
    yield "<main>"
    for group in GROUPS:
        rows = [row for row in report["items"] if row["group"] == group]
        if not rows and not report["counts"][group]:
            continue
        yield f"<section>\n<h2 class={group}>{TITLES[group]}</h2>"
        listed = [row for row in rows if needs_a_person(row)]
        yield from (part for row in listed for part in _card(row, screen))
        others = [row for row in rows if not needs_a_person(row)]
        said = done_words(report["done"]) if group == "done" else _said(others, behind_words(report, group), screen)
        if said:
            yield from _folded(said, others, screen)
        yield "</section>"
    if report["older"]:
        yield "<section>\n<h2>open from before</h2>"
        yield from (part for row in report["older"] for part in _card(row, screen))
        yield "</section>"
    if timeline is not None and timeline.runs:
        yield f"<section>\n<h2>timeline</h2>\n<div class=picture>{picture.svg(timeline)}</div>\n</section>"
    yield "</main>"
    at = report["now"]
    yield f"<footer>as of event {report['seq']}, {times.day(at)} {times.time_of_day(at)} {times.zone(at)}</footer>"


def _said(rows: list[RowData], behind: str, screen: Screen) -> str:
    return ", ".join([*(screen.issue(name(row)) for row in rows), *filter(None, [behind])])


def _folded(said: str, rows: list[RowData], screen: Screen) -> Iterator[str]:
    """The items of a group that needs nobody, folded away below what is said of them."""
    yield f"<details>\n<summary>{_text(said)}</summary>"
    yield from (part for row in rows for part in _card(row, screen))
    yield "</details>"


def _card(row: RowData, screen: Screen) -> Iterator[str]:
    facts = " · ".join(_link(fact, row["url"]) if fact == row["words"] else _text(fact) for fact in facts_of(row))
    yield f"<article>\n<h3>{_link(screen.issue(name(row)), row['issue_url'])} {_text(row['title'])}</h3>"
    if facts:
        yield f"<p>{facts}</p>"
    if row["said"]:
        yield f"<blockquote>{_text(row['said'])}</blockquote>"
    yield f"<p><code>{_text(next_of(row, screen))}</code></p>\n</article>" if row["next"] else "</article>"


def _link(text: str, url: str | None) -> str:
    if url is None or not url.startswith(("https://", "http://")):
        return _text(text)
    return f'<a href="{_text(url)}" rel="noreferrer">{_text(text)}</a>'


def _text(text: str) -> str:
    return escape(harmless(text), quote=True)


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8").strip()
