"""Texts in Markdown, as forges have them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def prose(text: str) -> Iterator[str]:
    """The lines that the author says: neither quoted nor in a block of code; without the blanks around them."""
    fence = ""
    for whole in text.splitlines():
        line = whole.strip()
        if fence:
            if line.startswith(fence) and not line.strip(fence[0]):
                fence = ""
        elif line.startswith(("```", "~~~")):
            fence = line[: len(line) - len(line.lstrip(line[0]))]
        elif not line.startswith(">"):
            yield line
