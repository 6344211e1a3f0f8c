"""The timeline as a picture: SVG by itself, or within a page that zooms. Nothing is loaded from anywhere."""

from __future__ import annotations

from html import escape
from importlib.resources import files

from kugetsu.domain.intervals import Hold
from kugetsu.domain.timeline import Timeline
from kugetsu.model.clock import from_micros
from kugetsu.views import times
from kugetsu.views.text import harmless
from kugetsu.views.timeline.shape import (
    OUTCOMES,
    PARTS,
    Scale,
    about_hold,
    about_run,
    gate_row,
    gates,
    lanes,
    outcome,
    outcomes,
    parts,
    parts_of,
    time_of_day,
    tried_again,
)

WIDTH, MARGIN, LANE, THIN, TOP = 1200, 96, 30, 7, 44
_SWATCH = '<svg width="12" height="12" aria-hidden="true"><rect class="{}" width="12" height="12" rx="2"/></svg>'
_FOCUSED = ' class="run" tabindex="0"'
#: Rows of waits that a gate's lane shows; the rest is counted.
DEEPEST = 12


class Drawing:
    """The pieces of a picture, from the top down.

    Places of time are shares of the width; `data-a`, `data-b` keep them, so that a page can lay them out anew.
    """

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self.pieces: list[str] = []
        self.y = TOP

    def x(self, share: float) -> float:
        """The abscissa of a place of time."""
        return round(MARGIN + share * (WIDTH - MARGIN - 12), 2)

    def bar(
        self, kind: str, a: float, b: float, y: float, height: float, title: str, label: str = "", *, run: bool = False
    ) -> None:
        """A stretch of time, with a tooltip, and a label where there is room; a ``run`` is reached by the keyboard."""
        x, wide = self.x(a), max(self.x(b) - self.x(a), 1.5)
        # One that has no room now may have it in a page that zooms.
        hidden = "" if wide > 8 * len(label) else ' style="display:none"'
        text = f'<text class="in" x="{x + 4}" y="{y + height - 8}" data-a="{a:.6f}" data-b="{b:.6f}"{hidden}>'
        focused = _FOCUSED if run else ""
        self.pieces.append(
            f'<g{focused}><title>{_escaped(title)}</title><rect class="{kind}" x="{x}" y="{y}" '
            f'width="{round(wide, 2)}" height="{height}" rx="2" data-a="{a:.6f}" data-b="{b:.6f}"/>'
            f"{text + _escaped(label) + '</text>' if label else ''}</g>"
        )

    def mark(self, a: float) -> None:
        """A small mark above the lane where a task was tried again, however narrow its stretch is."""
        self.pieces.append(f'<text class="again" x="{self.x(a)}" y="{self.y + 1}" data-a="{a:.6f}">▾</text>')

    def legend(self, names: list[tuple[str, str]]) -> None:
        """What the colours mean, in as many rows as they need."""
        x, self.y = float(MARGIN), self.y + 20
        self.pieces.append('<g class="legend">')
        for kind, words in names:
            wide = 34 + 7 * len(words)
            if x + wide > WIDTH:
                x, self.y = float(MARGIN), self.y + 20
            self.pieces.append(
                f'<rect class="{kind}" x="{x}" y="{self.y - 10}" width="12" height="12" rx="2"/>'
                f'<text x="{x + 17}" y="{self.y}">{_escaped(words)}</text>'
            )
            x += wide
        self.pieces.append("</g>")
        self.y += 8

    def name(self, text: str) -> None:
        """The name of the lane that begins here."""
        narrow = f' textLength="{MARGIN - 24}" lengthAdjust="spacingAndGlyphs"' if len(text) > 12 else ""
        self.pieces.append(f'<text class="lane" x="{MARGIN - 10}" y="{self.y + 19}"{narrow}>{_escaped(text)}</text>')

    def axis(self, bottom: float) -> None:
        """The marks of time, from the top to the bottom."""
        for at in self.scale.ticks(10):
            place = self.scale.place(at)
            x = self.x(place)
            self.pieces.insert(
                0,
                f'<line class="tick" x1="{x}" x2="{x}" y1="{TOP - 8}" y2="{bottom}" data-a="{place:.6f}"/>'
                f'<text class="time" x="{x}" y="{TOP - 14}" data-a="{place:.6f}">{self.scale.label(at)}</text>',
            )


def _escaped(text: str) -> str:
    """Text for a picture: XML has no form for control characters, and marks that turn its direction mislead."""
    return "\n".join(escape(harmless(part)) for part in text.split("\n"))


def _key(found: Timeline) -> list[tuple[str, str]]:
    """The classes of what is drawn, and what they mean."""
    names = [("prepares", "prepares")] if any(run.ran != run.since for run in found.runs) else []
    names += [(name, PARTS[name].words) for name in parts(found)]
    names += [(name, OUTCOMES[name].words) for name in outcomes(found)]
    return [*names, *([("hold", "a task waits")] if found.holds else [])]


