"""Notifications: read from the log, and delivered to sinks by a process of its own, the notifier."""
