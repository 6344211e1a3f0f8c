"""The timeline in three forms: text for a terminal, a picture (SVG), a page that zooms (HTML)."""