def _title(found: Timeline) -> str:
    since, until = from_micros(found.since), from_micros(found.until)
    title = f"kugetsu, {times.day(since)} {times.time_of_day(since)} to "
    return f"{title}{times.day(until)} {times.time_of_day(until)} {times.zone(until)}"


def svg(found: Timeline) -> str:
    """The picture: a lane for each slot, for each gate that held tasks back, and for the daemon."""
    drawing = Drawing(Scale(found.since, found.until))
    _slots(drawing, found)
    _gates(drawing, found)
    _daemon(drawing, found)
    bottom = drawing.y + 6
    drawing.axis(bottom)
    drawing.legend(_key(found))
    title = _title(found)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {drawing.y}" width="{WIDTH}" role="img" '
        f'data-since="{found.since // 1000}" data-until="{found.until // 1000}" '
        f'data-offset="{(times.local(from_micros(found.since)).tm_gmtoff or 0) * 1000}" data-bottom="{bottom}" '
        f'aria-label="{escape(title, quote=True)}"><style>{_asset("timeline.css")}</style>'
        f'<text class="head" x="10" y="18">{escape(title)}</text>{"".join(drawing.pieces)}</svg>'
    )


def page(found: Timeline) -> str:
    """A page of its own with the picture: the wheel zooms, dragging moves, a double click shows all again."""
    key = "".join(f"<li>{_SWATCH.format(name)}{_escaped(words)}</li>" for name, words in _key(found))
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>kugetsu timeline</title></head>'
        f'<body><h1>{escape(_title(found))}</h1><p class="hint">wheel, pinch or + and -: zoom · '
        "drag or arrow keys: move · double click or 0: all · click, tap or Tab: what it was</p>"
        f'<ul class="key">{key}</ul><div id="place">{svg(found)}</div>'
        '<p class="hint"><button data-key="+">+</button> <button data-key="-">−</button> '
        '<button data-key="0">all</button></p>'
        f'<pre id="told" aria-live="polite"></pre><script>{_asset("timeline.js")}</script></body></html>\n'
    )


def _slots(drawing: Drawing, found: Timeline) -> None:
    scale = drawing.scale
    for lane in lanes(found):
        drawing.name(lane.name)
        for one in lane.runs:
            a, b = scale.place(one.since), scale.place(one.until)
            title = f"{about_run(one, found, scale)}\nevents {one.seq} to {one.end_seq or 'now'}"
            ran = scale.place(one.ran) if one.ran is not None else b
            if ran > a:
                drawing.bar("prepares", a, ran, drawing.y, LANE - 6, title)
            label = f"↻ {one.attempt}" if tried_again(one) else one.attempt
            if one.ran is not None:
                drawing.bar(outcome(one), ran, b, drawing.y, LANE - 6, title, label, run=True)
            elif one.end is not None:
                drawing.bar(outcome(one), b, b, drawing.y, LANE - 6, title, run=True)
            for name, part in parts_of(one):
                begins, ends = scale.place(part.since), scale.place(part.until)
                drawing.bar(name, begins, ends, drawing.y + LANE - 11, 5, title)
            if tried_again(one):
                drawing.mark(a)
        drawing.y += LANE


def _gates(drawing: Drawing, found: Timeline) -> None:
    for gate, holds in gates(found).items():
        drawing.name(gate_row(gate))
        rows = _rows(holds, drawing.scale.until)
        for depth, row in enumerate(rows[:DEEPEST]):
            for one in row:
                a, b = drawing.scale.place(one.since), drawing.scale.place(one.until)
                title = f"{about_hold(one, drawing.scale)} (event {one.seq})"
                drawing.bar("hold", a, b, drawing.y + 4 + depth * THIN, THIN - 2, title)
        drawing.y += max(LANE, 10 + min(len(rows), DEEPEST) * THIN)
        if len(rows) > DEEPEST:
            text = f"and {len(rows) - DEEPEST} more at a time"
            drawing.pieces.append(f'<text class="more" x="{MARGIN}" y="{drawing.y + 2}">{text}</text>')
            drawing.y += 12


def _rows(holds: list[Hold], until: int) -> list[list[Hold]]:
    """The waits in as few rows as they fit into without lying over each other."""
    rows: list[list[Hold]] = []
    for one in sorted(holds, key=lambda hold: hold.since):
        row = next((row for row in rows if (until if row[-1].until is None else row[-1].until) <= one.since), None)
        if row is None:
            rows.append([one])
        else:
            row.append(one)
    return rows


def _daemon(drawing: Drawing, found: Timeline) -> None:
    drawing.name("daemon")
    for shift in found.shifts:
        a, b = drawing.scale.place(shift.since), drawing.scale.place(shift.until)
        ended = f", {shift.end} {time_of_day(shift.until)}" if shift.until is not None else ""
        title = f"daemon {shift.state} from {time_of_day(shift.since)}{ended} (event {shift.seq})"
        drawing.bar("lost" if shift.end == "lost" else shift.state, a, b, drawing.y + 9, 5, title)
    drawing.y += LANE


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8").strip()
