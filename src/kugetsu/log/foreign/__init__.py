"""Exported logs (`--from FILE`): read with care, unpacked, and opened by the ordinary engine, read-only."""
