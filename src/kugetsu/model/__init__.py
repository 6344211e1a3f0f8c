"""Plain values that every layer knows: references, servers, settings, paths, times, errors."""

REDACTED = "[redacted]"
"""The mark that stands where a secret was."""
