"""The text of `kugetsu intake`: what one look at labelled issues queued, and why not the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kugetsu.model.plural import counted
from kugetsu.views import intake
from kugetsu.views.screen import Screen
from kugetsu.views.tables import Column, table
from kugetsu.views.text import line


def table_of(rows: Sequence[dict[str, Any]], screen: Screen, *, dry: bool) -> list[str]:
    """A row for each issue."""
    heads = [Column("ISSUE", names=True), Column("TITLE", gives=True), Column("WHAT FOLLOWS", whole=True)]
    shown = [[screen.issue(row["issue"]), line(row["title"]), words(row, dry=dry, screen=screen)] for row in rows]

    def paint(at: int, value: str, text: str) -> str:
        if at != 2:
            return text
        return screen.green(text) if value.startswith(("queued", "would be queued")) else screen.yellow(text)

    return table(screen, heads, shown, paint=paint)


def words(row: dict[str, Any], *, dry: bool, screen: Screen) -> str:
    """What follows from an issue."""
    if row["problem"] is not None:
        return f"cannot be read: {line(row['problem'])}"
    if row["gone"]:
        return f"asks for no work any more: {intake.gone(row['code'])}"
    if row["queued"]:
        return "would be queued" if dry else f"queued as {row['task']}"
    if row["code"] == "queued":
        return f"was queued as {row['task']}"
    values = row["values"]
    if "issues" in values:
        values = {**values, "issues": [screen.issue(name) for name in values["issues"]]}
    return intake.words(row["code"], values)


def summary(rows: Sequence[dict[str, Any]], repositories: int, *, dry: bool) -> str:
    """How many were looked at and queued."""
    fresh = sum(row["queued"] for row in rows)
    seen = counted(len(rows), "labelled issue")
    places = f"{repositories} repositor{'y' if repositories == 1 else 'ies'}"
    return f"{seen} in {places}, {fresh} {'to queue' if dry else 'queued'}"


def remedies(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What a person can do about those that wait for one; each once."""
    found = [f"{row['issue']}: {row['remedy']}" for row in rows if row["remedy"]]
    return list(dict.fromkeys(found))[:10]
