"""kugetsu runs coding agents on issues, on one append-only event log."""

__version__ = "0.1.0"
