"""The report in four forms: JSON, text for a terminal, Markdown to paste, one page (HTML)."""
