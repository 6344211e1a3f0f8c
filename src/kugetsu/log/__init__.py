"""The event log: the protocol, and the engine that keeps it in files."""

from kugetsu.log.opening import open_log

__all__ = ["open_log"]
